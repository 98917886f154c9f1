//! What opening a file says of one that is not ours, not of our time, or not free.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chatcore::attachments::FileKind;
use chatcore::store::{Append, AppendBody, EventKind};
use chatcore::store::{
    AttachmentIndex, Created, Directory, EventStore, PageLimit, Replay, Upload, UploadState,
};
use chatcore::{Attachment, AttachmentId, ChannelId, ChannelName, Nonce, Position, Timestamp, User, UserId};
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

const META: TableDefinition<&str, u64> = TableDefinition::new("chatcore");

fn layout(path: &Path) -> u64 {
    let database = Database::open(path).unwrap();
    let meta = database.begin_read().unwrap().open_table(META).unwrap();
    meta.get("layout").unwrap().unwrap().value()
}

fn set_layout(path: &Path, version: u64) {
    let database = Database::open(path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(META).unwrap().insert("layout", version).unwrap();
    txn.commit().unwrap();
}

#[test]
fn a_newer_file_is_refused_with_both_versions() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    drop(RedbStore::open(&path).unwrap());
    set_layout(&path, 6);
    let error = refusal(&path);
    assert!(matches!(error, OpenError::Newer { found: 6, known: 5, .. }), "{error:?}");
    assert!(error.to_string().contains("layout 6"), "{error}");
    assert_eq!(layout(&path), 6);
    set_layout(&path, 5);
    RedbStore::open(&path).unwrap();
}

/// Layout 1 had an event's row for each message.
#[tokio::test]
async fn a_file_of_layout_1_is_upgraded() {
    const EVENTS: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("events");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let ann = User::new("u_ann", "Ann").unwrap();
    let append = |channel, body| Append::new(channel, ann.clone(), body);
    let publish = |nonce: &str| AppendBody::Message {
        nonce: Nonce::new(nonce).unwrap(),
        text: nonce.to_owned(),
        reply_to: None,
        attachments: Vec::new(),
    };
    let store = RedbStore::open(&path).unwrap();
    let name = ChannelName::new("general").unwrap();
    let channel = store.create_channel(&name, "", &ann).await.unwrap().into_channel().id;
    store.append(vec![append(channel, publish("one")), append(channel, publish("two"))]).await;
    let epoch = store.heads(&[channel]).await.unwrap().remove(0).unwrap().epoch;
    let start = Position::new(epoch, 0);
    let Replay::Events { events: before, .. } =
        store.after(channel, &start, PageLimit::items(9)).await.unwrap()
    else {
        panic!("a reset")
    };
    assert_eq!(before.len(), 2);
    drop(store);

    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    for event in &before {
        let row = serde_json::to_vec(event).unwrap();
        txn.open_table(EVENTS).unwrap().insert((channel.0, event.seq), row.as_slice()).unwrap();
    }
    txn.commit().unwrap();
    drop(database);
    set_layout(&path, 1);

    let store = RedbStore::open(&path).unwrap();
    let Replay::Events { events, .. } = store.after(channel, &start, PageLimit::items(9)).await.unwrap()
    else {
        panic!("a reset")
    };
    assert_eq!(events, before);
    store.append(vec![append(channel, AppendBody::Delete { target: 1 })]).await.remove(0).unwrap();
    store
        .append(vec![append(channel, AppendBody::Edit { target: 2, text: "three".into() })])
        .await
        .remove(0)
        .unwrap();
    let Replay::Events { events: after, .. } =
        store.after(channel, &start, PageLimit::items(9)).await.unwrap()
    else {
        panic!("a reset")
    };
    let texts: Vec<_> = after
        .iter()
        .map(|event| match &event.kind {
            EventKind::Message(content) => content.text.as_str(),
            EventKind::Edited { text, .. } => text,
            _ => "-",
        })
        .collect();
    assert_eq!(texts, ["", "two", "-", "three"]);
    drop(store);
    assert_eq!(layout(&path), 5);
}

/// Layout 2 did not count the bytes of files.
#[tokio::test]
async fn the_files_of_layout_2_are_counted() {
    const FILE_BYTES: TableDefinition<&str, u64> = TableDefinition::new("file_bytes");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let ann = User::new("u_ann", "Ann").unwrap();
    let store = RedbStore::open(&path).unwrap();
    let name = ChannelName::new("general").unwrap();
    let channel = store.create_channel(&name, "", &ann).await.unwrap().into_channel().id;
    for (id, owner, size) in [("a_1", "u_ann", 5), ("a_2", "u_bob", 7), ("a_3", "u_ann", 11)] {
        let attachment =
            Attachment::new(AttachmentId::new(id).unwrap(), id, size, FileKind::new("image/png"));
        let owner = UserId::new(owner).unwrap();
        let upload = Upload::new(attachment, channel, name.clone(), owner, Timestamp::now());
        store.put_upload(&upload.with_state(UploadState::Ready)).await.unwrap();
    }
    let before = store.file_bytes(&ann.id).await.unwrap();
    assert_eq!((before.owner, before.all), (16, 23));
    drop(store);
    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.delete_table(FILE_BYTES).unwrap();
    txn.commit().unwrap();
    drop(database);
    set_layout(&path, 2);
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(store.file_bytes(&ann.id).await.unwrap(), before);
}

