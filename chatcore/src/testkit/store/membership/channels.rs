//! Laws of private and direct channels, and of who has which channel in their list.

use std::sync::Arc;

use super::{
    ALL, adding, archiving, change, cid, direct, leaving, member, members, naming, private, refusal,
    removing, seen,
};
use crate::model::append::{Append, AppendBody};
use crate::model::event::EventKind;
use crate::model::membership::{ChannelKind, HistoryAccess, Member, MemberOp, Notify, Role};
use crate::model::message::User;
use crate::store::{
    AppendError, Created, Directory, EventStore, Leaving, Listed, Membership, NewPrivate, PageLimit,
};
use crate::testkit::store::{
    NOWHERE, StoreFixture, add, ann, bob, channel, delete, edit, head, log, messages, name, put, react, say,
};

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
