//! What opening a file says of one that is not ours, not of our time, or not free.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chatcore::store::{Append, AppendBody, Directory, EventStore, Extras, PageLimit};
use chatcore::{ChannelName, Data, Nonce, User};
use chatcore_redb::{OpenError, RedbStore};
use redb::{Database, ReadableDatabase, TableDefinition};

const CHILD: &str = "CHATCORE_REDB_TEST_FILE";

fn refusal(path: &Path) -> OpenError {
    RedbStore::builder().lock_wait(Duration::ZERO).open(path).unwrap_err()
}

#[tokio::test]
async fn a_missing_file_and_its_folders_are_created() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("some/deep/folder/chat.redb");
    let store = RedbStore::open(&path).unwrap();
    store
        .create_channel(&ChannelName::new("a").unwrap(), "", &User::new("u_1", "Ann").unwrap())
        .await
        .unwrap();
    drop(store);
    assert_eq!(RedbStore::open(&path).unwrap().channel_count().await.unwrap(), 1);
}

#[test]
fn an_empty_file_is_left_alone() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = refusal(file.path());
    assert!(matches!(error, OpenError::Empty { .. }), "{error:?}");
    assert!(error.to_string().contains("is empty: restore it from a backup"), "{error}");
    assert_eq!(fs::metadata(file.path()).unwrap().len(), 0);
}

#[test]
fn an_unfinished_file_is_created_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    // A process that was killed while it made the file leaves this one behind.
    fs::write(dir.path().join("chat.redb.new"), "").unwrap();
    drop(RedbStore::open(&path).unwrap());
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["chat.redb"]);
    RedbStore::open(&path).unwrap();
}

#[test]
fn only_one_of_many_creators_opens_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let opened: Vec<_> = std::thread::scope(|scope| {
        let open = || RedbStore::builder().lock_wait(Duration::ZERO).open(&path);
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(opened.iter().filter(|store| store.is_ok()).count(), 1, "{opened:?}");
    let refused = opened.iter().filter_map(|store| store.as_ref().err());
    assert!(refused.clone().all(|error| matches!(error, OpenError::Locked { .. })), "{opened:?}");
}

#[cfg(unix)]
mod permissions {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn only_the_owner_can_access_new_files_and_folders() {
        let dir = tempfile::tempdir().unwrap();
        set_mode(dir.path(), 0o755);
        let path = dir.path().join("a/b/chat.redb");
        drop(RedbStore::open(&path).unwrap());
        assert_eq!(mode(&path), 0o600);
        assert_eq!((mode(&dir.path().join("a")), mode(&dir.path().join("a/b"))), (0o700, 0o700));
        assert_eq!(mode(dir.path()), 0o755, "a folder that was there may hold others' files");
    }

    #[test]
    fn opening_a_file_removes_other_users_access() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chat.redb");
        drop(RedbStore::open(&path).unwrap());
        for (before, after) in [(0o644, 0o600), (0o660, 0o600), (0o600, 0o600)] {
            set_mode(&path, before);
            drop(RedbStore::open(&path).unwrap());
            assert_eq!(mode(&path), after);
        }
    }
}

#[test]
fn a_file_that_is_not_a_database_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    for text in ["x".to_owned(), "a letter to a friend\n".repeat(10_000)] {
        fs::write(&path, &text).unwrap();
        let error = refusal(&path);
        assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
        assert!(error.to_string().ends_with("notes.txt is not a chat store: choose another file"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    const THEIRS: TableDefinition<&str, &str> = TableDefinition::new("theirs");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("other.redb");
    let write = |what: &dyn Fn(&redb::WriteTransaction)| {
        let database = Database::create(&path).unwrap();
        let txn = database.begin_write().unwrap();
        what(&txn);
        txn.commit().unwrap();
    };
    write(&|txn| drop(txn.open_table(THEIRS).unwrap().insert("key", "value").unwrap()));
    assert!(matches!(refusal(&path), OpenError::Foreign { .. }));
    let database = Database::open(&path).unwrap();
    let read = database.begin_read().unwrap();
    assert_eq!(read.list_tables().unwrap().count(), 1);
    assert_eq!(read.open_table(THEIRS).unwrap().get("key").unwrap().unwrap().value(), "value");
    drop((read, database));

    const SAME_NAME: TableDefinition<u64, u64> = TableDefinition::new("chatcore");
    write(&|txn| drop(txn.open_table(SAME_NAME).unwrap().insert(1, 1).unwrap()));
    assert!(matches!(refusal(&path), OpenError::Foreign { .. }));
}

#[test]
fn an_error_names_the_folder_that_can_not_be_created() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = refusal(&file.path().join("chat.redb"));
    assert!(matches!(error, OpenError::Folder { .. }), "{error:?}");
}

#[test]
fn a_file_locked_by_another_process_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let mut child = holder(&path);
    let began = Instant::now();
    let wait = Duration::from_millis(300);
    let error = RedbStore::builder().lock_wait(wait).open(&path).unwrap_err();
    assert!(matches!(&error, OpenError::Locked { waited, .. } if *waited == wait), "{error:?}");
    assert!(error.to_string().ends_with("is still open in another process or store after 0.3 s"), "{error}");
    assert!(began.elapsed() >= wait);

    // Killed while we wait: the lock is had as soon as it is free.
    let waiting = std::thread::spawn(move || RedbStore::open(&path).map(drop));
    child.kill().unwrap();
    child.wait().unwrap();
    waiting.join().unwrap().unwrap();
}

