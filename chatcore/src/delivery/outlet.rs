//! The short way out: a transport lets the fan-out write to its socket, with no task in between.

use std::any::TypeId;
use std::fmt::Debug;

use bytes::Bytes;

/// Frames of one burst: what one write carries to each subscriber.
pub(crate) const BURST_FRAMES: usize = 64;

/// Bytes after which a burst takes no further frame.
const BURST_BYTES: usize = 48 * 1024;

/// A transport's socket, as the fan-out writes to it.
///
/// A connection that has an outlet ([`Connection::set_outlet`](crate::Connection::set_outlet)) is written to
/// from the fan-out as long as its socket takes everything; its own task runs only for the rest. A transport
/// has one lock around its socket and what waits to be written to it. Its task holds that lock from before it
/// calls [`poll_outgoing`](crate::Connection::poll_outgoing) until what came out is written or queued; an
/// outlet only tries the lock. So nothing overtakes an answer, and no fan-out waits for a connection. An outlet
/// does not wait: a shard of the channel's subscribers is served by the same call. One that panics loses its
/// connection.
pub trait Outlet: Debug + Send + Sync + 'static {
    /// Tries to write the burst, without waiting.
    fn try_send(&self, burst: &mut Burst) -> Sent;
}

/// How much of a burst went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// All of it.
    All,
    /// Its beginning. The transport keeps the rest, and its task is woken to write it.
    Partial,
    /// Nothing: the socket takes nothing now, something else waits to be written, or the lock is taken. The
    /// task is woken, and finds the frames in [`poll_outgoing`](crate::Connection::poll_outgoing).
    Nothing,
}

/// How a transport writes a frame.
pub trait Framing: 'static {
    /// Appends the frame as it goes over the wire.
    fn write(frame: &Bytes, wire: &mut Vec<u8>);
}

/// Frames that many connections get alike, at least one, and their bytes on the wire, made once for all of them.
#[derive(Debug, Default)]
pub struct Burst {
    frames: Vec<Bytes>,
    /// A transport or two: those of one channel's subscribers.
    wires: Vec<Wire>,
}

#[derive(Debug)]
struct Wire {
    framing: TypeId,
    bytes: Vec<u8>,
}

impl Burst {
    /// Makes a burst of frames.
    #[must_use]
    pub fn new(frames: Vec<Bytes>) -> Self {
        Self { frames, wires: Vec::new() }
    }

    /// Returns the frames, for a transport to keep those that it could not write.
    #[must_use]
    pub fn frames(&self) -> &[Bytes] {
        &self.frames
    }

    /// Returns the frames as `F` writes them, one behind the other.
    pub fn wire<F: Framing>(&mut self) -> &[u8] {
        let framing = TypeId::of::<F>();
        let at = self.wires.iter().position(|wire| wire.framing == framing).unwrap_or_else(|| {
            self.wires.push(Wire { framing, bytes: Vec::new() });
            self.wires.len() - 1
        });
        let bytes = &mut self.wires[at].bytes;
        if bytes.is_empty() {
            self.frames.iter().for_each(|frame| F::write(frame, bytes));
        }
        bytes
    }

    /// Empties the burst for the frames that `fill` adds; returns how many of them it takes, which is at
    /// least one where there are any.
    pub(crate) fn refill<R>(&mut self, fill: impl FnOnce(&mut Vec<Bytes>) -> R) -> (R, usize) {
        self.clear();
        let filled = fill(&mut self.frames);
        let mut bytes = 0;
        let fits = self.frames.iter().take_while(|frame| {
            let first = bytes == 0;
            bytes += frame.len();
            first || bytes <= BURST_BYTES
        });
        let count = fits.count();
        self.frames.truncate(count);
        (filled, count)
    }

    /// Lets the frames go. The buffers stay, for the next ones.
    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        self.clear_wires();
    }

    /// Has the bytes made anew.
    pub(crate) fn clear_wires(&mut self) {
        self.wires.iter_mut().for_each(|wire| wire.bytes.clear());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Lines;

    impl Framing for Lines {
        fn write(frame: &Bytes, wire: &mut Vec<u8>) {
            wire.extend_from_slice(frame);
            wire.push(b'\n');
        }
    }

    struct Counted;

    impl Framing for Counted {
        fn write(frame: &Bytes, wire: &mut Vec<u8>) {
            wire.push(frame.len() as u8);
            wire.extend_from_slice(frame);
        }
    }

    #[test]
    fn each_transport_has_its_bytes_and_no_burst_has_those_of_the_one_before() {
        let mut burst = Burst::default();
        for (one, two) in [("a", "bc"), ("", "d")] {
            burst.refill(|frames| frames.extend([one, two].map(|text| Bytes::from_static(text.as_bytes()))));
            for _ in 0..2 {
                assert_eq!(burst.wire::<Lines>(), format!("{one}\n{two}\n").as_bytes());
                let counted =
                    [&[one.len() as u8], one.as_bytes(), &[two.len() as u8], two.as_bytes()].concat();
                assert_eq!(burst.wire::<Counted>(), counted);
            }
        }
    }

    #[test]
    fn a_burst_is_bounded_in_bytes_but_takes_one_frame_of_any_size() {
        let frames =
            |sizes: &[usize]| sizes.iter().map(|size| vec![b'x'; *size].into()).collect::<Vec<Bytes>>();
        let mut burst = Burst::default();
        let mut taken = |sizes: &[usize]| burst.refill(|out| out.extend(frames(sizes))).1;
        assert_eq!(taken(&[]), 0);
        assert_eq!(taken(&[2 * BURST_BYTES, 1]), 1);
        assert_eq!(taken(&[BURST_BYTES - 1, 1, 1]), 2);
    }
}
