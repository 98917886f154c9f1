//! A soak of three real services on one PostgreSQL, with the faults that such a group must survive. Sockets connect to
//! any of them, and go on at another when theirs is gone.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use chatcore::testkit::Random;
use tempfile::TempDir;
use tokio::time::sleep;

use super::{Crowd, Plan, Report, check_logs, create, sign_in};
use crate::http_client::http;
use crate::must;
use crate::nats::Nats;
use crate::postgres::{Database, Postgres};
use crate::proxy::{Proxy, Traffic};
use crate::service::Service;

/// What the services tell each other by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusKind {
    /// LISTEN and NOTIFY.
    Postgres,
    /// A NATS server.
    Nats,
}

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

/// Three services on a database, each reached at its own port, with proxies before the database and the bus.
struct Group {
    services: Vec<Option<Service>>,
    server: Postgres,
    nats: Option<Nats>,
    to_database: Proxy,
    to_bus: Proxy,
    database: Database,
    folder: TempDir,
}

impl Group {
    async fn start(kind: BusKind) -> Self {
        let server = Postgres::start().await;
        let database = server.database().await;
        let nats = if kind == BusKind::Nats { Some(Nats::start().await) } else { None };
        let to_database = Proxy::start(server.addr()).await.expect("a proxy");
        let bus = nats.as_ref().map_or(server.addr(), Nats::addr);
        let to_bus = Proxy::start(bus).await.expect("a proxy");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let services = (0..NODES).map(|_| None).collect();
        let mut group = Self { services, server, nats, to_database, to_bus, database, folder };
        for node in 0..NODES {
            group.start_node(node).await;
        }
        group
    }

    async fn start_node(&mut self, node: usize) {
        let bus = match self.nats {
            Some(_) => Nats::url_at(self.to_bus.addr()),
            None => self.database.url_at(self.to_bus.addr()),
        };
        let database = self.database.url_at(self.to_database.addr());
        let name = format!("node-{node}");
        let data = self.folder.path().join(&name);
        std::fs::create_dir_all(&data).expect("a folder of one's own");
        let options = ["--database-url", &database, "--bus", &bus, "--node-name", &name];
        self.services[node] = Some(Service::with(Path::new(&data), &options).await);
    }

    fn node(&self, node: usize) -> &Service {
        self.services[node].as_ref().expect("invariant: it runs between two faults")
    }

    fn take(&mut self, node: usize) -> Service {
        self.services[node].take().expect("invariant: it runs between two faults")
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.services.iter().flatten().map(|service| service.addr).collect()
    }

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
                for node in 0..NODES {
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
        for node in 0..NODES {
            self.ready(node).await;
        }
    }

    async fn traffic(&self, traffic: Traffic, through: &[&Proxy], time: Duration) {
        through.iter().for_each(|proxy| proxy.set(traffic));
        sleep(time).await;
        through.iter().for_each(|proxy| proxy.set(Traffic::Pass));
    }

    /// Waits until a service reaches the database, and hears itself on the bus.
    async fn ready(&self, node: usize) {
        let addr = self.node(node).addr;
        let ready = async { while http(addr, "GET", "/readyz", &[], b"").await.status != 200 {} };
        must(&format!("node {node} is ready"), ready).await;
    }

    fn resident_bytes(&self) -> u64 {
        self.services.iter().flatten().map(Service::resident_bytes).sum()
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
    let mut group = Group::start(kind).await;
    let cookies = sign_in(group.node(0), plan.users).await;
    let names: Vec<String> = (0..plan.channels).map(|n| format!("soak-{n}")).collect();
    create(group.node(0), &cookies, &names).await;
    for node in 0..NODES {
        group.ready(node).await;
    }
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
