//! A policy that looks at each message before it is stored: it refuses advertisements and blots out card numbers:
//! `cargo run --example review`.

use chatcore::{Action, ChannelName, Chat, Denied, Identity, MemoryStore, NewMessage, OpenPolicy};
use chatcore::{Policy, Refused, User, async_trait};

struct Careful;

#[async_trait]
impl Policy for Careful {
    fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
        OpenPolicy.authorize(identity, action)
    }

    async fn review(&self, _: &Identity, _: &ChannelName, message: &mut NewMessage) -> Result<(), Refused> {
        // A real one may ask a service: it has `Limits::review_timeout`, and only this connection waits for it.
        if message.text.contains("BUY NOW") {
            return Err(Refused::new("Advertisements are not allowed."));
        }
        let is_card = |word: &str| word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_digit());
        let words = message.text.split(' ').map(|word| if is_card(word) { "[card number]" } else { word });
        message.text = words.collect::<Vec<_>>().join(" ").into();
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chat = Chat::builder(MemoryStore::new()).policy(Careful).build();
    let bob = chat.connect(Identity::new(User::new("u_bob", "Bob")?))?;
    bob.create_channel("help", "").await?;
    if let Err(refused) = bob.publish("help", "BUY NOW, cheap").await {
        println!("Bob was refused: {refused}");
    }
    bob.publish("help", "Is 4111111111111111 charged twice?").await?;
    let newest = chat.history(&ChannelName::new("help")?, u64::MAX, 1).await?;
    println!("Bob: {}", newest.messages[0].text);
    Ok(())
}
