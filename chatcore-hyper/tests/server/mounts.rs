//! The same service works completely under hyper, under axum and on another kind of socket.
#![allow(clippy::unwrap_used)] // The helpers are tests too.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use chatcore_hyper::{ChatService, Ui, serve};
use futures::future::join_all;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::common::{chat, closed, connect, exchange, receive, send, service};

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// Chats, uploads, downloads and gets the client's files, at `/chat`.
async fn assert_everything_works(addr: SocketAddr) {
    let mut ann = connect(addr).await;
    send(&mut ann, json!({"type": "create_channel", "id": 1, "name": "general"})).await;
    while receive(&mut ann).await["id"] != 1 {}
    send(&mut ann, json!({"type": "subscribe", "id": 2, "channel": "general"})).await;
    while receive(&mut ann).await["id"] != 2 {}

    let upload = exchange(
        addr,
        "POST /chat/channels/general/attachments?name=a.txt HTTP/1.1\r\nHost: x\r\nx-user: ann\r\n\
         Connection: close\r\nContent-Length: 5\r\n\r\nhello",
    )
    .await;
    assert!(upload.starts_with("HTTP/1.1 201 "), "{upload}");
    let attachment: serde_json::Value =
        serde_json::from_str(upload.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let ids = json!([attachment["id"]]);
    send(&mut ann, json!({"type": "publish", "id": 3, "channel": "general", "nonce": "n", "text": "", "attachments": ids})).await;
    while receive(&mut ann).await["type"] != "message" {}

    let request =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nx-user: ann\r\nConnection: close\r\n\r\n");
    let url = attachment["url"].as_str().unwrap();
    assert!(url.starts_with("/chat/attachments/"), "{url}");
    assert!(exchange(addr, &request(url)).await.ends_with("\r\n\r\nhello"));
    let script = exchange(addr, &request("/chat/ui/core/chat-core.js")).await;
    assert!(script.starts_with("HTTP/1.1 200 "), "{script:.200}");
    let missing = exchange(addr, &request("/chat/nothing")).await;
    assert!(missing.starts_with("HTTP/1.1 404 "), "{missing}");
    assert!(missing.contains(r#""code":"not_found""#), "{missing}");
    let nobody = exchange(addr, &request(url).replace("x-user: ann\r\n", "")).await;
    assert!(nobody.starts_with("HTTP/1.1 401 "), "{nobody}");
}

#[tokio::test]
async fn a_hyper_app_serves_chat_with_serve() {
    let (chat, _folder) = chat().await;
    let (listener, addr) = bind().await;
    tokio::spawn(serve(listener, service(&chat, |_| ())).into_future());
    assert_everything_works(addr).await;
}

#[tokio::test]
async fn an_app_with_its_own_hyper_loop_serves_chat() {
    let (chat, _folder) = chat().await;
    let (listener, addr) = bind().await;
    let service = service(&chat, |_| ());
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(tcp), service).with_upgrades());
        }
    });
    assert_everything_works(addr).await;
}

#[tokio::test]
async fn an_axum_app_serves_chat_beside_its_pages() {
    let (chat, _folder) = chat().await;
    let (listener, addr) = bind().await;
    let app = Router::new().route("/", get("hello")).nest_service("/chat", service(&chat, |_| ()));
    tokio::spawn(async move { axum::serve(listener, app).await });
    assert_everything_works(addr).await;
    let page = exchange(addr, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(page.ends_with("hello"), "{page}");
}

/// The app's runtime ends with it, as a process does, and everything that still runs.
fn run_until(stop: oneshot::Receiver<()>, started: oneshot::Sender<SocketAddr>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (chat, _folder) = chat().await;
        let (listener, addr) = bind().await;
        let service = service(&chat, |_| ());
        let app = Router::new().nest_service("/chat", service.clone());
        started.send(addr).unwrap();
        let shutdown = async move {
            stop.await.unwrap();
            chat.drain();
        };
        axum::serve(listener, app).with_graceful_shutdown(shutdown).await.unwrap();
        service.closed().await;
    });
    runtime.shutdown_background();
}

