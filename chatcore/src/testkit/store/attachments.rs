//! Laws of [`AttachmentIndex`]: a file is attached once, by its owner, and is never lost.

use std::sync::Arc;
use std::time::Duration;

use super::{
    NOWHERE, StoreFixture, add, ann, assert_no_attachment, assert_no_message, attach, bob, channel, delete,
    head, log, message, messages, put, say, state, upload,
};
use crate::model::append::AppendBody;
use crate::model::attachment::Attachment;
use crate::model::event::EventKind;
use crate::model::id::{AttachmentId, ChannelId};
use crate::model::message::User;
use crate::model::time::Timestamp;
use crate::store::{AttachmentIndex, EventStore, FileBytes, Store, Upload, UploadState};

/// An upload is read back as it was stored. Storing its id again replaces it.
pub async fn uploads_read_back_and_are_replaced<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let channel = channel(&store, "general").await;
    let first = upload(&store, channel, &ann(), "a_1", UploadState::Receiving).await;
    assert_eq!(other.upload(&first.attachment.id).await.expect("an upload can be read"), Some(first.clone()));
    let whole = Upload {
        attachment: Attachment {
            size: u64::from(u32::MAX) + 1,
            height: Some(480),
            ..first.attachment.clone()
        },
        state: UploadState::Ready,
        ..first
    };
    store.put_upload(&whole).await.expect("an upload is replaced");
    assert_eq!(other.upload(&whole.attachment.id).await.expect("an upload can be read"), Some(whole));
    let unknown = AttachmentId::new("a_none").expect("a valid id");
    assert_eq!(store.upload(&unknown).await.expect("an upload can be read"), None);
}

/// A message with files has them in the log and in its current state, in order, and the uploads know their
/// message.
pub async fn a_message_takes_its_attachments<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let one = upload(&store, channel, &ann(), "a_1", UploadState::Ready).await;
    let two = upload(&store, channel, &ann(), "a_2", UploadState::Ready).await;
    put(&store, say(channel, &ann(), "before")).await;
    let taken = put(&store, attach(channel, &ann(), "files", &[&two, &one])).await;
    let expected = [two.attachment.clone(), one.attachment.clone()];
    assert_eq!(message(&store, channel, taken.seq).await.attachments, expected);
    assert!(
        matches!(&log(&store, channel).await[1].kind, EventKind::Message(c) if c.attachments == expected),
        "the log has the files"
    );
    for file in [&one, &two] {
        assert_eq!(state(&store, file).await, Some(UploadState::Attached(taken.seq)));
    }
}

/// A file is attached once: not by a later message, not by two of one batch, not twice by one.
pub async fn an_attachment_is_taken_once<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let one = upload(&store, channel, &ann(), "a_1", UploadState::Ready).await;
    let two = upload(&store, channel, &ann(), "a_2", UploadState::Ready).await;
    assert_no_attachment(&add(&store, attach(channel, &ann(), "twice", &[&two, &two])).await);
    let mut answers = store
        .append(vec![attach(channel, &ann(), "first", &[&one]), attach(channel, &ann(), "second", &[&one])])
        .await;
    assert_no_attachment(&answers.remove(1));
    assert_eq!(answers.remove(0).expect("the first takes the file").seq, 1);
    assert_no_attachment(&add(&store, attach(channel, &ann(), "third", &[&two, &one])).await);
    assert_eq!(state(&store, &one).await, Some(UploadState::Attached(1)));
    assert_eq!(state(&store, &two).await, Some(UploadState::Ready));
    assert_eq!(head(&store, channel).await.seq, 1);
}

/// If many messages attach one file at once, over two handles, one succeeds.
pub async fn one_of_many_concurrent_takers_gets_it<F: StoreFixture>(fixture: F) {
    let first = Arc::new(fixture.open().await);
    let second = Arc::new(fixture.another(&first).await);
    let channel = channel(&*first, "general").await;
    for round in 0..4 {
        let file =
            Arc::new(upload(&*first, channel, &ann(), &format!("a_{round}"), UploadState::Ready).await);
        let tasks: Vec<_> = (0..6)
            .map(|i| {
                let store = Arc::clone(if i % 2 == 0 { &first } else { &second });
                let file = Arc::clone(&file);
                tokio::spawn(async move {
                    add(&*store, attach(channel, &ann(), &format!("{round} {i}"), &[&file])).await
                })
            })
            .collect();
        let mut taken = Vec::new();
        for task in tasks {
            taken.extend(task.await.expect("a taker ends well").ok());
        }
        assert_eq!(taken.len(), 1, "{taken:?}");
        assert_eq!(state(&*first, &file).await, Some(UploadState::Attached(taken[0].seq)));
    }
    assert_eq!(log(&*first, channel).await.len(), 4);
}

