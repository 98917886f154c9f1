//! A simulated machine made of folders, with a shell.

use std::ffi::OsStr;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chatcore_tests::{Database, free_port, must};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const SYSTEMCTL: &str = include_str!("systemctl.sh");

/// The folders of a machine, with the standard units of systemd. Programs started on it end with it.
pub(crate) struct Machine {
    root: TempDir,
    program: PathBuf,
    database: String,
    postgres: PathBuf,
    pub(crate) chat: SocketAddr,
    pub(crate) metrics: SocketAddr,
}

/// Returns the root folder of the source.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn free() -> SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

impl Machine {
    pub(crate) fn new(program: &OsStr, database: &Database) -> Self {
        let psql = database.server().program("psql");
        let machine = Self {
            root: tempfile::tempdir().unwrap(),
            program: program.into(),
            database: database.url(),
            postgres: psql.parent().unwrap().to_path_buf(),
            chat: free(),
            metrics: free(),
        };
        for folder in ["bin", "run", "etc", "usr/bin", "usr/local/bin", "usr/lib/systemd/system"] {
            fs::create_dir_all(machine.path(folder)).unwrap();
        }
        for program in ["bin/sh", "usr/bin/find"] {
            fs::copy(Path::new("/").join(program), machine.path(program)).unwrap();
        }
        for unit in fs::read_dir("/usr/lib/systemd/system").expect("systemd's own units").flatten() {
            if unit.file_type().unwrap().is_file() {
                fs::copy(unit.path(), machine.path("usr/lib/systemd/system").join(unit.file_name())).unwrap();
            }
        }
        let systemctl = machine.path("bin/systemctl");
        fs::write(&systemctl, SYSTEMCTL).unwrap();
        fs::set_permissions(systemctl, PermissionsExt::from_mode(0o755)).unwrap();
        machine
    }

    /// Returns a path on the machine.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    /// Installs the unit and the program where the page does.
    pub(crate) fn install_unit(&self) {
        fs::create_dir_all(self.path("etc/systemd/system")).unwrap();
        let unit = source().join("docs/service/web_chat.service");
        fs::copy(unit, self.path("etc/systemd/system/web_chat.service")).unwrap();
        fs::copy(&self.program, self.path("usr/local/bin/web_chat")).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Ok(pid) = fs::read_to_string(self.path("run/web_chat.pid")) {
            let _ = std::process::Command::new("kill").args(["-KILL", pid.trim()]).status();
        }
    }
}

/// A shell that exits at the first command that fails.
pub(crate) struct Shell {
    child: Child,
    commands: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    log: PathBuf,
}

const DONE: &str = "-- the block is done --";

impl Shell {
    pub(crate) fn start(machine: &Machine) -> Self {
        let found = std::env::var_os("PATH").unwrap();
        let systemctl = std::env::split_paths(&found)
            .map(|folder| folder.join("systemctl"))
            .find(|path| path.is_file())
            .expect("these tests need systemd's programs (Debian: apt-get install systemd)");
        let first = [machine.path("bin"), machine.path("usr/local/bin"), machine.postgres.clone()];
        let path = std::env::join_paths(first.into_iter().chain(std::env::split_paths(&found))).unwrap();
        let mut bash = Command::new("bash");
        bash.args(["-eu", "-o", "pipefail"]).current_dir(source());
        bash.env("PATH", path).env("SYSTEMCTL", systemctl).env("DESTDIR", machine.root.path());
        bash.env("PROGRAM", &machine.program).env("DATABASE", &machine.database);
        bash.env("ADDRESS", machine.chat.to_string()).env("METRICS", machine.metrics.to_string());
        bash.env("ORIGIN", format!("http://{}", machine.chat)).env_remove("DATABASE_URL");
        bash.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = bash.spawn().unwrap();
        let commands = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, commands, output, log: machine.path("run/web_chat.log") }
    }

    /// Runs commands, and returns when all have succeeded.
    pub(crate) async fn run(&mut self, commands: &str) {
        let script = format!("{commands}\necho '{DONE}'\n");
        self.commands.write_all(script.as_bytes()).await.unwrap();
        loop {
            let line = must(commands, self.output.next_line()).await.unwrap();
            match line {
                Some(line) if line == DONE => return,
                Some(line) => println!("{line}"),
                None => {
                    let status = self.child.wait().await.unwrap();
                    let log = fs::read_to_string(&self.log).unwrap_or_default();
                    panic!("a command failed ({status}):\n{commands}\nthe service's log:\n{log}");
                }
            }
        }
    }
}
