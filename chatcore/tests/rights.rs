//! Rights are asked when they are used, and end what they began.
#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use chatcore::protocol::Logged;
use chatcore::{
    Action, Chat, Client, ClientError, Denied, ErrorCode, Identity, MemoryStore, OpenPolicy, Policy, User,
};

/// What somebody may no longer do, in every channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Right {
    Read,
    Write,
}

/// A policy that a test changes while the chat runs.
#[derive(Clone, Debug, Default)]
struct Rights(Arc<Mutex<HashSet<(String, Right)>>>);

impl Rights {
    fn take(&self, user: &str, right: Right) {
        self.0.lock().unwrap().insert((format!("u_{user}"), right));
    }

    fn give(&self, user: &str, right: Right) {
        self.0.lock().unwrap().remove(&(format!("u_{user}"), right));
    }
}

impl Policy for Rights {
    fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
        let right = match action {
            Action::List(_) | Action::Read(_) => Some(Right::Read),
            Action::Write(_) => Some(Right::Write),
            _ => None,
        };
        let taken = self.0.lock().unwrap();
        if right.is_some_and(|right| taken.contains(&(identity.user.id.as_str().to_owned(), right))) {
            return Err(Denied);
        }
        drop(taken);
        OpenPolicy.authorize(identity, action)
    }
}

fn identity(name: &str) -> Identity {
    Identity::new(User::new(&format!("u_{name}"), name).unwrap())
}

async fn join(chat: &Chat, name: &str) -> Client {
    let mut client = chat.connect(identity(name)).unwrap();
    client.next_event().await.expect("a welcome");
    client
}

fn code(error: ClientError) -> ErrorCode {
    match error {
        ClientError::Refused(reply) => reply.code,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_muted_user_changes_nothing_that_they_wrote() {
    let rights = Rights::default();
    let chat = Chat::builder(MemoryStore::new()).policy(rights.clone()).build();
    let mut ann = join(&chat, "ann").await;
    ann.create_channel("a", "").await.unwrap();
    let seq = ann.publish("a", "hi").await.unwrap().seq;
    rights.take("ann", Right::Write);
    let refused = |result: Result<Logged, ClientError>| code(result.unwrap_err());
    assert_eq!(refused(ann.edit("a", seq, "something else").await), ErrorCode::NotAllowed);
    assert_eq!(refused(ann.delete("a", seq).await), ErrorCode::NotAllowed);
    assert_eq!(refused(ann.react("a", seq, "👍", true).await), ErrorCode::NotAllowed);
    assert_eq!(code(ann.publish("a", "more").await.unwrap_err()), ErrorCode::NotAllowed);
    let page = ann.history("a", u64::MAX, 9).await.unwrap();
    assert_eq!(page.messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["hi"]);

    rights.give("ann", Right::Write);
    ann.edit("a", seq, "something else").await.unwrap();
    ann.delete("a", seq).await.unwrap();
}
