//! One socket of a soak, which connects, resumes, publishes and disconnects.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chatcore::testkit::Random;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::Plan;
use super::ledger::Ledger;
use crate::client::Client;

/// The task of the participants.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// Publish, connect and disconnect.
    Publishing,
    /// Publish nothing new.
    Finishing,
    /// Read up to these heads, then end.
    Settling(Arc<HashMap<String, u64>>),
}

/// The owner of a socket, who keeps positions and an unacknowledged publish between connections.
pub(super) struct Participant {
    name: String,
    cookie: String,
    followed: Vec<String>,
    stay: Duration,
    pause: Duration,
    random: Random,
    ledger: Arc<Ledger>,
    positions: HashMap<String, Position>,
    published: u64,
    publish: Option<Publish>,
    due: Instant,
}

struct Position {
    epoch: Value,
    seq: u64,
}

/// A publish without an acknowledgement. It is repeated with its nonce.
struct Publish {
    channel: String,
    nonce: String,
    /// The id of its command on the current connection.
    id: Option<i64>,
}

/// Why a connection ended.
enum Ended {
    Gone,
    Left,
    Settled,
}

impl Participant {
    pub(super) fn new(
        name: String,
        cookie: String,
        followed: Vec<String>,
        plan: &Plan,
        seed: u64,
        ledger: Arc<Ledger>,
    ) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "a few thousand sockets")]
        let pause = Duration::from_secs_f64(plan.sockets as f64 / plan.publishes);
        let random = Random::new(seed);
        let due = Instant::now() + part(&random, pause);
        Self {
            name,
            cookie,
            followed,
            stay: plan.stay,
            pause,
            random,
            ledger,
            positions: HashMap::new(),
            published: 0,
            publish: None,
            due,
        }
    }

    /// Connects and disconnects until everything is settled.
    pub(super) async fn run(
        mut self,
        places: watch::Receiver<Vec<SocketAddr>>,
        mut stage: watch::Receiver<Stage>,
    ) {
        loop {
            // Spread, so that not all connect at the same moment after a restart.
            sleep(part(&self.random, Duration::from_secs(2))).await;
            let addr = {
                let places = places.borrow();
                places[self.random.below(places.len() as u64) as usize]
            };
            let Some(client) = Client::try_connect_with_cookie(addr, &self.cookie).await else { continue };
            self.ledger.connected();
            if let Some(publish) = &mut self.publish {
                publish.id = None;
            }
            if let Ended::Settled = self.stay(client, &mut stage).await {
                return;
            }
        }
    }

    async fn stay(&mut self, mut client: Client, stage: &mut watch::Receiver<Stage>) -> Ended {
        let mut subscribing = HashMap::new();
        for channel in self.followed.clone() {
            if !self.subscribe(&mut client, &channel, &mut subscribing).await {
                return Ended::Gone;
            }
        }
        let leaves = Instant::now() + part(&self.random, self.stay);
        loop {
            let now = stage.borrow_and_update().clone();
            if self.is_settled(&now) && subscribing.is_empty() {
                client.close().await;
                return Ended::Settled;
            }
            tokio::select! {
                frame = client.next() => {
                    let Ok(frame) = frame else { return Ended::Gone };
                    if !self.take(&mut client, &frame, &mut subscribing).await {
                        return Ended::Gone;
                    }
                }
                () = sleep_until(self.due) => {
                    if !self.publish(&mut client, &now).await {
                        return Ended::Gone;
                    }
                }
                () = sleep_until(leaves), if matches!(now, Stage::Publishing) => {
                    // Some close properly, others just disconnect.
                    if self.random.chance(0.5) {
                        client.try_close().await;
                    }
                    return Ended::Left;
                }
                _ = stage.changed() => {}
            }
        }
    }

    fn is_settled(&self, stage: &Stage) -> bool {
        let Stage::Settling(heads) = stage else { return false };
        let at = |channel: &String| self.positions.get(channel).map(|position| position.seq);
        self.followed.iter().all(|channel| at(channel).is_some_and(|seq| seq >= heads[channel]))
    }

    async fn subscribe(
        &self,
        client: &mut Client,
        channel: &str,
        subscribing: &mut HashMap<i64, String>,
    ) -> bool {
        let mut command = json!({"type": "subscribe", "channel": channel, "limit": 0});
        if let Some(Position { epoch, seq }) = self.positions.get(channel) {
            command["after"] = json!({"epoch": epoch, "seq": seq});
        }
        let Some(id) = client.try_tell(command).await else { return false };
        subscribing.insert(id, channel.to_owned());
        true
    }

    /// Sends the unacknowledged publish, or else a new one.
    async fn publish(&mut self, client: &mut Client, stage: &Stage) -> bool {
        self.due = Instant::now() + self.pause;
        if self.publish.is_none() {
            let Stage::Publishing = stage else { return true };
            let channel = &self.followed[self.random.below(self.followed.len() as u64) as usize];
            let nonce = format!("{}-{}", self.name, self.published);
            self.published += 1;
            self.publish = Some(Publish { channel: channel.clone(), nonce, id: None });
            self.ledger.began();
        }
        let Some(Publish { channel, nonce, id: id @ None }) = &mut self.publish else { return true };
        let command = json!({"type": "publish", "channel": channel, "nonce": nonce, "text": nonce});
        *id = client.try_tell(command).await;
        id.is_some()
    }

    /// Handles a frame of the server. Returns whether the connection continues.
    async fn take(
        &mut self,
        client: &mut Client,
        frame: &Value,
        subscribing: &mut HashMap<i64, String>,
    ) -> bool {
        match frame["type"].as_str() {
            Some("message") => self.see(frame),
            Some("lagged") => {
                let channel = frame["channel"].as_str().expect("a channel");
                return self.subscribe(client, channel, subscribing).await;
            }
            Some(kind @ ("ok" | "error")) => {
                let id = frame["id"].as_i64().expect("an answer has its id");
                if let Some(channel) = subscribing.remove(&id) {
                    let again =
                        if kind == "ok" { self.subscribed(&channel, frame) } else { self.wait(frame).await };
                    return !again || self.subscribe(client, &channel, subscribing).await;
                }
                self.answered(id, frame).await;
            }
            _ => {}
        }
        true
    }

    /// Handles the response to a subscribe. Returns whether there is more to request.
    fn subscribed(&mut self, channel: &str, answer: &Value) -> bool {
        let head = answer["head"].as_u64().expect("a head");
        match self.positions.get(channel) {
            Some(_) if answer["reset"] == true => self.ledger.reset(),
            Some(_) => {
                self.ledger.resumed();
                for event in answer["events"].as_array().expect("the events since") {
                    self.see(event);
                }
                return answer["more"] == true;
            }
            None => {}
        }
        self.positions.insert(channel.to_owned(), Position { epoch: answer["epoch"].clone(), seq: head });
        false
    }

    fn see(&mut self, event: &Value) {
        let (channel, seq) = (event["channel"].as_str(), event["seq"].as_u64().expect("a seq"));
        let position = channel.and_then(|channel| self.positions.get_mut(channel));
        let position = position.expect("an event of a channel that was subscribed to");
        self.ledger.delivered(position.seq, seq);
        position.seq = position.seq.max(seq);
    }

    async fn answered(&mut self, id: i64, answer: &Value) {
        let Some(publish) = self.publish.take_if(|publish| publish.id == Some(id)) else { return };
        if answer["type"] == "ok" {
            let seq = answer["seq"].as_u64().expect("a seq");
            self.ledger.acked(&publish.channel, publish.nonce, seq);
        } else {
            self.publish = Some(Publish { id: None, ..publish });
            self.wait(answer).await;
            self.due = Instant::now();
        }
    }

    /// Waits as long as an error says. Returns true, since the command is to be repeated.
    async fn wait(&self, refusal: &Value) -> bool {
        assert_eq!(refusal["retryable"], true, "{refusal}");
        let wait = Duration::from_millis(refusal["retry_ms"].as_u64().unwrap_or(500));
        sleep(wait + part(&self.random, wait)).await;
        true
    }
}

/// Returns a random part of a time.
fn part(random: &Random, of: Duration) -> Duration {
    #[allow(clippy::cast_precision_loss, reason = "53 bits are what a float holds exactly")]
    let unit = (random.bits() >> 11) as f64 / (1_u64 << 53) as f64;
    of.mul_f64(unit)
}
