//! The real service, `web_chat`, in a separate process.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::http_client::http;
use crate::must;

/// A running `web_chat`, built in the same profile as the caller. Dropping it kills it.
#[derive(Debug)]
pub struct Service {
    child: Child,
    /// Its address.
    pub addr: SocketAddr,
    /// The unread lines of its log.
    log: mpsc::UnboundedReceiver<String>,
}

impl Service {
    /// Starts it on a folder, optionally with a database.
    ///
    /// # Panics
    /// If it does not start or is not built.
    pub async fn start(data: &Path, database: Option<&str>) -> Self {
        let options: Vec<_> = database.into_iter().flat_map(|url| ["--database-url", url]).collect();
        Self::with(data, &options).await
    }

    /// Starts it on a folder, with options.
    ///
    /// # Panics
    /// If it does not start or is not built.
    pub async fn with(data: &Path, options: &[&str]) -> Self {
        let mut child = web_chat()
            .args(["--listen", "127.0.0.1:0", "--sign-ins", "1000000", "--data"])
            .arg(data)
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
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
        // The service may write more, and would fail if the pipe were closed.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let mut errors = BufReader::new(child.stderr.take().expect("a piped output")).lines();
        let (lines, log) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok(Some(line)) = errors.next_line().await {
                eprintln!("{line}");
                let _ = lines.send(line);
            }
        });
        Self { child, addr, log }
    }

    /// Waits for a line of its log with these words, and returns it. Lines before it are discarded.
    ///
    /// # Panics
    /// If the service ends without such a line.
    pub async fn logged(&mut self, words: &str) -> String {
        self.logged_until(words).await.pop().expect("invariant: the last line has the words")
    }

    /// Waits for a line of its log with these words, and returns the unread lines up to it.
    ///
    /// # Panics
    /// If the service ends without such a line.
    pub async fn logged_until(&mut self, words: &str) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let found = async {
            while !lines.last().is_some_and(|line| line.contains(words)) {
                lines.push(self.log.recv().await.expect("the log goes on"));
            }
        };
        must(words, found).await;
        lines
    }

    /// Sends it a signal, such as `TERM`.
    ///
    /// # Panics
    /// If the process is gone.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().expect("a running process").to_string();
        let sent = std::process::Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.expect("the program kill").success(), "SIG{signal}");
    }

    /// Returns the id of its process.
    ///
    /// # Panics
    /// If its end has been awaited.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().expect("a process that was not waited for")
    }

    /// Returns whether the process runs.
    ///
    /// # Panics
    /// If the system does not tell.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a process of ours").is_none()
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn ended(mut self) -> ExitStatus {
        must("the end of the service", self.child.wait()).await.expect("a process of ours")
    }

    /// Ends it with SIGKILL.
    ///
    /// # Panics
    /// If the process can't be killed.
    pub async fn kill(mut self) {
        must("the end of a killed process", self.child.kill()).await.expect("a process of ours");
    }

    /// Returns its resident memory in bytes.
    ///
    /// # Panics
    /// If the process is gone.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let id = self.child.id().expect("a running process");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the resident size");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number of KiB") * 1024
    }

    /// Signs a user in and returns the cookie.
    ///
    /// # Panics
    /// If that is refused.
    pub async fn sign_in(&self, name: &str) -> String {
        self.try_sign_in(name).await.expect("few have signed in just now")
    }

    /// Signs a user in and returns the cookie; `None` if the allowance of sign-ins is used up.
    ///
    /// # Panics
    /// If the name is refused.
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

/// Returns the program, to run it with other arguments.
///
/// # Panics
/// If it is not built.
#[must_use]
pub fn web_chat() -> Command {
    let mut command = Command::new(binary());
    command.env_remove("DATABASE_URL").kill_on_drop(true);
    command
}

/// `cargo test --workspace` builds the example before it runs a test.
fn binary() -> PathBuf {
    let here = std::env::current_exe().expect("a program");
    let folder = here.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).expect("a folder");
    let binary = folder.join("examples/web_chat");
    assert!(binary.is_file(), "{} is missing: cargo build -p web_chat --example web_chat", binary.display());
    binary
}
