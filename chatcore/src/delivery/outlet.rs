//! How the fan-out writes to a socket itself, without waking the connection's task.

use std::any::TypeId;
use std::fmt::Debug;

use bytes::Bytes;

use crate::model::id::UserId;
use crate::protocol::{Encoded, Form, Marks, Reader, Variant};

/// The most frames of a burst, which is one write to each subscriber.
pub(crate) const BURST_FRAMES: usize = 64;

/// The number of bytes after which a burst takes no further frame.
const BURST_BYTES: usize = 48 * 1024;

/// The number of [variants](Variant) in which a burst is written.
const VARIANTS: usize = 3;

/// Returns the most bytes that a burst holds, if its largest frame has `frame` bytes with its header, and its channel's
/// subscribers have two transports.
///
/// In each variant, each transport has its wire, whose buffer grows by doubling, and a copy for the connections that keep
/// a part of it. The spare frame's buffer grows in the same way. The frames themselves may be out of the ring by now. The
/// rest are the entries of the lists of frames.
#[cfg(any(test, feature = "testkit"))]
pub(crate) fn most_bytes(frame: usize) -> usize {
    const TRANSPORTS: usize = 2;
    const HEADER: usize = 10;
    let wire = frame.max(BURST_BYTES + BURST_FRAMES * HEADER);
    let entries = BURST_FRAMES * (size_of::<Encoded>() + VARIANTS * size_of::<Bytes>());
    VARIANTS * TRANSPORTS * (2 * wire + wire) + 2 * wire + wire + entries
}

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
/// use chatcore::transport::{Burst, Framing, Outlet, Sent};
///
/// /// A frame is a line.
/// struct Lines;
///
/// impl Framing for Lines {
///     fn write(frame: &[u8], wire: &mut Vec<u8>) {
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
    fn write(frame: &[u8], wire: &mut Vec<u8>);
}

/// One or more frames for many connections, and their bytes on the wire.
///
/// Connections read messages in different [forms](crate::protocol::Form), and the author of a lean one reads its nonce.
/// Before each call of an outlet, the fan-out sets how its connection reads the frames. The bytes are made once for all
/// connections with the same transport that read them in the same way.
#[derive(Debug, Default)]
pub struct Burst {
    encoded: Vec<Encoded>,
    /// The marks of the messages' authors.
    authors: Marks,
    /// How the current connection reads the frames.
    variant: Variant,
    /// The user for whom `written` has the variant [`Own`](Variant::Own).
    author: Option<UserId>,
    written: [Written; VARIANTS],
    /// For a frame whose variant is not held in one piece.
    spare: Vec<u8>,
}

/// The frames in one variant.
#[derive(Debug, Default)]
struct Written {
    /// Each by itself, once a transport has asked for them.
    frames: Vec<Bytes>,
    /// One or two transports: those of a channel's subscribers.
    wires: Vec<Wire>,
}

#[derive(Debug)]
struct Wire {
    framing: TypeId,
    bytes: Vec<u8>,
    /// A copy for the transports that keep a part of the bytes.
    shared: Option<Bytes>,
}

impl Burst {
    /// Returns a burst of frames, which all connections read in the same form.
    #[must_use]
    pub fn new(frames: &[Bytes]) -> Self {
        Self { encoded: frames.iter().map(|frame| Encoded::same(frame)).collect(), ..Self::default() }
    }

    /// Returns the frames as the connection reads them, so that a transport can keep those that it could not write.
    #[must_use]
    pub fn frames(&mut self) -> &[Bytes] {
        let Self { encoded, variant, author, written, .. } = self;
        let frames = &mut written[*variant as usize].frames;
        if frames.is_empty() {
            frames.extend(
                encoded.iter().map(|frame| frame.bytes(variant_of(frame, *variant, author.as_ref()))),
            );
        }
        frames
    }

    /// Returns the frames as the connection reads them and `F` writes them, one after the other.
    pub fn wire<F: Framing>(&mut self) -> &[u8] {
        let at = self.made::<F>();
        &self.written[self.variant as usize].wires[at].bytes
    }

    /// Returns the bytes of [`wire`](Self::wire) for a transport to keep. They are copied once for all that do.
    pub fn shared_wire<F: Framing>(&mut self) -> Bytes {
        let at = self.made::<F>();
        let Wire { bytes, shared, .. } = &mut self.written[self.variant as usize].wires[at];
        shared.get_or_insert_with(|| Bytes::copy_from_slice(bytes)).clone()
    }

    /// Returns the place of a wire whose bytes are made.
    #[inline]
    fn made<F: Framing>(&mut self) -> usize {
        let framing = TypeId::of::<F>();
        let wires = &self.written[self.variant as usize].wires;
        let made = wires.iter().position(|wire| wire.framing == framing && !wire.bytes.is_empty());
        made.unwrap_or_else(|| self.make::<F>())
    }

