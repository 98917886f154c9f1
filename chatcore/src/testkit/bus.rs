//! The laws of [`Bus`]. [`bus_conformance!`](crate::bus_conformance) makes a test of each.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::Random;
use crate::bus::{Bus, BusError, BusEvent, Feed};

/// A bus for one law, which no other law uses.
#[async_trait]
pub trait BusFixture: Send + Sync + 'static {
    /// The bus under test.
    type Bus: Bus;

    /// Opens the bus as a process does when it starts, and returns when it is connected. Each call is another process,
    /// as independent of the others as the bus allows.
    async fn open(&self) -> Self::Bus;

    /// Closes every connection to the bus, and those that are tried, until [`mend`](Self::mend). Returns whether there
    /// are connections; a bus within one process has none.
    async fn cut(&self) -> bool {
        false
    }

    /// Lets connections pass again.
    async fn mend(&self) {}

    /// Returns how many bytes of messages a subscriber must have lost some of, if it reads none.
    fn bound(&self) -> usize {
        Feed::BYTES + (1 << 20)
    }
}

/// Expands to one `#[tokio::test]` per law of [`Bus`]. See [`testkit`](crate::testkit).
#[macro_export]
macro_rules! bus_conformance {
    ($fixture:expr) => {
        $crate::__laws! { $fixture; bus;
            laws {
                a_cut_is_told_and_so_is_its_end
                a_message_beyond_the_limits_is_refused
                a_reader_that_never_reads_delays_nobody
                a_stream_ends_with_its_bus
                every_subscriber_gets_every_message
                messages_arrive_byte_for_byte
                one_sender_is_heard_in_order_or_disrupted
            }
        }
    };
}

/// The laws, each a function that panics if the bus breaks it.
pub mod laws {
    use super::*;

    /// Subscribers of two processes, several of each, get what either publishes, the publisher's own too.
    pub async fn every_subscriber_gets_every_message<F: BusFixture>(fixture: F) {
        let (a, b) = (fixture.open().await, fixture.open().await);
        let mut streams = [a.subscribe(), b.subscribe(), a.subscribe(), b.subscribe()];
        let last = a.limits().partitions - 1;
        let expected = [(0, "from a"), (last, "from b"), (last / 2, "from a again")];
        for ((partition, text), bus) in expected.into_iter().zip([&a, &b, &a]) {
            bus.publish(partition, text.into()).await.expect("the bus takes a message");
            for stream in &mut streams {
                assert_eq!(message(stream).await, (partition, Bytes::from(text)));
            }
        }
        drop(streams);
        let mut late = b.subscribe();
        a.publish(0, "later".into()).await.expect("the bus takes a message");
        assert_eq!(message(&mut late).await, (0, Bytes::from("later")));
    }

    /// Messages of every size up to the limit, of any bytes, arrive unchanged.
    pub async fn messages_arrive_byte_for_byte<F: BusFixture>(fixture: F) {
        let (a, b) = (fixture.open().await, fixture.open().await);
        let mut stream = b.subscribe();
        let random = Random::from_env();
        let max = a.limits().max_bytes;
        let odd = (0..20).map(|_| random.below(max as u64) as usize);
        for size in [0, 1, 2, 3, max - 1, max].into_iter().chain(odd) {
            let bytes: Bytes = (0..size).map(|_| random.bits() as u8).collect();
            a.publish(0, bytes.clone()).await.expect("the bus takes a message");
            assert!(message(&mut stream).await == (0, bytes), "{size} bytes arrived changed");
        }
    }

    /// Two processes publish to two partitions each. Per sender and partition, a reader gets the messages in order and
    /// without a gap, or is told that it is disrupted.
    pub async fn one_sender_is_heard_in_order_or_disrupted<F: BusFixture>(fixture: F) {
        const MESSAGES: u32 = 250;
        let buses = [fixture.open().await, fixture.open().await];
        let last = buses[0].limits().partitions - 1;
        let streams = buses.each_ref().map(|bus| bus.subscribe());
        let text = |sender: usize, i: u32| Bytes::from(format!("{sender} {i}"));
        let publish = async |sender: usize| {
            for i in 0..MESSAGES {
                for partition in [0, last] {
                    buses[sender].publish(partition, text(sender, i)).await.expect("the bus takes a message");
                }
            }
        };
        futures::join!(publish(0), publish(1));
        for mut stream in streams {
            let mut next = [[0; 2]; 2];
            while next != [[MESSAGES; 2]; 2] {
                let BusEvent::Message { partition, bytes } = event(&mut stream).await else { break };
                let (sender, i) = (0..2)
                    .find_map(|sender| Some((sender, bytes.strip_prefix(format!("{sender} ").as_bytes())?)))
                    .expect("invariant: a sender's message");
                // With a single partition, each message comes twice.
                let expected = if last == 0 {
                    let [first, second] = &mut next[sender];
                    if *first == *second { first } else { second }
                } else {
                    &mut next[sender][usize::from(partition == last)]
                };
                assert_eq!(i, expected.to_string().as_bytes(), "of sender {sender}, in {partition}");
                *expected += 1;
            }
        }
    }

