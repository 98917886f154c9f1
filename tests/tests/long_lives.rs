//! Counts what an engine holds after many channels have had their traffic and gone quiet.
//!
//! In each round, new people write in new channels, change what they wrote, send files, are removed, are read by consumers,
//! and leave, and nobody comes back. What the store keeps grows with that.
//! What the engine holds must not: it may depend on what is in use, not on what ever was.
//!
//! Limits make the engine forget, instead of clocks: it may hold the channels of one round, and the paces of few people. So
//! nothing is decided by time. The heap is counted over all threads, since a store has its own.
//!
//! If a bound is exceeded, find what holds the memory: `CONTRIBUTING.md` says how.
#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use cap::Cap;
use chatcore::attachments::FileKind;
use chatcore::blob::FolderBlobs;
use chatcore::bus::LocalBus;
use chatcore::consumer::Entry;
use chatcore::protocol::{ChatEvent, Command};
use chatcore::store::Store;
use chatcore::{
    ChannelName, Chat, Client, HistoryAccess, Identity, Limits, MemoryStore, Mention, NewMessage, Notify,
    Role, Seq, User,
};
use chatcore_redb::RedbStore;
use futures::future::{join_all, try_join_all};
use futures::stream::{self, StreamExt};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Held by the test that runs: the heap is that of the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// The bytes by which an engine may grow in one more round. The rings of two rounds differ by a few thousand bytes.
const PER_ROUND: usize = 8 << 10;

/// The same with a redb store, whose cache differs by some pages.
const PER_ROUND_ON_REDB: usize = 32 << 10;

/// The people of a channel.
const PEOPLE: usize = 4;

#[derive(Clone, Copy)]
struct Plan {
    /// How many rounds there are, and after how many the growth counts.
    rounds: usize,
    first: usize,
    /// New channels of each round.
    channels: usize,
    /// Messages of each person, a multiple of [`BURST`].
    messages: usize,
}

/// Messages that one person sends at once.
const BURST: usize = 5;

impl Plan {
    fn messages(self) -> usize {
        self.channels * PEOPLE * self.messages
    }

    /// Checks the growth over the rounds after the first ones.
    fn check(self, what: &str, first: usize, all: usize, allowed: usize) {
        let grown = all.saturating_sub(first) / (self.rounds - self.first);
        let Self { rounds, channels, .. } = self;
        println!(
            "{what}: {all} bytes after {rounds} rounds of {channels} channels and {} messages, {grown} more a round",
            self.messages()
        );
        assert!(grown <= allowed, "{what}: {grown} bytes more with each round, {allowed} are allowed");
    }
}

fn limits(plan: Plan) -> Limits {
    let mut limits = Limits::default();
    (limits.loaded_channels, limits.connections, limits.paces_remembered) =
        (plan.channels + 1, PEOPLE * plan.channels + 2, 50);
    (limits.channels, limits.channels_at_once) = (usize::MAX, u32::MAX);
    limits.presence_grace = Duration::ZERO;
    limits.store_timeout = Duration::from_secs(3_600);
    limits.channel_idle = Duration::from_secs(86_400);
    (limits.commands_per_second, limits.command_burst) = (1_000_000, 1_000_000);
    limits
}

fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

/// The chats of one or more nodes on one store.
struct Life {
    runtime: Runtime,
    _files: TempDir,
    nodes: Vec<Chat>,
    /// One person at each node who stays.
    last: Vec<Client>,
}

