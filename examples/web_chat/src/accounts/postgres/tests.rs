//! Databases of version 1.

use std::sync::Arc;

use chatcore::Timestamp;
use chatcore_postgres::PostgresStore;

use super::*;
use crate::accounts::laws::rules;
use crate::accounts::{Accounts, Arrival, Entered, TOKEN_LIFE, Token, random_id};
use crate::name::DisplayName;

/// The tables as version 1 has made them.
const VERSION_1: &str = "CREATE SCHEMA web_chat;
    CREATE TABLE web_chat.account (
        token bytea PRIMARY KEY,
        chat_user text NOT NULL,
        name text NOT NULL,
        since bigint NOT NULL
    );
    CREATE TABLE web_chat.name (
        key text PRIMARY KEY,
        token bytea NOT NULL REFERENCES web_chat.account ON DELETE CASCADE
    );
    CREATE INDEX name_token ON web_chat.name (token);";

async fn take(accounts: &Accounts, name: &str) -> Entered {
    let arrival = Arrival { device: "Firefox on Linux", old: None, now: Timestamp::now() };
    accounts.take(random_id(), &DisplayName::new(name).unwrap(), None, arrival).await.unwrap()
}

/// The last name is as a version before that wrote it: converted to lower case instead of folded.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_version_1_is_carried_over() {
    let database = chatcore_tests::Postgres::shared().await.database().await;
    let store = PostgresStore::builder(&database.url());
    let client = store.pool(1).unwrap().get().await.unwrap();
    client.batch_execute(VERSION_1).await.unwrap();
    let (now, year) = (Timestamp::now(), TOKEN_LIFE);
    let (half, over) = (now.minus(year / 2), now.minus(year + Duration::from_secs(1)));
    let names =
        [("Ann", &["ann"][..], half), ("Old", &["old", "o1d"][..], over), ("Straße", &["straße"][..], now)];
    let mut tokens = Vec::new();
    for (name, keys, since) in names {
        let token = Token::random();
        let id = format!("u_{}", tokens.len());
        let account = "INSERT INTO web_chat.account VALUES ($1, $2, $3, $4)";
        client.execute(account, &[&token.hash().as_bytes(), &id, &name, &since.as_millis()]).await.unwrap();
        for key in keys {
            let name = "INSERT INTO web_chat.name VALUES ($1, $2)";
            client.execute(name, &[key, &token.hash().as_bytes()]).await.unwrap();
        }
        tokens.push(token);
    }
    // Concurrently, as the nodes of a deployment start.
    let open = async || Accounts::new(Arc::new(PostgresAccounts::open(&store).await.unwrap()), rules());
    let (one, two) = tokio::join!(open(), open());
    for accounts in [one, two, open().await] {
        let user = async |token| accounts.user(token, now).await.unwrap().map(|known| known.user);
        let ann = user(&tokens[0]).await.expect("still signed in, although for longer than a name's life");
        assert_eq!((ann.id.as_str(), &*ann.name), ("u_0", "Ann"));
        assert_eq!(user(&tokens[1]).await, None, "expired");
        assert_eq!(&*user(&tokens[2]).await.unwrap().name, "Straße");
        assert_eq!(accounts.devices(&ann.id, now).await.unwrap()[0].name, "Unknown device");
        for taken in ["ANN", "STRASSE", "straße"] {
            assert!(matches!(take(&accounts, taken).await, Entered::NameTaken), "{taken}");
        }
        assert_eq!(accounts.owner().await.unwrap(), None);
    }
    let accounts = open().await;
    assert!(matches!(take(&accounts, "Old").await, Entered::Yes(_)));
    assert_eq!(accounts.owner().await.unwrap(), None, "the next one to come is not the owner");
    let before = "SELECT chat_user FROM web_chat.account";
    assert!(
        client.query(before, &[]).await.is_err(),
        "a service of version 1 fails instead of signing people in"
    );
    let old = "SELECT to_regclass('web_chat.account_of_version_1') IS NULL";
    assert!(client.query_one(old, &[]).await.unwrap().get::<_, bool>(0), "nothing is left of the old tables");
}
