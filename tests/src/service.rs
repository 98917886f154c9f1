//! The real service, `web_chat`, in a process of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::http_client::http;
use crate::must;

/// A running `web_chat`, built in the same profile as the caller. Dropping it kills it.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Service {
    /// Starts it on a folder, or on a database too.
    ///
    /// # Panics
    /// Panics if it does not start, or is not built.
    pub async fn start(data: &Path, database: Option<&str>) -> Self {
        let mut child = Command::new(binary())
            .args(["--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .args(database.into_iter().flat_map(|url| ["--database-url", url]))
            .env_remove("DATABASE_URL")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a new process");
        let mut lines = BufReader::new(child.stdout.take().expect("a piped output")).lines();
        let line = must("the service says where it is", async {
            loop {
                let line = lines.next_line().await.expect("its output").expect("the service runs");
                if let Some((_, addr)) = line.split_once("http://") {
                    return addr.to_owned();
                }
            }
        });
        let addr = line.await.parse().expect("an address");
        Self { child, addr }
    }

    /// Ends it with SIGKILL.
    ///
    /// # Panics
    /// Panics if the process can't be killed.
    pub async fn kill(mut self) {
        must("the end of a killed process", self.child.kill()).await.expect("a process of ours");
    }

    /// Returns the memory that it holds, in bytes, as the system counts it.
    ///
    /// # Panics
    /// Panics if the process is gone.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let id = self.child.id().expect("a running process");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the resident size");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of KiB") * 1024
    }

    /// Signs somebody in and returns their cookie; `None` if too many have signed in just now.
    ///
    /// # Panics
    /// Panics if the name is refused.
    pub async fn try_sign_in(&self, name: &str) -> Option<String> {
        let body = format!("{{\"name\":\"{name}\"}}");
        let answer = http(self.addr, "POST", "/session", &[], body.as_bytes()).await;
        if answer.status == 429 {
            return None;
        }
        assert_eq!(answer.status, 200, "signing in as {name}");
        let cookie = answer.header("set-cookie").expect("a cookie");
        Some(cookie.split(';').next().unwrap_or_default().to_owned())
    }
}

/// `cargo test --workspace` builds the example before it runs a test.
fn binary() -> PathBuf {
    let here = std::env::current_exe().expect("a program");
    let folder = here.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).expect("a folder");
    let binary = folder.join("examples/web_chat");
    assert!(binary.is_file(), "{} is missing: cargo build -p web_chat --example web_chat", binary.display());
    binary
}
