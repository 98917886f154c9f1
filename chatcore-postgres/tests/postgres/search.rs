//! Searching by the index: the same laws, from further back, and what it needs.

use async_trait::async_trait;
use chatcore::store::{
    Append, AppendBody, Directory, EventStore, Membership, PageLimit, SEARCH_SCAN, name_matches,
};
use chatcore::testkit::StoreFixture;
use chatcore::testkit::store::search;
use chatcore::visible::is_ignorable;
use chatcore::{ChannelName, Nonce, SearchQuery, Seq, User};
use chatcore_postgres::tokio_postgres::NoTls;
use chatcore_postgres::{ConnectError, PostgresStore, tokio_postgres};
use chatcore_tests::{Database, Postgres};

struct Indexed(Database);

impl Indexed {
    async fn new() -> Self {
        Self(Postgres::shared().await.database().await)
    }
}

#[async_trait]
impl StoreFixture for Indexed {
    type Store = PostgresStore;

    async fn open(&self) -> PostgresStore {
        let store = PostgresStore::builder(&self.0.url()).search_index(true).connect().await;
        store.unwrap_or_else(|error| panic!("{error:?}"))
    }

    async fn another(&self, _open: &PostgresStore) -> PostgresStore {
        self.open().await
    }
}

#[tokio::test]
async fn the_laws_hold_with_the_index() {
    search::a_long_log_is_searched_to_its_end(Indexed::new().await).await;
    search::edits_count_and_deleted_messages_do_not(Indexed::new().await).await;
    search::every_word_occurs_in_what_is_found(Indexed::new().await).await;
    search::only_texts_of_the_channel_are_found(Indexed::new().await).await;
    search::steps_find_each_message_once(Indexed::new().await).await;
    search::what_people_see_the_same_is_found(Indexed::new().await).await;
}

