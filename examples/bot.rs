//! A bot that answers questions, and somebody who asks it one: `cargo run --example bot`

use chatcore::protocol::ChatEvent;
use chatcore::{Chat, Client, Identity, MemoryStore, NewMessage, Nonce, User};

/// Answers each `!upper TEXT` with its text in capitals, until the session ends.
async fn answer(mut bot: Client) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    while let Some(event) = bot.next_event().await {
        match event {
            ChatEvent::Message { channel, message, .. } => {
                let Some(question) = message.text.strip_prefix("!upper ") else { continue };
                // A key made of the question: however often this is sent, it is stored once.
                let nonce = Nonce::new(format!("upper-{}", message.seq))?;
                let answer = NewMessage::text(question.to_uppercase()).reply_to(message.seq).nonce(nonce);
                bot.send(channel.as_str(), answer).await?;
            }
            // The bot was too slow for this channel, and starts again with its newest messages.
            ChatEvent::Lagged { channel, .. } => drop(bot.subscribe(channel.as_str()).await?),
            _ => {}
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chat = Chat::builder(MemoryStore::new()).build();
    let bot = chat.connect(Identity::new(User::new("u_bot", "Bot")?))?;
    bot.create_channel("general", "").await?;
    bot.subscribe("general").await?;
    tokio::spawn(answer(bot));

    let mut ann = chat.connect(Identity::new(User::new("u_ann", "Ann")?))?;
    ann.subscribe("general").await?;
    let asked = ann.publish("general", "!upper is anybody there?").await?;
    while let Some(event) = ann.next_event().await {
        if let ChatEvent::Message { message, .. } = event
            && message.reply_to == Some(asked.seq)
        {
            println!("{}: {}", message.author.name, message.text);
            break;
        }
    }
    Ok(())
}
