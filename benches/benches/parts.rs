//! What the parts of the hot path cost, without a network. Each group answers the question above it.
#![allow(missing_docs, clippy::unwrap_used)]

use chatcore::protocol::Command;
use chatcore::{Identity, MemoryStore, Nonce, User};
use chatcore_benches::{CREATE, Driven, FOLLOW, OPEN, chat, publish};
use chatcore_redb::RedbStore;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;

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
            readers.iter_mut().for_each(Driven::drain);
            (writer, readers)
        });
        group.throughput(Throughput::Elements(subscribers as u64));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |b| {
            b.iter(|| {
                runtime.block_on(async {
                    writer.ask(&publish("a message of about eighty bytes, as people write them")).await;
                    for reader in &mut readers {
                        reader.until(|frame| frame.starts_with(br#"{"type":"message""#)).await;
                    }
                });
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