impl Life {
    fn start(store: &Arc<dyn Store>, nodes: usize, plan: Plan) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let files = tempfile::tempdir().unwrap();
        let (nodes, last) = runtime.block_on(async {
            let blobs = FolderBlobs::open(files.path()).await.unwrap();
            let bus = Arc::new(LocalBus::new());
            let node = |_| {
                let builder = Chat::builder(Arc::clone(store)).blobs(blobs.clone()).limits(limits(plan));
                if nodes > 1 { builder.bus(Arc::clone(&bus)).build() } else { builder.build() }
            };
            let nodes: Vec<Chat> = (0..nodes).map(node).collect();
            let host = user("host");
            let name = ChannelName::new("general").unwrap();
            nodes[0].ensure_channel(&name, "", &host).await.unwrap();
            let last = |(n, chat): (usize, &Chat)| chat.connect(Identity::new(user(&format!("last{n}"))));
            let last = nodes.iter().enumerate().map(last).collect::<Result<_, _>>().unwrap();
            (nodes, last)
        });
        Self { runtime, _files: files, nodes, last }
    }

    fn round(&mut self, plan: Plan, round: usize) {
        let Self { runtime, nodes, last, .. } = self;
        runtime.block_on(async {
            let channels = stream::iter(0..plan.channels);
            channels.for_each_concurrent(None, |n| live(nodes, plan, round, n)).await;
            for client in last {
                // The first may be in a batch with others that are not done yet. The second comes after that batch.
                for _ in 0..2 {
                    settle(client).await;
                }
            }
            // No event tells of the end of a connection.
            while nodes.iter().any(|chat| chat.stats().connections > 1) {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Ends the engine, and returns how many bytes it held.
    fn end(self) -> usize {
        let before = HEAP.allocated();
        let Self { runtime, nodes, last, .. } = self;
        drop((nodes, last));
        drop(runtime);
        before - HEAP.allocated()
    }
}

/// Waits until what was queued before is done: the client then gets an event that was queued after it.
async fn settle(client: &mut Client) {
    let sender = client.sender();
    let set = Command::SetNotify { channel: "general".into(), notify: Notify::All };
    sender.call::<serde_json::Value>(set).await.unwrap();
    while !matches!(client.next_event().await.unwrap(), ChatEvent::ChannelAdded { .. }) {}
}

/// Has one channel's people come, write, read and leave.
async fn live(nodes: &[Chat], plan: Plan, round: usize, n: usize) {
    let chat = |n: usize| &nodes[n % nodes.len()];
    let people: Vec<User> = (0..PEOPLE).map(|p| user(&format!("{round:03}-{n:03}-{p}"))).collect();
    for (n, person) in people.iter().enumerate() {
        chat(n).remember_user(person).await.unwrap();
    }
    let name = format!("c-{round:03}-{n:03}");
    let name = match n % 4 {
        0 => {
            let made = chat(0).create_private(&people[0], &name, "", HistoryAccess::All).await.unwrap();
            for person in &people[1..] {
                chat(0).add_member(&people[0], &made.name, person).await.unwrap();
            }
            made.name.to_string()
        }
        1 => chat(0).open_direct(&people).await.unwrap().name.to_string(),
        _ => chat(0)
            .ensure_channel(&ChannelName::new(&name).unwrap(), "", &people[0])
            .await
            .unwrap()
            .name
            .to_string(),
    };
    let connect = |(n, user): (usize, &User)| chat(n).connect(Identity::new(user.clone())).unwrap();
    let mut clients: Vec<Client> = people.iter().enumerate().map(connect).collect();
    try_join_all(clients.iter().map(|client| client.subscribe(&name))).await.unwrap();
    try_join_all(clients.iter().map(|client| client.typing(&name))).await.unwrap();
    let write = clients.iter().map(Client::sender).enumerate().map(async |(at, writer)| {
        let mut seqs = Vec::with_capacity(plan.messages);
        for begin in (0..plan.messages).step_by(BURST) {
            let send = |m: usize| writer.send(&name, NewMessage::text(format!("message {m} of {at}")));
            let sent = try_join_all((begin..begin + BURST).map(send)).await.unwrap();
            seqs.extend(sent.iter().map(|published| published.seq));
        }
        seqs
    });
    let write = join_all(write.collect::<Vec<_>>());
    let hear = async |client: &mut Client| {
        let mut missing = plan.messages * PEOPLE;
        while missing > 0 {
            match client.next_event().await.unwrap() {
                ChatEvent::Message { .. } => missing -= 1,
                ChatEvent::Lagged { .. } => panic!("the ring has all messages of the channel"),
                _ => {}
            }
        }
    };
    let (seqs, ()) = futures::join!(write, hear(&mut clients[0]));
    change(&clients, &name, &seqs).await;
    let client = &clients[0];
    client.history(&name, 20, 10).await.unwrap();
    if n.is_multiple_of(10) {
        client.search(&name, "message", None).await.unwrap();
    }
    for client in &clients {
        client.read(&name, 30).await.unwrap();
        let list = Command::Channels { after: None, limit: Some(10), archived: false };
        client.call::<serde_json::Value>(list).await.unwrap();
    }
    if n % 10 == 1 {
        send_a_file(chat(n), &clients[0], &people[0], &name).await;
    }
    if n == 2 {
        consume(chat(n), &format!("round-{round}"), &name, plan.messages * PEOPLE).await;
    }
    if n.is_multiple_of(4) {
        let [owner, second, .., last] = &people[..] else { unreachable!("four people") };
        let name = ChannelName::new(&name).unwrap();
        chat(1).set_role(owner, &name, &second.id, Role::Owner).await.unwrap();
        chat(1).remove_member(owner, &name, &last.id).await.unwrap();
    }
}

/// Has the channel's people edit, delete and react, reply and mention each other. `seqs` are those of what each wrote.
async fn change(clients: &[Client], name: &str, seqs: &[Vec<Seq>]) {
    for (client, seqs) in clients.iter().zip(seqs) {
        let [.., edited, deleted] = seqs[..] else { unreachable!("each writes a burst") };
        client.edit(name, edited, "a better text").await.unwrap();
        client.delete(name, deleted).await.unwrap();
        client.react(name, edited, "👍", true).await.unwrap();
        client.react(name, edited, "👍", false).await.unwrap();
        let reply = NewMessage::text("to all").reply_to(edited).mention(Mention::Channel);
        client.send(name, reply).await.unwrap();
    }
}

/// Has a person send a file, have it read, and delete it.
async fn send_a_file(chat: &Chat, client: &Client, user: &User, name: &str) {
    let identity = Identity::new(user.clone());
    let bytes = stream::iter([Ok(Bytes::from_static(b"a plan"))]).boxed();
    let file =
        chat.upload(&identity, name, "plan.txt", bytes, |_| FileKind::new("text/plain")).await.unwrap();
    let message = NewMessage::text("").attachment(file.id.clone());
    let sent = client.send(name, message).await.unwrap();
    let mut read = chat.attachment_bytes(&identity, &file.id, 0..u64::MAX).await.unwrap();
    assert_eq!(read.next().await.unwrap().unwrap(), "a plan");
    client.delete(name, sent.seq).await.unwrap();
}

/// Has an app read at least so many entries of a channel's log, and stop for good.
async fn consume(chat: &Chat, consumer: &str, channel: &str, entries: usize) {
    let chosen = channel.to_owned();
    let builder = chat.consumer(consumer).channels(move |channel| channel.name.as_str() == chosen);
    let mut consumer = builder.open().await.unwrap();
    let mut read = 0;
    while read < entries {
        let batch = consumer.next().await.unwrap();
        // What is pruned meanwhile can't be read.
        read += if batch.iter().any(|entry| matches!(entry, Entry::Reset { .. })) {
            entries
        } else {
            batch.len()
        };
        consumer.ack(&batch).await.unwrap();
    }
    assert!(chat.remove_consumer(consumer.name()).await.unwrap());
}

/// Checks what an engine holds on a store that is in memory itself, and so is not counted.
fn on_the_memory_store(nodes: usize, retention: usize, plan: Plan) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let [first, all] = [plan.first, plan.rounds].map(|rounds| {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::with_retention(retention));
        let mut life = Life::start(&store, nodes, plan);
        (0..rounds).for_each(|round| life.round(plan, round));
        life.end()
    });
    println!("XX {first} {all}");
    if std::env::var_os("XX").is_none() {
        plan.check(&format!("{nodes} on the memory store"), first, all, nodes * PER_ROUND);
    }
}

/// Checks what an engine and its store hold on redb, whose cache is full after the first rounds.
fn on_redb(plan: Plan) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let before = HEAP.allocated();
    let store = RedbStore::builder().cache_bytes(1 << 18).open(folder.path().join("chat.redb")).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let mut life = Life::start(&store, 1, plan);
    let held = (0..=plan.rounds).map(|round| {
        life.round(plan, round);
        HEAP.allocated() - before
    });
    let held: Vec<_> = held.collect();
    // While the store's thread writes, it may hold some pages more or fewer: the median of three rounds.
    let [first, all] = [plan.first, plan.rounds].map(|rounds| {
        let mut around = [held[rounds - 2], held[rounds - 1], held[rounds]];
        around.sort_unstable();
        around[1]
    });
    plan.check("redb", first, all, PER_ROUND_ON_REDB);
}

#[test]
fn an_engine_forgets_who_and_what_is_gone() {
    on_the_memory_store(1, 100, Plan { rounds: 8, first: 3, channels: 100, messages: 25 });
}

#[test]
fn nodes_forget_who_and_what_is_gone() {
    on_the_memory_store(2, 1_000, Plan { rounds: 10, first: 4, channels: 25, messages: 25 });
}

#[test]
fn an_engine_on_redb_forgets_who_and_what_is_gone() {
    on_redb(Plan { rounds: 9, first: 4, channels: 25, messages: 25 });
}

#[test]
#[ignore = "a long run: see CONTRIBUTING.md"]
fn a_million_messages_through_ten_thousand_channels_leave_nothing() {
    on_the_memory_store(1, 100, Plan { rounds: 40, first: 20, channels: 250, messages: 25 });
}

#[test]
#[ignore = "a long run: see CONTRIBUTING.md"]
fn a_million_messages_on_redb_leave_nothing_in_memory() {
    on_redb(Plan { rounds: 40, first: 20, channels: 250, messages: 25 });
}