async fn execute(database: &Database, sql: &str) {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// The words of the law, with so much after them that only the index can find them in one call.
#[tokio::test]
async fn one_search_finds_an_old_message_by_the_index() {
    let fixture = Indexed::new().await;
    let store = fixture.open().await;
    let ann = User::new("u_ann", "Ann").expect("a user");
    let name = ChannelName::new("general").expect("a name");
    let channel = store.create_channel(&name, "", &ann).await.expect("creates").into_channel().id;
    let texts = ["The Nee\u{301}dle", "ΝΕΕΔΛΟΣ needled", "50% of needle_x \\ it", "needles", "a needle too"];
    let hay = (0..SEARCH_SCAN + 10).map(|i| format!("hay {i}"));
    let texts: Vec<String> = texts.iter().map(ToString::to_string).chain(hay).collect();
    let say = |text: &String| {
        let nonce = Nonce::random();
        let body = AppendBody::Message {
            nonce,
            text: text.as_str().into(),
            reply_to: None,
            attachments: Vec::new(),
            extras: None,
        };
        Append::new(channel, ann.clone(), body)
    };
    for taken in store.append(texts.iter().map(say).collect()).await {
        taken.expect("a message is taken");
    }
    let change = |body| Append::new(channel, ann.clone(), body);
    for body in
        [AppendBody::Edit { target: 4, text: "pins".into(), extras: None }, AppendBody::Delete { target: 5 }]
    {
        store.append(vec![change(body)]).await.remove(0).expect("a change is taken");
    }
    let find = async |query: &str, limit: usize| {
        let query = SearchQuery::new(query).expect("a query");
        let found = store.search(channel, &query, Seq::MAX, PageLimit::items(limit)).await.expect("searches");
        (found.messages.iter().map(|message| message.seq).collect::<Vec<_>>(), found.before)
    };
    assert_eq!(find("NEEDLE", 50).await, (vec![1, 2, 3], None));
    assert_eq!(find("needle", 3).await, (vec![1, 2, 3], None));
    assert_eq!(find("needle", 2).await, (vec![2, 3], Some(2)));
    assert_eq!(find("needle % _ \\", 50).await, (vec![3], None));
    assert_eq!(find("needled νεεδλος", 50).await, (vec![2], None));
    assert_eq!(find("needle%x", 50).await, (vec![], None));
    assert_eq!(find("pins", 50).await, (vec![4], None));
    assert_eq!(find("hay needle", 50).await, (vec![], None));
    let (found, before) = find("ne", 50).await;
    assert!(found.is_empty() && before.is_some(), "two letters are in no trigram: the log is read");
}

/// What the law folds, the index folds too: else it would hide what matches.
#[tokio::test]
async fn the_index_folds_what_the_law_folds() {
    let fixture = Indexed::new().await;
    drop(fixture.open().await);
    let (client, connection) = tokio_postgres::connect(&fixture.0.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    for (word, text) in [
        ("cafe\u{301}s", "zwei Cafés"),
        ("cafes", "zwei Cafés"),
        ("strasse", "Hauptstraße"),
        ("ODOS", "ｏｄｏｓ"),
        ("οδοσ", "ΟΔΌΣ"),
        ("οδοσ", "οδός και"),
        ("smorrebrod", "Smørrebrød"),
        ("lodz", "ŁÓDŹ"),
        ("istanbul", "İSTANBUL"),
        ("ılık", "ILIK"),
        ("мой", "МОЙКА"),
        ("ёлочка", "Елочка"),
        ("ガギ", "ｶﾞｷﾞｸﾞ"),
        ("한국", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}\u{110b}\u{1165}"),
        ("passwort", "Pass\u{ad}wort"),
        ("محمد", "مُحَمَّد"),
        ("שלום", "שָׁלוֹם"),
        ("œuvre", "OEUVRE"),
        ("नमस्ते", "नमस्ते जी"),
        ("ΑΡΩ", "ᾳρω"),
        ("ŉa", "ʼNA"),
        ("ﬁn", "FIN"),
    ] {
        let query = SearchQuery::new(word).expect("a query");
        assert!(query.matches(text), "{word} in {text}");
        let like = "SELECT chatcore.chat_fold($1) LIKE chatcore.chat_fold($2)";
        let pattern = format!("%{}%", query.words()[0]);
        let row = client.query_one(like, &[&text, &pattern]).await.expect("it folds");
        assert!(row.get::<_, bool>(0), "{word} in {text}");
    }
    let ignorable: String =
        ('\u{80}'..='\u{3ffff}').chain('\u{e0000}'..='\u{e0fff}').filter(|c| is_ignorable(*c)).collect();
    let row = client.query_one("SELECT chatcore.chat_fold($1)", &[&ignorable]).await.expect("it folds");
    assert_eq!(row.get::<_, &str>(0), "", "what shows nothing vanishes");
}

#[tokio::test]
async fn an_index_of_an_earlier_version_is_replaced() {
    let fixture = Indexed::new().await;
    drop(fixture.open().await);
    let earlier = "DROP INDEX chatcore.event_folded; DROP FUNCTION chatcore.chat_fold; \
        CREATE INDEX event_search ON chatcore.event USING gin ((-channel), \
        (replace(lower(coalesce(edited_text, text) COLLATE \"und-x-icu\"), 'ς', 'σ') COLLATE \"C\") \
        gin_trgm_ops) WHERE kind < 1 AND NOT deleted";
    execute(&fixture.0, earlier).await;
    drop(fixture.open().await);
    let (client, connection) = tokio_postgres::connect(&fixture.0.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    let there = "SELECT to_regclass('chatcore.event_folded') IS NOT NULL, to_regclass('chatcore.event_search') IS NULL";
    let row = client.query_one(there, &[]).await.expect("a row");
    assert_eq!((row.get::<_, bool>(0), row.get::<_, bool>(1)), (true, true));
}

#[tokio::test]
async fn the_script_creates_the_index_that_connect_requires() {
    let database = Postgres::shared().await.database().await;
    PostgresStore::connect(&database.url()).await.expect("connects");
    let open = async || {
        PostgresStore::builder(&database.url()).migrate(false).search_index(true).connect().await.map(drop)
    };
    let error = open().await.expect_err("there is no index");
    assert!(matches!(error, ConnectError::NoSearchIndex { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "schema chatcore has no search index: run the script of PostgresStore::search_index_sql"
    );
    let script = PostgresStore::search_index_sql("chatcore").expect("a name");
    execute(&database, &script).await;
    open().await.expect("there is an index");
    assert!(PostgresStore::search_index_sql("a; DROP").is_err());
}

#[tokio::test]
async fn an_error_says_that_a_server_lacks_icu() {
    let database = Postgres::shared().await.database().await;
    execute(&database, "DELETE FROM pg_collation WHERE collname = 'und-x-icu'").await;
    let open = PostgresStore::builder(&database.url()).search_index(true).connect();
    let error = open.await.expect_err("there is no ICU");
    assert_eq!(
        error.to_string(),
        "the search index needs the collations of ICU, which this PostgreSQL server does not have"
    );
    PostgresStore::connect(&database.url()).await.expect("connects without the index");
}

/// The index has 64 characters of each word.
#[tokio::test]
async fn a_long_name_is_found_by_all_of_it() {
    let fixture = Indexed::new().await;
    let store = fixture.open().await;
    let (first, other) = (format!("Ann {}", "ж".repeat(70)), format!("Bob {}й", "Ж".repeat(64)));
    for (id, name) in [("u_ann", &first), ("u_bob", &other)] {
        store.put_user(&User::new(id, name).expect("a user")).await.expect("a user is stored");
    }
    for length in [63, 64, 65, 70, 71] {
        let query = "ж".repeat(length);
        let page = store.find_users(&query, None, PageLimit::items(9)).await.expect("users can be read");
        let found: Vec<_> = page.users.iter().map(|user| user.id.as_str()).collect();
        let matches = [("u_ann", &first), ("u_bob", &other)].into_iter();
        let expected: Vec<_> =
            matches.filter(|(_, name)| name_matches(name, &query)).map(|(id, _)| id).collect();
        assert_eq!(found, expected, "{length} characters");
    }
}
