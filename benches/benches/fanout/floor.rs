//! What both floors know of a channel: the least that a chat can be.

use crate::wire::Message;

/// Bytes that may wait for one socket; one that takes none for so long is closed.
pub(crate) const BACKLOG: usize = 4 << 20;

/// The messages of a snapshot.
const HISTORY: u64 = 100;

/// A channel with its members, and the frames that are on their way to them.
#[derive(Debug)]
pub(crate) struct Channel<M> {
    number: usize,
    pub(crate) members: Vec<M>,
    head: u64,
    last_text: Vec<u8>,
    snapshot: Option<Vec<u8>>,
    /// The frames of the messages that came together: one buffer, the same for every member.
    pub(crate) batch: Vec<u8>,
}

impl<M> Channel<M> {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            number,
            members: Vec::new(),
            head: 0,
            last_text: Vec::new(),
            snapshot: None,
            batch: Vec::new(),
        }
    }

    /// Adds a message's frame to the batch, and its answer to `answers`.
    pub(crate) fn publish(&mut self, user: &str, nonce: &[u8], text: &[u8], answers: &mut Vec<u8>) {
        self.head += 1;
        let message = Message { channel: self.number, seq: self.head, user, nonce, text };
        message.push_event(&mut self.batch);
        message.push_ok(answers);
        self.last_text.clear();
        self.last_text.extend_from_slice(text);
        self.snapshot = None;
    }

    /// Returns the answer to a subscribe: as many messages, of the size of the last one, as chatcore would send.
    pub(crate) fn snapshot(&mut self) -> &[u8] {
        let (channel, seq, text) = (self.number, self.head, &self.last_text);
        self.snapshot.get_or_insert_with(|| {
            Message { channel, seq, user: "u_0", nonce: b"000000000000", text }.snapshot(seq.min(HISTORY))
        })
    }
}
