//! A real PostgreSQL server for the tests, which ends with them.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use crate::free_port;

/// A script that starts, kills and removes one server, by commands on its standard input. The input ends with the
/// test's process, for whatever reason, and then everything is removed.
const KEEPER: &str = include_str!("postgres.sh");

/// What to do if PostgreSQL is not installed.
const MISSING: &str = "these tests need PostgreSQL's server (Debian: apt-get install postgresql); \
     CHATCORE_PG_BIN names the folder of its programs if it is not found";

/// A PostgreSQL server on the loopback network, with `fsync` on, which lives at most as long as the process that
/// started it.
///
/// Clones share it. When the last is dropped, the server is stopped and its folder removed.
#[derive(Clone, Debug)]
pub struct Postgres {
    keeper: Arc<Keeper>,
}

/// A new, empty database on a [`Postgres`].
#[derive(Clone, Debug)]
pub struct Database {
    server: Postgres,
    name: String,
}

#[derive(Debug)]
struct Keeper {
    process: Mutex<Process>,
    programs: PathBuf,
    folder: PathBuf,
    port: u16,
    databases: AtomicU64,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// `None` once the shutdown has begun.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Postgres {
    /// Returns the server that all tests of this process share. The first call starts it.
    ///
    /// # Panics
    /// If PostgreSQL is not installed. The message says what to install.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Starts a server for one test, which may kill it.
    ///
    /// # Panics
    /// If PostgreSQL is not installed. The message says what to install.
    pub async fn start() -> Self {
        blocking(|| Self { keeper: Arc::new(Keeper::start(None)) }).await
    }

    /// Starts a server with TLS and a self-signed certificate for `name`, and returns the certificate in PEM.
    ///
    /// # Panics
    /// If PostgreSQL is not installed. The message says what to install.
    pub async fn start_with_tls(name: &str) -> (Self, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let tls = [("server.crt", certificate.clone()), ("server.key", key)];
        (blocking(move || Self { keeper: Arc::new(Keeper::start(Some(tls))) }).await, certificate)
    }

    /// Returns its address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.keeper.port).into()
    }

    /// Returns the path of one of PostgreSQL's programs, such as `pgbench`.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.keeper.programs.join(name)
    }

    /// Creates a new database.
    ///
    /// # Panics
    /// If that fails, for example because the server is killed.
    pub async fn database(&self) -> Database {
        let server = self.clone();
        blocking(move || {
            let name = format!("test{}", server.keeper.databases.fetch_add(1, Ordering::Relaxed));
            let port = server.keeper.port.to_string();
            let mut create = Command::new(server.program("createdb"));
            create.args(["--host=127.0.0.1", "--port", &port, "--username=postgres"]);
            create.args(["--maintenance-db=postgres", "--template=template0", &name]);
            let done = create.current_dir("/").output().expect("createdb runs");
            assert!(done.status.success(), "createdb: {}", String::from_utf8_lossy(&done.stderr));
            Database { server, name }
        })
        .await
    }

    /// Kills the server and all its processes with SIGKILL, as a crash would, and returns when none is left.
    ///
    /// # Panics
    /// If it is killed already.
    pub async fn kill(&self) {
        let keeper = Arc::clone(&self.keeper);
        blocking(move || keeper.order("kill", "killed").unwrap_or_else(|answer| panic!("{answer}"))).await;
    }

    /// Starts a killed server again, with the same data and port, and returns when it answers.
    ///
    /// # Panics
    /// If it is running, or does not start.
    pub async fn restart(&self) {
        let keeper = Arc::clone(&self.keeper);
        blocking(move || {
            let start = format!("start {}", keeper.port);
            keeper.order(&start, "ready").unwrap_or_else(|_| panic!("{}", keeper.messages()));
        })
        .await;
    }
}

impl Database {
    /// Returns the URL at which a client connects.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(self.server.addr())
    }

    /// Returns the URL for connecting through a proxy at `addr`.
    #[must_use]
    pub fn url_at(&self, addr: SocketAddr) -> String {
        format!("postgresql://postgres@{addr}/{}", self.name)
    }

    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the server.
    #[must_use]
    pub fn server(&self) -> &Postgres {
        &self.server
    }
}

