//! Runs each example as a separate process, and checks that it responds.
#![allow(clippy::unwrap_used)] // The helpers are tests too.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use chatcore_tests::{Answer, Client, http, must};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A running example in its own folder. It is killed on drop.
struct Example {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
}

impl Example {
    fn start(name: &str, arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), name, arguments)
    }

    fn start_in(folder: TempDir, name: &str, arguments: &[&str]) -> Self {
        // This program is in `deps`, next to the folder `examples`.
        let mut program: PathBuf = std::env::current_exe().unwrap();
        program.pop();
        program.pop();
        program.extend(["examples", &format!("{name}{}", std::env::consts::EXE_SUFFIX)]);
        let mut child = Command::new(&program)
            .args(arguments)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, folder }
    }

    /// Kills it, and returns its folder.
    async fn kill(mut self) -> TempDir {
        self.child.kill().await.unwrap();
        self.folder
    }

    async fn line(&mut self) -> String {
        must("a line of the example", self.lines.next_line()).await.unwrap().expect("it says more")
    }

    /// Returns the address that it prints.
    async fn addr(&mut self) -> SocketAddr {
        let line = self.line().await;
        let (_, addr) = line.split_once("://").unwrap_or_else(|| panic!("no URL: {line}"));
        addr.parse().unwrap()
    }
}

/// Opens the page and returns the cookie that it sets.
fn session(page: &Answer) -> String {
    let set = page.header("set-cookie").expect("a cookie");
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
    set.split(';').next().unwrap().to_owned()
}

