//! The journal: what it has alone survives, and what it may not have is not read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use chatcore::store::{
    Append, AppendBody, Directory, EventStore, Extras, MemberOp, Membership, Mention, Mentions, NewPrivate,
    PageLimit, ReactionLimits, Replay, Role,
};
use chatcore::{Avatar, ChannelId, ChannelName, Nonce, Position, Seq, User};

use super::failing_disk::{Faults, OPENING, WRITES, channel, nonces, open_with, publish};
use crate::error::{OpenError, TransactionError};
use crate::journal::{JOURNAL_BYTES, Journal, JournalFile, Mark, Storage};
use crate::journaled;
use crate::store::{Chat, RedbStore};
use crate::writer::SyncMode;

const NEVER: Duration = Duration::from_secs(3_600);

/// A journal's file that fails on purpose.
struct FailingFile(JournalFile, Arc<Faults>);

impl Storage for FailingFile {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        self.0.read()
    }

    fn create(&mut self) -> io::Result<()> {
        self.1.check(WRITES)?;
        self.0.create()
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.1.check(WRITES) {
            // Half of it was written.
            self.0.write(offset, &bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.0.write(offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }

    fn remove(&mut self) -> io::Result<()> {
        self.0.remove()
    }
}

fn journal(path: &Path, faults: &Arc<Faults>) -> Journal<Chat> {
    let file = FailingFile(JournalFile::beside(path), Arc::clone(faults));
    Journal::new(Box::new(file), journaled::hooks()).with_within(NEVER)
}

/// A folder with a store whose journal is brought into the database only if something else than time demands it.
struct Place {
    dir: tempfile::TempDir,
    disk: Arc<Faults>,
    journal: Arc<Faults>,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), disk: Arc::default(), journal: Arc::default() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("chat.redb")
    }

    fn open(&self) -> RedbStore {
        open_with(&self.path(), &self.disk, NEVER, Some(journal(&self.path(), &self.journal)))
    }

    /// Opens a store with a channel whose last messages are in the journal alone: 1 to 3.
    async fn ahead(&self) -> (RedbStore, ChannelId) {
        let store = self.open();
        let channel = channel(&store).await;
        for nonce in 1..=3 {
            store.append(vec![publish(channel, nonce)]).await.remove(0).unwrap();
        }
        (store, channel)
    }

    /// Copies the files as they are now, as a loss of power leaves them.
    fn crashed(&self) -> Self {
        let crashed = Self::new();
        fs::copy(self.path(), crashed.path()).unwrap();
        fs::copy(beside(&self.path()), beside(&crashed.path())).unwrap();
        crashed
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("redb-journal")
}

#[tokio::test]
async fn what_only_the_journal_has_is_read_after_a_crash() {
    let place = Place::new();
    let (store, channel) = place.ahead().await;
    let crashed = place.crashed();
    assert_eq!(nonces(&crashed.open(), channel).await, [1, 2, 3]);

    let without = place.crashed();
    fs::remove_file(beside(&without.path())).unwrap();
    assert_eq!(nonces(&without.open(), channel).await, [1], "the first one made the journal ready");
    drop(store);
}

#[tokio::test]
async fn every_kind_of_event_is_read_from_the_journal() {
    let place = Place::new();
    let store = place.open();
    let [ann, bob] = [("u_ann", "Ann"), ("u_bob", "Bob")].map(|(id, name)| User::new(id, name).unwrap());
    let open = channel(&store).await;
    let new = NewPrivate::new(ChannelName::new("pr.a").unwrap(), "A");
    let channel = store.create_private_within(&new, &ann, usize::MAX).await.unwrap().unwrap().id;
    let mentions = || Mentions::new(vec![Mention::User(bob.id.clone()), Mention::Channel], Vec::new());
    let message = |nonce: &str| AppendBody::Message {
        nonce: Nonce::new(nonce).unwrap(),
        text: nonce.into(),
        reply_to: None,
        attachments: Vec::new(),
        extras: Extras::default().with_mentions(mentions()).boxed(),
    };
    let react =
        |on| AppendBody::React { target: 3, emoji: "👍".to_owned(), on, limits: ReactionLimits::default() };
    let bodies = [
        message("made ready"),
        AppendBody::Member { op: MemberOp::Added, user: bob.clone(), role: Role::Member, most: 9 },
        message("three"),
        react(true),
        AppendBody::Edit { target: 3, text: "edited".into(), extras: None },
        message("six"),
        AppendBody::Delete { target: 6 },
        AppendBody::Change { title: Some("B".to_owned()), topic: None, archived: None },
        react(false),
        react(true),
    ];
    for body in bodies {
        store.append(vec![Append::new(channel, ann.clone(), body).checked()]).await.remove(0).unwrap();
    }
    store.mark_read(&bob.id, channel, 9).await.unwrap();
    store.mark_unread(&bob.id, channel, 5).await.unwrap();
    assert!(store.join_open(open, &bob).await.unwrap());
    store.put_user(&User::new("u_bob", "Robert the second").unwrap()).await.unwrap();
    let pictured = ann.clone().with_avatar(Some(Avatar::new("/ann.png").unwrap()));
    store.put_profile(&pictured).await.unwrap();
    store
        .put_profile(&User::new("u_bob", "Bob").unwrap().with_avatar(pictured.avatar().cloned()))
        .await
        .unwrap();
    store.put_profile(&User::new("u_bob", "Bob the third").unwrap()).await.unwrap();
    let crashed = place.crashed();
    let after = crashed.open();
    for channel in [channel, open] {
        assert_eq!(all_of(&after, channel, &bob).await, all_of(&store, channel, &bob).await);
    }
}

/// Returns what reads say of a channel.
async fn all_of(store: &RedbStore, channel: ChannelId, user: &User) -> String {
    let head = store.heads(&[channel]).await.unwrap().remove(0).unwrap();
    let start = Position::new(head.epoch.clone(), 0);
    let Replay::Events { events, .. } = store.after(channel, &start, PageLimit::items(99)).await.unwrap()
    else {
        panic!("a reset")
    };
    let messages = store.messages_before(channel, Seq::MAX, PageLimit::items(99)).await.unwrap();
    let members = store.members(channel, None, PageLimit::items(9)).await.unwrap();
    let listed = store.listed(&user.id, channel).await.unwrap();
    let unread = store.unread(&user.id, &[channel]).await.unwrap();
    format!("{head:?} {events:?} {messages:?} {members:?} {listed:?} {unread:?}")
}

#[tokio::test]
async fn a_record_that_is_not_whole_ends_the_journal() {
    let place = Place::new();
    let (_store, channel) = place.ahead().await;
    let bytes = fs::read(beside(&place.path())).unwrap();
    assert_eq!(bytes.len(), JOURNAL_BYTES);
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    // Message 2 is the first record, and message 3 the second one, of the same length.
    for at in [0, 8, 12, 16, 24, end / 2 - 10, end / 2 + 1, end / 2 + 30, end] {
        let crashed = place.crashed();
        let mut torn = bytes.clone();
        torn[at] ^= 0x10;
        fs::write(beside(&crashed.path()), torn).unwrap();
        let expected: &[u64] = if at <= end / 2 { &[1] } else { &[1, 2] };
        assert_eq!(nonces(&crashed.open(), channel).await, expected, "byte {at} of {end}");
    }
    let crashed = place.crashed();
    fs::write(beside(&crashed.path()), &bytes[..end / 2 + 40]).unwrap();
    assert_eq!(nonces(&crashed.open(), channel).await, [1, 2]);
}

#[tokio::test]
async fn a_crash_after_a_recovery_reads_no_record_twice() {
    let place = Place::new();
    let (_store, channel) = place.ahead().await;
    let crashed = place.crashed();
    let store = crashed.open();
    // The journal still has the records that the database has now.
    let again = crashed.crashed();
    assert_eq!(nonces(&again.open(), channel).await, [1, 2, 3]);
    store.append(vec![publish(channel, 4)]).await.remove(0).unwrap();
    store.append(vec![publish(channel, 5)]).await.remove(0).unwrap();
    let again = crashed.crashed();
    assert_eq!(nonces(&again.open(), channel).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_restored_backup_does_not_read_a_journal_beside_it() {
    let place = Place::new();
    let (store, channel) = place.ahead().await;
    let restored = Place::new();
    store.backup(restored.path()).await.unwrap();
    store.append(vec![publish(channel, 4)]).await.remove(0).unwrap();
    fs::copy(beside(&place.path()), beside(&restored.path())).unwrap();
    assert_eq!(nonces(&restored.open(), channel).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_failed_transaction_takes_back_nothing_acknowledged() {
    let place = Place::new();
    let (store, channel) = place.ahead().await;
    let failed = store.write::<(), _>(SyncMode::Disk, |_| Err(TransactionError::Broken("on purpose")));
    assert!(failed.await.is_err());
    assert_eq!(nonces(&store, channel).await, [1, 2, 3]);
    store.append(vec![publish(channel, 4)]).await.remove(0).unwrap();
    assert!(store.write::<(), _>(SyncMode::Disk, |_| panic!("on purpose")).await.is_err());
    store.append(vec![publish(channel, 5)]).await.remove(0).unwrap();
    assert_eq!(nonces(&store, channel).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_full_disk_takes_back_nothing_acknowledged() {
    let place = Place::new();
    let (store, channel) = place.ahead().await;
    place.disk.set(WRITES, 0);
    // Its outcome is unknown.
    let _ = store.append(vec![publish(channel, 4)]).await;
    let by = User::new("u_bob", "Bob").unwrap();
    assert!(store.create_channel(&ChannelName::new("b").unwrap(), "", &by).await.is_err());
    place.disk.set(0, 0);
    store.append(vec![publish(channel, 5)]).await.remove(0).unwrap();
    let of = async |store| {
        nonces(store, channel).await.into_iter().filter(|nonce| *nonce != 4).collect::<Vec<_>>()
    };
    assert_eq!(of(&store).await, [1, 2, 3, 5]);
    assert_eq!(of(&place.crashed().open()).await, [1, 2, 3, 5]);
}

#[tokio::test]
async fn a_journal_that_fails_is_replaced_by_the_database() {
    let place = Place::new();
    let (store, channel) = place.ahead().await;
    place.journal.set(WRITES, 0);
    for nonce in 4..7 {
        store.append(vec![publish(channel, nonce)]).await.remove(0).unwrap();
        assert_eq!(nonces(&place.crashed().open(), channel).await, (1..=nonce).collect::<Vec<_>>());
    }
    place.journal.set(0, 0);
    for nonce in 7..10 {
        store.append(vec![publish(channel, nonce)]).await.remove(0).unwrap();
        assert_eq!(nonces(&place.crashed().open(), channel).await, (1..=nonce).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_full_journal_begins_again() {
    let place = Place::new();
    let (store, channel) = place.ahead().await;
    let batch = |first: u64| (first..first + 100).map(|nonce| publish(channel, nonce)).collect::<Vec<_>>();
    for first in (4..704).step_by(100) {
        assert!(store.append(batch(first)).await.iter().all(Result::is_ok));
    }
    let crashed = place.crashed();
    assert_eq!(fs::metadata(beside(&crashed.path())).unwrap().len(), JOURNAL_BYTES as u64);
    assert_eq!(nonces(&crashed.open(), channel).await, (1..704).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_closed_store_leaves_no_journal() {
    let place = Place::new();
    let (store, channel) = place.ahead().await;
    // A commit without a sync comes last.
    assert_eq!(nonces(&store, channel).await, [1, 2, 3]);
    drop(store);
    let names: Vec<_> =
        fs::read_dir(place.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["chat.redb"]);
    assert_eq!(nonces(&place.open(), channel).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_journal_that_does_not_fit_is_an_error_of_opening() {
    let place = Place::new();
    let (store, channel) = place.ahead().await;
    let crashed = place.crashed();
    drop(store);
    // A later generation, written by hand: an event of a channel that does not exist.
    let store = crashed.open();
    store.append(vec![publish(channel, 4)]).await.remove(0).unwrap();
    let broken = crashed.crashed();
    drop(store);
    let path = broken.path();
    let mut by_hand = journal(&path, &broken.journal);
    let database = redb::Database::open(&path).unwrap();
    by_hand.recover(&database).unwrap();
    let mark = (by_hand.hooks.marked)(&redb::ReadableDatabase::begin_read(&database).unwrap()).unwrap();
    assert_eq!(mark.records, 0);
    let record = b"room for a header, 24 b.an unknown form of a change".to_vec();
    assert!(!by_hand.has_room_for(&record), "a new journal is not ready");
    by_hand.committed(Mark { generation: 1, records: 0 }).unwrap();
    by_hand.committed(mark).unwrap();
    by_hand.add(record, true).unwrap();
    drop(database);
    let error = RedbStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Journal(_)), "{error:?}");
}

#[test]
fn a_record_has_the_whole_file_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chat.redb");
    let mut journal = journal(&path, &Arc::default());
    assert!(!journal.has_room_for(b"x"));
    journal.committed(Mark { generation: 7, records: 0 }).unwrap();
    let most = vec![1; JOURNAL_BYTES];
    assert!(!journal.has_room_for(&vec![1; most.len() + 1]));
    assert!(journal.has_room_for(&most));
    journal.add(most.clone(), true).unwrap();
    assert!(!journal.has_room_for(b"x"));
    assert_eq!(fs::metadata(beside(&path)).unwrap().len(), JOURNAL_BYTES as u64);
    journal.committed(Mark { generation: 8, records: 0 }).unwrap();
    assert!(journal.has_room_for(&most));
}

#[tokio::test]
async fn a_store_that_can_not_reopen_its_file_leaves_the_journal() {
    let place = Place::new();
    let (store, channel) = place.ahead().await;
    place.disk.set(WRITES | OPENING, 0);
    let by = User::new("u_bob", "Bob").unwrap();
    assert!(store.create_channel(&ChannelName::new("b").unwrap(), "", &by).await.is_err());
    assert!(store.channel_count().await.is_err(), "the file is not open");
    drop(store);
    place.disk.set(0, 0);
    assert_eq!(nonces(&place.open(), channel).await, [1, 2, 3]);
}
