//! Admission: checks commands and their rate before they are carried out. The caller passes the time.

use std::sync::Arc;
use std::time::Duration;

use crate::channel::Channel;
use crate::connection::checks::checked_publish;
use crate::connection::request::Request;
use crate::limits::Limits;
use crate::limits::pace::Pace;
use crate::limits::share::Share;
use crate::model::error::{Error, ErrorCode};
use crate::model::moment::Moment;
use crate::model::name::ChannelName;
use crate::protocol::{CloseReason, Command, Draft, Malformed};

/// What to do with a frame.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Carry it out.
    Run { id: i64, request: Request },
    /// Answer with an error.
    Refuse { id: Option<i64>, error: Error },
    /// Close the connection.
    Close(CloseReason),
}

/// The checks and paces of one connection.
#[derive(Debug)]
pub(crate) struct Admission {
    commands: Pace,
    frames: Pace,
    /// Nothing is read until this moment. It is in the past if reading is allowed.
    silent_until: Moment,
    bad_frames: Window,
    /// Where the next list of channels begins, if that is after a hidden channel.
    listing: Option<Box<Listing>>,
}

/// A position in the list of channels, and the mark that stands for it. No channel has a mark as its name.
#[derive(Debug)]
pub(crate) struct Listing {
    mark: String,
    after: ChannelName,
}

impl Listing {
    pub(crate) fn new(key: u64, after: ChannelName) -> Self {
        Self { mark: format!("~{key}"), after }
    }

    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// Returns the channel after which the list goes on.
    pub(super) fn after(&self) -> &ChannelName {
        &self.after
    }
}

impl Admission {
    pub(crate) fn new(now: Moment) -> Self {
        let full = Pace::new(now);
        Self {
            commands: full,
            frames: full,
            silent_until: Moment::default(),
            bad_frames: Window::new(now),
            listing: None,
        }
    }

    /// Admits a text frame of the share's user. `find` returns a channel with this name that is in memory.
    pub(crate) fn frame(
        &mut self,
        now: Moment,
        share: &Share,
        find: impl FnOnce(&str) -> Option<Arc<Channel>>,
        frame: &str,
    ) -> Verdict {
        self.heard(now, share, 1, frame.len());
        if let Some((id, draft)) = Draft::decode(frame) {
            let paid = self.pay(now, share, Limits::LIGHT, frame.len());
            return match paid.and_then(|()| checked_publish(share.limits(), draft, find)) {
                Ok(publish) => Verdict::Run { id, request: Request::Publish(publish) },
                Err(error) => self.refuse(now, share.limits(), Some(id), error),
            };
        }
        match Command::decode(frame) {
            Ok((id, command)) => self.admit(now, share, id, command, frame.len()),
            Err(Malformed { id, code, message }) => {
                // It is answered all the same, and counts against later commands.
                self.commands.spend(share.rates().commands, now, Limits::LIGHT.into());
                self.refuse(now, share.limits(), id, Error::new(code, message))
            }
        }
    }

    /// Admits a command that came without a frame.
    pub(crate) fn command(&mut self, now: Moment, share: &Share, id: i64, command: Command) -> Verdict {
        let bytes = match &command {
            Command::Publish { text, .. } | Command::Edit { text, .. } => text.len(),
            _ => 0,
        };
        self.admit(now, share, id, command, bytes)
    }

    /// Counts received frames, and returns when to read on if they were too many.
    pub(crate) fn heard(&mut self, now: Moment, share: &Share, frames: u32, bytes: usize) {
        self.frames.spend(share.rates().frames, now, frames.into());
        let own = self.frames.debt(share.rates().frames, now);
        let wait = share.spend_frames(now, frames.into(), bytes as u64).err().unwrap_or_default().max(own);
        if !wait.is_zero() {
            self.silent_until = self.silent_until.max(now + wait);
        }
    }

    /// Returns until when nothing must be read, or `None` if reading is allowed.
    pub(crate) fn silent_until(&self, now: Moment) -> Option<Moment> {
        (self.silent_until > now).then_some(self.silent_until)
    }

