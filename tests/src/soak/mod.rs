//! A soak of the real service, with many sockets that connect and disconnect, and a SIGKILL at intervals. At the
//! end, every acknowledged message must be in the log once, and every socket must have received every message
//! once, in order.

mod ledger;
pub mod nodes;
mod participant;
mod report;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chatcore::store::{Append, AppendBody, Directory, EventStore};
use chatcore::testkit::Random;
use chatcore::{ChannelName, Nonce, User};
use chatcore_redb::RedbStore;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::ledger::Ledger;
use self::participant::{Participant, Stage};
pub use self::report::{Report, Row};
use crate::client::Client;
use crate::load::assert_kept_in;
use crate::service::Service;

/// The plan of a soak. Everything that it starts ends within its time plus [`Plan::settle`].
#[derive(Clone, Debug)]
pub struct Plan {
    /// The number of users, each signed in once.
    pub users: usize,
    /// The number of sockets of all users.
    pub sockets: usize,
    /// The number of channels.
    pub channels: usize,
    /// The number of messages that each channel starts with. If it is below the size of a ring, the rings fill up
    /// during the soak.
    pub history: usize,
    /// The number of channels that a socket follows.
    pub followed: usize,
    /// The publishes per second of all sockets.
    pub publishes: f64,
    /// The longest time that a socket stays connected.
    pub stay: Duration,
    /// The time of the load.
    pub time: Duration,
    /// The time between two kills of the service.
    pub life: Duration,
    /// The time at the end for the sockets to receive what they lack.
    pub settle: Duration,
}

/// Runs a plan. Each life of the service is a row of the report, passed to `tell` at its end.
///
/// # Panics
/// If the service does not start, if it refuses what it must not refuse, or if the sockets do not receive
/// everything within [`Plan::settle`].
pub async fn soak(plan: &Plan, random: &Random, mut tell: impl FnMut(&Row)) -> Report {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut service = Service::start(folder.path(), None).await;
    let cookies = sign_in(&service, plan.users).await;
    let names: Vec<String> = (0..plan.channels).map(|n| format!("soak-{n}")).collect();
    create(&service, &cookies, &names).await;
    service.kill().await;
    fill(folder.path(), &names, plan.history).await;
    service = Service::start(folder.path(), None).await;
    let crowd = Crowd::start(plan, random, &names, &cookies, vec![service.addr]);
    let end = Instant::now() + plan.time;
    let mut report = Report::default();
    loop {
        let life_ends = (Instant::now() + plan.life).min(end);
        sleep_until(life_ends).await;
        let row = crowd.ledger.row(report.rows.len() + 1, service.resident_bytes());
        tell(&row);
        report.rows.push(row);
        if life_ends == end {
            break;
        }
        service.kill().await;
        service = Service::start(folder.path(), None).await;
        crowd.places.send_replace(vec![service.addr]);
    }
    let ledger = crowd.settle(plan.settle, service.addr, &cookies[0], &names).await;
    // Once more from the disk only.
    service.kill().await;
    service = Service::start(folder.path(), None).await;
    report.checked = check_logs(service.addr, &cookies, &names, &ledger).await;
    report
}

/// The sockets of a soak, and what controls them.
struct Crowd {
    ledger: Arc<Ledger>,
    /// The addresses to connect to.
    places: watch::Sender<Vec<SocketAddr>>,
    stage: watch::Sender<Stage>,
    running: JoinSet<()>,
}

impl Crowd {
    fn start(
        plan: &Plan,
        random: &Random,
        names: &[String],
        cookies: &[String],
        places: Vec<SocketAddr>,
    ) -> Self {
        let ledger = Arc::new(Ledger::default());
        let (places, at) = watch::channel(places);
        let (stage, stages) = watch::channel(Stage::Publishing);
        let mut running = JoinSet::new();
        for n in 0..plan.sockets {
            let followed = (0..plan.followed).map(|at| names[(n + at * 7) % names.len()].clone()).collect();
            let cookie = cookies[n % cookies.len()].clone();
            let participant =
                Participant::new(format!("p{n}"), cookie, followed, plan, random.bits(), Arc::clone(&ledger));
            running.spawn(participant.run(at.clone(), stages.clone()));
        }
        Self { ledger, places, stage, running }
    }

