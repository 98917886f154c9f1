//! A soak of three real services on one PostgreSQL, with the faults that such a group must survive. Sockets connect to
//! any of them, and go on at another when theirs is gone.

use std::time::Duration;

use chatcore::testkit::Random;
use tokio::time::sleep;

use super::{Crowd, Plan, Report, check_logs, create, sign_in};
use crate::group::{BusKind, Group};
use crate::proxy::{Proxy, Traffic};

/// What goes wrong, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A service is killed with SIGKILL, and started again at the end.
    Kill,
    /// A service is stopped with SIGSTOP, and goes on at the end.
    Freeze,
    /// The connections to the bus are cut, and refused until the end.
    CutBus,
    /// The connections to the bus fall silent until the end.
    SilenceBus,
    /// The connections to the database and to the bus are cut, and refused until the end.
    CutBoth,
    /// The database's server is killed, and started again at the end.
    RestartDatabase,
    /// The NATS server is killed, and started again at the end.
    RestartNats,
    /// One service after the other drains and is started again.
    RollingRestart,
}

impl Fault {
    /// Returns every fault that services with this bus can have, in an order that ends with a rolling restart.
    #[must_use]
    pub fn all(kind: BusKind) -> Vec<Self> {
        let of_both =
            [Self::Kill, Self::Freeze, Self::CutBus, Self::SilenceBus, Self::CutBoth, Self::RestartDatabase];
        let of_nats = (kind == BusKind::Nats).then_some(Self::RestartNats);
        of_both.into_iter().chain(of_nats).chain([Self::RollingRestart]).collect()
    }
}

/// The number of services.
const NODES: usize = 3;

impl Group {
    /// Does what the fault is, for a time, with one of the services if it is about one. Returns when it is over.
    async fn suffer(&mut self, fault: Fault, node: usize, time: Duration, crowd: &Crowd) {
        match fault {
            Fault::Kill => {
                self.take(node).kill().await;
                crowd.places.send_replace(self.addresses());
                sleep(time).await;
                self.start_node(node).await;
            }
            Fault::Freeze => {
                self.node(node).signal("STOP");
                sleep(time).await;
                self.node(node).signal("CONT");
            }
            Fault::CutBus => self.traffic(Traffic::Cut, &[&self.to_bus], time).await,
            Fault::SilenceBus => self.traffic(Traffic::BlackHole, &[&self.to_bus], time).await,
            Fault::CutBoth => self.traffic(Traffic::Cut, &[&self.to_bus, &self.to_database], time).await,
            Fault::RestartDatabase => {
                self.server.kill().await;
                sleep(time).await;
                self.server.restart().await;
            }
            Fault::RestartNats => {
                let nats = self.nats.as_ref().expect("invariant: it is a fault of NATS");
                nats.kill();
                sleep(time).await;
                nats.restart().await;
            }
            Fault::RollingRestart => {
                for node in 0..self.len() {
                    let service = self.take(node);
                    crowd.places.send_replace(self.addresses());
                    service.signal("TERM");
                    assert!(service.ended().await.success(), "node {node} drains");
                    self.start_node(node).await;
                    crowd.places.send_replace(self.addresses());
                    self.ready(node).await;
                }
            }
        }
        crowd.places.send_replace(self.addresses());
        for node in 0..self.len() {
            self.ready(node).await;
        }
    }

    async fn traffic(&self, traffic: Traffic, through: &[&Proxy], time: Duration) {
        through.iter().for_each(|proxy| proxy.set(traffic));
        sleep(time).await;
        through.iter().for_each(|proxy| proxy.set(Traffic::Pass));
    }
}

/// Runs the load of a plan on three services, while they suffer the faults in turn until the time is over, each at least
/// once. A fault takes `outage`, and after each there are [`Plan::life`] of peace. Each is a row of the report, passed to
/// `tell`.
///
/// # Panics
/// If a service does not start or does not become ready after a fault, if something acknowledged is lost, or if the
/// sockets do not receive everything within [`Plan::settle`].
pub async fn soak_nodes(
    plan: &Plan,
    kind: BusKind,
    outage: Duration,
    random: &Random,
    mut tell: impl FnMut(Fault, &super::Row),
) -> Report {
    let mut group = Group::start(kind, NODES).await;
    let cookies = sign_in(group.node(0), plan.users).await;
    let names: Vec<String> = (0..plan.channels).map(|n| format!("soak-{n}")).collect();
    create(group.node(0), &cookies, &names).await;
    let crowd = Crowd::start(plan, random, &names, &cookies, group.addresses());
    let end = tokio::time::Instant::now() + plan.time;
    let mut report = Report::default();
    let faults = Fault::all(kind);
    for fault in faults.iter().copied().cycle() {
        if report.rows.len() >= faults.len() && tokio::time::Instant::now() >= end {
            break;
        }
        sleep(plan.life).await;
        let node = random.below(NODES as u64) as usize;
        group.suffer(fault, node, outage, &crowd).await;
        let row = crowd.ledger.row(report.rows.len() + 1, group.resident_bytes());
        tell(fault, &row);
        report.rows.push(row);
    }
    sleep(plan.life).await;
    let ledger = crowd.settle(plan.settle, group.node(0).addr, &cookies[0], &names).await;
    let last = ledger.row(report.rows.len() + 1, group.resident_bytes());
    report.rows.push(last);
    report.checked = check_logs(group.node(0).addr, &cookies, &names, &ledger).await;
    report
}
