//! Explores the interleavings of the wake protocol: `wake.rs` and `turn.rs` of `chatcore/src/delivery` with loom's
//! primitives.
#![allow(missing_docs, unreachable_pub)]

mod sync {
    pub(crate) use loom::future::AtomicWaker;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};
    pub(crate) use loom::sync::{Arc, Mutex};
}

#[path = "../../chatcore/src/delivery/turn.rs"]
mod turn;
#[path = "../../chatcore/src/delivery/wake.rs"]
mod wake;

use std::future::poll_fn;
use std::task::Poll;

use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use turn::Turn;
use wake::{ReadyList, WakeMark};

/// Explores every interleaving with at most three preemptions. Almost every lost wake needs one or two, and
/// without this bound, the exploration takes hours.
fn model(test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(test);
}

#[test]
fn many_marks_queue_a_subscription_once() {
    model(|| {
        let list = Arc::new(ReadyList::default());
        let subscription = WakeMark::new(7, Arc::clone(&list));
        let mut ready = Vec::new();
        for _ in 0..100 {
            subscription.mark();
        }
        list.take(&mut ready);
        assert_eq!(ready, [7]);
        subscription.mark();
        list.take(&mut ready);
        assert_eq!(ready, [7], "still queued: the reader has not cleared it");
        subscription.clear();
        subscription.mark();
        list.take(&mut ready);
        assert_eq!(ready, [7, 7]);
    });
}

/// Two publishers push and mark, and the reader sleeps when it has caught up. If a wake could be lost, the reader
/// would sleep forever, and loom would report the deadlock.
#[test]
fn every_push_wakes_its_reader() {
    model(|| {
        const EVENTS: u64 = 2;
        let head = Arc::new(AtomicU64::new(0));
        let list = Arc::new(ReadyList::default());
        let subscription = Arc::new(WakeMark::new((), Arc::clone(&list)));
        let publishers: Vec<_> = (0..EVENTS)
            .map(|_| {
                let (head, subscription) = (Arc::clone(&head), Arc::clone(&subscription));
                thread::spawn(move || {
                    head.fetch_add(1, Ordering::AcqRel);
                    subscription.mark();
                })
            })
            .collect();
        let mut cursor = 0;
        block_on(poll_fn(|cx| {
            list.register(cx.waker());
            let mut ready = Vec::new();
            list.take(&mut ready);
            for () in ready {
                subscription.clear();
                cursor = head.load(Ordering::Acquire);
            }
            if cursor == EVENTS { Poll::Ready(()) } else { Poll::Pending }
        }));
        for publisher in publishers {
            publisher.join().unwrap();
        }
    });
}

/// Two publishers push and ask. Whoever is told to queue the work does it, as a task of the fan-out would. No two
/// do it at once, and nothing that was pushed is left behind.
#[test]
fn one_task_at_a_time_serves_a_shard() {
    model(|| {
        const EVENTS: u64 = 2;
        let head = Arc::new(AtomicU64::new(0));
        let told = Arc::new(AtomicU64::new(0));
        let busy = Arc::new(AtomicU64::new(0));
        let turn = Arc::new(Turn::new());
        let publishers: Vec<_> = (0..EVENTS)
            .map(|_| {
                let (head, told, busy) = (Arc::clone(&head), Arc::clone(&told), Arc::clone(&busy));
                let turn = Arc::clone(&turn);
                thread::spawn(move || {
                    head.fetch_add(1, Ordering::AcqRel);
                    let mut queued = turn.ask();
                    while queued {
                        turn.take();
                        assert_eq!(busy.fetch_add(1, Ordering::AcqRel), 0, "one at a time");
                        told.store(head.load(Ordering::Acquire), Ordering::Release);
                        busy.fetch_sub(1, Ordering::AcqRel);
                        queued = turn.end();
                    }
                })
            })
            .collect();
        for publisher in publishers {
            publisher.join().unwrap();
        }
        assert_eq!(told.load(Ordering::Acquire), EVENTS);
    });
}
