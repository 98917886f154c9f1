//! PostgreSQL: a server that is killed, and a database that is away.
#![allow(missing_docs, clippy::unwrap_used)]

use std::process::Command;

use chatcore_tests::Postgres;

#[tokio::test]
async fn a_killed_server_comes_back_where_it_was_with_what_it_had() {
    let server = Postgres::start().await;
    let (one, other) = (server.database().await, server.database().await);
    assert_ne!(one.url(), other.url());
    query(&one.url(), "create table kept (n int); insert into kept values (7)");
    server.kill().await;
    assert!(std::net::TcpStream::connect(server.addr()).is_err(), "nobody listens");
    server.restart().await;
    assert_eq!(query(&one.url(), "select n from kept"), "7");
    assert_eq!(query(&one.url(), "show fsync"), "on");
}

fn query(url: &str, sql: &str) -> String {
    let done = Command::new("psql").args(["-qAt", "-c", sql, url]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}
