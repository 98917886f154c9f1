//! A connection as the rest of the engine sees it: it receives frames, and can be closed.

use std::collections::{BTreeSet, VecDeque};
use std::mem::take;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;

use bytes::Bytes;

use crate::delivery::mailbox::{Mailboxes, Notice, Notices};
use crate::delivery::outgoing::Taken;
use crate::delivery::outlet::Outlet;
use crate::delivery::subscriber::Subscriber;
use crate::delivery::wake::{ReadyList, WakeMark};
use crate::limits::share::Share;
use crate::model::name::ChannelName;
use crate::model::policy::Identity;
use crate::protocol::{CloseReason, Form, Mark, Reader};

/// The number of a subscription within its connection.
pub(crate) type SubscriptionKey = u64;

/// What the engine knows of a connection: its identity, its waiting frames, whether it is closing.
#[derive(Debug)]
pub(crate) struct ConnectionHandle {
    pub(crate) identity: Identity,
    pub(crate) share: Arc<Share>,
    /// The connection's number in the log.
    pub(crate) number: u64,
    /// The mark of its user.
    mark: Mark,
    /// Whether it reads messages in their lean form.
    lean: AtomicBool,
    ready: Arc<ReadyList<SubscriptionKey>>,
    mailbox: Mutex<Mailbox>,
    outlet: OnceLock<Arc<dyn Outlet>>,
    /// Whether the mailbox may have frames.
    has_frames: AtomicBool,
    /// Whether the mailbox has a reason to close.
    closing: AtomicBool,
    /// Whether the mailbox has channels that the connection was cut off from.
    cut: AtomicBool,
    /// Whether the answer to a publish is still to come.
    answering: AtomicBool,
    /// Whether the connection's task must not rely any more on what it remembers as joined.
    joined_stale: AtomicBool,
    /// When the fan-out last wrote to the socket, and for which subscription, by the lower half of its key. It is a hint:
    /// two simultaneous writes may leave either.
    written_round: AtomicU64,
    written_key: AtomicU32,
    /// Whether the last events came from several channels at once. A hint.
    gathers: AtomicBool,
}

#[derive(Debug)]
struct Mailbox {
    frames: Notices,
    closing: Option<CloseReason>,
    /// The connection's subscriptions, including those in progress.
    subscribers: Vec<Arc<Subscriber>>,
    /// The channels that the connection was cut off from since its task last looked, each once.
    cuts: Box<[ChannelName]>,
}

impl ConnectionHandle {
    pub(crate) fn new(identity: Identity, share: Arc<Share>, mailboxes: &Arc<Mailboxes>) -> Self {
        let mailbox = Mailbox {
            frames: Notices::new(mailboxes),
            closing: None,
            subscribers: Vec::new(),
            cuts: Box::default(),
        };
        Self {
            mark: Mark::of(&identity.user.id),
            lean: AtomicBool::new(false),
            identity,
            share,
            number: mailboxes.monitor().number(),
            ready: Arc::new(ReadyList::default()),
            mailbox: Mutex::new(mailbox),
            outlet: OnceLock::new(),
            has_frames: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            answering: AtomicBool::new(false),
            joined_stale: AtomicBool::new(false),
            written_round: AtomicU64::default(),
            written_key: AtomicU32::default(),
            gathers: AtomicBool::new(false),
        }
    }

    /// Sets the form in which it reads messages.
    pub(crate) fn set_form(&self, form: Form) {
        self.lean.store(form == Form::Lean, Ordering::Relaxed);
    }

