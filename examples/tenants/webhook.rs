//! Posts every event to a system of the help desk's, in order and at least once, whatever is restarted meanwhile.

use std::time::Duration;

use chatcore::Chat;
use chatcore::consumer::Entry;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Delivers batch after batch, one JSON object a line. What is not accepted comes again from `next`.
pub(crate) async fn deliver(chat: Chat, to: String) -> Result<(), chatcore::Error> {
    let mut webhook = chat.consumer("webhook").open().await?;
    while let Some(batch) = webhook.next().await {
        let line = |entry: &Entry| match entry {
            Entry::Event { channel, event, .. } => chat.event_json(&channel.name, event),
            // Some events can't be read any more: the other side looks at the whole ticket.
            other => json!({ "type": "reset", "channel": other.channel().name }).to_string().into(),
        };
        let lines: Vec<_> = batch.iter().map(line).collect();
        match timeout(Duration::from_secs(10), accepted(&to, &lines.join(&b'\n'))).await {
            // If another process has taken over meanwhile, it delivers the batch again.
            Ok(Ok(true)) => drop(webhook.ack(&batch).await),
            _ => sleep(Duration::from_secs(1)).await,
        }
    }
    Ok(())
}

/// Returns whether the other side accepts it. A real app would use its HTTP client, with TLS and a signature.
async fn accepted(to: &str, body: &[u8]) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(to).await?;
    let length = body.len();
    let head = format!("POST /events HTTP/1.0\r\nHost: {to}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(status.starts_with(b"HTTP/1.") && status[9] == b'2')
}