/// Only its owner can attach a file, only in its channel, and only if it exists.
pub async fn an_attachment_is_for_its_owner_and_channel_only<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (here, there) = (channel(&store, "here").await, channel(&store, "there").await);
    let file = upload(&store, here, &ann(), "a_1", UploadState::Ready).await;
    assert_no_attachment(&add(&store, attach(here, &bob(), "bob's", &[&file])).await);
    assert_no_attachment(&add(&store, attach(there, &ann(), "elsewhere", &[&file])).await);
    let mut unknown = file.clone();
    unknown.attachment.id = AttachmentId::new("a_none").expect("a valid id");
    assert_no_attachment(&add(&store, attach(here, &ann(), "unknown", &[&unknown])).await);
    assert_eq!(state(&store, &file).await, Some(UploadState::Ready));
    assert_eq!(put(&store, attach(here, &ann(), "ann's", &[&file])).await.seq, 1);
}

/// Only a file that is complete, not used and not discarded can be attached.
pub async fn an_attachment_that_is_not_ready_is_refused<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let states = [UploadState::Receiving, UploadState::Discarded, UploadState::Attached(9)];
    for (before, i) in states.into_iter().zip(0..) {
        let file = upload(&store, channel, &ann(), &format!("a_{i}"), before).await;
        assert_no_attachment(&add(&store, attach(channel, &ann(), &format!("{i}"), &[&file])).await);
        assert_eq!(state(&store, &file).await, Some(before));
    }
    assert_eq!(head(&store, channel).await.seq, 0);
}

/// Stores a file of this size.
async fn sized<S: Store>(store: &S, channel: ChannelId, owner: &User, id: &str, size: u64) -> Upload {
    let file = upload(store, channel, owner, id, UploadState::Receiving).await;
    let attachment = Attachment { size: 0, ..file.attachment.clone() };
    store.put_upload(&Upload { attachment, ..file.clone() }).await.expect("an upload is replaced");
    Upload { attachment: Attachment { size, ..file.attachment.clone() }, state: UploadState::Ready, ..file }
}

/// The bytes of files are counted per owner and in total, until a file is forgotten. A file over the limit is
/// refused.
pub async fn files_take_no_more_bytes_than_they_may<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let channel = channel(&store, "general").await;
    let most = FileBytes { owner: 10, all: 14 };
    let enters = async |file: &Upload| other.put_upload_within(file, most).await.expect("it can be written");
    let bytes = async |owner: User| {
        let FileBytes { owner, all } = store.file_bytes(&owner.id).await.expect("bytes can be read");
        (owner, all)
    };
    assert_eq!(bytes(ann()).await, (0, 0));
    let six = sized(&store, channel, &ann(), "a_6", 6).await;
    let four = sized(&store, channel, &ann(), "a_4", 4).await;
    let five = sized(&store, channel, &ann(), "a_5", 5).await;
    let bobs = sized(&store, channel, &bob(), "a_bob", 4).await;
    let late = sized(&store, channel, &bob(), "a_late", 1).await;
    assert!(enters(&six).await);
    assert!(!enters(&five).await, "one past the owner's");
    assert_eq!(state(&store, &five).await, Some(UploadState::Receiving), "it stays as it was");
    assert_eq!(bytes(ann()).await, (6, 6));
    assert!(enters(&four).await && enters(&bobs).await, "at the limits");
    assert!(!enters(&late).await, "one past that of all");
    assert_eq!((bytes(ann()).await, bytes(bob()).await), ((10, 14), (4, 14)));
    assert!(enters(&six).await, "what takes no more than before is no more");
    // A message, its deletion and a claim change nothing. Only forgetting a file frees its bytes.
    put(&store, attach(channel, &ann(), "files", &[&six])).await;
    put(&store, delete(channel, &ann(), 1)).await;
    assert!(store.discard_upload(&four.attachment.id).await.expect("an upload can be discarded"));
    assert_eq!(bytes(ann()).await, (10, 14));
    for file in [&six, &four, &bobs] {
        store.forget_upload(&file.attachment.id).await.expect("an upload can be forgotten");
    }
    assert_eq!((bytes(ann()).await, bytes(bob()).await), ((0, 4), (4, 4)));
    assert!(enters(&late).await);
}

