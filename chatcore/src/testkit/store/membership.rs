//! Laws of [`Membership`], and of the appends that change members and channels.

use std::sync::Arc;

use super::{
    NOWHERE, StoreFixture, add, ann, bob, channel, delete, edit, head, log, message, messages, name, nonce,
    put, react, say,
};
use crate::model::data::Data;
use crate::model::event::{Append, AppendBody, EditExtras, EventKind, Extras};
use crate::model::id::{ChannelId, UserId};
use crate::model::membership::{
    ChannelKind, HistoryAccess, Member, MemberOp, Mention, Mentions, Notify, Role,
};
use crate::model::message::{MessageKind, User};
use crate::store::{
    AppendError, ChannelInfo, Created, Directory, EventStore, Leaving, Listed, Membership, NewPrivate,
    PageLimit, Store,
};

const ALL: PageLimit = PageLimit::items(usize::MAX);

fn cid() -> User {
    User::new("u_cid", "Cid").expect("a user")
}

async fn private<S: Store>(store: &S, key: &str) -> ChannelInfo {
    private_with(store, key, HistoryAccess::All).await
}

async fn private_with<S: Store>(store: &S, key: &str, history: HistoryAccess) -> ChannelInfo {
    let new = NewPrivate::new(name(key), format!("The {key}")).with_history(history);
    let made = store.create_private_within(&new, &ann(), usize::MAX).await.expect("creates a channel");
    made.expect("there is no bound")
}

async fn direct<S: Store>(store: &S, key: &str, people: &[User]) -> Created {
    let by = people.first().expect("somebody").clone();
    let opened = store.open_direct_within(&name(key), people, &by, usize::MAX).await;
    opened.expect("opens a channel").expect("there is no bound")
}

/// A change of a member, checked.
fn change(channel: ChannelId, by: &User, op: MemberOp, user: &User, role: Role) -> Append {
    let body = AppendBody::Member { op, user: user.clone(), role, most: 1_000 };
    Append::new(channel, by.clone(), body).checked()
}

fn adding(channel: ChannelId, by: &User, user: &User) -> Append {
    change(channel, by, MemberOp::Added, user, Role::Member)
}

fn removing(channel: ChannelId, by: &User, user: &User) -> Append {
    change(channel, by, MemberOp::Removed, user, Role::Member)
}

fn leaving(channel: ChannelId, user: &User) -> Append {
    change(channel, user, MemberOp::Left, user, Role::Member)
}

fn naming(channel: ChannelId, by: &User, title: &str) -> Append {
    let body = AppendBody::Change { title: Some(title.to_owned()), topic: None, archived: None };
    Append::new(channel, by.clone(), body).checked()
}

fn archiving(channel: ChannelId, by: &User, archived: bool) -> Append {
    let body = AppendBody::Change { title: None, topic: None, archived: Some(archived) };
    Append::new(channel, by.clone(), body).checked()
}

async fn member<S: Store>(store: &S, channel: ChannelId, user: &User) -> Option<Member> {
    store.member(channel, &user.id).await.expect("members can be read")
}

async fn members<S: Store>(store: &S, channel: ChannelId) -> Vec<Member> {
    store.members(channel, None, ALL).await.expect("members can be read").members
}

async fn seen<S: Store>(store: &S, user: &User) -> Vec<String> {
    let page = store.channels_of(&user.id, None, false, ALL).await.expect("channels can be read");
    assert!(!page.more);
    page.channels.into_iter().map(|listed| listed.info.name.to_string()).collect()
}

async fn refusal<S: Store>(store: &S, item: Append) -> AppendError {
    let what = format!("{item:?}");
    add(store, item).await.expect_err(&what)
}

