//! Laws of an erasure with [`Erasure::Tombstones`] in a log whose beginning was trimmed.

use super::erasures::{begin, checks, erase, zoe};
use super::{StoreFixture, bob, channel, edit, events, head, message, publish, put, say};
use crate::model::append::{Append, AppendBody, EditExtras};
use crate::model::data::Data;
use crate::model::event::{Event, EventKind};
use crate::model::id::{ChannelId, Position, Seq};
use crate::model::membership::{Mention, Mentions};
use crate::model::message::{Erasure, User};
use crate::model::time::Timestamp;
use crate::store::{Check, EventStore, Store};

/// An edit of everything that an edit can change. Each word of it is in nothing else.
fn edit_all(channel: ChannelId, author: &User, target: Seq) -> Append {
    let data: Data = serde_json::from_str(r#"{"secret":"data"}"#).expect("data");
    let extras = EditExtras::boxed(Some(Mentions::new(vec![Mention::Channel], Vec::new())), Some(data));
    Append::new(channel, author.clone(), AppendBody::Edit { target, text: "a secret".into(), extras })
}

/// Returns what the log still has of an edit.
fn of_edit(event: &Event) -> (&str, bool, bool) {
    match &event.kind {
        EventKind::Edited { text, mentions, data, .. } => (text, mentions.is_some(), data.is_some()),
        kind => panic!("{kind:?} is no edit"),
    }
}

async fn after<S: Store>(store: &S, channel: ChannelId, seq: Seq) -> Vec<Event> {
    let epoch = head(store, channel).await.epoch;
    events(store, channel, &Position::new(epoch, seq), usize::MAX).await
}

/// A log that is trimmed keeps later edits of its trimmed messages. What a person wrote in one goes as their messages do:
/// whatever the size of the parts, on all handles, and also if texts were kept at first. What others wrote stays, and so
/// does the text of somebody else's message that is still there. No check changes.
pub async fn edits_of_a_trimmed_message_go_with_who_wrote_them<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let (a, b) = (channel(&store, "a").await, channel(&store, "b").await);
    for id in [a, b] {
        put(&store, say(id, &zoe(), "first")).await;
        put(&store, say(id, &bob(), "second")).await;
        for text in ["third", "fourth"] {
            put(&store, say(id, &bob(), text)).await;
        }
        // Of their own and of somebody else's trimmed message, and of one that is still there.
        put(&store, edit_all(id, &zoe(), 1)).await;
        put(&store, edit_all(id, &zoe(), 2)).await;
        put(&store, edit(id, &bob(), 1, "by another")).await;
        put(&store, edit_all(id, &zoe(), 4)).await;
        let last = put(&store, publish(id, &zoe(), "last", "a secret")).await.seq;
        put(&store, edit_all(id, &zoe(), last)).await;
    }
    let before = (checks(&store, a).await, checks(&store, b).await);
    for id in [a, b] {
        store.prune(id, 3, Timestamp::now()).await.expect("the log is pruned");
    }
    begin(&store, Erasure::KeepTexts).await;
    erase(&store, 2, Erasure::KeepTexts).await;
    for event in after(&store, a, 4).await.iter().filter(|event| event.seq != 7 && event.seq != 9) {
        assert_eq!(of_edit(event), ("a secret", true, true), "texts are kept: {event:?}");
    }

    begin(&other, Erasure::Tombstones).await;
    erase(&other, 1, Erasure::Tombstones).await;
    for (handle, id) in [(&store, a), (&other, a), (&store, b), (&other, b)] {
        let log = after(handle, id, 3).await;
        for (at, kept) in [
            (5, ("", false, false)),
            (6, ("", false, false)),
            (7, ("by another", false, false)),
            (8, ("a secret", true, true)),
            (10, ("", false, false)),
        ] {
            assert_eq!(of_edit(&log[at - 4]), kept, "the edit at {at}");
        }
        assert_eq!(message(handle, id, 4).await.text, "a secret", "the log and its message are the same");
        assert!(message(handle, id, 9).await.deleted);
    }
    for (id, before) in [(a, before.0), (b, before.1)] {
        let now: Vec<_> = after(&store, id, 3).await.iter().map(Check::of).collect();
        assert_eq!(now[..7], before[3..], "no check has changed");
    }
}
