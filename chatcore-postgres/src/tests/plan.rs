//! How PostgreSQL reads a page of a large channel, counts what is unread in many, searches one, and lists what a user sees
//! of many.

use chatcore::ChannelName;
use chatcore::store::Directory;
use chatcore_tests::Postgres;
use tokio_postgres::{Client, NoTls};

use crate::directory::unread_sql;
use crate::log::{later_page_sql, page_sql};
use crate::members::channels_sql;
use crate::search::search_sql;
use crate::store::PostgresStore;
use crate::users::find_sql;

const MESSAGES: i64 = 500_000;
/// A page, and the one more that tells whether there are older ones.
const ROWS: i64 = 101;
const BYTES: i64 = 512 << 10;

/// Returns the plan of a prepared statement, and how many blocks of 8 KiB it touched.
async fn explain(client: &Client, statement: &str) -> (String, u64) {
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS) EXECUTE {statement}");
    let lines = client.simple_query(&explain).await.expect("a plan");
    let lines: Vec<_> = lines
        .iter()
        .filter_map(|line| match line {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        })
        .collect();
    let plan = lines.join("\n");
    let buffers = lines.iter().find_map(|line| line.trim().strip_prefix("Buffers: shared "));
    let blocks = buffers.unwrap_or_else(|| panic!("{plan}")).split(' ');
    let blocks = blocks.filter_map(|count| count.split_once('=')?.1.parse::<u64>().ok()).sum();
    (plan, blocks)
}

/// Whatever the planner knows of the table, and whether it plans for the values or for any.
#[tokio::test]
async fn a_page_costs_one_index_scan_anywhere_in_a_channel() {
    let database = Postgres::shared().await.database().await;
    let store = PostgresStore::connect(&database.url()).await.expect("connects");
    let ann = chatcore::User::new("u_ann", "Ann").expect("a user");
    let name = ChannelName::new("general").expect("a name");
    let channel = store.create_channel(&name, "", &ann).await.expect("creates").into_channel().id.0;
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    // A third of the log are reactions.
    let fill = format!(
        "INSERT INTO chatcore.event (channel, seq, at, kind, author, author_name, nonce, digest, key, text, \
             ordinal) \
         SELECT {channel}, i, i, CASE i % 3 WHEN 0 THEN 3 ELSE 0 END, 'u_ann', 'Ann', i::text, \
             md5(i::text)::uuid, i, \
             'the text of a message', i \
         FROM generate_series(1, {MESSAGES} * 3 / 2) AS i"
    );
    client.batch_execute(&fill).await.expect("fills");
    for (name, sql) in [("page", page_sql("chatcore")), ("later", later_page_sql("chatcore"))] {
        let prepare = format!("PREPARE {name} (bigint, bigint, bigint, bigint) AS {sql}");
        client.batch_execute(&prepare).await.expect("prepares");
    }
    let mut pages = Vec::new();
    for before in [i64::MAX, MESSAGES, MESSAGES / 2, 1_000, 200] {
        pages.push((
            format!("page ({channel}, {before}, {ROWS}, {BYTES})"),
            "Index Scan Backward using event_",
        ));
    }
    for after in [0, 1_000, MESSAGES / 2, MESSAGES, MESSAGES * 3 / 2 - 200] {
        pages.push((format!("later ({channel}, {after}, {ROWS}, {BYTES})"), "Index Scan using event_"));
    }
    for knowledge in ["SELECT 1", "ANALYZE chatcore.event"] {
        client.batch_execute(knowledge).await.expect("analyzes");
        for mode in ["force_generic_plan", "force_custom_plan"] {
            client.batch_execute(&format!("SET plan_cache_mode = {mode}")).await.expect("sets");
            for (page, scan) in &pages {
                let (plan, blocks) = explain(&client, page).await;
                assert!(plan.contains(scan), "{page}: {plan}");
                assert!(plan.contains("rows=101 loops=1"), "{page}: {plan}");
                for other in ["Sort", "Bitmap", "Seq Scan", "Rows Removed"] {
                    assert!(!plan.contains(other), "{page}: {plan}");
                }
                assert!(blocks < 160, "{blocks} blocks for {page}: {plan}");
            }
        }
    }
}

/// The texts are stored outside of the table: computing their weight reads none, and texts beyond the page are not
/// sent.
#[tokio::test]
async fn a_page_of_long_texts_is_weighed_without_reading_them() {
    let database = Postgres::shared().await.database().await;
    let store = PostgresStore::connect(&database.url()).await.expect("connects");
    let ann = chatcore::User::new("u_ann", "Ann").expect("a user");
    let name = ChannelName::new("general").expect("a name");
    let channel = store.create_channel(&name, "", &ann).await.expect("creates").into_channel().id.0;
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    // 16,000 bytes each, which do not compress.
    let fill = format!(
        "INSERT INTO chatcore.event (channel, seq, at, kind, author, author_name, nonce, digest, key, text, \
             ordinal) \
         SELECT {channel}, i, i, 0, 'u_ann', 'Ann', i::text, md5(i::text)::uuid, i, \
             (SELECT string_agg(md5(i || ' ' || j), '') FROM generate_series(1, 500) AS j), i \
         FROM generate_series(1, 200) AS i"
    );
    client.batch_execute(&fill).await.expect("fills");
    let prepare = format!("PREPARE page (bigint, bigint, bigint, bigint) AS {}", page_sql("chatcore"));
    client.batch_execute(&prepare).await.expect("prepares");
    let (plan, blocks) = explain(&client, &format!("page ({channel}, 1000, {ROWS}, 65536)")).await;
    assert!(
        plan.lines().next().is_some_and(|line| line.contains("rows=5 ")),
        "four, and one too many: {plan}"
    );
    assert!(blocks < 160, "{blocks} blocks: {plan}");
}

