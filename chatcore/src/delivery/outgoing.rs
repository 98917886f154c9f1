//! The frames that a connection's task takes for its socket. [`outlet`](crate::delivery::outlet) is the way without a task.

use bytes::Bytes;

use crate::protocol::{Encoded, Reader};

/// Where [`Connection::poll_outgoing`](crate::transport::Connection::poll_outgoing) puts text frames, in their order: a
/// list of them, or a transport's own buffer.
///
/// ```
/// use bytes::Bytes;
/// use chatcore::transport::Outgoing;
///
/// /// Each frame after its length in four bytes.
/// #[derive(Default)]
/// struct Wire(Vec<u8>);
///
/// impl Outgoing for Wire {
///     fn push(&mut self, frame: Bytes) {
///         self.write(frame.len(), &mut |out| out.extend_from_slice(&frame));
///     }
///
///     fn write(&mut self, len: usize, encode: &mut dyn FnMut(&mut Vec<u8>)) {
///         self.0.extend_from_slice(&(len as u32).to_be_bytes());
///         encode(&mut self.0);
///     }
/// }
///
/// let mut wire = Wire::default();
/// wire.push(Bytes::from_static(b"ok"));
/// assert_eq!(wire.0, b"\0\0\0\x02ok");
/// ```
pub trait Outgoing {
    /// Takes a frame. Other connections may share its bytes.
    fn push(&mut self, frame: Bytes);

    /// Takes a frame of `len` bytes. `encode` appends exactly these bytes to a buffer.
    fn write(&mut self, len: usize, encode: &mut dyn FnMut(&mut Vec<u8>));
}

impl Outgoing for Vec<Bytes> {
    fn push(&mut self, frame: Bytes) {
        Self::push(self, frame);
    }

    fn write(&mut self, len: usize, encode: &mut dyn FnMut(&mut Vec<u8>)) {
        let mut frame = Vec::with_capacity(len);
        encode(&mut frame);
        Self::push(self, frame.into());
    }
}

/// A frame of an event up to this size is copied for each connection, which costs less than to share it.
const COPIED: usize = 1_024;

/// The frames that one poll takes, up to a number of bytes. The first frame always fits.
pub(crate) struct Taken<'a> {
    to: &'a mut dyn Outgoing,
    count: usize,
    /// The bytes that are left.
    room: usize,
}

impl<'a> Taken<'a> {
    /// Puts frames of about `room` bytes into `to`.
    pub(crate) fn new(to: &'a mut dyn Outgoing, room: usize) -> Self {
        Self { to, count: 0, room }
    }

    /// Returns the number of frames.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn is_full(&self) -> bool {
        self.room == 0 && self.count > 0
    }

    /// Returns whether a frame of `len` bytes fits. The first one always does.
    pub(crate) fn fits(&self, len: usize) -> bool {
        len <= self.room || self.count == 0
    }

    /// Adds a frame, even if it does not fit.
    pub(crate) fn push(&mut self, frame: Bytes) {
        self.spend(frame.len());
        self.to.push(frame);
    }

    /// Adds a frame of `len` bytes that `encode` appends to a buffer, even if it does not fit.
    pub(crate) fn write(&mut self, len: usize, encode: &mut dyn FnMut(&mut Vec<u8>)) {
        self.spend(len);
        self.to.write(len, encode);
    }

    /// Adds the frame of an event as `reader` reads it, if it fits. Returns whether it does.
    pub(crate) fn take(&mut self, frame: &Encoded, reader: Reader<'_>) -> bool {
        let variant = frame.variant(reader);
        let len = frame.len(variant);
        let fits = self.fits(len);
        if fits && len > COPIED && frame.as_held(variant).is_some() {
            self.push(frame.bytes(variant));
        } else if fits {
            self.write(len, &mut |out| frame.write(variant, out));
        }
        fits
    }

    fn spend(&mut self, len: usize) {
        self.room = self.room.saturating_sub(len);
        self.count += 1;
    }
}
