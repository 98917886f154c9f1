//! A real NATS server for the tests, which ends with them.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use crate::{free_port, must};

/// A `nats-server` on the loopback network, which lives at most as long as the process that started it. Clones share it.
#[derive(Clone, Debug)]
pub struct Nats(Arc<Running>);

#[derive(Debug)]
struct Running {
    addr: SocketAddr,
    /// `None` while it is killed.
    child: Mutex<Option<Child>>,
}

impl Nats {
    /// Returns the server that all tests of this process share. The first call starts it.
    ///
    /// # Panics
    /// If nats-server is not installed.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Nats> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Starts a server for one test, which may kill it.
    ///
    /// # Panics
    /// If nats-server is not installed.
    pub async fn start() -> Self {
        let server = Self(Arc::new(Running {
            addr: (Ipv4Addr::LOCALHOST, free_port()).into(),
            child: Mutex::default(),
        }));
        server.restart().await;
        server
    }

    /// Returns its address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// Returns the URL for connecting through `addr`, its own address or a proxy's.
    #[must_use]
    pub fn url_at(addr: SocketAddr) -> String {
        format!("nats://{addr}")
    }

    /// Kills the server with SIGKILL, as a crash would.
    ///
    /// # Panics
    /// If it is killed already.
    pub fn kill(&self) {
        self.0.lock().take().map(end).expect("it is running");
    }

    /// Starts a killed server again, on the same port, and returns when it takes connections.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&self) {
        let mut command = Command::new("sh");
        let (host, port) = (self.0.addr.ip().to_string(), self.0.addr.port().to_string());
        command.args(["-c", SCRIPT, "nats", &host, &port]).stdin(Stdio::piped()).process_group(0);
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a shell runs");
        *self.0.lock() = Some(child);
        must("nats-server listens (Debian: apt-get install nats-server)", async {
            while TcpStream::connect(self.0.addr).await.is_err() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// Runs the server until its input ends.
const SCRIPT: &str = r#"nats-server --addr "$1" --port "$2" & read -r _; kill -KILL $!; wait"#;

impl Running {
    fn lock(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().expect("invariant: nothing panics under this lock")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = self.lock().take() {
            end(child);
        }
    }
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    let _ = child.wait();
}
