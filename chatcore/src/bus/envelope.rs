//! What nodes tell each other: envelopes, each with a few items.
//!
//! An envelope is the version (one byte), the sender's node, the envelope's number among those of this node and
//! partition, and the sender's time in milliseconds, each eight bytes, little-endian. Then come the items: a kind (one
//! byte), the length of the body (four bytes), the body. A reader skips items of a kind that it does not know by their
//! length, and envelopes of another version whole. So nodes of two versions can share a bus.

use bytes::{BufMut, Bytes};
use serde::{Deserialize, Serialize};

use crate::model::event::Event;
use crate::model::id::{ChannelId, Epoch, Seq};

/// The version of the envelopes that this module reads and writes.
const VERSION: u8 = 1;

/// The bytes of an envelope without items.
pub(crate) const HEADER: usize = 1 + 3 * 8;

/// The bytes of an item without its body.
const ITEM_HEADER: usize = 1 + 4;

/// A running chat: a random number, new at each start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct NodeId(pub(crate) u64);

impl NodeId {
    pub(crate) fn random() -> Self {
        Self(getrandom::u64().expect("invariant: the system has a source of randomness"))
    }
}

/// An epoch in eight bytes: the 64-bit FNV-1a hash of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochHash(u64);

impl EpochHash {
    pub(crate) fn of(epoch: &Epoch) -> Self {
        let hash = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(epoch.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, hash))
    }
}

/// The kinds of items.
mod kind {
    pub(super) const HEAD: u8 = 1;
    pub(super) const EVENT: u8 = 2;
    pub(super) const BEAT: u8 = 3;
    pub(super) const NOTICE: u8 = 4;
}

/// One encoded item.
#[derive(Clone, Debug)]
pub(crate) struct Encoded(Vec<u8>);

impl Encoded {
    /// A channel's log has reached this `seq`.
    pub(crate) fn head(channel: ChannelId, epoch: EpochHash, seq: Seq) -> Self {
        Self::item(kind::HEAD, 24, |out| place(out, channel, epoch, seq))
    }

    /// An event was stored.
    pub(crate) fn event(channel: ChannelId, epoch: EpochHash, event: &Event) -> Self {
        Self::item(kind::EVENT, 280, |out| {
            place(out, channel, epoch, event.seq);
            json(out, event);
        })
    }

    /// Anything that is encoded as JSON.
    pub(crate) fn beat(beat: &impl Serialize) -> Self {
        Self::item(kind::BEAT, 64, |out| json(out, beat))
    }

    /// Anything that is encoded as JSON.
    pub(crate) fn notice(notice: &impl Serialize) -> Self {
        Self::item(kind::NOTICE, 96, |out| json(out, notice))
    }

    fn item(kind: u8, room: usize, body: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut out = Vec::with_capacity(ITEM_HEADER + room);
        out.put_u8(kind);
        out.put_u32_le(0);
        body(&mut out);
        let len = u32::try_from(out.len() - ITEM_HEADER).expect("invariant: an event is far below 4 GiB");
        out[1..ITEM_HEADER].copy_from_slice(&len.to_le_bytes());
        Self(out)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn place(out: &mut Vec<u8>, ChannelId(channel): ChannelId, EpochHash(epoch): EpochHash, seq: Seq) {
    [channel, epoch, seq].into_iter().for_each(|number| out.put_u64_le(number));
}

fn json(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("invariant: the items are JSON, and memory takes it");
}

/// Encodes an envelope.
pub(crate) fn encode<'a>(
    NodeId(node): NodeId,
    number: u64,
    sent_ms: u64,
    items: impl Iterator<Item = &'a Encoded> + Clone,
) -> Bytes {
    let mut out = Vec::with_capacity(HEADER + items.clone().map(Encoded::len).sum::<usize>());
    out.put_u8(VERSION);
    [node, number, sent_ms].into_iter().for_each(|number| out.put_u64_le(number));
    items.for_each(|Encoded(item)| out.put_slice(item));
    out.into()
}

/// A received envelope.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) node: NodeId,
    pub(crate) number: u64,
    pub(crate) sent_ms: u64,
    items: &'a [u8],
}

