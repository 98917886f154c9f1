//! Messages of the app itself, without a session and without a browser's rate limit: `cargo run --example post`.

use chatcore::{ChannelName, Chat, MemoryStore, NewMessage, Nonce, Seq, User};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chat = Chat::builder(MemoryStore::new()).build();
    let (helpdesk, support) = (User::new("u_helpdesk", "Helpdesk")?, ChannelName::new("support")?);
    chat.ensure_channel(&support, "Questions and answers", &helpdesk).await?;

    // The nonce says which message it is: if the app is not sure whether it was stored, it publishes it again.
    let closed = NewMessage::text("Ticket 4711 is closed.").nonce(Nonce::new("closed-4711")?);
    let first = chat.publish(&helpdesk, &support, closed.clone()).await?;
    let again = chat.publish(&helpdesk, &support, closed).await?;
    println!("Published as message {}, and again as message {}", first.seq, again.seq);

    for message in chat.history(&support, Seq::MAX, 10).await?.messages {
        println!("{}: {}", message.author.name, message.text);
    }
    Ok(())
}
