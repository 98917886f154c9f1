//! Durable consumers on a real PostgreSQL: transactions that are under way meanwhile, many idle channels, and processes
//! that are killed.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chatcore::consumer::Entry;
use chatcore::store::{
    Append, AppendBody, Consumers, Directory, EventStore, Lease, News, PageLimit, Replay, StartAt,
};
use chatcore::{ChannelId, ChannelName, Chat, ConsumerName, Limits, NewMessage, Nonce, Seq, User};
use chatcore_postgres::tokio_postgres::{Client, NoTls};
use chatcore_postgres::{PostgresStore, tokio_postgres};
use chatcore_tests::{Database, Postgres, must};
use tokio::sync::mpsc;

const HOUR: Duration = Duration::from_secs(3_600);
const ALL: PageLimit = PageLimit::items(1_000);

async fn database() -> (Database, PostgresStore) {
    let database = Postgres::shared().await.database().await;
    let store = PostgresStore::connect(&database.url()).await.expect("connects");
    (database, store)
}

async fn client(database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

fn ann() -> User {
    User::new("u_ann", "Ann").expect("a user")
}

async fn channel(store: &PostgresStore, text: &str) -> ChannelId {
    let name = ChannelName::new(text).expect("a name");
    store.create_channel(&name, "", &ann()).await.expect("creates a channel").into_channel().id
}

fn say(channel: ChannelId, text: &str) -> Append {
    Append::new(channel, ann(), AppendBody::message(Nonce::new(text).expect("a nonce"), text))
}

async fn create(store: &PostgresStore, start: StartAt) -> Lease {
    let name = ConsumerName::new("billing").expect("a name");
    assert!(store.create_consumer_within(&name, start, 9).await.expect("it is created"));
    store.take_consumer(&name, 1, HOUR).await.expect("it is there").expect("nobody has it")
}

async fn news(store: &PostgresStore, lease: &Lease) -> Vec<(ChannelId, Seq)> {
    let page = store.news(&lease.consumer, ChannelId(0), ALL).await.expect("news can be read");
    page.news.iter().map(|News { channel, position, .. }| (channel.id, position.seq)).collect()
}

/// Their transactions can't see the consumer, and commit after it was created.
#[tokio::test]
async fn what_is_appended_while_a_consumer_is_created_is_news() {
    for start in [StartAt::Beginning, StartAt::End] {
        let (database, store) = database().await;
        let (old, other) = (channel(&store, "old").await, channel(&store, "other").await);
        store.append(vec![say(old, "one"), say(other, "one")]).await;
        let mut clients = [client(&database).await, client(&database).await];
        let [first, second] = &mut clients;
        let transaction = first.transaction().await.expect("a transaction");
        store.publish_in(&transaction, say(old, "two")).await.expect("is taken");
        let later = second.transaction().await.expect("a transaction");
        let insert = "INSERT INTO chatcore.channel (name, topic, created_at, created_by, created_by_name, epoch) \
             VALUES ('new', '', 0, 'u_ann', 'Ann', 'e') RETURNING id";
        let new = later.query_one(insert, &[]).await.expect("a channel").get::<_, i64>(0);
        let new = ChannelId(u64::try_from(new).expect("a number from 1"));
        store.publish_in(&later, say(new, "one")).await.expect("is taken");

        let lease = create(&store, start).await;
        for (id, _) in news(&store, &lease).await {
            let head = store.heads(&[id]).await.expect("heads can be read").remove(0).expect("it is there");
            assert!(store.advance(&lease, &[(id, head.position())]).await.expect("it moves"));
        }
        transaction.commit().await.expect("commits");
        let found = news(&store, &lease).await;
        // The ack of the first event did not wait for the transaction, so the channel is still news.
        let expected = if start == StartAt::Beginning { vec![(old, 1)] } else { Vec::new() };
        assert_eq!(found, expected, "{start:?}: the other transaction may have begun before the consumer");
        later.commit().await.expect("commits");
        assert_eq!(news(&store, &lease).await, [(old, 1), (new, 0)], "{start:?}");
    }
}

#[tokio::test]
async fn an_ack_neither_waits_for_an_append_nor_hides_it() {
    let (database, store) = database().await;
    let general = channel(&store, "general").await;
    store.append(vec![say(general, "one")]).await.remove(0).expect("is taken");
    let lease = create(&store, StartAt::Beginning).await;
    let head = store.heads(&[general]).await.expect("heads can be read").remove(0).expect("it is there");
    let mut client = client(&database).await;
    let transaction = client.transaction().await.expect("a transaction");
    store.publish_in(&transaction, say(general, "two")).await.expect("is taken");
    // The transaction ends only after this.
    assert!(store.advance(&lease, &[(general, head.position())]).await.expect("it moves"));
    transaction.commit().await.expect("commits");
    assert_eq!(news(&store, &lease).await, [(general, 1)]);
    let transaction = client.transaction().await.expect("a transaction");
    store.publish_in(&transaction, say(general, "three")).await.expect("is taken");
    transaction.rollback().await.expect("rolls back");
    let head = store.heads(&[general]).await.expect("heads can be read").remove(0).expect("it is there");
    assert!(store.advance(&lease, &[(general, head.position())]).await.expect("it moves"));
    assert_eq!(news(&store, &lease).await, [], "what was rolled back is no news");
}

/// After a restore, every consumer gets a reset for each channel.
#[tokio::test]
async fn renewed_epochs_are_news_to_every_consumer() {
    let (_database, store) = database().await;
    let general = channel(&store, "general").await;
    store.append(vec![say(general, "one")]).await.remove(0).expect("is taken");
    let lease = create(&store, StartAt::End).await;
    assert_eq!(news(&store, &lease).await, []);
    store.renew_epochs().await.expect("epochs are renewed");
    let page = store.news(&lease.consumer, ChannelId(0), ALL).await.expect("news can be read");
    let replay = store.after(general, &page.news[0].position, ALL).await.expect("the log can be read");
    assert!(matches!(replay, Replay::Reset(_)), "{replay:?}");
}

#[tokio::test]
async fn idle_channels_cost_a_consumer_nothing() {
    let (database, store) = database().await;
    let client = client(&database).await;
    let fill = "INSERT INTO chatcore.channel (name, topic, created_at, created_by, created_by_name, epoch, last_seq) \
         SELECT 'idle-' || i, '', 0, 'u_ann', 'Ann', 'e', 1 FROM generate_series(1, 10000) AS i";
    client.batch_execute(fill).await.expect("fills");
    let lease = create(&store, StartAt::End).await;
    let busy = channel(&store, "busy").await;
    store.append(vec![say(busy, "one")]).await.remove(0).expect("is taken");
    assert_eq!(news(&store, &lease).await, [(busy, 0)], "after the one look at all channels");
    let explain = "EXPLAIN (ANALYZE, BUFFERS) SELECT * FROM chatcore.chat_consumer_news('billing', 0, 33)";
    // The second time, everything is known that a connection looks up once.
    let mut plan = Vec::new();
    for _ in 0..2 {
        let rows = client.query(explain, &[]).await.expect("a plan");
        plan = rows.iter().map(|row| row.get::<_, String>(0)).collect();
    }
    let buffers = plan.iter().find_map(|line| line.trim().strip_prefix("Buffers: shared "));
    let blocks = buffers.unwrap_or_else(|| panic!("{plan:#?}")).split(' ');
    let blocks: u64 = blocks.filter_map(|count| count.split_once('=')?.1.parse::<u64>().ok()).sum();
    assert!(blocks < 30, "{blocks} blocks: {plan:#?}");
}

const CHILD: &str = "CHATCORE_POSTGRES_TEST_CONSUMER";
const CHANNELS: [&str; 3] = ["a", "b", "c"];

/// A process that reads for the consumer, and what it has read: the process, the channel and the `seq`.
type Read = (usize, String, Seq);

struct Reader(Child);

impl Reader {
    fn start(number: usize, url: &str, read: &mpsc::UnboundedSender<Read>) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(["--exact", "consumers::child_that_reads_until_killed", "--ignored", "--nocapture"])
            .env(CHILD, url)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let read = read.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // The last line may be cut, and the test harness says things of its own.
                let parts = line.strip_prefix("read ").and_then(|line| line.strip_suffix(" ."));
                let Some((channel, seq)) = parts.and_then(|parts| parts.split_once(' ')) else { continue };
                let _ = read.send((number, channel.to_owned(), seq.parse().expect("a number")));
            }
        });
        Self(child)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Two processes read for one consumer while a third writes. Whichever reads is killed, again and again, and replaced.
