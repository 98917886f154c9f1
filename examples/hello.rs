//! A page with a chat room under hyper alone: `cargo run --example hello`, then open <http://127.0.0.1:3000>. All
//! visitors are the same guest; the example `axum` distinguishes them.

use std::future::ready;

use bytes::Bytes;
use chatcore::{ChannelName, Chat, Identity, MemoryStore, User};
use chatcore_hyper::http::{Request, Response, header, request::Parts};
use chatcore_hyper::{Body, ChatService, Unauthorized, serve, web::cookie};
use hyper::body::Incoming;
use tower::{Service, service_fn};

const PAGE: &str = r#"<!doctype html><script type="module" src="/chat/ui/chat.js"></script>
<chat-room server="/chat" channel="general"></chat-room>"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let guest = User::new("u_guest", "Guest")?;
    let secret = format!("{:016x}{:016x}", getrandom::u64()?, getrandom::u64()?);
    let set_cookie = format!("session={secret}; HttpOnly; SameSite=Lax; Path=/");
    let chat = Chat::builder(MemoryStore::new()).base("/chat").build();
    chat.ensure_channel(&ChannelName::new("general")?, "", &guest).await?;
    let service = ChatService::new(chat.clone(), move |request: &Parts| {
        let is_guest = cookie(&request.headers, &["session"]) == Some(&secret);
        ready(is_guest.then(|| Identity::new(guest.clone())).ok_or(Unauthorized))
    });
    let app = service_fn(move |request: Request<Incoming>| {
        let (mut service, set_cookie) = (service.clone(), set_cookie.clone());
        async move {
            if request.uri().path() != "/" {
                return service.call(request).await;
            }
            let page = Response::builder().header(header::CONTENT_TYPE, "text/html; charset=utf-8");
            let body = Body::from(Bytes::from_static(PAGE.as_bytes()));
            Ok(page.header(header::SET_COOKIE, set_cookie).body(body).expect("valid headers"))
        }
    });
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("Open http://{}", listener.local_addr()?);
    let shutdown = async move {
        let _ = tokio::signal::ctrl_c().await;
        chat.drain();
    };
    Ok(serve(listener, app).with_graceful_shutdown(shutdown).await?)
}