/// A private channel is found by its key with everything that it was created with, and its creator owns it.
pub async fn a_private_channel_reads_back_as_created<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let new =
        NewPrivate::new(name("pr.a"), "Pläne").with_topic("für 2027").with_history(HistoryAccess::Joined);
    let made = store.create_private_within(&new, &bob(), 5).await.expect("creates a channel").expect("room");
    assert_eq!((&*made.title, &*made.topic), ("Pläne", "für 2027"));
    assert_eq!(
        (made.kind, made.history, made.archived),
        (ChannelKind::Private, HistoryAccess::Joined, false)
    );
    for handle in [&store, &other] {
        assert_eq!(handle.channel(&name("pr.a")).await.expect("can be read"), Some(made.clone()));
        assert_eq!(members(handle, made.id).await, [Member::new(bob(), Role::Owner)]);
        let listed = handle.listed(&bob().id, made.id).await.expect("can be read");
        assert_eq!(listed, Some(Listed::new(made.clone(), Some(Member::new(bob(), Role::Owner)), 1)));
        assert_eq!(
            handle.listed(&ann().id, made.id).await.expect("can be read"),
            None,
            "for others it is not there"
        );
    }
    assert_eq!(head(&store, made.id).await.seq, 0);
    let again = store.create_private_within(&new, &bob(), 5).await;
    assert!(again.is_err(), "the key is taken");
    // The store before had open channels only.
    let open = channel(&store, "general").await;
    let info = store.channel(&name("general")).await.expect("can be read").expect("it is there");
    assert_eq!((info.id, &*info.title, info.kind), (open, "general", ChannelKind::Open));
    assert_eq!(member(&other, open, &ann()).await, Some(Member::new(ann(), Role::Owner)));
}

/// Channels of every kind count toward the most that there may be.
pub async fn private_and_direct_channels_count_toward_the_bound<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    private(&store, "pr.a").await;
    direct(&store, "dm.a", &[ann(), bob()]).await;
    let new = NewPrivate::new(name("pr.b"), "B");
    assert_eq!(store.create_private_within(&new, &ann(), 2).await.expect("can be read"), None);
    let people = [ann(), cid()];
    assert_eq!(store.open_direct_within(&name("dm.b"), &people, &ann(), 2).await.expect("can be read"), None);
    assert_eq!(store.create_channel_within(&name("c"), "", &ann(), 2).await.expect("can be read"), None);
    let known = [bob(), ann()];
    let known = store.open_direct_within(&name("dm.b"), &known, &bob(), 2).await.expect("can be read");
    assert!(matches!(known, Some(Created::Exists(_))), "it is there already: {known:?}");
}

/// The same people have one direct channel, in whatever order they are named. Nobody comes or goes.
pub async fn a_direct_channel_is_its_people<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let Created::New(info) = direct(&store, "dm.a", &[ann(), bob()]).await else { panic!("it is new") };
    assert_eq!((info.kind, &*info.title), (ChannelKind::Direct, ""));
    assert_eq!(direct(&other, "dm.b", &[bob(), ann()]).await, Created::Exists(info.clone()));
    assert_eq!(other.channel(&name("dm.b")).await.expect("can be read"), None);
    for (key, people) in [("dm.c", vec![ann(), bob(), cid()]), ("dm.d", vec![ann()])] {
        assert!(matches!(direct(&store, key, &people).await, Created::New(_)), "{people:?} are others");
    }
    let listed = other.listed(&bob().id, info.id).await.expect("can be read").expect("bob is in it");
    assert_eq!((listed.users, listed.members), (vec![ann(), bob()], 2));
    assert_eq!(listed.member, Some(Member::new(bob(), Role::Member)));
    for item in [
        adding(info.id, &ann(), &cid()),
        removing(info.id, &ann(), &bob()),
        leaving(info.id, &bob()),
        change(info.id, &ann(), MemberOp::Role, &ann(), Role::Owner),
    ] {
        assert!(matches!(refusal(&store, item.clone()).await, AppendError::NotAllowed), "{item:?}");
        let by_the_app = Append { checked: false, ..item };
        assert!(matches!(refusal(&store, by_the_app).await, AppendError::NotAllowed), "by the app");
    }
    assert_eq!(head(&store, info.id).await.seq, 0);
}

