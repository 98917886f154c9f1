//! Laws of who comes and goes, and of what that allows.

use std::sync::Arc;

use super::{
    adding, archiving, change, cid, direct, leaving, member, members, naming, private, private_with, refusal,
    removing, seen,
};
use crate::model::append::{Append, AppendBody};
use crate::model::event::EventKind;
use crate::model::id::UserId;
use crate::model::membership::{HistoryAccess, Member, MemberOp, Role};
use crate::model::message::User;
use crate::store::{AppendError, Directory, EventStore, Membership, PageLimit};
use crate::testkit::store::{
    NOWHERE, StoreFixture, add, ann, bob, channel, delete, edit, head, log, name, put, react, say,
};

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
