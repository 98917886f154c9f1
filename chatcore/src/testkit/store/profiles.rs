//! Laws of profiles: a person's name and avatar are those that were stored last, and the log keeps neither.

use super::membership::{adding, direct};
use super::{StoreFixture, ann, bob, channel, channels, log, messages, name, put, say};
use crate::model::avatar::Avatar;
use crate::model::event::EventKind;
use crate::model::id::UserId;
use crate::model::message::{Erasure, User};
use crate::store::{
    Directory, Erasures, Membership, NewPrivate, NextTraces, PageLimit, Store, Traces, UserPage,
};

fn with(user: User, url: &str) -> User {
    user.with_avatar(Some(Avatar::new(url).expect("a valid URL")))
}

async fn stored<S: Store>(store: &S, user: &UserId) -> User {
    let mut users = store.users(std::slice::from_ref(user)).await.expect("users can be read");
    users.remove(user).expect("the user is known")
}

/// An avatar stays when a user without one is stored, as for a connection of an app that knows the name only. A profile
/// without one removes it.
pub async fn an_avatar_stays_until_a_profile_has_none<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let longest = format!("/{}", "a".repeat(Avatar::MAX_BYTES - 1));
    let robert = User::new("u_bob", "Robert").expect("a user");
    for url in ["https://example.com/bob.png?size=1", &longest] {
        store.put_profile(&with(bob(), url)).await.expect("a profile is stored");
        assert_eq!(stored(&other, &bob().id).await, with(bob(), url));
        other.put_user(&robert).await.expect("a user is stored");
        assert_eq!(stored(&store, &bob().id).await, with(robert.clone(), url), "with another name");
    }
    store.put_user(&with(bob(), "/new")).await.expect("a user is stored");
    assert_eq!(stored(&other, &bob().id).await, with(bob(), "/new"), "a user with an avatar replaces it");
    for _ in 0..2 {
        other.put_profile(&robert).await.expect("a profile is stored");
        assert_eq!(stored(&store, &bob().id).await, robert);
    }
    store.put_user(&bob()).await.expect("a user is stored");
    assert_eq!(stored(&other, &bob().id).await, bob());
}

/// Members, the people of a direct channel and those who are found have the avatar that was stored last. It counts in
/// their weight.
pub async fn lists_of_people_have_the_last_avatar<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let new = NewPrivate::new(name("pr.a"), "Plans");
    let private = store.create_private_within(&new, &with(ann(), "/old"), 9).await.expect("can be written");
    let private = private.expect("there is room").id;
    put(&store, adding(private, &with(ann(), "/old"), &with(bob(), "/old"))).await;
    let people = [with(ann(), "/old"), with(bob(), "/old")];
    let direct = direct(&store, "dm.a", &people).await.into_channel().id;
    let open = channel(&store, "general").await;
    store.join_open(open, &with(bob(), "/old")).await.expect("can be written");
    let people = async |channel| {
        let page = other.members(channel, None, PageLimit::items(9)).await.expect("can be read");
        page.members.into_iter().map(|member| member.user).collect::<Vec<_>>()
    };
    for channel in [private, direct, open] {
        assert_eq!(people(channel).await, [ann(), bob()], "nobody has stored a profile");
    }
    let (ann, bob) = (with(ann(), "/ann.png"), with(bob(), &format!("/{}", "b".repeat(1_000))));
    for user in [&ann, &bob] {
        store.put_profile(user).await.expect("a profile is stored");
    }
    for channel in [private, direct, open] {
        assert_eq!(people(channel).await, [ann.clone(), bob.clone()]);
    }
    let member = other.member(private, &bob.id).await.expect("can be read").expect("bob is a member");
    assert_eq!(member.user, bob);
    let listed = other.listed(&ann.id, direct).await.expect("can be read").expect("it is listed");
    assert_eq!(listed.users, [ann.clone(), bob.clone()]);
    assert_eq!(listed.member.map(|member| member.user), Some(ann.clone()));
    let page = other.channels_of(&ann.id, None, false, PageLimit::items(9)).await.expect("can be read");
    let listed = page.channels.iter().find(|listed| listed.info.id == direct).expect("it is listed");
    assert_eq!(listed.users, [ann.clone(), bob.clone()]);
    for query in ["", "b"] {
        let found = other.find_users(query, None, PageLimit::items(9)).await.expect("can be read");
        assert!(found.users.contains(&bob), "{query:?}: {found:?}");
    }

    let bytes = UserPage::weight_of(&ann) + UserPage::weight_of(&bob);
    for (bytes, count) in [(bytes, 2), (bytes - 1, 1)] {
        let limit = PageLimit::new(9, bytes);
        let found = other.find_users("", None, limit).await.expect("can be read");
        assert_eq!((found.users.len(), found.more), (count, count == 1), "people in {bytes} bytes");
    }
    let first = other.members(private, None, PageLimit::items(1)).await.expect("can be read").members;
    let bytes = first[0].weight() + member.weight();
    for (bytes, count) in [(bytes, 2), (bytes - 1, 1)] {
        let page = other.members(private, None, PageLimit::new(9, bytes)).await.expect("can be read");
        assert_eq!((page.members.len(), page.more), (count, count == 1), "members in {bytes} bytes");
    }
    let weights: usize = page.channels.iter().map(crate::store::Listed::weight).sum();
    for (bytes, more) in [(weights, false), (weights - 1, true)] {
        let page = other.channels_of(&ann.id, None, false, PageLimit::new(9, bytes)).await;
        assert_eq!(page.expect("can be read").more, more, "channels in {bytes} bytes");
    }
}

