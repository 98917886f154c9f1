//! Private, direct and open channels in the lists and logs of their members.

use std::sync::Arc;

use chatcore::bus::LocalBus;
use chatcore::protocol::{ChannelList, ChatEvent, Command, Logged, MemberList, RemovalReason, SearchPage};
use chatcore::{
    ChannelKind, ChannelName, Chat, Data, ErrorCode, HistoryAccess, MemoryStore, MessageKind, NewMessage,
    Nonce, Role, Seq,
};

use super::{add, chat, code, direct, id, join, private, remove, removed_from, until, user};

/// Trap 5: two people who write to each other at the same instant, from two nodes, get one channel.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_open_the_same_direct_channel_at_once_get_one() {
    let (store, bus) = (MemoryStore::new(), Arc::new(LocalBus::new()));
    let nodes = [0, 1].map(|_| Chat::builder(store.clone()).bus(bus.clone()).build());
    for n in 0..100 {
        let (a, b) = (format!("a{n}"), format!("b{n}"));
        let (one, other) = (join(&nodes[0], &a).await, join(&nodes[1], &b).await);
        let (to_b, to_a) = ([b.as_str()], [a.as_str()]);
        let (one, other) = tokio::join!(direct(&one, &to_b), direct(&other, &to_a));
        assert_eq!(one.channel.name, other.channel.name);
        assert!(one.created != other.created, "one of the two has created it");
        assert_eq!(one.channel.users, [user(&a), user(&b)]);
    }
}

