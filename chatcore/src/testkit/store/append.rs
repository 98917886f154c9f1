//! Laws of [`EventStore::append`]: order, gaps, refusals, cancellation.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::{
    NOWHERE, StoreFixture, add, ann, assert_gapless, bob, channel, delete, edit, events, head, log, messages,
    nonce, publish, put, put_texts, react, say, start, upload,
};
use crate::model::append::AppendBody;
use crate::model::event::EventKind;
use crate::store::{AppendError, EventStore, UploadState};

/// A channel's first event has `seq` 1, and each next one the next number, within and across batches.
pub async fn seq_starts_at_one_and_has_no_gap<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let mut next = 1;
    for size in [1, 5, 2] {
        let batch = (next..next + size).map(|i| say(channel, &ann(), &i.to_string())).collect();
        let answers = store.append(batch).await;
        assert_eq!(answers.len() as u64, size);
        for taken in answers {
            let taken = taken.expect("a message is taken");
            assert_eq!((taken.seq, taken.duplicate), (next, false));
            assert_eq!(taken.epoch, head(&store, channel).await.epoch);
            next += 1;
        }
    }
    let kinds = [
        edit(channel, &ann(), 1, "new"),
        react(channel, &bob(), 1, "👍", true),
        delete(channel, &ann(), 2),
        say(channel, &bob(), "after"),
    ];
    for item in kinds {
        assert_eq!(put(&store, item).await.seq, next);
        next += 1;
    }
    assert_eq!(log(&store, channel).await.len() as u64, next - 1);
}

/// Each of several channels in a batch runs 1, 2, 3 … on its own.
pub async fn interleaved_channels_count_for_themselves<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (a, b) = (channel(&store, "a").await, channel(&store, "b").await);
    let batch =
        [a, b, b, a, b, a, a, b].iter().zip(0..).map(|(c, i)| say(*c, &ann(), &format!("{i}"))).collect();
    let seqs: Vec<_> =
        store.append(batch).await.into_iter().map(|r| r.expect("a message is taken").seq).collect();
    assert_eq!(seqs, [1, 1, 2, 2, 3, 3, 4, 4]);
    assert_eq!((log(&store, a).await.len(), log(&store, b).await.len()), (4, 4));
}

/// An empty batch is answered with nothing and stores nothing.
pub async fn an_empty_batch_has_an_empty_answer<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    assert!(store.append(Vec::new()).await.is_empty());
    assert_eq!(head(&store, channel).await.seq, 0);
}

/// `append_at_once` stores all of a batch as `append` does, after the answers that are there, or takes nothing of it. It says
/// the same of an empty batch.
pub async fn an_append_at_once_is_an_append_or_nothing<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put(&store, say(channel, &ann(), "one")).await;
    let batch = vec![
        say(channel, &ann(), "one"),
        say(channel, &ann(), "two"),
        edit(channel, &ann(), 99, "no target"),
        edit(channel, &ann(), 1, "uno"),
    ];
    let mut answers = vec![Err(AppendError::NotAMember)];
    let can = store.append_at_once(&mut std::iter::empty(), &mut answers);
    let mut rest = batch.clone().into_iter();
    assert_eq!(store.append_at_once(&mut rest, &mut answers), can);
    let places: Vec<_> = answers.iter().map(|a| a.as_ref().ok().map(|a| (a.seq, a.duplicate))).collect();
    if !can {
        assert_eq!((rest.as_slice(), &places[..]), (&batch[..], &[None][..]));
        assert_eq!(head(&store, channel).await.seq, 1);
        return;
    }
    assert_eq!(places, [None, Some((1, true)), Some((2, false)), None, Some((3, false))]);
    let texts: Vec<_> = messages(&store, channel).await.into_iter().map(|m| m.text).collect();
    assert_eq!(texts, ["uno", "two"]);
}

/// Refused items get no `seq`, and the items around them are stored as if they were not there.
pub async fn refused_items_take_no_seq_and_disturb_no_neighbour<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let mut lost = publish(channel, &ann(), "lost", "lost");
    if let AppendBody::Message { attachments, .. } = &mut lost.body {
        let other = super::channel(&store, "other").await;
        let elsewhere = upload(&store, other, &ann(), "a_elsewhere", UploadState::Ready).await;
        attachments.push(elsewhere.attachment);
    }
    let answers = store
        .append(vec![
            say(NOWHERE, &ann(), "nowhere"),
            say(channel, &ann(), "one"),
            edit(channel, &ann(), 99, "no target"),
            lost,
            say(channel, &ann(), "two"),
            super::answer(channel, &ann(), "no answer", 77),
            say(channel, &ann(), "three"),
            delete(channel, &ann(), 0),
        ])
        .await;
    let seqs: Vec<_> = answers.iter().map(|r| r.as_ref().ok().map(|a| a.seq)).collect();
    assert_eq!(seqs, [None, Some(1), None, None, Some(2), None, Some(3), None]);
    assert!(matches!(answers[0], Err(AppendError::NoSuchChannel)), "{:?}", answers[0]);
    assert!(matches!(answers[2], Err(AppendError::NoSuchMessage)), "{:?}", answers[2]);
    assert!(matches!(answers[3], Err(AppendError::NoSuchAttachment)), "{:?}", answers[3]);
    assert!(matches!(answers[5], Err(AppendError::NoSuchMessage)), "{:?}", answers[5]);
    assert!(matches!(answers[7], Err(AppendError::NoSuchMessage)), "{:?}", answers[7]);
    let texts: Vec<_> = messages(&store, channel).await.into_iter().map(|m| m.text).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert_eq!(log(&store, channel).await.len(), 3);
}

