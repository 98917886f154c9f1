//! The cached end of one channel's log: its newest messages in their current state, and its newest frames.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::delivery::ring_budget::{Charge, Rings};
use crate::limits::Limits;
use crate::model::check::Check;
use crate::model::event::{Event, EventKind};
use crate::model::id::{Position, Seq};
use crate::protocol::{EncodedEvent, Encoder, Fragment, MessageList};
use crate::store::{Head, Page, PageLimit};

/// The end of a channel's log in memory, bounded in number and in bytes.
///
/// Frames serve cursors and resume. Messages serve a client that opens the channel. Both are encoded once.
#[derive(Debug)]
pub(crate) struct HistoryRing {
    encoder: Encoder,
    bounds: Bounds,
    head: Head,
    frames: VecDeque<Frame>,
    frame_bytes: usize,
    /// The check of the event before the oldest frame, if it is known.
    floor_check: Option<Check>,
    messages: VecDeque<Kept>,
    message_bytes: usize,
    /// If the log has messages older than the first of `messages`: the bytes of the next older one when it was
    /// here, or 0.
    older: Option<usize>,
    /// The list of all `messages` for answers, until the next change.
    snapshot: OnceLock<Snapshot>,
    /// Incremented when the ring is rebuilt. Cursors of an earlier generation are stale.
    generation: u64,
    /// The bytes that it holds besides the snapshot.
    charge: Charge,
    /// The number of its last use, which is a push or a list.
    used: AtomicU64,
}

/// An encoded list, and the bytes that it holds.
#[derive(Debug)]
struct Snapshot {
    list: MessageList,
    _charge: Charge,
}

/// The bytes that a frame or a message takes besides its own.
const OVERHEAD: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Bounds {
    frames: usize,
    frame_bytes: usize,
    messages: PageLimit,
    answer_bytes: usize,
}

#[derive(Debug)]
struct Frame {
    /// The message that a delete must redact with this frame: the message itself, or the target of an edit.
    subject: Option<Seq>,
    bytes: Bytes,
    check: Check,
}

#[derive(Debug)]
struct Kept {
    seq: Seq,
    fragment: Fragment,
}

/// A reader's position in a ring: it has every event up to and including `seq`, in the ring's generation
/// `generation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) generation: u64,
    pub(crate) seq: Seq,
}

/// The bytes that a reader can take. The first frame always fits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    bytes: usize,
    first: bool,
}

impl Room {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { bytes, first: true }
    }

    /// Takes a frame's bytes if they fit. Returns whether they do.
    pub(crate) fn take(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes && !self.first {
            return false;
        }
        self.spend(bytes);
        true
    }

    /// Takes the bytes of a frame that is already there.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
        self.first = false;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes == 0 && !self.first
    }
}

/// The result of reading from a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// Everything was read.
    Caught(Cursor),
    /// The budget ran out.
    More(Cursor),
    /// The ring has moved past the cursor. The store has the events `from` to `to`.
    Lagged { from: Seq, to: Seq },
}

/// The result of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Push {
    /// The event is the new head.
    Done,
    /// The ring already had the event.
    Known,
    /// Events before it are missing, or the ring's events are not the log's. Read the log from the store.
    Gap,
}

impl HistoryRing {
    /// Returns the ring of a log that ends at `head`, with its newest messages.
    pub(crate) fn new(
        limits: &Limits,
        encoder: Encoder,
        rings: &Arc<Rings>,
        head: Head,
        newest: &Page,
    ) -> Self {
        let bounds = Bounds {
            frames: limits.ring_events,
            frame_bytes: limits.ring_bytes,
            messages: Self::messages_limit(limits),
            answer_bytes: limits.answer_bytes,
        };
        let mut ring = Self {
            encoder,
            bounds,
            floor_check: head.check,
            head,
            frames: VecDeque::new(),
            frame_bytes: 0,
            messages: VecDeque::new(),
            message_bytes: 0,
            older: newest.more.then_some(0),
            snapshot: OnceLock::new(),
            generation: 0,
            charge: Charge::new(rings, 0),
            used: AtomicU64::new(rings.next_use()),
        };
        for message in &newest.messages {
            let fragment = ring.encoder.message(message);
            ring.keep(message.seq, fragment);
        }
        ring.recharge();
        ring
    }

