//! Schemas of earlier versions are brought up to date with all that is in them, and processes of the version before go
//! on beside this one.

use chatcore::store::{
    Append, AppendBody, AppendError, AttachmentIndex, ChannelInfo, ChannelKind, Consumers, Created,
    Directory, EventStore, HistoryAccess, Member, Membership, NewPrivate, PageLimit, Role, StartAt,
};
use chatcore::{ChannelId, ChannelName, ConsumerName, User, UserId};
use chatcore_postgres::tokio_postgres::{Client, NoTls};
use chatcore_postgres::{PostgresStore, tokio_postgres};
use chatcore_tests::{Database, Postgres};
use sha2::{Digest, Sha256};

const ALL: PageLimit = PageLimit::items(usize::MAX);

/// The migrations up to the version before.
const MIGRATIONS: [&str; 9] = [
    include_str!("../../migrations/1_tables.sql"),
    include_str!("../../migrations/2_functions.sql"),
    include_str!("../../migrations/3_reactions.sql"),
    include_str!("../../migrations/4_clock.sql"),
    include_str!("../../migrations/5_prune.sql"),
    include_str!("../../migrations/6_totals.sql"),
    include_str!("../../migrations/7_names.sql"),
    include_str!("../../migrations/8_blobs.sql"),
    include_str!("../../migrations/9_revocations.sql"),
];

async fn client(database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

/// Creates the schema as `version` created it.
async fn database_of(version: usize) -> (Database, Client) {
    let database = Postgres::shared().await.database().await;
    let client = client(&database).await;
    let table = "CREATE SCHEMA chatcore; CREATE TABLE chatcore.migration ( \
        version int PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";
    client.batch_execute(table).await.expect("the table of migrations");
    for (sql, number) in MIGRATIONS.iter().take(version).zip(1..) {
        client.batch_execute(&sql.replace("@schema@", "chatcore")).await.expect("a migration");
        let checksum: String =
            Sha256::digest(sql.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        let record =
            format!("INSERT INTO chatcore.migration (version, checksum) VALUES ({number}, '{checksum}')");
        client.batch_execute(&record).await.expect("a record");
    }
    (database, client)
}

async fn connect(database: &Database) -> PostgresStore {
    PostgresStore::connect(&database.url()).await.expect("connects")
}

fn ann() -> User {
    User::new("u_ann", "Ann").expect("a user")
}

fn bob() -> User {
    User::new("u_bob", "Bob").expect("a user")
}

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).expect("a name")
}

async fn found(store: &PostgresStore, key: &str) -> ChannelInfo {
    store.channel(&name(key)).await.expect("the directory can be read").expect("it is there")
}

/// Creates a channel as a process of version 9 does.
async fn create_as_version_9(client: &Client, key: &str) {
    let create = format!(
        "SELECT (channel).id, is_new \
         FROM chatcore.chat_create_channel('{key}', '', 'u_ann', 'Ann', 'epoch', 9, '{key}')"
    );
    let row = client.query_one(&create, &[]).await.expect("it is created");
    assert!(row.get::<_, bool>(1), "{key} is new");
}

/// Publishes a message with this text as a process of version 9 does. Returns the refusal, or 0.
async fn publish_as_version_9(client: &Client, channel: ChannelId, author: &str, text: &str) -> i16 {
    let call = format!(
        "SELECT refusal FROM chatcore.chat_append(ARRAY[1], ARRAY[true], ARRAY[{}::bigint], ARRAY[0], \
             ARRAY[0::smallint], ARRAY['{author}'], ARRAY['Somebody'], ARRAY['{text}'], \
             ARRAY[md5('{author} {text}')::uuid], ARRAY[1::bigint], ARRAY[NULL::bigint], ARRAY['{text}'], \
             ARRAY[NULL::text], ARRAY[NULL::bigint], ARRAY[NULL::bigint])",
        channel.0
    );
    client.query_one(&call, &[]).await.expect("an answer").get(0)
}

#[tokio::test]
async fn the_files_of_version_5_are_counted() {
    let (database, client) = database_of(5).await;
    let files = "INSERT INTO chatcore.upload (id, channel, channel_name, owner, at, state, attachment)
        SELECT 'a_' || n, 1, 'general', CASE n WHEN 2 THEN 'u_bob' ELSE 'u_ann' END, 0, 1, jsonb_build_object('size', n)
        FROM generate_series(1, 3) AS n";
    client.batch_execute(files).await.expect("files");
    let store = connect(&database).await;
    let bytes = store.file_bytes(&UserId::new("u_ann").expect("an id")).await.expect("bytes can be read");
    assert_eq!((bytes.owner, bytes.all), (4, 6));
}

