//! What the tests of this crate share.
#![allow(unreachable_pub)]

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use chatcore::blob::FolderBlobs;
use chatcore::{Chat, Identity, MemoryStore, User};
use chatcore_hyper::{ChatService, Config, Unauthorized};
use futures::{SinkExt, StreamExt};
use http::HeaderValue;
use http::header::HeaderName;
use http::request::Parts;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, MaybeTlsStream, Message, WebSocketStream};

/// Awaits something that must happen.
pub async fn must<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(done) = tokio::time::timeout(Duration::from_secs(30), future).await else {
        panic!("hung: {what}")
    };
    done
}

/// Creates a chat at `/chat` with a folder for its files.
pub async fn chat() -> (Chat, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let blobs = FolderBlobs::open(folder.path()).await.expect("a new folder opens");
    (Chat::builder(MemoryStore::new()).blobs(blobs).base("/chat").build(), folder)
}

/// Creates a service that trusts the header `x-user`.
pub fn service(chat: &Chat, edit: impl FnOnce(&mut Config)) -> ChatService {
    let mut config = Config::default();
    edit(&mut config);
    ChatService::builder(chat.clone(), who).config(config).build()
}

async fn who(parts: &Parts) -> Result<Identity, Unauthorized> {
    let name = parts.headers.get("x-user").and_then(|name| name.to_str().ok()).ok_or(Unauthorized)?;
    Ok(Identity::new(User::new(name, name).map_err(|_| Unauthorized)?))
}

pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Connects and receives the `welcome`.
pub async fn connect(addr: SocketAddr) -> Socket {
    let client = ClientBuilder::new()
        .uri(&format!("ws://{addr}/chat/ws"))
        .expect("a URI")
        .add_header(HeaderName::from_static("x-user"), HeaderValue::from_static("ann"))
        .expect("no reserved header");
    let (mut socket, _) = must("a handshake", client.connect()).await.expect("a WebSocket");
    assert_eq!(receive(&mut socket).await["type"], "welcome");
    socket
}

pub async fn send(socket: &mut Socket, command: Value) {
    must("a send", socket.send(Message::text(command.to_string()))).await.expect("an open socket");
}

/// Returns the next text frame.
pub async fn receive(socket: &mut Socket) -> Value {
    loop {
        let message = must("a frame", socket.next()).await.expect("an open socket").expect("a frame");
        if let Some(text) = message.as_text() {
            return serde_json::from_str(text).expect("JSON");
        }
    }
}

/// Returns the close code of the server; `None` if the connection ends without one.
pub async fn closed(socket: &mut Socket) -> Option<u16> {
    while let Some(Ok(message)) = must("a close", socket.next()).await {
        if let Some((code, _)) = message.as_close() {
            return Some(code.into());
        }
    }
    None
}

/// Writes a request and returns everything that is received.
pub async fn exchange(addr: SocketAddr, request: &str) -> String {
    let mut tcp = TcpStream::connect(addr).await.expect("a listener");
    tcp.write_all(request.as_bytes()).await.expect("an open connection");
    read_all(&mut tcp).await
}

/// Reads everything until the connection ends.
pub async fn read_all(tcp: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    must("the end of the connection", tcp.read_to_end(&mut answer)).await.expect("no reset");
    String::from_utf8_lossy(&answer).into_owned()
}
