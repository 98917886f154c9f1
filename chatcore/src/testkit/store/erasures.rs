//! Laws of [`Erasures`].

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{
    StoreFixture, add, ann, answer, attach, bob, channel, channels, delete, edit, log, message, messages,
    name, put, react, say, state, upload,
};
use crate::model::append::{Append, AppendBody};
use crate::model::id::{ChannelId, Seq, UserId};
use crate::model::membership::{Member, MemberOp, Role};
use crate::model::message::{Erasure, User};
use crate::store::{
    AppendError, AttachmentIndex, ChannelInfo, Check, Directory, Durability, ErasedUser, Erasures,
    EventStore, FileBytes, Membership, NewPrivate, NextTraces, PageLimit, Store, Traces, UploadState,
};

const ALL: PageLimit = PageLimit::items(usize::MAX);

/// Somebody whose name is in no other word of these tests.
pub(super) fn zoe() -> User {
    User::new("u_9", "Zoë Quiz").expect("a user")
}

fn gone() -> User {
    User::erased(zoe().id)
}

pub(super) async fn begin<S: Store>(store: &S, erasure: Erasure) {
    store.begin_erasure(&zoe().id, erasure).await.expect("an erasure begins");
}

async fn private<S: Store>(store: &S, key: &str, owner: &User) -> ChannelInfo {
    let made = store.create_private_within(&NewPrivate::new(name(key), key), owner, usize::MAX).await;
    made.expect("creates a channel").expect("there is no bound")
}

fn change(channel: ChannelId, by: &User, op: MemberOp, user: &User, role: Role) -> Append {
    Append::new(channel, by.clone(), AppendBody::Member { op, user: user.clone(), role, most: 1_000 })
}

fn archiving(channel: ChannelId, by: &User) -> Append {
    Append::new(channel, by.clone(), AppendBody::Change { title: None, topic: None, archived: Some(true) })
}

fn titled(channel: ChannelId, by: &User, title: &str) -> Append {
    let title = Some(title.to_owned());
    Append::new(channel, by.clone(), AppendBody::Change { title, topic: None, archived: None })
}

/// Returns what comes next, once all writes from before are over.
async fn next<S: Store>(store: &S, limit: usize) -> Option<Traces> {
    loop {
        match store.next_traces(&zoe().id, limit).await.expect("traces can be read") {
            NextTraces::Found(traces) => return Some(traces),
            NextTraces::Later => tokio::task::yield_now().await,
            NextTraces::Nothing => return None,
        }
    }
}

/// Erases as a chat does, and returns what was found.
pub(super) async fn erase<S: Store>(store: &S, limit: usize, erasure: Erasure) -> Vec<Traces> {
    let mut found = Vec::new();
    while let Some(traces) = next(store, limit).await {
        let channel = traces.channel.id;
        for seq in traces.messages.iter().filter(|_| erasure == Erasure::Tombstones) {
            put(store, delete(channel, &gone(), *seq)).await;
        }
        for (target, emoji) in &traces.reactions {
            put(store, react(channel, &gone(), *target, emoji, false)).await;
        }
        store.cover_traces(&zoe().id, channel, traces.through).await.expect("a part is covered");
        found.push(traces);
    }
    store.end_erasure(&zoe().id).await.expect("an erasure ends");
    found
}

/// Everything of some channels that the store returns, as text.
async fn everything<S: Store>(store: &S, ids: &[ChannelId]) -> String {
    let mut all = format!("{:?}", channels(store).await);
    for id in ids {
        let members = store.members(*id, None, ALL).await.expect("members can be read");
        let listed = store.listed(&bob().id, *id).await.expect("a channel can be read");
        all += &format!(
            "{:?}\n{:?}\n{members:?}\n{listed:?}\n",
            log(store, *id).await,
            messages(store, *id).await
        );
    }
    all
}

pub(super) async fn checks<S: Store>(store: &S, channel: ChannelId) -> Vec<Check> {
    log(store, channel).await.iter().map(Check::of).collect()
}

