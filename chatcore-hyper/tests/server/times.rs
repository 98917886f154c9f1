//! The timeouts of a connection: pings, silence, and the peer's side of a close.
#![allow(clippy::unwrap_used)] // The helpers are tests too.

use std::net::SocketAddr;
use std::time::Duration;

use chatcore_hyper::{Config, serve};
use futures::StreamExt;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{chat, connect, must, read_all, service};

async fn start(edit: impl FnOnce(&mut Config)) -> (chatcore::Chat, SocketAddr, TempDir) {
    let (chat, folder) = chat().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, service(&chat, edit)).into_future());
    (chat, addr, folder)
}

/// Connects without a client that answers pings automatically.
async fn raw(addr: SocketAddr) -> TcpStream {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    let request = "GET /chat/ws HTTP/1.1\r\nHost: x\r\nx-user: ann\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(must("a head", tcp.read_u8()).await.unwrap());
    }
    tcp
}

#[test]
fn the_default_time_outs_match_the_protocol() {
    let config = Config::default();
    assert_eq!((config.ping_interval.as_secs(), config.silence.as_secs()), (25, 60));
}

#[tokio::test]
async fn a_client_that_answers_pings_stays_connected() {
    let (_chat, addr, _folder) = start(|config| {
        config.ping_interval = Duration::from_millis(50);
        config.silence = Duration::from_secs(1);
    })
    .await;
    let mut ann = connect(addr).await;
    // They take longer than the silence timeout.
    for _ in 0..30 {
        let ping = must("a ping", ann.next()).await.unwrap().unwrap();
        assert!(ping.is_ping(), "{ping:?}");
    }
}

#[tokio::test]
async fn a_silent_client_is_dropped() {
    let (chat, addr, _folder) = start(|config| {
        config.ping_interval = Duration::from_millis(20);
        config.silence = Duration::from_millis(100);
    })
    .await;
    let mut tcp = raw(addr).await;
    let answer = read_all(&mut tcp).await;
    assert!(answer.contains("welcome"), "{answer:?}");
    assert!(answer.bytes().filter(|byte| *byte == 0x09).count() <= 5, "pings and no close frame: {answer:?}");
    must("the session ends", async {
        while chat.connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_does_not_close_is_waited_for_briefly() {
    let (chat, addr, _folder) = start(|config| config.close_timeout = Duration::from_millis(100)).await;
    let mut tcp = raw(addr).await;
    chat.drain();
    // The output ends with the close frame and the end of the server's side, although ours stays open.
    let answer = read_all(&mut tcp).await;
    assert!(answer.contains("the server is going away"), "{answer:?}");
    // Then the server has closed it, and our writes fail sooner or later.
    must("the connection ends", async { while tcp.write_all(&[0; 1_024]).await.is_ok() {} }).await;
}

#[tokio::test]
async fn bytes_sent_with_the_handshake_are_not_lost() {
    let (_chat, addr, _folder) = start(|_| ()).await;
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    let mut bytes =
        b"GET /chat/ws HTTP/1.1\r\nHost: x\r\nx-user: ann\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            .to_vec();
    for id in 0..5 {
        let command = format!(r#"{{"type":"ping","id":{id}}}"#);
        bytes.extend([0x81, 0x80 | command.len() as u8, 0, 0, 0, 0]);
        bytes.extend(command.as_bytes());
    }
    // Followed by a close frame, so that the responses end.
    bytes.extend([0x88, 0x80, 0, 0, 0, 0]);
    tcp.write_all(&bytes).await.unwrap();
    let answer = read_all(&mut tcp).await;
    let answers: Vec<_> = answer.matches(r#""type":"#).collect();
    assert_eq!(answers.len(), 6, "a welcome and five answers: {answer:?}");
    for id in 0..5 {
        assert!(answer.contains(&format!(r#""id":{id}"#)), "{answer:?}");
    }
}
