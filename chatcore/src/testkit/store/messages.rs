//! Laws of current messages: a channel shows its log with all events applied.

use std::sync::Arc;

use super::model::{Model, fold};
use super::{
    NOWHERE, StoreFixture, add, ann, answer, assert_no_message, bob, channel, delete, edit, head, log,
    message, messages, publish, put, put_texts, react, say,
};
use crate::model::append::{Append, AppendBody};
use crate::model::event::EventKind;
use crate::model::id::Seq;
use crate::model::message::{ReactionLimits, TooManyReactions, User};
use crate::store::{AppendError, Appended, EventStore, PageLimit};
use crate::testkit::Random;

/// After any run of valid and invalid publishes, edits, deletes and reactions, the log has what was acknowledged,
/// redacted if deleted, and the messages are the log with all events applied.
pub async fn folded_messages_equal_the_fold_of_the_log<F: StoreFixture>(fixture: F) {
    let random = Random::from_env();
    let store = fixture.open().await;
    let channels = [channel(&store, "a").await, channel(&store, "b").await];
    let users = [ann(), bob(), User::new("u_cy", "Cy").expect("a valid id")];
    let mut models = [Model::default(), Model::default()];
    for _ in 0..60 {
        let mut batch = Vec::new();
        for _ in 0..=random.below(7) {
            let which = random.below(2) as usize;
            batch.push((which, models[which].draw(&random, channels[which], &users)));
        }
        let answers = store.append(batch.iter().map(|(_, item)| item.clone()).collect()).await;
        assert_eq!(answers.len(), batch.len());
        for ((which, item), outcome) in batch.into_iter().zip(answers) {
            let model = &mut models[which];
            assert_eq!(outcome.is_ok(), model.accepts(&item), "{item:?} got {outcome:?}");
            if let Ok(taken) = outcome {
                assert_eq!(taken.seq, model.log.len() as u64 + 1);
                model.take(item, &taken);
            }
        }
    }
    for (id, model) in channels.into_iter().zip(&models) {
        let kept = log(&store, id).await;
        assert_eq!(kept, model.log);
        let shown = messages(&store, id).await;
        assert_eq!(shown, model.messages());
        assert_eq!(shown, fold(&kept));
        for message in shown {
            assert_eq!(super::message(&store, id, message.seq).await, message);
        }
    }
}

/// An edited message has its last text and the time of the edit. The log keeps both texts.
pub async fn an_edit_shows_its_text_and_time<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let first = put(&store, say(channel, &ann(), "one")).await;
    assert_eq!(message(&store, channel, 1).await.edited_at, None);
    put(&store, edit(channel, &ann(), 1, "two")).await;
    let last = put(&store, edit(channel, &bob(), 1, "three")).await;
    let shown = message(&store, channel, 1).await;
    assert_eq!((shown.text.as_str(), shown.edited_at, shown.at), ("three", Some(last.at), first.at));
    assert_eq!(shown.author, ann());
    let texts: Vec<_> = log(&store, channel)
        .await
        .into_iter()
        .map(|e| match e.kind {
            EventKind::Message(content) => content.text,
            EventKind::Edited { text, .. } => text,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(texts, ["one", "two", "three"].map(Into::into));
}

/// Reactions are in the order of the first of each emoji, and users in the order in which they reacted, each once.
/// Removing the last user removes the emoji.
pub async fn reactions_keep_their_order_and_count_each_user_once<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put(&store, say(channel, &ann(), "one")).await;
    for (user, emoji, on) in [
        (bob(), "🎉", true),
        (ann(), "👍", true),
        (bob(), "👍", true),
        (ann(), "👍", true),
        (ann(), "🎉", false),
        (ann(), "x", true),
        (ann(), "x", false),
    ] {
        put(&store, react(channel, &user, 1, emoji, on)).await;
    }
    let shown: Vec<_> =
        message(&store, channel, 1).await.reactions.into_iter().map(|r| (r.emoji, r.users)).collect();
    assert_eq!(
        shown,
        [("🎉".to_owned(), vec![bob().id]), ("👍".to_owned(), vec![ann().id, bob().id])],
        "the reactions of the message"
    );
}