#[tokio::test]
async fn nothing_is_lost_when_the_reading_node_is_killed() {
    const KILLS: usize = 3;
    const EACH: Seq = 200;
    let (database, store) = database().await;
    let writer = Chat::builder(store).build();
    for name in CHANNELS {
        writer
            .ensure_channel(&ChannelName::new(name).expect("a name"), "", &ann())
            .await
            .expect("it is there");
    }
    let writing = tokio::spawn(async move {
        for i in 0..EACH {
            for channel in CHANNELS {
                let channel = ChannelName::new(channel).expect("a name");
                let message = NewMessage::text(i.to_string());
                writer.publish(&ann(), &channel, message).await.expect("it is published");
            }
        }
    });
    let (sender, mut read) = mpsc::unbounded_channel();
    let mut readers: HashMap<usize, Reader> =
        (0..2).map(|number| (number, Reader::start(number, &database.url(), &sender))).collect();
    let mut seen: HashMap<String, Seq> = HashMap::new();
    let (mut started, mut since_kill, mut killed) = (2, 0, 0);
    while seen.values().sum::<Seq>() < EACH * CHANNELS.len() as Seq {
        let (number, channel, seq) = must("the next event", read.recv()).await.expect("readers go on");
        let last = seen.entry(channel.clone()).or_default();
        assert!(seq <= *last + 1, "{channel} has a gap: {seq} after {last}");
        *last = seq.max(*last);
        since_kill += 1;
        // What a killed one still had in its pipe does not kill another one.
        if since_kill > 40 && killed < KILLS && readers.remove(&number).is_some() {
            (since_kill, killed) = (0, killed + 1);
            readers.insert(started, Reader::start(started, &database.url(), &sender));
            started += 1;
        }
    }
    assert_eq!(killed, KILLS);
    must("the writer", writing).await.expect("no panic");
}

#[tokio::test]
#[ignore = "a child process of the test above"]
async fn child_that_reads_until_killed() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let bus = PostgresStore::builder(&url).bus().await.expect("a bus");
    let store = PostgresStore::connect(&url).await.expect("connects");
    // Small batches, so that it is killed in the middle.
    let limits = Limits::default().with_consumer_events(9).with_consumer_lease(Duration::from_secs(1));
    let chat = Chat::builder(store).bus(bus).limits(limits).build();
    let mut billing = chat.consumer("billing").open().await.expect("opens");
    while let Some(batch) = billing.next().await {
        for entry in &batch {
            let Entry::Event { channel, event } = entry else { panic!("{entry:?}") };
            println!("read {} {} .", channel.name, event.seq);
        }
        // Lost, if it was stopped for a while: then the other one goes on.
        let _ = billing.ack(&batch).await;
    }
}