/// A received item.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Item<'a> {
    Head { channel: ChannelId, epoch: EpochHash, seq: Seq },
    Event { channel: ChannelId, epoch: EpochHash, seq: Seq, event: Json<'a> },
    Beat(Json<'a>),
    Notice(Json<'a>),
}

/// A value that was not read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Json<'a>(&'a [u8]);

impl Json<'_> {
    /// Reads the value. Returns `None` if it is not one that this version knows.
    pub(crate) fn read<T: for<'de> Deserialize<'de>>(self) -> Option<T> {
        serde_json::from_slice(self.0).ok()
    }
}

impl<'a> Envelope<'a> {
    /// Reads an envelope. Returns `None` if it is not one, or one of another version.
    pub(crate) fn read(mut bytes: &'a [u8]) -> Option<Self> {
        if take(&mut bytes, 1)? != [VERSION] {
            return None;
        }
        let node = NodeId(number(&mut bytes)?);
        Some(Self { node, number: number(&mut bytes)?, sent_ms: number(&mut bytes)?, items: bytes })
    }

    /// Returns the items of known kinds, up to the first that is cut short.
    pub(crate) fn items(self) -> impl Iterator<Item = Item<'a>> {
        let mut rest = self.items;
        let next = move || {
            let kind = *take(&mut rest, 1)?.first()?;
            let len = take(&mut rest, 4)?.try_into().map(u32::from_le_bytes).ok()?;
            Some(item(kind, take(&mut rest, usize::try_from(len).ok()?)?))
        };
        std::iter::from_fn(next).flatten()
    }
}

fn item(kind: u8, mut body: &[u8]) -> Option<Item<'_>> {
    let place = |body: &mut &[u8]| Some((ChannelId(number(body)?), EpochHash(number(body)?), number(body)?));
    match kind {
        kind::HEAD => {
            let (channel, epoch, seq) = place(&mut body)?;
            Some(Item::Head { channel, epoch, seq })
        }
        kind::EVENT => {
            let (channel, epoch, seq) = place(&mut body)?;
            Some(Item::Event { channel, epoch, seq, event: Json(body) })
        }
        kind::BEAT => Some(Item::Beat(Json(body))),
        kind::NOTICE => Some(Item::Notice(Json(body))),
        _ => None,
    }
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes, 8)?.try_into().map(u64::from_le_bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::EventKind;
    use crate::model::message::User;
    use crate::model::time::Timestamp;

    const NODE: NodeId = NodeId(7);

    fn event() -> Event {
        let by = User::new("u_ann", "Änn").unwrap();
        Event { seq: 9, at: Timestamp::from_millis(5), kind: EventKind::Deleted { target: 3, by } }
    }

    fn items() -> [Encoded; 4] {
        let epoch = EpochHash::of(&Epoch::new("e").unwrap());
        [
            Encoded::head(ChannelId(4), epoch, 8),
            Encoded::event(ChannelId(5), epoch, &event()),
            Encoded::beat(&[1, 2]),
            Encoded::notice(&"typing"),
        ]
    }

    #[test]
    fn an_envelope_reads_back_as_written() {
        let bytes = encode(NODE, 3, 11, items().iter());
        let envelope = Envelope::read(&bytes).unwrap();
        assert_eq!((envelope.node, envelope.number, envelope.sent_ms), (NODE, 3, 11));
        let read: Vec<_> = envelope.items().collect();
        assert!(matches!(read[0], Item::Head { channel: ChannelId(4), seq: 8, .. }));
        let Item::Event { channel: ChannelId(5), seq: 9, event: json, .. } = read[1] else {
            panic!("{read:?}")
        };
        assert_eq!(json.read(), Some(event()));
        let (Item::Beat(beat), Item::Notice(notice)) = (read[2], read[3]) else { panic!("{read:?}") };
        assert_eq!((beat.read(), notice.read()), (Some([1, 2]), Some("typing".to_owned())));
        assert_eq!(read.len(), 4);
    }

    #[test]
    fn items_of_a_later_version_are_skipped() {
        let [head, event, ..] = items();
        let unknown = Encoded::item(200, 3, |out| out.put_slice(b"abc"));
        let short = Encoded::item(kind::HEAD, 3, |out| out.put_slice(b"abc"));
        let bytes = encode(NODE, 1, 0, [head, unknown, short, event].iter());
        assert_eq!(Envelope::read(&bytes).unwrap().items().count(), 2);
        let mut later = bytes.to_vec();
        later[0] = 2;
        assert!(Envelope::read(&later).is_none());
    }

    #[test]
    fn an_envelope_that_is_cut_short_ends_before_the_cut() {
        let bytes = encode(NODE, 1, 0, items().iter());
        for len in 0..bytes.len() {
            let count = Envelope::read(&bytes[..len]).map_or(0, |envelope| envelope.items().count());
            assert!(count < 4, "{len} bytes");
        }
    }
}
