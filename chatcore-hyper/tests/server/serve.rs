//! The small server: its limits, and its shutdown.
#![allow(clippy::unwrap_used)] // The helpers are tests too.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use chatcore_hyper::{ServerConfig, serve};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::common::{chat, closed, connect, exchange, must, read_all, receive, send, service};

type Running = JoinHandle<std::io::Result<()>>;

async fn start<S, B>(
    config: ServerConfig,
    service: S,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> (SocketAddr, Running)
where
    S: tower_service::Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
    B: http_body::Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = serve(listener, service).with_config(config).with_graceful_shutdown(shutdown);
    (addr, tokio::spawn(server.into_future()))
}

const REQUEST: &str = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// A service that responds once the test lets it.
#[derive(Clone)]
struct Patient {
    started: mpsc::Sender<oneshot::Sender<()>>,
}

impl tower_service::Service<Request<Incoming>> for Patient {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = futures::future::BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Incoming>) -> Self::Future {
        let started = self.started.clone();
        Box::pin(async move {
            let (go, told) = oneshot::channel();
            started.send(go).await.unwrap();
            told.await.unwrap();
            Ok(Response::new(Full::from("done")))
        })
    }
}

#[tokio::test]
async fn shutdown_drains_websockets_and_finishes_requests() {
    let (chat, _folder) = chat().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let draining = chat.clone();
    let (addr, running) = start(ServerConfig::default(), service(&chat, |_| ()), async move {
        stopped.await.unwrap();
        draining.drain();
    })
    .await;
    let mut ann = connect(addr).await;
    // An upload in progress, and an idle connection between two requests.
    send(&mut ann, serde_json::json!({"type": "create_channel", "id": 1, "name": "general"})).await;
    while receive(&mut ann).await["id"] != 1 {}
    let mut idle = TcpStream::connect(addr).await.unwrap();
    idle.write_all(b"GET /chat/ui/core/chat-core.js HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    idle.readable().await.unwrap();
    let mut upload = TcpStream::connect(addr).await.unwrap();
    let head = "POST /chat/channels/general/attachments?name=a HTTP/1.1\r\nHost: x\r\nx-user: ann\r\n\
                Expect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    upload.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    must("100 Continue", upload.read_exact(&mut go_on)).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");

    stop.send(()).unwrap();
    assert_eq!(closed(&mut ann).await, Some(1001));
    read_all(&mut idle).await;
    assert!(!running.is_finished(), "the upload is waited for");
    upload.write_all(b"hello").await.unwrap();
    let answer = read_all(&mut upload).await;
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    must("the server stops", running).await.unwrap().unwrap();
    assert!(TcpStream::connect(addr).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn connections_open_after_the_grace_period_are_cut_off() {
    let (started, mut requests) = mpsc::channel(1);
    let (stop, stopped) = oneshot::channel::<()>();
    let config = ServerConfig::default().with_grace(Duration::from_millis(50));
    let (addr, running) = start(config, Patient { started }, async move { stopped.await.unwrap() }).await;
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(REQUEST.as_bytes()).await.unwrap();
    let _never = must("a request", requests.recv()).await.unwrap();
    stop.send(()).unwrap();
    must("the server stops", running).await.unwrap().unwrap();
    assert_eq!(read_all(&mut tcp).await, "");
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let (started, mut requests) = mpsc::channel(8);
    let config = ServerConfig::default().with_connections(1);
    let (addr, _running) = start(config, Patient { started }, std::future::pending()).await;
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let first = tokio::spawn(exchange(addr, request));
    let go = must("the first request", requests.recv()).await.unwrap();
    let second = tokio::spawn(exchange(addr, request));
    // The second one is connected by the system but not accepted, so it does not reach the service.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(requests.try_recv().is_err());
    go.send(()).unwrap();
    assert!(first.await.unwrap().ends_with("done"));
    must("the second request", requests.recv()).await.unwrap().send(()).unwrap();
    assert!(second.await.unwrap().ends_with("done"));
}

#[tokio::test]
async fn a_websocket_counts_as_a_connection() {
    let (chat, _folder) = chat().await;
    let config = ServerConfig::default().with_connections(1);
    let (addr, _running) = start(config, service(&chat, |_| ()), std::future::pending()).await;
    let mut ann = connect(addr).await;
    let waiting =
        tokio::spawn(exchange(addr, "GET /chat/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    send(&mut ann, serde_json::json!({"type": "ping", "id": 1})).await;
    assert_eq!(receive(&mut ann).await["id"], 1);
    assert!(!waiting.is_finished());
    drop(ann);
    assert!(must("a place", waiting).await.unwrap().starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn request_headers_are_bounded_in_time_and_size() {
    let (chat, _folder) = chat().await;
    let config =
        ServerConfig::default().with_header_timeout(Duration::from_millis(100)).with_header_bytes(8_192);
    let (addr, _running) = start(config, service(&chat, |_| ()), std::future::pending()).await;
    for begun in ["", "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\n"] {
        let answer = exchange(addr, begun).await;
        assert!(!answer.contains("404"), "{answer}");
    }
    let long =
        exchange(addr, &format!("GET / HTTP/1.1\r\nHost: x\r\nx: {}\r\n\r\n", "x".repeat(20_000))).await;
    assert!(long.starts_with("HTTP/1.1 431 "), "{long}");
}

#[tokio::test]
async fn an_unread_response_is_given_up() {
    let (chat, _folder) = chat().await;
    let general = chatcore::ChannelName::new("general").unwrap();
    let ann = chatcore::User::new("ann", "ann").unwrap();
    chat.ensure_channel(&general, "", &ann).await.unwrap();
    let config = ServerConfig::default().with_write_timeout(Duration::from_millis(100)).with_connections(1);
    let (addr, _running) = start(config, service(&chat, |_| ()), std::future::pending()).await;
    let size = 20 << 20;
    let head = format!(
        "POST /chat/channels/general/attachments?name=a HTTP/1.1\r\nHost: x\r\nx-user: ann\r\nConnection: close\r\n\
         Content-Length: {size}\r\n\r\n"
    );
    let mut upload = TcpStream::connect(addr).await.unwrap();
    upload.write_all(head.as_bytes()).await.unwrap();
    upload.write_all(&vec![b'x'; size]).await.unwrap();
    let answer = read_all(&mut upload).await;
    let attachment: serde_json::Value =
        serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let url = attachment["url"].as_str().unwrap();
    let mut stuck = TcpStream::connect(addr).await.unwrap();
    stuck
        .write_all(format!("GET {url} HTTP/1.1\r\nHost: x\r\nx-user: ann\r\n\r\n").as_bytes())
        .await
        .unwrap();
    // It has the only slot until it is closed.
    let next = exchange(addr, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(next.starts_with("HTTP/1.1 404 "), "{next}");
    // It is reset, so that the system frees its buffers at once, and the response is cut off.
    let ended = must("the end", stuck.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_err(), "{ended:?}");
}