/// Of many simultaneous openings by the same people, one creates their direct channel, and all get it.
pub async fn one_of_many_concurrent_direct_channels_is_new<F: StoreFixture>(fixture: F) {
    let store = Arc::new(fixture.open().await);
    let other = Arc::new(fixture.another(&store).await);
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let store = Arc::clone(if n % 2 == 0 { &store } else { &other });
            let people = if n % 3 == 0 { [ann(), bob()] } else { [bob(), ann()] };
            tokio::spawn(async move { direct(&*store, &format!("dm.{n}"), &people).await })
        })
        .collect();
    let (mut new, mut ids) = (0, Vec::new());
    for task in tasks {
        let created = task.await.expect("no panic");
        new += usize::from(matches!(created, Created::New(_)));
        ids.push(created.into_channel().id);
    }
    ids.dedup();
    assert_eq!((new, ids.len()), (1, 1));
}

/// A list has the open channels and one's own, by name, on pages that join to the whole, without archived ones unless
/// they are asked for.
pub async fn a_user_sees_open_channels_and_their_own<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    for open in ["zebra", "general", "a"] {
        channel(&store, open).await;
    }
    let (theirs, mine) = (private(&store, "pr.theirs").await, private(&store, "pr.mine").await);
    put(&store, adding(mine.id, &ann(), &bob())).await;
    direct(&store, "dm.mine", &[ann(), bob()]).await;
    direct(&store, "dm.theirs", &[ann(), cid()]).await;
    let expected = ["a", "dm.mine", "general", "pr.mine", "zebra"];
    assert_eq!(seen(&other, &bob()).await, expected);
    let mut after = None;
    let mut paged = Vec::new();
    loop {
        let page = other.channels_of(&bob().id, after.as_ref(), false, PageLimit::items(2)).await;
        let page = page.expect("channels can be read");
        paged.extend(page.channels.iter().map(|listed| listed.info.name.to_string()));
        after = page.channels.last().map(|listed| listed.info.name.clone());
        if !page.more {
            break;
        }
        assert_eq!(page.channels.len(), 2, "a page that is not the last is full");
    }
    assert_eq!(paged, expected);
    let page = other.channels_of(&bob().id, Some(&name("general")), false, ALL).await.expect("can be read");
    let roles: Vec<_> =
        page.channels.iter().map(|listed| listed.member.as_ref().map(|member| member.role)).collect();
    assert_eq!(roles, [Some(Role::Member), None]);
    for listed in page.channels {
        let alone = other.listed(&bob().id, listed.info.id).await.expect("can be read");
        assert_eq!(alone, Some(listed), "one is listed as it is on a page");
    }
    put(&store, archiving(mine.id, &ann(), true)).await;
    assert_eq!(seen(&other, &bob()).await, ["a", "dm.mine", "general", "zebra"]);
    let all = other.channels_of(&bob().id, None, true, ALL).await.expect("can be read").channels;
    assert!(all.iter().any(|listed| listed.info.id == mine.id && listed.info.archived));
    assert!(!all.iter().any(|listed| listed.info.id == theirs.id));
}

/// A checked write to a private or direct channel is refused unless its author is a member, as if there were no channel.
/// The app itself may write.
pub async fn strangers_write_to_open_channels_only<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let open = channel(&store, "general").await;
    put(&store, say(open, &cid(), "hello").checked()).await;
    let closed =
        [private(&store, "pr.a").await.id, direct(&store, "dm.a", &[ann(), bob()]).await.into_channel().id];
    for id in closed {
        put(&store, say(id, &ann(), "one").checked()).await;
        for item in [
            say(id, &cid(), "two"),
            edit(id, &cid(), 1, "two"),
            react(id, &cid(), 1, "👍", true),
            delete(id, &cid(), 1),
            adding(id, &cid(), &cid()),
            leaving(id, &cid()),
            naming(id, &cid(), "mine"),
        ] {
            let refused = refusal(&store, item.clone().checked()).await;
            assert!(matches!(refused, AppendError::NoSuchChannel), "{item:?}: {refused:?}");
        }
        put(&store, say(id, &cid(), "from the app")).await;
        assert_eq!(head(&store, id).await.seq, 2);
    }
    // A publish in one batch with its author's addition or removal is judged by what is before it.
    let batch = vec![
        say(closed[0], &bob(), "early").checked(),
        adding(closed[0], &ann(), &bob()),
        say(closed[0], &bob(), "in time").checked(),
        removing(closed[0], &ann(), &bob()),
        say(closed[0], &bob(), "late").checked(),
        say(closed[0], &ann(), "last").checked(),
    ];
    let answers: Vec<_> =
        store.append(batch).await.into_iter().map(|answer| answer.map(|a| a.seq).ok()).collect();
    assert_eq!(answers, [None, Some(3), Some(4), Some(5), None, Some(6)]);
}

