//! Drives a WebSocket: a session of the engine, a reader, a writer, and their time-outs.

mod times;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use chatcore::protocol::CloseReason;
use tokio::io::ReadBuf;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::config::Bounds;
use crate::socket::endpoint::Endpoint;
use crate::socket::reader::{Reader, Received};
use crate::socket::shared::{SharedSocket, SocketParts, TryWrite};
use crate::socket::writer::Writer;
use crate::socket::{End, Socket};

/// The most messages to read before writing the results.
const READ_BATCH: usize = 32;

/// The most steps per poll. After them other tasks run, however busy this socket is.
const STEPS: usize = 32;

/// Drives a WebSocket until it ends.
///
/// Each step first writes everything that waits, and reads only if nothing does. So a peer that does not read its
/// answers, including pongs, is not read either, and the memory of a connection is bounded.
pub(crate) struct Driver<I, E> {
    socket: Arc<SharedSocket<I>>,
    state: DriverState<E>,
}

/// The driver's own state: everything but the socket and its writer.
struct DriverState<E> {
    reader: Reader,
    phase: Phase<E>,
    bounds: Arc<Bounds>,
    heard: Instant,
    /// Whether the last step read nothing because the client exceeded its pace.
    silent: bool,
    /// Whether this poll has read everything that the socket has. When there is more, the task is woken.
    drained: bool,
    pinged: Instant,
    timer: Pin<Box<Sleep>>,
}

enum Phase<E> {
    /// Frames go in both directions.
    Open(Box<E>),
    /// The last frames, including a close frame, are being written.
    Closing { until: Instant },
    /// Everything is written. Further bytes are read and dropped: closing a socket with unread bytes would reset
    /// it, and the peer could lose the close frame.
    Lingering { until: Instant },
}

/// The result of a step. `Pending` means that there is nothing to do now.
enum Step {
    Again,
    Over,
    /// A time-out: the peer gets nothing more.
    CutOff,
}

impl<I, E: Endpoint> Driver<I, E> {
    /// Takes over an upgraded connection, with the bytes that were read with the handshake. A refused session is
    /// closed with its reason. `deflates` says whether messages may be compressed.
    pub(crate) fn new(
        io: I,
        leftover: &[u8],
        session: Result<E, CloseReason>,
        frame_bytes: usize,
        deflates: bool,
        bounds: Arc<Bounds>,
    ) -> Self {
        let now = Instant::now();
        let socket = SharedSocket::new(io, deflates);
        let phase = match session {
            Ok(connection) => Phase::Open(Box::new(connection)),
            Err(reason) => {
                socket.lock().writer.push_close(reason);
                Phase::Closing { until: now + bounds.config.close_timeout }
            }
        };
        let state = DriverState {
            reader: Reader::new(leftover, frame_bytes, deflates),
            phase,
            heard: now,
            silent: false,
            drained: false,
            pinged: now,
            timer: Box::pin(sleep_until(now + bounds.config.ping_interval)),
            bounds,
        };
        Self { socket: Arc::new(socket), state }
    }
}

impl<I: TryWrite + Send + 'static, E: Endpoint> Driver<I, E> {
    /// Lets the fan-out write to the socket itself.
    pub(crate) fn with_outlet(self) -> Self {
        if let Phase::Open(connection) = &self.state.phase {
            connection.set_outlet(Arc::clone(&self.socket) as _);
        }
        self
    }
}

impl<E: Endpoint> DriverState<E> {
    fn poll_step<I: Socket>(&mut self, parts: &mut SocketParts<I>, cx: &mut Context<'_>) -> Poll<Step> {
        match self.phase {
            Phase::Open(_) => self.poll_open(parts, cx),
            Phase::Closing { .. } => self.poll_closing(parts, cx),
            Phase::Lingering { .. } => poll_lingering(parts, cx),
        }
    }