    /// Returns who reads its frames, and in which form.
    #[inline]
    pub(crate) fn reader(&self) -> Reader<'_> {
        let form = if self.lean.load(Ordering::Relaxed) { Form::Lean } else { Form::Full };
        Reader { form, user: &self.identity.user.id, mark: self.mark }
    }

    /// Returns a subscription whose marks wake this connection.
    pub(crate) fn wake_mark(&self, key: SubscriptionKey) -> WakeMark<SubscriptionKey> {
        WakeMark::new(key, Arc::clone(&self.ready))
    }

    /// Lets the fan-out write to the connection's socket. The first outlet stays.
    pub(crate) fn set_outlet(&self, outlet: Arc<dyn Outlet>) {
        let _ = self.outlet.set(outlet);
    }

    /// Returns the outlet, for the fan-out to write log events of the subscription `key`. Returns `None` if:
    ///
    /// - there is no outlet
    /// - the connection is closing
    /// - the answer to a publish is still to come, so that both go out in one write
    /// - this is the second channel of the same `round` of the fan-out, so that events of all channels go out in
    ///   one write
    /// - it was so the last time: then not even the first channel's events go out by themselves
    pub(crate) fn outlet(&self, key: SubscriptionKey, round: u64) -> Option<&dyn Outlet> {
        let outlet = self.outlet.get()?;
        let key = key as u32;
        if self.gathers.load(Ordering::Relaxed) {
            return None;
        }
        let again = self.written_round.swap(round, Ordering::Relaxed) == round
            && self.written_key.load(Ordering::Relaxed) != key;
        if again {
            self.gathers.store(true, Ordering::Relaxed);
        }
        if again || self.answering.load(Ordering::Relaxed) || self.closing.load(Ordering::Acquire) {
            return None;
        }
        self.written_key.store(key, Ordering::Relaxed);
        Some(&**outlet)
    }

    /// Reads what [`outlet`](Self::outlet) needs, so that it is in the processor's caches by then.
    #[inline]
    pub(crate) fn fetch(&self) -> u64 {
        self.written_round.load(Ordering::Relaxed) ^ u64::from(self.closing.load(Ordering::Relaxed))
    }

    /// Reads the beginning of the outlet, for the same reason.
    #[inline]
    pub(crate) fn fetch_outlet(&self) -> u64 {
        self.outlet.get().map_or(0, Arc::strong_count) as u64
    }

    /// Returns the outlet, for the fan-out to write what the connection's task should have written long ago. Returns `None`
    /// if there is none or the connection is closing.
    pub(crate) fn late_outlet(&self) -> Option<&dyn Outlet> {
        let outlet = self.outlet.get()?;
        (!self.closing.load(Ordering::Acquire)).then_some(&**outlet)
    }

    /// Notes in how many channels the connection's task has found events.
    pub(crate) fn found(&self, channels: usize) {
        if channels == 1 && self.gathers.load(Ordering::Relaxed) {
            self.gathers.store(false, Ordering::Relaxed);
        }
    }

    /// Sets whether the answer to a publish is still to come.
    pub(crate) fn set_answering(&self, answering: bool) {
        self.answering.store(answering, Ordering::Relaxed);
    }

    /// Notes that the user may have left open channels that the connection's task remembers as joined.
    pub(crate) fn set_joined_stale(&self) {
        self.joined_stale.store(true, Ordering::Relaxed);
    }

    /// Returns whether that was noted since the last call.
    pub(crate) fn take_joined_stale(&self) -> bool {
        self.joined_stale.load(Ordering::Relaxed) && self.joined_stale.swap(false, Ordering::Relaxed)
    }

    /// Wakes the connection's task.
    pub(crate) fn wake(&self) {
        self.ready.wake();
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.ready.register(waker);
    }

    pub(crate) fn take_ready(&self, into: &mut VecDeque<SubscriptionKey>) {
        self.ready.take(into);
    }

    /// Leaves a frame that the client must get. A connection with a full mailbox is closed as too slow. Its client
    /// reconnects and asks for the current state.
    pub(crate) fn send(&self, frame: Bytes) {
        self.push(&mut self.mailbox(), Notice { frame, of: None, last: false });
    }

    /// Leaves a frame about a channel, as [`send`](Self::send) does, unless the connection was cut off from the
    /// channel.
    pub(crate) fn send_of(&self, channel: &ChannelName, frame: &Bytes, wanted: impl FnOnce() -> bool) {
        let mut mailbox = self.mailbox();
        if !mailbox.cuts.contains(channel) && wanted() {
            self.push(&mut mailbox, Notice { frame: frame.clone(), of: Some(channel.clone()), last: false });
        }
    }

    /// Leaves a frame about a channel that may be dropped. It is dropped if much else waits already.
    pub(crate) fn offer_of(&self, channel: &ChannelName, frame: &Bytes, wanted: impl FnOnce() -> bool) {
        let mut mailbox = self.mailbox();
        if mailbox.closing.is_some() || mailbox.cuts.contains(channel) || !wanted() {
            return;
        }
        if mailbox.frames.are_many() {
            mailbox.frames.count_dropped(1);
            return;
        }
        self.push(&mut mailbox, Notice { frame: frame.clone(), of: Some(channel.clone()), last: false });
    }

    fn push(&self, mailbox: &mut Mailbox, notice: Notice) {
        if mailbox.closing.is_some() {
            return;
        }
        if !mailbox.frames.push(notice) {
            let waited = mailbox.frames.len() as u64;
            mailbox.frames.count_dropped(waited + 1);
            mailbox.frames.clear();
            self.set_closing(mailbox, CloseReason::TooSlow);
        }
        self.has_frames.store(true, Ordering::Release);
        self.ready.wake();
    }

    /// Adds a subscription, so that it can be cut off.
    pub(crate) fn enter(&self, subscriber: Arc<Subscriber>) {
        let mut mailbox = self.mailbox();
        if mailbox.subscribers.is_empty() {
            // Most connections subscribe to one channel.
            mailbox.subscribers.reserve_exact(1);
        }
        mailbox.subscribers.push(subscriber);
    }

    /// Removes an ended subscription.
    pub(crate) fn leave(&self, subscriber: &Arc<Subscriber>) {
        self.mailbox().subscribers.retain(|other| !Arc::ptr_eq(other, subscriber));
    }

    /// Returns whether a subscription to the channel tells the client of a removal that its ring has.
    pub(crate) fn tells_removal(&self, channel: &ChannelName) -> bool {
        let mailbox = self.mailbox();
        let mut subscribers = mailbox.subscribers.iter().filter(|subscriber| subscriber.is_of(channel));
        subscribers.any(|subscriber| subscriber.tells_removal())
    }

    /// Returns the channels that the connection is subscribed to, or has waiting frames of.
    pub(crate) fn channels(&self) -> BTreeSet<ChannelName> {
        let mailbox = self.mailbox();
        let subscribed = mailbox.subscribers.iter().map(|subscriber| subscriber.ring().channel().clone());
        subscribed.chain(mailbox.frames.iter().filter_map(|notice| notice.of.clone())).collect()
    }

    /// Ends everything that the connection has of a channel, and leaves `told` as its last frame of the channel.
    /// Returns the ended subscriptions.
    ///
    /// It holds the mailbox's lock, so it is one step for everyone who takes or leaves frames. It waits for a
    /// fan-out that is writing to the socket. The connection's task drops an answer in progress when it finds the
    /// cut.
    pub(crate) fn cut_off(&self, channel: &ChannelName, told: Bytes) -> Vec<Arc<Subscriber>> {
        let mut mailbox = self.mailbox();
        if !mailbox.cuts.contains(channel) {
            let before = take(&mut mailbox.cuts).into_iter();
            mailbox.cuts = before.chain([channel.clone()]).collect();
        }
        self.cut.store(true, Ordering::Release);
        let subscribers = mailbox.subscribers.iter().filter(|subscriber| subscriber.is_of(channel));
        let ended: Vec<_> = subscribers.filter(|subscriber| !subscriber.end()).map(Arc::clone).collect();
        mailbox.frames.forget(channel);
        self.push(&mut mailbox, Notice { frame: told, of: Some(channel.clone()), last: true });
        ended
    }

    /// Returns whether the connection was cut off from the channel since its task last looked.
    pub(crate) fn is_cut_off(&self, channel: &ChannelName) -> bool {
        self.has_cuts() && self.mailbox().cuts.contains(channel)
    }

    /// Returns whether the last frame of the channel still waits. An answer to a later command comes after it.
    pub(crate) fn is_end_waiting(&self, channel: &ChannelName) -> bool {
        let ends = |notice: &Notice| notice.last && notice.of.as_ref() == Some(channel);
        self.mailbox().frames.iter().any(ends)
    }

    /// Returns whether there are cuts to [take](Self::take_cuts).
    pub(crate) fn has_cuts(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Takes the channels that the connection was cut off from, for its task to end everything it has of them.
    pub(crate) fn take_cuts(&self) -> Box<[ChannelName]> {
        let mut mailbox = self.mailbox();
        self.cut.store(false, Ordering::Release);
        take(&mut mailbox.cuts)
    }

    /// Closes the connection. If the server is shutting down, waiting frames go out first. The first reason
    /// counts.
    pub(crate) fn close(&self, reason: CloseReason) {
        let mut mailbox = self.mailbox();
        if mailbox.closing.is_some() {
            return;
        }
        self.set_closing(&mut mailbox, reason);
        if reason != CloseReason::GoingAway {
            mailbox.frames.clear();
        }
        drop(mailbox);
        self.ready.wake();
    }

    fn set_closing(&self, mailbox: &mut Mailbox, reason: CloseReason) {
        mailbox.closing = Some(reason);
        self.closing.store(true, Ordering::Release);
    }

    /// Takes up to `limit` frames while they fit.
    #[inline]
    pub(crate) fn take_frames(&self, limit: usize, out: &mut Taken<'_>) {
        if self.has_frames.load(Ordering::Acquire) {
            self.take_waiting(limit, out);
        }
    }

    fn take_waiting(&self, limit: usize, out: &mut Taken<'_>) {
        let mut mailbox = self.mailbox();
        for _ in 0..limit {
            let next = mailbox.frames.iter().next();
            if !next.is_some_and(|notice| out.fits(notice.frame.len())) {
                break;
            }
            mailbox.frames.pop().into_iter().for_each(|frame| out.push(frame));
        }
        self.has_frames.store(!mailbox.frames.is_empty(), Ordering::Release);
    }

    /// Returns the reason to close, once no frame is left to send before.
    #[inline]
    pub(crate) fn closing(&self) -> Option<CloseReason> {
        if !self.closing.load(Ordering::Acquire) {
            return None;
        }
        self.due_close()
    }

    #[cold]
    fn due_close(&self) -> Option<CloseReason> {
        let mailbox = self.mailbox();
        mailbox.closing.filter(|_| mailbox.frames.is_empty())
    }

    // Held for a push, a drain, or the end of subscriptions, never across an await. Cursors' locks are taken under
    // it, and never the other way round.
    fn mailbox(&self) -> std::sync::MutexGuard<'_, Mailbox> {
        self.mailbox.lock().expect("invariant: nothing panics under this lock")
    }
}

