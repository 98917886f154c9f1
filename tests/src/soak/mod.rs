//! A soak of the real service: many sockets that come and go, and a SIGKILL at intervals. In the end every message
//! that was acknowledged must be in the log once, and every socket must have got every message once, in order.

mod ledger;
mod participant;
mod report;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chatcore::store::{Directory, EventStore};
use chatcore::testkit::Random;
use chatcore::{Append, AppendBody, ChannelName, Nonce, User};
use chatcore_redb::RedbStore;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::ledger::Ledger;
use self::participant::{Participant, Stage};
pub use self::report::{Report, Row};
use crate::client::Client;
use crate::load::assert_kept_in;
use crate::service::Service;

/// What a soak consists of. Everything that it starts ends within its time and [`Plan::settle`].
#[derive(Clone, Debug)]
pub struct Plan {
    /// People, each signed in once.
    pub users: usize,
    /// Sockets of all of them.
    pub sockets: usize,
    /// Channels.
    pub channels: usize,
    /// Messages that each channel begins with. With fewer than a ring holds, the rings fill up during the soak.
    pub history: usize,
    /// Channels that one socket follows.
    pub followed: usize,
    /// Publishes per second, of all sockets.
    pub publishes: f64,
    /// How long a socket stays connected, at the most.
    pub stay: Duration,
    /// How long the load lasts.
    pub time: Duration,
    /// How long the service lives between two kills.
    pub life: Duration,
    /// How long the sockets have in the end to get what they have not got yet.
    pub settle: Duration,
}

/// Carries a plan out. Each life of the service is a row of the report, handed to `tell` as it ends.
///
/// # Panics
/// Panics if the service does not start, if it refuses what it must not, or if the sockets do not get everything
/// within [`Plan::settle`].
pub async fn soak(plan: &Plan, random: &Random, mut tell: impl FnMut(&Row)) -> Report {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut service = Service::start(folder.path(), None).await;
    let cookies = sign_in(&service, plan.users).await;
    let names: Vec<String> = (0..plan.channels).map(|n| format!("soak-{n}")).collect();
    create(&service, &cookies, &names).await;
    service.kill().await;
    fill(folder.path(), &names, plan.history).await;
    service = Service::start(folder.path(), None).await;
    let ledger = Arc::new(Ledger::default());
    let (place, places) = watch::channel(service.addr);
    let (stage, stages) = watch::channel(Stage::Publishing);
    let mut running = tokio::task::JoinSet::new();
    for n in 0..plan.sockets {
        let followed = (0..plan.followed).map(|at| names[(n + at * 7) % names.len()].clone()).collect();
        let cookie = cookies[n % cookies.len()].clone();
        let participant =
            Participant::new(format!("p{n}"), cookie, followed, plan, random.bits(), Arc::clone(&ledger));
        running.spawn(participant.run(places.clone(), stages.clone()));
    }
    let end = Instant::now() + plan.time;
    let mut report = Report::default();
    loop {
        let life_ends = (Instant::now() + plan.life).min(end);
        sleep_until(life_ends).await;
        let row = ledger.row(report.rows.len() + 1, service.resident_bytes());
        tell(&row);
        report.rows.push(row);
        if life_ends == end {
            break;
        }
        service.kill().await;
        service = Service::start(folder.path(), None).await;
        place.send_replace(service.addr);
    }
    stage.send_replace(Stage::Finishing);
    let heads = timeout(plan.settle, async {
        while ledger.under_way() > 0 {
            sleep(Duration::from_millis(50)).await;
        }
        let heads = heads(&service, &cookies[0], &names).await;
        stage.send_replace(Stage::Settling(Arc::new(heads.clone())));
        while let Some(ended) = running.join_next().await {
            ended.expect("a participant ends without a panic");
        }
        heads
    })
    .await;
    assert!(heads.is_ok(), "hung: after {:?} {} publishes are not answered", plan.settle, ledger.under_way());
    // Once more from the disk alone.
    service.kill().await;
    service = Service::start(folder.path(), None).await;
    for name in &names {
        // A reader for each channel, so that reading it all is within the limits of one connection.
        let mut reader =
            Client::connect_with_cookie(service.addr, &cookies[report.checked % cookies.len()]).await;
        assert_kept_in(&mut reader, name, ledger.take_acked(name)).await;
        report.checked += 1;
    }
    report
}

/// Signs the people in, as fast as the service lets them.
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

/// Creates the channels, each by another person, since there is a limit for one.
async fn create(service: &Service, cookies: &[String], names: &[String]) {
    for (cookie, of_one) in cookies.iter().zip(names.chunks(names.len().div_ceil(cookies.len()))) {
        let mut client = Client::connect_with_cookie(service.addr, cookie).await;
        for name in of_one {
            client.ok(json!({"type": "create_channel", "name": name})).await;
        }
    }
}

/// Writes messages to every channel, past the service.
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
            let body = AppendBody::Message { nonce, text, reply_to: None, attachments: Vec::new() };
            Append { channel, author: author.clone(), body }
        };
        for appended in store.append((0..messages).map(message).collect()).await {
            appended.expect("room for a message");
        }
    }
}

async fn heads(service: &Service, cookie: &str, names: &[String]) -> HashMap<String, u64> {
    let mut client = Client::connect_with_cookie(service.addr, cookie).await;
    let mut heads = HashMap::new();
    for name in names {
        let subscribed = client.patient(json!({"type": "subscribe", "channel": name, "limit": 0})).await;
        heads.insert(name.clone(), subscribed["head"].as_u64().expect("a head"));
    }
    heads
}
