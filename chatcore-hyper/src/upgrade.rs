//! From a request for a WebSocket to its running connection.

use std::sync::Arc;

use chatcore::protocol::CloseReason;
use http::request::Parts;
use http::{Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::accepted::Accepted;
use crate::body::Body;
use crate::config::Config;
use crate::connection::Driver;
use crate::endpoint::Endpoint;
use crate::error::HttpError;
use crate::handshake;

/// Answers the handshake, and runs what `open` returns as soon as the answer is out.
pub(crate) fn upgrade<E: Endpoint + Send + 'static>(
    parts: &mut Parts,
    frame_bytes: usize,
    config: Arc<Config>,
    open: impl FnOnce() -> Result<E, CloseReason> + Send + 'static,
) -> Result<Response<Body>, HttpError> {
    let response = handshake::accept(&parts.headers)?;
    let Some(upgrade) = parts.extensions.remove::<OnUpgrade>() else {
        let message = "this connection can't be upgraded: serve it as HTTP/1.1, with upgrades";
        return Err(HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, "no_upgrade", message));
    };
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => run(upgraded, open(), frame_bytes, config),
            // The peer may be gone before it has its answer; a server without upgrades ends here too.
            Err(error) => {
                tracing::warn!(%error, "no upgrade after the answer: is it served with upgrades?");
            }
        }
    });
    Ok(response)
}

/// Spawns the connection's own task, which is as small as its kind of socket allows.
fn run<E: Endpoint + Send + 'static>(
    upgraded: Upgraded,
    session: Result<E, CloseReason>,
    frame_bytes: usize,
    config: Arc<Config>,
) {
    // What hyper has read ahead is in a buffer of its own that is let go here, once its bytes are copied.
    let upgraded = match upgraded.downcast::<TokioIo<Accepted>>() {
        Ok(socket) => {
            let io = socket.io.into_inner().into_upgraded();
            let driver = Driver::new(io, &socket.read_buf, session, frame_bytes, config);
            tokio::spawn(driver.with_outlet());
            return;
        }
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(socket) => {
            let io = socket.io.into_inner();
            tokio::spawn(Driver::new(io, &socket.read_buf, session, frame_bytes, config).with_outlet())
        }
        Err(upgraded) => tokio::spawn(Driver::new(TokioIo::new(upgraded), &[], session, frame_bytes, config)),
    };
}
