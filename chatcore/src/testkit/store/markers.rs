//! Laws of [`Directory`]: read markers, and what they leave unread.

use std::sync::Arc;

use super::{
    NOWHERE, StoreFixture, add, ann, bob, channel, delete, edit, head, messages, nonce, put, put_texts,
    react, say,
};
use crate::model::append::{Append, AppendBody, EditExtras, Extras};
use crate::model::id::{ChannelId, Seq};
use crate::model::membership::{Mention, Mentions};
use crate::model::message::{Message, User};
use crate::model::time::Timestamp;
use crate::store::{Directory, EventStore, UNREAD_SCAN, UNREAD_SCAN_NEW, Unread};
use crate::testkit::Random;

/// A user who writes nothing.
fn cid() -> User {
    User::new("u_cid", "Cid").expect("a user")
}

/// A read marker moves only forward, and stops at the head.
pub async fn a_marker_never_goes_back_nor_past_the_head<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let id = channel(&store, "general").await;
    let user = bob().id;
    assert_eq!(store.mark_read(&user, id, 7).await.expect("a marker moves"), 0);
    put_texts(&store, id, 1..=5).await;
    for (to, expected) in [(2, 2), (1, 2), (0, 2), (4, 4), (6, 5), (3, 5), (Seq::MAX, 5)] {
        assert_eq!(store.mark_read(&user, id, to).await.expect("a marker moves"), expected, "marked {to}");
        let unread = store.unread(&user, &[id]).await.expect("markers can be read");
        assert_eq!(unread, [Unread::new(expected, 5 - expected, 5)]);
    }
    put_texts(&store, id, 6..=8).await;
    let unread = store.unread(&user, &[id]).await.expect("markers can be read");
    assert_eq!(unread, [Unread::new(5, 3, 8)]);
    assert!(store.mark_read(&user, NOWHERE, 1).await.is_err(), "a channel that does not exist has no marker");
}

/// Marking as unread moves a marker only back, for that user in that channel, and reading moves it forward again.
pub async fn a_marker_that_is_set_back_makes_messages_unread<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let id = channel(&store, "general").await;
    put_texts(&store, id, 1..=6).await;
    let user = bob().id;
    assert_eq!(store.mark_unread(&user, id, 3).await.expect("a marker moves"), 0, "never read");
    store.mark_read(&user, id, 5).await.expect("a marker moves");
    store.mark_read(&cid().id, id, 5).await.expect("a marker moves");
    for (from, expected) in [(Seq::MAX, 5), (6, 5), (5, 4), (3, 2), (5, 2), (1, 0), (0, 0)] {
        let now = store.mark_unread(&user, id, from).await.expect("a marker moves");
        assert_eq!(now, expected, "unread from {from}");
        let unread = other.unread(&user, &[id]).await.expect("markers can be read");
        assert_eq!(unread, [Unread::new(expected, 6 - expected, 6)]);
    }
    assert_eq!(store.mark_read(&user, id, 4).await.expect("a marker moves"), 4);
    let untouched = store.unread(&cid().id, &[id]).await.expect("markers can be read");
    assert_eq!(untouched, [Unread::new(5, 1, 6)]);
    assert!(
        store.mark_unread(&user, NOWHERE, 1).await.is_err(),
        "a channel that does not exist has no marker"
    );
}

