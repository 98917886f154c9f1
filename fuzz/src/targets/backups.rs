//! Backups: the archive, and the protocol for sending it.

use web_chat::testkit::{read_backup, receive_backup};

use super::outcome;

pub(super) const WORDS: &[&str] = &[
    "web_chat-backup.json",
    "web_chat-backup.sha256",
    "accounts.redb",
    "chat.redb",
    "files/x12/x34/a_1234",
    "files/../../x",
    "/etc/passwd",
    "ustar  \0",
    "{\"format\":1,\"version\":\"0\",\"made_at\":\"2026-01-01T00:00:00Z\",\"database\":true}",
    "{\"format\":2}",
    "d\0\0\0\u{1}x",
    "e\0\0\0\u{1}x",
    "n\0\0\0\u{1}x",
    "z\0\0\0\0",
];

/// No path in an archive is outside of the data folder, and the result of receiving does not depend on how the
/// bytes are split. The first byte of the input says how.
pub(super) fn run(input: &[u8]) -> u64 {
    let Some((cut, bytes)) = input.split_first() else { return 0 };
    let (paths, end) = read_backup(bytes);
    for path in &paths {
        let is_known = ["chat.redb", "accounts.redb"].contains(&path.as_str()) || path.starts_with("files/x");
        assert!(is_known && !path.split('/').any(|part| matches!(part, "" | "." | "..")), "{path:?}");
    }
    let whole = receive_backup(bytes, usize::MAX);
    assert_eq!(
        whole,
        receive_backup(bytes, 1 + usize::from(*cut)),
        "cut in pieces of {}",
        1 + usize::from(*cut)
    );
    outcome((paths.len(), end, whole.is_ok(), whole.map_or(0, |received| received.len() / 8)))
}
