//! The upgrade of a request to a running WebSocket connection.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chatcore::FailureLog;
use chatcore::protocol::{CloseReason, Form};
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tracing::{Instrument, Span};

use crate::body::Body;
use crate::error::HttpError;
use crate::headers::extensions::accept_deflate;
use crate::limits::config::Bounds;
use crate::limits::permits::Permit;
use crate::server::tcp::TcpConnection;
use crate::service::handshake;
use crate::socket::driver::Driver;
use crate::socket::endpoint::Endpoint;

/// Answers the handshake, and runs what `open` returns as soon as the answer is written. `open` gets the form in which the
/// client reads messages.
pub(crate) fn upgrade<E: Endpoint + Send + 'static>(
    parts: &mut Parts,
    frame_bytes: usize,
    bounds: Arc<Bounds>,
    failures: FailureLog,
    permit: Permit,
    open: impl FnOnce(Form) -> Result<E, CloseReason> + Send + 'static,
) -> Result<Response<Body>, HttpError> {
    let (mut response, form) = handshake::accept(&parts.method, parts.version, &parts.headers)?;
    let deflate = bounds.config.deflate.then(|| accept_deflate(&parts.headers)).flatten();
    let deflates = deflate.is_some();
    if let Some(accepted) = deflate {
        response.headers_mut().insert(SEC_WEBSOCKET_EXTENSIONS, accepted);
    }
    let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
        let message = "this connection can't be upgraded: serve it over HTTP/1.1 with upgrades enabled";
        return Err(HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, "no_upgrade", message));
    };
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => run(upgraded, open(form), frame_bytes, deflates, bounds, permit),
            // The peer may leave before it has its answer. A server without upgrades fails here too.
            Err(error) => failures.misused(
                "a handshake did not become a WebSocket; are upgrades enabled where the service is served?",
                error,
            ),
        }
    });
    Ok(response)
}

/// Spawns the connection's own task, as small as its kind of socket allows.
fn run<E: Endpoint + Send + 'static>(
    upgraded: Upgraded,
    session: Result<E, CloseReason>,
    frame_bytes: usize,
    deflates: bool,
    bounds: Arc<Bounds>,
    permit: Permit,
) {
    let span = session.as_ref().map_or_else(|_| Span::none(), Endpoint::span);
    // hyper's read-ahead is in a separate buffer, which is dropped here once its bytes are copied.
    let upgraded = match upgraded.downcast::<TokioIo<TcpConnection>>() {
        Ok(socket) => {
            let io = socket.io.into_inner().into_upgraded();
            let driver = Driver::new(io, &socket.read_buf, session, frame_bytes, deflates, bounds);
            spawn(driver.with_outlet(), permit, span);
            return;
        }
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(socket) => {
            let io = socket.io.into_inner();
            spawn(
                Driver::new(io, &socket.read_buf, session, frame_bytes, deflates, bounds).with_outlet(),
                permit,
                span,
            );
        }
        Err(upgraded) => {
            spawn(
                Driver::new(TokioIo::new(upgraded), &[], session, frame_bytes, deflates, bounds),
                permit,
                span,
            );
        }
    }
}

/// A connection's task, which holds its permit until it ends.
struct Placed<F> {
    task: F,
    _permit: Permit,
}

impl<F: Future + Unpin> Future for Placed<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        Pin::new(&mut self.task).poll(cx)
    }
}

/// Spawns a connection's task in its span. A disabled span takes no room.
fn spawn(task: impl Future<Output = ()> + Unpin + Send + 'static, permit: Permit, span: Span) {
    let task = Placed { task, _permit: permit };
    if span.is_disabled() {
        tokio::spawn(task);
    } else {
        tokio::spawn(task.instrument(span));
    }
}
