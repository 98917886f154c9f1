//! With many busy connections on a core, a connection's task may get its turn so seldom that the ring moves past it. Here
//! it gets none. Since its socket accepts everything, it does not lag.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use chatcore::transport::{Burst, Outlet, Sent};
use chatcore::{Chat, Limits, MemoryStore};
use serde_json::Value;

use super::{member, owner, publish, text};

/// A socket that accepts everything, and keeps it.
#[derive(Debug, Default)]
struct Accepting(Mutex<Vec<Bytes>>);

impl Accepting {
    /// Returns the text of each message of a channel.
    fn texts(&self, channel: &str) -> Vec<String> {
        let frames = self.0.lock().unwrap();
        let frames = frames.iter().map(|frame| serde_json::from_slice::<Value>(frame).unwrap());
        let messages = frames.filter(|frame| frame["type"] == "message" && frame["channel"] == channel);
        messages.map(|frame| frame["text"].as_str().unwrap().to_owned()).collect()
    }
}

impl Outlet for Accepting {
    fn try_send(&self, burst: &mut Burst) -> Sent {
        self.0.lock().unwrap().extend_from_slice(burst.frames());
        Sent::All
    }
}

/// Not while it waits for an answer, in which case its task was to write both together, nor in a second channel of the
/// same round.
#[tokio::test]
async fn a_member_whose_task_gets_no_turn_does_not_lag() {
    const MESSAGES: usize = 500;
    let mut limits = Limits::default();
    (limits.commands_per_second, limits.command_burst) = (1_000_000, 1_000_000);
    limits.ring_events = 256;
    let chat = Chat::builder(MemoryStore::new()).limits(limits).build();
    let mut owner = owner(&chat).await;
    owner.receive(r#"{"type":"create_channel","id":1,"name":"b"}"#);
    owner.answers(2).await;
    let [waiting, twice] = [(); 2].map(|()| Arc::new(Accepting::default()));
    let mut publisher = member(&chat, "u_publisher", &waiting).await;
    let mut reader = member(&chat, "u_reader", &twice).await;
    reader.receive(r#"{"type":"subscribe","id":2,"channel":"b"}"#);
    let mut out = Vec::new();
    while !out.iter().any(|frame: &Bytes| frame.starts_with(br#"{"type":"ok","id":2"#)) {
        assert!(poll_fn(|cx| reader.poll_outgoing(cx, &mut out)).await.is_none());
    }
    publisher.receive(&publish("a", "own"));

    for n in 1..=MESSAGES {
        for channel in ["a", "b"] {
            owner.receive(&text(channel, &format!("{channel}{n}"), &n.to_string()));
        }
        owner.answers(2 + 2 * n).await;
    }
    for (outlet, mut connection, channels) in [(twice, reader, &["a", "b"][..]), (waiting, publisher, &["a"])]
    {
        let mut rest = Vec::new();
        let ended = poll_fn(|cx| match connection.poll_outgoing(cx, &mut rest) {
            Poll::Ready(None) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(reason) => Poll::Ready(reason),
            Poll::Pending => Poll::Ready(None),
        });
        assert_eq!(ended.await, None);
        outlet.0.lock().unwrap().append(&mut rest);
        for channel in channels {
            let texts = outlet.texts(channel);
            let said: Vec<_> = texts.iter().filter(|text| *text != "x").cloned().collect();
            let all: Vec<_> = (1..=MESSAGES).map(|n| n.to_string()).collect();
            assert_eq!(said, all, "channel {channel}");
        }
    }
}
