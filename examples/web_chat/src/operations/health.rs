//! Health checks: whether the process runs, and whether it can serve.

use std::sync::Arc;
use std::time::Duration;

use chatcore::Chat;
use chatcore_hyper::Body;
use http::{Method, Response, StatusCode};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{only_reads, plain};

/// The longest time to wait for the store.
const BOUND: Duration = Duration::from_secs(2);

/// How long a result of the store is reused, so that many checks cause one query.
const FRESH: Duration = Duration::from_secs(1);

/// Answers `/healthz` and `/readyz`.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    chat: Chat,
    /// The last check of the store. It is locked during a check, and other requests wait for its result.
    last: Arc<Mutex<Option<Looked>>>,
}

#[derive(Clone, Copy, Debug)]
struct Looked {
    at: Instant,
    answered: bool,
}

impl Health {
    pub(crate) fn new(chat: Chat) -> Self {
        Self { chat, last: Arc::default() }
    }

    /// Answers a health check; `None` for other paths.
    pub(crate) async fn answer(&self, method: &Method, path: &str) -> Option<Response<Body>> {
        let ready = match path {
            "/healthz" => false,
            "/readyz" => true,
            _ => return None,
        };
        if let Some(refused) = only_reads(method) {
            return Some(refused);
        }
        if !ready {
            return Some(plain(StatusCode::OK, "ok\n"));
        }
        Some(match self.not_ready().await {
            None => plain(StatusCode::OK, "ready\n"),
            Some(why) => plain(StatusCode::SERVICE_UNAVAILABLE, why),
        })
    }

    async fn not_ready(&self) -> Option<&'static str> {
        if self.chat.is_draining() {
            return Some("not ready: the service is draining\n");
        }
        if !self.store_answers().await {
            return Some("not ready: the store does not answer\n");
        }
        match self.chat.stats().bus {
            Some(bus) if !bus.is_heard => Some(
                "not ready: this node does not hear itself on the bus; it reads the store every second\n",
            ),
            Some(bus) if !bus.has_caught_up => {
                Some("not ready: this node is learning who is online at the others\n")
            }
            _ => None,
        }
    }

    async fn store_answers(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some(looked) = last.filter(|looked| looked.at.elapsed() < FRESH) {
            return looked.answered;
        }
        let answer = self.chat.check_store(BOUND).await;
        if let Err(error) = &answer {
            self.chat.failures().failed("the store does not answer the check of /readyz", "", error);
        }
        *last = Some(Looked { at: Instant::now(), answered: answer.is_ok() });
        answer.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use bytes::Bytes;
    use chatcore::MemoryStore;
    use chatcore::bus::{Bus, BusError, BusEvent, BusLimits, LocalBus};
    use chatcore::testkit::{Faults, FaultyStore};
    use futures::stream::BoxStream;

    use super::*;

    async fn status(health: &Health, path: &str) -> u16 {
        health.answer(&Method::GET, path).await.unwrap().status().as_u16()
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_is_not_ready_while_its_store_is_away() {
        let store = FaultyStore::new(MemoryStore::new(), Faults::default(), 1);
        let chat = Chat::builder(store.clone()).build();
        let health = Health::new(chat.clone());
        assert_eq!(status(&health, "/readyz").await, 200);
        store.set_faults(Faults { read: 1.0, ..Faults::default() });
        assert_eq!(status(&health, "/readyz").await, 200, "within a second it is the same answer");
        tokio::time::advance(FRESH).await;
        assert_eq!(status(&health, "/readyz").await, 503);
        assert_eq!(status(&health, "/healthz").await, 200);
        store.set_faults(Faults::default());
        tokio::time::advance(FRESH).await;
        assert_eq!(status(&health, "/readyz").await, 200);
        chat.drain();
        assert_eq!(status(&health, "/readyz").await, 503);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_is_not_ready_while_it_does_not_hear_itself() {
        let bus = SwitchedBus::default();
        let chat = Chat::builder(MemoryStore::new()).bus(bus.clone()).build();
        let health = Health::new(chat);
        let becomes = async |expected: u16| {
            while status(&health, "/readyz").await != expected {
                tokio::time::advance(Duration::from_millis(100)).await;
                tokio::task::yield_now().await;
            }
            assert_eq!(status(&health, "/healthz").await, 200);
        };
        becomes(200).await;
        bus.silent.store(true, Ordering::Relaxed);
        becomes(503).await;
        bus.silent.store(false, Ordering::Relaxed);
        becomes(200).await;
    }

    /// A bus that takes messages and can lose them all.
    #[derive(Clone, Default)]
    struct SwitchedBus {
        bus: Arc<LocalBus>,
        silent: Arc<AtomicBool>,
    }

    #[async_trait]
    impl Bus for SwitchedBus {
        async fn publish(&self, partition: u8, bytes: Bytes) -> Result<(), BusError> {
            if self.silent.load(Ordering::Relaxed) {
                Ok(())
            } else {
                self.bus.publish(partition, bytes).await
            }
        }

        fn subscribe(&self) -> BoxStream<'static, BusEvent> {
            self.bus.subscribe()
        }

        fn limits(&self) -> BusLimits {
            self.bus.limits()
        }

        fn crosses_processes(&self) -> bool {
            false
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_is_not_ready_if_its_store_hangs() {
        let faults = Faults { delay: 1.0, longest_delay: Duration::from_secs(86_400), ..Faults::default() };
        let health = Health::new(Chat::builder(FaultyStore::new(MemoryStore::new(), faults, 1)).build());
        let began = Instant::now();
        let (one, other) = tokio::join!(status(&health, "/readyz"), status(&health, "/readyz"));
        assert_eq!((one, other), (503, 503));
        assert!(began.elapsed() < 2 * BOUND, "the second waits for the first and asks no more");
    }
}