/// Version 6 told names apart by their lower case: there are two of one word here, an invisible one, and an imitation.
#[tokio::test]
async fn channels_of_version_6_keep_their_names_and_are_found() {
    let names = ["general", "stra\u{df}e", "strasse", "σας", "\u{3164}", "gеneral"];
    let (database, client) = database_of(6).await;
    for name in names {
        let insert = format!(
            "INSERT INTO chatcore.channel (name, topic, created_at, created_by, created_by_name, epoch) \
             VALUES ('{name}', '', 0, 'u_ann', 'Ann', 'e')"
        );
        client.batch_execute(&insert).await.expect("a channel");
    }
    let store = connect(&database).await;
    let find = async |name: &str| {
        let found = store.channel(&ChannelName::existing(name).expect("a name")).await;
        found.expect("the directory can be read").map(|info| info.name.to_string())
    };
    for name in names {
        assert_eq!(find(name).await.as_deref(), Some(name), "{name:?} is found as it is spelt");
    }
    assert_eq!(find("STRASSE").await.as_deref(), Some("strasse"));
    assert_eq!(find("σασ").await.as_deref(), Some("σας"));
    for (key, taken) in
        [("strasse", "strasse"), ("ＳＴＲＡＳＳＥ", "stra\u{df}e"), ("ΣAΣ", "σας"), ("GENERAL", "general")]
    {
        let created = store.create_channel(&name(key), "", &ann()).await.expect("finds the channel");
        assert!(matches!(&created, Created::Exists(info) if info.name.as_str() == taken), "{created:?}");
    }
    connect(&database).await;
    let listed = store.channels(None, PageLimit::items(9)).await.expect("the directory can be read");
    assert_eq!(listed.channels.len(), names.len());
}

#[tokio::test]
async fn what_version_9_stored_has_titles_owners_and_words() {
    let (database, client) = database_of(9).await;
    for key in ["general", "plans"] {
        create_as_version_9(&client, key).await;
    }
    let users = "INSERT INTO chatcore.chat_user (id, name) VALUES ('u_ann', 'Ann Lee'), ('u_bob', 'Bob')";
    client.batch_execute(users).await.expect("users");
    assert_eq!(publish_as_version_9(&client, ChannelId(1), "u_bob", "hello").await, 0);

    let store = connect(&database).await;
    let info = found(&store, "general").await;
    assert_eq!((&*info.title, info.kind), ("general", ChannelKind::Open));
    assert_eq!((info.history, info.archived), (HistoryAccess::All, false));
    let owner = Member::new(User::new("u_ann", "Ann Lee").expect("a user"), Role::Owner);
    let listed = store.listed(&ann().id, info.id).await.expect("can be read").expect("it is there");
    assert_eq!((listed.member, listed.members), (Some(owner.clone()), 1));
    assert_eq!(store.members(info.id, None, ALL).await.expect("can be read").members, [owner]);
    let message = store.message(info.id, 1).await.expect("can be read").expect("it is there");
    assert_eq!((&*message.text, message.kind, message.data), ("hello", None, None));
    assert!(message.mentions.is_empty());
    let people = store.find_users("lee", None, ALL).await.expect("users can be read");
    assert_eq!(people.users.len(), 1);
    let change = AppendBody::Change { title: Some("Everything".to_owned()), topic: None, archived: None };
    let changed = store.append(vec![Append::new(info.id, ann(), change).checked()]).await.remove(0);
    assert_eq!(changed.expect("Ann owns it").seq, 2);
    assert_eq!(found(&store, "general").await.title, "Everything");
}

#[tokio::test]
async fn a_process_of_version_9_goes_on_beside_this_one() {
    let (database, client) = database_of(9).await;
    create_as_version_9(&client, "general").await;
    let store = connect(&database).await;
    create_as_version_9(&client, "plans").await;
    let plans = found(&store, "plans").await;
    assert_eq!(plans.title, "plans");
    let owner = store.member(plans.id, &ann().id).await.expect("can be read");
    assert_eq!(owner, Some(Member::new(ann(), Role::Owner)));
    let billing = ConsumerName::new("billing").expect("a name");
    store.create_consumer_within(&billing, StartAt::End, 1).await.expect("it is created");
    assert_eq!(publish_as_version_9(&client, plans.id, "u_bob", "one").await, 0);
    let news = store.news(&billing, ChannelId(0), ALL).await.expect("news can be read").news;
    assert_eq!(news.iter().map(|news| news.channel.id).collect::<Vec<_>>(), [plans.id]);

    // What it does not know of, it is refused as if there were no channel.
    let new = NewPrivate::new(name("pr.a"), "A");
    let private =
        store.create_private_within(&new, &ann(), 9).await.expect("creates").expect("there is room");
    assert_eq!(publish_as_version_9(&client, private.id, "u_bob", "two").await, 1);
    assert_eq!(publish_as_version_9(&client, private.id, "u_ann", "three").await, 0);
    let archive = AppendBody::Change { title: None, topic: None, archived: Some(true) };
    store.append(vec![Append::new(plans.id, ann(), archive)]).await.remove(0).expect("it is archived");
    assert_eq!(publish_as_version_9(&client, plans.id, "u_bob", "four").await, 1);
    let message = AppendBody::message(chatcore::Nonce::random(), "five");
    let refused = store.append(vec![Append::new(plans.id, ann(), message)]).await.remove(0);
    assert!(matches!(refused, Err(AppendError::Archived)), "{refused:?}");

    // Whom it names is found after the next start.
    store.put_user(&bob()).await.expect("a user is stored");
    let renames = "INSERT INTO chatcore.chat_user AS u (id, name) VALUES ('u_bob', 'Robert'), ('u_cid', 'Cid') \
        ON CONFLICT (id) DO UPDATE SET name = excluded.name WHERE u.name <> excluded.name";
    client.batch_execute(renames).await.expect("renames");
    let store = connect(&database).await;
    for (query, expected) in [("rob", 1), ("cid", 1), ("bob", 0)] {
        let people = store.find_users(query, None, ALL).await.expect("users can be read");
        assert_eq!(people.users.len(), expected, "{query}");
    }
}
