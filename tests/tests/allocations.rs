//! Counts the server's allocations: for each delivery, publish, idle connection and channel.
//!
//! The server runs on the test's own thread, and only that thread's allocations are counted. Its clients are real
//! sockets on another thread. Nothing is measured in time, so a busy machine changes nothing.
//!
//! If a budget is exceeded, find what allocates and fix it: `CONTRIBUTING.md` says how, and when a budget may
//! change.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use allocation_counter::AllocationInfo;
use chatcore::{ChannelName, User};
use chatcore_tests::{Raw, Server, Setup, frame};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::yield_now;

/// Allocations for one more recipient of a message: none. One per burst of 32 messages to a connection would be
/// 0.03. The margin is for the fan-out's tasks, one per core, whose buffers grow in their first turn.
const PER_DELIVERY: f64 = 0.01;

/// Allocations for a published message of 80 bytes without recipients, and their bytes.
const PER_PUBLISH: u64 = 15;
const BYTES_PER_PUBLISH: u64 = 1_870;

/// The bytes of one more idle connection that has joined a channel, used before or not.
const PER_CONNECTION: i64 = 2_048;

/// The bytes of one more subscription of a connection, including its user's entry in the list of online users.
const PER_SUBSCRIPTION: i64 = 205;

/// The bytes of an empty channel in memory that has no subscribers any more.
const PER_CHANNEL: i64 = 1_024;

/// The hint in the message of every failure.
const HELP: &str = "see the head of tests/tests/allocations.rs";

/// A server on the thread that starts it, and its clients on another thread.
struct Counted {
    serving: Runtime,
    server: Server,
    chatting: Runtime,
    clients: Clients,
}

struct Clients {
    addr: SocketAddr,
    members: Vec<Raw>,
    /// How many of them publish.
    authors: usize,
    published: usize,
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

impl Counted {
    fn start(edit: impl FnOnce(&mut Setup)) -> Self {
        let serving = runtime();
        let server = serving.block_on(Server::with(|setup| {
            // No timer fires during the test.
            let never = Duration::from_secs(86_400);
            (setup.config.ping_interval, setup.config.silence) = (never, never);
            setup.limits.channel_idle = never;
            (setup.limits.commands_per_second, setup.limits.command_burst) = (1_000_000, 1_000_000);
            // The ring of a channel in use is full. This one fills up soon.
            setup.limits.ring_events = 64;
            edit(setup);
        }));
        let clients = Clients { addr: server.addr, members: Vec::new(), authors: usize::MAX, published: 0 };
        Self { serving, server, chatting: runtime(), clients }
    }

    /// Counts the allocations for serving the clients' `work`.
    fn count(&mut self, work: impl AsyncFnOnce(&mut Clients) + Send) -> AllocationInfo {
        let Self { serving, chatting, clients, .. } = self;
        let (done, working) = oneshot::channel::<()>();
        thread::scope(|threads| {
            threads.spawn(move || {
                // Dropped at the end, or by a panic, which the scope propagates.
                let _done = done;
                chatting.block_on(work(clients));
            });
            let count = allocation_counter::measure(|| {
                serving.block_on(async {
                    let _ = working.await;
                    settle().await;
                });
            });
            assert!(count.count_total > 0, "nothing was counted: is the counting allocator in use?");
            count
        })
    }

    /// Has the store know the people and that they have joined, so that only their connections are counted.
    fn know(&self, members: usize) {
        let (general, owner) = (ChannelName::new("general").expect("a name"), User::new("u_owner", "owner"));
        let owner = owner.expect("a user");
        for n in 0..members {
            let user = User::new(&format!("u_{n:04}"), &format!("{n:04}")).expect("a user");
            self.serving.block_on(self.server.chat.remember_user(&user)).expect("the store answers");
            let added = self.server.chat.add_member(&owner, &general, &user);
            self.serving.block_on(added).expect("the store answers");
        }
    }

