//! The bus on a real PostgreSQL: the laws of chatcore's bus, and what is PostgreSQL's own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chatcore::bus::{Bus, BusError, BusEvent};
use chatcore::testkit::BusFixture;
use chatcore_postgres::{Builder, ConnectError, PostgresBus, PostgresStore};
use chatcore_tests::{Database, Pgbouncer, Postgres, Proxy, Traffic, must};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};

type Events = BoxStream<'static, BusEvent>;

/// A database behind a proxy.
struct Proxied(Database, Proxy);

impl Proxied {
    async fn new() -> Self {
        let database = Postgres::shared().await.database().await;
        let proxy = Proxy::start(database.server().addr()).await.expect("a proxy");
        Self(database, proxy)
    }

    fn url(&self) -> String {
        self.0.url_at(self.1.addr())
    }
}

#[async_trait]
impl BusFixture for Proxied {
    type Bus = Arc<PostgresBus>;

    async fn open(&self) -> Self::Bus {
        Arc::new(connected(PostgresStore::builder(&self.url())).await)
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

/// Opens a bus and waits until it carries messages.
async fn connected(builder: Builder) -> PostgresBus {
    let bus = builder.bus().await.expect("a bus");
    let mut events = bus.subscribe();
    // A slow server may take longer than the first attempt waits.
    if events.next().now_or_never().flatten() == Some(BusEvent::Disrupted) {
        assert_eq!(next(&mut events).await, BusEvent::Restored);
    }
    bus
}

async fn next(events: &mut Events) -> BusEvent {
    must("an event of the bus", events.next()).await.expect("the stream goes on")
}

fn message(text: &'static str) -> BusEvent {
    BusEvent::Message { partition: 0, bytes: Bytes::from_static(text.as_bytes()) }
}

#[tokio::test]
async fn schemas_are_buses_of_their_own() {
    let database = Postgres::shared().await.database().await;
    let one = connected(PostgresStore::builder(&database.url())).await;
    let other = connected(PostgresStore::builder(&database.url()).schema("other")).await;
    let (mut of_one, mut of_other) = (one.subscribe(), other.subscribe());
    other.publish(0, "for the other".into()).await.expect("it is taken");
    assert_eq!(next(&mut of_other).await, message("for the other"));
    one.publish(0, "for the one".into()).await.expect("it is taken");
    assert_eq!(next(&mut of_one).await, message("for the one"));
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let server = Postgres::start().await;
    let database = server.database().await;
    let bus = connected(PostgresStore::builder(&database.url())).await;
    let mut events = bus.subscribe();
    server.kill().await;
    assert_eq!(next(&mut events).await, BusEvent::Disrupted);
    let refused = bus.publish(0, "nobody".into()).await;
    assert!(matches!(refused, Err(BusError::Unavailable(None))), "{refused:?}");
    server.restart().await;
    assert_eq!(next(&mut events).await, BusEvent::Restored);
    bus.publish(0, "again".into()).await.expect("it is taken");
    assert_eq!(next(&mut events).await, message("again"));
}

#[tokio::test]
async fn a_server_that_falls_silent_disrupts_the_bus() {
    let proxied = Proxied::new().await;
    let builder = PostgresStore::builder(&proxied.url()).answer_timeout(Duration::from_secs(2));
    let bus = connected(builder).await;
    let mut events = bus.subscribe();
    bus.publish(0, "heard".into()).await.expect("it is taken");
    assert_eq!(next(&mut events).await, message("heard"));
    proxied.1.set(Traffic::BlackHole);
    let lost = must("the end of the wait", bus.publish(0, "lost".into())).await;
    assert!(matches!(lost, Err(BusError::Unavailable(Some(_)))), "{lost:?}");
    assert_eq!(next(&mut events).await, BusEvent::Disrupted);
    proxied.1.set(Traffic::Pass);
    assert_eq!(next(&mut events).await, BusEvent::Restored);
}

/// `LISTEN` through pgbouncer in transaction mode succeeds and hears nothing.
#[tokio::test]
async fn behind_a_pooler_the_bus_is_disrupted_until_it_connects_directly() {
    let database = Postgres::shared().await.database().await;
    let url = database.url_at(Pgbouncer::shared().await.addr());
    let pooled = PostgresStore::builder(&url).pgbouncer(true).bus().await.expect("a bus");
    assert_eq!(next(&mut pooled.subscribe()).await, BusEvent::Disrupted);
    let refused = pooled.publish(0, "nobody".into()).await;
    assert!(matches!(refused, Err(BusError::Unavailable(None))), "{refused:?}");

    let direct = PostgresStore::builder(&url).pgbouncer(true).listen_url(&database.url());
    let direct = connected(direct).await;
    let mut events = direct.subscribe();
    direct.publish(0, "directly".into()).await.expect("it is taken");
    assert_eq!(next(&mut events).await, message("directly"));
}

#[tokio::test]
async fn a_bus_without_a_server_starts_disrupted_and_then_connects() {
    let proxied = Proxied::new().await;
    proxied.1.set(Traffic::Cut);
    let bus = PostgresStore::builder(&proxied.url()).bus().await.expect("a bus");
    let mut events = bus.subscribe();
    assert_eq!(next(&mut events).await, BusEvent::Disrupted);
    proxied.1.set(Traffic::Pass);
    assert_eq!(next(&mut events).await, BusEvent::Restored);
    bus.publish(0, "connected".into()).await.expect("it is taken");
    assert_eq!(next(&mut events).await, message("connected"));
}

#[tokio::test]
async fn invalid_settings_are_refused_at_once() {
    let url = PostgresStore::builder("postgres://u@localhost/db").listen_url("not a url").bus().await;
    assert!(matches!(url, Err(ConnectError::Url(_))), "{url:?}");
    let schema = PostgresStore::builder("postgres://u@localhost/db").schema("No").bus().await;
    assert!(matches!(schema, Err(ConnectError::SchemaName(_))), "{schema:?}");
}
