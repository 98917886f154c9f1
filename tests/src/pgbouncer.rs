//! A real pgbouncer between a test and its PostgreSQL.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::postgres::{Postgres, give_to_postgres};

/// A pgbouncer in transaction mode in front of the shared [`Postgres`], which lives as long as the process that
/// started it. Clones share it.
#[derive(Clone, Debug)]
pub struct Pgbouncer(Arc<Running>);

#[derive(Debug)]
struct Running {
    child: Child,
    addr: SocketAddr,
}

impl Pgbouncer {
    /// Returns the pgbouncer that all tests of this process share. The first call starts it.
    ///
    /// # Panics
    /// If pgbouncer is not installed.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Pgbouncer> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Returns its address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    async fn start() -> Self {
        let postgres = Postgres::shared().await.addr();
        let folder = tempfile::Builder::new().prefix("chatcore-pgbouncer-").tempdir().expect("a new folder");
        // The port is free again at once. If another process takes it in between, the test fails to connect.
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let addr = free.local_addr().expect("it is bound");
        drop(free);
        let settings = format!(
            "[databases]\n* = host={} port={} user=postgres\n[pgbouncer]\nlisten_addr = {}\nlisten_port = {}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = transaction\nmax_client_conn = 2000\n\
             default_pool_size = 4\nserver_idle_timeout = 5\n",
            postgres.ip(),
            postgres.port(),
            addr.ip(),
            addr.port(),
        );
        let path = folder.path().join("pgbouncer.ini");
        std::fs::write(&path, settings).expect("a folder of one's own");
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT, "pgbouncer"]).arg(&path).stdin(Stdio::piped()).process_group(0);
        if let Some((uid, gid)) = give_to_postgres(folder.path()) {
            give_to_postgres(&path);
            command.uid(uid).gid(gid);
        }
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell runs");
        // From here on, the shell removes it.
        let _ = folder.keep();
        let running = Running { child, addr };
        crate::must("pgbouncer listens (Debian: apt-get install pgbouncer)", async {
            while tokio::net::TcpStream::connect(addr).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        Self(Arc::new(running))
    }
}

/// Runs pgbouncer until its input ends, and removes its folder.
const SCRIPT: &str = r#"pgbouncer "$1" & read -r _; kill -KILL $!; wait; rm -rf "${1%/*}""#;

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
