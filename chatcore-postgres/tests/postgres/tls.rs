//! TLS to a real PostgreSQL, and the choice among several servers.

use std::error::Error;

use chatcore::store::Directory;
use chatcore_postgres::{Builder, ConnectError, PostgresStore};
use chatcore_tests::{Database, Postgres};

/// The URL by a name that the certificate may have, with TLS required.
fn required(database: &Database, host: &str) -> String {
    let port = database.server().addr().port();
    format!("postgresql://postgres@{host}:{port}/{}?sslmode=require", database.name())
}

async fn refused(builder: Builder) -> String {
    let error = builder.connect().await.expect_err("is refused");
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        said.push_str(&format!(": {error}"));
        source = error.source();
    }
    said
}

#[tokio::test]
async fn the_given_root_certificate_verifies_a_server() {
    let (server, certificate) = Postgres::start_with_tls("localhost").await;
    let database = server.database().await;
    let builder =
        PostgresStore::builder(&required(&database, "localhost")).root_certificates(certificate.as_bytes());
    let store = builder.clone().connect().await.expect("connects");
    assert_eq!(store.channel_count().await.expect("answers"), 0);
    let client = builder.pool(1).expect("a pool").get().await.expect("a connection");
    let row = client
        .query_one("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()", &[])
        .await
        .expect("answers");
    assert!(row.get::<_, bool>(0));
}

#[tokio::test]
async fn a_server_without_a_valid_certificate_is_refused() {
    let (server, certificate) = Postgres::start_with_tls("localhost").await;
    let database = server.database().await;
    // The system knows no such certificate.
    let unknown = refused(PostgresStore::builder(&required(&database, "localhost"))).await;
    assert!(unknown.contains("invalid peer certificate"), "{unknown}");
    // It is not one for this address.
    let other = PostgresStore::builder(&required(&database, "127.0.0.1"));
    let other = refused(other.root_certificates(certificate.as_bytes())).await;
    assert!(other.contains("invalid peer certificate"), "{other}");
    // The server has no TLS.
    let plain = Postgres::shared().await.database().await;
    let none = PostgresStore::builder(&required(&plain, "localhost"));
    let none = refused(none.root_certificates(certificate.as_bytes())).await;
    assert!(none.contains("does not support TLS"), "{none}");
    for pem in ["", "no certificate"] {
        let broken =
            PostgresStore::builder(&required(&database, "localhost")).root_certificates(pem.as_bytes());
        assert!(matches!(broken.connect().await, Err(ConnectError::Tls(_))), "{pem:?}");
    }
}

#[tokio::test]
async fn the_server_that_accepts_writes_is_used() {
    let (standby, primary) = (Postgres::start().await, Postgres::start().await);
    let (away, here) = (standby.database().await, primary.database().await);
    assert_eq!(away.name(), here.name());
    let (client, connection) =
        tokio_postgres::connect(&away.url(), tokio_postgres::NoTls).await.expect("connects");
    tokio::spawn(connection);
    client.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on").await.expect("sets");
    client.batch_execute("SELECT pg_reload_conf()").await.expect("reloads");
    let url = format!(
        "postgresql://postgres@{},{}/{}?target_session_attrs=read-write",
        standby.addr(),
        primary.addr(),
        here.name()
    );
    let store = PostgresStore::connect(&url).await.expect("connects");
    assert_eq!(store.channel_count().await.expect("answers"), 0);
    let (client, connection) =
        tokio_postgres::connect(&here.url(), tokio_postgres::NoTls).await.expect("connects");
    tokio::spawn(connection);
    client.batch_execute("TABLE chatcore.channel").await.expect("the schema is in the primary");
}
