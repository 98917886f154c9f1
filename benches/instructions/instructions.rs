//! The instructions of the hot path, counted by callgrind and compared with budgets. `CONTRIBUTING.md` says how to
//! read a failure, and when a budget may change.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chatcore::protocol::Command;
use chatcore::transport::{Burst, Framing, Outlet, Sent};
use chatcore::{Chat, MemoryStore};
use chatcore_benches::{CREATE, Driven, FOLLOW, OPEN, chat, publish};
use gungraun::{
    Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use tokio::runtime::{Builder, Runtime};
use tokio::task::yield_now;

/// Decodes a publish.
const DECODE: u64 = 3_470;

/// Publishes a message, from its frame to the outlet of each recipient.
const PUBLISH_TO_1: u64 = 14_650;
const PUBLISH_TO_100: u64 = 31_500;

/// The same if no recipient has an outlet: each is woken, and reads from its cursor.
const PUBLISH_TO_100_TASKS: u64 = 130_400;

/// Opens a channel whose ring holds 100 messages, from command to response. Two thirds are the copy of the
/// messages, which are encoded once for all: callgrind counts each copied byte as an instruction.
const OPEN_CHANNEL: u64 = 32_450;

/// The number of calls that are counted together. The cost of malloc depends on the state of its heap, by a few
/// per cent of a call; over this many calls it evens out.
const CALLS: usize = 20;

fn within(budget: u64) -> LibraryBenchmarkConfig {
    let mut callgrind = Callgrind::with_args(["--cache-sim=no"]);
    callgrind.hard_limits([(EventKind::Ir, budget * CALLS as u64)]);
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind);
    config
}

/// A message of 80 bytes.
const TEXT: &str = "a message of about eighty bytes, as people write them, which is long enough here";

fn publishes() -> Vec<String> {
    (0..CALLS).map(|_| publish(TEXT)).collect()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

#[library_benchmark(config = within(DECODE))]
#[bench::publish(publishes())]
fn decode(frames: Vec<String>) -> Vec<String> {
    for frame in &frames {
        black_box(Command::decode(black_box(frame)).unwrap());
    }
    frames
}

/// A socket that accepts everything.
#[derive(Debug, Default)]
struct Sink {
    frames: AtomicUsize,
}

struct Plain;

impl Framing for Plain {
    fn write(frame: &[u8], wire: &mut Vec<u8>) {
        wire.extend_from_slice(frame);
    }
}

impl Outlet for Sink {
    fn try_send(&self, burst: &mut Burst) -> Sent {
        black_box(burst.wire::<Plain>());
        // The next message is published when everybody has this one, so a burst is one frame.
        self.frames.fetch_add(1, Ordering::Relaxed);
        Sent::All
    }
}

/// A channel in use, with a writer who does not follow it and readers who do.
struct Crowd {
    runtime: Runtime,
    writer: Driven,
    readers: Vec<Driven>,
    /// The sink for the frames of all readers, if they have an outlet.
    sink: Option<Arc<Sink>>,
    next: Vec<String>,
}

impl Crowd {
    fn direct(readers: usize) -> Self {
        Self::of(readers, Some(Arc::default()))
    }

    fn by_tasks(readers: usize) -> Self {
        Self::of(readers, None)
    }

    /// Publishes enough messages that the ring is full and every buffer has its size, and stops between the points
    /// where the store's tables double, after 128 and after 224.
    fn of(readers: usize, sink: Option<Arc<Sink>>) -> Self {
        let runtime = runtime();
        let (writer, readers) = runtime.block_on(async {
            let chat = chat(MemoryStore::new());
            let writer = Driven::open(&chat, "writer", &[CREATE]).await;
            let mut following = Vec::new();
            for n in 0..readers {
                let reader = Driven::open(&chat, &format!("r{n:03}"), &[FOLLOW]).await;
                if let Some(sink) = &sink {
                    reader.set_outlet(Arc::clone(sink) as Arc<dyn Outlet>);
                }
                following.push(reader);
            }
            (writer, following)
        });
        let mut crowd = Self { runtime, writer, readers, sink, next: Vec::new() };
        for _ in 0..8 {
            crowd.next = publishes();
            crowd.publish();
        }
        crowd.next = publishes();
        crowd
    }

    fn publish(&mut self) {
        let Self { runtime, writer, readers, sink, next } = self;
        runtime.block_on(async {
            for frame in next {
                let before = sink.as_ref().map(|sink| sink.frames.load(Ordering::Relaxed));
                writer.ask(frame).await;
                match (&sink, before) {
                    (Some(sink), Some(before)) => {
                        while sink.frames.load(Ordering::Relaxed) < before + readers.len() {
                            yield_now().await;
                        }
                    }
                    _ => {
                        for reader in readers.iter_mut() {
                            reader.until(|frame| frame.starts_with(br#"{"type":"message""#)).await;
                        }
                    }
                }
            }
        });
    }
}

#[library_benchmark]
#[bench::to_1(args = (1), setup = Crowd::direct, config = within(PUBLISH_TO_1))]
#[bench::to_100(args = (100), setup = Crowd::direct, config = within(PUBLISH_TO_100))]
#[bench::to_100_tasks(args = (100), setup = Crowd::by_tasks, config = within(PUBLISH_TO_100_TASKS))]
fn publish_message(mut crowd: Crowd) -> Crowd {
    crowd.publish();
    crowd
}

/// Connections of one user without subscriptions, so that no presence event is sent.
struct Newcomers {
    runtime: Runtime,
    _chat: Chat,
    readers: Vec<Driven>,
}

impl Newcomers {
    fn to(messages: usize) -> Self {
        let runtime = runtime();
        let (chat, readers) = runtime.block_on(async {
            let chat = chat(MemoryStore::new());
            let mut writer = Driven::open(&chat, "writer", &[CREATE]).await;
            for _ in 0..messages {
                writer.ask(&publish(TEXT)).await;
            }
            // The first connection pays for what the others share.
            Driven::open(&chat, "first", &[OPEN]).await;
            let mut readers = Vec::new();
            for _ in 0..CALLS {
                let mut reader = Driven::open(&chat, "reader", &[]).await;
                reader.drain();
                readers.push(reader);
            }
            (chat, readers)
        });
        Self { runtime, _chat: chat, readers }
    }
}

#[library_benchmark(config = within(OPEN_CHANNEL))]
#[bench::full(args = (100), setup = Newcomers::to)]
fn open_channel(mut newcomers: Newcomers) -> Newcomers {
    newcomers.runtime.block_on(async {
        for reader in &mut newcomers.readers {
            reader.ask(OPEN).await;
        }
    });
    newcomers
}

library_benchmark_group!(name = hot_path, benchmarks = [decode, publish_message, open_channel]);

main!(library_benchmark_groups = hot_path);