/// Adding and removing are in the log, and take effect with it. Whoever comes back is a member from then on.
pub async fn a_removed_member_is_gone_and_can_come_back<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let id = private(&store, "pr.a").await.id;
    let added = put(&store, adding(id, &ann(), &bob())).await;
    assert_eq!(
        member(&other, id, &bob()).await,
        Some(Member::new(bob(), Role::Member).with_since(added.seq))
    );
    assert!(matches!(refusal(&other, adding(id, &ann(), &bob())).await, AppendError::Unchanged));
    put(&other, removing(id, &ann(), &bob())).await;
    assert_eq!(member(&store, id, &bob()).await, None);
    assert!(seen(&store, &bob()).await.is_empty());
    assert!(matches!(refusal(&store, removing(id, &ann(), &bob())).await, AppendError::NotAMember));
    let back = put(&store, change(id, &ann(), MemberOp::Added, &bob(), Role::Owner)).await;
    assert_eq!(member(&other, id, &bob()).await, Some(Member::new(bob(), Role::Owner).with_since(back.seq)));
    put(&other, leaving(id, &bob())).await;
    let expected = [
        (MemberOp::Added, Some(Role::Member), ann()),
        (MemberOp::Removed, None, ann()),
        (MemberOp::Added, Some(Role::Owner), ann()),
        (MemberOp::Left, None, bob()),
    ];
    let found: Vec<_> = log(&store, id).await.into_iter().map(|event| event.kind).collect();
    let expected: Vec<_> =
        expected.into_iter().map(|(op, role, by)| EventKind::Member { op, user: bob(), role, by }).collect();
    assert_eq!(found, expected);
    assert_eq!(members(&other, id).await, [Member::new(ann(), Role::Owner)]);
}

/// However a removal races the removed member's writes, none of them is in the log after it.
pub async fn no_write_of_a_removed_member_is_after_the_removal<F: StoreFixture>(fixture: F) {
    let store = Arc::new(fixture.open().await);
    let other = Arc::new(fixture.another(&store).await);
    let id = private(&*store, "pr.a").await.id;
    put(&*store, adding(id, &ann(), &bob())).await;
    let writer = Arc::clone(&other);
    let writing = tokio::spawn(async move {
        let mut written = 0;
        while add(&*writer, say(id, &bob(), &format!("{written}")).checked()).await.is_ok() {
            written += 1;
        }
        written
    });
    // The removal comes in the midst of the writes.
    while head(&*store, id).await.seq < 5 {
        tokio::task::yield_now().await;
    }
    put(&*store, removing(id, &ann(), &bob())).await;
    let written = writing.await.expect("no panic");
    let events = log(&*store, id).await;
    let removed =
        events.iter().position(|e| matches!(e.kind, EventKind::Member { op: MemberOp::Removed, .. }));
    assert_eq!(removed, Some(events.len() - 1), "nothing is after the removal");
    assert_eq!(events.len(), written + 2);
}

