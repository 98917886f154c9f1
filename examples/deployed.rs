//! How an axum app is deployed: behind a proxy, with limits for each client's address, and stopped so that every client is
//! told. `cargo run --example deployed`, and Ctrl-C. All visitors are one guest; the example `axum` distinguishes them.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::request::Parts;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use chatcore::{ChannelName, Chat, Identity, MemoryStore, User};
use chatcore_hyper::{ChatService, ClientAddress, Config, Unauthorized};

/// The proxies that every request passes through.
const PROXIES: usize = 1;

/// Adds the client's address to each request, as the proxies tell it.
async fn address(ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request, next: Next) -> Response {
    let address = ClientAddress::new(peer.ip()).behind(request.headers(), PROXIES);
    request.extensions_mut().insert(address);
    next.run(request).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let guest = User::new("u_guest", "Guest")?;
    let chat = Chat::builder(MemoryStore::new()).base("/chat").build();
    chat.ensure_channel(&ChannelName::new("general")?, "", &guest).await?;
    let who = move |_: &Parts| std::future::ready(Ok::<_, Unauthorized>(Identity::new(guest.clone())));
    let service = ChatService::builder(chat.clone(), who)
        .origin("https://chat.example")?
        .config(Config::default().with_sockets_per_address(20))
        .build();
    let app = Router::new().nest_service("/chat", service.clone()).layer(from_fn(address));
    let at = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(at).await?;
    println!("Proxy to http://{}", listener.local_addr()?);
    let shutdown = async move {
        let _ = tokio::signal::ctrl_c().await;
        chat.drain();
    };
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, app).with_graceful_shutdown(shutdown).await?;
    // axum does not wait for WebSockets.
    Ok(tokio::time::timeout(Duration::from_secs(10), service.closed()).await?)
}
