//! A help desk for two companies, in an app with its own sign-in: `cargo run --example tenants`, then open
//! <http://127.0.0.1:3000>.
//!
//! Each ticket is a private channel, so a customer sees only their own. People of different companies can't find each other.
//! The app opens tickets, posts to them, closes them, and takes people off them, without a session of its own. With a
//! second argument, such as `127.0.0.1:4000`, it posts all that happens to that address: `webhook.rs`.

mod webhook;

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header::SET_COOKIE, request::Parts};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use chatcore::{
    Action, ChannelName, Chat, Data, Denied, ErrorCode, HistoryAccess, Identity, NewMessage, OpenPolicy,
    Policy, User,
};
use chatcore_hyper::{ChatService, Unauthorized, web::cookie};
use chatcore_redb::RedbStore;
use serde_json::{Value, json};

/// The people: name, company, and whether they work at the help desk. A real app has them in its database.
const PEOPLE: [(&str, &str, bool); 4] =
    [("helen", "helpdesk", true), ("ann", "acme", false), ("bob", "acme", false), ("cid", "globex", false)];

/// What the app knows of a signed-in person. The policy gets it with each identity.
#[derive(Clone)]
struct Person {
    user: User,
    company: &'static str,
    is_staff: bool,
}

impl Person {
    fn named(name: &str) -> Option<Self> {
        let (name, company, is_staff) = *PEOPLE.iter().find(|person| person.0 == name)?;
        let user = User::new(&format!("{company}/{name}"), name).ok()?;
        Some(Self { user, company, is_staff })
    }

    fn identity(&self) -> Identity {
        Identity::new(self.user.clone()).with(self.clone())
    }
}

/// Customers meet the people of their company and the help desk. Only the app opens and changes tickets.
struct Tenants;

impl Policy for Tenants {
    fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
        let person = identity.get::<Person>().ok_or(Denied)?;
        let may_meet = |company: &str| person.is_staff || [person.company, "helpdesk"].contains(&company);
        match action {
            Action::CreateChannel(_) | Action::Manage(_) => Err(Denied),
            Action::Meet(user) if !user.as_str().split('/').next().is_some_and(may_meet) => Err(Denied),
            other => OpenPolicy.authorize(identity, other),
        }
    }
}

#[derive(Clone)]
struct App {
    chat: Chat,
    /// The signed-in people, by the secret value of their cookie.
    sessions: Arc<Mutex<HashMap<String, Person>>>,
}

impl App {
    fn person(&self, headers: &HeaderMap) -> Option<Person> {
        self.sessions.lock().ok()?.get(cookie(headers, &["session"])?).cloned()
    }