/// After a delete no read has the message's text or its edits' texts, neither the log nor the messages.
pub async fn a_delete_takes_the_text_out_of_everything<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let channel = channel(&store, "general").await;
    put(&store, say(channel, &ann(), "kept 1")).await;
    put(&store, publish(channel, &ann(), "n", "secret 1")).await;
    put(&store, edit(channel, &ann(), 2, "secret 2")).await;
    put(&store, edit(channel, &ann(), 1, "kept 2")).await;
    put(&store, edit(channel, &ann(), 2, "secret 3")).await;
    put(&store, react(channel, &bob(), 2, "👍", true)).await;
    let deleted = put(&store, delete(channel, &bob(), 2)).await;
    for handle in [&store, &other] {
        let shown = message(handle, channel, 2).await;
        assert!(shown.deleted, "{shown:?}");
        assert_eq!((shown.text.as_str(), shown.edited_at, shown.author), ("", None, ann()));
        assert!(shown.reactions.is_empty() && shown.attachments.is_empty());
        let log = log(handle, channel).await;
        let all = format!("{log:?} {:?}", messages(handle, channel).await);
        assert!(!all.contains("secret"), "{all}");
        assert!(all.contains("kept 1") && all.contains("kept 2"), "{all}");
        assert!(matches!(&log[1].kind, EventKind::Message(c) if c.deleted && c.nonce.as_str() == "n"));
        assert!(matches!(&log[2].kind, EventKind::Edited { target: 2, text, .. } if text.is_empty()));
        assert!(matches!(&log[6].kind, EventKind::Deleted { target: 2, by } if *by == bob()));
        assert_eq!((log[6].seq, log[6].at), (deleted.seq, deleted.at));
    }
}

/// A deleted message can't be edited, reacted to or deleted again.
pub async fn a_deleted_message_refuses_changes<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put(&store, say(channel, &ann(), "one")).await;
    put(&store, delete(channel, &ann(), 1)).await;
    assert_no_message(&add(&store, edit(channel, &ann(), 1, "x")).await);
    assert_no_message(&add(&store, react(channel, &ann(), 1, "👍", true)).await);
    assert_no_message(&add(&store, react(channel, &ann(), 1, "👍", false)).await);
    assert_no_message(&add(&store, delete(channel, &ann(), 1)).await);
    assert_eq!(head(&store, channel).await.seq, 2);
}

/// The target of an edit, a delete or a reaction must be a message of the same channel.
pub async fn only_a_message_can_be_changed<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (here, there) = (channel(&store, "here").await, channel(&store, "there").await);
    put_texts(&store, there, 1..=9).await;
    put(&store, say(here, &ann(), "one")).await;
    put(&store, edit(here, &ann(), 1, "two")).await;
    put(&store, react(here, &ann(), 1, "👍", true)).await;
    // 4 would be the item's own `seq`.
    for target in [0, 2, 3, 4, 5, 9, i64::MAX as u64, i64::MAX as u64 + 1, Seq::MAX] {
        assert_no_message(&add(&store, edit(here, &ann(), target, "x")).await);
        assert_no_message(&add(&store, delete(here, &ann(), target)).await);
        assert_no_message(&add(&store, react(here, &ann(), target, "👍", true)).await);
    }
    assert_eq!(head(&store, here).await.seq, 3);
    assert_eq!(store.message(here, 2).await.expect("can be read"), None);
    assert_eq!(store.message(here, 0).await.expect("can be read"), None);
    assert_eq!(store.message(here, Seq::MAX).await.expect("can be read"), None);
}

/// A message can reply only to a message of the same channel, which may be deleted.
pub async fn only_a_message_can_be_answered<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (here, there) = (channel(&store, "here").await, channel(&store, "there").await);
    put_texts(&store, there, 1..=9).await;
    put(&store, say(here, &ann(), "one")).await;
    put(&store, say(here, &ann(), "two")).await;
    put(&store, delete(here, &ann(), 1)).await;
    for target in [0, 3, 4, 9, Seq::MAX] {
        assert_no_message(&add(&store, answer(here, &ann(), "x", target)).await);
    }
    assert_eq!(put(&store, answer(here, &ann(), "to two", 2)).await.seq, 4);
    assert_eq!(put(&store, answer(here, &ann(), "to a tombstone", 1)).await.seq, 5);
    assert_eq!(message(&store, here, 4).await.reply_to, Some(2));
    assert_eq!(message(&store, here, 5).await.reply_to, Some(1));
    assert_eq!(message(&store, here, 2).await.reply_to, None);
}