/// If many files become complete at once, over two handles, as many are accepted as fit.
pub async fn files_uploaded_at_once_take_no_more_bytes_than_they_may<F: StoreFixture>(fixture: F) {
    let first = Arc::new(fixture.open().await);
    let second = Arc::new(fixture.another(&first).await);
    let channel = channel(&*first, "general").await;
    let mut files = Vec::new();
    for n in 0..12 {
        let owner = if n % 3 == 0 { bob() } else { ann() };
        files.push(sized(&*first, channel, &owner, &format!("a_{n}"), 2).await);
    }
    let most = FileBytes { owner: 7, all: 9 };
    let tasks: Vec<_> = files
        .into_iter()
        .enumerate()
        .map(|(n, file)| {
            let store = Arc::clone(if n % 2 == 0 { &first } else { &second });
            tokio::spawn(
                async move { store.put_upload_within(&file, most).await.expect("it can be written") },
            )
        })
        .collect();
    let mut entered = 0;
    for task in tasks {
        entered += u64::from(task.await.expect("a task ends well"));
    }
    let (anns, bobs) = (first.file_bytes(&ann().id).await, first.file_bytes(&bob().id).await);
    let (anns, bobs) = (anns.expect("bytes can be read"), bobs.expect("bytes can be read"));
    assert_eq!((entered, anns.all), (4, 8));
    assert!(anns.owner <= 6 && bobs.owner <= 6 && anns.owner + bobs.owner == 8, "{anns:?} {bobs:?}");
}

/// An unused upload that began after now gets the time now. Files of messages stay as they are.
pub async fn an_upload_from_a_wrong_clock_is_dated_back<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let at = |seconds: i64| Timestamp::from_millis(1_700_000_000_000 + seconds * 1_000);
    let now = at(0);
    let began = [("past", -1), ("now", 0), ("soon", 1), ("far", 1_000_000_000)];
    let mut uploads = Vec::new();
    for (name, seconds) in began {
        for state in [UploadState::Receiving, UploadState::Ready, UploadState::Attached(1)] {
            let file = upload(&store, channel, &ann(), &format!("a_{name}_{}", uploads.len()), state).await;
            uploads.push(Upload { at: at(seconds), ..file });
            store.put_upload(&uploads[uploads.len() - 1]).await.expect("an upload is replaced");
        }
    }
    store.date_back(now).await.expect("uploads can be dated back");
    for expected in &mut uploads {
        if !matches!(expected.state, UploadState::Attached(_)) {
            expected.at = expected.at.min(now);
        }
        let found = store.upload(&expected.attachment.id).await.expect("an upload can be read");
        assert_eq!(found.as_ref(), Some(&*expected));
    }
    let reclaimable = async |before| store.reclaimable(before, 99).await.expect("uploads can be read").len();
    assert_eq!((reclaimable(now).await, reclaimable(at(1)).await), (2, 8));
}

/// A publish that is refused, for one of its files or for anything else, leaves all its files as they were.
pub async fn a_refused_publish_leaves_its_attachments_ready<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let good = upload(&store, channel, &ann(), "a_good", UploadState::Ready).await;
    let bad = upload(&store, channel, &ann(), "a_bad", UploadState::Receiving).await;
    assert_no_attachment(&add(&store, attach(channel, &ann(), "one", &[&good, &bad])).await);
    let mut lost = attach(channel, &ann(), "two", &[&good]);
    if let AppendBody::Message { reply_to, .. } = &mut lost.body {
        *reply_to = Some(5);
    }
    assert_no_message(&add(&store, lost).await);
    assert!(add(&store, attach(NOWHERE, &ann(), "three", &[&good])).await.is_err());
    assert_eq!(state(&store, &good).await, Some(UploadState::Ready));
    assert_eq!(put(&store, attach(channel, &ann(), "one", &[&good])).await.seq, 1);
}

/// Deleting a message discards its files, and no read shows them any more.
pub async fn a_delete_discards_what_the_message_held<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let mut files = Vec::new();
    for i in 0..3 {
        files.push(upload(&store, channel, &ann(), &format!("a_{i}"), UploadState::Ready).await);
    }
    put(&store, attach(channel, &ann(), "one", &[&files[0], &files[1]])).await;
    put(&store, attach(channel, &ann(), "two", &[&files[2]])).await;
    put(&store, delete(channel, &ann(), 1)).await;
    assert_eq!(state(&store, &files[0]).await, Some(UploadState::Discarded));
    assert_eq!(state(&store, &files[1]).await, Some(UploadState::Discarded));
    assert_eq!(state(&store, &files[2]).await, Some(UploadState::Attached(2)));
    let all = format!("{:?} {:?}", log(&store, channel).await, messages(&store, channel).await);
    assert!(!all.contains("a_0") && !all.contains("a_1") && all.contains("a_2"), "{all}");
    assert_no_attachment(&add(&store, attach(channel, &ann(), "again", &[&files[0]])).await);
}

