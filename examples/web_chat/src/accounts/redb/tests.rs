//! Accounts on a disk that is slow, full or missing, and in files without accounts.

use std::fs::OpenOptions;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::Poll;

use bytes::Bytes;
use chatcore::{Chat, Identity, MemoryStore};
use chatcore_hyper::web::{Allowance, Origins, PerAddress};
use http::{Method, Request, StatusCode};
use http_body_util::Empty;
use redb::StorageBackend;
use redb::backends::FileBackend;

use chatcore_redb::Layout;
use redb::{Database, ReadableDatabase, TableDefinition, TableHandle};

use super::*;
use crate::accounts::laws::rules;
use crate::accounts::{Accounts, Arrival, Entered, SignedIn, Token, random_id};
use crate::name::DisplayName;
use crate::web::{Cookies, Route, Sessions};

const WAIT: Duration = Duration::from_secs(60);

/// A disk whose syncs can be held up, and whose writes can fail or panic.
#[derive(Debug, Default)]
struct Faults {
    held: Mutex<bool>,
    released: Condvar,
    /// The number of syncs that were held up.
    hung: AtomicUsize,
    full: AtomicBool,
    panics: AtomicBool,
    writes: AtomicUsize,
}

impl Faults {
    fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.released.notify_all();
    }

    /// Polls a future until the disk holds up a sync.
    async fn until_hung<F: Future>(&self, mut future: Pin<&mut F>) {
        let before = self.hung.load(Ordering::SeqCst);
        let hanging = async {
            while self.hung.load(Ordering::SeqCst) == before {
                assert!(is_pending(&mut future).await, "it is answered before the disk hangs");
                tokio::task::yield_now().await;
            }
        };
        timeout(WAIT, hanging).await.expect("the disk is not written to");
    }
}

async fn is_pending<F: Future>(future: &mut Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[derive(Debug)]
struct Disk(FileBackend, Arc<Faults>);

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let held = self.1.held.lock().unwrap();
        self.1.hung.fetch_add(usize::from(*held), Ordering::SeqCst);
        drop(self.1.released.wait_while(held, |held| *held).unwrap());
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.1.writes.fetch_add(1, Ordering::SeqCst);
        assert!(!self.1.panics.load(Ordering::SeqCst), "the disk panics on purpose");
        if self.1.full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}

fn on_disk(folder: &Path, faults: &Arc<Faults>) -> Accounts {
    let (file, disk) = (folder.join("accounts.redb"), Arc::clone(faults));
    let path = file.clone();
    let opener = move |_| {
        let made = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let disk = Disk(FileBackend::new(made.unwrap()).unwrap(), Arc::clone(&disk));
        Ok(Database::builder().create_with_backend(disk).unwrap())
    };
    accounts(RedbAccounts { file: RedbFile::open_with(file, opener).unwrap(), wait: WAIT })
}

fn accounts(store: RedbAccounts) -> Accounts {
    Accounts::new(Arc::new(store), rules())
}

fn open(file: &Path) -> Accounts {
    accounts(RedbAccounts::open(file, WAIT).unwrap())
}

async fn take(accounts: &Accounts, name: &str, old: Option<&Token>) -> Result<Entered, AccountsError> {
    let arrival = Arrival { device: "Firefox on Linux", old, now: Timestamp::now() };
    accounts.take(random_id(), &DisplayName::new(name).unwrap(), None, arrival).await
}

async fn sign_in(accounts: &Accounts, name: &str) -> SignedIn {
    match take(accounts, name, None).await.unwrap() {
        Entered::Yes(signed_in) => signed_in,
        refused => panic!("the name is free: {refused:?}"),
    }
}

async fn user(accounts: &Accounts, token: &Token) -> Option<chatcore::User> {
    accounts.user(token, Timestamp::now()).await.unwrap().map(|known| known.user)
}

#[tokio::test]
async fn names_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.redb");
    let accounts = open(&file);
    let ann = sign_in(&accounts, "ann").await;
    let (_, code) = accounts.make_link(&ann.user.id, Timestamp::now()).await.unwrap().unwrap();
    drop(accounts);
    let accounts = open(&file);
    assert_eq!(user(&accounts, &ann.token).await, Some(ann.user));
    let stored = std::fs::read(&file).unwrap();
    for secret in [ann.token.as_str().to_owned(), code.to_string(), code.to_string().replace('-', "")] {
        let secret = secret.as_bytes();
        assert!(!stored.windows(secret.len()).any(|part| part == secret), "only hashes are stored");
    }
}

