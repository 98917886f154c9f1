//! What nodes tell each other, for a fuzzer.

use crate::bus::envelope::{Encoded, Envelope, Item, encode};
use crate::engine::nodes::notice::Notice;
use crate::model::event::Event;

/// Reads an envelope as another node may have sent it, and writes again what was understood. Returns the number of items
/// and the bytes, or `None` if it is not an envelope.
#[must_use]
pub fn rewrite_envelope(bytes: &[u8]) -> Option<(usize, Vec<u8>)> {
    let envelope = Envelope::read(bytes)?;
    let item = |item| match item {
        Item::Head { channel, epoch, seq } => Some(Encoded::head(channel, epoch, seq)),
        Item::Event { channel, epoch, event, .. } => {
            event.read::<Event>().map(|event| Encoded::event(channel, epoch, &event))
        }
        Item::Notice(notice) => notice.read::<Notice>().map(|notice| Encoded::notice(&notice)),
        Item::Beat(beat) => beat.read::<serde_json::Value>().map(|beat| Encoded::beat(&beat)),
    };
    let items: Vec<_> = envelope.items().filter_map(item).collect();
    let written = encode(envelope.node, envelope.number, envelope.sent_ms, items.iter());
    Some((items.len(), written.into()))
}
