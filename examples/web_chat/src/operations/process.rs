//! The metrics of the process, from `/proc` on Linux.

use std::fs;

/// The unit of processor time in `/proc`: Linux shows every program 100 ticks per second.
const TICKS_PER_SECOND: f64 = 100.0;

/// The metrics of the process; `None` for those that the system does not provide.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) resident_bytes: Option<u64>,
    pub(super) virtual_bytes: Option<u64>,
    pub(super) threads: Option<u64>,
    pub(super) open_files: Option<u64>,
    pub(super) most_files: Option<u64>,
    pub(super) cpu_seconds: Option<f64>,
    pub(super) started: Option<f64>,
}

impl Process {
    pub(super) fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let status = read("/proc/self/status");
        let kib = |name: &str| Some(field(&status, name)?.parse::<u64>().ok()? * 1_024);
        let (cpu_seconds, started) = times(&read("/proc/self/stat"), &read("/proc/stat"));
        Self {
            resident_bytes: kib("VmRSS:"),
            virtual_bytes: kib("VmSize:"),
            threads: field(&status, "Threads:").and_then(|count| count.parse().ok()),
            // Reading the folder opens one more file.
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64 - 1),
            most_files: field(&read("/proc/self/limits"), "Max open files")
                .and_then(|most| most.parse().ok()),
            cpu_seconds,
            started,
        }
    }
}

/// Returns the first word after `name` in its line.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()
}

/// Returns the processor time of the process, and its start time in seconds since 1970; see proc(5).
fn times(own: &str, system: &str) -> (Option<f64>, Option<f64>) {
    // The program's name, in parentheses, may contain anything. The third field begins after it.
    let fields: Vec<&str> = own.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
    let ticks = |number: usize| Some(fields.get(number - 3)?.parse::<f64>().ok()? / TICKS_PER_SECOND);
    let computed = || Some(ticks(14)? + ticks(15)?);
    let started = || Some(field(system, "btime")?.parse::<f64>().ok()? + ticks(22)?);
    (computed(), started())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn every_metric_of_a_running_process_is_read() {
        let process = Process::read();
        assert!(process.resident_bytes.unwrap() > 1 << 20);
        assert!(process.virtual_bytes >= process.resident_bytes);
        assert!(process.threads.unwrap() >= 1);
        assert!(
            process.open_files.unwrap() >= 3 && process.most_files.unwrap() >= process.open_files.unwrap()
        );
        assert!(process.cpu_seconds.unwrap() >= 0.0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - process.started.unwrap();
        assert!((-2.0..86_400.0).contains(&age), "{age}");
    }

    #[test]
    fn a_program_name_may_contain_anything() {
        let own = "7 (a) b) R 1 1 1 0 -1 0 0 0 0 0 150 50 0 0 20 0 1 0 1000 0 0";
        assert_eq!(times(own, "cpu 1\nbtime 1000000\n"), (Some(2.0), Some(1_000_010.0)));
        assert_eq!(times("", ""), (None, None));
    }
}