    /// One byte over the limit, and the first partition that does not exist, are refused. Nobody gets them.
    pub async fn a_message_beyond_the_limits_is_refused<F: BusFixture>(fixture: F) {
        let bus = fixture.open().await;
        let mut stream = bus.subscribe();
        let limits = bus.limits();
        let outcome = bus.publish(0, vec![b'x'; limits.max_bytes + 1].into()).await;
        assert!(
            matches!(outcome, Err(BusError::TooLarge { bytes, limit }) if bytes == limit + 1 && limit == limits.max_bytes),
            "{outcome:?}"
        );
        let outcome = bus.publish(limits.partitions, "nowhere".into()).await;
        assert!(matches!(outcome, Err(BusError::NoSuchPartition { .. })), "{outcome:?}");
        bus.publish(limits.partitions - 1, "fits".into()).await.expect("the bus takes a message");
        assert_eq!(message(&mut stream).await, (limits.partitions - 1, Bytes::from("fits")));
    }

    /// A subscriber reads nothing while more is published than the bus may keep for it. Publishers and other
    /// subscribers don't notice. When it reads, it has lost messages, is told so, and then gets what follows.
    pub async fn a_reader_that_never_reads_delays_nobody<F: BusFixture>(fixture: F) {
        let bus = fixture.open().await;
        let (mut sleepy, mut awake) = (bus.subscribe(), bus.subscribe());
        let bytes = Bytes::from(vec![b'x'; bus.limits().max_bytes]);
        let enough = fixture.bound() / bytes.len() + 1;
        for _ in 0..enough {
            bus.publish(0, bytes.clone()).await.expect("the bus takes a message");
            assert_eq!(message(&mut awake).await.1.len(), bytes.len());
        }
        let mut kept = 0;
        while let BusEvent::Message { .. } = event(&mut sleepy).await {
            kept += 1;
            assert!(kept < enough, "all of {enough} messages of {} bytes were kept", bytes.len());
        }
        assert_eq!(event(&mut sleepy).await, BusEvent::Restored);
        bus.publish(0, "the end".into()).await.expect("the bus takes a message");
        while message(&mut sleepy).await.1 != "the end" {}
        assert_eq!(message(&mut awake).await.1, "the end");
    }

    /// A subscriber outlives its bus and is told of its end, after what came before.
    pub async fn a_stream_ends_with_its_bus<F: BusFixture>(fixture: F) {
        let (a, b) = (fixture.open().await, fixture.open().await);
        let mut streams = [a.subscribe(), b.subscribe()];
        a.publish(0, "goodbye".into()).await.expect("the bus takes a message");
        for stream in &mut streams {
            assert_eq!(message(stream).await.1, "goodbye");
        }
        drop((a, b, fixture));
        for mut stream in streams {
            while let Some(left) = within(stream.next()).await {
                assert!(!matches!(left, BusEvent::Message { .. }), "{left:?}");
            }
        }
    }

    /// When the connections are cut, every subscriber is told, newcomers too, and nothing is taken any more. When they
    /// pass again, every subscriber is told, and what is published then arrives. What was published meanwhile doesn't.
    pub async fn a_cut_is_told_and_so_is_its_end<F: BusFixture>(fixture: F) {
        let (a, b) = (fixture.open().await, fixture.open().await);
        let mut streams = [a.subscribe(), b.subscribe()];
        if !fixture.cut().await {
            return;
        }
        for stream in &mut streams {
            assert_eq!(event(stream).await, BusEvent::Disrupted);
        }
        let mut newcomer = a.subscribe();
        assert_eq!(event(&mut newcomer).await, BusEvent::Disrupted);
        let outcome = within(a.publish(0, "too late".into())).await;
        assert!(matches!(outcome, Err(BusError::Unavailable(_))), "{outcome:?}");
        fixture.mend().await;
        let [of_a, of_b] = streams;
        let mut streams = [of_a, of_b, newcomer];
        for stream in &mut streams {
            assert_eq!(event(stream).await, BusEvent::Restored);
        }
        for bus in [&a, &b] {
            bus.publish(0, "again".into()).await.expect("the bus takes a message");
            for stream in &mut streams {
                assert_eq!(message(stream).await.1, "again");
            }
        }
    }
}

/// After this time, a bus has hung and the law is broken.
const HUNG: Duration = Duration::from_secs(60);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HUNG, future).await.expect("the bus has not hung")
}

async fn event(stream: &mut BoxStream<'static, BusEvent>) -> BusEvent {
    within(stream.next()).await.expect("the stream goes on while there is a bus")
}

async fn message(stream: &mut BoxStream<'static, BusEvent>) -> (u8, Bytes) {
    match event(stream).await {
        BusEvent::Message { partition, bytes } => (partition, bytes),
        other => panic!("{other:?} in place of a message"),
    }
}