/// On one thread, so that blocking on the disk would stop everything.
#[tokio::test]
async fn signing_out_on_a_hanging_disk_delays_no_message() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let accounts = on_disk(folder.path(), &faults);
    let (ann, bob) = (sign_in(&accounts, "ann").await, sign_in(&accounts, "bob").await);
    let chat = Chat::builder(MemoryStore::new()).build();
    let client = chat.connect(Identity::new(bob.user.clone())).unwrap();
    client.create_channel("general", "").await.unwrap();
    let sessions = Sessions {
        clock: chatcore::Clock::default(),
        body_time: Duration::from_secs(10),
        accounts,
        cookies: Cookies { secure: false, origins: Origins::local() },
        origins: Origins::local(),
        sign_ins: Arc::new(PerAddress::new(Allowance::new(100, Duration::from_secs(1)))),
        failures: chat.failures().clone(),
        exports: Arc::new(tokio::sync::Semaphore::new(1)),
    };

    faults.hold(true);
    let sign_out = async |token: Option<&Token>| {
        let request = Request::builder().method(Method::DELETE).uri("/session").header("host", "localhost");
        let request = match token {
            Some(token) => request.header("cookie", format!("chat_session={}", token.as_str())),
            None => request,
        };
        let (parts, body) = request.body(Empty::<Bytes>::new()).unwrap().into_parts();
        sessions.answer(&chat, &Route::Session, &parts, body).await.status()
    };
    let mut signing_out = std::pin::pin!(sign_out(Some(&ann.token)));
    faults.until_hung(signing_out.as_mut()).await;
    for _ in 0..64 {
        let (nobody, stranger) = (sign_out(None).await, sign_out(Some(&Token::random())).await);
        assert_eq!((nobody, stranger), (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT));
        client.publish("general", "hello").await.unwrap();
    }
    assert_eq!(user(&sessions.accounts, &bob.token).await, Some(bob.user), "reads go on");
    assert!(is_pending(&mut signing_out).await, "the disk still hangs");
    faults.hold(false);
    assert_eq!(signing_out.await, StatusCode::NO_CONTENT);
    assert_eq!(user(&sessions.accounts, &ann.token).await, None);
}

#[tokio::test]
async fn an_unknown_token_and_a_taken_name_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let accounts = on_disk(folder.path(), &faults);
    sign_in(&accounts, "ann").await;
    let before = faults.writes.load(Ordering::SeqCst);
    for _ in 0..9 {
        assert!(accounts.sign_out(&Token::random().hash()).await.unwrap().is_none());
        let taken = take(&accounts, "Ann", Some(&Token::random())).await.unwrap();
        assert!(matches!(taken, Entered::NameTaken));
    }
    assert_eq!(faults.writes.load(Ordering::SeqCst), before);
}

#[tokio::test]
async fn names_can_be_taken_after_the_disk_was_full() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let accounts = on_disk(folder.path(), &faults);
    let ann = sign_in(&accounts, "ann").await;
    let now = Timestamp::now();
    for fault in [&faults.full, &faults.panics] {
        fault.store(true, Ordering::SeqCst);
        assert!(take(&accounts, "bob", None).await.is_err());
        fault.store(false, Ordering::SeqCst);
        let opened = async {
            // The first read finds the file closed, and opens it again.
            while accounts.user(&ann.token, now).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(WAIT, opened).await.expect("the names can't be read again");
        let bob = sign_in(&accounts, "bob").await;
        assert_eq!(user(&accounts, &ann.token).await, Some(ann.user.clone()));
        accounts.remove(&bob.user.id).await.unwrap();
    }
}

#[tokio::test]
async fn a_name_is_free_again_if_its_caller_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let accounts = on_disk(folder.path(), &faults);
    faults.hold(true);
    {
        let taking = std::pin::pin!(take(&accounts, "ann", None));
        faults.until_hung(taking).await;
    }
    faults.hold(false);
    let taking = async {
        // The account is stored first, and then removed.
        while !matches!(take(&accounts, "ann", None).await.unwrap(), Entered::Yes(_)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT, taking).await.expect("the name is never free again");
}