impl Keeper {
    fn start(tls: Option<[(&str, String); 2]>) -> Self {
        let programs = programs();
        let (folder, process) = Process::spawn(&programs);
        for (name, pem) in tls.into_iter().flatten() {
            let path = folder.join(name);
            fs::write(&path, pem).expect("a folder of one's own");
            fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("a file of one's own");
            give_to_postgres(&path);
        }
        let mut keeper = Self {
            process: Mutex::new(process),
            programs,
            folder,
            port: free_port(),
            databases: AtomicU64::new(0),
        };
        while keeper.order(&format!("start {}", keeper.port), "ready").is_err() {
            // Another process may have taken the port in the meantime.
            let messages = keeper.messages();
            assert!(messages.contains("Address already in use"), "{messages}");
            keeper.port = free_port();
        }
        keeper
    }

    /// Runs a command of the keeper and returns when it is done, or the keeper's message if it fails.
    fn order(&self, order: &str, done: &str) -> Result<(), String> {
        let mut process = self.process.lock().expect("invariant: nothing panics under this lock");
        let sent = process.orders.as_mut().map(|orders| writeln!(orders, "{order}"));
        let mut answer = String::new();
        let read = process.answers.read_line(&mut answer);
        drop(process);
        let answer = answer.trim();
        (answer == done).then_some(()).ok_or_else(|| format!("{order}: {answer:?} {sent:?} {read:?}"))
    }

    fn messages(&self) -> String {
        let messages = fs::read_to_string(self.folder.join("messages")).unwrap_or_default();
        format!("PostgreSQL did not start: {messages}")
    }
}

impl Process {
    fn spawn(programs: &Path) -> (PathBuf, Self) {
        let folder = tempfile::Builder::new().prefix("chatcore-postgres-").tempdir().expect("a new folder");
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(programs).arg(folder.path()).arg(std::env::temp_dir());
        if let Some((uid, gid)) = give_to_postgres(folder.path()) {
            keeper.uid(uid).gid(gid);
        }
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("a folder of one's own");
        // In a separate process group, Ctrl-C does not reach it: it ends when its input ends.
        keeper.current_dir(folder.path()).process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = keeper.spawn().expect("a shell runs");
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().expect("invariant: it is piped"));
        // From here on, the keeper removes it.
        (folder.keep(), Self { child, orders, answers })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.wait();
    }
}

/// Returns the folder of PostgreSQL's programs.
fn programs() -> PathBuf {
    let complete = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    if let Some(named) = std::env::var_os("CHATCORE_PG_BIN") {
        return Some(PathBuf::from(named)).filter(complete).expect(MISSING);
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse::<u32>().ok()?, version.path())))
        .map(|(version, path)| (version, path.join("bin")))
        .filter(|(_, folder)| complete(folder))
        .max();
    let path = std::env::var_os("PATH").unwrap_or_default();
    debian.map(|(_, folder)| folder).or_else(|| std::env::split_paths(&path).find(complete)).expect(MISSING)
}

/// Gives a path of root to the user that runs the servers, since they refuse to run as root. Returns the user's
/// ids.
pub(crate) fn give_to_postgres(path: &Path) -> Option<(u32, u32)> {
    if fs::metadata(path).expect("a new path").uid() != 0 {
        return None;
    }
    let (uid, gid) = postgres_user();
    std::os::unix::fs::chown(path, Some(uid), Some(gid)).expect("root may");
    Some((uid, gid))
}

/// Returns the ids of the user that Debian's package creates.
fn postgres_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("the list of users");
    let user = users.lines().find_map(|line| line.strip_prefix("postgres:"));
    let mut fields =
        user.into_iter().flat_map(|user| user.split(':').skip(1)).map_while(|id| id.parse().ok());
    match (fields.next(), fields.next()) {
        (Some(uid), Some(gid)) => (uid, gid),
        _ => panic!("root can't run PostgreSQL, and there is no user postgres: {MISSING}"),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