/// A checked change of the channel, of a role or of others' membership needs an owner. In an open channel anybody adds.
pub async fn an_owner_alone_changes_the_channel<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let id = private(&store, "pr.a").await.id;
    put(&store, adding(id, &ann(), &bob())).await;
    for item in [
        adding(id, &bob(), &cid()),
        removing(id, &bob(), &ann()),
        change(id, &bob(), MemberOp::Role, &bob(), Role::Owner),
        naming(id, &bob(), "mine"),
        archiving(id, &bob(), true),
    ] {
        let refused = refusal(&store, item.clone()).await;
        assert!(matches!(refused, AppendError::NotAllowed), "{item:?}: {refused:?}");
    }
    put(&store, change(id, &ann(), MemberOp::Role, &bob(), Role::Owner)).await;
    assert_eq!(member(&store, id, &bob()).await.map(|member| member.role), Some(Role::Owner));
    put(&store, naming(id, &bob(), "ours")).await;
    put(&store, removing(id, &bob(), &ann())).await;
    let by_the_app = Append { checked: false, ..naming(id, &cid(), "the app's") };
    put(&store, by_the_app).await;

    let open = channel(&store, "general").await;
    put(&store, adding(open, &cid(), &bob())).await;
    assert!(matches!(refusal(&store, naming(open, &bob(), "mine")).await, AppendError::NotAllowed));
    assert!(matches!(refusal(&store, removing(open, &bob(), &ann())).await, AppendError::NotAllowed));
    put(&store, naming(open, &ann(), "General")).await;
}

/// The last owner can neither leave, nor be removed, nor become a plain member, while others remain. Alone they may go.
pub async fn the_last_owner_stays_while_others_do<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let id = private(&store, "pr.a").await.id;
    put(&store, adding(id, &ann(), &bob())).await;
    let unowned = change(id, &ann(), MemberOp::Role, &ann(), Role::Member);
    for item in [leaving(id, &ann()), removing(id, &ann(), &ann()), unowned.clone()] {
        let refused = refusal(&other, item.clone()).await;
        assert!(matches!(refused, AppendError::LastOwner), "{item:?}: {refused:?}");
    }
    put(&store, change(id, &ann(), MemberOp::Role, &bob(), Role::Owner)).await;
    put(&store, unowned).await;
    put(&other, leaving(id, &ann())).await;
    put(&store, leaving(id, &bob())).await;
    assert!(members(&other, id).await.is_empty());
}

/// Additions at the same time on any handles never lead to more members than there may be.
pub async fn there_are_no_more_members_than_there_may_be<F: StoreFixture>(fixture: F) {
    const MOST: usize = 5;
    let store = Arc::new(fixture.open().await);
    let other = Arc::new(fixture.another(&store).await);
    let id = private(&*store, "pr.a").await.id;
    let tasks: Vec<_> = (0..12)
        .map(|n| {
            let store = Arc::clone(if n % 2 == 0 { &store } else { &other });
            let user = User::new(&format!("u_{n}"), "someone").expect("a user");
            let body = AppendBody::Member { op: MemberOp::Added, user, role: Role::Member, most: MOST };
            tokio::spawn(async move { add(&*store, Append::new(id, ann(), body)).await })
        })
        .collect();
    let mut added = 0;
    for task in tasks {
        match task.await.expect("no panic") {
            Ok(_) => added += 1,
            Err(error) => assert!(matches!(error, AppendError::TooManyMembers { most: MOST }), "{error:?}"),
        }
    }
    assert_eq!((added, members(&*store, id).await.len()), (MOST - 1, MOST));
}

