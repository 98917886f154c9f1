//! A socket and its waiting frames, shared by its task and the fan-out.

use std::fmt;
use std::io;
use std::sync::{Mutex, MutexGuard};

use chatcore::transport::{Burst, Framing, Outlet, Sent};
use tokio::net::TcpStream;

use crate::socket::deflate;
use crate::socket::frame::{write_deflated, write_text};
use crate::socket::writer::Writer;

/// The lock around a socket. The socket's task holds it while it runs; the fan-out only tries it.
pub(crate) struct SharedSocket<I>(Mutex<SocketParts<I>>);

/// The contents of the lock.
pub(crate) struct SocketParts<I> {
    pub(crate) io: I,
    pub(crate) writer: Writer,
}

impl<I> SharedSocket<I> {
    /// Takes a socket. `deflates` says whether its peer takes compressed messages.
    pub(crate) fn new(io: I, deflates: bool) -> Self {
        Self(Mutex::new(SocketParts { io, writer: Writer::new(deflates) }))
    }

    /// Waits for a fan-out that is writing, for the length of one system call.
    pub(crate) fn lock(&self) -> MutexGuard<'_, SocketParts<I>> {
        self.0.lock().expect("invariant: nothing panics under this lock")
    }
}

/// A socket that accepts bytes at once or not at all.
pub(crate) trait TryWrite {
    /// Writes what the socket accepts now. Fails with `WouldBlock` if that is nothing.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;
}

impl TryWrite for TcpStream {
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Self::try_write(self, bytes)
    }
}

/// How a server writes a text frame.
struct TextFrames;

impl Framing for TextFrames {
    fn write(frame: &[u8], wire: &mut Vec<u8>) {
        write_text(frame, wire);
    }
}

/// How a server writes a text frame to peers that take compressed messages.
struct DeflatedFrames;

impl Framing for DeflatedFrames {
    fn write(frame: &[u8], wire: &mut Vec<u8>) {
        match Some(frame).filter(|frame| deflate::is_worth(frame)).and_then(deflate::deflated) {
            Some(payload) => write_deflated(&payload, wire),
            None => write_text(frame, wire),
        }
    }
}

impl<I: TryWrite + Send + 'static> Outlet for SharedSocket<I> {
    fn try_send(&self, burst: &mut Burst) -> Sent {
        let Ok(mut parts) = self.0.try_lock() else { return Sent::Nothing };
        if !parts.writer.is_empty() {
            return Sent::Nothing;
        }
        let deflates = parts.writer.deflates();
        let wire = if deflates { burst.wire::<DeflatedFrames>() } else { burst.wire::<TextFrames>() };
        let all = wire.len();
        // The task gets the error at its next write.
        let Ok(taken) = parts.io.try_write(wire) else { return Sent::Nothing };
        if taken == all {
            return Sent::All;
        }
        if deflates {
            parts.writer.push_begun(&burst.shared_wire::<DeflatedFrames>(), taken);
        } else {
            parts.writer.push_partial(burst.frames(), taken);
        }
        Sent::Partial
    }
}

impl<I> fmt::Debug for SharedSocket<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSocket").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use bytes::Bytes;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A socket with room for `room` bytes, and the written bytes.
    struct Narrow {
        room: usize,
        taken: Mutex<Vec<u8>>,
    }

    impl TryWrite for Narrow {
        fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
            let mut taken = self.taken.lock().unwrap();
            let count = bytes.len().min(self.room - taken.len());
            taken.extend_from_slice(&bytes[..count]);
            if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
        }
    }

    fn burst(deflates: bool) -> (Burst, Vec<u8>) {
        let frames = [vec![b'a'; 3], vec![b'b'; 200], vec![b'c'; 70_000]].map(Bytes::from);
        let burst = Burst::new(&frames);
        let mut wire = Vec::new();
        let write = if deflates { DeflatedFrames::write } else { TextFrames::write };
        frames.iter().for_each(|frame| write(frame, &mut wire));
        (burst, wire)
    }

    /// Wherever the socket stops, the rest follows from the writer, and nothing else comes in between.
    #[tokio::test]
    async fn a_begun_burst_is_finished_by_the_writer() {
        for (deflates, room) in [false, true]
            .into_iter()
            .flat_map(|deflates| [1, 2, 4, 5, 6, 8, 9, 207, 208, 209, 212].map(|room| (deflates, room)))
            .chain([(false, 70_217)])
        {
            let (mut burst, wire) = burst(deflates);
            let socket = SharedSocket::new(Narrow { room, taken: Mutex::default() }, deflates);
            assert_eq!(socket.try_send(&mut burst), Sent::Partial, "{room}");
            assert_eq!(socket.try_send(&mut burst), Sent::Nothing, "the rest of the first is before it");
            let mut rest = Vec::new();
            let (mut near, mut far) = tokio::io::duplex(1 << 20);
            poll_fn(|cx| socket.lock().writer.poll_write(&mut near, cx)).await.unwrap();
            near.shutdown().await.unwrap();
            far.read_to_end(&mut rest).await.unwrap();
            let got = [socket.lock().io.taken.lock().unwrap().clone(), rest].concat();
            assert!(got == wire, "{room}: {} bytes of {}", got.len(), wire.len());
        }
    }

    #[tokio::test]
    async fn what_waits_goes_first_and_a_task_at_work_is_left_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        near.writable().await.unwrap();
        let (mut burst, wire) = burst(false);
        let socket = SharedSocket::new(near, false);
        {
            let mut parts = socket.lock();
            assert_eq!(socket.try_send(&mut burst), Sent::Nothing);
            parts.writer.push_ping();
        }
        assert_eq!(socket.try_send(&mut burst), Sent::Nothing);
        poll_fn(|cx| {
            let SocketParts { io, writer } = &mut *socket.lock();
            writer.poll_write(io, cx)
        })
        .await
        .unwrap();
        assert_eq!(socket.try_send(&mut burst), Sent::All);
        drop(socket);
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        assert!(got == [&b"\x89\0"[..], &wire].concat());
    }

    #[test]
    fn peers_with_and_without_compression_share_a_burst() {
        let frames = vec![Bytes::from(vec![b'a'; 511]), Bytes::from(vec![b'b'; 512])];
        let mut burst = Burst::new(&frames);
        let sent = |burst: &mut Burst, deflates| {
            let socket = SharedSocket::new(Narrow { room: 2_000, taken: Mutex::default() }, deflates);
            assert_eq!(socket.try_send(burst), Sent::All);
            socket.lock().io.taken.lock().unwrap().clone()
        };
        let (plain, deflated) = (sent(&mut burst, false), sent(&mut burst, true));
        assert_eq!((plain.len(), plain[515]), (2 * 4 + 511 + 512, 0x81));
        assert_eq!((plain[..515] == deflated[..515], deflated[515]), (true, 0xc1));
        assert!(deflated.len() < 540);
        assert_eq!(sent(&mut burst, true), deflated);
    }

    /// Compressed once: a copy of the bytes serves all that could not be written whole.
    #[test]
    fn what_is_left_of_a_compressed_burst_is_shared() {
        let (mut burst, _) = burst(true);
        let sockets = [1, 2].map(|room| SharedSocket::new(Narrow { room, taken: Mutex::default() }, true));
        sockets.iter().for_each(|socket| assert_eq!(socket.try_send(&mut burst), Sent::Partial));
        let wire = burst.shared_wire::<DeflatedFrames>();
        assert!(!wire.is_unique());
        drop(sockets);
        drop(burst);
        assert!(wire.is_unique());
    }
}