#[cfg(test)]
mod tests {
    use crate::model::moment::Moment;

    use super::*;
    use crate::limits::Limits;
    use crate::limits::share::Shares;
    use crate::model::message::User;

    fn handle(limit: usize) -> ConnectionHandle {
        let identity = Identity::new(User::new("u_1", "Ann").unwrap());
        let share = Shares::new(Arc::default()).of(&identity.user.id, Moment::now());
        let limits = Arc::new(Limits { mailbox: limit, ..Limits::default() });
        ConnectionHandle::new(identity, share, &Arc::new(Mailboxes::new(&limits, &Arc::default())))
    }

    #[test]
    fn a_mailbox_takes_its_limit_and_one_more_closes_as_too_slow() {
        let handle = handle(3);
        for _ in 0..3 {
            handle.send(Bytes::from_static(b"x"));
        }
        assert_eq!(handle.closing(), None);
        handle.send(Bytes::from_static(b"x"));
        assert_eq!(handle.closing(), Some(CloseReason::TooSlow));
    }

    #[derive(Debug)]
    struct Anything;

    impl Outlet for Anything {
        fn try_send(&self, _: &mut crate::delivery::outlet::Burst) -> crate::delivery::outlet::Sent {
            crate::delivery::outlet::Sent::All
        }
    }

