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

use super::*;
use crate::session::Sessions;

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

fn on_disk(folder: &Path, faults: &Arc<Faults>) -> RedbAccounts {
    let (file, disk) = (folder.join("accounts.redb"), Arc::clone(faults));
    let path = file.clone();
    let opener = move |_| {
        let made = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let disk = Disk(FileBackend::new(made.unwrap()).unwrap(), Arc::clone(&disk));
        Ok(Database::builder().create_with_backend(disk).unwrap())
    };
    RedbAccounts { file: RedbFile::open_with(file, opener).unwrap(), limit: 9, wait: WAIT }
}

async fn sign_in(accounts: &RedbAccounts, name: &str) -> SignedIn {
    let name = DisplayName::new(name).unwrap();
    match accounts.take(&name, None, Timestamp::now()).await.unwrap() {
        Taken::Yes(signed_in) => signed_in,
        Taken::No | Taken::Full => panic!("the name is free"),
    }
}

#[tokio::test]
async fn names_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.redb");
    let accounts = RedbAccounts::open(&file, 9, WAIT).unwrap();
    let SignedIn { user, token, .. } = sign_in(&accounts, "ann").await;
    drop(accounts);
    let accounts = RedbAccounts::open(&file, 9, WAIT).unwrap();
    assert_eq!(accounts.user(&token, Timestamp::now()).await.unwrap(), Some(user));
    let stored = std::fs::read(&file).unwrap();
    let text = token.as_str().as_bytes();
    assert!(!stored.windows(text.len()).any(|window| window == text), "only the token's hash is stored");
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
        accounts: Arc::new(accounts),
        secure_cookie: false,
        origins: Origins::local(),
        sign_ins: Arc::new(PerAddress::new(Allowance::new(100, Duration::from_secs(1)))),
        failures: chat.failures().clone(),
    };

    faults.hold(true);
    let sign_out = async |token: Option<&Token>| {
        let request = Request::builder().method(Method::DELETE).uri("/session").header("host", "localhost");
        let request = match token {
            Some(token) => request.header("cookie", format!("chat_session={}", token.as_str())),
            None => request,
        };
        let (parts, body) = request.body(Empty::<Bytes>::new()).unwrap().into_parts();
        sessions.answer(&chat, &parts, body).await.status()
    };
    let mut signing_out = std::pin::pin!(sign_out(Some(&ann.token)));
    faults.until_hung(signing_out.as_mut()).await;
    for _ in 0..64 {
        let (nobody, stranger) = (sign_out(None).await, sign_out(Some(&Token::random())).await);
        assert_eq!((nobody, stranger), (StatusCode::NO_CONTENT, StatusCode::NO_CONTENT));
        client.publish("general", "hello").await.unwrap();
    }
    let now = Timestamp::now();
    assert_eq!(sessions.accounts.user(&bob.token, now).await.unwrap(), Some(bob.user), "reads go on");
    assert!(is_pending(&mut signing_out).await, "the disk still hangs");
    faults.hold(false);
    assert_eq!(signing_out.await, StatusCode::NO_CONTENT);
    assert_eq!(sessions.accounts.user(&ann.token, now).await.unwrap(), None);
}

#[tokio::test]
async fn an_unknown_token_and_a_taken_name_write_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let accounts = on_disk(folder.path(), &faults);
    sign_in(&accounts, "ann").await;
    let before = faults.writes.load(Ordering::SeqCst);
    for _ in 0..9 {
        assert!(accounts.revoke(&Token::random()).await.unwrap().is_none());
        let name = DisplayName::new("Ann").unwrap();
        let taken = accounts.take(&name, Some(&Token::random()), Timestamp::now()).await.unwrap();
        assert!(matches!(taken, Taken::No));
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
        let bob = DisplayName::new("bob").unwrap();
        assert!(accounts.take(&bob, None, now).await.is_err());
        fault.store(false, Ordering::SeqCst);
        let opened = async {
            // The first read finds the file closed, and opens it again.
            while accounts.user(&ann.token, now).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(WAIT, opened).await.expect("the names can't be read again");
        let bob = sign_in(&accounts, "bob").await;
        assert_eq!(accounts.user(&ann.token, now).await.unwrap(), Some(ann.user.clone()));
        assert_eq!(accounts.revoke(&bob.token).await.unwrap(), Some(bob.user));
    }
}

#[tokio::test]
async fn a_name_is_free_again_if_its_caller_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Arc::new(Faults::default());
    let accounts = on_disk(folder.path(), &faults);
    let name = DisplayName::new("ann").unwrap();
    faults.hold(true);
    {
        let taking = std::pin::pin!(accounts.take(&name, None, Timestamp::now()));
        faults.until_hung(taking).await;
    }
    faults.hold(false);
    let taking = async {
        // The account is stored first, and then removed.
        while !matches!(accounts.take(&name, None, Timestamp::now()).await.unwrap(), Taken::Yes(_)) {
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
        let Err(error) = RedbAccounts::open(&file, 9, WAIT) else { panic!("{why}") };
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("accounts.redb") && source.contains(why), "{source}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
    std::fs::remove_file(&file).unwrap();
    drop(chatcore_redb::RedbStore::open(&file).unwrap());
    assert!(RedbAccounts::open(&file, 9, WAIT).is_err(), "it holds messages");
}

/// An earlier version converted names to lower case instead of folding them.
#[tokio::test]
async fn a_name_of_an_earlier_version_is_taken_in_every_spelling() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("accounts.redb");
    let open = || RedbAccounts::open(&file, 9, WAIT).unwrap();
    let before = sign_in(&open(), "Straße").await;
    let database = Database::open(&file).unwrap();
    let write = database.begin_write().unwrap();
    {
        let (mut accounts, mut names) =
            (write.open_table(ACCOUNTS).unwrap(), write.open_table(NAMES).unwrap());
        let hash = before.token.hash();
        let mut account = decode(accounts.get(&hash[..]).unwrap().unwrap().value()).unwrap();
        for key in std::mem::replace(&mut account.keys, vec!["straße".to_owned()]) {
            names.remove(key.as_str()).unwrap();
        }
        names.insert("straße", &hash[..]).unwrap();
        accounts.insert(&hash[..], &serde_json::to_vec(&account).unwrap()[..]).unwrap();
    }
    write.commit().unwrap();
    drop(database);
    let accounts = open();
    let strasse = DisplayName::new("STRASSE").unwrap();
    let now = Timestamp::now();
    assert!(matches!(accounts.take(&strasse, None, now).await.unwrap(), Taken::No));
    assert_eq!(accounts.revoke(&before.token).await.unwrap(), Some(before.user));
    assert!(matches!(accounts.take(&strasse, None, now).await.unwrap(), Taken::Yes(_)), "all keys are free");
}