    /// Returns how many messages a ring holds. One answer can have all of them.
    pub(crate) fn messages_limit(limits: &Limits) -> PageLimit {
        PageLimit::new(limits.history, limits.ring_bytes.min(limits.answer_bytes))
    }

    /// Replaces the ring after the log was lost, rebuilt or trimmed. All cursors lag.
    pub(crate) fn restart(&mut self, limits: &Limits, head: Head, newest: &Page) {
        let generation = self.generation + 1;
        let rings = Arc::clone(self.charge.rings());
        *self = Self::new(limits, self.encoder.clone(), &rings, head, newest);
        self.generation = generation;
    }

    /// Returns the end of the ring's log.
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    /// Returns the head as a cursor. Later events are live.
    pub(crate) fn cursor(&self) -> Cursor {
        self.cursor_at(self.head.seq)
    }

    /// Returns a cursor of this generation at `seq`.
    pub(crate) fn cursor_at(&self, seq: Seq) -> Cursor {
        Cursor { generation: self.generation, seq }
    }

    /// Adds the next event of the log.
    pub(crate) fn push(&mut self, event: &Event, encoded: EncodedEvent) -> Push {
        let check = encoded.check;
        if event.seq <= self.head.seq {
            // Another event at this position: the log in the store was restored and continued.
            let differs = self.check_at(event.seq).is_some_and(|known| known != check);
            return if differs { Push::Gap } else { Push::Known };
        }
        if event.seq != self.head.seq + 1 {
            return Push::Gap;
        }
        (self.head.seq, self.head.check) = (event.seq, Some(check));
        self.snapshot = OnceLock::new();
        match &event.kind {
            EventKind::Message(_) => {
                if let Some(fragment) = encoded.message {
                    self.keep(event.seq, fragment);
                }
            }
            EventKind::Deleted { target, .. } => {
                self.fold(event, *target);
                self.redact(*target);
            }
            EventKind::Edited { target, .. } | EventKind::Reaction { target, .. } => {
                self.fold(event, *target);
            }
        }
        let subject = match &event.kind {
            EventKind::Message(_) => Some(event.seq),
            EventKind::Edited { target, .. } => Some(*target),
            EventKind::Deleted { .. } | EventKind::Reaction { .. } => None,
        };
        self.frame_bytes += encoded.frame.len();
        self.frames.push_back(Frame { subject, bytes: encoded.frame, check });
        while self.frames.len() > self.bounds.frames
            || (self.frame_bytes > self.bounds.frame_bytes && self.frames.len() > 1)
        {
            self.drop_oldest_frame();
        }
        self.used.store(self.charge.rings().next_use(), Ordering::Relaxed);
        self.recharge();
        Push::Done
    }

    /// Copies up to `limit` frames after the cursor while there is room.
    pub(crate) fn read(&self, cursor: Cursor, limit: usize, room: &mut Room, out: &mut Vec<Bytes>) -> Read {
        if cursor.generation != self.generation || cursor.seq < self.floor() {
            let from = if cursor.generation == self.generation { cursor.seq + 1 } else { 1 };
            return Read::Lagged { from, to: self.head.seq };
        }
        // A cursor set from the store may be ahead of the ring for a moment.
        let behind = usize::try_from(self.head.seq.saturating_sub(cursor.seq))
            .expect("invariant: at most as many as there are frames");
        let start = self.frames.len() - behind;
        let before = out.len();
        let frames = self.frames.range(start..start + behind.min(limit)).map(|frame| &frame.bytes);
        out.extend(frames.take_while(|frame| room.take(frame.len())).cloned());
        let count = out.len() - before;
        let next = Cursor { generation: self.generation, seq: cursor.seq + count as Seq };
        if count < behind { Read::More(next) } else { Read::Caught(next) }
    }

