//! Removals while others publish.

use std::sync::Arc;

use chatcore::bus::LocalBus;
use chatcore::protocol::ChatEvent;
use chatcore::testkit::Random;
use chatcore::{ChannelName, Chat, HistoryAccess, Limits, MemoryStore, NewMessage};

use super::{id, join, private, removed_from, user};

/// Removals under load, on one node and on two whose bus carries nothing: nobody gets an event beyond their removal, and
/// nobody lacks one before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn removals_under_load_cut_exactly() {
    const MEMBERS: usize = 50;
    const REMOVED: usize = 20;
    for two_nodes in [false, true] {
        let store = MemoryStore::new();
        // The members read at the end only, so the rings must hold whatever is published until then.
        let limits = Limits::default()
            .with_ring_events(usize::MAX)
            .with_ring_bytes(usize::MAX)
            .with_rings_bytes_total(usize::MAX);
        let builder = || Chat::builder(store.clone()).limits(limits.clone());
        let nodes: Vec<Chat> = match two_nodes {
            false => vec![builder().build()],
            // Each hears only itself, as if the bus were cut.
            true => (0..2).map(|_| builder().bus(Arc::new(LocalBus::new())).build()).collect(),
        };
        let owner = join(&nodes[0], "owner").await;
        let channel = private(&owner, &[], HistoryAccess::All).await;
        let name = ChannelName::new(&channel).unwrap();
        let mut members = Vec::new();
        for n in 0..MEMBERS {
            let member = format!("m{n}");
            nodes[0].add_member(&user("owner"), &name, &user(&member)).await.unwrap();
            let client = join(&nodes[n % nodes.len()], &member).await;
            let start = client.subscribe(&channel).await.unwrap().head;
            members.push((member, client, start));
        }
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let writers: Vec<_> = (0..4)
            .map(|n| {
                let (chat, name, stop) = (nodes[n % nodes.len()].clone(), name.clone(), Arc::clone(&stop));
                tokio::spawn(async move {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        chat.publish(&user("owner"), &name, NewMessage::text("x")).await.unwrap();
                    }
                })
            })
            .collect();
        let random = Random::from_env();
        let mut removals = std::collections::HashMap::new();
        for n in 0..REMOVED {
            for _ in 0..random.below(20) {
                tokio::task::yield_now().await;
            }
            let member = format!("m{}", n * MEMBERS / REMOVED);
            let node = &nodes[n % nodes.len()];
            let seq = node.remove_member(&user("owner"), &name, &id(&member)).await.unwrap();
            removals.insert(member, seq);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for writer in writers {
            writer.await.unwrap();
        }
        let last = nodes[0].publish(&user("owner"), &name, NewMessage::text("last")).await.unwrap().seq;
        for node in &nodes {
            node.wake(&name).await.unwrap();
        }
        for (member, mut client, start) in members {
            let end = removals.get(&member).copied();
            let mut next = start + 1;
            loop {
                let event = client.next_event().await.expect("the connection is open");
                assert!(!matches!(event, ChatEvent::Lagged { .. }), "{member} lost {event:?}");
                if let Some((_, seq)) = event.log_position() {
                    assert_eq!(seq, next, "{member}, who was removed at {end:?}");
                    assert!(end.is_none_or(|end| seq <= end), "{member} got {seq}, beyond {end:?}");
                    next += 1;
                }
                match removed_from(&channel)(&event) {
                    Some(_) => {
                        assert_eq!(Some(next - 1), end, "{member} has everything up to the removal");
                        break;
                    }
                    None if end.is_none() && next > last => break,
                    None => {}
                }
            }
        }
    }
}