/// A person who is erased has no avatar from then on, and none is stored.
pub async fn an_erased_person_has_no_avatar<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let other = fixture.another(&store).await;
    let direct = direct(&store, "dm.a", &[ann(), bob()]).await.into_channel().id;
    store.put_profile(&with(bob(), "/bob.png")).await.expect("a profile is stored");
    store.begin_erasure(&bob().id, Erasure::KeepTexts).await.expect("an erasure begins");
    let gone = User::erased(bob().id);
    for _ in 0..2 {
        assert_eq!(stored(&other, &bob().id).await, gone);
        let listed = other.listed(&ann().id, direct).await.expect("can be read").expect("it is listed");
        assert!(listed.users.contains(&gone), "{:?}", listed.users);
        for user in [with(bob(), "/again.png"), with(gone.clone(), "/again.png")] {
            other.put_user(&user).await.expect("a user is stored");
            other.put_profile(&user).await.expect("a profile is stored");
        }
    }
    loop {
        match store.next_traces(&bob().id, 9).await.expect("can be read") {
            NextTraces::Found(Traces { channel, through, .. }) => {
                store.cover_traces(&bob().id, channel.id, through).await.expect("can be written");
            }
            NextTraces::Later => tokio::task::yield_now().await,
            NextTraces::Nothing => break,
        }
    }
    store.end_erasure(&bob().id).await.expect("an erasure ends");
    assert!(store.readmit(&bob().id).await.expect("can be written"), "it is done");
    store.put_user(&bob()).await.expect("a user is stored");
    assert_eq!(stored(&other, &bob().id).await, bob(), "somebody new with the id");
}

/// The log and the directory keep the name alone of an author, a member who is added and a creator.
pub async fn the_log_keeps_no_avatar<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    let (pictured, added) = (with(ann(), "/ann.png"), with(bob(), "/bob.png"));
    store.put_profile(&pictured).await.expect("a profile is stored");
    let created = store.create_channel(&name("general"), "", &pictured).await.expect("creates a channel");
    let info = created.into_channel();
    assert_eq!(info.created_by, ann());
    put(&store, say(info.id, &pictured, "one")).await;
    put(&store, adding(info.id, &pictured, &added)).await;
    let kinds: Vec<EventKind> = log(&store, info.id).await.into_iter().map(|event| event.kind).collect();
    assert!(matches!(&kinds[0], EventKind::Message(content) if content.author == ann()), "{kinds:?}");
    assert!(
        matches!(&kinds[1], EventKind::Member { user, by, .. } if (user, by) == (&bob(), &ann())),
        "{kinds:?}"
    );
    assert_eq!(messages(&store, info.id).await[0].author, ann());
    assert_eq!(channels(&store).await[0].created_by, ann());
}
