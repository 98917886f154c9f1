//! The memory of the service, and of the system for sockets.

use std::fs::read_to_string;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

const GIB: u64 = 1 << 30;

/// How much an idle service may grow, if that makes more than 1 GiB.
const ROOM: u64 = 300 << 20;

/// Limits the address space of a process.
///
/// # Panics
/// If the process is gone.
pub(super) fn cap(id: u32) {
    let idle = field(id, "VmSize:").expect("a running process");
    let most = Some(GIB.max(idle + ROOM));
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    prlimit(id, Resource::As, Rlimit { current: most, maximum: most }).expect("a limit of a process of ours");
}

/// Returns the resident memory of a process plus the memory of the system's TCP sockets; `None` if the process is
/// gone.
pub(super) fn of(id: u32) -> Option<u64> {
    Some(field(id, "VmRSS:")? + sockets())
}

fn field(id: u32, name: &str) -> Option<u64> {
    let status = read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1_024)
}

fn sockets() -> u64 {
    let stat = read_to_string("/proc/net/sockstat").unwrap_or_default();
    let tcp = stat.lines().find(|line| line.starts_with("TCP:")).unwrap_or_default();
    let pages = tcp.split_whitespace().skip_while(|word| *word != "mem").nth(1);
    pages.and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4_096
}
