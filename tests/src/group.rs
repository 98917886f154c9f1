//! Several real services that are one chat: on one PostgreSQL, with a bus.

use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;

use crate::http_client::http;
use crate::must;
use crate::nats::Nats;
use crate::postgres::{Database, Postgres};
use crate::proxy::Proxy;
use crate::service::Service;

/// What the services tell each other by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusKind {
    /// LISTEN and NOTIFY.
    Postgres,
    /// A NATS server.
    Nats,
}

/// Services on a database, each reached at its own port, with proxies before the database and the bus.
#[derive(Debug)]
pub struct Group {
    services: Vec<Option<Service>>,
    /// The server of the database, which no other group has.
    pub server: Postgres,
    /// The bus, if it is not PostgreSQL.
    pub nats: Option<Nats>,
    /// The way to the database.
    pub to_database: Proxy,
    /// The way to the bus.
    pub to_bus: Proxy,
    database: Database,
    folder: TempDir,
}

impl Group {
    /// Starts servers of their own for a group, and so many services.
    ///
    /// # Panics
    /// If a server or a service does not start.
    pub async fn start(kind: BusKind, services: usize) -> Self {
        let server = Postgres::start().await;
        let database = server.database().await;
        let nats = if kind == BusKind::Nats { Some(Nats::start().await) } else { None };
        let to_database = Proxy::start(server.addr()).await.expect("a proxy");
        let bus = nats.as_ref().map_or(server.addr(), Nats::addr);
        let to_bus = Proxy::start(bus).await.expect("a proxy");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let services: Vec<_> = (0..services).map(|_| None).collect();
        let mut group = Self { services, server, nats, to_database, to_bus, database, folder };
        for node in 0..group.len() {
            group.start_node(node).await;
        }
        for node in 0..group.len() {
            group.ready(node).await;
        }
        group
    }

    /// Starts a service that was taken.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_node(&mut self, node: usize) {
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

    /// Returns the number of services, with those that were taken.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a group has services")]
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// Returns a service.
    ///
    /// # Panics
    /// If it was taken.
    #[must_use]
    pub fn node(&self, node: usize) -> &Service {
        self.services[node].as_ref().expect("a service that was not taken")
    }

    /// Takes a service, to end it.
    ///
    /// # Panics
    /// If it was taken.
    pub fn take(&mut self, node: usize) -> Service {
        self.services[node].take().expect("a service that was not taken")
    }

    /// Returns the addresses of the services that were not taken.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.services.iter().flatten().map(|service| service.addr).collect()
    }

    /// Waits until a service reaches the database, and hears itself on the bus.
    ///
    /// # Panics
    /// If it does not.
    pub async fn ready(&self, node: usize) {
        let addr = self.node(node).addr;
        let ready = async { while http(addr, "GET", "/readyz", &[], b"").await.status != 200 {} };
        must(&format!("node {node} is ready"), ready).await;
    }

    /// Returns the resident memory of all services in bytes.
    ///
    /// # Panics
    /// If one of them has ended.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        self.services.iter().flatten().map(Service::resident_bytes).sum()
    }
}
