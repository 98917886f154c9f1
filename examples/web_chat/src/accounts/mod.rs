//! Accounts: the names in use, and the tokens of their owners.
//!
//! There are no passwords. A name belongs to the browser that holds its token, for a year or until it signs out.
//! Then the name is free, and whoever takes it next is a different user.

mod postgres;
mod redb;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chatcore::{Clock, FailureLog, SessionId, Timestamp, User};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

pub(crate) use self::postgres::{PostgresAccounts, schema as postgres_schema};
pub(crate) use self::redb::RedbAccounts;
use crate::name::DisplayName;

/// How long a token is valid.
pub(crate) const TOKEN_LIFE: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The names in use.
#[async_trait]
pub(crate) trait Accounts: Send + Sync {
    /// Returns the owner of a token.
    async fn user(&self, token: &Token, now: Timestamp) -> Result<Option<User>, AccountsError>;

    /// Takes a name for a new user, unless another user has a name that looks like it. The token `old` and its
    /// name are given up in the same transaction.
    async fn take(
        &self,
        name: &DisplayName,
        old: Option<&Token>,
        now: Timestamp,
    ) -> Result<Taken, AccountsError>;

    /// Revokes the token and frees its name. Returns its owner.
    async fn revoke(&self, token: &Token) -> Result<Option<User>, AccountsError> {
        self.give_back(&token.hash(), Timestamp::from_millis(i64::MIN)).await
    }

    /// Revokes the token with this hash and frees its name, if it was issued at `after` or later. Returns its
    /// owner.
    async fn give_back(&self, hash: &[u8; 32], after: Timestamp) -> Result<Option<User>, AccountsError>;

    /// Sets the issue time of each token that was issued more than a day after `now` to `now`. The clock was wrong
    /// when such a token was issued, and it would stay valid, and its name in use, for a year after that time.
    async fn settle(&self, now: Timestamp) -> Result<(), AccountsError>;
}

/// How far in the future the issue time of a token may be: the clocks of several machines differ.
const AHEAD: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the clock must have been steady before tokens are settled: a machine may start with a wrong clock.
const SETTLED: Duration = Duration::from_secs(60 * 60);

/// Settles the tokens every hour in which the clock did not jump. Runs until it is dropped.
pub(crate) async fn keep_settled(accounts: Arc<dyn Accounts>, clock: Clock, failures: FailureLog) {
    loop {
        let (before, begin) = (clock.now(), Instant::now());
        tokio::time::sleep(SETTLED).await;
        let (now, expected) = (clock.now(), before.plus(begin.elapsed()));
        let was_set = now.as_millis().abs_diff(expected.as_millis()) > 60_000;
        if !was_set && let Err(error) = accounts.settle(now).await {
            failures.failed("tokens dated by a wrong clock could not be corrected", "", &error);
        }
    }
}

/// The secret with which a browser signs in. Only its hash is stored.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

/// A user who has just signed in.
pub(crate) struct SignedIn {
    pub(crate) user: User,
    pub(crate) token: Token,
    /// The previous user of the same browser.
    pub(crate) replaced: Option<User>,
}

/// The result of taking a name.
pub(crate) enum Taken {
    Yes(SignedIn),
    No,
    /// The maximum number of names is in use.
    Full,
}

