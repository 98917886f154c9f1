//! A policy under which everybody reads `announcements`, and only staff write there. In any channel it blots out card
//! numbers and refuses advertisements: `cargo run --example policy`.

use std::collections::HashSet;

use chatcore::{
    Action, ChannelName, Chat, Denied, Identity, MemoryStore, NewMessage, OpenPolicy, Policy, Refused, User,
    UserId,
};
use chatcore_hyper::async_trait;

struct Announcements {
    staff: HashSet<UserId>,
}

#[async_trait]
impl Policy for Announcements {
    fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
        match action {
            Action::Write(channel) if channel.as_str() == "announcements" => {
                self.staff.contains(&identity.user.id).then_some(()).ok_or(Denied)
            }
            // Everything else is open, but only the author may edit or delete a message.
            _ => OpenPolicy.authorize(identity, action),
        }
    }

    async fn review(&self, _: &Identity, _: &ChannelName, message: &mut NewMessage) -> Result<(), Refused> {
        // A real one may ask a service: it has `Limits::review_timeout`, and only this connection waits for it.
        if message.text.contains("BUY NOW") {
            return Err(Refused::new("Advertisements are not allowed."));
        }
        message.text = without_card_numbers(&message.text);
        Ok(())
    }
}

/// Returns a text in which each word of 16 digits is blotted out.
fn without_card_numbers(text: &str) -> String {
    let is_card = |word: &str| word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_digit());
    let words = text.split(' ').map(|word| if is_card(word) { "[card number]" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (ann, bob) = (User::new("u_ann", "Ann")?, User::new("u_bob", "Bob")?);
    let policy = Announcements { staff: HashSet::from([ann.id.clone()]) };
    let chat = Chat::builder(MemoryStore::new()).policy(policy).build();
    let channel = ChannelName::new("announcements")?;
    chat.ensure_channel(&channel, "News from the staff", &ann).await?;

    let staff = chat.connect(Identity::new(ann))?;
    let reader = chat.connect(Identity::new(bob))?;
    let published = staff.publish(channel.as_str(), "We are live").await?;
    println!("Ann published message {}", published.seq);
    if let Err(refused) = reader.publish(channel.as_str(), "Me too").await {
        println!("Bob was refused: {refused}");
    }

    reader.create_channel("help", "").await?;
    if let Err(refused) = reader.publish("help", "BUY NOW, cheap").await {
        println!("Bob was refused: {refused}");
    }
    reader.publish("help", "Is 4111111111111111 charged twice?").await?;
    let newest = chat.history(&ChannelName::new("help")?, u64::MAX, 1).await?;
    println!("Bob: {}", newest.messages[0].text);
    Ok(())
}
