//! What only a store in a file promises to its consumers.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use chatcore::store::{Append, AppendBody, Consumers, Directory, EventStore, PageLimit, Replay, StartAt};
use chatcore::{ChannelId, ChannelName, ConsumerName, Nonce, User};
use chatcore_redb::RedbStore;
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3_600);

/// Opens a file with a channel that has one message, and a consumer.
async fn opened(folder: &TempDir, start: StartAt) -> (RedbStore, ConsumerName) {
    let store = RedbStore::open(folder.path().join("chat.redb")).unwrap();
    let ann = User::new("u_ann", "Ann").unwrap();
    let channel = store.create_channel(&ChannelName::new("general").unwrap(), "", &ann).await.unwrap();
    let message = AppendBody::message(Nonce::new("one").unwrap(), "one");
    store.append(vec![Append::new(channel.into_channel().id, ann, message)]).await.remove(0).unwrap();
    let name = ConsumerName::new("billing").unwrap();
    store.create_consumer_within(&name, start, 1).await.unwrap();
    (store, name)
}

/// Nobody else can have the file open, so nobody waits for the lease of a process that has died.
#[tokio::test]
async fn a_lease_ends_with_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let (store, name) = opened(&folder, StartAt::Beginning).await;
    let first = store.take_consumer(&name, 1, HOUR).await.unwrap().unwrap();
    assert_eq!(store.take_consumer(&name, 2, HOUR).await.unwrap(), None);
    drop(store);
    let store = RedbStore::open(folder.path().join("chat.redb")).unwrap();
    let second = store.take_consumer(&name, 2, HOUR).await.unwrap().expect("the first process is gone");
    assert!(second.generation > first.generation, "{second:?} after {first:?}");
    assert!(!store.advance(&first, &[]).await.unwrap());
}

/// After a restore, every consumer gets a reset for each channel.
#[tokio::test]
async fn renewed_epochs_are_news_to_every_consumer() {
    let folder = tempfile::tempdir().unwrap();
    let (store, name) = opened(&folder, StartAt::End).await;
    let news = async || store.news(&name, ChannelId(0), PageLimit::items(9)).await.unwrap().news;
    assert_eq!(news().await, []);
    store.renew_epochs().await.unwrap();
    let found = news().await.remove(0);
    let replay = store.after(found.channel.id, &found.position, PageLimit::items(9)).await.unwrap();
    assert!(matches!(replay, Replay::Reset(_)), "{replay:?}");
}

/// A backup has the consumers too, where they were at its moment.
#[tokio::test]
async fn a_backup_has_the_positions() {
    let folder = tempfile::tempdir().unwrap();
    let (store, name) = opened(&folder, StartAt::Beginning).await;
    let news = async |store: &RedbStore| store.news(&name, ChannelId(0), PageLimit::items(9)).await.unwrap();
    let before = news(&store).await;
    let copy = folder.path().join("copy.redb");
    store.backup(&copy).await.unwrap();
    let lease = store.take_consumer(&name, 1, HOUR).await.unwrap().unwrap();
    let channel = before.news[0].channel.id;
    let head = store.heads(&[channel]).await.unwrap().remove(0).unwrap();
    assert!(store.advance(&lease, &[(channel, head.position())]).await.unwrap());
    let restored = RedbStore::open(&copy).unwrap();
    assert_eq!(restored.consumers().await.unwrap(), std::slice::from_ref(&name));
    assert_eq!(news(&restored).await, before);
}