/// Who is erased has no name any more, wherever people are shown by their current names, and is not found.
pub async fn an_erased_person_has_no_name_at_once<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    for user in [zoe(), bob()] {
        store.put_user(&user).await.expect("a user is stored");
    }
    let private = private(&store, "pr.a", &bob()).await;
    put(&store, change(private.id, &bob(), MemberOp::Added, &zoe(), Role::Member)).await;
    let people = [bob(), zoe()];
    let direct = store.open_direct_within(&name("dm.a"), &people, &bob(), 9).await.expect("opens a channel");
    let direct = direct.expect("room").into_channel();
    begin(&store, Erasure::Tombstones).await;
    for store in [&store, &other] {
        let users = store.users(&[zoe().id, bob().id]).await.expect("users can be read");
        assert_eq!((users.get(&zoe().id), users.get(&bob().id)), (Some(&gone()), Some(&bob())));
        for query in ["", "zo", "quiz", "deleted"] {
            let found = store.find_users(query, None, ALL).await.expect("users can be searched").users;
            assert!(found.iter().all(|user| *user == bob()), "{query:?} finds {found:?}");
        }
        store.put_user(&zoe()).await.expect("it is ignored");
        let member = store.member(private.id, &zoe().id).await.expect("members can be read");
        assert_eq!(member.map(|member| member.user), Some(gone()));
        let listed = store.listed(&bob().id, direct.id).await.expect("can be read").expect("bob's");
        assert_eq!(listed.users, [gone(), bob()], "a direct channel keeps its people");
    }
    let users = store.users(&[zoe().id]).await.expect("users can be read");
    assert_eq!(users.get(&zoe().id), Some(&gone()));
    let erased = store.erased_user(&zoe().id).await.expect("can be read");
    assert_eq!(erased, Some(ErasedUser::new(zoe().id, Erasure::Tombstones, false)));
    assert_eq!(other.erased_user(&bob().id).await.expect("can be read"), None);
    assert_eq!(other.erasures(9).await.expect("can be read"), Vec::from_iter(erased));
}

/// Who is erased leaves nothing any more, and nobody adds them. What takes something of theirs away is done.
pub async fn an_erased_person_leaves_nothing_any_more<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let a = channel(&store, "a").await;
    let private = private(&store, "pr.a", &bob()).await;
    let file = upload(&store, a, &zoe(), "a_1", UploadState::Receiving).await;
    put(&store, say(a, &zoe(), "one")).await;
    put(&store, say(a, &bob(), "two")).await;
    put(&store, react(a, &zoe(), 2, "👍", true)).await;
    store.mark_read(&zoe().id, a, 2).await.expect("a marker moves");
    begin(&store, Erasure::KeepTexts).await;

    let (added, role) = (MemberOp::Added, Role::Member);
    for refused in [
        say(a, &zoe(), "three"),
        answer(a, &zoe(), "four", 2),
        edit(a, &zoe(), 1, "five"),
        react(a, &zoe(), 2, "🎉", true),
        titled(a, &zoe(), "six"),
        change(private.id, &bob(), added, &zoe(), role),
        change(private.id, &zoe(), added, &ann(), role),
    ] {
        for refused in [refused.clone().checked(), refused] {
            let what = format!("{refused:?}");
            let outcome = store.append(vec![say(a, &bob(), &nonce_of(&what)), refused]).await;
            assert!(matches!(&outcome[1], Err(AppendError::Erased)), "{what}: {:?}", outcome[1]);
            assert!(outcome[0].is_ok(), "a neighbour is stored: {:?}", outcome[0]);
        }
    }
    let again = put(&store, say(a, &zoe(), "one")).await;
    assert!(again.duplicate && again.seq == 1, "what is stored is answered again: {again:?}");
    assert!(!store.join_open(a, &zoe()).await.expect("the store answers"));
    assert_eq!(store.member(a, &zoe().id).await.expect("members can be read"), None);
    let ready = file.clone().with_state(UploadState::Ready);
    assert!(!store.put_upload_within(&ready, FileBytes::MAX).await.expect("the store answers"));
    assert_eq!(state(&store, &file).await, Some(UploadState::Receiving));
    for marked in [store.mark_read(&zoe().id, a, 9).await, store.mark_unread(&zoe().id, a, 1).await] {
        marked.expect("the store answers");
    }
    store.create_channel(&name("b"), "", &zoe()).await.expect_err("they create no channel");
    let new = NewPrivate::new(name("pr.b"), "b");
    store.create_private_within(&new, &zoe(), 9).await.expect_err("nor a private one");
    let people = [bob(), zoe()];
    store.open_direct_within(&name("dm.b"), &people, &bob(), 9).await.expect_err("nobody writes to them");
    assert_eq!(channels(&store).await.len(), 2);

    put(&store, react(a, &zoe(), 2, "👍", false)).await;
    put(&store, delete(a, &zoe(), 1)).await;
    assert!(message(&store, a, 1).await.deleted && message(&store, a, 2).await.reactions.is_empty());
}

