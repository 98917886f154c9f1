//! A connection that follows many channels.

use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use chatcore::testkit::Random;
use chatcore::transport::Outlet;
use chatcore::{Identity, User};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::{Counter, Driven, chat, publish};

/// A follower of many channels gets what came of them at the same time in one write, whichever append groups they belong
/// to. When messages come one by one again, the fan-out writes them itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn messages_of_many_channels_go_out_together() {
    // All tasks are on one worker, so their order depends on the scheduler only.
    let following = tokio::spawn(follow_many_channels());
    timeout(Duration::from_secs(60), following).await.expect("all messages come").unwrap();
}

async fn follow_many_channels() {
    const ROUNDS: usize = 5;
    let channels = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let chat = chat();
    let mut owner = Driven::open(&chat, "owner", Random::new(1));
    let counter = Arc::new(Counter::default());
    let mut follower = chat.open(Identity::new(User::new("u_follower", "follower").unwrap())).unwrap();
    follower.set_outlet(Arc::clone(&counter) as Arc<dyn Outlet>);
    let mut answers = 0;
    for channel in channels {
        owner.receive(&format!(r#"{{"type":"create_channel","id":1,"name":"{channel}"}}"#));
        answers += 1;
        owner.answers(answers).await;
        follower.receive(&format!(r#"{{"type":"subscribe","id":1,"channel":"{channel}"}}"#));
        let mut out = Vec::new();
        while !out.iter().any(|frame: &Bytes| frame.starts_with(br#"{"type":"ok""#)) {
            poll_fn(|cx| follower.poll_outgoing(cx, &mut out)).await;
        }
    }
    // The messages in each write of the follower's task.
    let writes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let written = Arc::clone(&writes);
    let task = tokio::spawn(poll_fn(move |cx| {
        let mut out = Vec::new();
        while follower.poll_outgoing(cx, &mut out).is_ready() {}
        let messages = out.iter().filter(|frame| frame.starts_with(br#"{"type":"message""#)).count();
        written.lock().unwrap().extend((messages > 0).then_some(messages));
        Poll::<()>::Pending
    }));
    let came = || counter.bursts() + writes.lock().unwrap().iter().sum::<usize>();
    for round in 1..=ROUNDS {
        channels.iter().for_each(|channel| owner.receive(&publish(channel, &format!("{round}"))));
        answers += channels.len();
        owner.answers(answers).await;
        while came() < round * channels.len() {
            yield_now().await;
        }
    }
    // The scheduler may let the fan-out run between two groups now and then, but not after each.
    let (direct, by_task) = (counter.bursts(), writes.lock().unwrap().clone());
    assert!(direct + by_task.len() <= 2 * ROUNDS, "{direct} by the fan-out, and {by_task:?}");
    // One by one, it takes one of them to notice.
    for n in 1..=2 {
        owner.receive(&publish("a", &format!("alone {n}")));
        answers += 1;
        owner.answers(answers).await;
        while came() < ROUNDS * channels.len() + n {
            yield_now().await;
        }
    }
    assert!(counter.bursts() > direct, "the fan-out writes again");
    task.abort();
}
