//! Laws of stores with [`Durability::Disk`]: acknowledged data survives the process. Stores without it pass, since
//! they promise nothing.

use super::{
    StoreFixture, ann, attach, bob, channel, channels, delete, edit, head, log, messages, name, nonce,
    publish, put, put_texts, react, say, state, upload,
};
use crate::model::append::{Append, AppendBody, Extras};
use crate::model::avatar::Avatar;
use crate::model::membership::{HistoryAccess, MemberOp, Mention, Mentions, Notify, Role};
use crate::model::time::Timestamp;
use crate::store::{
    AppendError, AttachmentIndex, Created, Directory, Durability, EventStore, Membership, NewPrivate,
    PageLimit, Unread, UploadState,
};

/// Closed and opened again, the store has its logs, messages, channels, users, markers and uploads, and continues
/// its counts.
pub async fn everything_outlives_the_process<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    if store.durability() != Durability::Disk {
        return;
    }
    let (a, b) = (channel(&store, "a").await, channel(&store, "b").await);
    put_texts(&store, a, 1..=5).await;
    put(&store, edit(a, &ann(), 2, "edited")).await;
    put(&store, delete(a, &ann(), 3)).await;
    put(&store, react(a, &bob(), 4, "👍", true)).await;
    let file = upload(&store, b, &ann(), "a_1", UploadState::Ready).await;
    let spare = upload(&store, b, &ann(), "a_2", UploadState::Discarded).await;
    put(&store, attach(b, &ann(), "file", &[&file])).await;
    let pictured = bob().with_avatar(Avatar::new("https://example.com/bob.png").ok());
    store.put_profile(&pictured).await.expect("a profile is stored");
    store.mark_read(&bob().id, a, 4).await.expect("a marker moves");
    store.prune(a, 1, Timestamp::now()).await.expect("the log is pruned");
    let from = crate::model::id::Position::new(head(&store, a).await.epoch, 1);
    let before = (
        channels(&store).await,
        store.heads(&[a, b]).await.expect("heads can be read"),
        super::events(&store, a, &from, 99).await,
        messages(&store, a).await,
        log(&store, b).await,
    );
    drop(store);

    let store = fixture.open().await;
    let after = (
        channels(&store).await,
        store.heads(&[a, b]).await.expect("heads can be read"),
        super::events(&store, a, &from, 99).await,
        messages(&store, a).await,
        log(&store, b).await,
    );
    assert_eq!(after, before);
    assert_eq!(store.users(&[bob().id]).await.expect("users can be read").get(&bob().id), Some(&pictured));
    let unread = store.unread(&bob().id, &[a]).await.expect("markers can be read");
    assert_eq!(unread, [Unread::new(4, 1, 8)], "closing in order keeps the markers");
    assert_eq!(state(&store, &file).await, Some(UploadState::Attached(1)));
    let reclaimable = store.reclaimable(file.at, 9).await.expect("uploads can be read");
    assert_eq!(reclaimable, [spare.attachment.id]);
    assert_eq!(put(&store, say(a, &ann(), "next")).await.seq, 9);
    assert_eq!(channel(&store, "A").await, a, "the name is taken");
    assert_ne!(channel(&store, "c").await, b, "a new channel is new");
    assert!(store.channel(&name("c")).await.expect("the directory can be read").is_some());
}

/// Closed and opened again, the store has its members, its private and direct channels, and what mentions whom.
pub async fn members_and_mentions_outlive_the_process<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    if store.durability() != Durability::Disk {
        return;
    }
    let open = channel(&store, "general").await;
    store.join_open(open, &bob()).await.expect("bob joins");
    let new = NewPrivate::new(name("pr.a"), "Plans").with_history(HistoryAccess::Joined);
    let private =
        store.create_private_within(&new, &ann(), 9).await.expect("creates a channel").expect("room");
    put(&store, say(private.id, &ann(), "unseen")).await;
    let op = MemberOp::Added;
    let added = AppendBody::Member { op, user: bob(), role: Role::Member, most: 9 };
    put(&store, Append::new(private.id, ann(), added)).await;
    let mentions = Mentions::new(vec![Mention::Channel], Vec::new());
    let mentioning = AppendBody::Message {
        nonce: nonce("all"),
        text: "all".into(),
        reply_to: None,
        attachments: Vec::new(),
        extras: Extras::default().with_mentions(mentions).boxed(),
    };
    put(&store, Append::new(private.id, ann(), mentioning)).await;
    store.set_notify(private.id, &bob().id, Notify::Mentions).await.expect("bob is a member");
    let archive = AppendBody::Change { title: None, topic: None, archived: Some(true) };
    put(&store, Append::new(private.id, ann(), archive)).await;
    let people = [ann(), bob()];
    let direct = store.open_direct_within(&name("dm.a"), &people, &ann(), 9).await;
    let direct = direct.expect("opens a channel").expect("room").into_channel();
    let page = PageLimit::items(9);
    let lists = async |store: &F::Store| {
        let mut lists = Vec::new();
        for (user, archived) in [(ann(), true), (bob(), true), (bob(), false)] {
            let list = store.channels_of(&user.id, None, archived, page).await;
            lists.push(list.expect("channels can be read"));
        }
        (lists, store.members(private.id, None, page).await.expect("members can be read"))
    };
    let before = lists(&store).await;
    drop(store);

    let store = fixture.open().await;
    assert_eq!(lists(&store).await, before);
    let unread = store.unread(&bob().id, &[private.id]).await.expect("markers can be read");
    assert_eq!(unread, [Unread::new(0, 1, 4).with_mentions(1)]);
    let again = store.open_direct_within(&name("dm.b"), &people, &bob(), 9).await.expect("can be read");
    assert_eq!(again, Some(Created::Exists(direct)));
    let late = super::add(&store, say(private.id, &ann(), "late")).await;
    assert!(matches!(late, Err(AppendError::Archived)), "{late:?}");
}

/// Closed and opened again, the store knows the bytes of its files.
pub async fn the_bytes_of_files_outlive_the_process<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    if store.durability() != Durability::Disk {
        return;
    }
    let channel = channel(&store, "general").await;
    for (id, owner) in [("a_1", ann()), ("a_2", bob()), ("a_3", bob())] {
        upload(&store, channel, &owner, id, UploadState::Ready).await;
    }
    let bytes = async |store: &F::Store| store.file_bytes(&bob().id).await.expect("bytes can be read");
    let before = bytes(&store).await;
    assert!(0 < before.owner && before.owner < before.all, "{before:?}");
    drop(store);
    assert_eq!(bytes(&fixture.open().await).await, before);
}

/// A publish that is repeated after a restart is a duplicate, even if its message was pruned today.
pub async fn a_nonce_outlives_the_process<F: StoreFixture>(fixture: F) {
    let store = fixture.open().await;
    if store.durability() != Durability::Disk {
        return;
    }
    let channel = channel(&store, "general").await;
    let pruned = put(&store, publish(channel, &ann(), "m", "pruned")).await;
    let first = put(&store, publish(channel, &ann(), "n", "first")).await;
    store.prune(channel, 1, pruned.at).await.expect("the log is pruned");
    for _ in 0..2 {
        drop(fixture.another(&store).await);
    }
    drop(store);

    let store = fixture.open().await;
    for (key, before) in [("n", first), ("m", pruned)] {
        let again = put(&store, publish(channel, &ann(), key, "second")).await;
        assert_eq!((again.seq, again.at, again.epoch), (before.seq, before.at, before.epoch));
        assert!(again.duplicate, "the nonce was used before");
    }
    assert_eq!(head(&store, channel).await.seq, 2);
}
