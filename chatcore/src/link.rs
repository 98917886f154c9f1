//! A connection as the rest of the engine sees it: where to leave frames, and how to close it.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::Waker;

use bytes::Bytes;

use crate::policy::Identity;
use crate::protocol::CloseReason;
use crate::subscription::{ReadyList, Subscription};
use crate::sync::Arc;

/// How a connection numbers its subscriptions.
pub(crate) type SubscriptionKey = u64;

/// What the engine knows of one connection: who it is, what waits for it, whether it is to close.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) identity: Identity,
    ready: Arc<ReadyList<SubscriptionKey>>,
    mailbox: Mutex<Mailbox>,
}

#[derive(Debug)]
struct Mailbox {
    frames: VecDeque<Bytes>,
    limit: usize,
    closing: Option<CloseReason>,
}

impl Link {
    pub(crate) fn new(identity: Identity, limit: usize) -> Self {
        let mailbox = Mailbox { frames: VecDeque::new(), limit, closing: None };
        Self { identity, ready: Arc::new(ReadyList::default()), mailbox: Mutex::new(mailbox) }
    }

    /// Makes a subscription whose marks wake this connection.
    pub(crate) fn subscription(&self, key: SubscriptionKey) -> Subscription<SubscriptionKey> {
        Subscription::new(key, Arc::clone(&self.ready))
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.ready.register(waker);
    }

    pub(crate) fn take_ready(&self, into: &mut Vec<SubscriptionKey>) {
        self.ready.take(into);
    }

    /// Leaves a frame that the client has to see. One that has let its mailbox fill is closed as too slow:
    /// it connects again and asks for what is now.
    pub(crate) fn send(&self, frame: Bytes) {
        let mut mailbox = self.mailbox();
        if mailbox.closing.is_some() {
            return;
        }
        if mailbox.frames.len() >= mailbox.limit {
            mailbox.frames.clear();
            mailbox.closing = Some(CloseReason::TooSlow);
        } else {
            mailbox.frames.push_back(frame);
        }
        drop(mailbox);
        self.ready.wake();
    }

    /// Leaves a frame that nobody misses: it is dropped where much else waits already.
    pub(crate) fn offer(&self, frame: Bytes) {
        let mut mailbox = self.mailbox();
        if mailbox.closing.is_some() || mailbox.frames.len() >= mailbox.limit / 4 {
            return;
        }
        mailbox.frames.push_back(frame);
        drop(mailbox);
        self.ready.wake();
    }

    /// Closes the connection, after what waits for it where the server merely goes away; the first reason
    /// counts.
    pub(crate) fn close(&self, reason: CloseReason) {
        let mut mailbox = self.mailbox();
        if mailbox.closing.is_some() {
            return;
        }
        mailbox.closing = Some(reason);
        if reason != CloseReason::GoingAway {
            mailbox.frames.clear();
        }
        drop(mailbox);
        self.ready.wake();
    }

    /// Takes up to `limit` frames.
    pub(crate) fn take_frames(&self, limit: usize, out: &mut Vec<Bytes>) {
        let mut mailbox = self.mailbox();
        let count = mailbox.frames.len().min(limit);
        out.extend(mailbox.frames.drain(..count));
        if mailbox.frames.is_empty() {
            // An idle connection keeps no buffer.
            mailbox.frames = VecDeque::new();
        }
    }

    /// Returns why the connection is to close, once no frame is left before that.
    pub(crate) fn closing(&self) -> Option<CloseReason> {
        let mailbox = self.mailbox();
        mailbox.closing.filter(|_| mailbox.frames.is_empty())
    }

    // Held for a push or a drain, never across an await.
    fn mailbox(&self) -> std::sync::MutexGuard<'_, Mailbox> {
        self.mailbox.lock().expect("invariant: nothing panics under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::User;

    fn link(limit: usize) -> Link {
        Link::new(Identity::new(User::new("u_1", "Ann").unwrap()), limit)
    }

    #[test]
    fn a_mailbox_takes_its_limit_and_one_more_closes_as_too_slow() {
        let link = link(3);
        for _ in 0..3 {
            link.send(Bytes::from_static(b"x"));
        }
        assert_eq!(link.closing(), None);
        link.send(Bytes::from_static(b"x"));
        assert_eq!(link.closing(), Some(CloseReason::TooSlow));
    }

    #[test]
    fn what_nobody_misses_leaves_room_for_the_rest() {
        let link = link(8);
        for _ in 0..100 {
            link.offer(Bytes::from_static(b"typing"));
        }
        let mut out = Vec::new();
        link.take_frames(100, &mut out);
        assert_eq!(out.len(), 2);
    }

    #[test]
    fn a_close_waits_for_the_frames_before_it_and_its_first_reason_counts() {
        let link = link(8);
        link.send(Bytes::from_static(b"draining"));
        link.close(CloseReason::GoingAway);
        link.close(CloseReason::Banned);
        assert_eq!(link.closing(), None);
        link.take_frames(9, &mut Vec::new());
        assert_eq!(link.closing(), Some(CloseReason::GoingAway));
    }
}
