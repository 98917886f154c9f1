//! The costs of the parts of the hot path, without a network. Each group answers the question above it.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use chatcore::protocol::Command;
use chatcore::{Identity, MemoryStore, Nonce, User};
use chatcore_benches::{CREATE, Driven, FOLLOW, OPEN, chat, publish};
use chatcore_redb::RedbStore;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

const TEXT: &str = "a message of about eighty bytes, as people write them";

/// A writer, and readers who follow its channel, without pending frames.
async fn audience(subscribers: usize) -> (Driven, Vec<Driven>) {
    let chat = chat(MemoryStore::new());
    let writer = Driven::open(&chat, "writer", &[CREATE]).await;
    let mut readers = Vec::new();
    for n in 0..subscribers {
        // Few people with many connections, so that there are few presence events.
        readers.push(Driven::open(&chat, &format!("r{}", n % 16), &[FOLLOW]).await);
    }
    readers.iter_mut().for_each(Driven::drain);
    (writer, readers)
}

/// What does it cost to decode a publish from its frame? It does not show the checks after that.
fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    for bytes in [80, 8_000] {
        let frame = publish(&"x".repeat(bytes));
        group.throughput(Throughput::Bytes(frame.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(bytes), |b| {
            b.iter(|| Command::decode(black_box(&frame)).unwrap());
        });
    }
    group.finish();
}

/// What does one published message cost, from its frame to the shared frame in the transport of each of N
/// connections? Without subscribers, it is the fixed cost of a message: decoding, the store's append, encoding and
/// the push into the ring. It does not show sockets, which cost far more.
fn fan_out(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("fan_out");
    for subscribers in [0_usize, 1, 100, 2_000, 10_000] {
        let (mut writer, mut readers) = runtime.block_on(audience(subscribers));
        group.throughput(Throughput::Elements(subscribers.max(1) as u64));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    writer.ask(&publish(TEXT)).await;
                    for reader in &mut readers {
                        reader.until(|frame| frame.starts_with(br#"{"type":"message""#)).await;
                    }
                });
            });
        });
    }
    group.finish();
}

/// What does a frame cost if 32 of them wait in the ring, for each of N connections that take them together?
/// Compared with `fan_out`, it shows the cost per drain and per frame.
fn drain(c: &mut Criterion) {
    const WAITING: usize = 32;
    // The last frame is recognized by its length: reading its text would cost as much as what is measured.
    const LONG: usize = 1_000;
    let runtime = Runtime::new().unwrap();
    let last = "x".repeat(LONG);
    let mut group = c.benchmark_group("drain_32");
    for subscribers in [1_usize, 100, 10_000] {
        let (mut writer, mut readers) = runtime.block_on(audience(subscribers));
        group.throughput(Throughput::Elements((subscribers * WAITING) as u64));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |b| {
            b.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    runtime.block_on(async {
                        for _ in 1..WAITING {
                            writer.ask(&publish(TEXT)).await;
                        }
                        writer.ask(&publish(&last)).await;
                        let begin = Instant::now();
                        for reader in &mut readers {
                            reader.until(|frame| frame.len() > LONG).await;
                        }
                        spent += begin.elapsed();
                    });
                }
                spent
            });
        });
    }
    group.finish();
}

/// What does it cost to open a channel whose ring holds 100 messages, from command to response?
fn open_channel(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let chat = runtime.block_on(async {
        let chat = chat(MemoryStore::new());
        let mut writer = Driven::open(&chat, "writer", &[CREATE]).await;
        for n in 0..100 {
            writer.ask(&publish(&format!("message {n}"))).await;
        }
        chat
    });
    c.bench_function("open_channel", |b| {
        let _inside = runtime.enter();
        b.iter_batched(
            || runtime.block_on(Driven::open(&chat, "reader", &[])),
            |mut reader| {
                runtime.block_on(async {
                    reader.ask(OPEN).await;
                });
                reader
            },
            BatchSize::SmallInput,
        );
    });
}

/// How long does it take until 64 concurrent publishes by 64 people in one channel are acknowledged, in memory and
/// on the disk?
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
        let writers = runtime.block_on(async {
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
                runtime.block_on(futures::future::join_all(writers.iter().map(|writer| async {
                    let publish = Command::Publish {
                        channel: "a".into(),
                        nonce: Nonce::random().to_string(),
                        text: TEXT.into(),
                        attachments: Vec::new(),
                        reply_to: None,
                        mentions: Vec::new(),
                        data: None,
                    };
                    writer.call::<chatcore::protocol::Published>(publish).await.unwrap();
                })));
            });
        });
    }
    group.finish();
}

criterion_group!(parts, decode, fan_out, drain, open_channel, acknowledge);
criterion_main!(parts);
