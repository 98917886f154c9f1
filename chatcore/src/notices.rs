//! The frames outside any log that wait for a connection, and their bytes over all connections.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::config::Limits;
use crate::name::ChannelName;
use crate::sync::Arc;

/// Bytes that a frame takes beside its own.
const OVERHEAD: usize = 64;

/// Bytes that a connection may always have waiting, however much waits for the others.
const FLOOR: usize = 8 << 10;

/// The bounds of what waits, and what waits for all connections.
#[derive(Debug)]
pub(crate) struct Mailboxes {
    limits: Arc<Limits>,
    used: AtomicUsize,
}

impl Mailboxes {
    pub(crate) fn new(limits: &Arc<Limits>) -> Self {
        Self { limits: Arc::clone(limits), used: AtomicUsize::new(0) }
    }
}

/// A frame outside any log.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) frame: Bytes,
    /// The channel that it tells of.
    pub(crate) of: Option<ChannelName>,
    /// Whether it is the last that is told of the channel.
    pub(crate) last: bool,
}

impl Notice {
    fn bytes(&self) -> usize {
        self.frame.len() + OVERHEAD
    }
}

/// What waits for one connection.
#[derive(Debug)]
pub(crate) struct Notices {
    frames: VecDeque<Notice>,
    bytes: usize,
    all: Arc<Mailboxes>,
}

impl Notices {
    pub(crate) fn new(all: &Arc<Mailboxes>) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, all: Arc::clone(all) }
    }

    /// Adds a frame, if there is room for it.
    pub(crate) fn push(&mut self, notice: Notice) -> bool {
        let Limits { mailbox, mailbox_bytes, mailbox_bytes_total, .. } = *self.all.limits;
        let bytes = self.bytes + notice.bytes();
        let all = self.all.used.load(Ordering::Relaxed) + notice.bytes();
        if self.frames.len() >= mailbox
            || bytes > mailbox_bytes
            || (bytes > FLOOR && all > mailbox_bytes_total)
        {
            return false;
        }
        self.all.used.fetch_add(notice.bytes(), Ordering::Relaxed);
        self.bytes = bytes;
        self.frames.push_back(notice);
        true
    }

    /// Returns whether so much waits that what nobody would miss is not to be added.
    pub(crate) fn are_many(&self) -> bool {
        let Limits { mailbox, mailbox_bytes, .. } = *self.all.limits;
        self.frames.len() >= mailbox / 4 || self.bytes >= mailbox_bytes / 4
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Notice> {
        self.frames.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Takes the first frame.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let notice = self.frames.pop_front()?;
        self.give_back(notice.bytes());
        if self.frames.is_empty() {
            // An idle connection keeps no buffer.
            self.frames = VecDeque::new();
        }
        Some(notice.frame)
    }

    /// Drops what tells of a channel.
    pub(crate) fn forget(&mut self, channel: &ChannelName) {
        self.frames.retain(|notice| notice.of.as_ref() != Some(channel));
        let left = self.frames.iter().map(Notice::bytes).sum::<usize>();
        self.give_back(self.bytes - left);
    }

    pub(crate) fn clear(&mut self) {
        self.frames = VecDeque::new();
        self.give_back(self.bytes);
    }

    fn give_back(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.all.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(edit: impl FnOnce(&mut Limits)) -> Arc<Mailboxes> {
        let mut limits = Limits::default();
        edit(&mut limits);
        Arc::new(Mailboxes::new(&Arc::new(limits)))
    }

    fn notice(bytes: usize) -> Notice {
        Notice { frame: vec![b'x'; bytes - OVERHEAD].into(), of: None, last: false }
    }

    #[test]
    fn a_mailbox_is_bounded_in_number_and_in_bytes() {
        let all = all(|l| (l.mailbox, l.mailbox_bytes) = (3, 1_000));
        let mut many = Notices::new(&all);
        assert!((0..3).all(|_| many.push(notice(100))));
        assert!(!many.push(notice(100)));
        let mut large = Notices::new(&all);
        assert!(large.push(notice(900)) && large.push(notice(100)));
        assert!(!large.push(notice(65)));
        assert!(large.pop().is_some() && large.push(notice(900)), "what is taken makes room");
    }

    #[test]
    fn all_mailboxes_are_bounded_and_each_has_its_floor() {
        let all = all(|l| l.mailbox_bytes_total = 3 * FLOOR);
        let mut greedy = Notices::new(&all);
        assert!((0..3).all(|_| greedy.push(notice(FLOOR))));
        assert!(!greedy.push(notice(65)));
        let mut other = Notices::new(&all);
        assert!(other.push(notice(FLOOR)));
        assert!(!other.push(notice(65)));
        drop(greedy);
        assert!(other.push(notice(FLOOR)));
        other.clear();
        assert_eq!(all.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_tells_of_a_channel_is_given_back_when_it_is_forgotten() {
        let all = all(|_| ());
        let mut notices = Notices::new(&all);
        let name = ChannelName::new("a").unwrap();
        assert!(notices.push(notice(100)));
        assert!(notices.push(Notice { of: Some(name.clone()), ..notice(1_000) }));
        notices.forget(&name);
        assert_eq!((notices.len(), all.used.load(Ordering::Relaxed)), (1, 100));
    }
}
