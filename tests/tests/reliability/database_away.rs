//! `web_chat` during an outage of its database: it keeps running, reports the outage, and recovers.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use chatcore_postgres::tokio_postgres::{self, NoTls};
use chatcore_tests::{Answer, Client, Database, Postgres, Proxy, Traffic, http, must};
use clap::Parser;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use web_chat::{App, OpenError, Options};

async fn open(url: &str, data: &TempDir) -> Result<App, OpenError> {
    let data = data.path().to_str().unwrap();
    let options = Options::parse_from(["web_chat", "--data", data, "--database-url", url]);
    must("a start, or a refusal", App::open(&options)).await
}

async fn start(url: &str, data: &TempDir) -> SocketAddr {
    let app = open(url, data).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(app.serve(listener, std::future::pending()));
    addr
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_with_its_own_authority_is_used_over_tls() {
    let (postgres, certificate) = Postgres::start_with_tls("localhost").await;
    let (database, data) = (postgres.database().await, tempfile::tempdir().unwrap());
    let url = format!(
        "postgresql://postgres@localhost:{}/{}?sslmode=require",
        postgres.addr().port(),
        database.name()
    );
    let refused = open(&url, &data).await.map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::Database(_)), "{refused:?}");

    let file = data.path().join("ca.pem");
    let arguments = ["web_chat", "--data", data.path().to_str().unwrap(), "--database-url", &url];
    let ca = ["--database-ca", file.to_str().unwrap()];
    let options = Options::parse_from(arguments.into_iter().chain(ca));
    let missing = App::open(&options).await.map(drop).unwrap_err();
    assert!(missing.to_string().ends_with("ca.pem"), "{missing}");
    std::fs::write(&file, certificate).unwrap();
    let app = must("a start", App::open(&options)).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(app.serve(listener, std::future::pending()));
    let mut ann = Client::connect_with_cookie(addr, &cookie(&sign_in(addr, "ann").await)).await;
    ann.publish("general", "encrypted").await;
}

async fn admin(database: &Database) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn sign_in(addr: SocketAddr, name: &str) -> Answer {
    http(addr, "POST", "/session", &[], json!({ "name": name }).to_string().as_bytes()).await
}

fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_web_chat_serves_reads() {
    let postgres = Postgres::start().await;
    let (database, data) = (postgres.database().await, tempfile::tempdir().unwrap());
    let addr = start(&database.url(), &data).await;
    let ann = cookie(&sign_in(addr, "ann").await);
    let header = format!("Cookie: {ann}");
    let mut client = Client::connect_with_cookie(addr, &ann).await;
    client.publish("general", "before").await;

    postgres.kill().await;
    sign_in(addr, "bob").await.assert_error(503, "unavailable");
    http(addr, "DELETE", "/session", &[&header], b"").await.assert_error(503, "unavailable");
    let me = http(addr, "GET", "/session", &[&header], b"").await;
    assert_eq!(me.json()["name"], "ann", "who was seen before stays who they are");
    let stranger = format!("Cookie: {}", ann.replace(|c: char| c.is_ascii_digit(), "a"));
    for path in ["/session", "/chat/ws", "/chat/attachments/a_1/x"] {
        let answer = http(addr, "GET", path, &[&stranger], b"").await;
        answer.assert_error(503, "unavailable");
    }
    let opened = client.ok(json!({"type": "subscribe", "channel": "general"})).await;
    assert_eq!(opened["messages"][0]["text"], "before");
    let mut second = Client::connect_with_cookie(addr, &ann).await;
    let opened = second.ok(json!({"type": "subscribe", "channel": "general"})).await;
    assert_eq!(opened["messages"][0]["text"], "before", "also on a new connection");
    let during = json!({"type": "publish", "channel": "general", "nonce": "n", "text": "during"});
    client.refused(during.clone(), "unavailable").await;

    postgres.restart().await;
    assert_eq!(client.ok(during).await["seq"], 2, "repeated with its nonce");
    assert_eq!(second.log_event().await["text"], "during");
    assert_eq!(sign_in(addr, "bob").await.status, 200);
    assert_eq!(http(addr, "DELETE", "/session", &[&header], b"").await.status, 204);
    assert_eq!(client.closed().await, 4100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_without_the_database_fails_at_once() {
    let (database, data) = (Postgres::shared().await.database().await, tempfile::tempdir().unwrap());
    let proxy = Proxy::start(database.server().addr()).await.unwrap();
    for traffic in [Traffic::Cut, Traffic::BlackHole] {
        proxy.set(traffic);
        let refused = open(&database.url_at(proxy.addr()), &data).await.unwrap_err();
        assert!(matches!(refused, OpenError::Database(_)), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_survives_a_connection_lost_at_commit() {
    let (database, data) = (Postgres::shared().await.database().await, tempfile::tempdir().unwrap());
    let proxy = Proxy::start(database.server().addr()).await.unwrap();
    let addr = start(&database.url_at(proxy.addr()), &data).await;
    let lost = proxy.lose_answer_to("COMMIT");
    let answer = sign_in(addr, "ann").await;
    must("the answer is lost", lost).await.unwrap();
    let me = http(addr, "GET", "/session", &[&format!("Cookie: {}", cookie(&answer))], b"").await;
    assert_eq!(me.json(), answer.json()["user"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_owns_only_its_schemas_serves() {
    let (database, data) = (Postgres::shared().await.database().await, tempfile::tempdir().unwrap());
    let admin = admin(&database).await;
    let role = "CREATE ROLE tenant LOGIN; CREATE SCHEMA chatcore AUTHORIZATION tenant; \
        CREATE SCHEMA web_chat AUTHORIZATION tenant";
    admin.batch_execute(role).await.unwrap();
    let addr = start(&database.url().replace("postgres@", "tenant@"), &data).await;
    let ann = cookie(&sign_in(addr, "ann").await);
    Client::connect_with_cookie(addr, &ann).await.publish("general", "hello").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sign_ins_recover_after_a_read_only_database() {
    let (database, data) = (Postgres::shared().await.database().await, tempfile::tempdir().unwrap());
    let admin = admin(&database).await;
    let addr = start(&database.url(), &data).await;
    let header = format!("Cookie: {}", cookie(&sign_in(addr, "ann").await));
    let set = format!("ALTER DATABASE {} SET default_transaction_read_only", database.name());
    let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    admin.batch_execute(&format!("{set} = on")).await.unwrap();
    admin.batch_execute(end).await.unwrap();
    // The connections made while the database is read-only stay read-only after that.
    let me = async || http(addr, "GET", "/session", &[&header], b"").await.status;
    assert_eq!(tokio::join!(me(), me(), me(), me()), (200, 200, 200, 200));
    admin.batch_execute(&format!("{set} = off")).await.unwrap();
    assert_eq!(http(addr, "DELETE", "/session", &[&header], b"").await.status, 204);
    admin.batch_execute(&format!("{set} = on")).await.unwrap();
    admin.batch_execute(end).await.unwrap();
    assert_eq!(tokio::join!(me(), me(), me(), me()), (401, 401, 401, 401));
    admin.batch_execute(&format!("{set} = off")).await.unwrap();
    assert_eq!(sign_in(addr, "bob").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restricted_role_serves_from_the_printed_schema() {
    let (database, data) = (Postgres::shared().await.database().await, tempfile::tempdir().unwrap());
    let admin = admin(&database).await;
    let print = ["web_chat", "--print-schema", "--search-index"];
    admin.batch_execute(&Options::parse_from(print).schema()).await.unwrap();
    let mut role = String::from("CREATE ROLE plain LOGIN;");
    for schema in ["chatcore", "web_chat"] {
        role += &format!(
            "GRANT USAGE ON SCHEMA {schema} TO plain; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO plain;"
        );
    }
    admin.batch_execute(&role).await.unwrap();
    let url = database.url().replace("postgres@", "plain@");
    let folder = data.path().to_str().unwrap();
    let options =
        Options::parse_from(["web_chat", "--data", folder, "--database-url", &url, "--search-index"]);
    let app = must("a start", App::open(&options)).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(app.serve(listener, std::future::pending()));
    let ann = cookie(&sign_in(addr, "ann").await);
    let mut client = Client::connect_with_cookie(addr, &ann).await;
    client.publish("general", "hello 👋").await;
    let found = client.ok(json!({"type": "search", "channel": "general", "query": "hello"})).await;
    assert_eq!(found["messages"][0]["text"], "hello 👋");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_on_one_database_share_names_and_messages() {
    let database = Postgres::shared().await.database().await;
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // Concurrently, as the nodes of a deployment start.
    let url = database.url();
    let (one, two) = tokio::join!(start(&url, &here), start(&url, &there));
    let ann = cookie(&sign_in(one, "ann").await);
    sign_in(two, "ANN").await.assert_error(409, "name_taken");
    Client::connect_with_cookie(one, &ann).await.publish("general", "hello").await;
    let mut client = Client::connect_with_cookie(two, &ann).await;
    let opened = client.ok(json!({"type": "subscribe", "channel": "general"})).await;
    assert_eq!(opened["messages"][0]["text"], "hello");
}
