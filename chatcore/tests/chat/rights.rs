//! Rights are checked at each use, and what depends on them ends with them.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use chatcore::attachments::FileKind;
use chatcore::blob::FolderBlobs;
use chatcore::protocol::{ChatEvent, CloseReason, Command, Logged, Subscribed};
use chatcore::testkit::{Faults, FaultyStore};
use chatcore::{
    Action, ChannelName, Chat, Client, ClientError, ConnectError, Denied, ErrorCode, History, Identity,
    Limits, MemoryStore, OpenPolicy, Policy, Position, SessionId, User, UserId,
};
use futures::{FutureExt, StreamExt};
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::sync::mpsc;

/// What a user may no longer do in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Right {
    Read,
    Write,
}

/// A policy that a test changes while the chat runs.
#[derive(Clone, Debug, Default)]
struct Rights(Arc<Mutex<HashSet<(UserId, Right, ChannelName)>>>);

impl Rights {
    fn take(&self, user: &str, right: Right, channel: &str) {
        self.0.lock().unwrap().insert((id(user), right, name(channel)));
    }

    fn give(&self, user: &str, right: Right, channel: &str) {
        self.0.lock().unwrap().remove(&(id(user), right, name(channel)));
    }
}

impl Policy for Rights {
    fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
        let (right, channel) = match action {
            Action::List(channel) | Action::Read(channel) => (Right::Read, channel),
            Action::Write(channel) => (Right::Write, channel),
            _ => return OpenPolicy.authorize(identity, action),
        };
        let taken = self.0.lock().unwrap();
        if taken.contains(&(identity.user.id.clone(), right, channel.clone())) { Err(Denied) } else { Ok(()) }
    }
}

fn id(user: &str) -> UserId {
    UserId::new(format!("u_{user}")).unwrap()
}

fn name(channel: &str) -> ChannelName {
    ChannelName::new(channel).unwrap()
}

fn identity(name: &str) -> Identity {
    Identity::new(User::new(&format!("u_{name}"), name).unwrap())
}

async fn join(chat: &Chat, name: &str) -> Client {
    let mut client = chat.connect(identity(name)).unwrap();
    client.next_event().await.expect("a welcome");
    client
}

fn code(error: ClientError) -> ErrorCode {
    match error {
        ClientError::Refused(error) => error.code(),
        other => panic!("{other}"),
    }
}

/// Returns what waits for a client, in order.
async fn waiting(client: &mut Client) -> Vec<ChatEvent> {
    let mut events = Vec::new();
    // The fan-out and the appends run until they are idle.
    for _ in 0..100 {
        tokio::task::yield_now().await;
        while let Some(event) = client.next_event().now_or_never() {
            events.push(event.expect("the session goes on"));
        }
    }
    events
}

/// Returns an event as a client reads it.
fn event(frame: serde_json::Value) -> ChatEvent {
    serde_json::from_value(frame).unwrap()
}

fn removed(channel: &str) -> ChatEvent {
    event(json!({"type": "channel_removed", "channel": channel, "reason": "removed"}))
}

fn gone(user: &str, channel: &str) -> ChatEvent {
    let user = identity(user).user;
    event(json!({"type": "presence", "channel": channel, "user": user, "online": false}))
}

#[tokio::test]
async fn a_muted_user_can_not_change_their_messages() {
    let rights = Rights::default();
    let chat = Chat::builder(MemoryStore::new()).policy(rights.clone()).build();
    let ann = join(&chat, "ann").await;
    ann.create_channel("a", "").await.unwrap();
    let seq = ann.publish("a", "hi").await.unwrap().seq;
    rights.take("ann", Right::Write, "a");
    let refused = |result: Result<Logged, ClientError>| code(result.unwrap_err());
    assert_eq!(refused(ann.edit("a", seq, "something else").await), ErrorCode::NotAllowed);
    assert_eq!(refused(ann.delete("a", seq).await), ErrorCode::NotAllowed);
    assert_eq!(refused(ann.react("a", seq, "👍", true).await), ErrorCode::NotAllowed);
    assert_eq!(code(ann.publish("a", "more").await.unwrap_err()), ErrorCode::NotAllowed);
    let page = ann.history("a", u64::MAX, 9).await.unwrap();
    assert_eq!(page.messages.iter().map(|message| message.text.as_str()).collect::<Vec<_>>(), ["hi"]);

    rights.give("ann", Right::Write, "a");
    ann.edit("a", seq, "something else").await.unwrap();
    ann.delete("a", seq).await.unwrap();
}

