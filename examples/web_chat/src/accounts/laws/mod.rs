//! The laws of accounts, on every store.

mod ages;
mod devices;
mod names;
mod owner;

use std::time::Duration;

use chatcore::{Clock, FailureLog, Timestamp, User};

use super::*;

/// How long names stay in the tests.
const TTL: Duration = Duration::from_secs(90 * 24 * 60 * 60);

const MILLISECOND: Duration = Duration::from_millis(1);

pub(super) fn rules() -> Rules {
    Rules { names: 9, name_ttl: TTL, owner: None, join: Join::Open }
}

/// Runs each law of a module as a test of each store.
macro_rules! on_every_store {
    ($($law:ident),* $(,)?) => {
        mod redb {
            $(#[tokio::test]
            async fn $law() {
                let store = crate::accounts::RedbAccounts::in_memory(std::time::Duration::from_secs(60)).unwrap();
                super::$law(std::sync::Arc::new(store)).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $law() {
                let database = chatcore_tests::Postgres::shared().await.database().await;
                let store = chatcore_postgres::PostgresStore::builder(&database.url());
                let store = crate::accounts::PostgresAccounts::open(&store).await.unwrap();
                super::$law(std::sync::Arc::new(store)).await;
            })*
        }
    };
}
use on_every_store;

type Shared = Arc<dyn AccountStore>;

fn open(store: Shared) -> Accounts {
    Accounts::new(store, rules())
}

fn name(text: &str) -> DisplayName {
    DisplayName::new(text).unwrap()
}

fn arrival(old: Option<&Token>, now: Timestamp) -> Arrival<'_> {
    Arrival { device: "Firefox on Linux", old, now }
}

async fn take(accounts: &Accounts, text: &str, now: Timestamp) -> Option<(User, Token)> {
    match accounts.take(random_id(), &name(text), None, arrival(None, now)).await.unwrap() {
        Entered::Yes(SignedIn { user, token, .. }) => Some((user, token)),
        _ => None,
    }
}

async fn user(accounts: &Accounts, token: &Token, now: Timestamp) -> Option<User> {
    accounts.user(token, now).await.unwrap().map(|known| known.user)
}

/// Signs in another device by a new link.
async fn link_device(accounts: &Accounts, user: &User, now: Timestamp) -> SignedIn {
    let (_, code) = accounts.make_link(&user.id, now).await.unwrap().unwrap();
    accounts.enter(&code, arrival(None, now)).await.unwrap().unwrap()
}