/// Members come by id, page by page, with the name that each stored last.
pub async fn members_come_by_id_and_with_their_last_name<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let id = private(&store, "pr.a").await.id;
    for user in [cid(), bob()] {
        put(&store, adding(id, &ann(), &user)).await;
    }
    let renamed = User::new("u_bob", "Robert").expect("a user");
    store.put_user(&renamed).await.expect("a user is stored");
    let page = async |after: Option<&UserId>, items| {
        let page = other.members(id, after, PageLimit::items(items)).await.expect("can be read");
        (page.members.into_iter().map(|member| member.user).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(page(None, 2).await, (vec![ann(), renamed.clone()], true));
    assert_eq!(page(Some(&renamed.id), 2).await, (vec![cid()], false));
    assert_eq!(page(Some(&cid().id), 2).await, (vec![], false));
    assert_eq!(member(&other, id, &bob()).await.map(|member| member.user), Some(renamed));
    assert!(members(&other, NOWHERE).await.is_empty());
    assert_eq!(member(&other, NOWHERE, &bob()).await, None);
}

/// Joining and leaving an open channel changes who has it in their list, and not the log.
pub async fn everybody_joins_and_leaves_an_open_channel<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let id = channel(&store, "general").await;
    assert!(store.join_open(id, &bob()).await.expect("can be written"));
    assert!(!other.join_open(id, &bob()).await.expect("can be written"), "bob is there");
    assert_eq!(member(&other, id, &bob()).await, Some(Member::new(bob(), Role::Member)));
    let leave = async |user: &User| other.leave_open(id, &user.id).await.expect("can be written");
    assert_eq!(leave(&cid()).await, Leaving::NotAMember);
    assert_eq!(leave(&ann()).await, Leaving::LastOwner);
    assert_eq!(leave(&bob()).await, Leaving::Left);
    assert_eq!(leave(&ann()).await, Leaving::Left, "nobody is left who would have no owner");
    assert!(members(&store, id).await.is_empty());
    assert_eq!(head(&store, id).await.seq, 0);
    let closed = private(&store, "pr.a").await.id;
    assert!(
        !store.join_open(closed, &bob()).await.expect("can be written"),
        "a private channel is joined by nobody"
    );
    assert_eq!(member(&store, closed, &bob()).await, None);
    assert_eq!(store.leave_open(closed, &ann().id).await.expect("can be written"), Leaving::NotAMember);
    assert!(store.join_open(NOWHERE, &bob()).await.is_err());
}

/// What a member wants to be told of stays until they leave.
pub async fn what_a_member_wants_to_be_told_of_is_kept<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let id = private(&store, "pr.a").await.id;
    assert!(store.set_notify(id, &ann().id, Notify::Mentions).await.expect("can be written"));
    assert!(
        !store.set_notify(id, &bob().id, Notify::None).await.expect("can be written"),
        "bob is no member"
    );
    let listed = other.listed(&ann().id, id).await.expect("can be read").expect("ann sees it");
    assert_eq!(listed.member.map(|member| member.notify), Some(Notify::Mentions));
    put(&store, adding(id, &ann(), &bob())).await;
    put(&store, change(id, &ann(), MemberOp::Role, &bob(), Role::Owner)).await;
    assert!(other.set_notify(id, &bob().id, Notify::None).await.expect("can be written"));
    put(&store, change(id, &ann(), MemberOp::Role, &bob(), Role::Member)).await;
    assert_eq!(
        member(&store, id, &bob()).await.map(|member| member.notify),
        Some(Notify::None),
        "a role changes alone"
    );
    put(&store, leaving(id, &bob())).await;
    put(&store, adding(id, &ann(), &bob())).await;
    assert_eq!(member(&other, id, &bob()).await.map(|member| member.notify), Some(Notify::All));
}

/// Title, topic and archive change with the log, and read back everywhere.
pub async fn changes_of_a_channel_are_in_its_log<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let id = channel(&store, "general").await;
    put(&store, naming(id, &ann(), "Großes & Ganzes")).await;
    let both = AppendBody::Change { title: None, topic: Some("All".to_owned()), archived: Some(true) };
    put(&store, Append::new(id, ann(), both.clone())).await;
    assert!(matches!(refusal(&store, Append::new(id, ann(), both)).await, AppendError::Unchanged));
    let info = other.channel(&name("general")).await.expect("can be read").expect("it is there");
    assert_eq!((&*info.title, &*info.topic, info.archived), ("Großes & Ganzes", "All", true));
    let kinds: Vec<_> = log(&other, id).await.into_iter().map(|event| event.kind).collect();
    let by = ann();
    assert_eq!(
        kinds,
        [
            EventKind::Changed {
                title: Some("Großes & Ganzes".to_owned()),
                topic: None,
                archived: None,
                by: by.clone()
            },
            EventKind::Changed { title: None, topic: Some("All".to_owned()), archived: Some(true), by },
        ]
    );
    assert!(messages(&other, id).await.is_empty(), "no change is a message");
}

