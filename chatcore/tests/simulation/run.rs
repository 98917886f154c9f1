//! Runs a script on paused time, beside a plain model: the log in the store.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chatcore::protocol::CloseReason;
use chatcore::store::{Check, Directory, EventStore, PageLimit, Replay};
use chatcore::testkit::{Faults, FaultyStore, Random};
use chatcore::{
    ChannelName, Chat, Client, Identity, Limits, MemoryStore, NewMessage, Nonce, Position, Seq, User,
};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::bus::Network;
use crate::reader::{Desk, read};
use crate::script::{CHANNELS, Script, Step};

/// How long after the bus is healed everything has come: a lost hint is noticed by the next beat, and a dead bus by the
/// first beat that comes back.
const SETTLED: Duration = Duration::from_secs(4);

/// The same if a node has died: what it stored and did not tell is found when its lease is over.
const SETTLED_AFTER_A_DEATH: Duration = Duration::from_secs(12);

/// How long after the bus is healed everybody is listed and nobody else: a dead node's lease, and the grace after it.
const PRESENT: Duration = Duration::from_secs(15);

/// How long after the bus is healed every channel is known: one whose creator does not know that it is there is found by
/// the next look at everything.
const FOUND: Duration = Duration::from_secs(35);

/// How long somebody may stay who has signed out at another node.
const SIGNED_OUT: Duration = Duration::from_secs(6);

type Store = FaultyStore<MemoryStore>;

/// A person who reads all channels, at one node at a time.
struct Reader {
    number: usize,
    node: usize,
    desk: Arc<Mutex<Desk>>,
    reading: JoinHandle<()>,
}

/// Somebody at a node who has signed out at another.
struct Visitor {
    nodes: [usize; 2],
    leaving: JoinHandle<Result<(), String>>,
}

struct World {
    store: Store,
    network: Arc<Network>,
    random: Arc<Random>,
    nodes: Vec<Chat>,
    starts: u64,
    readers: Vec<Reader>,
    visitors: Vec<Visitor>,
    writing: JoinSet<()>,
    written: u64,
    /// The channels that nodes have acknowledged as created.
    created: Arc<Mutex<BTreeSet<ChannelName>>>,
}

pub(crate) fn run(script: &Script) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(async {
        let mut world = World::new(script).await;
        for step in &script.steps {
            world.step(*step).await;
        }
        let has_died = script.steps.iter().any(|step| matches!(step, Step::Restart { .. }));
        world.settle(if has_died { SETTLED_AFTER_A_DEATH } else { SETTLED }).await
    })
}

pub(crate) fn channel(number: usize) -> ChannelName {
    ChannelName::new(&format!("c{number}")).unwrap()
}

pub(crate) fn user(name: &str) -> User {
    User::new(&format!("u_{name}"), name).unwrap()
}

impl World {
    async fn new(script: &Script) -> Self {
        let memory = MemoryStore::new();
        for number in 0..CHANNELS {
            memory.create_channel(&channel(number), "", &user("maker")).await.unwrap();
        }
        let random = Arc::new(Random::new(script.seed ^ 0x5eed));
        let faults = Faults {
            delay: 0.3,
            longest_delay: Duration::from_millis(4),
            after_write: 0.02,
            before_write: 0.02,
            ..Faults::default()
        };
        let network = Network::new(script.nodes, script.limits.clone(), Arc::clone(&random));
        let mut world = Self {
            store: FaultyStore::new(memory, faults, script.seed),
            network,
            random,
            nodes: Vec::new(),
            starts: 0,
            readers: Vec::new(),
            visitors: Vec::new(),
            writing: JoinSet::new(),
            written: 0,
            created: Arc::default(),
        };
        for node in 0..script.nodes {
            let started = world.start(node);
            world.nodes.push(started);
        }
        for number in 0..script.nodes {
            let desk = Desk { seen: vec![None; CHANNELS], listed: BTreeSet::new() };
            let desk = Arc::new(Mutex::new(desk));
            let reading = tokio::spawn(read(world.nodes[number].clone(), number, Arc::clone(&desk)));
            world.readers.push(Reader { number, node: number, desk, reading });
        }
        world
    }