    #[test]
    fn the_task_writes_where_there_is_more_to_say_than_one_channels_events() {
        let handle = handle(3);
        assert!(handle.outlet(1, 1).is_none(), "there is none");
        handle.set_outlet(Arc::new(Anything));
        let written = |key, round| handle.outlet(key, round).is_some();
        assert!(written(1, 1) && written(1, 1), "one channel, as often as it likes");
        assert!(!written(2, 1), "a second one in the same round");
        assert!(!written(2, 2), "more may come in this round, as in the last");
        handle.found(3);
        assert!(!written(2, 3));
        handle.found(1);
        assert!(written(2, 2), "in a round of its own");
        handle.set_answering(true);
        assert!(!written(2, 3));
        handle.set_answering(false);
        assert!(written(2, 4));
        handle.close(CloseReason::GoingAway);
        assert!(!written(2, 5));
    }

    #[test]
    fn what_nobody_misses_leaves_room_for_the_rest() {
        let handle = handle(8);
        let (channel, typing) = (ChannelName::new("a").unwrap(), Bytes::from_static(b"typing"));
        for _ in 0..100 {
            handle.offer_of(&channel, &typing, || true);
        }
        let mut out = Vec::new();
        handle.take_frames(100, &mut Taken::new(&mut out, usize::MAX));
        assert_eq!(out.len(), 2);
    }

    #[test]
    fn what_waits_of_a_channel_goes_with_its_right() {
        let handle = handle(8);
        let [one, other] = ["one", "other"].map(|name| ChannelName::new(name).unwrap());
        let of = |name: &ChannelName| Bytes::copy_from_slice(name.as_str().as_bytes());
        for channel in [&one, &other, &one] {
            handle.send_of(channel, &of(channel), || true);
        }
        assert!(
            handle.cut_off(&one, Bytes::from_static(b"removed")).is_empty(),
            "it is subscribed to nothing"
        );
        assert!(handle.is_cut_off(&one) && !handle.is_cut_off(&other));
        handle.send_of(&one, &of(&one), || true);
        handle.offer_of(&one, &of(&one), || true);
        let mut out = Vec::new();
        handle.take_frames(9, &mut Taken::new(&mut out, usize::MAX));
        assert_eq!(out, ["other", "removed"]);
        assert_eq!(*handle.take_cuts(), *std::slice::from_ref(&one));
        handle.send_of(&one, &of(&one), || true);
        handle.take_frames(9, &mut Taken::new(&mut out, usize::MAX));
        assert_eq!(out.len(), 3, "what begins later is another subscription's");
    }

    #[test]
    fn a_close_waits_for_the_frames_before_it_and_its_first_reason_counts() {
        let handle = handle(8);
        handle.send(Bytes::from_static(b"draining"));
        handle.close(CloseReason::GoingAway);
        handle.close(CloseReason::Banned);
        assert_eq!(handle.closing(), None);
        handle.take_frames(9, &mut Taken::new(&mut Vec::new(), usize::MAX));
        assert_eq!(handle.closing(), Some(CloseReason::GoingAway));
    }
}