/// A nonce that is another one for each text.
fn nonce_of(text: &str) -> String {
    let hash = text.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
    format!("n{hash}")
}

/// Whatever the size of the parts, each message and reaction of theirs is found once, and none of others. Then no row
/// that was read has their name, and no check has changed.
pub async fn traces_are_found_once_and_covered<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    store.put_user(&zoe()).await.expect("a user is stored");
    let a = channel(&store, "a").await;
    let made = store.create_channel(&name("b"), "", &zoe()).await.expect("creates").into_channel().id;
    let private = private(&store, "pr.c", &zoe()).await.id;
    let never = channel(&store, "d").await;
    put(&store, change(private, &zoe(), MemberOp::Added, &bob(), Role::Member)).await;
    put(&store, change(private, &zoe(), MemberOp::Role, &bob(), Role::Owner)).await;
    put(&store, change(private, &bob(), MemberOp::Role, &zoe(), Role::Member)).await;
    put(&store, titled(private, &zoe(), "plans")).await;
    let ids = [a, made, private, never];
    for (n, id) in ids.iter().enumerate() {
        for i in 0..7_u64 {
            put(&store, say(*id, &bob(), &format!("b{i}"))).await;
            if *id != never {
                let theirs = put(&store, say(*id, &zoe(), &format!("z{i}"))).await.seq;
                put(&store, edit(*id, &zoe(), theirs, &format!("edited {n}"))).await;
                put(&store, react(*id, &zoe(), theirs - 1, "👍", true)).await;
                put(&store, react(*id, &bob(), theirs, "🎉", true)).await;
                if i == 3 {
                    put(&store, delete(*id, &zoe(), theirs)).await;
                    put(&store, react(*id, &zoe(), theirs - 1, "👍", false)).await;
                }
            }
        }
    }
    let file = upload(&store, a, &zoe(), "a_1", UploadState::Ready).await;
    let held = put(&store, attach(a, &zoe(), "with a file", &[&file])).await.seq;
    let mut before = Vec::new();
    for id in ids {
        before.push((head_of(&store, id).await, checks(&store, id).await));
    }
    let theirs = async |id| {
        let all = messages(&store, id).await;
        let theirs = all.iter().filter(|message| message.author.id == zoe().id && !message.deleted);
        theirs.map(|message| (id, message.seq)).collect::<Vec<_>>()
    };
    let mut expected = BTreeSet::new();
    for id in ids {
        expected.extend(theirs(id).await);
    }
    assert!(everything(&store, &ids).await.contains("Quiz"), "this test would find the name");

    begin(&store, Erasure::Tombstones).await;
    let found = erase(&store, 3, Erasure::Tombstones).await;
    let seqs: Vec<_> = found.iter().flat_map(|t| t.messages.iter().map(|seq| (t.channel.id, *seq))).collect();
    assert_eq!(seqs.len(), expected.len(), "each once");
    assert_eq!(BTreeSet::from_iter(seqs), expected);
    assert!(
        found.iter().all(|traces| traces.channel.id != never),
        "a log that they never wrote to is not read"
    );
    assert_eq!(found.iter().map(|traces| traces.reactions.len()).sum::<usize>(), 3 * 6);
    for id in ids {
        for message in messages(&store, id).await {
            let is_theirs = message.author.id == zoe().id;
            assert_eq!((message.deleted, message.author.is_deleted()), (is_theirs, is_theirs), "{message:?}");
            assert!(message.reactions.iter().all(|reaction| !reaction.users.contains(&zoe().id)));
        }
    }
    let left = everything(&store, &ids).await;
    assert!(!left.contains("Quiz"), "{left}");
    for (id, (head, checks_before)) in ids.iter().zip(before) {
        let now = checks(&store, *id).await;
        assert_eq!(now[..checks_before.len()], checks_before, "no check has changed");
        assert_eq!(head_of(&store, *id).await.epoch, head.epoch);
    }
    assert!(message(&store, a, held).await.attachments.is_empty());
    assert_eq!(state(&store, &file).await, Some(UploadState::Discarded));
    let erased = store.erased_user(&zoe().id).await.expect("can be read");
    assert!(erased.is_some_and(|erased| erased.done));
    assert_eq!(store.erasures(9).await.expect("can be read"), []);
    assert_eq!(next(&store, 3).await, None);
}

