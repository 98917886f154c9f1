//! The rows of the file, for fuzzers.
//!
//! Only with the feature `testkit`. It is not part of the API: it changes with the layout.

use chatcore::Message;
use chatcore::store::{ChannelInfo, Event, Member, Upload};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::schema::{Log, decode, encode};

/// The type of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Row {
    /// A channel's name and topic.
    Channel,
    /// The state of a channel's log.
    Log,
    /// An event of a log.
    Event,
    /// A message with its edits applied.
    Message,
    /// An uploaded file.
    Upload,
    /// A member of a channel.
    Member,
}

impl Row {
    /// Every kind of row.
    pub const KINDS: [Self; 6] =
        [Self::Channel, Self::Log, Self::Event, Self::Message, Self::Upload, Self::Member];
}

/// Decodes a row as the store does, and returns it encoded again.
///
/// # Errors
/// If the bytes are not a valid row of this type.
pub fn read_row(row: Row, bytes: &[u8]) -> Result<Vec<u8>, String> {
    match row {
        Row::Channel => rewritten::<ChannelInfo>(bytes),
        Row::Log => rewritten::<Log>(bytes),
        Row::Event => rewritten::<Event>(bytes),
        Row::Message => rewritten::<Message>(bytes),
        Row::Upload => rewritten::<Upload>(bytes),
        Row::Member => rewritten::<Member>(bytes),
    }
}

fn rewritten<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let row: T = decode(bytes).map_err(|error| error.to_string())?;
    encode(&row).map_err(|error| error.to_string())
}
