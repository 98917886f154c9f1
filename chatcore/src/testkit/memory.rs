//! The memory that bursts, a bus and a consumer cost a node.

use crate::bus::{BusEvent, BusLimits, Feed, sender};
use crate::channel::{append, reorder};
use crate::connection::joined;
use crate::delivery::outlet;
use crate::engine::consumers::{CHANNELS, PAGE_BYTES};
use crate::engine::nodes::{channels, endings, roster};
use crate::limits::Limits;
use crate::model::id::ChannelId;

/// The bytes of a note of another node, which waits in a queue and then in a list.
const NEWS: usize = 80;

/// The bytes of a channel's head in the queue to the other nodes.
const HEAD: usize = 64;

/// The bytes of a subscription in the list that is sent to the other nodes.
const SUBSCRIPTION: usize = 96;

/// The bytes of an ending in the queue to the store. Its names have at most some hundred bytes.
const ENDING: usize = 512;

/// The largest event: 8,000 characters, ten files with long names, and a thousand people who were here.
const EVENT: usize = 160 << 10;

/// Returns the most bytes that a burst holds, if the frame of the largest event has `frame` bytes. Each task of the
/// fan-out has a burst, and so has each append group.
#[must_use]
pub fn burst_memory(frame: usize) -> usize {
    outlet::most_bytes(frame)
}

/// Returns the most bytes for the channels that connections remember as joined, beyond a few each. A list that grows has
/// half of its room in use, and is copied.
#[must_use]
pub const fn joined_memory() -> usize {
    3 * joined::TOTAL * size_of::<ChannelId>()
}

/// Returns the most bytes that an open consumer holds: a batch, and the channels that it was read from.
#[must_use]
pub fn consumer_memory(limits: &Limits) -> usize {
    limits.consumer_bytes + CHANNELS * EVENT + PAGE_BYTES
}

/// Returns the most bytes that a node holds because it has a bus, by part, beside what the adapter of the bus holds.
#[must_use]
pub fn bus_memory(limits: &Limits, bus: &BusLimits) -> Vec<(&'static str, usize)> {
    let group = append::NEWS_BYTES + append::NEWS * NEWS + reorder::TOTAL;
    // Those that wait in the queue, and those that the task has taken from it.
    let endings = 2 * endings::WAITING * ENDING + endings::REMEMBERED * size_of::<[u64; 4]>();
    vec![
        ("events of the other nodes", limits.append_groups * group),
        ("what waits to be told", sender::WAITING + 2 * bus.max_bytes + limits.loaded_channels * HEAD),
        (
            "what the bus has received and this node has not read",
            Feed::BYTES + Feed::EVENTS * size_of::<BusEvent>(),
        ),
        (
            "who is online here, as told to the others",
            roster::BYTES + limits.subscriptions_total * SUBSCRIPTION,
        ),
        ("sign-outs and new channels", endings + channels::REMEMBERED * size_of::<[u64; 8]>()),
    ]
}

/// Returns the most bytes that a node holds of each other node: who is online there, and an answer that lists them.
#[must_use]
pub const fn peer_memory() -> usize {
    2 * roster::BYTES
}