    /// Makes the bytes of the current variant, and returns the place of their wire. Most recipients find them made.
    #[cold]
    fn make<F: Framing>(&mut self) -> usize {
        let Self { encoded, variant, author, written, spare, .. } = self;
        let framing = TypeId::of::<F>();
        let wires = &mut written[*variant as usize].wires;
        let at = wires.iter().position(|wire| wire.framing == framing).unwrap_or_else(|| {
            wires.push(Wire { framing, bytes: Vec::new(), shared: None });
            wires.len() - 1
        });
        for frame in encoded {
            let variant = variant_of(frame, *variant, author.as_ref());
            if let Some(held) = frame.as_held(variant) {
                F::write(held, &mut wires[at].bytes);
            } else {
                spare.clear();
                frame.write(variant, spare);
                F::write(spare, &mut wires[at].bytes);
            }
        }
        at
    }

    /// Sets the reader of the next calls.
    #[inline]
    pub(crate) fn write_for(&mut self, reader: Reader<'_>) {
        self.variant = match reader.form {
            Form::Full => Variant::Full,
            Form::Lean if self.authors.may_have(reader.mark) && self.is_by(reader.user) => Variant::Own,
            Form::Lean => Variant::Lean,
        };
    }

    /// Returns whether a message is by this user. If so, the variant [`Own`](Variant::Own) is theirs from now on.
    #[cold]
    fn is_by(&mut self, user: &UserId) -> bool {
        if self.author.as_ref() == Some(user) {
            return true;
        }
        let is_by = self.encoded.iter().any(|frame| frame.is_by(user));
        if is_by {
            self.written[Variant::Own as usize].clear();
            self.author = Some(user.clone());
        }
        is_by
    }

    /// Empties the burst and adds the frames of `fill`. Returns how many of them it takes, at least one if there
    /// is one.
    pub(crate) fn refill<R>(&mut self, fill: impl FnOnce(&mut Vec<Encoded>) -> R) -> (R, usize) {
        if !self.encoded.is_empty() {
            self.clear();
        }
        let filled = fill(&mut self.encoded);
        let mut bytes = 0;
        let fits = self.encoded.iter().take_while(|frame| {
            let first = bytes == 0;
            bytes += frame.len(Variant::Full);
            first || bytes <= BURST_BYTES
        });
        let count = fits.count();
        self.encoded.truncate(count);
        self.encoded.iter().filter_map(Encoded::author_mark).for_each(|mark| self.authors.add(mark));
        (filled, count)
    }

    /// Drops the frames. The buffers stay for the next ones.
    pub(crate) fn clear(&mut self) {
        self.encoded.clear();
        (self.authors, self.author) = (Marks::default(), None);
        self.clear_written();
    }

    /// Drops the written bytes.
    pub(crate) fn clear_written(&mut self) {
        self.written.iter_mut().for_each(Written::clear);
    }
}

impl Written {
    /// Drops the bytes. The buffers stay for the next ones.
    fn clear(&mut self) {
        self.frames.clear();
        for wire in &mut self.wires {
            wire.bytes.clear();
            wire.shared = None;
        }
    }
}