    fn poll_open<I: Socket>(&mut self, parts: &mut SocketParts<I>, cx: &mut Context<'_>) -> Poll<Step> {
        match parts.writer.poll_write(&mut parts.io, cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Step::Over),
            Poll::Pending => return self.poll_blocked(&mut parts.writer, cx),
        }
        let read = if self.drained { Poll::Pending } else { self.poll_read(parts, cx) };
        if let Poll::Ready(Step::Over) = read {
            return read;
        }
        let sent = self.poll_outgoing(&mut parts.writer, cx);
        if read.is_ready() || sent.is_ready() { Poll::Ready(Step::Again) } else { Poll::Pending }
    }

    /// Ends the session of a peer that does not read as soon as there is a reason, such as a ban.
    fn poll_blocked(&mut self, writer: &mut Writer, cx: &mut Context<'_>) -> Poll<Step> {
        let Phase::Open(connection) = &mut self.phase else { return Poll::Pending };
        let reason = ready!(connection.poll_close(cx));
        self.cut_short(writer, reason);
        Poll::Ready(Step::Again)
    }

    /// Closes without the frames that the peer has not read. It resumes from its position.
    fn cut_short(&mut self, writer: &mut Writer, reason: CloseReason) {
        writer.drop_unsent();
        writer.push_close(reason);
        self.begin_close(Some(reason));
    }

    /// Passes on what the client sent, until a reply must be written or the session is full.
    fn poll_read<I: Socket>(&mut self, parts: &mut SocketParts<I>, cx: &mut Context<'_>) -> Poll<Step> {
        let mut read = Poll::Pending;
        let now = Instant::now();
        for _ in 0..READ_BATCH {
            let Phase::Open(connection) = &mut self.phase else { break };
            if connection.is_full() {
                // The session wakes this task when it has answered. Until then the silence is not the client's.
                self.heard = now;
                break;
            }
            self.silent = connection.silent_until(now).is_some();
            if self.silent {
                // `poll_times` wakes this task when the pace allows it. Until then the silence is not the
                // client's.
                self.heard = now;
                break;
            }
            let Poll::Ready(received) = self.reader.poll_next(&mut parts.io, cx) else {
                let Bounds { config, incoming } = &*self.bounds;
                if self.reader.count_incomplete(incoming, config.incoming_bytes_total) {
                    self.drained = true;
                    break;
                }
                return self.end(&mut parts.writer, cx, Some(CloseReason::Overloaded));
            };
            read = Poll::Ready(Step::Again);
            let others = self.reader.take_others();
            if others > 0 {
                connection.heard(others);
            }
            match received {
                Received::Text(frame) => connection.receive_text(&frame),
                Received::Binary(bytes) => {
                    if let Err(reason) = connection.receive_binary(bytes) {
                        return self.end(&mut parts.writer, cx, Some(reason));
                    }
                }
                Received::Control => {}
                Received::Close => return self.end(&mut parts.writer, cx, None),
                Received::Refused(reason) => return self.end(&mut parts.writer, cx, Some(reason)),
                Received::Gone => return Poll::Ready(Step::Over),
            }
            let replies = self.reader.take_replies();
            if !replies.is_empty() {
                parts.writer.push_raw(replies);
                break;
            }
        }
        if self.reader.take_heard() {
            self.heard = now;
        }
        read
    }

    /// Ends the session because of the client: with `reason`, or with the reply to its close. Existing answers are
    /// written first.
    fn end(&mut self, writer: &mut Writer, cx: &mut Context<'_>, reason: Option<CloseReason>) -> Poll<Step> {
        let _ = self.poll_outgoing(writer, cx);
        let reply = self.reader.take_replies();
        if let Phase::Open(_) = self.phase {
            match reason {
                Some(reason) => writer.push_close(reason),
                None => writer.push_raw(reply),
            }
            self.begin_close(reason);
        }
        Poll::Ready(Step::Again)
    }

    /// Takes the session's frames.
    fn poll_outgoing(&mut self, writer: &mut Writer, cx: &mut Context<'_>) -> Poll<Step> {
        let Phase::Open(connection) = &mut self.phase else { return Poll::Pending };
        if let Some(reason) = ready!(connection.poll_outgoing(writer, cx)) {
            writer.push_close(reason);
            self.begin_close(Some(reason));
        }
        Poll::Ready(Step::Again)
    }

    /// Ends the session, with `None` if the client left. The writer's frames are still written.
    fn begin_close(&mut self, reason: Option<CloseReason>) {
        if let (Phase::Open(endpoint), Some(reason)) = (&mut self.phase, reason) {
            endpoint.end(reason);
        }
        self.phase = Phase::Closing { until: Instant::now() + self.bounds.config.close_timeout };
    }

    fn poll_closing<I: Socket>(&mut self, parts: &mut SocketParts<I>, cx: &mut Context<'_>) -> Poll<Step> {
        if ready!(parts.writer.poll_write(&mut parts.io, cx)).is_err()
            || ready!(Pin::new(&mut parts.io).poll_shutdown(cx)).is_err()
        {
            return Poll::Ready(Step::Over);
        }
        self.phase = Phase::Lingering { until: Instant::now() + self.bounds.config.close_timeout };
        Poll::Ready(Step::Again)
    }

    /// Returns how the connection ends, if the step was the last.
    fn end_of(&self, step: &Step) -> Option<End> {
        match step {
            Step::Again => None,
            Step::Over => Some(End::Within(self.bounds.config.close_timeout)),
            Step::CutOff => Some(End::Reset),
        }
    }
}

/// Reads further bytes and drops them.
fn poll_lingering<I: Socket>(parts: &mut SocketParts<I>, cx: &mut Context<'_>) -> Poll<Step> {
    let mut bytes = [0; 512];
    let mut buffer = ReadBuf::new(&mut bytes);
    let read = ready!(Pin::new(&mut parts.io).poll_read(cx, &mut buffer));
    let over = read.is_err() || buffer.filled().is_empty();
    Poll::Ready(if over { Step::Over } else { Step::Again })
}

