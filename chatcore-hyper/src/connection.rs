//! One WebSocket: a session of the engine, a reader, a writer, and the times that bound them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use chatcore::Connection;
use chatcore::protocol::CloseReason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::config::Config;
use crate::reader::{Reader, Received};
use crate::writer::Writer;

/// Messages read before what they caused is written.
const READ_BATCH: usize = 32;

/// Steps in one poll; then the other tasks have their turn, however busy this socket is.
const STEPS: usize = 32;

/// Drives one WebSocket until it is over.
///
/// Each step first writes whatever waits, and reads only when nothing does: a peer that does not take its
/// answers, pongs included, is not listened to. So the memory of a connection stays bounded.
pub(crate) struct Driver<I> {
    io: I,
    reader: Reader,
    writer: Writer,
    phase: Phase,
    config: Arc<Config>,
    heard: Instant,
    pinged: Instant,
    timer: Pin<Box<Sleep>>,
}

enum Phase {
    /// Frames go both ways.
    Open(Box<Connection>),
    /// The last frames, a close frame among them, are being written.
    Closing { until: Instant },
    /// Everything is written. What still comes is read and dropped: closing a socket with unread bytes would
    /// reset it, and the peer might lose the close frame.
    Lingering { until: Instant },
}

/// What a step came to; pending means that there is nothing to do now.
enum Step {
    Again,
    Over,
}

impl<I: AsyncRead + AsyncWrite + Unpin> Driver<I> {
    /// Takes over an upgraded connection, with the bytes that were read along with the handshake. A session
    /// that was refused is closed with the reason.
    pub(crate) fn new(
        io: I,
        leftover: &[u8],
        session: Result<Connection, CloseReason>,
        frame_bytes: usize,
        config: Arc<Config>,
    ) -> Self {
        let now = Instant::now();
        let mut writer = Writer::default();
        let phase = match session {
            Ok(connection) => Phase::Open(Box::new(connection)),
            Err(reason) => {
                writer.push_close(reason);
                Phase::Closing { until: now + config.close_timeout }
            }
        };
        Self {
            io,
            reader: Reader::new(leftover, frame_bytes),
            writer,
            phase,
            heard: now,
            pinged: now,
            timer: Box::pin(sleep_until(now + config.ping_interval)),
            config,
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        match self.phase {
            Phase::Open(_) => self.poll_open(cx),
            Phase::Closing { .. } => self.poll_closing(cx),
            Phase::Lingering { .. } => self.poll_lingering(cx),
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        match self.writer.poll_write(&mut self.io, cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Poll::Ready(Step::Over),
            Poll::Pending => return self.poll_blocked(cx),
        }
        let read = self.poll_read(cx);
        if let Poll::Ready(Step::Over) = read {
            return read;
        }
        let sent = self.poll_outgoing(cx);
        if read.is_ready() || sent.is_ready() { Poll::Ready(Step::Again) } else { Poll::Pending }
    }

    /// Ends the session of a peer that takes nothing as soon as there is a reason, such as a ban.
    fn poll_blocked(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let Phase::Open(connection) = &mut self.phase else { return Poll::Pending };
        let reason = ready!(connection.poll_close(cx));
        self.cut_short(reason);
        Poll::Ready(Step::Again)
    }

    /// Closes without what the peer has not taken: it resumes from its position.
    fn cut_short(&mut self, reason: CloseReason) {
        self.writer.drop_unsent();
        self.writer.push_close(reason);
        self.begin_close();
    }

    /// Hands over what the client sent, until a reply has to be written or the session takes no more.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let mut read = Poll::Pending;
        for _ in 0..READ_BATCH {
            let Phase::Open(connection) = &mut self.phase else { break };
            if connection.is_full() {
                // The session wakes this task when it has answered; until then silence is not the client's.
                self.heard = Instant::now();
                break;
            }
            let Poll::Ready(received) = self.reader.poll_next(&mut self.io, cx) else { break };
            read = Poll::Ready(Step::Again);
            match received {
                Received::Text(frame) => connection.receive(&frame),
                Received::Control => {}
                Received::Close => return self.end(cx, None),
                Received::Refused(reason) => return self.end(cx, Some(reason)),
                Received::Gone => return Poll::Ready(Step::Over),
            }
            let replies = self.reader.take_replies();
            if !replies.is_empty() {
                self.writer.push_raw(replies);
                break;
            }
        }
        if self.reader.take_heard() {
            self.heard = Instant::now();
        }
        read
    }

    /// Ends the session for what the client did: with `reason`, or with the reply to its close. What is
    /// answered by now goes out before.
    fn end(&mut self, cx: &mut Context<'_>, reason: Option<CloseReason>) -> Poll<Step> {
        let _ = self.poll_outgoing(cx);
        let reply = self.reader.take_replies();
        if let Phase::Open(_) = self.phase {
            match reason {
                Some(reason) => self.writer.push_close(reason),
                None => self.writer.push_raw(reply),
            }
            self.begin_close();
        }
        Poll::Ready(Step::Again)
    }

    /// Takes what the session has to say.
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let Phase::Open(connection) = &mut self.phase else { return Poll::Pending };
        let mut frames = Vec::new();
        let closed = ready!(connection.poll_outgoing(cx, &mut frames));
        for frame in frames {
            self.writer.push_text(frame);
        }
        if let Some(reason) = closed {
            self.writer.push_close(reason);
            self.begin_close();
        }
        Poll::Ready(Step::Again)
    }