#[test]
fn files_without_accounts_are_refused_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.redb");
    for (bytes, why) in [(&b""[..], "is empty"), (b"a letter to a friend", "is not a chat store")] {
        std::fs::write(&file, bytes).unwrap();
        let Err(error) = RedbAccounts::open(&file, WAIT) else { panic!("{why}") };
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("accounts.redb") && source.contains(why), "{source}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
    std::fs::remove_file(&file).unwrap();
    drop(chatcore_redb::RedbStore::open(&file).unwrap());
    assert!(RedbAccounts::open(&file, WAIT).is_err(), "it holds messages");
}

/// Writes a file as version 1 has written it: with these names, their keys and the issue times of their tokens.
fn write_version_1(file: &Path, names: &[(&str, &[&str], Timestamp)]) -> Vec<Token> {
    const ACCOUNTS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("accounts");
    const NAMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("names");

    let database = Database::create(file).unwrap();
    let write = database.begin_write().unwrap();
    let mut tokens = Vec::new();
    {
        let (mut accounts, mut by_key) =
            (write.open_table(ACCOUNTS).unwrap(), write.open_table(NAMES).unwrap());
        for (name, keys, since) in names {
            let token = Token::random();
            let user = serde_json::json!({ "id": format!("u_{}", tokens.len()), "name": name });
            let account = serde_json::json!({ "user": user, "keys": keys, "since": since }).to_string();
            let hash = token.hash();
            accounts.insert(hash.as_bytes(), account.as_bytes()).unwrap();
            for key in *keys {
                by_key.insert(*key, hash.as_bytes()).unwrap();
            }
            tokens.push(token);
        }
    }
    write.commit().unwrap();
    tokens
}

/// The last name is as a version before that wrote it: converted to lower case instead of folded.
#[tokio::test]
async fn a_file_of_version_1_is_carried_over() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.redb");
    let (now, year) = (Timestamp::now(), crate::accounts::TOKEN_LIFE);
    let (half, over) = (now.minus(year / 2), now.minus(year + Duration::from_secs(1)));
    let names =
        [("Ann", &["ann"][..], half), ("Old", &["old", "o1d"][..], over), ("Straße", &["straße"][..], now)];
    let tokens = write_version_1(&file, &names);
    for _ in 0..2 {
        let accounts = open(&file);
        let ann = user(&accounts, &tokens[0])
            .await
            .expect("still signed in, although for longer than a name's life");
        assert_eq!((ann.id.as_str(), &*ann.name), ("u_0", "Ann"));
        assert_eq!(user(&accounts, &tokens[1]).await, None, "expired");
        assert_eq!(&*user(&accounts, &tokens[2]).await.unwrap().name, "Straße");
        assert_eq!(accounts.devices(&ann.id, now).await.unwrap()[0].name, "Unknown device");
        for taken in ["ANN", "STRASSE", "straße"] {
            assert!(matches!(take(&accounts, taken, None).await.unwrap(), Entered::NameTaken), "{taken}");
        }
        assert_eq!(accounts.owner().await.unwrap(), None);
    }
    let accounts = open(&file);
    sign_in(&accounts, "Old").await;
    assert_eq!(accounts.owner().await.unwrap(), None, "the next one to come is not the owner");
    drop(accounts);
    let database = Database::open(&file).unwrap();
    let read = database.begin_read().unwrap();
    let tables: Vec<_> = read.list_tables().unwrap().map(|table| table.name().to_owned()).collect();
    assert!(
        !tables.iter().any(|name| name == "accounts" || name == "names"),
        "an older program refuses it: {tables:?}"
    );
}

#[test]
fn a_file_of_a_newer_version_is_refused_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.redb");
    drop(RedbAccounts::open(&file, WAIT).unwrap());
    let database = Database::open(&file).unwrap();
    let write = database.begin_write().unwrap();
    layout::Tables::begin(&write).unwrap().service.insert("version", &b"3"[..]).unwrap();
    write.commit().unwrap();
    drop(database);
    let Err(error) = RedbAccounts::open(&file, WAIT) else { panic!("a newer layout is not known") };
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("accounts.redb") && source.contains("newer"), "{source}");
}