/// Why reading or writing the names failed.
#[derive(Debug, thiserror::Error)]
#[error("the users' names can't be read or written; try again")]
pub struct AccountsError(#[source] Box<dyn Error + Send + Sync>);

impl AccountsError {
    fn because(error: impl Error + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }
}

impl Token {
    pub(crate) fn new(text: &str) -> Option<Self> {
        (text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| Self(text.to_owned()))
    }

    fn random() -> Self {
        Self(random_hex())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the session id that the chat gets for this token. It does not reveal the token.
    pub(crate) fn session(&self) -> SessionId {
        let hex: String = self.hash().iter().map(|byte| format!("{byte:02x}")).collect();
        SessionId::new(hex).expect("invariant: 64 hex digits make an id")
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

fn new_user(name: &DisplayName) -> User {
    User::new(&format!("u_{}", random_hex()), name.as_str()).expect("invariant: hex digits make an id")
}

fn random_hex() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("invariant: the system has a source of randomness");
    format!("{:032x}", u128::from_le_bytes(bytes))
}

/// Returns the issue time before which tokens have expired at `now`.
fn oldest(now: Timestamp) -> Timestamp {
    now.minus(TOKEN_LIFE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs each law as a test of each implementation.
    macro_rules! on_every_kind {
        ($($law:ident($names:literal)),* $(,)?) => {
            mod redb {
                $(#[tokio::test]
                async fn $law() {
                    super::$law(crate::accounts::RedbAccounts::in_memory($names, std::time::Duration::from_secs(60)).unwrap()).await;
                })*
            }
            mod postgres {
                $(#[tokio::test(flavor = "multi_thread")]
                async fn $law() {
                    let database = chatcore_tests::Postgres::shared().await.database().await;
                    let url = database.url();
                    let accounts = crate::accounts::PostgresAccounts::open(&chatcore_postgres::PostgresStore::builder(&url), $names).await.unwrap();
                    super::$law(accounts).await;
                })*
            }
        };
    }

    on_every_kind!(
        a_name_belongs_to_its_token_until_it_signs_out(9),
        a_name_can_be_given_back_by_its_hash_for_a_while(9),
        a_browser_gives_up_its_name_for_another(9),
        a_token_expires_after_a_year_and_frees_its_name(9),
        names_are_bounded(2),
        one_of_many_concurrent_callers_gets_a_name(9),
        the_limit_of_names_holds_for_concurrent_callers(3),
        a_token_from_a_wrong_clock_is_valid_for_a_year(9),
        a_name_is_taken_in_every_spelling(9),
    );

    async fn a_name_is_taken_in_every_spelling(accounts: impl Accounts) {
        let now = Timestamp::now();
        for (name, others) in [
            ("Straße", ["STRASSE", "strasse"]),
            ("ΣΑΣ", ["σασ", "Σας"]),
            ("José", ["JOSE\u{301}", "ｊｏｓé"]),
            ("paypal", ["p\u{430}ypal", "PayPaI"]),
        ] {
            let (_, token) = take(&accounts, name, now).await.unwrap();
            for other in others {
                assert!(take(&accounts, other, now).await.is_none(), "{other} is {name}");
            }
            accounts.revoke(&token).await.unwrap();
            assert!(take(&accounts, others[0], now).await.is_some(), "{name} is free again");
        }
    }

    /// An earlier version converted names to lower case instead of folding them.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_name_of_an_earlier_version_is_taken_in_every_spelling() {
        let database = chatcore_tests::Postgres::shared().await.database().await;
        let store = chatcore_postgres::PostgresStore::builder(&database.url());
        let open = async || PostgresAccounts::open(&store, 9).await.unwrap();
        let (now, accounts) = (Timestamp::now(), open().await);
        take(&accounts, "Straße", now).await.unwrap();
        let client = store.pool(1).unwrap().get().await.unwrap();
        let before = "UPDATE web_chat.name SET key = 'straße' WHERE key = 'strasse'";
        client.batch_execute(before).await.unwrap();
        assert!(take(&open().await, "STRASSE", now).await.is_none());
    }

    async fn take(accounts: &impl Accounts, name: &str, now: Timestamp) -> Option<(User, Token)> {
        take_for(accounts, name, None, now).await.map(|signed_in| (signed_in.user, signed_in.token))
    }

    async fn take_for(
        accounts: &impl Accounts,
        name: &str,
        old: Option<&Token>,
        now: Timestamp,
    ) -> Option<SignedIn> {
        match accounts.take(&DisplayName::new(name).unwrap(), old, now).await.unwrap() {
            Taken::Yes(signed_in) => Some(signed_in),
            Taken::No | Taken::Full => None,
        }
    }

    async fn a_name_belongs_to_its_token_until_it_signs_out(accounts: impl Accounts) {
        let now = Timestamp::now();
        let (ann, token) = take(&accounts, "ann", now).await.unwrap();
        assert_eq!(accounts.user(&token, now).await.unwrap(), Some(ann.clone()));
        assert!(take(&accounts, "ANN", now).await.is_none());
        assert_eq!(accounts.revoke(&token).await.unwrap(), Some(ann.clone()));
        assert_eq!(accounts.user(&token, now).await.unwrap(), None);
        assert_eq!(accounts.revoke(&token).await.unwrap(), None);
        let (other, _) = take(&accounts, "Ann", now).await.unwrap();
        assert_ne!(other.id, ann.id, "whoever takes the name next is somebody else");
    }

    async fn a_name_can_be_given_back_by_its_hash_for_a_while(accounts: impl Accounts) {
        let now = Timestamp::now();
        let (ann, token) = take(&accounts, "ann", now).await.unwrap();
        let later = Timestamp::from_millis(now.as_millis() + 1);
        assert_eq!(accounts.give_back(&token.hash(), later).await.unwrap(), None, "too late");
        assert_eq!(accounts.user(&token, now).await.unwrap(), Some(ann.clone()));
        assert_eq!(accounts.give_back(&token.hash(), now).await.unwrap(), Some(ann));
        assert_eq!(accounts.user(&token, now).await.unwrap(), None);
        assert!(take(&accounts, "ann", now).await.is_some());
    }

    async fn a_browser_gives_up_its_name_for_another(accounts: impl Accounts) {
        let now = Timestamp::now();
        let (ann, old) = take(&accounts, "ann", now).await.unwrap();
        take(&accounts, "bob", now).await.unwrap();
        assert!(take_for(&accounts, "Bob", Some(&old), now).await.is_none());
        let still = accounts.user(&old, now).await.unwrap();
        assert_eq!(still, Some(ann.clone()), "a refusal changes nothing");
        let renamed = take_for(&accounts, "Ann", Some(&old), now).await.unwrap();
        assert_eq!(renamed.replaced, Some(ann));
        assert_eq!(accounts.user(&old, now).await.unwrap(), None);
    }

    async fn a_token_expires_after_a_year_and_frees_its_name(accounts: impl Accounts) {
        let now = Timestamp::now();
        let (_, token) = take(&accounts, "ann", oldest(now)).await.unwrap();
        assert!(accounts.user(&token, now).await.unwrap().is_some(), "to the day");
        let later = Timestamp::from_millis(now.as_millis() + 1);
        assert!(accounts.user(&token, later).await.unwrap().is_none());
        assert!(take(&accounts, "ann", later).await.is_some());
    }

    async fn names_are_bounded(accounts: impl Accounts) {
        let now = Timestamp::now();
        assert!(take(&accounts, "a", now).await.is_some());
        assert!(take(&accounts, "b", now).await.is_some());
        assert!(take(&accounts, "c", now).await.is_none());
    }

    async fn the_limit_of_names_holds_for_concurrent_callers(accounts: impl Accounts) {
        let now = Timestamp::now();
        let names: Vec<String> = (0..12).map(|n| format!("name {n}")).collect();
        let taken = futures::future::join_all(names.iter().map(|name| take(&accounts, name, now))).await;
        assert_eq!(taken.iter().flatten().count(), 3);
    }

    async fn a_token_from_a_wrong_clock_is_valid_for_a_year(accounts: impl Accounts) {
        let (now, day) = (Timestamp::now(), Duration::from_secs(86_400));
        let (_, right) = take(&accounts, "right", now).await.unwrap();
        let (_, near) = take(&accounts, "near", now.plus(day)).await.unwrap();
        let (ann, far) = take(&accounts, "ann", now.plus(3_650 * day)).await.unwrap();
        accounts.settle(now).await.unwrap();
        assert_eq!(accounts.user(&far, now).await.unwrap(), Some(ann), "nobody is signed out by it");
        assert!(take(&accounts, "Ann", now.plus(TOKEN_LIFE)).await.is_none(), "nor loses the name");
        let millisecond = Duration::from_millis(1);
        let over = now.plus(TOKEN_LIFE + millisecond);
        assert_eq!(accounts.user(&far, over).await.unwrap(), None);
        assert_eq!(accounts.user(&right, over).await.unwrap(), None);
        assert!(accounts.user(&near, over).await.unwrap().is_some(), "clocks may differ by a day");
        assert_eq!(accounts.user(&near, over.plus(day)).await.unwrap(), None);
        assert!(take(&accounts, "Ann", over).await.is_some());
    }

    /// Accounts without names that record the times at which they were settled.
    #[derive(Default)]
    struct Settled(std::sync::Mutex<Vec<Timestamp>>);

    #[async_trait]
    impl Accounts for Settled {
        async fn user(&self, _: &Token, _: Timestamp) -> Result<Option<User>, AccountsError> {
            Ok(None)
        }

        async fn take(
            &self,
            _: &DisplayName,
            _: Option<&Token>,
            _: Timestamp,
        ) -> Result<Taken, AccountsError> {
            Ok(Taken::Full)
        }

        async fn give_back(&self, _: &[u8; 32], _: Timestamp) -> Result<Option<User>, AccountsError> {
            Ok(None)
        }

        async fn settle(&self, now: Timestamp) -> Result<(), AccountsError> {
            self.0.lock().unwrap().push(now);
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_settled_after_an_hour_with_a_steady_clock() {
        use std::sync::atomic::{AtomicI64, Ordering};

        let (hour, begin) = (Duration::from_secs(3_600), Instant::now());
        let (wrong, accounts) = (Arc::new(AtomicI64::new(-86_400_000)), Arc::new(Settled::default()));
        let right = move || Timestamp::from_millis(1_700_000_000_000).plus(begin.elapsed());
        let by = Arc::clone(&wrong);
        let clock =
            Clock::new(move || Timestamp::from_millis(right().as_millis() + by.load(Ordering::SeqCst)));
        let settling = keep_settled(Arc::<Settled>::clone(&accounts), clock, FailureLog::new());
        let settling = tokio::spawn(settling);
        tokio::time::sleep(hour / 2).await;
        wrong.store(0, Ordering::SeqCst);
        tokio::time::sleep(hour).await;
        assert!(accounts.0.lock().unwrap().is_empty(), "a clock that was set is not settled by");
        tokio::time::sleep(hour).await;
        let settled = accounts.0.lock().unwrap().clone();
        let ago = |settled: &Timestamp| right().as_millis() - settled.as_millis();
        assert!(settled.len() == 1 && settled.iter().all(|settled| (0..=1_800_000).contains(&ago(settled))));
        settling.abort();
    }

    async fn one_of_many_concurrent_callers_gets_a_name(accounts: impl Accounts) {
        let now = Timestamp::now();
        let (one, two, three) = tokio::join!(
            take(&accounts, "ann", now),
            take(&accounts, "Ann", now),
            take(&accounts, "ANN", now)
        );
        assert_eq!([one, two, three].iter().flatten().count(), 1);
    }
}