/// An item for a channel that does not exist is refused with [`AppendError::NoSuchChannel`], alone.
pub async fn an_unknown_channel_refuses_its_items_alone<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    for item in [say(NOWHERE, &ann(), "x"), edit(NOWHERE, &ann(), 1, "x"), delete(NOWHERE, &ann(), 1)] {
        let outcome = add(&store, item).await;
        assert!(matches!(outcome, Err(AppendError::NoSuchChannel)), "{outcome:?}");
    }
    assert_eq!(put(&store, say(channel, &ann(), "x")).await.seq, 1);
}

/// Within a channel, a later event is never earlier in time, and the log has the time of the answer.
pub async fn time_never_goes_back_in_a_channel<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let mut told = Vec::new();
    for i in 0..20 {
        told.push(put(&store, say(channel, &ann(), &i.to_string())).await.at);
    }
    assert!(told.is_sorted(), "{told:?}");
    let kept: Vec<_> = log(&store, channel).await.into_iter().map(|e| e.at).collect();
    assert_eq!(kept, told);
    let folded: Vec<_> = messages(&store, channel).await.into_iter().map(|m| m.at).collect();
    assert_eq!(folded, told);
}

/// `heads` answers in the order of the request, `None` for a channel that does not exist, and twice for a repeated
/// channel.
pub async fn heads_come_in_the_order_asked<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (a, b) = (channel(&store, "a").await, channel(&store, "b").await);
    put_texts(&store, b, 1..=3).await;
    put_texts(&store, a, 1..=1).await;
    let heads = store.heads(&[b, NOWHERE, a, b]).await.expect("heads can be read");
    let seqs: Vec<_> = heads.iter().map(|h| h.as_ref().map(|h| h.seq)).collect();
    assert_eq!(seqs, [Some(3), None, Some(1), Some(3)]);
    assert!(store.heads(&[]).await.expect("no heads can be read").is_empty());
}

/// Two handles with many writers each: every channel's log has each message once, at the `seq` that its writer
/// got, with no gap.
pub async fn many_writers_on_two_handles_leave_no_gap<F: StoreFixture>(fixture: F) {
    const WRITERS: u64 = 8;
    const BATCHES: u64 = 10;
    let first = Arc::new(fixture.open().await);
    let second = Arc::new(fixture.another(&first).await);
    let channels = [channel(&*first, "a").await, channel(&*first, "b").await];
    let tasks: Vec<_> = (0..WRITERS)
        .map(|w| {
            let store = Arc::clone(if w % 2 == 0 { &first } else { &second });
            tokio::spawn(async move {
                let mut told = Vec::new();
                for b in 0..BATCHES {
                    let text = |i| format!("{w} {b} {i}");
                    let batch =
                        (0..4).map(|i| say(channels[(w + i) as usize % 2], &ann(), &text(i))).collect();
                    for (taken, i) in store.append(batch).await.into_iter().zip(0..) {
                        let seq = taken.expect("a message is taken").seq;
                        told.push((channels[(w + i) as usize % 2], seq, text(i)));
                    }
                    tokio::task::yield_now().await;
                }
                told
            })
        })
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.extend(task.await.expect("a writer ends well"));
    }
    for store in [&first, &second] {
        for id in channels {
            let kept: Vec<_> =
                messages(&**store, id).await.into_iter().map(|m| (id, m.seq, m.text)).collect();
            let mut expected: Vec<_> = told.iter().filter(|(c, ..)| *c == id).cloned().collect();
            expected.sort();
            assert_eq!(kept, expected);
            assert_eq!(log(&**store, id).await.len(), expected.len());
        }
    }
}

/// Batches that name the same channels in opposite orders, at once on two handles, all finish.
pub async fn opposite_channel_orders_do_not_deadlock<F: StoreFixture>(fixture: F) {
    let first = Arc::new(fixture.open().await);
    let second = Arc::new(fixture.another(&first).await);
    let mut channels = Vec::new();
    for i in 0..6 {
        channels.push(channel(&*first, &format!("c{i}")).await);
    }
    let writer = |store: &Arc<F::Store>, who: &'static str, channels: Vec<_>| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            for round in 0..15 {
                let batch = channels.iter().map(|c| say(*c, &ann(), &format!("{who} {round}"))).collect();
                for taken in store.append(batch).await {
                    taken.expect("a message is taken");
                }
            }
        })
    };
    let forth = writer(&first, "forth", channels.clone());
    let back = writer(&second, "back", channels.iter().rev().copied().collect());
    forth.await.expect("the one order ends");
    back.await.expect("the other order ends");
    for id in channels {
        assert_eq!(log(&*first, id).await.len(), 30);
    }
}