#[test]
fn a_process_can_not_open_a_file_twice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let store = RedbStore::open(&path).unwrap();
    assert!(matches!(refusal(&path), OpenError::Locked { .. }));
    drop(store);
    RedbStore::builder().lock_wait(Duration::ZERO).open(&path).unwrap();
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    for round in 0..20 {
        let store = RedbStore::builder().lock_wait(Duration::ZERO).open(&path).unwrap();
        let clone = store.clone();
        assert_eq!(store.channel_count().await.unwrap(), round);
        let name = ChannelName::new(&format!("c{round}")).unwrap();
        let ann = User::new("u_1", "Ann").unwrap();
        {
            let mut create = std::pin::pin!(clone.create_channel(&name, "", &ann));
            // One poll queues it; what is queued is done, and done before the file is closed.
            std::future::poll_fn(|cx| std::task::Poll::Ready(create.as_mut().poll(cx).is_ready())).await;
        }
        drop(store);
        drop(clone);
    }
    assert_eq!(RedbStore::open(&path).unwrap().heads(&[]).await.unwrap(), []);
}

/// Starts this test binary again as a process that opens the file and holds it until it is killed.
fn holder(path: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "files::child_that_holds_the_file", "--ignored", "--nocapture"])
        .env(CHILD, path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with("holding")), "the child opened no file");
    child
}

#[test]
#[ignore = "the child process of another test"]
fn child_that_holds_the_file() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let _store = RedbStore::open(path).unwrap();
    println!("\nholding");
    // Until the parent ends or kills us.
    std::io::stdin().lines().for_each(drop);
}

/// As after a kill: what was acknowledged is in the journal, in the form in which it is stored.
#[tokio::test]
async fn a_journal_with_data_of_any_form_is_read_again() {
    let (dir, ann) = (tempfile::tempdir().unwrap(), User::new("u_1", "Ann").unwrap());
    let store = RedbStore::open(dir.path().join("chat.redb")).unwrap();
    let made = store.create_channel(&ChannelName::new("a").unwrap(), "", &ann).await.unwrap();
    let channel = made.into_channel().id;
    // Its text is longer if it is not read exactly.
    let padded = |pad: usize| serde_json::json!({"n": 4.621_637_696_230_708e-194, "pad": "x".repeat(pad)});
    let longest = (0..Data::MAX_BYTES).rev().find_map(|pad| Data::new(&padded(pad)).ok()).unwrap();
    // The journal begins with the first commit.
    for data in [Data::new(&padded(0)).unwrap(), longest.clone(), longest] {
        let body = AppendBody::Message {
            nonce: Nonce::random(),
            text: "hello".into(),
            reply_to: None,
            attachments: Vec::new(),
            extras: Some(Box::new(Extras::default().with_data(data))),
        };
        store.append(vec![Append::new(channel, ann.clone(), body)]).await.remove(0).unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    for file in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
    }
    let store = RedbStore::open(copy.path().join("chat.redb")).unwrap();
    store.create_channel(&ChannelName::new("b").unwrap(), "", &ann).await.unwrap();
    let page = store.messages_before(channel, 9, PageLimit::new(10, 1 << 20)).await.unwrap();
    assert_eq!(page.messages.len(), 3);
}