/// If a user's marker is set many times at once, over two handles, it ends at the furthest.
pub async fn concurrent_markers_end_at_the_furthest<F: StoreFixture>(fixture: F) {
    let first = Arc::new(fixture.open().await);
    let second = Arc::new(fixture.another(&first).await);
    let id = channel(&*first, "general").await;
    put_texts(&*first, id, 1..=20).await;
    let tasks: Vec<_> = (1..=19_u64)
        .map(|i| {
            let store = Arc::clone(if i % 2 == 0 { &first } else { &second });
            // 7 is prime to 19, so this visits each position once, out of order.
            let seq = i * 7 % 19 + 1;
            tokio::spawn(async move {
                let now = store.mark_read(&bob().id, id, seq).await.expect("a marker moves");
                assert!(now >= seq, "marked {seq}, and it is at {now}");
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a marker ends well");
    }
    let unread = second.unread(&bob().id, &[id]).await.expect("markers can be read");
    assert_eq!(unread, [Unread::new(19, 1, 20)]);
}

/// A marker belongs to one user in one channel.
pub async fn markers_belong_to_one_user_in_one_channel<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (a, b) = (channel(&store, "a").await, channel(&store, "b").await);
    put_texts(&store, a, 1..=3).await;
    put_texts(&store, b, 1..=2).await;
    store.mark_read(&cid().id, a, 2).await.expect("a marker moves");
    store.mark_read(&bob().id, b, 1).await.expect("a marker moves");
    let at = |read, messages, head| Unread::new(read, messages, head);
    for (user, channels, expected) in [
        (cid(), [b, a, NOWHERE, b], [at(0, 2, 2), at(2, 1, 3), at(0, 0, 0), at(0, 2, 2)]),
        (bob(), [a, b, a, b], [at(0, 3, 3), at(1, 1, 2), at(0, 3, 3), at(1, 1, 2)]),
    ] {
        let unread = store.unread(&user.id, &channels).await.expect("markers can be read");
        assert_eq!(unread, expected, "of {user:?}");
    }
    assert!(store.unread(&ann().id, &[]).await.expect("markers can be read").is_empty());
}

/// Unread counts the messages after the marker, without tombstones, and no other event.
pub async fn unread_counts_messages_not_events<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let id = channel(&store, "general").await;
    put_texts(&store, id, 1..=2).await;
    put(&store, edit(id, &ann(), 1, "edited")).await;
    put(&store, react(id, &bob(), 1, "👍", true)).await;
    put(&store, say(id, &ann(), "five")).await;
    put(&store, delete(id, &ann(), 5)).await;
    put(&store, say(id, &ann(), "seven")).await;
    for (read, messages) in [(0, 3), (1, 2), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 0)] {
        store.mark_read(&bob().id, id, read).await.expect("a marker moves");
        let unread = store.unread(&bob().id, &[id]).await.expect("markers can be read");
        assert_eq!(unread, [Unread::new(read, messages, 7)]);
    }
}

/// After random messages, edits, deletes, reactions, markers and prunes, the unread count is what the messages
/// say: those after the marker, by others, not deleted.
pub async fn unread_equals_brute_force<F: StoreFixture>(fixture: F) {
    const STEPS: usize = 300;
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let channels = [channel(&store, "a").await, channel(&store, "b").await];
    let users = [ann(), bob(), cid()];
    let random = Random::from_env();
    let any = |len: usize| random.below(len as u64) as usize;
    for step in 0..STEPS {
        let (id, user) = (channels[any(channels.len())], &users[any(users.len())]);
        let target = random.below(step as u64 + 1) + 1;
        let item = match random.below(20) {
            0..5 => say(id, user, &step.to_string()),
            5..8 => mentioning(id, user, &step.to_string(), anybody(&random)),
            8 => edit(id, user, target, "edited"),
            9 => mentioning_anew(id, user, target, anybody(&random)),
            10..15 => delete(id, user, target),
            15..17 => react(id, user, target, "👍", true),
            17..19 => {
                store.mark_read(&user.id, id, target).await.expect("a marker moves");
                continue;
            }
            _ => {
                store.prune(id, target / 4, Timestamp::now()).await.expect("the log is pruned");
                continue;
            }
        };
        // Its target may not exist.
        let _ = add(&store, item).await;
        for (user, handle) in users.iter().zip([&store, &other, &store]) {
            let unread = handle.unread(&user.id, &channels).await.expect("markers can be read");
            for (id, unread) in channels.iter().zip(unread) {
                let page = messages(handle, *id).await;
                let counts = |m: &&Message| m.seq > unread.read && m.author.id != user.id && !m.deleted;
                let expected = page.iter().filter(counts).count() as u64;
                assert_eq!(unread.messages, expected, "of {user:?} after {step} steps in {id:?}");
                let mentions = page.iter().filter(counts).filter(|m| m.mentions.mean(&user.id)).count();
                assert_eq!(unread.mentions, mentions as u64, "of {user:?} after {step} steps in {id:?}");
            }
        }
    }
}

/// Mentions of some of the people, or of nobody.
fn anybody(random: &Random) -> Mentions {
    let here = if random.chance(0.5) { vec![bob().id] } else { Vec::new() };
    match random.below(6) {
        0 => Mentions::default(),
        1 => Mentions::new(vec![Mention::Channel], Vec::new()),
        2 => Mentions::new(vec![Mention::Here], here),
        3 => Mentions::new(vec![Mention::User(ann().id), Mention::User(cid().id)], Vec::new()),
        4 => Mentions::new(vec![Mention::Unknown("@later version".to_owned())], Vec::new()),
        _ => Mentions::new(vec![Mention::User(bob().id), Mention::Here], here),
    }
}

