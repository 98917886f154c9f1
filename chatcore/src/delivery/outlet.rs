//! The short way to a socket: the fan-out writes to it, without waking the connection's task.

use std::any::TypeId;
use std::fmt::Debug;

use bytes::Bytes;

/// The most frames of a burst, which is one write to each subscriber.
pub(crate) const BURST_FRAMES: usize = 64;

/// The number of bytes after which a burst takes no further frame.
const BURST_BYTES: usize = 48 * 1024;

/// A transport's socket, for the fan-out to write to.
///
/// If a connection has an outlet ([`Connection::set_outlet`](crate::transport::Connection::set_outlet)), the fan-out writes
/// to it while its socket accepts everything. The connection's own task runs only for the rest. A transport must
/// do this:
///
/// - It has one lock around its socket and the bytes that wait to be written.
/// - Its task holds the lock from before it calls [`poll_outgoing`](crate::transport::Connection::poll_outgoing) until the
///   result is written or queued.
/// - An outlet only tries the lock. So nothing overtakes an answer, and the fan-out never waits for a connection.
/// - An outlet does not wait otherwise: the same call serves a whole shard of subscribers.
///
/// An outlet that panics loses its connection.
///
/// ```
/// use std::collections::VecDeque;
/// use std::io::Write;
/// use std::net::TcpStream;
/// use std::sync::Mutex;
///
/// use bytes::Bytes;
/// use chatcore::transport::{Burst, Framing, Outlet, Sent};
///
/// /// A frame is a line.
/// struct Lines;
///
/// impl Framing for Lines {
///     fn write(frame: &Bytes, wire: &mut Vec<u8>) {
///         wire.extend_from_slice(frame);
///         wire.push(b'\n');
///     }
/// }
///
/// /// A socket that does not block, and the bytes that it has not taken yet.
/// #[derive(Debug)]
/// struct Socket(Mutex<(TcpStream, VecDeque<u8>)>);
///
/// impl Outlet for Socket {
///     fn try_send(&self, burst: &mut Burst) -> Sent {
///         let Ok(mut socket) = self.0.try_lock() else { return Sent::Nothing };
///         let (stream, rest) = &mut *socket;
///         if !rest.is_empty() {
///             return Sent::Nothing;
///         }
///         let wire = burst.wire::<Lines>();
///         match stream.write(wire) {
///             Ok(0) | Err(_) => Sent::Nothing,
///             Ok(written) if written == wire.len() => Sent::All,
///             Ok(written) => {
///                 rest.extend(&wire[written..]);
///                 Sent::Partial
///             }
///         }
///     }
/// }
/// ```
pub trait Outlet: Debug + Send + Sync + 'static {
    /// Tries to write the burst, without waiting.
    fn try_send(&self, burst: &mut Burst) -> Sent;
}

/// How much of a burst was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sent {
    /// All of it.
    All,
    /// A part. The transport keeps the rest, and its task is woken to write it.
    Partial,
    /// Nothing: the socket accepts nothing, something else waits to be written, or the lock is taken. The task is
    /// woken, and finds the frames in [`poll_outgoing`](crate::transport::Connection::poll_outgoing).
    Nothing,
}

/// How a transport writes a frame.
pub trait Framing: 'static {
    /// Appends the frame's bytes on the wire.
    fn write(frame: &Bytes, wire: &mut Vec<u8>);
}

/// One or more frames for many connections, and their bytes on the wire, encoded once for all.
#[derive(Debug, Default)]
pub struct Burst {
    frames: Vec<Bytes>,
    /// One or two transports: those of a channel's subscribers.
    wires: Vec<Wire>,
}

#[derive(Debug)]
struct Wire {
    framing: TypeId,
    bytes: Vec<u8>,
}

impl Burst {
    /// Returns a burst of frames.
    #[must_use]
    pub fn new(frames: Vec<Bytes>) -> Self {
        Self { frames, wires: Vec::new() }
    }

    /// Returns the frames, so that a transport can keep those that it could not write.
    #[must_use]
    pub fn frames(&self) -> &[Bytes] {
        &self.frames
    }

    /// Returns the frames as `F` writes them, one after the other.
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

    /// Empties the burst and adds the frames of `fill`. Returns how many of them it takes, at least one if there
    /// is one.
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

    /// Drops the frames. The buffers stay for the next ones.
    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        self.clear_wires();
    }

    /// Drops the encoded bytes.
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