    fn staff(&self, headers: &HeaderMap) -> Result<Person, StatusCode> {
        self.person(headers).filter(|person| person.is_staff).ok_or(StatusCode::FORBIDDEN)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: chatcore::Error) -> StatusCode {
    match error.code() {
        ErrorCode::NoSuchChannel | ErrorCode::NotAMember => StatusCode::NOT_FOUND,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// Signs a person in. A real app would ask for a password here.
async fn sign_in(State(app): State<App>, Path(name): Path<String>) -> Result<Response, StatusCode> {
    let person = Person::named(&name).ok_or(StatusCode::NOT_FOUND)?;
    app.chat.remember_user(&person.user).await.map_err(refused)?;
    let [a, b] = [(); 2].map(|()| getrandom::u64().expect("the system has randomness"));
    let secret = format!("{a:016x}{b:016x}");
    app.sessions.lock().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?.insert(secret.clone(), person);
    let set = format!("session={secret}; HttpOnly; SameSite=Lax; Path=/");
    Ok(([(SET_COOKIE, set)], Redirect::to("/")).into_response())
}

/// Shows the tickets that the person can see, with what they have to read, and the first one.
async fn page(State(app): State<App>, headers: HeaderMap) -> Result<Html<String>, StatusCode> {
    let Some(person) = app.person(&headers) else {
        let doors = PEOPLE.map(|(name, ..)| {
            format!("<form method=post action=/sign-in/{name}><button>{name}</button></form>")
        });
        return Ok(Html(doors.concat()));
    };
    let tickets = app.chat.channels_of(&person.user.id, None).await.map_err(refused)?.channels;
    // Titles are people's texts: never put them into a page as they are.
    let escaped = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let list = tickets.iter().map(|ticket| format!("<li>{} ({})", escaped(&ticket.title), ticket.unread));
    let room = |name| format!(r#"<chat-room server="/chat" channel="{name}"></chat-room>"#);
    let room = tickets.first().map(|ticket| room(&ticket.name)).unwrap_or_default();
    let script = r#"<!doctype html><script type="module" src="/chat/ui/chat.js"></script>"#;
    Ok(Html(format!("{script}<ul>{}</ul>{room}", list.collect::<String>())))
}

/// Opens a ticket: a private channel of the help desk, with the customer in it.
async fn open(
    State(app): State<App>,
    headers: HeaderMap,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, StatusCode> {
    let person = app.person(&headers).ok_or(StatusCode::UNAUTHORIZED)?;
    let desk = Person::named("helen").ok_or(StatusCode::INTERNAL_SERVER_ERROR)?.user;
    let title = query.get("title").map_or("Question", String::as_str);
    let ticket = app.chat.create_private(&desk, title, "", HistoryAccess::All).await.map_err(refused)?;
    app.chat.add_member(&desk, &ticket.name, &person.user).await.map_err(refused)?;
    say(&app, &desk, &ticket.name, "Welcome! We answer within an hour.", "open").await?;
    Ok(Json(json!({ "channel": ticket.name })))
}

/// Says something in the app's own name, with data that the app's own pages understand.
async fn say(app: &App, by: &User, ticket: &ChannelName, text: &str, state: &str) -> Result<(), StatusCode> {
    let data = Data::new(&json!({ "state": state })).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    app.chat.publish(by, ticket, NewMessage::text(text).system().data(data)).await.map_err(refused)?;
    Ok(())
}

/// Closes a ticket: it can still be read, and found.
async fn close(
    State(app): State<App>,
    headers: HeaderMap,
    Path(ticket): Path<ChannelName>,
) -> Result<(), StatusCode> {
    let staff = app.staff(&headers)?.user;
    say(&app, &staff, &ticket, "This ticket is closed.", "closed").await?;
    app.chat.archive(&staff, &ticket, true).await.map_err(refused)?;
    Ok(())
}

/// Takes a person off a ticket. They get nothing more of it, on any page that they have open.
async fn take_off(
    State(app): State<App>,
    headers: HeaderMap,
    Path((ticket, name)): Path<(ChannelName, String)>,
) -> Result<(), StatusCode> {
    let staff = app.staff(&headers)?.user;
    let person = Person::named(&name).ok_or(StatusCode::NOT_FOUND)?;
    app.chat.remove_member(&staff, &ticket, &person.user.id).await.map_err(refused)?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let chat = Chat::builder(RedbStore::open("tickets.redb")?).policy(Tenants).base("/chat").build();
    let app = App { chat: chat.clone(), sessions: Arc::default() };
    let routes = Router::new()
        .route("/", get(page))
        .route("/sign-in/{name}", post(sign_in))
        .route("/tickets", post(open))
        .route("/tickets/{ticket}/close", post(close))
        .route("/tickets/{ticket}/people/{name}", delete(take_off))
        .with_state(app.clone());
    let who = move |request: &Parts| {
        ready(app.person(&request.headers).map(|person| person.identity()).ok_or(Unauthorized))
    };
    let routes = routes.nest_service("/chat", ChatService::new(chat.clone(), who));
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    if let Some(to) = arguments.next() {
        tokio::spawn(webhook::deliver(chat, to));
    }
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("Open http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, routes).await?)
}
