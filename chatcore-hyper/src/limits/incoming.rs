//! The bytes of unfinished messages, over all connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes of all connections' large unfinished messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incoming(Arc<AtomicUsize>);

/// The bytes of one message. Dropping it gives them back.
#[derive(Debug)]
pub(crate) struct IncompleteMessage {
    all: Incoming,
    bytes: usize,
}

impl Incoming {
    /// Takes the bytes of a message, if they fit into `total`.
    pub(crate) fn begin(&self, bytes: usize, total: usize) -> Option<IncompleteMessage> {
        let message = IncompleteMessage { all: self.clone(), bytes };
        let before = self.0.fetch_add(bytes, Ordering::Relaxed);
        (before + bytes <= total).then_some(message)
    }
}

impl Drop for IncompleteMessage {
    fn drop(&mut self) {
        self.all.0.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
