//! The time-outs of a WebSocket: silence, pings, messages that do not end, and peers that do not read.

use std::future::Future;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use chatcore::protocol::CloseReason;
use tokio::time::Instant;

use crate::socket::driver::{DriverState, Phase, Step};
use crate::socket::endpoint::Endpoint;
use crate::socket::writer::Writer;

impl<E: Endpoint> DriverState<E> {
    /// Does what is due, or sleeps until something may be.
    pub(super) fn poll_times(&mut self, writer: &mut Writer, cx: &mut Context<'_>) -> Poll<Step> {
        loop {
            let now = Instant::now();
            if let Some(step) = self.do_due(writer, now) {
                return Poll::Ready(step);
            }
            let mut next = self.next_due(writer, now);
            if let Phase::Open(connection) = &mut self.phase
                && self.silent
            {
                let Some(until) = connection.silent_until(now) else { return Poll::Ready(Step::Again) };
                next = next.min(until);
            }
            // A timer that fires too early costs one poll. Moving it for each byte would cost more.
            if next < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(next);
            }
            ready!(self.timer.as_mut().poll(cx));
        }
    }

    /// Does what is due, and returns the step that it was, if it was one.
    pub(super) fn do_due(&mut self, writer: &mut Writer, now: Instant) -> Option<Step> {
        match self.phase {
            Phase::Closing { until } | Phase::Lingering { until } => (now >= until).then_some(Step::CutOff),
            Phase::Open(_) => {
                match writer.stall().map(|stall| stall.is_too_slow(self.bounds.config.least_rate(), now)) {
                    Some(true) => {
                        self.cut_short(writer, CloseReason::TooSlow);
                        Some(Step::Again)
                    }
                    // While the peer does not read everything, its pongs are not read. Its silence counts once it
                    // is read again.
                    Some(false) => {
                        self.heard = now;
                        None
                    }
                    None if now >= self.heard + self.bounds.config.silence => Some(Step::Over),
                    None if self.message_due().is_some_and(|due| now >= due) => {
                        self.cut_short(writer, CloseReason::TooSlow);
                        Some(Step::Again)
                    }
                    None if now >= self.pinged + self.bounds.config.ping_interval => {
                        self.pinged = now;
                        writer.push_ping();
                        Some(Step::Again)
                    }
                    None => None,
                }
            }
        }
    }

    /// Returns until when the unfinished message must end, or `None` while nothing is read.
    fn message_due(&self) -> Option<Instant> {
        let Phase::Open(connection) = &self.phase else { return None };
        let since = self.reader.waits_since().filter(|_| !self.silent && !connection.is_full())?;
        Some(since + self.bounds.config.message_timeout)
    }

    fn next_due(&self, writer: &mut Writer, now: Instant) -> Instant {
        let next = match self.phase {
            Phase::Closing { until } | Phase::Lingering { until } => until,
            Phase::Open(_) => match writer.stall() {
                Some(stall) => stall.due(self.bounds.config.least_rate()),
                None => {
                    let next = (self.heard + self.bounds.config.silence)
                        .min(self.pinged + self.bounds.config.ping_interval);
                    self.message_due().map_or(next, |due| due.min(next))
                }
            },
        };
        next.max(now + Duration::from_millis(1))
    }
}