    /// Returns the frames after `position` that take `bytes` together, but at least one, and the cursor after
    /// them. Returns `None` if the ring does not have them.
    pub(crate) fn frames_after(&self, position: &Position, bytes: usize) -> Option<(Vec<Bytes>, Cursor)> {
        if position.epoch != self.head.epoch
            || !self.holds_after(position.seq)
            || position.seq > self.head.seq
            || !position.fits(self.check_at(position.seq))
        {
            return None;
        }
        let start = usize::try_from(position.seq - self.floor())
            .expect("invariant: at most as many as there are frames");
        let mut page = PageLimit { items: usize::MAX, bytes }.fill();
        let later = self.frames.range(start..).map(|frame| &frame.bytes);
        let frames: Vec<Bytes> = later.take_while(|frame| page.take(frame.len() + 1)).cloned().collect();
        let cursor = self.cursor_at(position.seq + frames.len() as Seq);
        Some((frames, cursor))
    }

    /// Returns whether the ring holds every event after `seq`.
    pub(crate) fn holds_after(&self, seq: Seq) -> bool {
        seq >= self.floor()
    }

    /// Returns the check of the event at `seq`, if the ring knows it.
    pub(crate) fn check_at(&self, seq: Seq) -> Option<Check> {
        let above = usize::try_from(seq.checked_sub(self.floor())?).ok()?;
        match above.checked_sub(1) {
            None => self.floor_check,
            Some(at) => self.frames.get(at).map(|frame| frame.check),
        }
    }

    /// Returns the newest messages for an answer, at most `limit`, oldest first, and whether the log has older
    /// ones. Returns `None` if the log may have more for the answer than the ring does.
    pub(crate) fn newest(&self, limit: usize) -> Option<(MessageList, bool)> {
        let room = |next: usize| self.message_bytes + next <= self.bounds.answer_bytes;
        let is_missing = |next| room(next) || self.messages.is_empty();
        if self.messages.len() < limit && self.older.is_some_and(is_missing) {
            return None;
        }
        let start = self.messages.len().saturating_sub(limit);
        let list = || MessageList::new(self.messages.range(start..).map(|kept| &kept.fragment));
        self.used.store(self.charge.rings().next_use(), Ordering::Relaxed);
        let snapshot = || {
            let list = list();
            Snapshot { _charge: Charge::new(self.charge.rings(), list.len()), list }
        };
        let list = if start == 0 { self.snapshot.get_or_init(snapshot).list.clone() } else { list() };
        Some((list, start > 0 || self.older.is_some()))
    }

    /// Returns the number of the ring's last use. A later use has a higher number.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Keeps the newest frames and messages, up to `floor` bytes of each.
    pub(crate) fn shrink(&mut self, floor: usize) {
        self.snapshot = OnceLock::new();
        while self.frame_bytes > floor {
            self.drop_oldest_frame();
        }
        while self.message_bytes > floor {
            self.drop_oldest_message();
        }
        self.frames.shrink_to_fit();
        self.messages.shrink_to_fit();
        self.recharge();
    }

    fn recharge(&mut self) {
        let count = self.frames.len() + self.messages.len();
        self.charge.set(self.frame_bytes + self.message_bytes + count * OVERHEAD);
    }

    fn drop_oldest_frame(&mut self) {
        let oldest = self.frames.pop_front().expect("invariant: a ring with bytes has frames");
        self.frame_bytes -= oldest.bytes.len();
        self.floor_check = Some(oldest.check);
    }

    fn drop_oldest_message(&mut self) {
        let oldest = self.messages.pop_front().expect("invariant: a ring with bytes has messages");
        self.message_bytes -= oldest.fragment.len();
        self.older = Some(oldest.fragment.len());
    }

    /// Returns the `seq` before the oldest frame.
    fn floor(&self) -> Seq {
        self.head.seq - self.frames.len() as Seq
    }

    fn keep(&mut self, seq: Seq, fragment: Fragment) {
        self.message_bytes += fragment.len();
        self.messages.push_back(Kept { seq, fragment });
        self.trim_messages();
    }

    fn trim_messages(&mut self) {
        let PageLimit { items, bytes } = self.bounds.messages;
        while self.messages.len() > items || self.message_bytes > bytes {
            self.drop_oldest_message();
        }
    }

    fn fold(&mut self, event: &Event, target: Seq) {
        let Ok(at) = self.messages.binary_search_by_key(&target, |kept| kept.seq) else { return };
        let kept = &mut self.messages[at];
        self.message_bytes -= kept.fragment.len();
        kept.fragment = self.encoder.apply(&kept.fragment, event);
        self.message_bytes += kept.fragment.len();
        self.trim_messages();
    }