    fn admit(&mut self, now: Moment, share: &Share, id: i64, command: Command, bytes: usize) -> Verdict {
        let logged = if is_logged(&command) { bytes.max(1) } else { 0 };
        let paid = self.pay(now, share, Limits::weight(&command), logged);
        let listing = self.listing.as_deref();
        match paid.and_then(|()| Request::checked(share.limits(), listing, command)) {
            Ok(request) => Verdict::Run { id, request },
            Err(error) => self.refuse(now, share.limits(), Some(id), error),
        }
    }

    /// Pays the price of a command, even if it is refused for another reason later. `logged` are the bytes that it adds
    /// to a log.
    fn pay(&mut self, now: Moment, share: &Share, weight: u32, logged: usize) -> Result<(), Error> {
        let (weight, logged) = (weight.into(), logged as u64);
        self.commands.take(share.rates().commands, now, weight).map_err(|wait| {
            Error::new(ErrorCode::RateLimited, "too many commands; try again later").with_retry_after(wait)
        })?;
        share
            .take(now, weight, logged)
            .inspect_err(|_| self.commands.give_back(share.rates().commands, weight))
    }

    /// Stores where the next list of channels begins.
    pub(crate) fn remember(&mut self, listing: Listing) {
        self.listing = Some(Box::new(listing));
    }

    fn refuse(&mut self, now: Moment, limits: &Limits, id: Option<i64>, error: Error) -> Verdict {
        let malformed = matches!(error.code(), ErrorCode::BadFrame | ErrorCode::UnknownCommand);
        if malformed && self.bad_frames.count(now) > limits.bad_frames_per_minute {
            return Verdict::Close(CloseReason::Overloaded);
        }
        Verdict::Refuse { id, error }
    }
}

/// Returns whether a command adds an event to a log.
fn is_logged(command: &Command) -> bool {
    matches!(
        command,
        Command::Publish { .. }
            | Command::Edit { .. }
            | Command::Delete { .. }
            | Command::React { .. }
            | Command::UpdateChannel { .. }
            | Command::AddMembers { .. }
            | Command::RemoveMember { .. }
            | Command::Leave { .. }
            | Command::SetRole { .. }
    )
}

/// A counter for the current minute.
#[derive(Debug)]
struct Window {
    began: Moment,
    count: u32,
}

impl Window {
    const LENGTH: Duration = Duration::from_secs(60);

    fn new(now: Moment) -> Self {
        Self { began: now, count: 0 }
    }

    fn count(&mut self, now: Moment) -> u32 {
        if now - self.began >= Self::LENGTH {
            *self = Self::new(now);
        }
        self.count += 1;
        self.count
    }
}