/// Nothing is added to an archived channel, by anybody. What takes away, and the end of the archive, is accepted.
pub async fn an_archived_channel_is_only_read<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let id = private(&store, "pr.a").await.id;
    put(&store, adding(id, &ann(), &bob())).await;
    put(&store, say(id, &ann(), "one")).await;
    put(&store, react(id, &bob(), 2, "👍", true)).await;
    put(&store, archiving(id, &ann(), true)).await;
    for item in [
        say(id, &ann(), "two"),
        edit(id, &ann(), 2, "two"),
        react(id, &ann(), 2, "👍", true),
        adding(id, &ann(), &cid()),
        change(id, &ann(), MemberOp::Role, &bob(), Role::Owner),
        naming(id, &ann(), "other"),
    ] {
        for item in [item.clone().checked(), Append { checked: false, ..item }] {
            let refused = refusal(&other, item.clone()).await;
            assert!(matches!(refused, AppendError::Archived), "{item:?}: {refused:?}");
        }
    }
    let again = add(&other, say(id, &ann(), "one")).await.expect("what is there is answered");
    assert!(again.duplicate);
    put(&other, react(id, &bob(), 2, "👍", false)).await;
    put(&other, leaving(id, &bob())).await;
    put(&other, delete(id, &ann(), 2)).await;
    put(&other, archiving(id, &ann(), false)).await;
    put(&store, say(id, &ann(), "two").checked()).await;
    let open = channel(&store, "general").await;
    put(&store, archiving(open, &ann(), true)).await;
    let batch =
        vec![say(open, &ann(), "a").checked(), say(id, &ann(), "three").checked(), say(open, &bob(), "b")];
    let answers: Vec<_> = store.append(batch).await.into_iter().map(|answer| answer.is_ok()).collect();
    assert_eq!(answers, [false, true, false], "an archived channel disturbs no other");
}

/// A message keeps its mentions, its kind and the app's data. An edit replaces what it names, and a delete takes all.
pub async fn a_message_keeps_its_mentions_kind_and_data<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let id = channel(&store, "general").await;
    let data =
        |value: u32| Data::new(&serde_json::json!({"ticket": value, "über": "\u{1}\"x\""})).expect("data");
    let mentions = Mentions::new(vec![Mention::User(bob().id), Mention::Here], vec![ann().id, bob().id]);
    let extras =
        Extras::default().with_mentions(mentions.clone()).with_kind(MessageKind::System).with_data(data(7));
    let body = AppendBody::Message {
        nonce: nonce("1"),
        text: "hello".to_owned(),
        reply_to: None,
        attachments: Vec::new(),
        extras: extras.boxed(),
    };
    put(&store, Append::new(id, ann(), body)).await;
    let said = message(&other, id, 1).await;
    assert_eq!(
        (said.mentions, said.kind, said.data),
        (mentions.clone(), Some(MessageKind::System), Some(data(7)))
    );
    let EventKind::Message(content) = log(&other, id).await.remove(0).kind else { panic!("a message") };
    assert_eq!(
        (content.mentions, content.kind, content.data),
        (mentions, Some(MessageKind::System), Some(data(7)))
    );

    put(&store, edit(id, &ann(), 1, "only the text")).await;
    assert_eq!(message(&other, id, 1).await.data, Some(data(7)));
    let anew = Mentions::new(vec![Mention::Channel], Vec::new());
    let extras = EditExtras::boxed(Some(anew.clone()), Some(data(8)));
    put(&store, Append::new(id, ann(), AppendBody::Edit { target: 1, text: "all".to_owned(), extras })).await;
    let edited = message(&other, id, 1).await;
    assert_eq!((edited.mentions, edited.data), (anew.clone(), Some(data(8))));
    let page = messages(&other, id).await;
    assert_eq!((&page[0].mentions, &page[0].data), (&anew, &Some(data(8))));
    let found = log(&other, id).await.remove(2).kind;
    let by = ann();
    let expected = EventKind::Edited {
        target: 1,
        text: "all".to_owned(),
        by,
        mentions: Some(anew),
        data: Some(data(8)),
    };
    assert_eq!(found, expected);

    put(&store, delete(id, &ann(), 1)).await;
    let gone = message(&other, id, 1).await;
    assert_eq!((gone.mentions, gone.data), (Mentions::default(), None));
    for event in log(&other, id).await {
        let left = serde_json::to_string(&event).expect("an event is JSON");
        assert!(!left.contains("ticket") && !left.contains("@channel") && !left.contains("@here"), "{left}");
    }
}

