//! The schema: who comes first makes it, and what is not known is left alone.

use chatcore::store::Directory;
use chatcore_postgres::tokio_postgres::{Client, NoTls};
use chatcore_postgres::{ConnectError, PostgresStore, tokio_postgres};
use chatcore_tests::{Database, Postgres};

async fn database() -> Database {
    Postgres::shared().await.database().await
}

async fn client(database: &Database) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.expect("connects");
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn several_nodes_may_start_at_once() {
    let database = database().await;
    let nodes: Vec<_> = (0..6)
        .map(|_| {
            let url = database.url();
            tokio::spawn(async move { PostgresStore::connect(&url).await })
        })
        .collect();
    for node in nodes {
        let store = node.await.expect("a node ends well").expect("a node connects");
        assert!(store.channel_count().await.expect("the directory can be read") == 0);
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let database = database().await;
    PostgresStore::connect(&database.url()).await.expect("connects");
    let newer = "INSERT INTO chatcore.migration (version, checksum) VALUES (99, 'of the future')";
    client(&database).await.batch_execute(newer).await.expect("a row");
    let error = PostgresStore::connect(&database.url()).await.expect_err("it is newer");
    assert!(matches!(error, ConnectError::Newer { found: 99, .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "schema chatcore has version 99, and this program supports versions up to 14: use a newer program"
    );
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let database = database().await;
    PostgresStore::connect(&database.url()).await.expect("connects");
    let change = "UPDATE chatcore.migration SET checksum = 'another' WHERE version = 1";
    client(&database).await.batch_execute(change).await.expect("a row");
    let error = PostgresStore::connect(&database.url()).await.expect_err("it is another");
    assert!(matches!(error, ConnectError::Changed { version: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn the_script_creates_all_that_a_restricted_role_needs() {
    let database = database().await;
    let builder = || PostgresStore::builder(&database.url()).schema("my_chat").migrate(false);
    let error = builder().connect().await.expect_err("there is no schema");
    assert!(matches!(error, ConnectError::Database(_)), "{error:?}");
    let script = PostgresStore::migrations_sql("my_chat").expect("a name");
    let admin = client(&database).await;
    admin.batch_execute(&script).await.expect("the script runs");
    admin
        .batch_execute(
            "DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN; GRANT USAGE ON SCHEMA my_chat TO plain; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA my_chat TO plain",
        )
        .await
        .expect("a role");
    let url = database.url().replace("postgres@", "plain@");
    let store = PostgresStore::builder(&url).schema("my_chat").migrate(false).connect().await;
    let store = store.expect("connects");
    let ann = chatcore::User::new("u_ann", "Ann").expect("a user");
    store.put_user(&ann).await.expect("a user is remembered");
    PostgresStore::builder(&url).schema("my_chat").connect().await.expect("there is nothing to migrate");
    drop(store);
    admin.batch_execute("DROP OWNED BY plain; DROP ROLE plain").await.expect("the role goes");
}

#[tokio::test]
async fn a_role_that_owns_only_its_schema_can_migrate_it() {
    let database = database().await;
    let admin = client(&database).await;
    let role = "CREATE ROLE tenant LOGIN; CREATE SCHEMA my_chat AUTHORIZATION tenant";
    admin.batch_execute(role).await.expect("a role that may not create schemas");
    let url = database.url().replace("postgres@", "tenant@");
    for start in ["the first", "a later"] {
        let store = PostgresStore::builder(&url).schema("my_chat").connect().await;
        store.unwrap_or_else(|error| panic!("{start} start: {error:?}"));
    }
    let refused = PostgresStore::connect(&url).await.expect_err("there is no schema chatcore");
    assert!(matches!(refused, ConnectError::Database(_)), "{refused:?}");
    admin.batch_execute("DROP OWNED BY tenant; DROP ROLE tenant").await.expect("the role goes");
}

#[tokio::test]
async fn the_script_runs_for_a_role_that_owns_only_its_schema() {
    let database = database().await;
    let admin = client(&database).await;
    let role = "CREATE ROLE lodger LOGIN; CREATE SCHEMA my_chat AUTHORIZATION lodger";
    admin.batch_execute(role).await.expect("a role that may not create schemas");
    let script = PostgresStore::migrations_sql("my_chat").expect("a name");
    admin.batch_execute(&format!("SET ROLE lodger; {script} RESET ROLE")).await.expect("the script runs");
    let url = database.url().replace("postgres@", "lodger@");
    PostgresStore::builder(&url).schema("my_chat").migrate(false).connect().await.expect("connects");
    admin.batch_execute("DROP OWNED BY lodger; DROP ROLE lodger").await.expect("the role goes");
}

#[tokio::test]
async fn a_database_without_utf8_is_refused() {
    let database = database().await;
    let admin = client(&database).await;
    for (name, encoding) in [("latin", "LATIN1"), ("bytes", "SQL_ASCII")] {
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'");
        admin.batch_execute(&create).await.expect("a database");
        let url = database.url().replace(database.name(), name);
        let refused = PostgresStore::connect(&url).await.expect_err("it can't hold every text");
        assert!(matches!(refused, ConnectError::Encoding { .. }), "{refused:?}");
        assert_eq!(
            refused.to_string(),
            format!(
                "the database has the encoding {encoding}, which can't store every text: create one with \
                 CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )
        );
        let (other, connection) = tokio_postgres::connect(&url, NoTls).await.expect("connects");
        tokio::spawn(connection);
        let row = other.query_one("SELECT to_regnamespace('chatcore') IS NULL", &[]).await.expect("a row");
        assert!(row.get::<_, bool>(0), "nothing was made in it");
    }
}

#[tokio::test]
async fn two_schemas_of_one_database_are_two_stores() {
    let database = database().await;
    let (ours, theirs) = ("ours", "theirs");
    let ann = chatcore::User::new("u_ann", "Ann").expect("a user");
    let open = async |schema| PostgresStore::builder(&database.url()).schema(schema).connect().await;
    let (ours, theirs) = (open(ours).await.expect("connects"), open(theirs).await.expect("connects"));
    ours.put_user(&ann).await.expect("a user is remembered");
    let ids = [ann.id];
    assert_eq!(ours.users(&ids).await.expect("users can be read").len(), 1);
    assert!(theirs.users(&ids).await.expect("users can be read").is_empty());
}

#[tokio::test]
async fn connect_says_what_is_invalid() {
    let refused = PostgresStore::builder("postgres://localhost/x").schema("a; DROP").connect().await;
    assert!(matches!(refused, Err(ConnectError::SchemaName(_))), "{refused:?}");
    let refused = PostgresStore::connect("no URL").await;
    assert!(matches!(refused, Err(ConnectError::Url(_))), "{refused:?}");
    #[cfg(not(feature = "tls"))]
    {
        let refused = PostgresStore::connect("postgres://localhost/x?sslmode=require").await;
        assert!(matches!(refused, Err(ConnectError::NoTls)), "{refused:?}");
    }
    // Port 1 of the loopback has no server.
    let refused = PostgresStore::connect("postgres://127.0.0.1:1/x").await;
    assert!(matches!(refused, Err(ConnectError::Database(_))), "{refused:?}");
}