    /// Ends the session; what is in the writer still goes out.
    fn begin_close(&mut self) {
        self.phase = Phase::Closing { until: Instant::now() + self.config.close_timeout };
    }

    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if ready!(self.writer.poll_write(&mut self.io, cx)).is_err()
            || ready!(Pin::new(&mut self.io).poll_shutdown(cx)).is_err()
        {
            return Poll::Ready(Step::Over);
        }
        self.phase = Phase::Lingering { until: Instant::now() + self.config.close_timeout };
        Poll::Ready(Step::Again)
    }

    fn poll_lingering(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let mut bytes = [0; 512];
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer));
        let over = read.is_err() || buffer.filled().is_empty();
        Poll::Ready(if over { Step::Over } else { Step::Again })
    }

    /// Does what is due, or sleeps until something may be.
    fn poll_times(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            let now = Instant::now();
            if let Some(step) = self.do_due(now) {
                return Poll::Ready(step);
            }
            // A timer that fires too early costs one poll, and moving it at each byte would cost more.
            let next = self.next_due(now);
            if next < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(next);
            }
            ready!(self.timer.as_mut().poll(cx));
        }
    }

    fn do_due(&mut self, now: Instant) -> Option<Step> {
        match self.phase {
            Phase::Closing { until } | Phase::Lingering { until } => (now >= until).then_some(Step::Over),
            Phase::Open(_) => match self.writer.blocked_since() {
                Some(since) if now >= since + self.config.write_timeout => {
                    self.cut_short(CloseReason::TooSlow);
                    Some(Step::Again)
                }
                // While it takes nothing, its pongs are not read: silence is judged when it reads again.
                Some(_) => {
                    self.heard = now;
                    None
                }
                None if now >= self.heard + self.config.silence => Some(Step::Over),
                None if now >= self.pinged + self.config.ping_interval => {
                    self.pinged = now;
                    self.writer.push_ping();
                    Some(Step::Again)
                }
                None => None,
            },
        }
    }

    fn next_due(&self, now: Instant) -> Instant {
        let next = match self.phase {
            Phase::Closing { until } | Phase::Lingering { until } => until,
            Phase::Open(_) => match self.writer.blocked_since() {
                Some(since) => since + self.config.write_timeout,
                None => (self.heard + self.config.silence).min(self.pinged + self.config.ping_interval),
            },
        };
        next.max(now + Duration::from_millis(1))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Future for Driver<I> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        for _ in 0..STEPS {
            let step = match this.poll_step(cx) {
                Poll::Ready(step) => step,
                Poll::Pending => ready!(this.poll_times(cx)),
            };
            if let Step::Over = step {
                return Poll::Ready(());
            }
        }
        // A socket that is always busy still has its times kept.
        if let Some(Step::Over) = this.do_due(Instant::now()) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
