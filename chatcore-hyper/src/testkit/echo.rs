//! An echo server over WebSocket, for suites such as Autobahn's.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use chatcore::FailureLog;
use chatcore::protocol::CloseReason;
use chatcore::transport::Outlet;
use http::{Request, Response};

use crate::body::Body;
use crate::error::HttpError;
use crate::limits::config::{Bounds, Config};
use crate::limits::permits::Permits;
use crate::service::upgrade::upgrade;
use crate::socket::endpoint::Endpoint;
use crate::socket::writer::Writer;

/// A service whose paths are all WebSockets that send back each text and binary message.
///
/// It runs the code of a chat's connection: the handshake, the reader, the writer, the driver and its timeouts.
/// Only the engine behind them is replaced.
#[derive(Clone, Debug)]
pub struct Echo {
    message_bytes: usize,
    bounds: Arc<Bounds>,
    sockets: Arc<Permits>,
}

impl Echo {
    /// Echoes messages of at most `message_bytes`. A longer one is answered with the close code 1009.
    #[must_use]
    pub fn new(message_bytes: usize, config: Config) -> Self {
        let sockets = Permits::new(usize::MAX, config.sockets_per_address);
        Self { message_bytes, bounds: Arc::new(Bounds::new(config)), sockets }
    }
}

impl<B> tower_service::Service<Request<B>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, _) = request.into_parts();
        let open = |_| Ok(Session::default());
        let bounds = Arc::clone(&self.bounds);
        let permit = self.sockets.take(None).expect("invariant: there are as many as sockets can be");
        let answer = upgrade(&mut parts, self.message_bytes, bounds, FailureLog::new(), permit, open);
        ready(Ok(answer.unwrap_or_else(HttpError::into_response)))
    }
}

/// Messages to send back. It accepts the next message once the writer has taken these.
#[derive(Debug, Default)]
struct Session {
    waiting: VecDeque<Received>,
}

#[derive(Debug)]
enum Received {
    Text(Bytes),
    Binary(Bytes),
}

impl Endpoint for Session {
    fn set_outlet(&self, _: Arc<dyn Outlet>) {}

    fn is_full(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn receive_text(&mut self, text: &str) {
        self.waiting.push_back(Received::Text(Bytes::copy_from_slice(text.as_bytes())));
    }

    fn receive_binary(&mut self, bytes: Bytes) -> Result<(), CloseReason> {
        self.waiting.push_back(Received::Binary(bytes));
        Ok(())
    }

    fn poll_outgoing(&mut self, writer: &mut Writer, _: &mut Context<'_>) -> Poll<Option<CloseReason>> {
        if self.waiting.is_empty() {
            return Poll::Pending;
        }
        for message in self.waiting.drain(..) {
            match message {
                Received::Text(text) => writer.push_text(text),
                Received::Binary(bytes) => writer.push_binary(bytes),
            }
        }
        Poll::Ready(None)
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<CloseReason> {
        Poll::Pending
    }
}
