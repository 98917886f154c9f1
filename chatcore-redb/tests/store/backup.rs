//! A backup is the store at one moment, whole or not at all.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;

use chatcore::attachments::FileKind;
use chatcore::store::{
    Append, AppendBody, AttachmentIndex, Created, Directory, EventStore, Extras, Membership, Mention,
    Mentions, NewPrivate, PageLimit, Upload, UploadState,
};
use chatcore::{Attachment, AttachmentId, ChannelId, ChannelName, Nonce, Timestamp, User};
use chatcore_redb::{BackupError, RedbStore};

fn ann() -> User {
    User::new("u_ann", "Ann").unwrap()
}

async fn with_channel(path: &Path) -> (RedbStore, ChannelId) {
    let store = RedbStore::open(path).unwrap();
    let made = store.create_channel(&ChannelName::new("a").unwrap(), "topic", &ann()).await.unwrap();
    (store, made.into_channel().id)
}

async fn append(store: &RedbStore, channel: ChannelId, body: AppendBody) -> u64 {
    store.append(vec![Append::new(channel, ann(), body)]).await.remove(0).unwrap().seq
}

fn message(text: &str) -> AppendBody {
    AppendBody::message(Nonce::random(), text)
}

fn upload(id: &str, channel: ChannelId, state: UploadState) -> Upload {
    let attachment = Attachment::new(AttachmentId::new(id).unwrap(), "a.txt", 1, FileKind::new("text/plain"));
    let channel_name = ChannelName::new("a").unwrap();
    Upload::new(attachment, channel, channel_name, ann().id, Timestamp::now()).with_state(state)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_holds_every_row_that_was_answered_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let (store, channel) = with_channel(&folder.path().join("chat.redb")).await;
    for n in 1..=300 {
        append(&store, channel, message(&format!("message {n}"))).await;
    }
    append(&store, channel, AppendBody::Edit { target: 7, text: "edited".into(), extras: None }).await;
    append(&store, channel, AppendBody::Delete { target: 9 }).await;
    store.mark_read(&ann().id, channel, 200).await.unwrap();
    store.put_user(&ann()).await.unwrap();
    store.put_upload(&upload("a_1", channel, UploadState::Ready)).await.unwrap();
    let bob = User::new("u_bob", "Bob").unwrap();
    let private = NewPrivate::new(ChannelName::new("pr.a").unwrap(), "Plans");
    let private = store.create_private_within(&private, &bob, 9).await.unwrap().unwrap().id;
    let mentions = Mentions::new(vec![Mention::User(bob.id.clone())], Vec::new());
    let extras = Extras::default().with_mentions(mentions).boxed();
    let (nonce, text) = (Nonce::random(), "@Bob".into());
    let body = AppendBody::Message { nonce, text, reply_to: None, attachments: Vec::new(), extras };
    append(&store, private, body).await;
    let people = [ann(), bob.clone()];
    let direct = ChannelName::new("dm.a").unwrap();
    let direct = store.open_direct_within(&direct, &people, &bob, 9).await.unwrap().unwrap().into_channel();

    let backup = folder.path().join("backup.redb");
    store.backup(&backup).await.unwrap();
    append(&store, channel, message("after the backup")).await;

    let copy = RedbStore::open(&backup).unwrap();
    let name = ChannelName::new("a").unwrap();
    assert_eq!(copy.channel(&name).await.unwrap(), store.channel(&name).await.unwrap());
    let before = store.messages_before(channel, 303, PageLimit::items(1_000)).await.unwrap();
    let copied = copy.messages_before(channel, u64::MAX, PageLimit::items(1_000)).await.unwrap();
    assert_eq!(copied.messages, before.messages);
    assert_eq!(copied.messages.len(), 300);
    let heads = copy.heads(&[channel]).await.unwrap();
    assert_eq!(heads[0].as_ref().map(|head| head.seq), Some(302));
    assert_eq!(copy.unread(&ann().id, &[channel]).await.unwrap()[0].read, 200);
    assert_eq!(copy.users(&[ann().id]).await.unwrap().len(), 1);
    assert_eq!(copy.uploads(None, 10).await.unwrap().len(), 1);
    let all = PageLimit::items(9);
    for user in &people {
        let listed = store.channels_of(&user.id, None, true, all).await.unwrap();
        assert_eq!(copy.channels_of(&user.id, None, true, all).await.unwrap(), listed);
    }
    assert_eq!(copy.unread(&bob.id, &[private]).await.unwrap()[0].mentions, 1);
    let stranger = Append::new(private, ann(), message("no")).checked();
    assert!(copy.append(vec![stranger]).await.remove(0).is_err());
    let again = ChannelName::new("dm.b").unwrap();
    let again = copy.open_direct_within(&again, &people, &bob, 9).await.unwrap().unwrap();
    assert_eq!(again, Created::Exists(direct));
    assert_eq!(append(&copy, channel, message("it goes on from there")).await, 303);
}