/// Layout 3 told names apart by their lower case: there are two of one word here, an invisible one, and an imitation.
#[tokio::test]
async fn channels_of_layout_3_keep_their_names_and_are_found() {
    const CHANNELS: TableDefinition<u64, &[u8]> = TableDefinition::new("channels");
    const NAMES: TableDefinition<&str, u64> = TableDefinition::new("names");
    const LOGS: TableDefinition<u64, &[u8]> = TableDefinition::new("logs");
    const LOOKS: TableDefinition<&str, u64> = TableDefinition::new("looks");
    let names = ["general", "stra\u{df}e", "strasse", "σας", "\u{3164}", "gеneral"];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    drop(RedbStore::open(&path).unwrap());
    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    for (id, name) in (1..).zip(names) {
        let row = format!(
            r#"{{"id":{id},"name":"{name}","topic":"","created_at":"2026-01-01T00:00:00.000Z","created_by":{{"id":"u_1","name":"Ann"}}}}"#
        );
        let log = format!(
            r#"{{"epoch":"e{id}","head":0,"at":"1970-01-01T00:00:00.000Z","trimmed":0,"messages":0,"trimmed_messages":0}}"#
        );
        txn.open_table(CHANNELS).unwrap().insert(id, row.as_bytes()).unwrap();
        txn.open_table(NAMES).unwrap().insert(name, id).unwrap();
        txn.open_table(LOGS).unwrap().insert(id, log.as_bytes()).unwrap();
    }
    txn.delete_table(LOOKS).unwrap();
    txn.commit().unwrap();
    drop(database);
    set_layout(&path, 3);

    let store = RedbStore::open(&path).unwrap();
    let find = async |name: &str| {
        let found = store.channel(&ChannelName::existing(name).unwrap()).await.unwrap();
        found.map(|info| (info.id.0, info.name.to_string()))
    };
    for (id, name) in (1..).zip(names) {
        assert_eq!(find(name).await, Some((id, name.to_owned())), "{name:?} is found as it is spelt");
    }
    assert_eq!(find("STRASSE").await, Some((3, "strasse".to_owned())));
    assert_eq!(find("Straẞe").await, Some((2, "stra\u{df}e".to_owned())), "in lower case it is the second");
    assert_eq!(find("σασ").await, Some((4, "σας".to_owned())));
    let ann = User::new("u_ann", "Ann").unwrap();
    for (name, taken) in [("strasse", 3), ("ＳＴＲＡＳＳＥ", 2), ("ΣAΣ", 4), ("GENERAL", 1)] {
        let created = store.create_channel(&ChannelName::new(name).unwrap(), "", &ann).await.unwrap();
        assert!(matches!(&created, Created::Exists(info) if info.id.0 == taken), "{name}: {created:?}");
    }
    let listed = store.channels(None, PageLimit::items(9)).await.unwrap().channels;
    assert_eq!(listed.len(), names.len());
    drop(store);
    assert_eq!(layout(&path), 5);
}

const AUTHORS: TableDefinition<(u64, u64), &str> = TableDefinition::new("authors");
const MESSAGES: TableDefinition<(u64, u64), (u64, &[u8])> = TableDefinition::new("messages");

/// Creates a file with three messages of Ann, of which the second is deleted, and one of Bob.
async fn counted(path: &Path) -> (ChannelId, [User; 2]) {
    let [ann, bob] = [("u_ann", "Ann"), ("u_bob", "Bob")].map(|(id, name)| User::new(id, name).unwrap());
    let store = RedbStore::open(path).unwrap();
    let name = ChannelName::new("general").unwrap();
    let channel = store.create_channel(&name, "", &ann).await.unwrap().into_channel().id;
    for (nonce, author) in [("a", &ann), ("b", &ann), ("c", &bob), ("d", &ann)] {
        let body = AppendBody::Message {
            nonce: Nonce::new(nonce).unwrap(),
            text: nonce.to_owned(),
            reply_to: None,
            attachments: Vec::new(),
        };
        store.append(vec![Append::new(channel, author.clone(), body)]).await.remove(0).unwrap();
    }
    let delete = Append::new(channel, ann.clone(), AppendBody::Delete { target: 2 });
    store.append(vec![delete]).await.remove(0).unwrap();
    (channel, [ann, bob])
}

/// Returns how many messages are unread for each.
async fn unread(store: &RedbStore, channel: ChannelId, users: &[User; 2]) -> [u64; 2] {
    let of = async |user: &User| store.unread(&user.id, &[channel]).await.unwrap()[0].messages;
    [of(&users[0]).await, of(&users[1]).await]
}

/// Layout 4 had authors in the messages' rows alone.
#[tokio::test]
async fn the_messages_of_layout_4_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let (channel, users) = counted(&path).await;
    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.delete_table(AUTHORS).unwrap();
    txn.commit().unwrap();
    drop(database);
    set_layout(&path, 4);
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(unread(&store, channel, &users).await, [1, 2]);
    store.prune(channel, 3, Timestamp::now()).await.unwrap();
    assert_eq!(unread(&store, channel, &users).await, [0, 1]);
    drop(store);
    assert_eq!(layout(&path), 5);
}

/// The texts are out of reach here: a row that can't be decoded stands for one that would take long.
#[tokio::test]
async fn counting_reads_no_message() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let (channel, users) = counted(&path).await;
    let database = Database::open(&path).unwrap();
    let txn = database.begin_write().unwrap();
    for seq in 1..=4 {
        txn.open_table(MESSAGES).unwrap().insert((channel.0, seq), (seq, b"unreadable".as_slice())).unwrap();
    }
    txn.commit().unwrap();
    drop(database);
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(unread(&store, channel, &users).await, [1, 2]);
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