/// However much there is to count, and wherever the marker is.
#[tokio::test]
async fn counting_unread_is_one_bounded_scan_per_channel() {
    const CHANNELS: u64 = 20;
    let database = Postgres::shared().await.database().await;
    let store = PostgresStore::connect(&database.url()).await.expect("connects");
    let ann = chatcore::User::new("u_ann", "Ann").expect("a user");
    let mut channels = Vec::new();
    for n in 1..=CHANNELS {
        let name = ChannelName::new(&format!("c{n}")).expect("a name");
        let channel = store.create_channel(&name, "", &ann).await.expect("creates").into_channel().id;
        channels.push(channel.0.to_string());
    }
    let asked = format!("unread ('u_ann', '{{{}}}')", channels.join(","));
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    // A third of each log are reactions.
    let fill = "INSERT INTO chatcore.event (channel, seq, at, kind, author, author_name, nonce, digest, key, \
             text, ordinal) \
         SELECT c.id, i, i, CASE i % 3 WHEN 0 THEN 3 ELSE 0 END, 'u_ann', 'Ann', i::text, \
             md5(c.id || ' ' || i)::uuid, i, 'the text of a message', i \
         FROM chatcore.channel AS c, generate_series(1, 5000) AS i; \
         INSERT INTO chatcore.marker (chat_user, channel, seq) \
         SELECT 'u_ann', id, 10 + id * 200 FROM chatcore.channel";
    client.batch_execute(fill).await.expect("fills");
    let prepare = format!("PREPARE unread (text, bigint[]) AS {}", unread_sql("chatcore"));
    client.batch_execute(&prepare).await.expect("prepares");
    for knowledge in ["SELECT 1", "ANALYZE"] {
        client.batch_execute(knowledge).await.expect("analyzes");
        for mode in ["force_generic_plan", "force_custom_plan"] {
            client.batch_execute(&format!("SET plan_cache_mode = {mode}")).await.expect("sets");
            let (plan, blocks) = explain(&client, &asked).await;
            assert!(plan.contains("Index Scan Backward using event_"), "{plan}");
            for other in ["Seq Scan on event", "Scan on event_", "Rows Removed by Filter"] {
                assert!(!plan.contains(other), "{plan}");
            }
            // Of a channel a thousand rows at the most, and two of them in a block, as reactions lie between.
            assert!(blocks < 700 * CHANNELS, "{blocks} blocks: {plan}");
        }
    }
}

/// A rare word of a channel is found by the index, also where another channel is full of it.
#[tokio::test]
async fn a_rare_word_is_found_by_the_index() {
    let database = Postgres::shared().await.database().await;
    let store = PostgresStore::builder(&database.url()).search_index(true).connect().await.expect("connects");
    let ann = chatcore::User::new("u_ann", "Ann").expect("a user");
    let mut channels = Vec::new();
    for name in ["general", "needles"] {
        let name = ChannelName::new(name).expect("a name");
        channels.push(store.create_channel(&name, "", &ann).await.expect("creates").into_channel().id.0);
    }
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    for (channel, text) in [
        (channels[0], "CASE i % 10000 WHEN 7 THEN 'a Needle in it' ELSE 'the text of message ' || i END"),
        (channels[1], "'needle ' || i"),
    ] {
        let fill = format!(
            "INSERT INTO chatcore.event (channel, seq, at, kind, author, author_name, nonce, digest, key, text, \
                 ordinal) \
             SELECT {channel}, i, i, 0, 'u_ann', 'Ann', i::text, md5('{channel} ' || i)::uuid, i, {text}, i \
             FROM generate_series(1, 50000) AS i"
        );
        client.batch_execute(&fill).await.expect("fills");
    }
    for words in 1..=2 {
        let types = ", text".repeat(words);
        let sql = search_sql("chatcore", words);
        let prepare = format!("PREPARE search{words} (bigint, bigint, bigint, bigint{types}) AS {sql}");
        client.batch_execute(&prepare).await.expect("prepares");
    }
    for knowledge in ["SELECT 1", "VACUUM ANALYZE chatcore.event"] {
        client.batch_execute(knowledge).await.expect("analyzes");
        for mode in ["force_generic_plan", "force_custom_plan"] {
            client.batch_execute(&format!("SET plan_cache_mode = {mode}")).await.expect("sets");
            for search in [
                "search1 (%, 49000, 51, 524288, '%needle%')",
                "search2 (%, 49000, 51, 524288, '%it%', '%needle%')",
            ] {
                let search = search.replacen('%', &channels[0].to_string(), 1);
                let (plan, blocks) = explain(&client, &search).await;
                assert!(plan.contains("Bitmap Index Scan on event_folded"), "{plan}");
                assert!(!plan.contains("Seq Scan"), "{plan}");
                assert!(plan.lines().next().is_some_and(|line| line.contains("rows=5 ")), "{plan}");
                assert!(blocks < 2_000, "{blocks} blocks: {plan}");
            }
        }
    }
}