#[tokio::test]
async fn an_axum_app_can_wait_until_all_clients_are_told() {
    let (stop, stopped) = oneshot::channel();
    let (started, addr) = oneshot::channel();
    let app = std::thread::spawn(move || run_until(stopped, started));
    let addr = addr.await.unwrap();
    let mut clients = join_all((0..40).map(|_| connect(addr))).await;
    send(&mut clients[0], json!({"type": "create_channel", "id": 1, "name": "general"})).await;
    while receive(&mut clients[0]).await["id"] != 1 {}
    stop.send(()).unwrap();
    let ends = clients.into_iter().map(async |mut client| {
        while receive(&mut client).await["type"] != "draining" {}
        closed(&mut client).await
    });
    assert!(join_all(ends).await.iter().all(|end| *end == Some(1001)));
    app.join().unwrap();
}

/// A socket that is not a `TcpStream`, as under TLS.
#[tokio::test]
async fn a_socket_other_than_tcp_is_served() {
    let (chat, _folder) = chat().await;
    let (listener, addr) = bind().await;
    let service = service(&chat, |_| ());
    tokio::spawn(async move {
        loop {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let service = TowerToHyperService::new(service.clone());
            let (near, mut far) = tokio::io::duplex(1_000);
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut tcp, &mut far).await });
            let http = hyper::server::conn::http1::Builder::new();
            tokio::spawn(http.serve_connection(TokioIo::new(near), service).with_upgrades());
        }
    });
    assert_everything_works(addr).await;
    let mut ann = connect(addr).await;
    chat.drain();
    assert_eq!(closed(&mut ann).await, Some(1001));
}

/// A request without a possible upgrade, such as one over HTTP/2 or one that a test creates.
#[tokio::test]
async fn a_request_that_cannot_be_upgraded_says_so() {
    let (chat, _folder) = chat().await;
    let mut service = service(&chat, |_| ());
    let request = http::Request::get("/chat/ws")
        .header("host", "x")
        .header("x-user", "ann")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .body(http_body_util::Empty::<&[u8]>::new())
        .unwrap();
    let answer = tower_service::Service::call(&mut service, request).await.unwrap();
    assert_eq!(answer.status(), 500);
    let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("with upgrades"), "{body:?}");
}

#[tokio::test]
async fn an_app_can_replace_or_omit_the_clients_files() {
    let (chat, folder) = chat().await;
    std::fs::create_dir(folder.path().join("core")).unwrap();
    std::fs::write(folder.path().join("core/chat-core.js"), "mine").unwrap();
    let who = async |_: &http::request::Parts| Err(chatcore_hyper::Unauthorized);
    let get = async |ui: Ui, name: &str| {
        let mut service = ChatService::builder(chat.clone(), who).ui(ui).build();
        let request = http::Request::get(format!("/ui/{name}"))
            .header("host", "x")
            .body(http_body_util::Empty::<&[u8]>::new())
            .unwrap();
        let answer = tower_service::Service::call(&mut service, request).await.unwrap();
        let status = answer.status().as_u16();
        (status, http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes())
    };
    assert_eq!(get(Ui::dir(folder.path()), "core/chat-core.js").await, (200, "mine".into()));
    let (status, own) = get(Ui::dir(folder.path()), "core/protocol.js").await;
    assert_eq!((status, own), get(Ui::embedded(), "core/protocol.js").await);
    assert_eq!(status, 200);
    let text = async |ui: Ui, name: &str| String::from_utf8(get(ui, name).await.1.into()).unwrap();
    let (bundle, entry) =
        (text(Ui::embedded(), "chat.js").await, text(Ui::dir(folder.path()), "chat.js").await);
    assert!(bundle.contains(" as ChatCore") && !bundle.contains("from './"), "it holds the modules");
    assert!(entry.contains("from './core/chat-core.js'"), "a module of the app's own takes effect: {entry}");
    assert!(!text(Ui::embedded(), "chat.css").await.contains("@import"));
    assert!(text(Ui::dir(folder.path()), "chat.css").await.contains("@import url(\"styles/theme.css\")"));
    std::fs::write(folder.path().join("chat.js"), "all mine").unwrap();
    assert_eq!(text(Ui::dir(folder.path()), "chat.js").await, "all mine");
    assert_eq!(get(Ui::none(), "core/chat-core.js").await.0, 404);
}