    fn create(&self, name: &str) {
        let name = ChannelName::new(name).expect("a name");
        let owner = User::new("u_owner", "owner").expect("a user");
        let created = self.serving.block_on(self.server.chat.ensure_channel(&name, "", &owner));
        created.expect("a new channel");
    }
}

/// Runs every task until it is idle. Each turn checks the sockets and polls up to 61 tasks.
async fn settle() {
    for _ in 0..1_000 {
        yield_now().await;
    }
}

impl Clients {
    /// Connects until `general` has `count` members.
    async fn join(&mut self, count: usize) {
        for n in self.members.len()..count {
            let mut member = Raw::websocket(self.addr, &format!("{n:04}")).await;
            ask(&mut member, &json!({"type": "subscribe", "id": 1, "channel": "general", "limit": 0})).await;
            self.members.push(member);
        }
    }

    /// Publishes `count` messages. Each member in turn writes `burst` of them at once, when everybody has received
    /// the previous ones.
    async fn publish(&mut self, count: usize, burst: usize, text: &str) {
        for round in 0..count / burst {
            let author = round % self.members.len().min(self.authors);
            let mut bytes = Vec::new();
            for _ in 0..burst {
                let nonce = format!("{:08}", self.published);
                let publish =
                    json!({"type": "publish", "id": 1, "channel": "general", "nonce": nonce, "text": text});
                bytes.extend(frame(0x81, publish.to_string().as_bytes()));
                self.published += 1;
            }
            self.members[author].write(&bytes).await;
            for (at, member) in self.members.iter_mut().enumerate() {
                let answers = if at == author { burst } else { 0 };
                hear(member, [vec!["message"; burst], vec!["ok"; answers]].concat()).await;
            }
        }
    }
}

async fn ask(client: &mut Raw, command: &Value) {
    client.write(&frame(0x81, command.to_string().as_bytes())).await;
    hear(client, vec!["ok"]).await;
}

/// Reads until a frame of each of these types has arrived, in any order.
async fn hear(client: &mut Raw, mut missing: Vec<&str>) {
    while !missing.is_empty() {
        let frame = client.frame().await.expect("an open connection");
        let text = std::str::from_utf8(&frame.payload).expect("text");
        assert!(!text.starts_with(r#"{"type":"error""#), "{text}");
        let heard = missing.iter().position(|kind| text.starts_with(&format!(r#"{{"type":"{kind}""#)));
        heard.map(|at| missing.swap_remove(at));
    }
}

/// A message of 80 bytes.
const TEXT: &str = "a message of about eighty bytes, as people write them, which is long enough here";

/// The messages that fill the ring and bring every buffer to its size, and the messages that are counted. They lie
/// between the points where the store's tables double, after 128 and after 224.
const WARM_UP: usize = 160;
const COUNTED: usize = 64;

/// Counts the allocations for publishing [`COUNTED`] messages to `members`, `burst` at once.
fn published(members: usize, burst: usize) -> AllocationInfo {
    let mut counted = Counted::start(|setup| setup.limits.presence_members = 0);
    counted.create("general");
    // All have published before the messages that are counted: the first one joins the channel.
    counted.clients.authors = 50;
    counted.count(async |clients| {
        clients.join(members).await;
        clients.publish(WARM_UP, burst, TEXT).await;
    });
    counted.count(async |clients| clients.publish(COUNTED, burst, TEXT).await)
}

fn deliveries_allocate_within_the_budget(burst: usize) {
    let (few, many) = (50, 450);
    let more = published(many, burst).count_total as f64 - published(few, burst).count_total as f64;
    let each = more / ((many - few) * COUNTED) as f64;
    println!("{each} allocations a delivery in bursts of {burst}");
    assert!(each < PER_DELIVERY, "a delivery makes {each} allocations, {PER_DELIVERY} are too many: {HELP}");
}

#[test]
fn delivering_a_message_allocates_nothing() {
    deliveries_allocate_within_the_budget(1);
}

#[test]
fn delivering_a_burst_allocates_nothing() {
    deliveries_allocate_within_the_budget(32);
}

#[test]
fn a_publish_stays_within_its_allocation_budget() {
    let counted = published(2, 1);
    let (count, bytes) = (counted.count_total / COUNTED as u64, counted.bytes_total / COUNTED as u64);
    println!("{count} allocations, {bytes} bytes a publish");
    assert!(count <= PER_PUBLISH, "a publish makes {count} allocations, {PER_PUBLISH} are allowed: {HELP}");
    assert!(
        bytes <= BYTES_PER_PUBLISH,
        "a publish allocates {bytes} bytes, {BYTES_PER_PUBLISH} are allowed: {HELP}"
    );
}

/// Checks the bytes of one more of 240 connections. `messages` of 4 KiB are published in total, for any number of
/// connections, so that their memory in the store and the ring does not count.
fn a_connection_holds_its_budget(messages: usize) {
    let (few, many) = (40, 240);
    let text = "x".repeat(4_096);
    let held = |members| {
        let mut counted = Counted::start(|_| ());
        counted.create("general");
        counted.know(members);
        let count = counted.count(async |clients| {
            clients.join(members).await;
            clients.publish(messages, 1, &text).await;
        });
        count.bytes_current
    };
    let each = (held(many) - held(few)) / (many - few) as i64;
    println!("{each} bytes a connection after {messages} messages");
    assert!(
        each <= PER_CONNECTION,
        "an idle connection holds {each} bytes, {PER_CONNECTION} are allowed: {HELP}"
    );
}

#[test]
fn a_subscribed_connection_stays_within_its_memory_budget() {
    a_connection_holds_its_budget(0);
}

#[test]
fn an_idle_used_connection_stays_within_its_memory_budget() {
    // Each of the 240 publishes one message, and receives all.
    a_connection_holds_its_budget(240);
}

#[test]
fn an_empty_channel_stays_within_its_memory_budget() {
    const CHANNELS: usize = 1_000;
    let mut counted = Counted::start(|setup| setup.limits.presence_grace = Duration::ZERO);
    counted.create("general");
    let names: Vec<String> = (0..CHANNELS).map(|n| format!("c{n:04}")).collect();
    names.iter().for_each(|name| counted.create(name));
    let visits = async |clients: &mut Clients, names: &[String]| {
        let [visitor, observer] = &mut clients.members[..] else { panic!("two have joined") };
        for name in names {
            ask(visitor, &json!({"type": "subscribe", "id": 1, "channel": name})).await;
            ask(visitor, &json!({"type": "unsubscribe", "id": 1, "channel": name})).await;
        }
        // Departures are reported in order: after this one, all others have ended.
        ask(visitor, &json!({"type": "unsubscribe", "id": 1, "channel": "general"})).await;
        hear(observer, vec!["presence"]).await;
        ask(visitor, &json!({"type": "subscribe", "id": 1, "channel": "general"})).await;
        hear(observer, vec!["presence"]).await;
    };
    counted.count(async |clients| {
        clients.join(2).await;
        visits(clients, &[]).await;
    });
    let count = counted.count(async |clients| visits(clients, &names).await);
    let each = count.bytes_current / CHANNELS as i64;
    println!("{each} bytes a channel");
    assert!(each <= PER_CHANNEL, "an empty channel holds {each} bytes, {PER_CHANNEL} are allowed: {HELP}");
}

#[test]
fn a_subscription_stays_within_its_memory_budget() {
    const CHANNELS: usize = 500;
    let mut counted = Counted::start(|_| ());
    counted.create("general");
    let names: Vec<String> = (0..CHANNELS).map(|n| format!("c{n:04}")).collect();
    names.iter().for_each(|name| counted.create(name));
    let subscribe = async |clients: &mut Clients, member: usize| {
        for name in &names {
            ask(
                &mut clients.members[member],
                &json!({"type": "subscribe", "id": 1, "channel": name, "limit": 0}),
            )
            .await;
        }
    };
    counted.count(async |clients| {
        clients.join(3).await;
        subscribe(clients, 0).await;
        subscribe(clients, 1).await;
    });
    let count = counted.count(async |clients| subscribe(clients, 2).await);
    let each = count.bytes_current / CHANNELS as i64;
    println!("{each} bytes a subscription");
    assert!(
        each <= PER_SUBSCRIPTION,
        "a subscription holds {each} bytes, {PER_SUBSCRIPTION} are allowed: {HELP}"
    );
}
