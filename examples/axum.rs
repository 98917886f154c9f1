//! A page with a chat room under axum: `cargo run --example axum`, then open <http://127.0.0.1:3000>.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, header::SET_COOKIE, request::Parts};
use axum::{Router, extract::State, response::Html, routing::get};
use chatcore::{ChannelName, Chat, Identity, User};
use chatcore_hyper::{ChatService, Unauthorized, web::cookie};
use chatcore_redb::RedbStore;

const PAGE: &str = r#"<!doctype html><script type="module" src="/chat/ui/chat.js"></script>
<chat-room server="/chat" channel="general"></chat-room>"#;

/// The signed-in users, by the secret value of their cookie.
type Sessions = Arc<Mutex<HashMap<String, User>>>;

fn find(sessions: &Sessions, headers: &HeaderMap) -> Result<Identity, Unauthorized> {
    let token = cookie(headers, &["session"]).ok_or(Unauthorized)?;
    sessions.lock().map_err(|_| Unauthorized)?.get(token).cloned().map(Identity::new).ok_or(Unauthorized)
}

/// Signs a new visitor in as a guest and shows the room. A real app would ask for a password here.
async fn page(State(sessions): State<Sessions>, headers: HeaderMap) -> (HeaderMap, Html<&'static str>) {
    let mut answer = HeaderMap::new();
    if find(&sessions, &headers).is_err() {
        let [a, b, id] = [(); 3].map(|()| getrandom::u64().expect("the system has randomness"));
        let set = format!("session={a:016x}{b:016x}; HttpOnly; SameSite=Lax; Path=/");
        answer.insert(SET_COOKIE, set.parse().expect("ASCII"));
        let guest = User::new(&format!("u_{id:016x}"), &format!("Guest {}", id % 1_000)).expect("a valid id");
        sessions.lock().expect("no panic").insert(format!("{a:016x}{b:016x}"), guest);
    }
    (answer, Html(PAGE))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chat = Chat::builder(RedbStore::open("chat.redb")?).base("/chat").build();
    chat.ensure_channel(&ChannelName::new("general")?, "", &User::new("u_host", "Host")?).await?;
    let sessions = Sessions::default();
    let app = Router::new().route("/", get(page)).with_state(Arc::clone(&sessions));
    let who = move |request: &Parts| ready(find(&sessions, &request.headers));
    let app = app.nest_service("/chat", ChatService::new(chat, who));
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("Open http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}