impl<I: Socket, E: Endpoint> Future for Driver<I, E> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { socket, state } = self.get_mut();
        // Held to the end, so that no event overtakes an answer on its way to the writer.
        let mut parts = socket.lock();
        state.drained = false;
        for _ in 0..STEPS {
            let step = match state.poll_step(&mut parts, cx) {
                Poll::Ready(step) => step,
                Poll::Pending => ready!(state.poll_times(&mut parts.writer, cx)),
            };
            if let Some(end) = state.end_of(&step) {
                parts.io.end_by(end);
                return Poll::Ready(());
            }
        }
        // A socket that is always busy has time-outs too.
        let due = state.do_due(&mut parts.writer, Instant::now());
        if let Some(end) = due.and_then(|step| state.end_of(&step)) {
            parts.io.end_by(end);
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use chatcore::transport::{Connection, Outlet};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tokio::time::sleep;

    use super::*;
    use crate::server::tcp::TcpConnection;

    /// The parts of a connection that are allocated separately, and their budgets in bytes. The runtime rounds a task
    /// with its own hundred bytes up to a multiple of 128. `CONTRIBUTING.md` says when a budget may change.
    #[test]
    fn a_connection_is_small() {
        for (what, size, budget) in [
            ("task", size_of::<Driver<TcpConnection, Connection>>(), 124),
            ("socket", size_of::<SharedSocket<TcpConnection>>(), 168),
            ("session", size_of::<Connection>(), 238),
        ] {
            println!("its {what}: {size} bytes");
            assert!(size <= budget, "a connection's {what} has {size} bytes, {budget} are allowed");
        }
    }

    /// Sends one long message, and then nothing more.
    struct Long(Option<Bytes>);

    impl Endpoint for Long {
        fn set_outlet(&self, _: Arc<dyn Outlet>) {}

        fn is_full(&self) -> bool {
            false
        }

        fn receive_text(&mut self, _: &str) {}

        fn receive_binary(&mut self, _: Bytes) -> Result<(), CloseReason> {
            Ok(())
        }

        fn poll_outgoing(&mut self, writer: &mut Writer, _: &mut Context<'_>) -> Poll<Option<CloseReason>> {
            let Some(text) = self.0.take() else { return Poll::Pending };
            writer.push_text(text);
            Poll::Ready(None)
        }

        fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<CloseReason> {
            Poll::Pending
        }
    }

    /// Runs a connection that has 100,000 bytes to send, of which the peer reads `bytes` every ten seconds.
    /// Returns how long it lived.
    async fn lifetime(bytes: usize) -> Duration {
        let (near, mut far): (DuplexStream, DuplexStream) = tokio::io::duplex(64);
        let begun = Instant::now();
        let session = Ok(Long(Some(vec![b'x'; 100_000].into())));
        let driver = Driver::new(near, &[], session, 1 << 16, false, Arc::default());
        let reading = async {
            let mut taken = vec![0; bytes];
            while far.read_exact(&mut taken).await.is_ok() {
                sleep(Duration::from_secs(10)).await;
            }
        };
        tokio::select! {
            () = driver => {}
            () = reading => {}
        }
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_a_byte_now_and_then_is_too_slow() {
        let lived = lifetime(1).await;
        assert!(lived < Duration::from_secs(40), "{lived:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_the_least_rate_is_waited_for() {
        let lived = lifetime(11_000).await;
        assert!(lived > Duration::from_secs(80), "{lived:?}");
    }

    /// Runs a connection whose peer begins a message, sends a ping or a fragment every ten seconds, `pieces`
    /// times, and then ends the message. Returns how long it lived, at most 200 s after that.
    async fn begun(pieces: u32, piece: &[u8]) -> Duration {
        let (near, mut far): (DuplexStream, DuplexStream) = tokio::io::duplex(1 << 16);
        let begun = Instant::now();
        let driver = Driver::new(near, &[], Ok(Long(None)), 1 << 16, false, Arc::default());
        let talking = async {
            far.write_all(&[0x01, 0x81, 0, 0, 0, 0, b'x']).await.unwrap();
            for _ in 0..pieces {
                sleep(Duration::from_secs(10)).await;
                if far.write_all(piece).await.is_err() {
                    return;
                }
            }
            let _ = far.write_all(&[0x80, 0x80, 0, 0, 0, 0]).await;
            for _ in 0..20 {
                sleep(Duration::from_secs(10)).await;
                let _ = far.write_all(PING).await;
            }
        };
        tokio::select! {
            () = driver => {}
            () = talking => {}
        }
        begun.elapsed()
    }

    const PING: &[u8] = &[0x89, 0x80, 0, 0, 0, 0];
    const FRAGMENT: &[u8] = &[0x00, 0x81, 0, 0, 0, 0, b'x'];

    #[tokio::test(start_paused = true)]
    async fn a_message_that_never_ends_is_cut_off() {
        for piece in [PING, FRAGMENT] {
            let lived = begun(100, piece).await;
            assert!((60..80).contains(&lived.as_secs()), "{lived:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_ends_in_time_is_waited_for() {
        for piece in [PING, FRAGMENT] {
            assert_eq!(begun(5, piece).await, Duration::from_secs(250));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_frame_is_cut_off_too() {
        assert!((60..80).contains(&begun(100, &[0x89]).await.as_secs()));
    }
}