impl Limits {
    /// Returns the price of a command.
    #[must_use]
    pub fn weight(command: &Command) -> u32 {
        match command {
            Command::Channels { .. }
            | Command::CreateChannel { .. }
            | Command::OpenDirect { .. }
            | Command::AddMembers { .. }
            | Command::Members { .. }
            | Command::Users { .. }
            | Command::Search { .. } => Self::HEAVY,
            Command::History { .. } => Self::HISTORY,
            Command::Subscribe { .. } => Self::SUBSCRIBE,
            Command::Publish { .. }
            | Command::Edit { .. }
            | Command::Delete { .. }
            | Command::React { .. }
            | Command::Read { .. }
            | Command::Unread { .. }
            | Command::Typing { .. }
            | Command::UpdateChannel { .. }
            | Command::RemoveMember { .. }
            | Command::Join { .. }
            | Command::Leave { .. }
            | Command::SetRole { .. }
            | Command::SetNotify { .. }
            | Command::Unsubscribe { .. }
            | Command::Ping => Self::LIGHT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::share::Shares;
    use crate::model::id::UserId;
    use crate::protocol::History;
    use std::sync::Arc;

    /// An admission, with the share of its user.
    struct Alone {
        admission: Admission,
        share: Arc<Share>,
    }

    impl Alone {
        fn command(&mut self, now: Moment, id: i64, command: Command) -> Verdict {
            self.admission.command(now, &self.share, id, command)
        }

        fn frame(&mut self, now: Moment, frame: &str) -> Verdict {
            self.admission.frame(now, &self.share, |_| None, frame)
        }

        fn wait(&mut self, now: Moment, command: Command) -> Option<Duration> {
            match self.command(now, 1, command) {
                Verdict::Refuse { error, .. } if error.code() == ErrorCode::RateLimited => {
                    error.retry_after()
                }
                _ => None,
            }
        }
    }

    fn admission(edit: impl FnOnce(&mut Limits)) -> (Alone, Moment) {
        let mut limits = Limits::default();
        edit(&mut limits);
        let (limits, now) = (Arc::new(limits), Moment::now());
        let shares = Shares::new(Arc::clone(&limits));
        let share = shares.of(&UserId::new("u_ann").unwrap(), now);
        (Alone { admission: Admission::new(now), share }, now)
    }

    fn code(admitted: Verdict) -> Option<ErrorCode> {
        match admitted {
            Verdict::Refuse { error, .. } => Some(error.code()),
            Verdict::Run { .. } => None,
            Verdict::Close(reason) => panic!("closed: {reason}"),
        }
    }

    fn publish(text: &str, nonce: &str, attachments: usize) -> Command {
        Command::Publish {
            channel: "general".into(),
            nonce: nonce.into(),
            text: text.into(),
            attachments: vec!["a_1".into(); attachments],
            reply_to: None,
            mentions: Vec::new(),
            data: None,
        }
    }

    #[test]
    fn each_field_is_checked_at_its_limit_and_one_past_it() {
        let (mut admission, now) = admission(|l| {
            l.text_chars = 5;
            l.attachments = 2;
            l.page_messages = 10;
            l.topic_chars = 3;
            l.emoji_bytes = 4;
        });
        let mut run = |command| code(admission.command(now, 1, command));
        assert_eq!(run(publish("ééééé", "n", 0)), None);
        assert_eq!(run(publish("éééééé", "n", 0)), Some(ErrorCode::TooLarge));
        assert_eq!(run(publish("  \n", "n", 0)), Some(ErrorCode::Empty));
        assert_eq!(run(publish("", "n", 2)), None);
        assert_eq!(run(publish("", "n", 3)), Some(ErrorCode::TooLarge));
        assert_eq!(run(publish("a\0", "n", 0)), Some(ErrorCode::BadFrame));
        assert_eq!(run(publish("a", "", 0)), Some(ErrorCode::BadFrame));
        assert_eq!(run(publish("a", &"n".repeat(65), 0)), Some(ErrorCode::BadFrame));
        let subscribe = |limit| Command::Subscribe { channel: "a".into(), after: None, limit: Some(limit) };
        assert_eq!(run(subscribe(0)), None);
        assert_eq!(run(subscribe(10)), None);
        assert_eq!(run(subscribe(11)), Some(ErrorCode::BadFrame));
        let history = |limit| History::Before(1).command("a", Some(limit));
        assert_eq!(run(history(0)), Some(ErrorCode::BadFrame));
        assert_eq!(run(history(1)), None);
        let create = |name: &str, topic: &str| Command::CreateChannel {
            name: Some(name.into()),
            topic: Some(topic.into()),
            kind: None,
            title: None,
            members: Vec::new(),
            history: None,
        };
        assert_eq!(run(create("a", "abc")), None);
        assert_eq!(run(create("a", "abcd")), Some(ErrorCode::TooLarge));
        assert_eq!(run(create("a", " abc\u{202e}\n")), None, "what shows nothing does not count");
        for name in ["a b/c", "\u{3164}", "Everyone", "hеre", "ｓystem", "PR.x", "dm.a"] {
            assert_eq!(run(create(name, "")), Some(ErrorCode::BadName), "{name}");
        }
        assert_eq!(run(Command::Typing { channel: "\u{3164}".into() }), None, "one may exist");
        let react =
            |emoji: &str| Command::React { channel: "a".into(), seq: 1, emoji: emoji.into(), on: true };
        assert_eq!(run(react("👍")), None);
        assert_eq!(run(react("👍👍")), Some(ErrorCode::TooLarge));
        assert_eq!(run(react("")), Some(ErrorCode::Empty));
        assert_eq!(run(Command::Typing { channel: "a/b".into() }), Some(ErrorCode::NoSuchChannel));
    }

    #[test]
    fn the_burst_passes_then_the_rate_holds() {
        let (mut admission, now) = admission(|l| {
            l.command_burst = 3;
            l.commands_per_second = 10;
        });
        for _ in 0..3 {
            assert_eq!(code(admission.command(now, 1, Command::Ping)), None);
        }
        let Verdict::Refuse { error, .. } = admission.command(now, 1, Command::Ping) else {
            panic!("not refused")
        };
        assert_eq!(error.code(), ErrorCode::RateLimited);
        let wait = error.retry_after().unwrap();
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(code(admission.command(now + wait, 1, Command::Ping)), None);
        assert_eq!(code(admission.command(now + wait, 1, Command::Ping)), Some(ErrorCode::RateLimited));
    }

    #[test]
    fn twenty_malformed_frames_a_minute_are_answered_and_one_more_closes() {
        let (mut admission, now) = admission(|_| {});
        for _ in 0..20 {
            assert_eq!(code(admission.frame(now, "{")), Some(ErrorCode::BadFrame));
        }
        assert!(matches!(admission.frame(now, "{"), Verdict::Close(CloseReason::Overloaded)));
        assert_eq!(code(admission.frame(now + Window::LENGTH, "{")), Some(ErrorCode::BadFrame));
    }

    #[test]
    fn a_command_takes_its_weight() {
        let (mut admission, now) = admission(|_| {});
        let history = || History::Before(9).command("a", None);
        (0..166).for_each(|_| assert_eq!(admission.wait(now, history()), None));
        assert_eq!(admission.wait(now, history()), Some(Duration::from_millis(20)), "2 of 3 are there");
        (0..2).for_each(|_| assert_eq!(admission.wait(now, Command::Ping), None));
        assert_eq!(
            admission.wait(now, Command::Channels { after: None, limit: None, archived: false }),
            Some(Duration::from_millis(100))
        );
    }

    #[test]
    fn a_malformed_frame_weighs_on_the_commands_that_follow() {
        let (mut admission, now) = admission(|l| (l.command_burst, l.commands_per_second) = (2, 1));
        assert_eq!(code(admission.frame(now, "{")), Some(ErrorCode::BadFrame));
        assert_eq!(admission.wait(now, Command::Ping), None);
        assert_eq!(admission.wait(now, Command::Ping), Some(Duration::from_secs(1)));
    }

    #[test]
    fn frames_are_read_up_to_twice_the_commands_and_then_at_their_pace() {
        let (mut admission, now) = admission(|l| (l.command_burst, l.commands_per_second) = (10, 5));
        let frame = r#"{"type":"ping","id":1}"#;
        let run = (0..20).filter(|_| code(admission.frame(now, frame)).is_none()).count();
        assert_eq!(
            (run, admission.admission.silent_until(now)),
            (10, None),
            "refused commands are frames too"
        );
        let Alone { admission, share } = &mut admission;
        admission.heard(now, share, 1, 0);
        let until = admission.silent_until(now).unwrap();
        assert_eq!(until - now, Duration::from_millis(100));
        assert_eq!(admission.silent_until(until), None);
    }

    #[test]
    fn frames_of_one_connection_silence_the_others_of_its_user() {
        let (mut first, now) =
            admission(|l| (l.command_burst, l.commands_per_second, l.pace_per_user) = (10, 5, 1));
        let Alone { admission, share } = &mut first;
        admission.heard(now, share, 20, 0);
        assert_eq!(admission.silent_until(now), None);
        let mut second = Admission::new(now);
        second.heard(now, share, 1, 0);
        assert_eq!(second.silent_until(now), Some(now + Duration::from_millis(100)));
    }
}