/// The items of a batch are applied in order: each sees the effects of earlier ones.
pub async fn an_item_sees_those_before_it_in_the_batch<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let answers = store
        .append(vec![
            edit(channel, &ann(), 1, "too early"),
            publish(channel, &ann(), "n", "secret"),
            answer(channel, &bob(), "answer", 1),
            edit(channel, &ann(), 1, "secret too"),
            react(channel, &bob(), 1, "👍", true),
            delete(channel, &ann(), 1),
            edit(channel, &ann(), 1, "too late"),
            say(channel, &ann(), "last"),
        ])
        .await;
    let seqs: Vec<_> = answers.into_iter().map(|r| r.ok().map(|a| a.seq)).collect();
    assert_eq!(seqs, [None, Some(1), Some(2), Some(3), Some(4), Some(5), None, Some(6)]);
    let all = format!("{:?} {:?}", log(&store, channel).await, messages(&store, channel).await);
    assert!(!all.contains("secret"), "{all}");
    assert!(message(&store, channel, 1).await.deleted);
}

/// However edits and a delete race on two handles, nothing of the text is left after the delete.
pub async fn an_edit_racing_a_delete_leaves_no_text<F: StoreFixture>(fixture: F) {
    let first = Arc::new(fixture.open().await);
    let second = Arc::new(fixture.another(&first).await);
    let channel = channel(&*first, "general").await;
    for round in 0..10 {
        let target = put(&*first, publish(channel, &ann(), &format!("n{round}"), "secret")).await.seq;
        let editor = Arc::clone(&second);
        let edits = tokio::spawn(async move {
            for _ in 0..10 {
                if add(&*editor, edit(channel, &ann(), target, "secret")).await.is_err() {
                    break;
                }
            }
        });
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        put(&*first, delete(channel, &ann(), target)).await;
        edits.await.expect("the editor ends well");
    }
    let all = format!("{:?} {:?}", log(&*first, channel).await, messages(&*second, channel).await);
    assert!(!all.contains("secret"), "{all}");
}

/// A page has the newest messages before its bound, oldest first, including tombstones.
pub async fn a_page_ends_below_its_bound<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put_texts(&store, channel, 1..=3).await;
    put(&store, edit(channel, &ann(), 1, "edited")).await;
    put(&store, delete(channel, &ann(), 2)).await;
    put(&store, say(channel, &ann(), "six")).await;
    put(&store, react(channel, &ann(), 6, "👍", true)).await;
    let cases: [(Seq, usize, &[Seq]); 12] = [
        (Seq::MAX, 10, &[1, 2, 3, 6]),
        (Seq::MAX, 3, &[2, 3, 6]),
        (i64::MAX as u64 + 1, 1, &[6]),
        (8, 2, &[3, 6]),
        (7, 2, &[3, 6]),
        (6, 2, &[2, 3]),
        (4, 2, &[2, 3]),
        (3, usize::MAX, &[1, 2]),
        (2, 1, &[1]),
        (1, 10, &[]),
        (0, 10, &[]),
        (Seq::MAX, 0, &[]),
    ];
    for (before, limit, expected) in cases {
        let page = store
            .messages_before(channel, before, PageLimit::items(limit))
            .await
            .expect("messages can be read");
        let seqs: Vec<_> = page.messages.iter().map(|m| m.seq).collect();
        assert_eq!(seqs, expected, "the newest {limit} before {before}");
    }
    assert!(message(&store, channel, 2).await.deleted);
}

/// A page has the oldest messages with `seq` greater than `after`, oldest first, and says exactly whether there are newer
/// ones.
pub async fn a_page_begins_above_its_bound<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let page = async |after, limit| {
        let page = store.messages_after(channel, after, PageLimit::items(limit)).await;
        let page = page.expect("messages can be read");
        (page.messages.iter().map(|message| message.seq).collect::<Vec<_>>(), page.more)
    };
    for limit in [0, 10] {
        assert_eq!(page(0, limit).await, (Vec::new(), false), "an empty channel");
    }
    put_texts(&store, channel, 1..=3).await;
    put(&store, edit(channel, &ann(), 1, "edited")).await;
    put(&store, delete(channel, &ann(), 2)).await;
    put(&store, say(channel, &ann(), "six")).await;
    put(&store, react(channel, &ann(), 6, "👍", true)).await;
    let cases: [(Seq, usize, &[Seq], bool); 15] = [
        (0, 10, &[1, 2, 3, 6], false),
        (0, 4, &[1, 2, 3, 6], false),
        (0, 3, &[1, 2, 3], true),
        (0, 0, &[], true),
        (1, 2, &[2, 3], true),
        (2, 2, &[3, 6], false),
        (3, 1, &[6], false),
        (3, 0, &[], true),
        (4, usize::MAX, &[6], false),
        (5, 1, &[6], false),
        (6, 1, &[], false),
        (6, 0, &[], false),
        (7, 10, &[], false),
        (i64::MAX as u64 + 1, 10, &[], false),
        (Seq::MAX, 10, &[], false),
    ];
    for (after, limit, expected, more) in cases {
        assert_eq!(page(after, limit).await, (expected.to_vec(), more), "the oldest {limit} after {after}");
    }
    let all = messages(&store, channel).await;
    let read = store.messages_after(channel, 0, PageLimit::items(9)).await.expect("messages can be read");
    assert_eq!(read.messages, all, "in their current state");
    let unknown = store.messages_after(NOWHERE, 0, PageLimit::items(9)).await.expect("messages can be read");
    assert!(unknown.messages.is_empty() && !unknown.more, "{unknown:?}");
}

