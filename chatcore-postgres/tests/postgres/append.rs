//! Appends when the network fails, when an item's data does, and in the app's own transaction.

use std::time::Duration;

use chatcore::store::{Append, AppendBody, AppendError, Appended, Directory, EventStore, PageLimit};
use chatcore::testkit::CapturedLog;
use chatcore::{ChannelId, ChannelName, Nonce, Reaction, Timestamp, User};
use chatcore_postgres::tokio_postgres::{Client, NoTls};
use chatcore_postgres::{PostgresStore, tokio_postgres};
use chatcore_tests::{Database, Postgres, Proxy, Traffic, must};

async fn database() -> Database {
    Postgres::shared().await.database().await
}

async fn client(database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

async fn channel(store: &PostgresStore) -> ChannelId {
    let name = ChannelName::new("general").expect("a name");
    store.create_channel(&name, "", &ann()).await.expect("creates a channel").into_channel().id
}

fn ann() -> User {
    User::new("u_ann", "Ann").expect("a user")
}

fn by_ann(channel: ChannelId, body: AppendBody) -> Append {
    Append::new(channel, ann(), body)
}

fn say(channel: ChannelId, text: &str) -> Append {
    let nonce = Nonce::new(text).expect("a nonce");
    by_ann(
        channel,
        AppendBody::Message {
            nonce,
            text: text.into(),
            reply_to: None,
            attachments: Vec::new(),
            extras: None,
        },
    )
}

async fn add(store: &PostgresStore, item: Append) -> Result<Appended, AppendError> {
    store.append(vec![item]).await.remove(0)
}

async fn texts(store: &PostgresStore, channel: ChannelId) -> Vec<String> {
    let page =
        store.messages_before(channel, u64::MAX, PageLimit::items(100)).await.expect("messages can be read");
    page.messages.into_iter().map(|message| message.text).collect()
}

/// Returns the texts of a channel that had 30 messages, once it has fewer.
async fn once_pruned(store: &PostgresStore, channel: ChannelId) -> Vec<String> {
    let fewer = async {
        loop {
            let kept = texts(store, channel).await;
            if kept.len() < 30 {
                return kept;
            }
        }
    };
    must("the task prunes", fewer).await
}

/// An edit, a reaction and a delete have no nonce, and are done once all the same.
#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_repeated() {
    let database = database().await;
    let proxy = Proxy::start(database.server().addr()).await.expect("a proxy");
    let store = PostgresStore::connect(&database.url_at(proxy.addr())).await.expect("connects");
    let channel = channel(&store).await;
    let reply = AppendBody::Message {
        nonce: Nonce::new("reply").expect("a nonce"),
        text: "the reply".into(),
        reply_to: Some(1),
        attachments: Vec::new(),
        extras: None,
    };
    let react =
        AppendBody::React { target: 1, emoji: "the emoji".to_owned(), on: true, limits: Default::default() };
    let items = [
        ("the message", say(channel, "the message")),
        ("the reply", by_ann(channel, reply)),
        ("the edit", by_ann(channel, AppendBody::Edit { target: 1, text: "the edit".into(), extras: None })),
        ("the emoji", by_ann(channel, react)),
    ];
    for ((mark, item), seq) in items.into_iter().zip(1..) {
        let lost = proxy.lose_answer_to(mark);
        let taken = add(&store, item).await.expect("it is taken");
        lost.await.expect("the answer was lost");
        assert_eq!((taken.seq, taken.duplicate), (seq, false), "{mark}");
    }
    assert_eq!(texts(&store, channel).await, ["the edit", "the reply"]);
    let message = store.message(channel, 1).await.expect("can be read").expect("is there");
    let expected = Reaction::new("the emoji", vec![ann().id]);
    assert_eq!(message.reactions, [expected]);
    // A repeat by the caller is a duplicate as ever.
    assert!(add(&store, say(channel, "the message")).await.expect("it is known").duplicate);
}