async fn head_of<S: Store>(store: &S, id: ChannelId) -> crate::store::Head {
    super::head(store, id).await
}

/// Texts that are kept stay as they are, with their files, without the name. A later choice of tombstones takes them.
pub async fn kept_texts_lose_only_the_name<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let a = channel(&store, "a").await;
    let file = upload(&store, a, &zoe(), "a_1", UploadState::Ready).await;
    let held = put(&store, attach(a, &zoe(), "with a file", &[&file])).await.seq;
    let edited = put(&store, say(a, &zoe(), "one")).await.seq;
    put(&store, edit(a, &zoe(), edited, "two")).await;
    put(&store, react(a, &bob(), edited, "🎉", true)).await;
    let before = message(&store, a, edited).await;
    begin(&store, Erasure::KeepTexts).await;
    erase(&store, 1, Erasure::KeepTexts).await;
    let kept = message(&store, a, edited).await;
    assert_eq!(kept.author, gone());
    assert_eq!(
        (kept.text, kept.reactions, kept.edited_at),
        (before.text, before.reactions, before.edited_at)
    );
    assert_eq!(message(&store, a, held).await.attachments.len(), 1);
    assert_eq!(state(&store, &file).await, Some(UploadState::Attached(held)));
    let left = everything(&store, &[a]).await;
    assert!(!left.contains("Quiz") && left.contains("two"), "{left}");

    begin(&store, Erasure::KeepTexts).await;
    begin(&store, Erasure::Tombstones).await;
    let found = erase(&store, 9, Erasure::Tombstones).await;
    assert_eq!(found.iter().flat_map(|traces| traces.messages.clone()).collect::<Vec<_>>(), [held, edited]);
    assert!(message(&store, a, edited).await.deleted);
}

/// Another handle goes on where the erasure is. What is covered is not found again, also if it is covered twice.
pub async fn an_erasure_goes_on_on_another_handle<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let (a, b) = (channel(&store, "a").await, channel(&store, "b").await);
    for id in [a, b] {
        for i in 0..5 {
            put(&store, say(id, &zoe(), &format!("{i}"))).await;
        }
    }
    begin(&store, Erasure::KeepTexts).await;
    let mut seen = Vec::new();
    for handle in [&store, &other].into_iter().cycle() {
        let Some(traces) = next(handle, 2).await else { break };
        assert_eq!(next(handle, 2).await.as_ref(), Some(&traces), "what is not covered is found again");
        seen.extend(traces.messages.iter().map(|seq| (traces.channel.id, *seq)));
        for handle in [&store, &other] {
            handle.cover_traces(&zoe().id, traces.channel.id, traces.through).await.expect("is covered");
        }
        begin(handle, Erasure::KeepTexts).await;
    }
    let expected = |id| (1..=5).map(move |seq: Seq| (id, seq));
    assert_eq!(seen, expected(a).chain(expected(b)).collect::<Vec<_>>());
    store.end_erasure(&zoe().id).await.expect("an erasure ends");
    other.cover_traces(&zoe().id, a, 2).await.expect("nothing happens");
    assert!(other.erased_user(&zoe().id).await.expect("can be read").is_some_and(|erased| erased.done));
}