#[tokio::test]
async fn a_backup_under_load_is_one_moment_without_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let (store, channel) = with_channel(&folder.path().join("chat.redb")).await;
    for _ in 0..200 {
        append(&store, channel, message("before")).await;
    }
    let writing = tokio::spawn({
        let store = store.clone();
        async move {
            loop {
                append(&store, channel, message("meanwhile")).await;
            }
        }
    });
    for n in 0..3 {
        let began = store.heads(&[channel]).await.unwrap()[0].as_ref().unwrap().seq;
        let backup = folder.path().join(format!("{n}.redb"));
        store.backup(&backup).await.unwrap();
        let ended = store.heads(&[channel]).await.unwrap()[0].as_ref().unwrap().seq;
        let copy = RedbStore::open(&backup).unwrap();
        let head = copy.heads(&[channel]).await.unwrap()[0].as_ref().unwrap().seq;
        assert!((began..=ended).contains(&head), "{began} ≤ {head} ≤ {ended}");
        let page = copy.messages_before(channel, u64::MAX, PageLimit::items(100_000)).await.unwrap();
        let seqs: Vec<u64> = page.messages.iter().map(|message| message.seq).collect();
        assert_eq!(seqs, (1..=head).collect::<Vec<_>>());
    }
    writing.abort();
}

#[tokio::test]
async fn a_backup_has_no_deleted_data() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.redb");
    let (store, channel) = with_channel(&path).await;
    append(&store, channel, message("a secret of the past")).await;
    append(&store, channel, AppendBody::Delete { target: 1 }).await;
    let backup = folder.path().join("backup.redb");
    store.backup(&backup).await.unwrap();
    drop(store);
    let holds =
        |path: &Path| fs::read(path).unwrap().windows(20).any(|bytes| bytes == b"a secret of the past");
    assert!(holds(&path), "a freed page still has it");
    assert!(!holds(&backup));
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_leaves_no_rest() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = with_channel(&folder.path().join("chat.redb")).await;
    let backup = folder.path().join("backup.redb");
    fs::write(&backup, "something else").unwrap();
    let error = store.backup(&backup).await.unwrap_err();
    assert!(matches!(error, BackupError::Exists { .. }), "{error:?}");
    assert!(
        error.to_string().contains("backup.redb exists, and a backup never overwrites a file"),
        "{error}"
    );
    assert_eq!(fs::read(&backup).unwrap(), b"something else");
    fs::write(folder.path().join("other.redb.new"), "of a backup that was killed").unwrap();
    let error = store.backup(folder.path().join("other.redb")).await.unwrap_err();
    assert!(error.to_string().contains("other.redb.new exists"), "{error}");
    let error = store.backup(folder.path().join("no/such/folder.redb")).await.unwrap_err();
    assert!(matches!(error, BackupError::Failed { .. }), "{error:?}");
    assert_eq!(names(folder.path()), ["backup.redb", "chat.redb", "other.redb.new"]);
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_can_access_a_backup() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = with_channel(&folder.path().join("chat.redb")).await;
    let backup = folder.path().join("backup.redb");
    store.backup(&backup).await.unwrap();
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o7777, 0o600);
}

#[tokio::test]
async fn uploads_of_a_backup_are_listed_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let (store, channel) = with_channel(&folder.path().join("chat.redb")).await;
    for (id, state) in [
        ("a_1", UploadState::Ready),
        ("a_2", UploadState::Receiving),
        ("a_3", UploadState::Discarded),
        ("a_4", UploadState::Attached(1)),
        ("a_5", UploadState::Attached(2)),
    ] {
        store.put_upload(&upload(id, channel, state)).await.unwrap();
    }
    let page = async |after: Option<&str>| {
        let after = after.map(|id| AttachmentId::new(id).unwrap());
        let page = store.uploads(after.as_ref(), 2).await.unwrap();
        page.iter().map(|upload| upload.attachment.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(page(None).await, ["a_1", "a_4"]);
    assert_eq!(page(Some("a_4")).await, ["a_5"]);
    assert!(page(Some("a_5")).await.is_empty());
}
