//! Laws of nonces: a repeated publish is stored once.

use std::sync::Arc;

use super::{
    StoreFixture, add, ann, answer, assert_no_message, attach, bob, channel, delete, log, message, messages,
    publish, put, say, upload,
};
use crate::store::{EventStore, UploadState};

/// A repeated publish gets the `seq` and time of the first one, is marked as a duplicate, and stores nothing,
/// whatever its text.
pub async fn a_duplicate_answers_the_first_seq_and_time<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let channel = channel(&store, "general").await;
    put(&store, say(channel, &bob(), "before")).await;
    let first = put(&store, publish(channel, &ann(), "n", "first")).await;
    put(&store, say(channel, &bob(), "between")).await;
    for handle in [&store, &other] {
        let again = put(handle, publish(channel, &ann(), "n", "second")).await;
        assert!(again.duplicate, "the second publish is a duplicate");
        assert_eq!((again.seq, again.at, &again.epoch), (first.seq, first.at, &first.epoch));
    }
    assert_eq!(log(&store, channel).await.len(), 3);
    assert_eq!(message(&store, channel, first.seq).await.text, "first");
}

/// Two items of one batch with the same nonce are stored once, and later items take the next numbers.
pub async fn a_nonce_repeated_in_a_batch_is_stored_once<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (here, there) = (channel(&store, "here").await, channel(&store, "there").await);
    let answers = store
        .append(vec![
            publish(here, &ann(), "n", "first"),
            publish(there, &ann(), "n", "elsewhere"),
            publish(here, &ann(), "n", "second"),
            publish(here, &ann(), "m", "next"),
            publish(here, &ann(), "n", "third"),
        ])
        .await;
    let told: Vec<_> = answers.into_iter().map(|r| r.expect("a publish is taken")).collect();
    let seqs: Vec<_> = told.iter().map(|a| (a.seq, a.duplicate)).collect();
    assert_eq!(seqs, [(1, false), (1, false), (1, true), (2, false), (1, true)]);
    assert_eq!((told[2].at, told[4].at), (told[0].at, told[0].at));
    let texts: Vec<_> = messages(&store, here).await.into_iter().map(|m| m.text).collect();
    assert_eq!(texts, ["first", "next"]);
}

/// If one publish is sent many times at once over two handles, one is stored, and all get the same answer.
pub async fn one_of_many_concurrent_duplicates_is_stored<F: StoreFixture>(fixture: F) {
    const SENDERS: usize = 8;
    const NONCES: usize = 12;
    let first = Arc::new(fixture.open().await);
    let second = Arc::new(fixture.another(&first).await);
    let channel = channel(&*first, "general").await;
    let tasks: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let store = Arc::clone(if sender % 2 == 0 { &first } else { &second });
            tokio::spawn(async move {
                let mut told = Vec::new();
                for i in 0..NONCES {
                    told.push(put(&*store, say(channel, &ann(), &i.to_string())).await);
                }
                told
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.expect("a sender ends well"));
    }
    for i in 0..NONCES {
        let stored = answers.iter().filter(|told| !told[i].duplicate).count();
        assert_eq!(stored, 1, "nonce {i} was stored {stored} times");
        assert!(
            answers.iter().all(|told| (told[i].seq, told[i].at) == (answers[0][i].seq, answers[0][i].at))
        );
    }
    assert_eq!(log(&*first, channel).await.len(), NONCES);
}

/// The same nonce of another author, or in another channel, is another message.
pub async fn a_nonce_belongs_to_one_author_in_one_channel<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (here, there) = (channel(&store, "here").await, channel(&store, "there").await);
    assert!(!put(&store, publish(here, &ann(), "n", "ann's")).await.duplicate);
    assert!(!put(&store, publish(here, &bob(), "n", "bob's")).await.duplicate);
    assert!(!put(&store, publish(there, &ann(), "n", "elsewhere")).await.duplicate);
    assert!(put(&store, publish(here, &bob(), "n", "again")).await.duplicate);
}

/// Nonces are compared exactly: case, spaces and composition count.
pub async fn nonces_differ_by_every_character<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let keys = ["n", "N", " n", "n ", "n-1", "n_1", "é", "e\u{301}", "e", "ß", "ss", "👍", "%", "\\", "\""];
    for (key, seq) in keys.into_iter().zip(1..) {
        let taken = put(&store, publish(channel, &ann(), key, "x")).await;
        assert_eq!((taken.seq, taken.duplicate), (seq, false), "nonce {key:?}");
    }
    for (key, seq) in keys.into_iter().zip(1..) {
        let taken = put(&store, publish(channel, &ann(), key, "x")).await;
        assert_eq!((taken.seq, taken.duplicate), (seq, true), "nonce {key:?}");
    }
    let longest = "é".repeat(64);
    assert!(!put(&store, publish(channel, &ann(), &longest, "x")).await.duplicate);
    assert!(put(&store, publish(channel, &ann(), &longest, "x")).await.duplicate);
}

/// Deleting a message does not free its nonce.
pub async fn a_duplicate_of_a_deleted_message_stays_one<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let first = put(&store, publish(channel, &ann(), "n", "secret")).await;
    put(&store, delete(channel, &ann(), first.seq)).await;
    let again = put(&store, publish(channel, &ann(), "n", "secret")).await;
    assert_eq!((again.seq, again.at, again.duplicate), (first.seq, first.at, true));
    assert!(message(&store, channel, first.seq).await.deleted);
    assert_eq!(log(&store, channel).await.len(), 2);
}

/// A publish that was refused stored nothing, so its nonce can be used.
pub async fn a_refused_publish_leaves_its_nonce_free<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    assert_no_message(&add(&store, answer(channel, &ann(), "n", 1)).await);
    let taken = put(&store, publish(channel, &ann(), "n", "now")).await;
    assert_eq!((taken.seq, taken.duplicate), (1, false));
}

/// A retry is a duplicate even if the publish itself has taken its attachments, and the message that it replies to
/// is gone.
pub async fn a_retry_answers_before_its_attachments_and_answer_are_checked<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let file = upload(&store, channel, &ann(), "a_1", UploadState::Ready).await;
    put(&store, say(channel, &bob(), "question")).await;
    let with_file = put(&store, attach(channel, &ann(), "file", &[&file])).await;
    let answering = put(&store, answer(channel, &ann(), "answer", 1)).await;
    store.prune(channel, 1, answering.at).await.expect("the log is pruned");
    let again = put(&store, attach(channel, &ann(), "file", &[&file])).await;
    assert_eq!((again.seq, again.duplicate), (with_file.seq, true));
    let again = put(&store, answer(channel, &ann(), "answer", 1)).await;
    assert_eq!((again.seq, again.duplicate), (answering.seq, true));
}