/// An ended erasure leaves no marker, and no upload that no message has. Those of others stay.
pub async fn an_ended_erasure_leaves_no_marker_and_no_unused_file<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let a = channel(&store, "a").await;
    put(&store, say(a, &ann(), "one")).await;
    for user in [zoe(), bob()] {
        store.mark_read(&user.id, a, 1).await.expect("a marker moves");
    }
    let receiving = upload(&store, a, &zoe(), "a_1", UploadState::Receiving).await;
    let ready = upload(&store, a, &zoe(), "a_2", UploadState::Ready).await;
    let others = upload(&store, a, &bob(), "a_3", UploadState::Ready).await;
    begin(&store, Erasure::KeepTexts).await;
    erase(&store, 9, Erasure::KeepTexts).await;
    let unread = async |user: &UserId| store.unread(user, &[a]).await.expect("can be read").remove(0).read;
    assert_eq!((unread(&zoe().id).await, unread(&bob().id).await), (0, 1));
    for file in [&receiving, &ready] {
        assert_eq!(state(&store, file).await, Some(UploadState::Discarded));
    }
    assert_eq!(state(&store, &others).await, Some(UploadState::Ready));
}

/// Once its erasure is done, an id can be used again, by somebody who is another person to everybody.
pub async fn a_readmitted_id_is_another_person<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let a = channel(&store, "a").await;
    put(&store, say(a, &zoe(), "one")).await;
    assert!(!store.readmit(&zoe().id).await.expect("the store answers"), "they were not erased");
    begin(&store, Erasure::KeepTexts).await;
    assert!(!store.readmit(&zoe().id).await.expect("the store answers"), "it is under way");
    erase(&store, 9, Erasure::KeepTexts).await;
    assert!(store.readmit(&zoe().id).await.expect("the store answers"));
    assert_eq!(store.erased_user(&zoe().id).await.expect("can be read"), None);
    assert!(store.users(&[zoe().id]).await.expect("users can be read").is_empty());
    let new = User::new("u_9", "Yves").expect("a user");
    store.put_user(&new).await.expect("a user is stored");
    let found = store.find_users("yv", None, ALL).await.expect("can be searched").users;
    assert_eq!(found, std::slice::from_ref(&new));
    assert!(store.join_open(a, &new).await.expect("the store answers"));
    let second = put(&store, say(a, &new, "two")).await.seq;
    assert_eq!(message(&store, a, 1).await.author, gone());
    assert_eq!(message(&store, a, second).await.author, new);
}

/// The last owner who is erased makes somebody else the owner and leaves, also in an archive, where nobody else changes
/// roles.
pub async fn an_erased_owner_hands_over_even_an_archive<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let info = private(&store, "pr.a", &zoe()).await;
    put(&store, change(info.id, &zoe(), MemberOp::Added, &bob(), Role::Member)).await;
    put(&store, archiving(info.id, &zoe())).await;
    let handing = || change(info.id, &gone(), MemberOp::Role, &bob(), Role::Owner);
    let refused = add(&store, handing()).await;
    assert!(matches!(refused, Err(AppendError::Archived)), "{refused:?}");
    begin(&store, Erasure::Tombstones).await;
    let leaving = || change(info.id, &gone(), MemberOp::Left, &gone(), Role::Member);
    let refused = add(&store, leaving()).await;
    assert!(matches!(refused, Err(AppendError::LastOwner)), "{refused:?}");
    put(&store, handing()).await;
    put(&store, leaving()).await;
    let members = store.members(info.id, None, ALL).await.expect("members can be read").members;
    assert_eq!(members, [Member::new(bob(), Role::Owner).with_since(1)]);
}

