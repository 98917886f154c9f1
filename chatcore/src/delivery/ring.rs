//! The cached end of one channel's log: its newest messages in their current state, and its newest frames.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::delivery::cursor::{Cursor, Read, Room};
use crate::delivery::ring_budget::{Charge, Rings};
use crate::delivery::ring_frames::RingFrames;
use crate::delivery::ring_messages::RingMessages;
use crate::limits::Limits;
use crate::model::check::Check;
use crate::model::event::{Event, EventKind};
use crate::model::id::{Position, Seq, UserId};
use crate::protocol::{Encoded, EncodedEvent, Encoder, MessageList, Reader};
use crate::store::{Head, Page, PageLimit};

/// The end of a channel's log in memory, bounded in number and in bytes.
///
/// Frames serve cursors and resume. Messages serve a client that opens the channel. Both are encoded once.
#[derive(Debug)]
pub(crate) struct HistoryRing {
    encoder: Encoder,
    head: Head,
    frames: RingFrames,
    messages: RingMessages,
    /// Incremented when the ring is rebuilt. Cursors of an earlier generation are stale.
    generation: u64,
    /// The bytes that it holds besides the snapshot.
    charge: Charge,
    /// The number of its last use, which is a push or a list.
    used: AtomicU64,
}

/// The bytes that a frame or a message takes besides its own.
const OVERHEAD: usize = 64;

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
        let mut messages = RingMessages::new(limits, newest.more);
        for message in &newest.messages {
            messages.push(message.seq, encoder.message(message));
        }
        let mut ring = Self {
            encoder,
            frames: RingFrames::new(limits, head.check),
            head,
            messages,
            generation: 0,
            charge: Charge::new(rings, 0),
            used: AtomicU64::new(rings.next_use()),
        };
        ring.recharge();
        ring
    }

    /// Returns how many messages a ring holds. One answer can have all of them.
    pub(crate) fn messages_limit(limits: &Limits) -> PageLimit {
        RingMessages::bounds(limits)
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
        self.messages.drop_snapshots();
        match &event.kind {
            EventKind::Message(_) => {
                if let Some(fragment) = encoded.message {
                    self.messages.push(event.seq, fragment);
                }
            }
            EventKind::Deleted { target, .. } => {
                self.messages.apply(event, *target, &self.encoder);
                self.frames.redact(*target, &self.encoder);
            }
            EventKind::Edited { target, .. } | EventKind::Reaction { target, .. } => {
                self.messages.apply(event, *target, &self.encoder);
            }
            EventKind::Member { .. } | EventKind::Changed { .. } => {}
        }
        let subject = match &event.kind {
            EventKind::Message(_) => Some(event.seq),
            EventKind::Edited { target, .. } => Some(*target),
            EventKind::Deleted { .. }
            | EventKind::Reaction { .. }
            | EventKind::Member { .. }
            | EventKind::Changed { .. } => None,
        };
        self.frames.push(subject, encoded.frame, check);
        self.used.store(self.charge.rings().next_use(), Ordering::Relaxed);
        self.recharge();
        Push::Done
    }

    /// Adds up to `limit` frames after the cursor to `out` while there is room, as `reader` reads them.
    pub(crate) fn read(
        &self,
        cursor: Cursor,
        limit: usize,
        room: &mut Room,
        reader: Reader<'_>,
        out: &mut Vec<Bytes>,
    ) -> Read {
        out.reserve(self.behind(cursor.seq).unwrap_or_default().min(limit));
        self.take(cursor, limit, |frame| {
            let variant = frame.variant(reader);
            let fits = room.take(frame.len(variant));
            if fits {
                out.push(frame.bytes(variant));
            }
            fits
        })
    }

    /// Adds up to `limit` frames after the cursor to `out`, for readers of any form.
    pub(crate) fn read_all_forms(&self, cursor: Cursor, limit: usize, out: &mut Vec<Encoded>) -> Read {
        self.take(cursor, limit, |frame| {
            out.push(frame.clone());
            true
        })
    }

    /// Hands up to `limit` frames after the cursor to `take`, until it returns false for one that it does not take.
    #[inline]
    fn take(&self, cursor: Cursor, limit: usize, mut take: impl FnMut(&Encoded) -> bool) -> Read {
        if cursor.generation != self.generation || !self.holds_after(cursor.seq) {
            let from = if cursor.generation == self.generation { cursor.seq + 1 } else { 1 };
            return Read::Lagged { from, to: self.head.seq };
        }
        // A cursor set from the store may be ahead of the ring for a moment.
        let behind = self.behind(cursor.seq).unwrap_or_default();
        let mut count = 0;
        for frame in self.frames.newest(behind).take(limit) {
            if !take(frame) {
                break;
            }
            count += 1;
        }
        let next = Cursor { generation: self.generation, seq: cursor.seq + count as Seq };
        if count < behind { Read::More(next) } else { Read::Caught(next) }
    }

    /// Returns the frames after `position` that take `bytes` together, but at least one, as `reader` reads them, and the
    /// cursor after them. Returns `None` if the ring does not have them.
    pub(crate) fn frames_after(
        &self,
        position: &Position,
        bytes: usize,
        reader: Reader<'_>,
    ) -> Option<(Vec<Bytes>, Cursor)> {
        if position.epoch != self.head.epoch
            || !self.holds_after(position.seq)
            || !position.fits(self.check_at(position.seq))
        {
            return None;
        }
        let behind = self.behind(position.seq)?;
        let mut page = PageLimit { items: usize::MAX, bytes }.fill();
        let later = self.frames.newest(behind).map(|frame| (frame, frame.variant(reader)));
        let fitting = later.take_while(|(frame, variant)| page.take(frame.len(*variant) + 1));
        let frames: Vec<Bytes> = fitting.map(|(frame, variant)| frame.bytes(variant)).collect();
        let cursor = self.cursor_at(position.seq + frames.len() as Seq);
        Some((frames, cursor))
    }

    /// Returns whether the ring holds every event after `seq`.
    pub(crate) fn holds_after(&self, seq: Seq) -> bool {
        seq >= self.head.seq - self.frames.len() as Seq
    }

    /// Returns the check of the event at `seq`, if the ring knows it.
    pub(crate) fn check_at(&self, seq: Seq) -> Option<Check> {
        self.frames.check_before(self.behind(seq)?)
    }

    /// Returns how many events of the log are after `seq`, or `None` if the log ends before it.
    fn behind(&self, seq: Seq) -> Option<usize> {
        usize::try_from(self.head.seq.checked_sub(seq)?).ok()
    }

    /// Returns the newest messages for an answer, at most `limit`, oldest first, and whether the log has older
    /// ones. Returns `None` if the log may have more for the answer than the ring does.
    pub(crate) fn newest(&self, limit: usize, reader: Reader<'_>) -> Option<(MessageList, bool)> {
        let rings = self.charge.rings();
        let newest = self.messages.newest(limit, reader, rings)?;
        self.used.store(rings.next_use(), Ordering::Relaxed);
        Some(newest)
    }

    /// Returns the number of the ring's last use. A later use has a higher number.
    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes an erased person's name out of every frame and message.
    pub(crate) fn forget(&mut self, user: &UserId) {
        let id = Encoder::written_id(user);
        self.frames.forget(user, &id, &self.encoder);
        self.messages.forget(user, &id, &self.encoder);
        self.recharge();
    }

    /// Keeps the newest frames and messages, up to `floor` bytes of each.
    pub(crate) fn shrink(&mut self, floor: usize) {
        self.frames.shrink(floor);
        self.messages.shrink(floor);
        self.recharge();
    }

    fn recharge(&mut self) {
        let count = self.frames.len() + self.messages.len();
        self.charge.set(self.frames.bytes() + self.messages.bytes() + count * OVERHEAD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::append::{Append, AppendBody};
    use crate::model::id::{ChannelId, Epoch, Nonce};
    use crate::model::message::User;
    use crate::model::name::ChannelName;
    use crate::model::time::Timestamp;
    use crate::protocol::Form;

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
            let event = Append::new(ChannelId(1), author, body).into_event(seq, Timestamp::from_millis(0));
            let encoded = self.encoder.event(&self.name, &event);
            self.ring.push(&event, encoded)
        }

        fn say(&mut self, text: &str) -> Push {
            self.push(message(text))
        }

        fn read(&self, cursor: Cursor, limit: usize) -> (Read, Vec<String>) {
            let mut out = Vec::new();
            let read = self.ring.read(
                cursor,
                limit,
                &mut Room::new(usize::MAX),
                Reader::new(Form::Full, &ann()),
                &mut out,
            );
            (read, out.iter().map(|frame| String::from_utf8(frame.to_vec()).unwrap()).collect())
        }

        fn newest(&self, limit: usize) -> Option<String> {
            let (messages, more) = self.ring.newest(limit, Reader::new(Form::Full, &ann()))?;
            let reply = crate::protocol::Reply::History { messages, more, more_after: None };
            let answer = Encoder::answer(&crate::protocol::Answer { id: Some(1), result: Ok(reply) });
            Some(String::from_utf8(answer.to_vec()).unwrap())
        }
    }

    fn ann() -> UserId {
        UserId::new("u_1").unwrap()
    }

    fn message(text: &str) -> AppendBody {
        let nonce = Nonce::new(text).unwrap();
        AppendBody::Message {
            nonce,
            text: text.into(),
            reply_to: None,
            attachments: Vec::new(),
            extras: None,
        }
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
        assert!(log.ring.frames.bytes() <= 4_000 && log.ring.messages.bytes() <= 4_000);
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
    fn a_list_has_the_form_of_its_reader_and_their_own_nonces() {
        let mut log = Log::new(&Limits::default());
        for text in ["one", "two"] {
            log.say(text);
        }
        let (ann, other) = (ann(), UserId::new("u_2").unwrap());
        for limit in [1, 2] {
            let list = |form, user| {
                let (messages, _) = log.ring.newest(limit, Reader::new(form, user)).unwrap();
                let list: Vec<serde_json::Value> = serde_json::from_slice(messages.json()).unwrap();
                list.iter()
                    .map(|message| (message.get("nonce").is_some(), message.get("deleted").is_some()))
                    .collect::<Vec<_>>()
            };
            for _ in 0..2 {
                assert_eq!(list(Form::Full, &other), vec![(true, true); limit]);
                assert_eq!(list(Form::Lean, &other), vec![(false, false); limit]);
                assert_eq!(list(Form::Lean, &ann), vec![(true, false); limit]);
            }
        }
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
        log.push(AppendBody::Edit { target: 1, text: "secret again".into(), extras: None });
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
            log.ring
                .frames_after(&position, usize::MAX, Reader::new(Form::Full, &ann()))
                .map(|(frames, _)| frames.len())
        };
        assert_eq!(after(3, &epoch), Some(0));
        assert_eq!(after(1, &epoch), Some(2));
        assert_eq!(after(0, &epoch), None);
        assert_eq!(after(4, &epoch), None);
        assert_eq!(after(1, &Epoch::random()), None);
    }
}