    fn start(&mut self, node: usize) -> Chat {
        self.starts += 1;
        let limits = Limits::default().with_append_groups(1).with_command_burst(100_000);
        Chat::builder(self.store.clone())
            .bus(self.network.bus(node))
            .node_number(self.starts)
            .limits(limits)
            .build()
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Publish { node, channel: number, messages } => {
                for _ in 0..messages {
                    self.written += 1;
                    let nodes = [self.nodes[node].clone(), self.nodes[(node + 1) % self.nodes.len()].clone()];
                    self.writing.spawn(publish(nodes, channel(number), self.written));
                }
            }
            Step::Change { node, channel, kind } => {
                self.writing.spawn(change(self.nodes[node].clone(), channel, kind));
            }
            Step::Create { node } => {
                self.written += 1;
                let name = ChannelName::new(&format!("new-{}", self.written)).unwrap();
                let (node, created) = (self.nodes[node].clone(), Arc::clone(&self.created));
                self.writing.spawn(async move {
                    // After a failure, the channel is there or not.
                    if node.ensure_channel(&name, "", &user("maker")).await.is_ok() {
                        created.lock().unwrap().insert(name);
                    }
                });
            }
            Step::Move { reader, node } => self.move_to(reader, node),
            Step::Cut { from, to } => self.network.cut(from, to),
            Step::CutOff { node, is_told } => {
                for other in 0..self.nodes.len() {
                    self.network.cut(node, other);
                    self.network.cut(other, node);
                }
                if is_told {
                    self.network.tell(node, true);
                }
            }
            Step::Faults(faults) => self.network.set_faults(faults),
            Step::Heal => self.network.heal(),
            Step::Restart { node } => {
                // A visitor of a process that is gone has no connection, and what it was about to store is lost.
                self.visitors.retain(|visitor| !visitor.nodes.contains(&node));
                // Its readers come back to the next node.
                self.nodes[node] = self.start(node);
                for reader in 0..self.readers.len() {
                    if self.readers[reader].node == node {
                        self.move_to(reader, (node + 1) % self.nodes.len());
                    }
                }
            }
            Step::SignOut { visited, node } => {
                self.written += 1;
                let name = format!("v{}", self.written);
                let visitor = self.nodes[visited].connect(Identity::new(user(&name))).unwrap();
                self.visitors.push(Visitor { nodes: [visited, node], leaving: tokio::spawn(leave(visitor)) });
                self.nodes[node].disconnect(&user(&name).id, CloseReason::SignedOut);
            }
            Step::Wait { ms } => sleep(Duration::from_millis(1 + self.random.below(ms))).await,
        }
    }

    fn move_to(&mut self, reader: usize, node: usize) {
        let Reader { number, node: at, desk, reading } = &mut self.readers[reader];
        *at = node;
        reading.abort();
        *reading = tokio::spawn(read(self.nodes[node].clone(), *number, Arc::clone(desk)));
    }

    /// Heals everything, and waits until every reader has what the store has.
    async fn settle(mut self, settled: Duration) -> Result<(), String> {
        self.network.heal();
        self.store.set_faults(Faults::default());
        while let Some(written) = self.writing.join_next().await {
            written.map_err(|error| format!("a writer failed: {error}"))?;
        }
        for visitor in std::mem::take(&mut self.visitors) {
            visitor.leaving.await.map_err(|error| format!("a visitor failed: {error}"))??;
        }
        let healed = Instant::now();
        while let Err(why) = self.compare().await {
            if healed.elapsed() >= settled {
                return Err(why);
            }
            sleep(Duration::from_millis(100)).await;
        }
        let acknowledged = self.created.lock().unwrap().clone();
        self.compare_channels(&acknowledged, healed, settled).await?;
        while let Err(why) = self.compare_presence() {
            if healed.elapsed() >= PRESENT {
                return Err(why);
            }
            sleep(Duration::from_millis(500)).await;
        }
        let stored = self.store.inner().channels(None, PageLimit::items(10_000)).await.unwrap();
        let stored = stored.channels.into_iter().map(|info| info.name).collect();
        self.compare_channels(&stored, healed, FOUND).await
    }

    /// Waits until every reader knows these channels.
    async fn compare_channels(
        &self,
        channels: &BTreeSet<ChannelName>,
        healed: Instant,
        within: Duration,
    ) -> Result<(), String> {
        for Reader { number, desk, .. } in &self.readers {
            loop {
                let listed = desk.lock().unwrap().listed.clone();
                let Some(missing) = channels.iter().find(|name| !listed.contains(*name)) else { break };
                if healed.elapsed() >= within {
                    return Err(format!("reader {number} does not know {missing} of {channels:?}"));
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }

    /// Compares who is online, as each node with a reader knows it, with the readers.
    fn compare_presence(&self) -> Result<(), String> {
        let mut expected: Vec<_> = self.readers.iter().map(|reader| format!("r{}", reader.number)).collect();
        expected.sort_unstable();
        for Reader { node, .. } in &self.readers {
            for number in 0..CHANNELS {
                let members = self.nodes[*node].online(&channel(number));
                let names: Vec<_> = members.iter().map(|user| user.name.to_string()).collect();
                if names != expected {
                    return Err(format!("node {node} has {names:?} in channel {number}, not {expected:?}"));
                }
            }
        }
        Ok(())
    }

    /// Compares what every reader has with the store. An event that should not be there is an error at once.
    async fn compare(&self) -> Result<(), String> {
        for number in 0..CHANNELS {
            let log = self.log(number).await;
            for reader in &self.readers {
                if reader.reading.is_finished() {
                    return Err(format!("reader {} has failed", reader.number));
                }
                let seen = reader.desk.lock().unwrap().seen[number].clone();
                let who = format!("reader {} of channel {number}", reader.number);
                let seen = seen.ok_or_else(|| format!("{who} has not begun"))?;
                let expected: Vec<_> = log.iter().filter(|(seq, _)| *seq > seen.start.seq).copied().collect();
                if seen.events != expected {
                    let seqs = |events: &[(Seq, _)]| events.iter().map(|(seq, _)| *seq).collect::<Vec<_>>();
                    return Err(format!("{who} has {:?} of {:?}", seqs(&seen.events), seqs(&expected)));
                }
            }
        }
        Ok(())
    }

    async fn log(&self, number: usize) -> Vec<(Seq, Option<Check>)> {
        let store = self.store.inner();
        let info = store.channel(&channel(number)).await.unwrap().unwrap();
        let head = store.heads(&[info.id]).await.unwrap().remove(0).unwrap();
        let start = Position::new(head.epoch, 0);
        match store.after(info.id, &start, PageLimit::items(10_000)).await.unwrap() {
            Replay::Events { events, .. } => events.iter().map(|e| (e.seq, Some(Check::of(e)))).collect(),
            other => panic!("the log was lost: {other:?}"),
        }
    }
}

/// Waits until a visitor who has signed out is gone.
async fn leave(mut visitor: Client) -> Result<(), String> {
    let gone = timeout(SIGNED_OUT, async { while visitor.next_event().await.is_some() {} }).await;
    let name = visitor.close_reason();
    gone.map_err(|_| "a visitor stayed who had signed out".to_owned())?;
    if name == Some(CloseReason::SignedOut) { Ok(()) } else { Err(format!("a visitor left: {name:?}")) }
}

/// Publishes a message until one of the nodes acknowledges it. After a failure the outcome is unknown, so the nonce stays.
async fn publish(nodes: [Chat; 2], channel: ChannelName, number: u64) {
    for node in nodes.iter().cycle() {
        let message = NewMessage::text("hello").nonce(Nonce::new(number.to_string()).unwrap());
        if node.publish(&user("writer"), &channel, message).await.is_ok() {
            return;
        }
    }
}

/// Edits, deletes or reacts to the newest message, if there is one.
async fn change(node: Chat, number: usize, kind: u64) {
    let writer = node.connect(Identity::new(user("writer"))).unwrap();
    let name = channel(number).to_string();
    let Ok(page) = writer.history(&name, Seq::MAX, 1).await else { return };
    let Some(message) = page.messages.last() else { return };
    // Its outcome does not matter: the store has it or not.
    let _ = match kind {
        0 => writer.edit(&name, message.seq, "hello again").await,
        1 => writer.delete(&name, message.seq).await,
        _ => writer.react(&name, message.seq, "👍", true).await,
    };
}