#[tokio::test]
async fn a_lost_database_fails_calls_in_time_until_it_is_back() {
    const BOUND: Duration = Duration::from_secs(3);
    let database = database().await;
    let proxy = Proxy::start(database.server().addr()).await.expect("a proxy");
    let builder = PostgresStore::builder(&database.url_at(proxy.addr()));
    let builder = builder.retry_for(BOUND).answer_timeout(BOUND / 2).connect_timeout(BOUND / 2);
    let store = builder.queue(1).writers(1).batch(1).connect().await.expect("connects");
    let channel = channel(&store).await;
    for (traffic, round) in [(Traffic::Cut, 0), (Traffic::BlackHole, 1)] {
        proxy.set(traffic);
        let began = std::time::Instant::now();
        let waiting: Vec<_> = (0..5)
            .map(|i| {
                let store = store.clone();
                tokio::spawn(async move { add(&store, say(channel, &format!("{round} {i}"))).await })
            })
            .collect();
        for answer in waiting {
            let answer = answer.await.expect("an append ends well");
            assert!(matches!(answer, Err(AppendError::Store(_))), "{answer:?}");
        }
        assert!(began.elapsed() < 3 * BOUND, "{:?} is beyond the bound", began.elapsed());
        let error = store.heads(&[channel]).await.expect_err("the database is away");
        assert!(std::error::Error::source(&error).is_some(), "{error:?} has no source");
        proxy.set(Traffic::Pass);
        let texts = [format!("{round} 0"), format!("{round} back")];
        for text in texts {
            add(&store, say(channel, &text)).await.expect("the database is back");
        }
    }
    assert_eq!(texts(&store, channel).await, ["0 0", "0 back", "1 0", "1 back"]);
}

#[tokio::test]
async fn only_the_item_with_invalid_data_is_rejected() {
    let database = database().await;
    let store = PostgresStore::connect(&database.url()).await.expect("connects");
    let channel = channel(&store).await;
    let check = "ALTER TABLE chatcore.event ADD CHECK (text !~ 'bad')";
    client(&database).await.batch_execute(check).await.expect("a constraint");
    let batch = ["one", "bad 1", "two", "three", "bad 2", "bad 3", "four"].map(|text| say(channel, text));
    let answers = store.append(batch.to_vec()).await;
    let seqs: Vec<_> = answers.iter().map(|answer| answer.as_ref().ok().map(|taken| taken.seq)).collect();
    assert_eq!(seqs, [Some(1), None, Some(2), Some(3), None, None, Some(4)]);
    assert!(matches!(answers[1], Err(AppendError::Rejected(_))), "{:?}", answers[1]);
    assert_eq!(texts(&store, channel).await, ["one", "two", "three", "four"]);
}

#[tokio::test]
async fn new_and_repeated_messages_of_a_batch_keep_their_order() {
    let database = database().await;
    let store = PostgresStore::connect(&database.url()).await.expect("connects");
    let channel = channel(&store).await;
    let append = async |texts: &[&str]| -> Vec<_> {
        let answers = store.append(texts.iter().map(|text| say(channel, text)).collect()).await;
        let told = answers.into_iter().map(|answer| answer.expect("is taken"));
        told.map(|taken| (taken.seq, taken.duplicate)).collect()
    };
    assert_eq!(append(&["a", "b"]).await, [(1, false), (2, false)]);
    assert_eq!(append(&["c", "b", "d"]).await, [(3, false), (2, true), (4, false)]);
    // A pruned message's nonce is looked for too.
    store.prune(channel, 1, Timestamp::now()).await.expect("prunes");
    assert_eq!(append(&["e", "a", "f"]).await, [(5, false), (1, true), (6, false)]);
    assert_eq!(texts(&store, channel).await, ["b", "c", "d", "e", "f"]);
}