fn mentioning(channel: ChannelId, author: &User, key: &str, mentions: Mentions) -> Append {
    let body = AppendBody::Message {
        nonce: nonce(key),
        text: key.into(),
        reply_to: None,
        attachments: Vec::new(),
        extras: Extras::default().with_mentions(mentions).boxed(),
    };
    Append::new(channel, author.clone(), body)
}

fn mentioning_anew(channel: ChannelId, author: &User, target: Seq, mentions: Mentions) -> Append {
    let extras = EditExtras::boxed(Some(mentions), None);
    Append::new(channel, author.clone(), AppendBody::Edit { target, text: "edited".into(), extras })
}

/// The unread count looks only at the channel's newest messages, and at fewer for a user who has read nothing
/// there.
pub async fn unread_looks_at_the_newest_messages<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let id = channel(&store, "general").await;
    let last = UNREAD_SCAN + 1;
    put_texts(&store, id, 1..=last).await;
    let unread =
        async || store.unread(&bob().id, &[id]).await.expect("markers can be read").remove(0).messages;
    assert_eq!(unread().await, UNREAD_SCAN_NEW, "of a newcomer");
    for (read, messages) in [(1, UNREAD_SCAN), (2, UNREAD_SCAN - 1)] {
        store.mark_read(&bob().id, id, read).await.expect("a marker moves");
        assert_eq!(unread().await, messages, "of one who has read {read}");
    }
    put(&store, delete(id, &ann(), last)).await;
    put(&store, delete(id, &ann(), 1)).await;
    assert_eq!(unread().await, UNREAD_SCAN - 2);
    put(&store, say(id, &bob(), "own")).await;
    put(&store, say(id, &ann(), "next")).await;
    assert_eq!(unread().await, UNREAD_SCAN - 2, "the third and the fourth are too far back");
}

/// The unread count comes with the log's head: 0 for an empty log, moved by every kind of event, and unchanged by
/// a prune.
pub async fn unread_is_counted_at_the_head_beside_it<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let id = channel(&store, "general").await;
    let assert_unread = async |messages, seq| {
        for handle in [&store, &other] {
            let unread = handle.unread(&bob().id, &[id]).await.expect("markers can be read");
            assert_eq!(unread, [Unread::new(0, messages, seq)]);
            assert_eq!(head(handle, id).await.seq, seq);
        }
    };
    assert_unread(0, 0).await;
    for (item, messages) in [
        (say(id, &ann(), "one"), 1),
        (edit(id, &ann(), 1, "edited"), 1),
        (react(id, &bob(), 1, "👍", true), 1),
        (react(id, &bob(), 1, "👍", false), 1),
        (say(id, &ann(), "five"), 2),
        (delete(id, &ann(), 1), 1),
    ] {
        let seq = put(&store, item).await.seq;
        assert_unread(messages, seq).await;
    }
    for (through, messages) in [(4, 1), (6, 0)] {
        store.prune(id, through, Timestamp::now()).await.expect("the log is pruned");
        assert_unread(messages, 6).await;
    }
}

/// While others write and read, every answer belongs to one moment: in a log of messages only, the unread count is
/// the distance from the marker to the head.
pub async fn unread_is_one_view_while_others_write<F: StoreFixture>(fixture: F) {
    const WRITERS: u64 = 4;
    const EACH: u64 = 25;
    let store = Arc::new(fixture.open().await);
    let reader = fixture.another(&store).await;
    let id = channel(&*store, "general").await;
    let tasks: Vec<_> = (0..WRITERS)
        .map(|w| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for i in 0..EACH {
                    let seq = put(&*store, say(id, &ann(), &format!("{w} {i}"))).await.seq;
                    store.mark_read(&bob().id, id, seq).await.expect("a marker moves");
                }
            })
        })
        .collect();
    loop {
        // Checked first, so that the last answer has the whole log.
        let ended = tasks.iter().all(tokio::task::JoinHandle::is_finished);
        for user in [bob(), cid()] {
            let unread = reader.unread(&user.id, &[id]).await.expect("markers can be read").remove(0);
            assert_eq!(unread.read + unread.messages, unread.head, "{unread:?} of {user:?}");
            assert!(user == bob() || unread.read == 0, "{unread:?} of one who has read nothing");
            assert!(!ended || unread.head == WRITERS * EACH, "{unread:?} after all was written");
        }
        if ended {
            break;
        }
        tokio::task::yield_now().await;
    }
    for task in tasks {
        task.await.expect("a writer ends well");
    }
}
