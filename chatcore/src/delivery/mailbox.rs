//! The frames outside of any log that wait for a connection, and their bytes over all connections.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::limits::Limits;
use crate::model::name::ChannelName;
use crate::runtime::stats::Monitor;

/// The bytes that a frame takes besides its own.
const OVERHEAD: usize = 64;

/// The bytes that may always wait for a connection, whatever waits for others.
const FLOOR: usize = 8 << 10;

/// The bounds of waiting frames, and the bytes that wait for all connections.
#[derive(Debug)]
pub(crate) struct Mailboxes {
    limits: Arc<Limits>,
    monitor: Arc<Monitor>,
    used: AtomicUsize,
}

impl Mailboxes {
    pub(crate) fn new(limits: &Arc<Limits>, monitor: &Arc<Monitor>) -> Self {
        Self { limits: Arc::clone(limits), monitor: Arc::clone(monitor), used: AtomicUsize::new(0) }
    }

    pub(crate) fn monitor(&self) -> &Monitor {
        &self.monitor
    }
}

/// A frame outside of any log.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) frame: Bytes,
    /// The channel that it is about.
    pub(crate) of: Option<ChannelName>,
    /// Whether it is the last frame about the channel.
    pub(crate) last: bool,
}

impl Notice {
    fn bytes(&self) -> usize {
        self.frame.len() + OVERHEAD
    }
}

/// The waiting frames of one connection.
#[derive(Debug)]
pub(crate) struct Notices {
    /// `None` if there are none: most connections are idle most of the time.
    waiting: Option<Box<Waiting>>,
    all: Arc<Mailboxes>,
}

#[derive(Debug, Default)]
struct Waiting {
    frames: VecDeque<Notice>,
    bytes: usize,
}

impl Notices {
    pub(crate) fn new(all: &Arc<Mailboxes>) -> Self {
        Self { waiting: None, all: Arc::clone(all) }
    }

    /// Adds a frame if there is room. Returns whether there was.
    pub(crate) fn push(&mut self, notice: Notice) -> bool {
        let Limits { mailbox, mailbox_bytes, mailbox_bytes_total, .. } = *self.all.limits;
        let bytes = self.bytes() + notice.bytes();
        let all = self.all.used.load(Ordering::Relaxed) + notice.bytes();
        if self.len() >= mailbox || bytes > mailbox_bytes || (bytes > FLOOR && all > mailbox_bytes_total) {
            return false;
        }
        self.all.used.fetch_add(notice.bytes(), Ordering::Relaxed);
        let waiting = self.waiting.get_or_insert_default();
        waiting.bytes = bytes;
        waiting.frames.push_back(notice);
        true
    }

    /// Returns whether so much waits that frames which may be dropped are dropped.
    pub(crate) fn are_many(&self) -> bool {
        let Limits { mailbox, mailbox_bytes, .. } = *self.all.limits;
        self.len() >= mailbox / 4 || self.bytes() >= mailbox_bytes / 4
    }

    /// Counts dropped frames.
    pub(crate) fn count_dropped(&self, frames: u64) {
        self.all.monitor.counters.dropped_frames.add(frames);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Notice> {
        self.waiting.iter().flat_map(|waiting| &waiting.frames)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.frames.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_none()
    }

    /// Takes the first frame.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let waiting = self.waiting.as_mut()?;
        let notice = waiting.frames.pop_front()?;
        waiting.bytes -= notice.bytes();
        self.all.used.fetch_sub(notice.bytes(), Ordering::Relaxed);
        self.keep_no_buffer();
        Some(notice.frame)
    }

    /// Drops the frames about a channel.
    pub(crate) fn forget(&mut self, channel: &ChannelName) {
        let Some(waiting) = &mut self.waiting else { return };
        waiting.frames.retain(|notice| notice.of.as_ref() != Some(channel));
        let left = waiting.frames.iter().map(Notice::bytes).sum::<usize>();
        self.all.used.fetch_sub(waiting.bytes - left, Ordering::Relaxed);
        waiting.bytes = left;
        self.keep_no_buffer();
    }

    pub(crate) fn clear(&mut self) {
        self.all.used.fetch_sub(self.bytes(), Ordering::Relaxed);
        self.waiting = None;
    }

    fn bytes(&self) -> usize {
        self.waiting.as_ref().map_or(0, |waiting| waiting.bytes)
    }

    fn keep_no_buffer(&mut self) {
        self.waiting.take_if(|waiting| waiting.frames.is_empty());
    }
}

impl Drop for Notices {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(edit: impl FnOnce(&mut Limits)) -> Arc<Mailboxes> {
        let mut limits = Limits::default();
        edit(&mut limits);
        Arc::new(Mailboxes::new(&Arc::new(limits), &Arc::default()))
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