/// While others write, no read shows an event without all events before it, and every later read of the log and of
/// the messages has at least the head that was seen.
pub async fn what_a_reader_sees_has_no_gap<F: StoreFixture>(fixture: F) {
    const WRITERS: u64 = 4;
    const EACH: u64 = 30;
    let store = Arc::new(fixture.open().await);
    let reader = fixture.another(&store).await;
    let channel = channel(&*store, "general").await;
    let from = start(&*store, channel).await;
    let tasks: Vec<_> = (0..WRITERS)
        .map(|w| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for i in 0..EACH {
                    put(&*store, say(channel, &ann(), &format!("{w} {i}"))).await;
                }
            })
        })
        .collect();
    loop {
        let seen = head(&reader, channel).await.seq;
        let log = events(&reader, channel, &from, usize::MAX).await;
        assert_gapless(&log);
        assert!(log.len() as u64 >= seen, "the head was {seen}, and the log ends at {}", log.len());
        let folded = messages(&reader, channel).await;
        assert!(folded.iter().map(|m| m.seq).eq(1..=folded.len() as u64), "the messages have a gap");
        assert!(folded.len() >= log.len(), "the log is ahead of its messages");
        if seen == WRITERS * EACH {
            break;
        }
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.expect("a writer ends well");
    }
}

/// Any text is read back as it was written: every script, line ends, quotes, control characters, and long texts.
pub async fn any_text_reads_back_as_written<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let texts = [
        "",
        " spaces around ",
        "line\nline\r\nline\ttab",
        "\"quotes\" 'and' \\back\\slashes\\ %s $1 {} ",
        "नमस्ते 你好 مرحبا 👩‍👩‍👧‍👦 e\u{301} é",
        "\u{1}\u{7f}\u{85}\u{2028}\u{feff}\u{fffd}\u{10ffff}",
    ];
    let long = "🦀".repeat(8_000);
    for (text, i) in texts.into_iter().chain([long.as_str()]).zip(1..) {
        let taken = put(&store, publish(channel, &ann(), &format!("n{i}"), text)).await;
        assert_eq!(super::message(&store, channel, taken.seq).await.text, text);
        let event = log(&store, channel).await.pop().expect("the log has the message");
        assert!(matches!(&event.kind, EventKind::Message(c) if *c.text == *text), "{event:?}");
    }
    let odd = nonce("quote ' \" \\ % é 👍");
    let taken = put(&store, publish(channel, &ann(), odd.as_str(), "x")).await;
    assert_eq!(super::message(&store, channel, taken.seq).await.nonce, odd);
}

/// A text with U+0000, which some databases can't store, is stored whole or refused with
/// [`AppendError::Rejected`]. Its neighbours are stored either way.
pub async fn zero_bytes_are_kept_or_rejected_alone<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let zero = "a\0b";
    let batch = vec![
        say(channel, &ann(), "one"),
        publish(channel, &ann(), "zero", zero),
        say(channel, &ann(), "two"),
    ];
    let answers = store.append(batch).await;
    let texts: Vec<_> = messages(&store, channel).await.into_iter().map(|m| m.text).collect();
    match &answers[1] {
        Ok(_) => assert_eq!(texts, ["one", zero, "two"]),
        Err(AppendError::Rejected(_)) => assert_eq!(texts, ["one", "two"]),
        Err(other) => panic!("{other:?} is not Rejected"),
    }
    assert!(answers[0].is_ok() && answers[2].is_ok(), "{answers:?}");
    log(&store, channel).await;
}

/// If the future of an append is dropped, unpolled or after any number of polls, each item is stored whole or not
/// at all. After a retry with the same nonces each is stored once, with no gap.
pub async fn an_append_dropped_at_any_point_is_whole_or_absent<F: StoreFixture>(fixture: F) {
    const ITEMS: u64 = 3;
    const ROUNDS: u64 = 24;
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    for polls in 0..ROUNDS {
        let batch: Vec<_> = (0..ITEMS).map(|i| say(channel, &ann(), &format!("{polls} {i}"))).collect();
        poll_and_drop(store.append(batch.clone()), polls).await;
        // The dropped batch may be stored at any moment from here on, even between the next two.
        put(&store, say(channel, &ann(), &format!("{polls} after"))).await;
        for taken in store.append(batch).await {
            taken.expect("a retry is taken");
        }
    }
    let mut texts: Vec<_> = messages(&store, channel).await.into_iter().map(|m| m.text).collect();
    assert_eq!(log(&store, channel).await.len(), texts.len());
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len() as u64, ROUNDS * (ITEMS + 1), "each message is stored once");
    assert_eq!(head(&store, channel).await.seq, ROUNDS * (ITEMS + 1));
}

/// Polls a future at most this many times, letting other tasks run in between, and drops it.
async fn poll_and_drop<T>(future: impl Future<Output = T>, polls: u64) {
    let mut future = pin!(future);
    for _ in 0..polls {
        let done = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
        if done {
            return;
        }
        tokio::task::yield_now().await;
    }
}
