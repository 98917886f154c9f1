//! Private and direct channels, members and mentions, as participants see them.
#![allow(clippy::unwrap_used)]

mod channels;
mod joining;
mod people;
mod removal;
mod under_load;

use chatcore::protocol::{Added, ChannelObject, ChatEvent, Command, DirectOpened, Logged, RemovalReason};
use chatcore::{
    ChannelKind, Chat, Client, ClientError, ErrorCode, HistoryAccess, Identity, MemoryStore, User, UserId,
};
use serde::Deserialize;

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

fn id(name: &str) -> UserId {
    user(name).id
}

/// Connects a user who is known to all by then.
async fn join(chat: &Chat, name: &str) -> Client {
    chat.remember_user(&user(name)).await.unwrap();
    let mut client = chat.connect(Identity::new(user(name))).unwrap();
    client.next_event().await.expect("a welcome");
    client
}

fn chat() -> Chat {
    Chat::builder(MemoryStore::new()).build()
}

#[derive(Deserialize)]
struct Created {
    channel: ChannelObject,
}

/// Creates a private channel and returns its key.
async fn private(owner: &Client, members: &[&str], history: HistoryAccess) -> String {
    let command = Command::CreateChannel {
        name: None,
        topic: None,
        kind: Some(ChannelKind::Private),
        title: Some("Plans".to_owned()),
        members: members.iter().map(|name| id(name).to_string()).collect(),
        history: Some(history),
    };
    owner.call::<Created>(command).await.unwrap().channel.name.to_string()
}

async fn direct(client: &Client, others: &[&str]) -> DirectOpened {
    let users = others.iter().map(|name| id(name).to_string()).collect();
    client.call(Command::OpenDirect { users }).await.unwrap()
}

async fn add(client: &Client, channel: &str, who: &str) -> Result<Added, ClientError> {
    client.call(Command::AddMembers { channel: channel.to_owned(), users: vec![id(who).to_string()] }).await
}

async fn remove(client: &Client, channel: &str, who: &str) -> Result<Logged, ClientError> {
    client.call(Command::RemoveMember { channel: channel.to_owned(), user: id(who).to_string() }).await
}

fn code<T>(result: Result<T, ClientError>) -> ErrorCode {
    match result {
        Err(ClientError::Refused(error)) => error.code(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted"),
    }
}

/// Waits for an event that fits.
async fn until<T>(client: &mut Client, fits: impl Fn(&ChatEvent) -> Option<T>) -> T {
    loop {
        let event = client.next_event().await.expect("the connection is open");
        if let Some(found) = fits(&event) {
            return found;
        }
    }
}

fn removed_from(channel: &str) -> impl Fn(&ChatEvent) -> Option<RemovalReason> + '_ {
    move |event| match event {
        ChatEvent::ChannelRemoved { channel: gone, reason, .. } if gone.as_str() == channel => Some(*reason),
        _ => None,
    }
}