/// Of somebody who writes on all handles while they are erased, nothing stays.
pub async fn nothing_written_during_the_beginning_stays<F: StoreFixture>(fixture: F) {
    let store = Arc::new(fixture.open().await);
    let other = Arc::new(fixture.another(&store).await);
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(channel(&*store, &format!("c{n}")).await);
    }
    let mut writers = Vec::new();
    for (n, handle) in [&store, &other, &store, &other].into_iter().enumerate() {
        let (handle, id) = (Arc::clone(handle), ids[n]);
        writers.push(tokio::spawn(async move {
            let mut stored = 0;
            for i in 0_u32.. {
                handle.join_open(id, &zoe()).await.expect("the store answers");
                handle.put_user(&zoe()).await.expect("the store answers");
                match add(&*handle, say(id, &zoe(), &format!("{n} {i}"))).await {
                    Ok(_) => stored += 1,
                    Err(AppendError::Erased) => break,
                    Err(error) => panic!("{error:?}"),
                }
            }
            stored
        }));
    }
    let bob = bob();
    while messages(&*store, ids[3]).await.len() < 5 {
        put(&*store, say(ids[0], &bob, &nonce_of(&format!("{:?}", head_of(&*store, ids[0]).await)))).await;
    }
    begin(&*other, Erasure::Tombstones).await;
    let found = erase(&*other, 7, Erasure::Tombstones).await;
    let mut stored = 0;
    for writer in writers {
        stored += writer.await.expect("a writer ends");
    }
    assert_eq!(found.iter().map(|traces| traces.messages.len()).sum::<usize>(), stored);
    for id in &ids {
        let theirs = messages(&*store, *id).await;
        let theirs: Vec<_> = theirs.iter().filter(|message| message.author.id == zoe().id).collect();
        assert!(theirs.iter().all(|message| message.deleted && message.author.is_deleted()), "{theirs:?}");
    }
    let users = store.users(&[zoe().id]).await.expect("users can be read");
    assert_eq!(users.get(&zoe().id), Some(&gone()));
    assert!(!everything(&*store, &ids).await.contains("Quiz"));
}

/// Of a shared store, one handle erases at a time.
pub async fn one_handle_of_a_shared_store_erases_at_a_time<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    // The turn to sweep is another.
    let _sweeping = store.sweep_turn().await.expect("the store answers");
    for (first, second) in [(&store, &other), (&other, &store)] {
        // The turn before ends as soon as the store notices.
        let turn = loop {
            match first.erasure_turn().await.expect("the store answers") {
                Some(turn) => break turn,
                None => tokio::task::yield_now().await,
            }
        };
        let another = second.erasure_turn().await.expect("the store answers");
        assert_eq!(another.is_none(), store.shared(), "a shared store has one turn");
        drop(turn);
    }
}

/// Closed and opened again, the store goes on with an erasure where it was.
pub async fn an_erasure_outlives_the_process<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    if store.durability() != Durability::Disk {
        return;
    }
    let a = channel(&store, "a").await;
    for i in 0..4 {
        put(&store, say(a, &zoe(), &format!("{i}"))).await;
    }
    begin(&store, Erasure::KeepTexts).await;
    let first = next(&store, 2).await.expect("traces");
    store.cover_traces(&zoe().id, a, first.through).await.expect("a part is covered");
    drop(store);

    let store = fixture.open().await;
    let erasures = store.erasures(9).await.expect("can be read");
    assert_eq!(erasures, [ErasedUser::new(zoe().id, Erasure::KeepTexts, false)]);
    let refused = add(&store, say(a, &zoe(), "late")).await;
    assert!(matches!(refused, Err(AppendError::Erased)), "{refused:?}");
    let rest = erase(&store, 9, Erasure::KeepTexts).await;
    let seqs: Vec<Seq> =
        first.messages.into_iter().chain(rest.into_iter().flat_map(|t| t.messages)).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    drop(store);
    let store = fixture.open().await;
    assert!(store.erased_user(&zoe().id).await.expect("can be read").is_some_and(|erased| erased.done));
    assert!(!everything(&store, &[a]).await.contains("Quiz"));
}