#[tokio::test]
async fn no_frame_of_a_channel_follows_its_revocation() {
    let chat = Chat::builder(MemoryStore::new()).build();
    let (mut ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    ann.create_channel("a", "").await.unwrap();
    ann.create_channel("b", "").await.unwrap();
    for client in [&mut ann, &mut bob] {
        client.subscribe("a").await.unwrap();
        client.subscribe("b").await.unwrap();
    }
    waiting(&mut ann).await;
    waiting(&mut bob).await;
    // All of this waits for her: messages, typing and presence.
    bob.publish("a", "before").await.unwrap();
    bob.typing("a").await.unwrap();
    let cid = join(&chat, "cid").await;
    cid.subscribe("a").await.unwrap();
    chat.revoke(&id("ann"), &name("a"));
    bob.publish("a", "after").await.unwrap();
    cid.typing("a").await.unwrap();
    bob.publish("b", "elsewhere").await.unwrap();
    let events = waiting(&mut ann).await;
    assert_eq!(events[0], removed("a"), "{events:?}");
    assert!(
        matches!(&events[1..], [ChatEvent::Message { channel, .. }] if *channel == name("b")),
        "{events:?}"
    );
    assert_eq!(code(ann.typing("a").await.unwrap_err()), ErrorCode::NotSubscribed);
    assert_eq!(waiting(&mut bob).await.iter().filter(|event| **event == removed("a")).count(), 0);

    let again = ann.subscribe("a").await.unwrap();
    assert_eq!(again.head, 2, "the policy lets her in again");
    bob.publish("a", "again").await.unwrap();
    let events = waiting(&mut ann).await;
    assert!(matches!(&events[..], [ChatEvent::Message { message, .. }] if message.seq == 3), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_revoked_user_is_no_longer_listed_as_a_member() {
    let chat = Chat::builder(MemoryStore::new()).build();
    let (ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    ann.create_channel("a", "").await.unwrap();
    bob.subscribe("a").await.unwrap();
    let members = async |client: &mut Client| {
        let Subscribed { members, .. } = client.subscribe("a").await.unwrap();
        members.iter().map(|member| member.name.to_string()).collect::<Vec<_>>()
    };
    ann.subscribe("a").await.unwrap();
    let second = join(&chat, "ann").await;
    second.subscribe("a").await.unwrap();
    waiting(&mut bob).await;
    let before = tokio::time::Instant::now();
    chat.revoke(&id("ann"), &name("a"));
    assert_eq!(bob.next_event().await, Some(gone("ann", "a")));
    assert_eq!(members(&mut bob).await, ["bob"]);

    // Her last connection is gone, and its grace time runs.
    ann.subscribe("a").await.unwrap();
    waiting(&mut bob).await;
    drop((ann, second));
    assert_eq!(members(&mut bob).await, ["ann", "bob"]);
    chat.revoke(&id("ann"), &name("a"));
    assert_eq!(bob.next_event().await, Some(gone("ann", "a")));
    assert_eq!(members(&mut bob).await, ["bob"]);
    assert_eq!(before.elapsed(), Duration::ZERO);
}

/// Creates a chat with empty rings, so that every response needs the store. Ann and Bob are in `a`, with ten
/// messages.
async fn read_from_the_store() -> (Chat, Rights, FaultyStore<MemoryStore>, Client, Client) {
    let mut limits = Limits::default();
    (limits.ring_bytes, limits.ring_events) = (1, 1);
    let (rights, store) = (Rights::default(), FaultyStore::new(MemoryStore::new(), Faults::default(), 1));
    let chat = Chat::builder(store.clone()).policy(rights.clone()).limits(limits).build();
    let ann = join(&chat, "ann").await;
    ann.create_channel("a", "").await.unwrap();
    for n in 0..10 {
        ann.publish("a", &format!("word {n}")).await.unwrap();
    }
    let bob = join(&chat, "bob").await;
    (chat, rights, store, ann, bob)
}

/// The commands whose responses are about the channel `a`.
async fn readers(ann: &mut Client) -> Vec<Command> {
    let Subscribed { epoch, .. } = ann.subscribe("a").await.unwrap();
    let channel = "a".to_owned();
    let after = Some(Position::new(epoch, 3));
    vec![
        Command::Subscribe { channel: channel.clone(), after: None, limit: None },
        Command::Subscribe { channel: channel.clone(), after, limit: None },
        History::Before(9).command("a", None),
        History::After(2).command("a", None),
        History::Around(5).command("a", None),
        Command::Search { channel: Some(channel), query: "word".into(), before: None, limit: None },
    ]
}

/// What ends a right while a response is being made.
#[derive(Clone, Copy, Debug)]
enum End {
    Revoked,
    Rechecked,
    /// The policy changes without a notification.
    Untold,
}

#[tokio::test]
async fn an_answer_in_progress_ends_with_the_users_right() {
    let (chat, rights, store, mut ann, mut bob) = read_from_the_store().await;
    for command in readers(&mut ann).await {
        for end in [End::Revoked, End::Rechecked, End::Untold] {
            let held = store.hold_answers();
            {
                let mut call = pin!(bob.call::<IgnoredAny>(command.clone()));
                tokio::select! {
                    _ = &mut call => panic!("{command:?} waits for the store"),
                    () = store.answers_held(1) => {}
                }
                match end {
                    End::Revoked => chat.revoke(&id("bob"), &name("a")),
                    End::Rechecked | End::Untold => rights.take("bob", Right::Read, "a"),
                }
                if let End::Rechecked = end {
                    chat.recheck(&id("bob"));
                }
                drop(held);
                assert_eq!(code(call.await.unwrap_err()), ErrorCode::NotAllowed, "{command:?} {end:?}");
            }
            ann.publish("a", "later").await.unwrap();
            let events = waiting(&mut bob).await;
            assert!(events.iter().all(|event| *event == removed("a")), "{command:?} {end:?}: {events:?}");
            rights.give("bob", Right::Read, "a");
            bob.call::<IgnoredAny>(command.clone()).await.unwrap();
            let _ = bob.unsubscribe("a").await;
            waiting(&mut bob).await;
        }
    }
}

#[tokio::test]
async fn a_right_that_ends_while_a_channel_loads_is_noticed() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let first = Chat::builder(store.clone()).build();
    join(&first, "ann").await.create_channel("a", "").await.unwrap();
    // A chat that has not loaded the channel yet.
    let chat = Chat::builder(store.clone()).build();
    let (bob, cid) = (join(&chat, "bob").await, join(&chat, "cid").await);
    let held = store.hold_answers();
    let mut call = pin!(bob.subscribe("a"));
    assert!(call.as_mut().now_or_never().is_none());
    store.answers_held(1).await;
    chat.revoke(&id("bob"), &name("a"));
    drop(held);
    assert_eq!(code(call.await.unwrap_err()), ErrorCode::NotAllowed);
    let members = cid.subscribe("a").await.unwrap().members;
    assert_eq!(members.len(), 1, "{members:?}");
}

#[tokio::test]
async fn a_channel_list_leaves_out_channels_revoked_meanwhile() {
    let (_chat, rights, store, ann, bob) = read_from_the_store().await;
    ann.create_channel("b", "").await.unwrap();
    let held = store.hold_answers();
    let mut call = pin!(bob.channels());
    assert!(call.as_mut().now_or_never().is_none());
    store.answers_held(1).await;
    rights.take("bob", Right::Read, "a");
    drop(held);
    let names: Vec<_> = call.await.unwrap().into_iter().map(|channel| channel.name).collect();
    assert_eq!(names, [name("b")]);
}

#[tokio::test]
async fn a_recheck_ends_only_denied_subscriptions() {
    let rights = Rights::default();
    let chat = Chat::builder(MemoryStore::new()).policy(rights.clone()).build();
    let (mut ann, mut bob) = (join(&chat, "ann").await, join(&chat, "bob").await);
    for channel in ["a", "b"] {
        ann.create_channel(channel, "").await.unwrap();
        ann.subscribe(channel).await.unwrap();
        bob.subscribe(channel).await.unwrap();
    }
    waiting(&mut ann).await;
    rights.take("ann", Right::Read, "a");
    chat.recheck(&id("bob"));
    chat.recheck(&id("ann"));
    bob.publish("a", "hidden").await.unwrap();
    bob.publish("b", "seen").await.unwrap();
    let events = waiting(&mut ann).await;
    assert_eq!(events[0], removed("a"), "{events:?}");
    assert!(
        matches!(&events[1..], [ChatEvent::Message { channel, .. }] if *channel == name("b")),
        "{events:?}"
    );
    chat.recheck(&id("ann"));
    assert!(waiting(&mut ann).await.is_empty(), "it has ended already");
    let last = waiting(&mut bob).await;
    assert!(last.contains(&gone("ann", "a")) && !last.contains(&gone("ann", "b")), "{last:?}");
}

#[tokio::test]
async fn a_read_marker_is_not_sent_to_revoked_connections() {
    let chat = Chat::builder(MemoryStore::new()).build();
    let (ann, mut second) = (join(&chat, "ann").await, join(&chat, "ann").await);
    ann.create_channel("a", "").await.unwrap();
    ann.publish("a", "hi").await.unwrap();
    ann.read("a", 1).await.unwrap();
    chat.revoke(&id("ann"), &name("a"));
    let events = waiting(&mut second).await;
    assert_eq!(events.last(), Some(&removed("a")));
    assert!(!events.iter().any(|event| matches!(event, ChatEvent::Read { .. })), "{events:?}");
}

#[tokio::test]
async fn an_accepted_publish_is_answered_after_a_revocation() {
    let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
    let chat = Chat::builder(store.clone()).build();
    let mut ann = join(&chat, "ann").await;
    ann.create_channel("a", "").await.unwrap();
    ann.subscribe("a").await.unwrap();
    waiting(&mut ann).await;
    let held = store.hold();
    let published = {
        let mut call = pin!(ann.publish("a", "hi"));
        assert!(call.as_mut().now_or_never().is_none());
        chat.revoke(&id("ann"), &name("a"));
        drop(held);
        call.await.unwrap()
    };
    assert_eq!(published.seq, 1);
    assert_eq!(waiting(&mut ann).await, [removed("a")], "and its event is not hers to see");
}

/// Creates a chat with files. Ann is in the channel `a` with a file of `bytes`.
async fn with_file(rights: &Rights, bytes: usize) -> (Chat, Client, chatcore::Attachment, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let blobs = FolderBlobs::open(folder.path().join("blobs")).await.unwrap();
    let mut limits = Limits::default();
    limits.drain_uploads = Duration::ZERO;
    let chat = Chat::builder(MemoryStore::new()).blobs(blobs).policy(rights.clone()).limits(limits).build();
    let ann = join(&chat, "ann").await;
    ann.create_channel("a", "").await.unwrap();
    let file = futures::stream::iter([Ok(Bytes::from(vec![7; bytes]))]).boxed();
    let attachment = chat.upload(&identity("ann"), "a", "x", file, kind).await.unwrap();
    (chat, ann, attachment, folder)
}

fn kind(_: &[u8]) -> FileKind {
    FileKind::new("application/octet-stream")
}

#[tokio::test]
async fn a_download_ends_with_the_users_right() {
    let rights = Rights::default();
    let (chat, _ann, file, _folder) = with_file(&rights, 1 << 20).await;
    let mut bytes = chat.attachment_bytes(&identity("ann"), &file.id, 0..u64::MAX).await.unwrap();
    let first = bytes.next().await.unwrap().unwrap();
    assert!(first.len() < 1 << 20, "the file comes in pieces");
    rights.take("ann", Right::Read, "a");
    let error = bytes.next().await.unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    let refused = chat.attachment(&identity("ann"), file.id.as_str()).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::NotAllowed);
}

/// Begins an upload whose first piece has arrived. Returns the sender of its next pieces, and its result.
async fn begun_upload(
    chat: &Chat,
) -> (mpsc::Sender<Bytes>, tokio::task::JoinHandle<Result<chatcore::Attachment, chatcore::Error>>) {
    let (send, mut receive) = mpsc::channel::<Bytes>(1);
    let stream = futures::stream::poll_fn(move |cx| receive.poll_recv(cx).map(|piece| piece.map(Ok))).boxed();
    let chat = chat.clone();
    let upload = tokio::spawn(async move { chat.upload(&identity("ann"), "a", "x", stream, kind).await });
    // The second piece is accepted once the first has been taken.
    for _ in 0..2 {
        send.send(Bytes::from_static(b"x")).await.unwrap();
    }
    (send, upload)
}

#[tokio::test]
async fn an_upload_is_refused_if_its_right_ended() {
    let rights = Rights::default();
    let (chat, _ann, _file, _folder) = with_file(&rights, 1).await;
    let (send, upload) = begun_upload(&chat).await;
    rights.take("ann", Right::Write, "a");
    drop(send);
    assert_eq!(upload.await.unwrap().unwrap_err().code(), ErrorCode::NotAllowed);
}

#[tokio::test]
async fn a_drain_ends_uploads_that_take_too_long() {
    let (chat, _ann, _file, _folder) = with_file(&Rights::default(), 1).await;
    let (send, upload) = begun_upload(&chat).await;
    chat.drain();
    assert_eq!(upload.await.unwrap().unwrap_err().code(), ErrorCode::Draining);
    assert!(send.is_closed(), "no more of it is read");
}

#[tokio::test]
async fn one_session_is_disconnected_and_the_others_stay() {
    let chat = Chat::builder(MemoryStore::new()).build();
    let of = |session: &str| identity("ann").session(SessionId::new(session).unwrap());
    let (mut one, mut other) = (chat.connect(of("one")).unwrap(), chat.connect(of("other")).unwrap());
    let mut without = chat.connect(identity("ann")).unwrap();
    let (before, before_other) = (of("one"), of("other"));
    chat.disconnect_session(&id("ann"), &SessionId::new("one").unwrap(), CloseReason::SignedOut);
    assert_eq!(code_of(&mut one).await, CloseReason::SignedOut);
    for client in [&mut other, &mut without] {
        client.channels().await.unwrap();
    }
    let refused = chat.connect(before).map(drop);
    assert_eq!(refused, Err(ConnectError::Disconnected(CloseReason::SignedOut)), "a handshake under way");
    assert!(chat.connect(before_other).is_ok(), "of another session");
    assert!(chat.connect(of("one")).is_ok(), "found after the call");
}

#[tokio::test]
async fn a_temporary_disconnection_asks_to_reconnect() {
    let chat = Chat::builder(MemoryStore::new()).build();
    let (mut ann, before) = (join(&chat, "ann").await, identity("ann"));
    chat.disconnect(&id("ann"), CloseReason::Reconnect);
    assert_eq!(code_of(&mut ann).await, CloseReason::Reconnect);
    assert_eq!(CloseReason::Reconnect.code(), 4003, "of the temporary ones");
    let refused = chat.connect(before).map(drop);
    let reason = CloseReason::Reconnect;
    assert_eq!(refused, Err(ConnectError::Disconnected(reason)), "with what was known before");
    assert!(chat.connect(identity("ann")).is_ok());
}

/// Waits for the end of a client's session.
async fn code_of(client: &mut Client) -> CloseReason {
    while client.next_event().await.is_some() {}
    client.close_reason().unwrap()
}

#[test]
fn a_session_id_has_1_to_64_bytes() {
    for (text, valid) in [("", false), ("x", true), (&"x".repeat(64), true), (&"x".repeat(65), false)] {
        assert_eq!(SessionId::new(text).is_ok(), valid, "{} bytes", text.len());
    }
}

/// What the app knows of a user.
struct Role(&'static str);

/// Admins may do everything, and others may read.
struct ByRole;

impl Policy for ByRole {
    fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
        let is_admin = identity.get::<Role>().is_some_and(|role| role.0 == "admin");
        match action {
            Action::Read(_) | Action::List(_) => Ok(()),
            _ if is_admin => Ok(()),
            _ => Err(Denied),
        }
    }
}

#[tokio::test]
async fn a_policy_decides_by_the_apps_own_data() {
    let chat = Chat::builder(MemoryStore::new()).policy(ByRole).build();
    let user = |name| User::new(&format!("u_{name}"), name).unwrap();
    let ann = chat.connect(Identity::new(user("ann")).with(Role("admin"))).unwrap();
    let bob = chat.connect(Identity::new(user("bob")).with(Role("guest"))).unwrap();
    ann.create_channel("a", "").await.unwrap();
    ann.publish("a", "hi").await.unwrap();
    assert_eq!(bob.history("a", 9, 9).await.unwrap().messages.len(), 1);
    assert_eq!(code(bob.publish("a", "no").await.unwrap_err()), ErrorCode::NotAllowed);
}