/// Reclaimable are discarded uploads of any age, and unused ones that began before the bound, but never the file
/// of a message.
pub async fn reclaimable_finds_what_nobody_needs<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let at = upload(&store, channel, &ann(), "a_receiving", UploadState::Receiving).await.at;
    upload(&store, channel, &ann(), "a_ready", UploadState::Ready).await;
    upload(&store, channel, &ann(), "a_discarded", UploadState::Discarded).await;
    let held = upload(&store, channel, &ann(), "a_held", UploadState::Ready).await;
    put(&store, attach(channel, &ann(), "holds", &[&held])).await;
    let mut late = upload(&store, channel, &ann(), "a_late", UploadState::Ready).await;
    late.at = Timestamp::from_millis(at.as_millis() + 1);
    store.put_upload(&late).await.expect("an upload is replaced");
    let found = async |before, limit| {
        let found = store.reclaimable(before, limit).await.expect("uploads can be read");
        let mut found: Vec<_> = found.iter().map(|id| id.as_str().to_owned()).collect();
        found.sort();
        found
    };
    let after = |millis| Timestamp::from_millis(at.as_millis() + millis);
    assert_eq!(found(at, 10).await, ["a_discarded"]);
    assert_eq!(found(at.minus(Duration::from_secs(86_400)), 10).await, ["a_discarded"]);
    assert_eq!(found(after(1), 10).await, ["a_discarded", "a_ready", "a_receiving"]);
    assert_eq!(found(after(2), 10).await, ["a_discarded", "a_late", "a_ready", "a_receiving"]);
    assert_eq!(found(after(2), 2).await.len(), 2);
    assert!(found(after(2), 0).await.is_empty());
    put(&store, delete(channel, &ann(), 1)).await;
    assert_eq!(found(at, 10).await, ["a_discarded", "a_held"]);
}

/// An upload is claimed for removal unless a message has it. A claimed upload can't be attached.
pub async fn discard_never_takes_what_a_message_holds<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let discard = async |file: &Upload| {
        store.discard_upload(&file.attachment.id).await.expect("an upload can be discarded")
    };
    let held = upload(&store, channel, &ann(), "a_held", UploadState::Ready).await;
    put(&store, attach(channel, &ann(), "holds", &[&held])).await;
    assert!(!discard(&held).await, "a message holds it");
    assert_eq!(state(&store, &held).await, Some(UploadState::Attached(1)));
    for (before, i) in
        [UploadState::Receiving, UploadState::Ready, UploadState::Discarded].into_iter().zip(0..)
    {
        let file = upload(&store, channel, &ann(), &format!("a_{i}"), before).await;
        assert!(discard(&file).await, "nothing holds it");
        assert_eq!(state(&store, &file).await, Some(UploadState::Discarded));
        assert_no_attachment(&add(&store, attach(channel, &ann(), &format!("{i}"), &[&file])).await);
    }
    let unknown = AttachmentId::new("a_none").expect("a valid id");
    assert!(store.discard_upload(&unknown).await.expect("an upload can be discarded"), "it does not exist");
    assert_eq!(store.upload(&unknown).await.expect("an upload can be read"), None);
}

/// Only a discarded entry is forgotten, and then it is gone.
pub async fn forget_removes_discarded_entries_only<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let held = upload(&store, channel, &ann(), "a_held", UploadState::Ready).await;
    put(&store, attach(channel, &ann(), "holds", &[&held])).await;
    let receiving = upload(&store, channel, &ann(), "a_receiving", UploadState::Receiving).await;
    let ready = upload(&store, channel, &ann(), "a_ready", UploadState::Ready).await;
    let discarded = upload(&store, channel, &ann(), "a_discarded", UploadState::Discarded).await;
    for file in [&held, &receiving, &ready, &discarded, &discarded] {
        store.forget_upload(&file.attachment.id).await.expect("an upload can be forgotten");
    }
    assert_eq!(state(&store, &held).await, Some(UploadState::Attached(1)));
    assert_eq!(state(&store, &receiving).await, Some(UploadState::Receiving));
    assert_eq!(state(&store, &ready).await, Some(UploadState::Ready));
    assert_eq!(state(&store, &discarded).await, None);
    let far = Timestamp::from_millis(i64::MAX);
    let left = store.reclaimable(far, 10).await.expect("uploads can be read");
    assert!(!left.contains(&discarded.attachment.id), "{left:?}");
    assert_eq!(left.len(), 2, "{left:?}");
}

/// Of two handles to a shared store, one at a time has the turn to sweep. When it is dropped, the other gets it. A
/// store of one process always has a turn.
pub async fn one_handle_of_a_shared_store_sweeps_at_a_time<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    for (first, second) in [(&store, &other), (&other, &store)] {
        // The turn before ends as soon as the store notices.
        let turn = loop {
            match first.sweep_turn().await.expect("the store answers") {
                Some(turn) => break turn,
                None => tokio::task::yield_now().await,
            }
        };
        for handle in [second, first] {
            let another = handle.sweep_turn().await.expect("the store answers");
            assert_eq!(another.is_none(), store.shared(), "a shared store has one turn");
        }
        drop(turn);
    }
}