/// Trap 10: the last owner.
#[tokio::test]
async fn the_last_owner_must_name_another_before_leaving() {
    let chat = chat();
    let (ann, bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let channel = private(&ann, &["bob"], HistoryAccess::All).await;
    let leave = || Command::Leave { channel: channel.clone() };
    assert_eq!(code(ann.call::<Logged>(leave()).await), ErrorCode::LastOwner);
    let role =
        |name: &str, role| Command::SetRole { channel: channel.clone(), user: id(name).to_string(), role };
    assert_eq!(code(bob.call::<Logged>(role("bob", Role::Owner)).await), ErrorCode::NotAllowed);
    ann.call::<Logged>(role("bob", Role::Owner)).await.unwrap();
    let left: Logged = ann.call(leave()).await.unwrap();
    let members: MemberList =
        bob.call(Command::Members { channel: channel.clone(), after: None, limit: None }).await.unwrap();
    assert_eq!(
        members.members.iter().map(|m| (m.user.clone(), m.role)).collect::<Vec<_>>(),
        [(user("bob"), Role::Owner)]
    );
    bob.subscribe(&channel).await.unwrap();
    let page = bob.history(&channel, Seq::MAX, 10).await.unwrap();
    assert!(page.messages.is_empty() && left.seq > 0, "events of members are no messages");
}

/// Whoever is added, or written to, is told at once, on every connection and node.
#[tokio::test]
async fn who_is_added_or_written_to_is_told_at_every_node() {
    let (store, bus) = (MemoryStore::new(), Arc::new(LocalBus::new()));
    let nodes = [0, 1].map(|_| Chat::builder(store.clone()).bus(bus.clone()).build());
    let ann = join(&nodes[0], "ann").await;
    let mut bobs = [join(&nodes[0], "bob").await, join(&nodes[1], "bob").await];
    let channel = private(&ann, &[], HistoryAccess::All).await;
    ann.publish(&channel, "hello").await.unwrap();
    add(&ann, &channel, "bob").await.unwrap();
    let added = |event: &ChatEvent| match event {
        ChatEvent::ChannelAdded { channel, .. } => Some(channel.clone()),
        _ => None,
    };
    for bob in &mut bobs {
        let shown = until(bob, added).await;
        assert_eq!((shown.name.as_str(), &*shown.title, shown.unread), (&*channel, "Plans", 1));
        assert_eq!(
            (shown.kind, shown.role, shown.members),
            (ChannelKind::Private, Some(Role::Member), Some(2))
        );
    }
    let opened = direct(&ann, &["bob"]).await;
    for bob in &mut bobs {
        let shown = until(bob, added).await;
        assert_eq!((shown.name, shown.users), (opened.channel.name.clone(), vec![user("ann"), user("bob")]));
    }
    remove(&ann, &channel, "bob").await.unwrap();
    for bob in &mut bobs {
        assert_eq!(until(bob, removed_from(&channel)).await, RemovalReason::Removed);
    }
}

/// Members and changes of a channel are events of its log, and titles change live.
#[tokio::test]
async fn members_and_changes_are_events_of_the_log() {
    let chat = chat();
    let (ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    let channel = private(&ann, &["bob"], HistoryAccess::All).await;
    let position = bob.subscribe(&channel).await.unwrap().position();
    let update = |title: Option<&str>, archived| Command::UpdateChannel {
        channel: channel.clone(),
        title: title.map(str::to_owned),
        topic: None,
        archived,
    };
    assert_eq!(code(bob.call::<Logged>(update(Some("Mine"), None)).await), ErrorCode::NotAllowed);
    assert_eq!(code(ann.call::<Logged>(update(Some(" \u{200b}"), None)).await), ErrorCode::BadName);
    let named: Logged = ann.call(update(Some("  Großes \u{202e}Ziel "), None)).await.unwrap();
    let again: Logged = ann.call(update(Some("Großes Ziel"), None)).await.unwrap();
    assert_eq!(again.seq, named.seq, "nothing changes");
    let (seq, title) = until(&mut bob, |event| match event {
        ChatEvent::ChannelChanged { seq, title, .. } => Some((*seq, title.clone())),
        _ => None,
    })
    .await;
    assert_eq!((seq, title.as_deref()), (named.seq, Some("Großes Ziel")));
    ann.call::<Logged>(update(None, Some(true))).await.unwrap();
    assert_eq!(code(bob.publish(&channel, "late").await), ErrorCode::Archived);
    assert_eq!(code(add(&ann, &channel, "bob").await), ErrorCode::Archived);
    let list = |archived| Command::Channels { after: None, limit: None, archived };
    assert!(bob.call::<ChannelList>(list(false)).await.unwrap().channels.is_empty());
    let listed = bob.call::<ChannelList>(list(true)).await.unwrap().channels.remove(0);
    assert_eq!((&*listed.title, listed.archived), ("Großes Ziel", true));
    ann.call::<Logged>(update(None, Some(false))).await.unwrap();
    bob.publish(&channel, "back").await.unwrap();
    let replayed = bob.resume(&channel, position).await.unwrap();
    let kinds = replayed.start.events().iter().map(|event| match event {
        ChatEvent::ChannelChanged { archived, .. } => format!("changed {archived:?}"),
        ChatEvent::Message { message, .. } => message.text.clone(),
        other => format!("{other:?}"),
    });
    assert_eq!(
        kinds.collect::<Vec<_>>(),
        ["changed None", "changed Some(true)", "changed Some(false)", "back"]
    );
}

/// The app's own messages are marked and carry its data. A client can't mark its own.
#[tokio::test]
async fn the_app_says_what_is_its_own() {
    let chat = chat();
    let (ann, helpdesk) = (join(&chat, "ann").await, user("helpdesk"));
    let ticket = chat.create_private(&helpdesk, "Ticket 7", "", HistoryAccess::All).await.unwrap();
    chat.add_member(&helpdesk, &ticket.name, &user("ann")).await.unwrap();
    let data = Data::new(&serde_json::json!({"state": "closed"})).unwrap();
    let closed = NewMessage::text("Closed.").system().data(data.clone()).nonce(Nonce::new("closed").unwrap());
    chat.publish(&helpdesk, &ticket.name, closed).await.unwrap();
    ann.send(ticket.name.as_str(), NewMessage::text("Thanks").system().data(data.clone())).await.unwrap();
    let page = ann.history(ticket.name.as_str(), Seq::MAX, 10).await.unwrap();
    let kinds: Vec<_> = page.messages.iter().map(|m| (m.kind, m.data.clone())).collect();
    assert_eq!(kinds, [(Some(MessageKind::System), Some(data.clone())), (None, Some(data))]);
    assert!(
        ann.search(ticket.name.as_str(), "state", None).await.unwrap().messages.is_empty(),
        "nobody searches data"
    );
    assert_eq!(chat.members(&ticket.name, None).await.unwrap().members.len(), 2);
    chat.archive(&helpdesk, &ticket.name, true).await.unwrap();
    let late = chat.publish(&helpdesk, &ticket.name, NewMessage::text("late")).await.unwrap_err();
    assert_eq!(late.code(), ErrorCode::Archived);
}

/// A search over more channels than one step looks at finds each message once.
#[tokio::test]
async fn a_search_over_many_channels_finds_each_message_once() {
    let chat = chat();
    let ann = join(&chat, "ann").await;
    let mut expected = Vec::new();
    for n in 0..120 {
        let name = ChannelName::new(&format!("c{n:03}")).unwrap();
        chat.ensure_channel(&name, "", &user("ann")).await.unwrap();
        chat.publish(&user("ann"), &name, NewMessage::text(format!("needle {n:03}"))).await.unwrap();
        expected.push(format!("needle {n:03}"));
    }
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page: SearchPage = ann.search_all("needle", from).await.unwrap();
        found.extend(page.messages.into_iter().map(|message| message.text));
        from = page.before;
        assert_eq!(page.more, from.is_some());
        if from.is_none() {
            break;
        }
    }
    assert_eq!(found, expected);
}