/// A member who can read the past only since they joined has nothing unread from before.
pub async fn a_channel_is_not_counted_before_its_member_joined<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    for (key, history, expected) in [("pr.a", HistoryAccess::All, 3), ("pr.b", HistoryAccess::Joined, 1)] {
        let id = private_with(&store, key, history).await.id;
        put(&store, say(id, &ann(), "one")).await;
        put(&store, say(id, &ann(), "two")).await;
        put(&store, adding(id, &ann(), &bob())).await;
        put(&store, say(id, &ann(), "three")).await;
        let unread = store.unread(&bob().id, &[id]).await.expect("can be read").remove(0);
        assert_eq!((unread.messages, unread.head), (expected, 4), "{history:?}");
    }
    let id = store.channel(&name("pr.b")).await.expect("can be read").expect("it is there").id;
    put(&store, removing(id, &ann(), &bob())).await;
    put(&store, say(id, &ann(), "four")).await;
    put(&store, adding(id, &ann(), &bob())).await;
    let unread = store.unread(&bob().id, &[id]).await.expect("can be read").remove(0);
    assert_eq!(unread.messages, 0, "who came back has nothing unread from their absence");
}

/// People are found by the beginning of a word of their name, by id, page by page.
pub async fn people_are_found_by_name<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let people = [
        ("u_1", "Ann Lee"),
        ("u_2", "Lee"),
        ("u_3", "Bob"),
        ("u_4", "Annika"),
        ("U_5", "Straße 100%_x"),
        ("u_6", "Jörg Müller"),
    ];
    for (id, name) in people {
        store.put_user(&User::new(id, name).expect("a user")).await.expect("a user is stored");
    }
    let find = async |query: &str, after: Option<&str>, items| {
        let after = after.map(|after| UserId::new(after).expect("an id"));
        let page =
            other.find_users(query, after.as_ref(), PageLimit::items(items)).await.expect("can be read");
        let ids: Vec<_> = page.users.iter().map(|user| user.id.as_str().to_owned()).collect();
        (ids.join(" "), page.more)
    };
    assert_eq!(find("", None, 9).await, ("U_5 u_1 u_2 u_3 u_4 u_6".to_owned(), false));
    assert_eq!(find("ANN", None, 9).await, ("u_1 u_4".to_owned(), false));
    assert_eq!(find("ann", None, 1).await, ("u_1".to_owned(), true));
    assert_eq!(find("ann", Some("u_1"), 1).await, ("u_4".to_owned(), false));
    assert_eq!(find("lee", None, 9).await, ("u_1 u_2".to_owned(), false));
    assert_eq!(find("STRASSE", None, 9).await, ("U_5".to_owned(), false));
    assert_eq!(find("100%_", None, 9).await, ("U_5".to_owned(), false), "no sign has a meaning");
    assert_eq!(find("MÜL", None, 9).await, ("u_6".to_owned(), false));
    for nobody in ["%", "_", "zoe", "nn", "ller"] {
        assert_eq!(find(nobody, None, 9).await, (String::new(), false), "{nobody}");
    }
}