    /// Ends the load, and returns when every socket has received everything. The heads of the logs are those that the
    /// service at `addr` knows.
    async fn settle(
        mut self,
        bound: Duration,
        addr: SocketAddr,
        cookie: &str,
        names: &[String],
    ) -> Arc<Ledger> {
        self.stage.send_replace(Stage::Finishing);
        let settled = timeout(bound, async {
            while self.ledger.under_way() > 0 {
                sleep(Duration::from_millis(50)).await;
            }
            self.stage.send_replace(Stage::Settling(Arc::new(heads(addr, cookie, names).await)));
            while let Some(ended) = self.running.join_next().await {
                ended.expect("a participant ends without a panic");
            }
        });
        let settled = settled.await;
        let (waiting, behind) = (self.ledger.under_way(), self.running.len());
        assert!(settled.is_ok(), "hung: after {bound:?} {waiting} publishes and {behind} sockets wait");
        self.ledger
    }
}

/// Compares the whole log of each channel with the acknowledgements. Returns how many there are.
async fn check_logs(addr: SocketAddr, cookies: &[String], names: &[String], ledger: &Ledger) -> usize {
    for (name, cookie) in names.iter().zip(cookies.iter().cycle()) {
        // One reader per channel, so that reading everything is within the limits of a connection.
        let mut reader = Client::connect_with_cookie(addr, cookie).await;
        assert_kept_in(&mut reader, name, ledger.take_acked(name)).await;
    }
    names.len()
}

/// Signs the users in, as fast as the service allows.
async fn sign_in(service: &Service, users: usize) -> Vec<String> {
    let mut cookies = Vec::new();
    while cookies.len() < users {
        match service.try_sign_in(&format!("soaker {}", cookies.len())).await {
            Some(cookie) => cookies.push(cookie),
            None => sleep(Duration::from_secs(1)).await,
        }
    }
    cookies
}

/// Creates the channels by different users, since each user has a limit.
async fn create(service: &Service, cookies: &[String], names: &[String]) {
    for (cookie, of_one) in cookies.iter().zip(names.chunks(names.len().div_ceil(cookies.len()))) {
        let mut client = Client::connect_with_cookie(service.addr, cookie).await;
        for name in of_one {
            client.ok(json!({"type": "create_channel", "name": name})).await;
        }
    }
}

/// Writes messages to every channel, bypassing the service.
async fn fill(folder: &Path, names: &[String], messages: usize) {
    let store = RedbStore::open(folder.join("chat.redb")).expect("the service's file");
    let author = User::new("filler", "filler").expect("a valid user");
    for name in names {
        let name = ChannelName::new(name).expect("a valid name");
        let channel = store.channel(&name).await.expect("an answer").expect("the channel").id;
        let message = |n| {
            let nonce = Nonce::new(format!("fill-{n}")).expect("a valid nonce");
            let text =
                format!("message {n}, which was here before the soak began, as long as people write them");
            let body = AppendBody::message(nonce, text);
            Append::new(channel, author.clone(), body)
        };
        for appended in store.append((0..messages).map(message).collect()).await {
            appended.expect("room for a message");
        }
    }
}

async fn heads(addr: SocketAddr, cookie: &str, names: &[String]) -> HashMap<String, u64> {
    let mut client = Client::connect_with_cookie(addr, cookie).await;
    let mut heads = HashMap::new();
    for name in names {
        let subscribed = client.patient(json!({"type": "subscribe", "channel": name, "limit": 0})).await;
        heads.insert(name.clone(), subscribed["head"].as_u64().expect("a head"));
    }
    heads
}