    /// Removes the text of a deleted message from every frame that has it.
    fn redact(&mut self, target: Seq) {
        for frame in self.frames.iter_mut().filter(|frame| frame.subject == Some(target)) {
            self.frame_bytes -= frame.bytes.len();
            frame.bytes = self.encoder.redact(&frame.bytes, frame.check);
            self.frame_bytes += frame.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{Append, AppendBody};
    use crate::model::id::{ChannelId, Epoch, Nonce};
    use crate::model::message::User;
    use crate::model::name::ChannelName;
    use crate::model::time::Timestamp;

    struct Log {
        ring: HistoryRing,
        encoder: Encoder,
        name: ChannelName,
    }

    impl Log {
        fn new(limits: &Limits) -> Self {
            let encoder = Encoder::new("");
            let head = Head { epoch: Epoch::random(), seq: 0, check: Some(Check::START) };
            let rings = Arc::new(Rings::new(limits));
            let page = Page { messages: Vec::new(), more: false };
            let ring = HistoryRing::new(limits, encoder.clone(), &rings, head, &page);
            Self { ring, encoder, name: ChannelName::new("a").unwrap() }
        }

        fn push(&mut self, body: AppendBody) -> Push {
            self.push_at(self.ring.head().seq + 1, body)
        }

        fn push_at(&mut self, seq: Seq, body: AppendBody) -> Push {
            let author = User::new("u_1", "Ann").unwrap();
            let event =
                Append { channel: ChannelId(1), author, body }.into_event(seq, Timestamp::from_millis(0));
            let encoded = self.encoder.event(&self.name, &event);
            self.ring.push(&event, encoded)
        }

        fn say(&mut self, text: &str) -> Push {
            self.push(message(text))
        }

        fn read(&self, cursor: Cursor, limit: usize) -> (Read, Vec<String>) {
            let mut out = Vec::new();
            let read = self.ring.read(cursor, limit, &mut Room::new(usize::MAX), &mut out);
            (read, out.iter().map(|frame| String::from_utf8(frame.to_vec()).unwrap()).collect())
        }

        fn newest(&self, limit: usize) -> Option<String> {
            let (messages, more) = self.ring.newest(limit)?;
            let reply = crate::protocol::Reply::History { messages, more };
            let answer = Encoder::answer(&crate::protocol::Answer { id: Some(1), result: Ok(reply) });
            Some(String::from_utf8(answer.to_vec()).unwrap())
        }
    }

    fn message(text: &str) -> AppendBody {
        let nonce = Nonce::new(text).unwrap();
        AppendBody::Message { nonce, text: text.to_owned(), reply_to: None, attachments: Vec::new() }
    }

    fn limits(edit: impl FnOnce(&mut Limits)) -> Limits {
        let mut limits = Limits::default();
        edit(&mut limits);
        limits
    }

    #[test]
    fn a_cursor_reads_every_frame_once_in_order() {
        let mut log = Log::new(&Limits::default());
        let start = log.ring.cursor();
        for n in 0..5 {
            assert_eq!(log.say(&format!("m{n}")), Push::Done);
        }
        let (read, first) = log.read(start, 3);
        let Read::More(next) = read else { panic!("{read:?}") };
        let (read, rest) = log.read(next, 3);
        assert_eq!(read, Read::Caught(log.ring.cursor()));
        let all: Vec<_> = first.into_iter().chain(rest).collect();
        assert!((0..5).all(|n| all[n].contains(&format!("\"m{n}\""))), "{all:?}");
        assert_eq!(log.read(log.ring.cursor(), 3), (Read::Caught(log.ring.cursor()), Vec::new()));
    }

    #[test]
    fn an_overtaken_cursor_is_told_what_it_missed() {
        let mut log = Log::new(&limits(|l| l.ring_events = 4));
        let start = log.ring.cursor();
        for n in 0..4 {
            log.say(&format!("m{n}"));
        }
        assert!(matches!(log.read(start, 9).0, Read::Caught(_)), "at the bound");
        log.say("one more");
        assert_eq!(log.read(start, 9), (Read::Lagged { from: 1, to: 5 }, Vec::new()));
    }

    #[test]
    fn frames_and_messages_are_bounded_in_bytes() {
        let mut log = Log::new(&limits(|l| l.ring_bytes = 4_000));
        let start = log.ring.cursor();
        for n in 0..20 {
            log.say(&format!("{n}{}", "x".repeat(50)));
        }
        assert!(log.ring.frame_bytes <= 4_000 && log.ring.message_bytes <= 4_000);
        assert!(matches!(log.read(start, 9).0, Read::Lagged { .. }));
        assert_eq!(log.newest(20), None, "older ones are the store's to give");
        assert!(log.newest(5).is_some());
    }

    #[test]
    fn a_ring_that_is_shrunk_keeps_the_newest_and_the_rest_lags() {
        let mut log = Log::new(&Limits::default());
        let start = log.ring.cursor();
        for n in 0..20 {
            log.say(&format!("{n}{}", "x".repeat(50)));
        }
        let before = log.ring.charge.rings().used();
        assert!(log.newest(20).is_some());
        assert!(log.ring.charge.rings().used() > before, "the list counts");
        log.ring.shrink(1_000);
        assert!(log.ring.charge.rings().used() < 4_000);
        assert_eq!(log.read(start, 20).0, Read::Lagged { from: 1, to: 20 });
        assert!(matches!(log.read(log.ring.cursor_at(18), 20).0, Read::Caught(_)));
        assert_eq!(log.newest(20), None, "older ones are the store's to give");
        assert!(log.newest(2).is_some());
        log.ring.shrink(0);
        assert_eq!(log.ring.charge.rings().used(), 0);
        log.say("it goes on");
        assert!(matches!(log.read(log.ring.cursor_at(20), 20).0, Read::Caught(_)));
    }

    #[test]
    fn a_push_out_of_order_is_known_or_a_gap() {
        let mut log = Log::new(&Limits::default());
        log.say("a");
        assert_eq!(log.push_at(1, message("a")), Push::Known);
        assert_eq!(log.push_at(3, message("c")), Push::Gap);
        assert_eq!(log.ring.head().seq, 1);
    }

    #[test]
    fn edits_and_reactions_fold_and_a_delete_leaves_no_text_anywhere() {
        let mut log = Log::new(&Limits::default());
        let start = log.ring.cursor();
        log.say("secret");
        log.push(AppendBody::Edit { target: 1, text: "secret again".into() });
        log.push(AppendBody::React { target: 1, emoji: "👍".into(), on: true, limits: Default::default() });
        let shown = log.newest(10).unwrap();
        assert!(shown.contains("secret again") && shown.contains("👍"), "{shown}");
        log.push(AppendBody::Delete { target: 1 });
        let (_, frames) = log.read(start, 10);
        let everything = frames.join("\n") + &log.newest(10).unwrap();
        assert_eq!(frames.len(), 4);
        assert!(
            !everything.contains("secret again") && !everything.contains("\"text\":\"secret"),
            "{everything}"
        );
        assert!(everything.contains("\"deleted\":true"));
    }

    #[test]
    fn a_restart_makes_every_cursor_lag() {
        let mut log = Log::new(&Limits::default());
        log.say("a");
        let cursor = log.ring.cursor();
        let head = Head { epoch: Epoch::random(), seq: 7, check: None };
        log.ring.restart(&Limits::default(), head, &Page { messages: Vec::new(), more: false });
        assert_eq!(log.read(cursor, 9).0, Read::Lagged { from: 1, to: 7 });
    }

    #[test]
    fn resume_needs_this_epoch_and_a_position_the_ring_still_holds() {
        let mut log = Log::new(&limits(|l| l.ring_events = 2));
        for text in ["a", "b", "c"] {
            log.say(text);
        }
        let epoch = log.ring.head().epoch.clone();
        let after = |seq, epoch: &Epoch| {
            let position = Position::new(epoch.clone(), seq);
            log.ring.frames_after(&position, usize::MAX).map(|(frames, _)| frames.len())
        };
        assert_eq!(after(3, &epoch), Some(0));
        assert_eq!(after(1, &epoch), Some(2));
        assert_eq!(after(0, &epoch), None);
        assert_eq!(after(4, &epoch), None);
        assert_eq!(after(1, &Epoch::random()), None);
    }
}
