//! What the tests share: a server on a real socket, a client that speaks the protocol, one that misbehaves,
//! one for plain HTTP, a load, and a PostgreSQL.

pub mod attack;
mod client;
mod http_client;
pub mod load;
mod pgbouncer;
mod postgres;
mod raw;
mod server;
mod service;
pub mod soak;

use std::future::Future;
use std::time::Duration;

pub use self::client::Client;
pub use self::http_client::{Answer, http};
pub use self::pgbouncer::Pgbouncer;
pub use self::postgres::{Database, Postgres};
pub use self::raw::{Frame, Raw, frame};
pub use self::server::{Backend, Rules, Server, Setup};
pub use self::service::{Service, web_chat};

/// What never takes this long has hung: the test fails and says so.
const HUNG: Duration = Duration::from_secs(30);

/// Awaits what must happen.
///
/// # Panics
/// Panics where it does not happen.
pub async fn must<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(done) = tokio::time::timeout(HUNG, future).await else { panic!("hung: {what}") };
    done
}

/// The examples of the project's front page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct FrontPage;
