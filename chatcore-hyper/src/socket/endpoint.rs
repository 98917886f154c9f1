//! What a WebSocket is connected to: the engine's session, or anything else that receives and sends messages.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use chatcore::protocol::CloseReason;
use chatcore::transport::{Connection, Outlet};
use tokio::time::Instant;
use tracing::Span;

use crate::socket::writer::Writer;

/// The engine's side of a WebSocket, which a [`Driver`](crate::socket::driver::Driver) drives from one task.
pub(crate) trait Endpoint: Unpin {
    /// Returns the span of the connection's task.
    fn span(&self) -> Span {
        Span::none()
    }

    /// Lets others write to the socket between two polls. See [`Outlet`].
    fn set_outlet(&self, outlet: Arc<dyn Outlet>);

    /// Returns whether it accepts nothing more for now. Then the driver stops reading.
    fn is_full(&self) -> bool;

    /// Counts frames that end no message: pings, pongs, fragments.
    fn heard(&mut self, _frames: u32) {}

    /// Returns until when the driver must not read, if the client exceeded its pace.
    fn silent_until(&self, _now: Instant) -> Option<Instant> {
        None
    }

    /// Handles a text message.
    fn receive_text(&mut self, text: &str);

    /// Handles a binary message.
    ///
    /// # Errors
    /// Returns the reason to close the connection.
    fn receive_binary(&mut self, bytes: Bytes) -> Result<(), CloseReason>;

    /// Puts the frames to send into the writer. See [`Connection::poll_outgoing`].
    fn poll_outgoing(&mut self, writer: &mut Writer, cx: &mut Context<'_>) -> Poll<Option<CloseReason>>;

    /// Learns why the session ends, right before it is dropped. It is not called if the client merely leaves.
    fn end(&mut self, _: CloseReason) {}

    /// Waits for a reason to close. See [`Connection::poll_close`].
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason>;
}

impl Endpoint for Connection {
    fn span(&self) -> Span {
        tracing::debug_span!("connection", number = self.number(), user = %self.identity().user.id)
    }

    fn set_outlet(&self, outlet: Arc<dyn Outlet>) {
        self.set_outlet(outlet);
    }

    fn is_full(&self) -> bool {
        self.is_full()
    }

    fn heard(&mut self, frames: u32) {
        self.heard(frames);
    }

    fn silent_until(&self, now: Instant) -> Option<Instant> {
        self.silent_until(now)
    }

    fn receive_text(&mut self, text: &str) {
        self.receive(text);
    }

    fn receive_binary(&mut self, _: Bytes) -> Result<(), CloseReason> {
        Err(CloseReason::BinaryFrame)
    }

    fn poll_outgoing(&mut self, writer: &mut Writer, cx: &mut Context<'_>) -> Poll<Option<CloseReason>> {
        self.poll_outgoing(cx, writer)
    }

    fn end(&mut self, reason: CloseReason) {
        self.end(reason);
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        self.poll_close(cx)
    }
}