/// Returns how a frame is written in a burst's variant. In [`Own`](Variant::Own), only the messages of `author` are.
fn variant_of(frame: &Encoded, variant: Variant, author: Option<&UserId>) -> Variant {
    match variant {
        Variant::Own if !author.is_some_and(|author| frame.is_by(author)) => Variant::Lean,
        variant => variant,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{Content, Event, EventKind};
    use crate::model::id::Nonce;
    use crate::model::message::User;
    use crate::model::name::ChannelName;
    use crate::model::time::Timestamp;
    use crate::protocol::Encoder;

    struct Lines;

    impl Framing for Lines {
        fn write(frame: &[u8], wire: &mut Vec<u8>) {
            wire.extend_from_slice(frame);
            wire.push(b'\n');
        }
    }

    struct Counted;

    impl Framing for Counted {
        fn write(frame: &[u8], wire: &mut Vec<u8>) {
            wire.push(frame.len() as u8);
            wire.extend_from_slice(frame);
        }
    }

    fn same(frame: &[u8]) -> Encoded {
        Encoded::same(frame)
    }

    #[test]
    fn each_transport_has_its_bytes_and_no_burst_has_those_of_the_one_before() {
        let mut burst = Burst::default();
        for (one, two) in [("a", "bc"), ("", "d")] {
            burst.refill(|frames| frames.extend([one, two].map(|text| same(text.as_bytes()))));
            for _ in 0..2 {
                assert_eq!(burst.wire::<Lines>(), format!("{one}\n{two}\n").as_bytes());
                let counted =
                    [&[one.len() as u8], one.as_bytes(), &[two.len() as u8], two.as_bytes()].concat();
                assert_eq!(burst.wire::<Counted>(), counted);
                let kept = burst.shared_wire::<Counted>();
                assert_eq!(kept, counted);
                assert_eq!(kept.as_ptr(), burst.shared_wire::<Counted>().as_ptr(), "one copy for all");
            }
        }
    }

    /// Returns a message with a text of one's own name, which is its nonce too.
    fn message(author: &str) -> Encoded {
        message_of(author, author)
    }

    fn message_of(author: &str, text: &str) -> Encoded {
        let user = User::new(&format!("u_{author}"), author).unwrap();
        let content = Content::new(user, Nonce::new(author).unwrap(), text);
        let event = Event::new(1, Timestamp::from_millis(0), EventKind::Message(content));
        Encoder::new("").event(&ChannelName::new("a").unwrap(), &event).0
    }

    #[test]
    fn a_burst_has_the_bytes_of_each_form_and_an_authors_nonces() {
        let mut burst = Burst::default();
        burst.refill(|frames| frames.extend(["ann", "bob", "ann"].map(message)));
        let mut nonces = |form, user: &str| {
            let user = UserId::new(format!("u_{user}")).unwrap();
            burst.write_for(Reader::new(form, &user));
            let frames: Vec<Bytes> = burst.frames().to_vec();
            assert_eq!(burst.wire::<Lines>(), [&frames.join(&b'\n')[..], b"\n"].concat());
            let nonce = |frame: &Bytes| {
                let frame: serde_json::Value = serde_json::from_slice(frame).unwrap();
                frame["nonce"].as_str().map(str::to_owned)
            };
            frames.iter().map(|frame| nonce(frame).unwrap_or_default()).collect::<Vec<_>>()
        };
        for _ in 0..2 {
            assert_eq!(nonces(Form::Full, "cid"), ["ann", "bob", "ann"]);
            assert_eq!(nonces(Form::Lean, "ann"), ["ann", "", "ann"]);
            assert_eq!(nonces(Form::Lean, "bob"), ["", "bob", ""]);
            for n in 0..100 {
                assert_eq!(
                    nonces(Form::Lean, &n.to_string()),
                    ["", "", ""],
                    "some have the mark of an author"
                );
            }
        }
    }

    #[test]
    fn a_burst_is_bounded_in_bytes_but_takes_one_frame_of_any_size() {
        let frames =
            |sizes: &[usize]| sizes.iter().map(|size| same(&vec![b'x'; *size])).collect::<Vec<Encoded>>();
        let mut burst = Burst::default();
        let mut taken = |sizes: &[usize]| burst.refill(|out| out.extend(frames(sizes))).1;
        assert_eq!(taken(&[]), 0);
        assert_eq!(taken(&[2 * BURST_BYTES, 1]), 1);
        assert_eq!(taken(&[BURST_BYTES - 1, 1, 1]), 2);
    }

    /// Returns the bytes that a burst holds. In the lean variant, the frames share those of `encoded`.
    fn held(burst: &Burst) -> usize {
        let Burst { encoded, written, spare, .. } = burst;
        let entries = |written: &Written| written.frames.capacity() * size_of::<Bytes>();
        let lists = encoded.capacity() * size_of::<Encoded>() + written.iter().map(entries).sum::<usize>();
        let wires = written.iter().flat_map(|written| &written.wires);
        let wires = wires.map(|wire| wire.bytes.capacity() + wire.shared.as_ref().map_or(0, Bytes::len));
        let copies = [Variant::Full, Variant::Own].map(|variant| &written[variant as usize].frames);
        let copies = copies.into_iter().flatten().map(Bytes::len);
        let frames = encoded.iter().map(Encoded::held);
        lists + frames.sum::<usize>() + wires.sum::<usize>() + copies.sum::<usize>() + spare.capacity()
    }

    #[test]
    fn a_burst_holds_at_most_the_bytes_that_are_counted() {
        let (ann, bob) = (UserId::new("u_ann").unwrap(), UserId::new("u_bob").unwrap());
        let readers =
            [Reader::new(Form::Full, &bob), Reader::new(Form::Lean, &bob), Reader::new(Form::Lean, &ann)];
        for (count, text) in [(1, 60_000), (1, 33_000), (BURST_FRAMES, 500), (BURST_FRAMES, 1)] {
            let text = "x".repeat(text);
            let mut burst = Burst::default();
            burst.refill(|frames| frames.extend((0..count).map(|_| message_of("ann", &text))));
            for reader in readers {
                burst.write_for(reader);
                burst.wire::<Lines>();
                let _ = burst.frames();
                burst.shared_wire::<Counted>();
            }
            assert!(burst.written.iter().all(|written| written.wires.len() == 2));
            let (held, most) = (held(&burst), most_bytes(burst.encoded[0].len(Variant::Full) + 10));
            assert!(held <= most, "{count} frames of {}: {held} of {most}", text.len());
        }
    }
}
