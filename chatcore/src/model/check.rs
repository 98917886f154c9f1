//! The check of a position, which tells a log from another with the same beginning.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::model::event::{Event, EventKind};

/// A short text that belongs to one event of one log: eight ASCII letters, digits, `-` and `_`.
///
/// A log restored from a backup has the same epoch and goes on from an older `seq`, so two different events have
/// the same position. Their checks differ, except for one pair in 2⁴⁸.
///
/// A check is computed from what never changes in an event. So it stays the same after an edit, a delete and a
/// restart, in every store and every version: the 64-bit FNV-1a hash ([the IETF draft]) of the kind (`m`, `e`,
/// `d`, `+`, `-`, `u` for a member, `c` for a change of the channel), the `seq`, the time in milliseconds and the target
/// (0 if there is none), eight bytes each, little-endian; then the author's id, a zero byte, and a message's nonce or a
/// member's id. The upper half is mixed into the lower
/// half. 48 bits of that are written in base64url, the lowest six first.
///
/// [the IETF draft]: https://datatracker.ietf.org/doc/html/draft-eastlake-fnv
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Check([u8; 8]);

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

impl Check {
    /// The check of position 0, before the first event of any log.
    pub const START: Self = Self(*b"AAAAAAAA");

    /// The check that an invalid text is read as. No event has it.
    const FOREIGN: Self = Self(*b"________");

    /// Computes the check of an event.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let (kind, by, nonce) = match &event.kind {
            EventKind::Message(content) => (b'm', &content.author, content.nonce.as_str()),
            EventKind::Edited { by, .. } => (b'e', by, ""),
            EventKind::Deleted { by, .. } => (b'd', by, ""),
            EventKind::Reaction { on: true, by, .. } => (b'+', by, ""),
            EventKind::Reaction { on: false, by, .. } => (b'-', by, ""),
            EventKind::Member { user, by, .. } => (b'u', by, user.id.as_str()),
            EventKind::Changed { by, .. } => (b'c', by, ""),
        };
        let mut hash = Fnv::new();
        hash.write(&[kind]);
        hash.write_number(event.seq);
        hash.write_number(event.at.as_millis() as u64);
        hash.write_number(event.kind.target().unwrap_or_default());
        hash.write(by.id.as_str().as_bytes());
        hash.write(&[0]);
        hash.write(nonce.as_bytes());
        hash.finish()
    }

    /// Returns the check as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("invariant: a check is ASCII")
    }

    /// Returns the check's bytes in ASCII.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn parse(text: &str) -> Self {
        match text.as_bytes().try_into() {
            Ok(bytes) if text.bytes().all(|byte| ALPHABET.contains(&byte)) => Self(bytes),
            _ => Self::FOREIGN,
        }
    }
}

struct Fnv(u64);

/// What a byte multiplies the hash by, to the power of 0 to 8: so many zero bytes do nothing else.
const POWERS: [u64; 9] = {
    let mut powers = [1_u64; 9];
    let mut zeros = 1;
    while zeros < powers.len() {
        powers[zeros] = powers[zeros - 1].wrapping_mul(0x0000_0100_0000_01b3);
        zeros += 1;
    }
    powers
};

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Adds a number's eight bytes, little-endian.
    fn write_number(&mut self, mut number: u64) {
        let zeros = number.leading_zeros() as usize / 8;
        while number > 0 {
            self.0 = (self.0 ^ (number & 0xff)).wrapping_mul(POWERS[1]);
            number >>= 8;
        }
        self.0 = self.0.wrapping_mul(POWERS[zeros]);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(POWERS[1]);
        }
    }

    fn finish(self) -> Check {
        let mixed = self.0 ^ (self.0 >> 32);
        let check = Check(std::array::from_fn(|at| ALPHABET[(mixed >> (6 * at)) as usize & 63]));
        // Both values are reserved for positions without an event.
        if check == Check::START || check == Check::FOREIGN { Check(*b"BAAAAAAA") } else { check }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Check({:?})", self.as_str())
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A check is opaque to clients: any text is read as a check. A text that no server wrote belongs to no event.
impl<'de> Deserialize<'de> for Check {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Check;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the check of an event")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Check, E> {
                Ok(Check::parse(text))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::append::{Append, AppendBody};
    use crate::model::id::{ChannelId, Nonce};
    use crate::model::message::User;
    use crate::model::time::Timestamp;

    fn message(nonce: &str) -> AppendBody {
        let nonce = Nonce::new(nonce).unwrap();
        AppendBody::Message {
            nonce,
            text: "hello".into(),
            reply_to: None,
            attachments: Vec::new(),
            extras: None,
        }
    }

    fn event(seq: u64, at: i64, author: &str, body: AppendBody) -> Event {
        let author = User::new(author, "Ann").unwrap();
        Append::new(ChannelId(1), author, body).into_event(seq, Timestamp::from_millis(at))
    }

    #[test]
    fn the_check_of_an_event_is_the_same_in_every_version() {
        let said = event(7, 1_700_000_000_007, "u_1", message("n-1"));
        assert_eq!(Check::of(&said).as_str(), "OLKZgX6n");
        let edited = AppendBody::Edit { target: 7, text: "hello!".into(), extras: None };
        assert_eq!(Check::of(&event(8, 1_700_000_000_008, "u_1", edited)).as_str(), "k09HHbtE");
    }

    #[test]
    fn a_redacted_event_keeps_its_check() {
        let mut said = event(7, 1_700_000_000_007, "u_1", message("n-1"));
        let before = Check::of(&said);
        said.kind.redact();
        assert_eq!(Check::of(&said), before);
    }

    #[test]
    fn events_at_one_place_have_different_checks() {
        let react =
            |on| AppendBody::React { target: 1, emoji: "👍".into(), on, limits: Default::default() };
        let at_seven = |at, author, body| Check::of(&event(7, at, author, body));
        let checks = [
            at_seven(1, "u_1", message("n")),
            at_seven(2, "u_1", message("n")),
            at_seven(1, "u_2", message("n")),
            at_seven(1, "u_1", message("m")),
            at_seven(1, "u_1", AppendBody::Delete { target: 1 }),
            at_seven(1, "u_1", AppendBody::Delete { target: 2 }),
            at_seven(1, "u_1", AppendBody::Edit { target: 1, text: "t".into(), extras: None }),
            at_seven(1, "u_1", react(true)),
            at_seven(1, "u_1", react(false)),
            Check::of(&event(8, 1, "u_1", message("n"))),
            Check::START,
            Check::FOREIGN,
        ];
        let distinct: std::collections::HashSet<_> = checks.iter().collect();
        assert_eq!(distinct.len(), checks.len(), "{checks:?}");
    }

    #[test]
    fn any_text_of_a_client_reads_as_a_check() {
        let read = |json: &str| serde_json::from_str::<Check>(json).ok();
        let of = Check::of(&event(7, 1, "u_1", message("n")));
        assert_eq!(read(&serde_json::to_string(&of).unwrap()), Some(of));
        for foreign in
            [r#""""#, r#""short""#, r#""much longer than one""#, r#""ünïcödé!""#, r#""ab\"d\u0000fg""#]
        {
            assert_eq!(read(foreign), Some(Check::FOREIGN), "{foreign}");
        }
        assert_eq!(read("7"), None);
    }
}
