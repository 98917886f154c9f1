//! A policy under which everybody reads `announcements`, and only staff write there: `cargo run --example policy`.

use std::collections::HashSet;

use chatcore::{Action, ChannelName, Chat, Denied, Identity, MemoryStore, OpenPolicy, Policy, User, UserId};

struct Announcements {
    staff: HashSet<UserId>,
}

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
    Ok(())
}
