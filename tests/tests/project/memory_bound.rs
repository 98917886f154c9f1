//! The bound of a server's memory, computed from its limits as in `docs/design.md`.

use chatcore::Limits;
use chatcore::bus::BusLimits;
use chatcore::testkit::{burst_memory, bus_memory, consumer_memory, joined_memory, peer_memory};
use chatcore_hyper::{Config, ServerConfig};

const DESIGN: &str = include_str!("../../../docs/design.md");

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// The bytes of an idle connection: its tasks, its entry in the list of connections, its session and its rate
/// limiters. `tests/tests/allocations.rs` holds it to two thirds of that.
const IDLE: usize = 3 * KIB;

/// The bytes of an HTTP connection without its headers: its task and entries, hyper's own state, a piece of a file and
/// hyper's buffer.
const HTTP: usize = (4 + 8 + 16 + 16) * KIB;

/// The bytes that a connection may use even if the total budget is used up.
const READ: usize = 4 * KIB;
const MAILBOX: usize = 8 * KIB;
const COMMAND: usize = 4 * KIB;

/// The bytes of a subscription: its cursor, its entry among the subscribers, and its user's entry among the online
/// users. `tests/tests/allocations.rs` checks this bound.
const SUBSCRIPTION: usize = KIB / 2;

/// The bytes of a loaded channel without its ring.
const CHANNEL: usize = KIB;

/// How many copies of a batch exist while it is stored: in the queue, in the store and in its transaction.
const BATCH_COPIES: usize = 3;

/// The first bytes of an upload, which are kept to detect its type, and two of its pieces.
const UPLOAD: usize = (256 + 2 * 64) * KIB;

/// The first bytes of a picture, from which the memory for its previews is computed.
const HEAD: usize = 256 * KIB;

/// The events that were compressed last, and their compressed bytes.
const COMPRESSED: usize = 32 * 2 * 12 * KIB;

/// The cache of a store on redb.
const CACHE: usize = 64 * MIB;

/// A record of the journal of `chatcore-redb`, and the file as it is read after a failure.
const JOURNAL: usize = 2 * 256 * KIB;

/// The cache of the accounts of `web_chat`.
const NAMES: usize = 16 * MIB;

/// The cache of a backup's copy, and the pieces in which it is sent.
const BACKUP: usize = 16 * MIB + 2 * 64 * KIB;

/// The text of the newest messages that a search reads in one step, and its response.
fn search(limits: &Limits) -> usize {
    3 * limits.answer_bytes
}

/// A frame of the largest event: each character of its text may take six bytes of JSON.
fn frame(limits: &Limits) -> usize {
    6 * limits.text_chars + 4 * KIB
}

fn parts(limits: &Limits, config: &Config, server: &ServerConfig) -> Vec<(&'static str, usize)> {
    let sockets = limits.connections.min(server.connections);
    let http = HTTP + server.header_bytes;
    let socket = IDLE + READ + MAILBOX + COMMAND + limits.outgoing_bytes.max(frame(limits));
    vec![
        ("the system's buffers", server.buffers_total),
        ("WebSockets", sockets * socket.max(http)),
        ("other connections", (server.connections - sockets) * http),
        ("large answers", limits.outgoing_bytes_total),
        ("messages that have begun", config.incoming_bytes_total),
        ("commands that wait", limits.command_bytes_total),
        ("mailboxes", limits.mailbox_bytes_total),
        ("rings", limits.rings_bytes_total + limits.rings_bytes_total / 8),
        ("subscriptions", limits.subscriptions_total * SUBSCRIPTION),
        ("channels", limits.loaded_channels * CHANNEL),
        ("channels joined by a publish", joined_memory()),
        (
            "appends",
            limits.append_groups * (limits.append_queue_bytes + BATCH_COPIES * limits.append_batch_bytes),
        ),
        ("bursts of the append groups", limits.append_groups * burst_memory(frame(limits))),
        ("searches", limits.searches * search(limits)),
        ("uploads", limits.uploads * UPLOAD),
        ("previews", limits.preview_memory as usize + limits.previews * HEAD),
        ("compressed events", COMPRESSED),
        ("the store's cache", CACHE),
        ("the store's journal", JOURNAL),
        ("the names' cache", NAMES),
        ("a backup", BACKUP),
    ]
}

/// Compares parts with their rows in the page. Returns the sum.
fn documented(parts: &[(&str, usize)]) -> usize {
    let mut sum = 0;
    for (part, bytes) in parts {
        let mib = bytes.div_ceil(MIB);
        println!("| {part} | {mib} MiB |");
        let row = DESIGN.lines().find(|line| line.starts_with(&format!("| {part} |")));
        let row = row.unwrap_or_else(|| panic!("docs/design.md has no row for {part}, {mib} MiB"));
        assert!(row.ends_with(&format!("| {mib} MiB |")), "{part} has {mib} MiB, the page says: {row}");
        sum += bytes;
    }
    sum
}

#[test]
fn the_memory_of_a_bus_is_bounded_as_documented() {
    let parts = bus_memory(&Limits::default(), &BusLimits::default());
    let mib = documented(&parts).div_ceil(MIB);
    println!("{mib} MiB in all");
    assert!(DESIGN.contains(&format!("**{mib} MiB** more")), "docs/design.md does not say {mib} MiB more");
    documented(&[("who is online at each other node", peer_memory())]);
}

#[test]
fn the_memory_of_a_core_is_bounded_as_documented() {
    documented(&[("a burst of the fan-out", burst_memory(frame(&Limits::default())))]);
}

#[test]
fn the_memory_of_a_consumer_is_bounded_as_documented() {
    documented(&[("a consumer's batch", consumer_memory(&Limits::default()))]);
}

#[test]
fn the_memory_of_a_server_is_bounded_as_documented() {
    let parts = parts(&Limits::default(), &Config::default(), &ServerConfig::default());
    let sum = documented(&parts);
    let mib = sum.div_ceil(MIB);
    println!("{mib} MiB in all");
    assert!(sum < 4 << 30, "{mib} MiB are not below 4 GiB");
    assert!(DESIGN.contains(&format!("**{mib} MiB**")), "docs/design.md does not say {mib} MiB");
}
