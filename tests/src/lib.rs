//! What the tests share: a server on a real socket, clients for the protocol, for plain HTTP and for misbehaviour,
//! a load, a PostgreSQL server, a NATS server, and a network that fails.

pub mod attack;
mod client;
pub mod deflate;
mod group;
mod http_client;
pub mod load;
mod nats;
mod pgbouncer;
mod postgres;
mod proxy;
mod raw;
mod server;
mod service;
pub mod soak;
mod socket;

use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use chatcore::testkit::Random;

pub use self::client::Client;
pub use self::group::{BusKind, Group};
pub use self::http_client::{Answer, http};
pub use self::nats::Nats;
pub use self::pgbouncer::Pgbouncer;
pub use self::postgres::{Database, Postgres};
pub use self::proxy::{Proxy, Traffic};
pub use self::raw::{Frame, Raw, frame};
pub use self::server::{Backend, Rules, Server, Setup};
pub use self::service::{Service, web_chat};

/// Runs each of these functions of a [`Backend`] as a test on each store.
#[macro_export]
macro_rules! on_every_store {
    ($($law:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                super::$law($crate::Backend::Memory).await;
            })*
        }
        mod redb {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                super::$law($crate::Backend::Redb).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $law() {
                super::$law($crate::Backend::Postgres).await;
            })*
        }
    };
}

/// After this time, a test has hung and fails: far longer than a busy machine or a slow disk takes.
const HUNG: Duration = Duration::from_secs(120);

/// Awaits something that must happen.
///
/// # Panics
/// If it does not happen.
pub async fn must<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(done) = tokio::time::timeout(HUNG, future).await else { panic!("hung: {what}") };
    done
}

/// Returns a free local port, for a server that is started later or more than once.
///
/// # Panics
/// Never: there is always another port to try.
#[must_use]
pub fn free_port() -> u16 {
    /// Counts the calls, so that no two try the ports in the same order.
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let random = Random::new(u64::from(std::process::id()) << 32 | CALLS.fetch_add(1, Ordering::Relaxed));
    // Below the ports that systems give to clients, so that no client takes it while the server is down.
    let mut ports = std::iter::repeat_with(|| 10_240 + u16::try_from(random.below(20_000)).unwrap_or(0));
    let free = ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.expect("invariant: the iterator has no end")
}

/// The examples of the project's front page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct FrontPage;
