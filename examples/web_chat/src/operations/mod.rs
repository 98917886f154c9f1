//! The endpoints for an operator's tools: `/metrics`, `/healthz` and `/readyz`.

mod health;
mod metrics;
mod process;
mod responses;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use chatcore_hyper::{Body, ServerConfig, serve};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use tokio::net::TcpListener;
use tower_service::Service;

pub(crate) use self::health::Health;
pub(crate) use self::metrics::Sources;
pub(crate) use self::responses::Responses;

/// The most connections to the metrics listener at once.
const CONNECTIONS: usize = 64;

/// The endpoints for an operator's tools, as one service: `/metrics` for Prometheus, `/healthz` and `/readyz`.
///
/// They reveal no names and no texts, but how much the service is used: serve them where only the operator's tools
/// can reach them.
#[derive(Clone, Debug)]
pub struct Operations {
    health: Health,
    sources: Arc<Sources>,
}

impl Operations {
    pub(crate) fn new(health: Health, sources: Sources) -> Self {
        Self { health, sources: Arc::new(sources) }
    }

    /// Serves on `listener` until the future is dropped, also while the chat drains.
    ///
    /// # Errors
    /// If the listener is invalid.
    ///
    /// # Cancel safety
    /// Dropping the future closes every connection.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        let config = ServerConfig::default()
            .with_connections(CONNECTIONS)
            .with_header_timeout(Duration::from_secs(10));
        serve(listener, self).with_config(config).await
    }

    async fn answer(&self, method: &Method, path: &str) -> Response<Body> {
        if let Some(answer) = self.health.answer(method, path).await {
            return answer;
        }
        if path != "/metrics" {
            return plain(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n");
        }
        if let Some(refused) = only_reads(method) {
            return refused;
        }
        let sources = Arc::clone(&self.sources);
        // The metrics of the process are read from files.
        match tokio::task::spawn_blocking(move || metrics::encode(&sources)).await {
            Ok(text) => {
                let mut response = plain(StatusCode::OK, text);
                let content_type = HeaderValue::from_static(metrics::CONTENT_TYPE);
                response.headers_mut().insert(CONTENT_TYPE, content_type);
                response
            }
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics can't be written\n"),
        }
    }
}

/// Answers `OPTIONS`, and refuses methods other than `GET` and `HEAD`.
fn only_reads(method: &Method) -> Option<Response<Body>> {
    let mut answer = match *method {
        Method::GET | Method::HEAD => return None,
        Method::OPTIONS => {
            let mut answer = Response::new(Body::empty());
            *answer.status_mut() = StatusCode::NO_CONTENT;
            answer
        }
        _ => plain(StatusCode::METHOD_NOT_ALLOWED, "this path supports only GET, HEAD\n"),
    };
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    Some(answer)
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

impl<B: Send + 'static> Service<Request<B>> for Operations {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let operations = self.clone();
        Box::pin(async move { Ok(operations.answer(request.method(), request.uri().path()).await) })
    }
}
