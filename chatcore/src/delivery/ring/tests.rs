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
        let (frame, check) = self.encoder.event(&self.name, &event);
        self.ring.push(&event, frame, check)
    }

    fn say(&mut self, text: &str) -> Push {
        self.push(message(text))
    }

    fn read(&self, cursor: Cursor, limit: usize) -> (Read, Vec<String>) {
        let mut out = Vec::new();
        let read = self.ring.read(
            cursor,
            limit,
            Reader::new(Form::Full, &ann()),
            &mut Taken::new(&mut out, usize::MAX),
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
    AppendBody::Message { nonce, text: text.into(), reply_to: None, attachments: Vec::new(), extras: None }
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
fn a_message_outlives_its_frame_whatever_has_changed_it() {
    let mut log = Log::new(&limits(|l| l.ring_events = 3));
    let list = |log: &Log| log.newest(10).unwrap();
    log.say("first");
    log.say("second");
    log.push(AppendBody::Edit { target: 1, text: "changed".into(), extras: None });
    let before = list(&log);
    for n in 0..3 {
        // Each drops a frame: of the first message, of the second, and of the edit.
        log.push(AppendBody::Change { title: Some(n.to_string()), topic: None, archived: None });
        assert_eq!(list(&log), before);
    }
    log.push(AppendBody::React { target: 2, emoji: "👍".into(), on: true, limits: Default::default() });
    assert!(list(&log).contains("👍"), "{}", list(&log));
    assert!(log.ring.encoder.names().enter(&ann()));
    log.ring.forget(&ann());
    assert!(!list(&log).contains("Ann"), "{}", list(&log));
    log.say("framed");
    log.ring.forget(&ann());
    let before = list(&log);
    for text in ["changed", "second", "framed"] {
        assert!(before.contains(text), "{before}");
    }
    for n in 0..3 {
        log.push(AppendBody::Change { title: Some(n.to_string()), topic: None, archived: None });
    }
    assert_eq!(list(&log), before, "the last frame of a message is dropped");
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
fn what_a_person_wrote_is_dropped_with_what_is_older() {
    let mut log = Log::new(&Limits::default());
    let edit = |target, text: &str| AppendBody::Edit { target, text: text.into(), extras: None };
    for text in ["first", "second"] {
        log.say(text);
    }
    log.push(AppendBody::Delete { target: 2 });
    log.push(edit(1, "changed"));
    let cursor = log.ring.cursor();
    log.push(AppendBody::Change { title: Some("plans".into()), topic: None, archived: None });
    let before = (log.ring.head().clone(), log.ring.check_at(4));
    log.ring.forget_texts(&UserId::new("u_2").unwrap());
    assert_eq!(log.read(log.ring.cursor_at(0), 9).1.len(), 5, "of another person nothing is dropped");
    log.ring.forget_texts(&ann());
    assert!(matches!(log.read(log.ring.cursor_at(3), 9).0, Read::Lagged { .. }));
    assert_eq!(log.read(cursor, 9).1.len(), 1, "a reader that has read them does not lag");
    assert_eq!((log.ring.head().clone(), log.ring.check_at(4)), before);
    assert_eq!(log.newest(2), None, "the store may have more");
    let newest = log.newest(1).unwrap();
    assert!(!newest.contains("first") && !newest.contains("changed"), "{newest}");
    log.ring.forget_texts(&ann());
    assert_eq!(log.read(cursor, 9).1.len(), 1, "nothing is left to drop");
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

/// An earlier version stored data so deep that a message around it can't be parsed again.
#[test]
fn a_ring_goes_on_after_what_can_not_be_read() {
    let mut log = Log::new(&Limits::default());
    log.say("before");
    let deep = format!("{}{{}}{}", r#"{"a":"#.repeat(126), "}".repeat(126));
    let data = serde_json::from_str(&deep).unwrap();
    let extras = crate::model::append::Extras::default().with_data(data).boxed();
    let (nonce, text) = (Nonce::random(), "deep".into());
    let attachments = Vec::new();
    log.push(AppendBody::Message { nonce, text, reply_to: None, attachments, extras });
    let cursor = log.ring.cursor();
    let edit = AppendBody::Edit { target: 2, text: "edited".into(), extras: None };
    assert_eq!(log.push(edit), Push::Done);
    assert_eq!(log.newest(10), None, "the store has the messages");
    assert!(matches!(log.read(cursor, 10).0, Read::Lagged { .. }));
    let cursor = log.ring.cursor();
    assert_eq!(log.say("after"), Push::Done);
    let (read, frames) = log.read(cursor, 10);
    assert!(matches!(read, Read::Caught(_)) && frames[0].contains("after"), "{frames:?}");
}
