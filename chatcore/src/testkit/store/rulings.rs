//! Which appends a store accepts: those that the memory store accepts, whatever came before.

use super::{NOWHERE, StoreFixture, add, ann, answer, bob, channel, delete, edit, log, name, react, say};
use crate::model::append::{Append, AppendBody};
use crate::model::event::{Event, EventKind};
use crate::model::id::{ChannelId, Seq};
use crate::model::membership::{HistoryAccess, Member, MemberOp, Role};
use crate::model::message::User;
use crate::store::{Listed, MemoryStore, NewPrivate, PageLimit, Store};
use crate::testkit::Random;

const ALL: PageLimit = PageLimit::items(usize::MAX);
/// The most members, so few that it is reached.
const MOST: usize = 3;

fn people() -> [User; 4] {
    let other = |id: &str| User::new(id, "Other").expect("a user");
    [ann(), bob(), other("u_cid"), other("u_dan")]
}

/// Creates the channels of the test, which two stores then have in the same order.
async fn channels<S: Store>(store: &S) -> Vec<ChannelId> {
    let mut ids = vec![channel(store, "open").await];
    for (key, history) in [("pr.a", HistoryAccess::All), ("pr.b", HistoryAccess::Joined)] {
        let new = NewPrivate::new(name(key), key).with_history(history);
        let made = store.create_private_within(&new, &ann(), usize::MAX).await.expect("creates a channel");
        ids.push(made.expect("there is no bound").id);
    }
    let opened = store.open_direct_within(&name("dm.a"), &[ann(), bob()], &ann(), usize::MAX).await;
    ids.push(opened.expect("opens a channel").expect("there is no bound").into_channel().id);
    ids.push(NOWHERE);
    ids
}

/// What happens next, in the channel with this id.
fn next(random: &Random, id: ChannelId, step: u64) -> Append {
    let people = people();
    let one = || people[random.below(people.len() as u64) as usize].clone();
    let (by, target, text) = (one(), random.below(step + 1) + 1, step.to_string());
    let role = if random.chance(0.4) { Role::Owner } else { Role::Member };
    let some = |text: &str| random.chance(0.4).then(|| text.to_owned());
    let item = match random.below(20) {
        0..2 => say(id, &by, &text),
        2 => answer(id, &by, &text, target),
        3 => edit(id, &by, target, &text),
        4 => delete(id, &by, target),
        5 => react(id, &by, target, "👍", random.chance(0.5)),
        6..9 => {
            let archived = random.chance(0.4).then(|| random.chance(0.3));
            let (title, topic) = (some(["a", "b"][random.below(2) as usize]), some("topic"));
            Append::new(id, by, AppendBody::Change { title, topic, archived })
        }
        n => {
            let op = match n {
                9..13 => MemberOp::Added,
                13..15 => MemberOp::Removed,
                15..17 => MemberOp::Left,
                _ => MemberOp::Role,
            };
            let user = if op == MemberOp::Left { by.clone() } else { one() };
            Append::new(id, by, AppendBody::Member { op, user, role, most: MOST })
        }
    };
    if random.chance(0.6) { item.checked() } else { item }
}

/// After random appends, checked and not, each of which ends as it does in the memory store, the log, the members, the
/// lists and the counts are those of the memory store.
pub async fn random_appends_end_as_in_the_memory_store<F: StoreFixture>(fixture: F) {
    const STEPS: u64 = 400;
    let (store, model) = (fixture.open().await, MemoryStore::new());
    let (ids, known) = (channels(&store).await, channels(&model).await);
    let random = Random::from_env();
    let mut accepted = 0;
    for step in 0..STEPS {
        let at = random.below(ids.len() as u64) as usize;
        let item = next(&random, ids[at], step);
        let expected = add(&model, Append { channel: known[at], ..item.clone() }).await;
        let what = format!("step {step}: {item:?}");
        let found = add(&store, item).await;
        match (expected, found) {
            (Ok(expected), Ok(found)) => {
                assert_eq!((found.seq, found.duplicate), (expected.seq, expected.duplicate), "{what}");
                accepted += 1;
            }
            (expected, found) => {
                let (expected, found) = (expected.map(|a| a.seq), found.map(|a| a.seq));
                assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{what}");
            }
        }
    }
    // Of most seeds some sixty are, and of the worst of four hundred twenty-three.
    assert!(accepted > STEPS / 80, "{accepted} of {STEPS} are accepted");
    for (id, known) in ids.iter().zip(&known).take(ids.len() - 1) {
        assert_eq!(changes(&store, *id).await, changes(&model, *known).await);
        let page = async |store: &dyn Store, id| {
            store.members(id, None, ALL).await.expect("members can be read").members
        };
        assert_eq!(page(&store, *id).await, page(&model, *known).await);
    }
    for user in people() {
        for archived in [false, true] {
            let list = async |store: &dyn Store| {
                let page = store.channels_of(&user.id, None, archived, ALL).await;
                page.expect("channels can be read").channels.into_iter().map(comparable).collect::<Vec<_>>()
            };
            assert_eq!(list(&store).await, list(&model).await, "of {user:?}");
        }
        let of = async |store: &dyn Store, ids: &[ChannelId]| {
            store.unread(&user.id, ids).await.expect("markers can be read")
        };
        assert_eq!(of(&store, &ids).await, of(&model, &known).await, "of {user:?}");
    }
}

/// The log of a channel, without its times.
async fn changes<S: Store>(store: &S, id: ChannelId) -> Vec<(Seq, EventKind)> {
    log(store, id).await.into_iter().map(|Event { seq, kind, .. }| (seq, kind)).collect()
}

/// What two stores have in common of a channel: not its id and time.
fn comparable(listed: Listed) -> (String, String, String, bool, Option<Member>, u64, Vec<User>) {
    let Listed { info, member, members, users } = listed;
    (info.name.to_string(), info.title, info.topic, info.archived, member, members, users)
}