/// `more` is true if and only if there are messages older than the page's.
pub async fn a_page_says_exactly_whether_there_is_more<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    let more = async |before, limit| {
        store
            .messages_before(channel, before, PageLimit::items(limit))
            .await
            .expect("messages can be read")
            .more
    };
    assert!(!more(Seq::MAX, 10).await, "an empty channel has no more");
    assert!(!more(Seq::MAX, 0).await, "an empty channel has no more");
    put_texts(&store, channel, 1..=4).await;
    put(&store, edit(channel, &ann(), 1, "edited")).await;
    for (before, limit, expected) in [
        (Seq::MAX, 3, true),
        (Seq::MAX, 4, false),
        (Seq::MAX, 5, false),
        (Seq::MAX, 0, true),
        (4, 2, true),
        (4, 3, false),
        (2, 1, false),
        (2, 0, true),
        (1, 1, false),
        (1, 0, false),
        (0, 0, false),
    ] {
        assert_eq!(more(before, limit).await, expected, "more than {limit} before {before}");
    }
}

/// A channel that does not exist has no messages, and that is no error.
pub async fn an_unknown_channel_has_no_messages<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    put_texts(&store, channel(&store, "general").await, 1..=2).await;
    let page =
        store.messages_before(NOWHERE, Seq::MAX, PageLimit::items(10)).await.expect("messages can be read");
    assert!(page.messages.is_empty() && !page.more, "{page:?}");
    assert_eq!(store.message(NOWHERE, 1).await.expect("a message can be read"), None);
}

/// However many reactions come at once, a message accepts no more than the limits allow. An existing reaction is
/// accepted again, and a removed one makes room.
pub async fn reactions_are_bounded_whoever_comes_first<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let channel = channel(&store, "general").await;
    put(&store, publish(channel, &ann(), "1", "hello")).await;
    let limited = |author: &User, emoji: &str, on| {
        let limits = ReactionLimits { on_message: 5, of_user: 3 };
        let body = AppendBody::React { target: 1, emoji: emoji.to_owned(), on, limits };
        Append::new(channel, author.clone(), body)
    };
    let taken = |outcomes: &[Result<Appended, AppendError>]| outcomes.iter().filter(|o| o.is_ok()).count();
    let emoji: Vec<String> = (0..10).map(|i| format!("e{i}")).collect();
    // In separate batches, and in one.
    let anns = emoji.iter().map(|emoji| store.append(vec![limited(&ann(), emoji, true)]));
    let anns = futures::future::join_all(anns).await.concat();
    assert_eq!(taken(&anns), 3);
    let refused = anns.iter().filter_map(|outcome| outcome.as_ref().err());
    let of_user = |error: &AppendError| {
        matches!(error, AppendError::TooManyReactions(TooManyReactions::OfUser { most: 3 }))
    };
    assert!(refused.clone().all(of_user), "{anns:?}");
    let bobs = store.append(emoji.iter().map(|emoji| limited(&bob(), emoji, true)).collect()).await;
    assert_eq!(taken(&bobs), 2);
    let full = |error: &AppendError| {
        matches!(error, AppendError::TooManyReactions(TooManyReactions::OnMessage { most: 5 }))
    };
    assert!(bobs.iter().filter_map(|outcome| outcome.as_ref().err()).all(full), "{bobs:?}");

    put(&store, limited(&bob(), "e0", true)).await;
    put(&store, limited(&bob(), "e9", false)).await;
    put(&store, limited(&bob(), "e0", false)).await;
    put(&store, limited(&bob(), "e5", true)).await;
    let message = store.message(channel, 1).await.expect("a message can be read").expect("it is there");
    assert_eq!(message.reactions.iter().map(|reaction| reaction.users.len()).sum::<usize>(), 5);
}
