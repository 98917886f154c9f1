//! Processes on this machine: their cores, their limits, and their resource use.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tempfile::TempDir;

use crate::servers::Kind;

/// The first argument of a server process.
pub(crate) const SERVE: &str = "serve";

/// The cores of the server and of the client.
#[derive(Clone, Debug)]
pub(crate) struct Cores {
    pub(crate) server: Vec<usize>,
    pub(crate) client: usize,
}

impl Cores {
    /// Gives the server the first `count` cores that this process may use, and the client the next one, or the last if
    /// there are no more. `None` on a machine with one core.
    pub(crate) fn find(count: usize) -> Option<Self> {
        let allowed = sched_getaffinity(None).unwrap();
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let server: Vec<usize> = cores.by_ref().take(count.max(1)).collect();
        let last = if server.len() > 1 { server.last().copied() } else { None };
        Some(Self { client: cores.next().or(last)?, server })
    }
}

/// Pins the calling thread, and the threads that it starts, to these cores.
pub(crate) fn pin(cores: &[usize]) {
    let mut only = CpuSet::new();
    cores.iter().for_each(|&core| only.set(core));
    sched_setaffinity(None, &only).unwrap();
}

/// Raises the limit of open files to the maximum, and returns it.
pub(crate) fn raise_open_files() -> u64 {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    maximum.unwrap_or(u64::MAX)
}

/// A server in a separate process, which ends on drop or with this process.
pub(crate) struct ServerProcess {
    child: Child,
    pub(crate) addr: SocketAddr,
    _folder: TempDir,
}

impl ServerProcess {
    /// Starts this program as a server with `channels` channels.
    pub(crate) fn start(kind: Kind, channels: usize, cores: Option<&Cores>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = cores.map_or(&[][..], |cores| &cores.server);
        let server: Vec<String> = server.iter().map(usize::to_string).collect();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([SERVE, kind.name(), &channels.to_string(), &server.join(",")])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("a server prints its port");
        Self { child, addr: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), _folder: folder }
    }

    /// Returns the CPU time of all threads.
    ///
    /// The scheduler's counter is exact to the nanosecond; `stat` counts in ticks of 10 ms.
    pub(crate) fn cpu(&self) -> Duration {
        let threads = fs::read_dir(self.file("task")).unwrap();
        let run = threads.map(|thread| {
            let schedstat = fs::read_to_string(thread.unwrap().path().join("schedstat")).ok()?;
            schedstat.split(' ').next()?.parse::<u64>().ok()
        });
        match run.sum::<Option<u64>>() {
            Some(nanos) => Duration::from_nanos(nanos),
            None => self.cpu_in_ticks(),
        }
    }

    fn cpu_in_ticks(&self) -> Duration {
        let stat = fs::read_to_string(self.file("stat")).unwrap();
        // The name, in parentheses, may contain spaces; utime and stime are the 12th and 13th field after it.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: u64 = fields.split(' ').skip(12).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(10 * ticks)
    }

    /// Returns the resident memory in KiB.
    pub(crate) fn rss_kib(&self) -> u64 {
        let rollup = fs::read_to_string(self.file("smaps_rollup")).unwrap();
        let rss = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap();
        rss.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(name)
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