/// However many others there are: open archived ones, others' private ones, and the user's own archived ones.
#[tokio::test]
async fn a_list_costs_what_is_on_it() {
    const SEEN: u64 = 50;
    let database = Postgres::shared().await.database().await;
    PostgresStore::connect(&database.url()).await.expect("connects");
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    // Of 100 channels a user sees one here: each 200th is open, each 200th is private and theirs.
    let fill = "INSERT INTO chatcore.channel \
             (name, title, topic, kind, archived, created_at, created_by, created_by_name, epoch, members, owners) \
         SELECT 'c' || i, 'c' || i, '', CASE WHEN i % 200 = 0 OR i % 4 = 1 THEN 0 ELSE 1 END, i % 4 = 1, 0, \
             'u_bob', 'Bob', 'e', 2, 1 FROM generate_series(1, 5000) AS i; \
         INSERT INTO chatcore.member (channel, chat_user, name, role, closed_name, archived) \
         SELECT id, 'u_bob', 'Bob', 0, CASE kind WHEN 1 THEN name END, archived FROM chatcore.channel; \
         INSERT INTO chatcore.member (channel, chat_user, name, role, closed_name, archived) \
         SELECT id, CASE WHEN id % 200 = 100 THEN 'u_ann' ELSE 'u_' || id END, 'Somebody', 1, \
             CASE kind WHEN 1 THEN name END, archived FROM chatcore.channel; \
         INSERT INTO chatcore.member (channel, chat_user, name, role, closed_name, archived) \
         SELECT 10000 + i, 'u_ann', 'Ann', 1, 'archived ' || i, true FROM generate_series(1, 2000) AS i; \
         INSERT INTO chatcore.chat_user (id, name) SELECT 'u_' || i, 'Somebody' FROM generate_series(1, 5000) AS i";
    client.batch_execute(fill).await.expect("fills");
    let prepare =
        format!("PREPARE list (text, text, boolean, bigint, bigint) AS {}", channels_sql("chatcore"));
    client.batch_execute(&prepare).await.expect("prepares");
    for knowledge in ["SELECT 1", "ANALYZE"] {
        client.batch_execute(knowledge).await.expect("analyzes");
        for mode in ["force_generic_plan", "force_custom_plan"] {
            client.batch_execute(&format!("SET plan_cache_mode = {mode}")).await.expect("sets");
            let (plan, blocks) = explain(&client, "list ('u_ann', '', false, 101, 524288)").await;
            let rows = format!("rows={SEEN} ");
            assert!(plan.lines().next().is_some_and(|line| line.contains(&rows)), "{plan}");
            for table in ["channel", "member", "chat_user"] {
                assert!(!plan.contains(&format!("Seq Scan on {table} ")), "{plan}");
            }
            assert!(!plan.contains("Rows Removed"), "{plan}");
            // The channel, its member and their name: each by an index of three levels at the most.
            assert!(blocks < SEEN * 16, "{blocks} blocks: {plan}");
        }
    }
}

/// A rare name is found by the index.
#[tokio::test]
async fn a_person_is_found_by_the_index() {
    let database = Postgres::shared().await.database().await;
    PostgresStore::connect(&database.url()).await.expect("connects");
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    let fill = "INSERT INTO chatcore.chat_user (id, name, folded, folded_of) \
         SELECT 'u_' || i, 'Ann ' || i, 'ann ' || i, 'Ann ' || i FROM generate_series(1, 20000) AS i; \
         INSERT INTO chatcore.user_word (chat_user, place, word) \
         SELECT id, place, substr(folded, place) FROM chatcore.chat_user, unnest(ARRAY[1, 5]) AS place";
    client.batch_execute(fill).await.expect("fills");
    let prepare =
        format!("PREPARE find (text, bigint, bigint, text, text, text) AS {}", find_sql("chatcore"));
    client.batch_execute(&prepare).await.expect("prepares");
    for knowledge in ["SELECT 1", "ANALYZE"] {
        client.batch_execute(knowledge).await.expect("analyzes");
        for mode in ["force_generic_plan", "force_custom_plan"] {
            client.batch_execute(&format!("SET plan_cache_mode = {mode}")).await.expect("sets");
            let find = "find ('', 21, 524288, '1234', '1234' || repeat(chr(1114111), 64), NULL)";
            let (plan, blocks) = explain(&client, find).await;
            assert!(plan.lines().next().is_some_and(|line| line.contains("rows=11 ")), "{plan}");
            assert!(!plan.contains("Seq Scan"), "{plan}");
            assert!(blocks < 100, "{blocks} blocks: {plan}");
        }
    }
}
