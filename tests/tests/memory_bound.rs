//! The bound of a server's memory, worked out from its limits as `docs/design.md` does.

use chatcore::Limits;
use chatcore_hyper::{Config, ServerConfig};

const DESIGN: &str = include_str!("../../docs/design.md");

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Bytes of a connection that waits for nothing: its tasks, its place among the links, its session and its pace.
/// `tests/allocations.rs` holds it below that.
const IDLE: usize = 4 * KIB;

/// Bytes of a connection of HTTP beside its headers: hyper's own state, a piece of a file and what hyper gathers.
const HTTP: usize = (8 + 16 + 16) * KIB;

/// Bytes that a connection may have in a total's place, however full the total is.
const READ: usize = 4 * KIB;
const MAILBOX: usize = 8 * KIB;
const COMMAND: usize = 4 * KIB;

/// Bytes of a subscription: its cursor, its place among the followers, its user among those online.
/// `tests/allocations.rs` holds it below that.
const SUBSCRIPTION: usize = KIB / 2;

/// Bytes of a loaded channel beside its ring.
const CHANNEL: usize = KIB;

/// How many times a batch is in memory while it is stored: queued, as the store's own and as its transaction.
const BATCH_COPIES: usize = 3;

/// The first bytes of an upload, which are kept for finding out what it is, and two of its pieces.
const UPLOAD: usize = (256 + 2 * 64) * KIB;

/// The first bytes of a picture, from which it is worked out what its previews take.
const HEAD: usize = 256 * KIB;

/// The cache of a store on redb.
const CACHE: usize = 64 * MIB;

/// The cache of the names of `web_chat`.
const NAMES: usize = 16 * MIB;

/// The cache of the copy that a backup makes, and the pieces in which it is sent.
const BACKUP: usize = 16 * MIB + 2 * 64 * KIB;

/// Text of the newest messages that one search reads in a step, and its answer.
fn search(limits: &Limits) -> usize {
    3 * limits.answer_bytes
}

/// A frame of the largest event: each character of its text may be six bytes of JSON.
fn frame(limits: &Limits) -> usize {
    6 * limits.text_chars + 4 * KIB
}

fn parts(limits: &Limits, config: &Config, server: &ServerConfig) -> Vec<(&'static str, usize)> {
    let sockets = limits.connections.min(server.connections);
    let http = IDLE + HTTP + server.header_bytes;
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
        (
            "appends",
            limits.append_groups * (limits.append_queue_bytes + BATCH_COPIES * limits.append_batch_bytes),
        ),
        ("searches", limits.searches * search(limits)),
        ("uploads", limits.uploads * UPLOAD),
        ("previews", limits.preview_memory as usize + limits.previews * HEAD),
        ("the store's cache", CACHE),
        ("the names' cache", NAMES),
        ("a backup", BACKUP),
    ]
}

#[test]
fn the_memory_of_a_server_is_bounded_as_documented() {
    let parts = parts(&Limits::default(), &Config::default(), &ServerConfig::default());
    let mut sum = 0;
    for (part, bytes) in &parts {
        let mib = bytes.div_ceil(MIB);
        println!("| {part} | {mib} MiB |");
        let row = DESIGN.lines().find(|line| line.starts_with(&format!("| {part} |")));
        let row = row.unwrap_or_else(|| panic!("docs/design.md has no row for {part}, {mib} MiB"));
        assert!(row.ends_with(&format!("| {mib} MiB |")), "{part} has {mib} MiB, the page says: {row}");
        sum += bytes;
    }
    let mib = sum.div_ceil(MIB);
    println!("{mib} MiB in all");
    assert!(sum < 4 << 30, "{mib} MiB are not below 4 GiB");
    assert!(DESIGN.contains(&format!("**{mib} MiB**")), "docs/design.md does not say {mib} MiB");
}
