//! What the parts of the hot path cost, without a network. Each group answers the question above it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::future::poll_fn;
use std::hint::black_box;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use chatcore::protocol::Command;
use chatcore::store::Store;
use chatcore::{Chat, Connection, Identity, Limits, MemoryStore, Nonce, User};
use chatcore_redb::RedbStore;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

fn chat(store: impl Store) -> Chat {
    let mut limits = Limits::default();
    limits.command_burst = u32::MAX;
    limits.commands_per_second = 1_000_000;
    limits.connections_per_user = usize::MAX;
    Chat::builder(store).limits(limits).build()
}

/// A connection as a transport drives it.
struct Driven {
    connection: Connection,
    out: Vec<Bytes>,
}

impl Driven {
    async fn open(chat: &Chat, name: &str, first: &[&str]) -> Self {
        let identity = Identity::new(User::new(&format!("u_{name}"), name).unwrap());
        let mut driven = Self { connection: chat.open(identity).unwrap(), out: Vec::new() };
        for frame in first {
            driven.connection.receive(frame);
            driven.until(|frame| frame.starts_with(br#"{"type":"ok""#)).await;
        }
        driven
    }

    /// Takes frames until one fits.
    async fn until(&mut self, fits: impl Fn(&[u8]) -> bool) {
        loop {
            self.out.clear();
            poll_fn(|cx| self.connection.poll_outgoing(cx, &mut self.out)).await;
            if self.out.iter().any(|frame| fits(frame)) {
                return;
            }
        }
    }

    /// Takes all there is.
    fn drain(&mut self) -> usize {
        let mut cx = Context::from_waker(Waker::noop());
        self.out.clear();
        while let Poll::Ready(closed) = self.connection.poll_outgoing(&mut cx, &mut self.out) {
            assert_eq!(closed, None);
        }
        self.out.len()
    }
}

const CREATE: &str = r#"{"type":"create_channel","id":1,"name":"a"}"#;
const FOLLOW: &str = r#"{"type":"subscribe","id":2,"channel":"a","limit":0}"#;
const OPEN: &str = r#"{"type":"subscribe","id":3,"channel":"a"}"#;

fn publish(text: &str) -> String {
    let nonce = Nonce::random();
    format!(r#"{{"type":"publish","id":4,"channel":"a","nonce":"{nonce}","text":"{text}"}}"#)
}

/// What does one published message cost, from its frame to the shared frame in the hands of each of N
/// connections' transports? It does not show sockets, which cost far more.
fn fan_out(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("fan_out");
    for subscribers in [1_usize, 100, 2_000] {
        let (mut writer, mut readers) = runtime.block_on(async {
            let chat = chat(MemoryStore::new());
            let writer = Driven::open(&chat, "writer", &[CREATE]).await;
            let mut readers = Vec::new();
            for n in 0..subscribers {
                readers.push(Driven::open(&chat, &format!("r{n}"), &[FOLLOW]).await);
            }
            readers.iter_mut().for_each(|reader| _ = reader.drain());
            (writer, readers)
        });
        group.throughput(Throughput::Elements(subscribers as u64));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    writer
                        .connection
                        .receive(&publish("a message of about eighty bytes, as people write them"));
                    writer.until(|frame| frame.starts_with(br#"{"type":"ok""#)).await;
                });
                let delivered: usize = readers.iter_mut().map(Driven::drain).sum();
                assert_eq!(black_box(delivered), subscribers);
            });
        });
    }
    group.finish();
}

/// What does it cost to open a channel whose ring holds 100 messages, from command to answer?
fn open_channel(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let chat = runtime.block_on(async {
        let chat = chat(MemoryStore::new());
        let mut writer = Driven::open(&chat, "writer", &[CREATE]).await;
        for n in 0..100 {
            writer.connection.receive(&publish(&format!("message {n}")));
            writer.until(|frame| frame.starts_with(br#"{"type":"ok""#)).await;
        }
        chat
    });
    c.bench_function("open_channel", |b| {
        let _inside = runtime.enter();
        b.iter_batched(
            || runtime.block_on(Driven::open(&chat, "reader", &[])),
            |mut reader| {
                runtime.block_on(async {
                    reader.connection.receive(OPEN);
                    reader.until(|frame| frame.starts_with(br#"{"type":"ok""#)).await;
                });
                reader
            },
            BatchSize::SmallInput,
        );
    });
}

/// How long does it take until 64 publishes, given at once by 64 people on one channel, are acknowledged:
/// in memory, and on the disk?
fn acknowledge(c: &mut Criterion) {
    let mut group = c.benchmark_group("acknowledge_64");
    group.throughput(Throughput::Elements(64)).sample_size(20);
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let chats = [
        ("memory", chat(MemoryStore::new())),
        ("redb", chat(RedbStore::open(folder.path().join("chat.redb")).unwrap())),
    ];
    for (name, chat) in chats {
        let mut writers = runtime.block_on(async {
            let mut writers = Vec::new();
            for n in 0..64 {
                let identity = Identity::new(User::new(&format!("u_{n}"), "writer").unwrap());
                writers.push(chat.connect(identity).unwrap());
            }
            writers[0].create_channel("a", "").await.unwrap();
            writers
        });
        group.bench_function(name, |b| {
            b.iter(|| {
                runtime.block_on(futures::future::join_all(writers.iter_mut().map(|writer| async {
                    let publish = Command::Publish {
                        channel: "a".into(),
                        nonce: Nonce::random().to_string(),
                        text: "a message of about eighty bytes, as people write them".into(),
                        attachments: Vec::new(),
                        reply_to: None,
                    };
                    writer.call::<chatcore::protocol::Published>(publish).await.unwrap();
                })));
            });
        });
    }
    group.finish();
}

criterion_group!(parts, fan_out, open_channel, acknowledge);
criterion_main!(parts);