#[tokio::test]
async fn a_batch_larger_than_a_transaction_keeps_its_order() {
    let database = database().await;
    let builder = PostgresStore::builder(&database.url()).batch(8).pgbouncer(true);
    let store = builder.connect().await.expect("connects");
    let channel = channel(&store).await;
    let batch = (1..=50).map(|i| say(channel, &i.to_string())).collect();
    let seqs: Vec<_> =
        store.append(batch).await.into_iter().map(|answer| answer.expect("is taken").seq).collect();
    assert_eq!(seqs, (1..=50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_publish_in_the_apps_transaction_commits_with_it() {
    let database = database().await;
    let store = PostgresStore::connect(&database.url()).await.expect("connects");
    let channel = channel(&store).await;
    let mut app = client(&database).await;
    app.batch_execute("CREATE TABLE orders (id int)").await.expect("a table");

    let transaction = app.transaction().await.expect("a transaction");
    transaction.execute("INSERT INTO orders VALUES (1)", &[]).await.expect("an order");
    let taken = store.publish_in(&transaction, say(channel, "rolled back")).await.expect("is taken");
    assert_eq!(taken.seq, 1);
    transaction.rollback().await.expect("rolls back");
    assert!(texts(&store, channel).await.is_empty());

    let transaction = app.transaction().await.expect("a transaction");
    transaction.execute("INSERT INTO orders VALUES (2)", &[]).await.expect("an order");
    let taken = store.publish_in(&transaction, say(channel, "order 2")).await.expect("is taken");
    assert_eq!((taken.seq, taken.duplicate), (1, false));
    let refused = by_ann(channel, AppendBody::Delete { target: 7 });
    let refused = store.publish_in(&transaction, refused).await;
    assert!(matches!(refused, Err(AppendError::NoSuchMessage)), "{refused:?}");
    assert!(texts(&store, channel).await.is_empty(), "it is not committed");
    transaction.commit().await.expect("commits");
    assert_eq!(texts(&store, channel).await, ["order 2"]);
    assert_eq!(add(&store, say(channel, "next")).await.expect("is taken").seq, 2);
    let orders = app.query("SELECT id FROM orders", &[]).await.expect("the orders");
    assert_eq!(orders.len(), 1);
}

#[tokio::test]
async fn a_history_keeps_the_newest_messages_in_the_background() {
    let database = database().await;
    let builder = || PostgresStore::builder(&database.url());
    let store = builder().connect().await.expect("connects");
    let channel = channel(&store).await;
    for answer in store.append((1..=30).map(|i| say(channel, &i.to_string())).collect()).await {
        answer.expect("is taken");
    }
    let enough = builder().history(28).connect().await.expect("connects");
    let keeper = builder().history(20).connect().await.expect("connects");
    assert_eq!(once_pruned(&store, channel).await, (11..=30).map(|i| i.to_string()).collect::<Vec<_>>());
    assert!(add(&store, say(channel, "1")).await.expect("its nonce is kept").duplicate);
    drop((enough, keeper));
}

/// The other process may keep more messages, or be killed while it prunes.
#[tokio::test]
async fn a_history_that_another_process_prunes_is_tried_again_soon() {
    let database = database().await;
    let store = PostgresStore::connect(&database.url()).await.expect("connects");
    let channel = channel(&store).await;
    for answer in store.append((1..=30).map(|i| say(channel, &i.to_string())).collect()).await {
        answer.expect("is taken");
    }
    let mut other = client(&database).await;
    let turn = other.transaction().await.expect("a transaction");
    let taken = "SELECT pg_advisory_xact_lock(hashtextextended('chatcore.retention', 0))";
    turn.batch_execute(taken).await.expect("takes the turn");

    let log = CapturedLog::at(tracing::Level::DEBUG);
    let keeper = PostgresStore::builder(&database.url()).history(20).connect().await.expect("connects");
    let refused = async {
        while !log.take().iter().any(|line| line.contains("another process prunes old messages")) {
            tokio::task::yield_now().await;
        }
    };
    must("the task finds the turn taken", refused).await;
    assert_eq!(texts(&store, channel).await.len(), 30);
    turn.rollback().await.expect("ends the turn");
    assert_eq!(once_pruned(&store, channel).await, (11..=30).map(|i| i.to_string()).collect::<Vec<_>>());
    drop(keeper);
}

#[tokio::test]
async fn a_rejected_item_is_logged_once_without_its_text() {
    const SECRET: &str = "5ecret";
    let database = database().await;
    let store = PostgresStore::connect(&database.url()).await.expect("connects");
    let channel = channel(&store).await;
    let refuse =
        format!("ALTER TABLE chatcore.event ADD CONSTRAINT calm CHECK (text IS DISTINCT FROM '{SECRET}')");
    client(&database).await.batch_execute(&refuse).await.expect("a constraint");
    let log = CapturedLog::at(tracing::Level::TRACE);
    for _ in 0..3 {
        let answer = store.append(vec![say(channel, SECRET)]).await.remove(0);
        assert!(matches!(answer, Err(AppendError::Rejected(_))), "{answer:?}");
    }
    let lines = log.take();
    let told: Vec<_> = lines.iter().filter(|line| line.starts_with("ERROR")).collect();
    assert_eq!(told.len(), 1, "{lines:#?}");
    assert!(told[0].starts_with("ERROR PostgreSQL rejected an item's data error="), "{told:?}");
    assert!(told[0].contains("ERROR 23514: ") && told[0].contains("calm"), "says which rule: {told:?}");
    assert!(!lines.iter().any(|line| line.contains(SECRET)), "{lines:#?}");
}