/// Opens the page, loads its files, and chats in its room.
async fn assert_a_room_opens(addr: SocketAddr) -> String {
    let page = must("a page", http(addr, "GET", "/", &[], b"")).await;
    let text = String::from_utf8(page.body.clone()).unwrap();
    assert!(text.contains(r#"<chat-room server="/chat" channel="general">"#), "{text}");
    let script = must("a script", http(addr, "GET", "/chat/ui/chat.js", &[], b"")).await;
    assert_eq!(script.status, 200);
    let cookie = session(&page);
    let mut ann = Client::connect_with_cookie(addr, &cookie).await;
    ann.ok(json!({"type": "subscribe", "channel": "general"})).await;
    ann.publish("general", "hello").await;
    let forged = ["Cookie: session=0000", "X-User: u_ann"];
    let nobody = must("an answer", http(addr, "POST", "/chat/identity", &forged, b"")).await;
    assert_eq!(nobody.json()["user"], json!(null), "a header says nothing");
    cookie
}

#[tokio::test]
async fn hello_opens_a_room() {
    let mut hello = Example::start("hello", &["127.0.0.1:0"]);
    assert_a_room_opens(hello.addr().await).await;
}

#[tokio::test]
async fn axum_opens_a_room_for_each_visitor() {
    let mut axum = Example::start("axum", &["127.0.0.1:0"]);
    let addr = axum.addr().await;
    let cookie = assert_a_room_opens(addr).await;
    let identity = async |cookie: &str| {
        let header = format!("Cookie: {cookie}");
        http(addr, "POST", "/chat/identity", &[&header], b"").await.json()["user"]["id"].clone()
    };
    let another = session(&http(addr, "GET", "/", &[], b"").await);
    assert_ne!(identity(&cookie).await, identity(&another).await);
    let again = http(addr, "GET", "/", &[&format!("Cookie: {cookie}")], b"").await;
    assert_eq!(again.header("set-cookie"), None, "a visitor who comes back stays who they are");
}

/// Opens a WebSocket for the client of a proxy, and returns it with the head of the answer.
async fn open_for(addr: SocketAddr, client: &str) -> (BufReader<TcpStream>, String) {
    let mut stream = BufReader::new(TcpStream::connect(addr).await.unwrap());
    let upgrade = "GET /chat/ws HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let request = format!("{upgrade}X-Forwarded-For: {client}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(must("an answer", stream.read_line(&mut head)).await.unwrap(), 0, "{head}");
    }
    (stream, head)
}

#[tokio::test]
async fn deployed_limits_addresses_and_tells_clients_of_its_end() {
    let mut deployed = Example::start("deployed", &["127.0.0.1:0"]);
    let addr = deployed.addr().await;
    let mut clients = Vec::new();
    for client in std::iter::repeat_n("192.0.2.1", 20).chain(["192.0.2.2"]) {
        let (stream, head) = open_for(addr, client).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        clients.push(stream);
    }
    let (_, head) = open_for(addr, "192.0.2.1").await;
    assert!(head.starts_with("HTTP/1.1 429 "), "one address has as many as it may: {head}");

    let process = deployed.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &process]).status().await.unwrap().success());
    for mut stream in clients {
        let mut frames = Vec::new();
        must("the end", stream.read_to_end(&mut frames)).await.unwrap();
        let text = String::from_utf8_lossy(&frames);
        assert!(text.contains(r#""type":"draining""#), "{text}");
        let close = frames.iter().rposition(|byte| *byte == 0x88).expect("a close frame");
        assert_eq!(frames[close + 2..close + 4], 1001_u16.to_be_bytes(), "{text}");
        // The server waits for the client's close frame, or for its end.
        drop(stream);
    }
    assert!(must("the end", deployed.child.wait()).await.unwrap().success());
}

#[tokio::test]
async fn bot_answers_a_question() {
    assert_eq!(Example::start("bot", &[]).line().await, "Bot: IS ANYBODY THERE?");
}

#[tokio::test]
async fn policy_refuses_who_is_not_staff() {
    let mut policy = Example::start("policy", &[]);
    assert_eq!(policy.line().await, "Ann published message 1");
    assert_eq!(policy.line().await, "Bob was refused: not allowed");
}

#[tokio::test]
async fn review_refuses_or_rewrites_a_message() {
    let mut review = Example::start("review", &[]);
    assert_eq!(review.line().await, "Bob was refused: Advertisements are not allowed.");
    assert_eq!(review.line().await, "Bob: Is [card number] charged twice?");
}

#[tokio::test]
async fn post_publishes_once_without_a_session() {
    let mut post = Example::start("post", &[]);
    assert_eq!(post.line().await, "Published as message 1, and again as message 1");
    assert_eq!(post.line().await, "Helpdesk: Ticket 4711 is closed.");
}

#[tokio::test]
async fn store_keeps_a_file() {
    assert!(Example::start("store", &[]).line().await.ends_with(" has 5 bytes"));
}

#[tokio::test]
async fn tenants_see_their_own_tickets() {
    let mut tenants = Example::start("tenants", &["127.0.0.1:0"]);
    let addr = tenants.addr().await;
    let sign_in =
        async |name: &str| session(&http(addr, "POST", &format!("/sign-in/{name}"), &[], b"").await);
    let (helen, ann, cid) = (sign_in("helen").await, sign_in("ann").await, sign_in("cid").await);
    let call = async |cookie: &str, method: &str, path: &str| {
        http(addr, method, path, &[&format!("Cookie: {cookie}")], b"").await
    };
    let opened = call(&ann, "POST", "/tickets?title=Broken%20%3Cprinter%3E").await;
    let ticket = opened.json()["channel"].as_str().expect("a channel").to_owned();
    call(&cid, "POST", "/tickets?title=Invoice").await;

    // Each sees their own, with what they have to read. The help desk sees all.
    let body = async |cookie: &str| String::from_utf8(call(cookie, "GET", "/").await.body).unwrap();
    let page = body(&ann).await;
    assert!(page.contains("Broken &lt;printer> (1)") && !page.contains("Invoice"), "{page}");
    let page = body(&helen).await;
    assert!(page.contains("Broken") && page.contains("Invoice"), "{page}");

    let mut reader = Client::connect_with_cookie(addr, &ann).await;
    let seen = reader.ok(json!({"type": "subscribe", "channel": ticket})).await;
    let welcome = &seen["messages"][0];
    assert_eq!((&welcome["kind"], &welcome["data"]["state"]), (&json!("system"), &json!("open")));
    reader.publish(&ticket, "It burns.").await;
    let mut stranger = Client::connect_with_cookie(addr, &cid).await;
    stranger.refused(json!({"type": "subscribe", "channel": ticket}), "no_such_channel").await;
    let people = stranger.ok(json!({"type": "users"})).await;
    let names: Vec<_> = people["users"].as_array().unwrap().iter().map(|user| &user["name"]).collect();
    assert_eq!(names, ["cid", "helen"], "nobody of another company");
    stranger.refused(json!({"type": "open_direct", "users": ["acme/ann"]}), "not_allowed").await;

    // Customers change nothing. The help desk closes tickets and takes people off, at once.
    assert_eq!(call(&ann, "POST", &format!("/tickets/{ticket}/close")).await.status, 403);
    assert_eq!(call(&helen, "DELETE", &format!("/tickets/{ticket}/people/ann")).await.status, 200);
    let gone = reader.event("channel_removed").await;
    assert_eq!((&gone["channel"], &gone["reason"]), (&json!(ticket), &json!("removed")));
    let late = json!({"type": "publish", "channel": ticket, "nonce": "late", "text": "?"});
    reader.refused(late.clone(), "no_such_channel").await;
    assert_eq!(call(&helen, "POST", &format!("/tickets/{ticket}/close")).await.status, 200);
    let mut desk = Client::connect_with_cookie(addr, &helen).await;
    desk.refused(late, "archived").await;
}

/// Waits for a request of the webhook, and answers it with this status. Returns the texts of the messages in it.
async fn webhook(listener: &TcpListener, status: &str) -> Vec<String> {
    let (stream, _) = must("a request", listener.accept()).await.unwrap();
    let mut stream = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while stream.read_line(&mut line).await.unwrap() > 2 {
        head.push_str(&std::mem::take(&mut line));
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.unwrap();
    let events = body.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap());
    let messages = events.filter(|event: &serde_json::Value| event["type"] == "message");
    messages.map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn tenants_posts_each_event_until_it_is_accepted() {
    let [first, second] =
        [TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap()];
    let to = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
    let mut tenants = Example::start("tenants", &["127.0.0.1:0", &to(&first)]);
    let addr = tenants.addr().await;
    let cookie = session(&http(addr, "POST", "/sign-in/ann", &[], b"").await);
    let open = async |addr, title: &str| {
        let path = format!("/tickets?title={title}");
        http(addr, "POST", &path, &[&format!("Cookie: {cookie}")], b"").await.json()["channel"].clone()
    };
    let ticket = open(addr, "Printer").await;
    let welcome = "Welcome! We answer within an hour.";
    // The first request may come before the message.
    while !webhook(&first, "200 OK").await.contains(&welcome.to_owned()) {}
    let mut ann = Client::connect_with_cookie(addr, &cookie).await;
    ann.ok(json!({"type": "subscribe", "channel": ticket})).await;
    ann.publish(ticket.as_str().unwrap(), "It burns.").await;
    for _ in 0..2 {
        assert_eq!(webhook(&first, "503 Busy").await, ["It burns."], "what was accepted does not come again");
    }
    let folder = tenants.kill().await;

    let _tenants = Example::start_in(folder, "tenants", &["127.0.0.1:0", &to(&second)]);
    assert_eq!(webhook(&second, "200 OK").await, ["It burns."], "what was not accepted comes again");
}

#[tokio::test]
async fn tls_answers_over_https() {
    let mut tls = Example::start("tls", &["127.0.0.1:0"]);
    let addr = tls.addr().await;
    let own = CertificateDer::from_pem_file(tls.folder.path().join("certificate.pem")).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let tcp = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream =
        must("a handshake", TlsConnector::from(Arc::new(config)).connect(name, tcp)).await.unwrap();
    let request =
        b"POST /chat/identity HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    let _ = must("an answer", stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(r#"{"user":null}"#), "{answer}");
}
