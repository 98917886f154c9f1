//! A person who reads all channels at a node, and notes what they get.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chatcore::protocol::{ChatEvent, Command, Start, Subscribed};
use chatcore::store::Check;
use chatcore::{ChannelName, Chat, Client, ClientError, ErrorCode, Identity, Position, Seq};
use tokio::time::sleep;

use crate::run::{channel, user};
use crate::script::CHANNELS;

/// What a reader has of one channel.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) start: Position,
    pub(crate) events: Vec<(Seq, Option<Check>)>,
}

impl Seen {
    fn position(&self) -> Position {
        match self.events.last() {
            Some((seq, check)) => Position::new(self.start.epoch.clone(), *seq).with_check(*check),
            None => self.start.clone(),
        }
    }
}

/// What a reader has.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The events of each channel.
    pub(crate) seen: Vec<Option<Seen>>,
    /// The names of the channels that the reader's connection has listed, or was shown.
    pub(crate) listed: BTreeSet<ChannelName>,
}

/// Reads all channels at a node, from where the reader is.
pub(crate) async fn read(node: Chat, number: usize, desk: Arc<Mutex<Desk>>) {
    let mut client = node.connect(Identity::new(user(&format!("r{number}")))).unwrap();
    let listed = list(&client).await;
    desk.lock().unwrap().listed = listed;
    for number in 0..CHANNELS {
        subscribe(&client, number, &desk).await;
    }
    let mut shown = BTreeSet::new();
    while let Some(event) = client.next_event().await {
        if let ChatEvent::Lagged { channel: name, .. } = &event {
            let number = (0..CHANNELS).find(|number| channel(*number) == *name).unwrap();
            subscribe(&client, number, &desk).await;
        } else if let ChatEvent::ChannelCreated { channel, .. } = &event {
            assert!(shown.insert(channel.name.clone()), "{} was shown twice", channel.name);
            desk.lock().unwrap().listed.insert(channel.name.clone());
        } else if let Some((name, seq)) = event.log_position() {
            let number = (0..CHANNELS).find(|number| channel(*number) == *name).unwrap();
            desk.lock().unwrap().seen[number].as_mut().unwrap().events.push((seq, event.check()));
        }
    }
    panic!("the session of reader {number} has ended: {:?}", client.close_reason());
}

/// Returns the names of all channels.
async fn list(client: &Client) -> BTreeSet<ChannelName> {
    loop {
        match client.channels().await {
            Ok(channels) => return channels.into_iter().map(|channel| channel.name).collect(),
            Err(ClientError::Refused(error)) if error.code() == ErrorCode::Unavailable => {
                sleep(Duration::from_millis(100)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn subscribe(client: &Client, number: usize, desk: &Mutex<Desk>) {
    let after = desk.lock().unwrap().seen[number].as_ref().map(Seen::position);
    let command =
        Command::Subscribe { channel: channel(number).to_string(), after: after.clone(), limit: Some(0) };
    let start: Subscribed = loop {
        match client.call(command.clone()).await {
            Ok(start) => break start,
            Err(ClientError::Refused(error)) if error.code() == ErrorCode::Unavailable => {
                sleep(Duration::from_millis(100)).await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    let mut desk = desk.lock().unwrap();
    match (&mut desk.seen[number], after) {
        (Some(seen), Some(after)) => {
            let Start::Replay(events) = &start.start else {
                panic!("channel {number} was reset at {after:?}, its head is {}", start.head)
            };
            seen.events.extend(events.iter().map(|e| (e.log_position().unwrap().1, e.check())));
        }
        (none, _) => {
            *none = Some(Seen { start: start.position(), events: Vec::new() });
        }
    }
}
