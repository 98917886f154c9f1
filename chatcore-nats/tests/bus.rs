//! The bus on a real NATS server: the laws of chatcore's bus, and what is NATS' own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use chatcore::bus::{Bus, BusError, BusEvent};
use chatcore::testkit::BusFixture;
use chatcore_nats::{ConnectError, NatsBus};
use chatcore_tests::{Nats, Proxy, Traffic, must};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};

type Events = BoxStream<'static, BusEvent>;

/// A namespace that no other test uses, behind a proxy.
struct Proxied(String, Proxy);

impl Proxied {
    async fn new() -> Self {
        let proxy = Proxy::start(Nats::shared().await.addr()).await.expect("a proxy");
        Self(namespace(), proxy)
    }
}

#[async_trait]
impl BusFixture for Proxied {
    type Bus = Arc<NatsBus>;

    async fn open(&self) -> Self::Bus {
        Arc::new(connected(&Nats::url_at(self.1.addr()), &self.0).await)
    }

    async fn cut(&self) -> bool {
        self.1.set(Traffic::Cut);
        true
    }

    async fn mend(&self) {
        self.1.set(Traffic::Pass);
    }
}

chatcore::bus_conformance!(Proxied::new().await);

fn namespace() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Opens a bus and waits until it carries messages.
async fn connected(url: &str, namespace: &str) -> NatsBus {
    let bus = NatsBus::builder(url).namespace(namespace).connect().await.expect("a bus");
    let mut events = bus.subscribe();
    // A slow server may take longer than the bus waits at first.
    if events.next().now_or_never().flatten() == Some(BusEvent::Disrupted) {
        assert_eq!(next(&mut events).await, BusEvent::Restored);
    }
    bus
}

async fn next(events: &mut Events) -> BusEvent {
    must("an event of the bus", events.next()).await.expect("the stream goes on")
}

fn message(partition: u8, text: &'static str) -> BusEvent {
    BusEvent::Message { partition, bytes: Bytes::from_static(text.as_bytes()) }
}

#[tokio::test]
async fn namespaces_are_buses_of_their_own() {
    let url = Nats::url_at(Nats::shared().await.addr());
    let (one, other) = (connected(&url, &namespace()).await, connected(&url, &namespace()).await);
    let (mut of_one, mut of_other) = (one.subscribe(), other.subscribe());
    other.publish(63, "for the other".into()).await.expect("it is taken");
    assert_eq!(next(&mut of_other).await, message(63, "for the other"));
    one.publish(0, "for the one".into()).await.expect("it is taken");
    assert_eq!(next(&mut of_one).await, message(0, "for the one"));
}

#[tokio::test]
async fn what_others_publish_in_the_namespace_is_ignored() {
    let url = Nats::url_at(Nats::shared().await.addr());
    let namespace = namespace();
    let bus = connected(&url, &namespace).await;
    let mut events = bus.subscribe();
    let other = chatcore_nats::async_nats::connect(&url).await.expect("a client");
    for last in ["64", "256", "-1", "x", "probe"] {
        let subject = format!("chatcore.{namespace}.{last}");
        other.publish(subject, "of no bus".into()).await.expect("it is sent");
    }
    other.publish(format!("chatcore.{namespace}.7"), "of the bus".into()).await.expect("it is sent");
    assert_eq!(next(&mut events).await, message(7, "of the bus"));
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let server = Nats::start().await;
    let bus = connected(&Nats::url_at(server.addr()), "test").await;
    let mut events = bus.subscribe();
    server.kill();
    assert_eq!(next(&mut events).await, BusEvent::Disrupted);
    let refused = bus.publish(0, "nobody".into()).await;
    assert!(matches!(refused, Err(BusError::Unavailable(None))), "{refused:?}");
    server.restart().await;
    assert_eq!(next(&mut events).await, BusEvent::Restored);
    bus.publish(0, "again".into()).await.expect("it is taken");
    assert_eq!(next(&mut events).await, message(0, "again"));
}

#[tokio::test]
async fn a_server_that_falls_silent_disrupts_the_bus() {
    let proxied = Proxied::new().await;
    let bus = proxied.open().await;
    let mut events = bus.subscribe();
    proxied.1.set(Traffic::BlackHole);
    assert_eq!(next(&mut events).await, BusEvent::Disrupted);
    proxied.1.set(Traffic::Pass);
    assert_eq!(next(&mut events).await, BusEvent::Restored);
    bus.publish(0, "again".into()).await.expect("it is taken");
    assert_eq!(next(&mut events).await, message(0, "again"));
}

#[tokio::test]
async fn a_bus_without_a_server_starts_disrupted_and_then_connects() {
    let server = Nats::start().await;
    server.kill();
    let bus = NatsBus::connect(&Nats::url_at(server.addr())).await.expect("a bus");
    let mut events = bus.subscribe();
    assert_eq!(next(&mut events).await, BusEvent::Disrupted);
    server.restart().await;
    assert_eq!(next(&mut events).await, BusEvent::Restored);
    bus.publish(0, "connected".into()).await.expect("it is taken");
    assert_eq!(next(&mut events).await, message(0, "connected"));
}

#[tokio::test]
async fn invalid_settings_are_refused_at_once() {
    let url = NatsBus::connect("http://localhost").await;
    assert!(matches!(url, Err(ConnectError::Url { .. })), "{url:?}");
    for bad in ["", "a.b", "*", "Upper", "a b"] {
        let namespace = NatsBus::builder("nats://localhost").namespace(bad).connect().await;
        assert!(matches!(namespace, Err(ConnectError::Namespace(_))), "{namespace:?}");
    }
}
