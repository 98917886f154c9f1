//! Attacks on the real service, while a second client measures their effect.

mod attacks;
mod measure;
mod memory;
mod socket;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

pub use self::attacks::ATTACKS;
use self::measure::{Latency, measure};
use crate::client::Client;
use crate::service::Service;

/// The source address of the attackers, which differs from the second client's.
const FROM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// The channel that the attackers fill.
const FILLED: &str = "filled";

/// The most bytes by which an attack may increase the memory of the service and of the system's sockets.
pub const MEMORY: u64 = 200 << 20;

/// An attack, which runs until it is dropped.
#[derive(Clone, Copy)]
pub struct Attack {
    /// The name on the command line.
    pub name: &'static str,
    /// A description of the attack.
    pub what: &'static str,
    run: fn(Arc<Target>) -> BoxFuture<'static, ()>,
}

impl fmt::Debug for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attack").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The target, and the attackers' session.
#[derive(Debug)]
struct Target {
    addr: SocketAddr,
    /// The session of the single user that all attackers share.
    cookie: String,
}

/// The result of an attack.
#[derive(Debug)]
pub struct Outcome {
    name: &'static str,
    /// Whether the process is still alive.
    pub lives: bool,
    /// The most bytes by which the memory of the service and of the system's sockets grew.
    pub grown: u64,
    quiet: Latency,
    attacked: Latency,
}

impl Outcome {
    /// The header of the table.
    pub const HEAD: &str =
        "attack        lives  memory   quiet p50     p99   attacked p50     p99   refused  verdict";

    /// Returns whether the second client was slowed down no more than allowed.
    #[must_use]
    pub fn is_served(&self) -> bool {
        self.attacked.refused == 0 && self.attacked.p99 <= (5 * self.quiet.p99).max(Duration::from_millis(50))
    }

    /// Returns whether the result is acceptable.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.lives && self.grown <= MEMORY && self.is_served()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        write!(
            f,
            "{:<13} {:<5} {:>4} MiB  {:>9}  {:>9}  {:>9}  {:>9}  {:>5}  {}",
            self.name,
            if self.lives { "yes" } else { "NO" },
            self.grown >> 20,
            millis(self.quiet.p50),
            millis(self.quiet.p99),
            millis(self.attacked.p50),
            millis(self.attacked.p99),
            self.attacked.refused,
            if self.is_good() { "good" } else { "MISSED" },
        )
    }
}

/// Starts a service with a limited address space, attacks it for `time`, and returns the result.
///
/// The limit is 1 GiB, or what the idle service uses plus 300 MiB, whichever is more.
///
/// # Panics
/// If the service does not start or is not built.
pub async fn attack(attack: Attack, time: Duration) -> Outcome {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut service = Service::with(folder.path(), &[]).await;
    let victim = service.sign_in("second").await;
    let cookie = service.sign_in("attacker").await;
    let target = Arc::new(Target { addr: service.addr, cookie });
    // The user's limits may stop the filling before the time is up.
    let _ = timeout(time, fill(&target)).await;
    let mut client = Client::connect_with_cookie(service.addr, &victim).await;
    client.patient(json!({"type": "create_channel", "name": "calm"})).await;
    client.ok(json!({"type": "subscribe", "channel": "calm"})).await;
    let id = service.id();
    memory::cap(id);
    let quiet = measure(&mut client, time).await;
    let before = memory::of(id).unwrap_or_default();
    let most = Arc::new(AtomicU64::new(0));
    let watching = tokio::spawn(watch(id, Arc::clone(&most)));
    let mut attackers = JoinSet::new();
    attackers.spawn((attack.run)(target));
    let attacked = measure(&mut client, time).await;
    watching.abort();
    attackers.shutdown().await;
    Outcome {
        name: attack.name,
        lives: service.is_running(),
        grown: most.load(Ordering::Relaxed).saturating_sub(before),
        quiet,
        attacked,
    }
}

/// Records the peak memory of the process and of the system's sockets.
async fn watch(id: u32, most: Arc<AtomicU64>) {
    let mut ticks = interval(Duration::from_millis(50));
    while let Some(now) = memory::of(id) {
        most.fetch_max(now, Ordering::Relaxed);
        ticks.tick().await;
    }
}

/// Fills a channel with long messages that are even longer as JSON, up to the user's limits.
async fn fill(target: &Target) {
    let mut client = Client::connect_with_cookie(target.addr, &target.cookie).await;
    client.patient(json!({"type": "create_channel", "name": FILLED})).await;
    let text = "\u{1}".repeat(8_000);
    for n in 0..500 {
        let nonce = format!("f{n}");
        client.patient(json!({"type": "publish", "channel": FILLED, "nonce": nonce, "text": text})).await;
    }
}
