//! Hosts and origins: rebound names, configured origins behind proxies, and pages of other origins.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use chatcore_tests::{Answer, Raw, Server, http};
use clap::Parser;
use serde_json::json;
use tokio::net::TcpListener;
use web_chat::{App, Options};

const UPLOAD: &str = "/chat/channels/general/attachments?name=a.gif";
const GIF: &[u8] = b"GIF89a\x01\0\x01\0\0\0\0;";
const HANDSHAKE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

async fn web_chat(arguments: &[&str]) -> SocketAddr {
    let options = Options::parse_from(["web_chat", "--memory"].iter().chain(arguments));
    let app = App::open(&options).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(app.serve(listener, std::future::pending()));
    addr
}

/// Sends a request line with these headers, with or without `Host`, and a body.
async fn send(addr: SocketAddr, line: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut raw = Raw::connect(addr).await;
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!("{line}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    raw.write(&[head.as_bytes(), body].concat()).await;
    raw.answer().await
}

/// Sends a handshake and returns the status of the response.
async fn handshake(addr: SocketAddr, headers: &[&str]) -> u16 {
    let mut raw = Raw::connect(addr).await;
    let headers: String = HANDSHAKE.iter().chain(headers).map(|header| format!("{header}\r\n")).collect();
    raw.write(format!("GET /chat/ws HTTP/1.1\r\n{headers}\r\n").as_bytes()).await;
    raw.head().await.split(' ').nth(1).unwrap().parse().unwrap()
}

async fn sign_in(addr: SocketAddr, name: &str, headers: &[&str]) -> Answer {
    send(addr, "POST /session HTTP/1.1", headers, json!({ "name": name }).to_string().as_bytes()).await
}

/// Returns the complete cookies that a response sets.
fn cookies(answer: &Answer) -> Vec<&str> {
    let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
    set.map(|(_, value)| value.as_str()).collect()
}

/// Returns the sign-in cookie as a browser sends it back.
fn session(answer: &Answer) -> String {
    format!("Cookie: {}", cookies(answer)[0].split(';').next().unwrap())
}

/// One request for each kind of path of `web_chat`.
const PATHS: [(&str, &[u8]); 26] = [
    ("GET / HTTP/1.1", b""),
    ("GET /app.js HTTP/1.1", b""),
    ("GET /nothing HTTP/1.1", b""),
    ("GET /session HTTP/1.1", b""),
    ("POST /session HTTP/1.1", b"{\"name\":\"eve\"}"),
    ("DELETE /session HTTP/1.1", b""),
    ("POST /link HTTP/1.1", b"{\"link\":\"x\"}"),
    ("GET /account HTTP/1.1", b""),
    ("PATCH /account HTTP/1.1", b"{\"name\":\"eve\"}"),
    ("DELETE /account HTTP/1.1", b""),
    ("POST /account/link HTTP/1.1", b""),
    ("DELETE /account/devices HTTP/1.1", b""),
    ("DELETE /account/devices/x HTTP/1.1", b""),
    ("GET /admin/people HTTP/1.1", b""),
    ("PATCH /admin/people/u_1 HTTP/1.1", b"{\"name\":\"eve\"}"),
    ("DELETE /admin/people/u_1 HTTP/1.1", b""),
    ("POST /admin/people/u_1/link HTTP/1.1", b""),
    ("POST /admin/invitations HTTP/1.1", b"{\"uses\":1,\"days\":1}"),
    ("DELETE /admin/invitations/x HTTP/1.1", b""),
    ("GET /admin/channels HTTP/1.1", b""),
    ("PATCH /admin/channels/general HTTP/1.1", b"{\"archived\":true}"),
    ("GET /admin/channels/general/export HTTP/1.1", b""),
    ("GET /chat/ui/chat.js HTTP/1.1", b""),
    ("GET /chat/ws HTTP/1.1", b""),
    ("POST /chat/channels/general/attachments?name=a HTTP/1.1", b"x"),
    ("GET /chat/attachments/a_1/a HTTP/1.1", b""),
];

#[tokio::test]
async fn a_rebound_host_name_reaches_nothing() {
    let addr = web_chat(&[]).await;
    let ann = session(&sign_in(addr, "ann", &["Host: 127.0.0.1"]).await);
    let host = format!("evil.example:{}", addr.port());
    let rebound = [&*format!("Host: {host}"), &*format!("Origin: http://{host}"), &*ann];
    for (line, body) in PATHS {
        for headers in [&rebound[..], &rebound[..1]] {
            let answer = send(addr, line, headers, body).await;
            answer.assert_error(421, "misdirected");
            let why = answer.json()["message"].as_str().unwrap().to_owned();
            assert!(why.contains(&format!("--origin https://{host}")), "{line}: {why}");
            assert!(answer.header("content-security-policy").is_some(), "{line}");
        }
    }
    assert_eq!(handshake(addr, &rebound).await, 421);
    for host in ["localhost:3000", "LOCALHOST", "chat.localhost", "127.0.0.1", "10.0.0.7:80", "[::1]:3000"] {
        let own = [&*format!("Host: {host}"), &*format!("Origin: http://{host}"), &*ann];
        assert_eq!(handshake(addr, &own).await, 101, "{host}");
        assert_eq!(send(addr, "GET / HTTP/1.1", &own, b"").await.status, 200, "{host}");
        assert_eq!(sign_in(addr, "ann", &own).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn every_path_requires_one_valid_host() {
    let addr = web_chat(&[]).await;
    for (line, body) in PATHS {
        for headers in [
            &[][..],
            &["Host: 127.0.0.1", "Host: 127.0.0.1"],
            &["Host: 127.0.0.1", "Host: evil.example"],
            &["Host: 127.0.0.1, evil.example"],
            &["Host: evil.example@127.0.0.1"],
            &["Host: 127.0.0.1:99999"],
            &["Host: 127.0.0.1:80a"],
            &["Host: http://127.0.0.1"],
            &["Host: ::1"],
            &["Host: "],
        ] {
            send(addr, line, headers, body).await.assert_error(400, "bad_host");
        }
    }
    for (line, host, status) in [
        ("GET http://evil.example/ HTTP/1.1", "127.0.0.1", 421),
        ("GET http://127.0.0.1/ HTTP/1.1", "127.0.0.1", 200),
        ("GET http://user@127.0.0.1/ HTTP/1.1", "127.0.0.1", 400),
        ("GET / HTTP/1.1", "localhost.", 421),
        ("GET / HTTP/1.1", "127.0.0.1.evil.example", 421),
        ("GET / HTTP/1.1", "2130706433", 421),
    ] {
        let answer = send(addr, line, &[&format!("Host: {host}")], b"").await;
        assert_eq!(answer.status, status, "{line} at {host}");
    }
    assert_eq!(send(addr, "GET / HTTP/1.0", &[], b"").await.status, 200, "a health check of HTTP/1.0");
}

#[tokio::test]
async fn the_library_refuses_a_missing_or_repeated_host() {
    let server = Server::start().await;
    for headers in [&["x-user: ann"][..], &["x-user: ann", "Host: a", "Host: a"], &["Host: a,b"]] {
        for line in ["GET /chat/ws HTTP/1.1", "GET /chat/ui/chat.js HTTP/1.1", "GET /nothing HTTP/1.1"] {
            send(server.addr, line, headers, b"").await.assert_error(400, "bad_host");
        }
        assert_eq!(handshake(server.addr, headers).await, 400);
    }
}

#[tokio::test]
async fn a_configured_origin_signs_in_behind_any_proxy_host() {
    let addr = web_chat(&["--origin", "https://chat.example"]).await;
    for host in ["chat.example", "127.0.0.1:3000", "chat.example:8443", "localhost", "[::1]"] {
        let (name, host) = (format!("ann {host}"), format!("Host: {host}"));
        let from = async |origin: &str| {
            let headers = [&*host, &*format!("Origin: {origin}"), "Sec-Fetch-Site: same-origin"];
            let answer = sign_in(addr, &name, &headers).await;
            if answer.status != 200 {
                return [answer.status; 3];
            }
            let cookie = session(&answer);
            let with_cookie = [&headers[..], &[&cookie]].concat();
            let uploaded = send(addr, &format!("POST {UPLOAD} HTTP/1.1"), &with_cookie, GIF).await.status;
            let socket = handshake(addr, &with_cookie).await;
            send(addr, "DELETE /session HTTP/1.1", &with_cookie, b"").await;
            [answer.status, uploaded, socket]
        };
        assert_eq!(from("https://chat.example").await, [200, 201, 101], "{host}");
        for foreign in ["http://chat.example", "https://chat.example:8443", "https://evil.example", "null"] {
            assert_eq!(from(foreign).await, [403; 3], "{foreign} at {host}");
        }
    }
    let backend = ["Host: chat_backend", "Origin: https://chat.example"];
    let answer = sign_in(addr, "ann", &backend).await;
    answer.assert_error(421, "misdirected");
    let why = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(why.contains("proxy_set_header Host $host"), "{why}");
    assert_eq!(handshake(addr, &backend).await, 421);
    let own = [format!("Host: {addr}"), format!("Origin: http://{addr}")];
    assert_eq!(sign_in(addr, "bob", &[&own[0], &own[1]]).await.status, 200, "by its address, as before");
}

#[tokio::test]
async fn a_foreign_page_changes_nothing_by_any_method() {
    let addr = web_chat(&["--origin", "https://chat.example"]).await;
    for foreign in ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"] {
        for path in
            ["/", "/app.js", "/nothing", "/session", "/chat/ws", "/chat/ui/chat.js", UPLOAD, "/chat/x"]
        {
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                let headers = ["Host: chat.example", foreign];
                let answer = send(addr, &format!("{method} {path} HTTP/1.1"), &headers, b"x").await;
                answer.assert_error(403, "not_allowed");
            }
        }
    }
    let evil = ["Host: chat.example", "Origin: https://evil.example"];
    let answer = sign_in(addr, "ann", &evil).await;
    let why = answer.json()["message"].as_str().unwrap().to_owned();
    assert!(why.contains("--origin https://evil.example"), "{why}");
}

#[tokio::test]
async fn the_cookie_over_https_has_the_host_prefix() {
    let addr = web_chat(&["--origin", "https://chat.example"]).await;
    let https = ["Host: 127.0.0.1:3000", "Origin: https://chat.example"];
    let answer = sign_in(addr, "ann", &https).await;
    let set = cookies(&answer);
    assert!(set[0].starts_with("__Host-chat_session="), "{set:?}");
    for part in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax", "Max-Age=31536000"] {
        assert!(set[0].split("; ").any(|attribute| attribute == part), "{set:?}");
    }
    assert!(!set[0].contains("Domain"), "{set:?}");
    assert!(set.iter().any(|cookie| cookie.starts_with("chat_session=;") && cookie.contains("Max-Age=0")));
    let me = send(addr, "GET /session HTTP/1.1", &[https[0], &session(&answer)], b"").await;
    assert_eq!(me.json(), answer.json()["user"]);

    let http = sign_in(addr, "bob", &["Host: 127.0.0.1:3000", "Origin: http://127.0.0.1:3000"]).await;
    assert!(cookies(&http)[0].starts_with("chat_session="), "without TLS a browser would drop the other");
    assert!(!cookies(&http)[0].contains("Secure"));

    let secure = web_chat(&["--secure-cookie"]).await;
    let answer = sign_in(secure, "ann", &["Host: 127.0.0.1"]).await;
    assert!(cookies(&answer)[0].starts_with("__Host-chat_session="));
}

#[tokio::test]
async fn an_older_cookie_stays_signed_in_and_is_replaced() {
    let addr = web_chat(&["--origin", "https://chat.example"]).await;
    let answer = sign_in(addr, "ann", &["Host: 127.0.0.1"]).await;
    let older = session(&answer);
    assert!(older.starts_with("Cookie: chat_session="));
    let me = send(addr, "GET /session HTTP/1.1", &["Host: chat.example", &older], b"").await;
    assert_eq!(me.json(), answer.json()["user"]);
    let token = older.split('=').nth(1).unwrap();
    assert_eq!(session(&me), format!("Cookie: __Host-chat_session={token}"));
    assert!(cookies(&me).iter().any(|set| set.starts_with("chat_session=;") && set.contains("Max-Age=0")));
    let newer = session(&me);
    let again = send(addr, "GET /session HTTP/1.1", &["Host: chat.example", &newer], b"").await;
    assert_eq!((again.status, session(&again)), (200, newer.clone()), "kept for another year");
    let out = send(addr, "DELETE /session HTTP/1.1", &["Host: chat.example", &newer], b"").await;
    assert!(cookies(&out).iter().all(|set| set.contains("Max-Age=0")), "{out:?}");
    for name in ["__Host-chat_session=;", "chat_session=;", "chat_signed_in="] {
        assert!(cookies(&out).iter().any(|set| set.starts_with(name)), "{out:?}");
    }
}

#[tokio::test]
async fn two_different_session_cookies_are_ignored() {
    let addr = web_chat(&[]).await;
    let ann = session(&sign_in(addr, "ann", &["Host: 127.0.0.1"]).await);
    let bob = session(&sign_in(addr, "bob", &["Host: 127.0.0.1"]).await);
    let (ann, bob) = (ann.split('=').nth(1).unwrap(), bob.split('=').nth(1).unwrap());
    for (cookies, status) in [
        (vec![format!("chat_session={ann}; chat_session={ann}")], 200),
        (vec![format!("chat_session={ann}"), format!("x=1; chat_session={ann}")], 200),
        (vec![format!("__Host-chat_session={ann}; chat_session={ann}")], 200),
        (vec![format!("other=é; chat_session={ann}")], 200),
        (vec![format!("chat_session={ann}; chat_session={bob}")], 401),
        (vec![format!("chat_session={bob}"), format!("chat_session={ann}")], 401),
        (vec![format!("__Host-chat_session={ann}; chat_session={bob}")], 401),
        (vec![format!("chat_session=; chat_session={ann}")], 401),
    ] {
        let lines: Vec<String> = cookies.iter().map(|cookie| format!("Cookie: {cookie}")).collect();
        let headers: Vec<&str> = ["Host: 127.0.0.1"].into_iter().chain(lines.iter().map(|l| &**l)).collect();
        assert_eq!(send(addr, "GET /session HTTP/1.1", &headers, b"").await.status, status, "{cookies:?}");
        let socket = if status == 200 { 101 } else { status };
        assert_eq!(handshake(addr, &headers).await, socket, "{cookies:?}");
    }
}

/// Checks the headers that let a page of another origin read a response.
fn assert_shared(answer: &Answer, origin: Option<&str>) {
    assert_eq!(answer.header("access-control-allow-origin"), origin, "{answer:?}");
    let credentials = origin.map(|_| "true");
    assert_eq!(answer.header("access-control-allow-credentials"), credentials, "{answer:?}");
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
    for name in ["content-range", "etag", "retry-after"] {
        assert_eq!(exposed.contains(name), origin.is_some(), "{name}: {answer:?}");
    }
    let varies = |(name, value): &(String, String)| name == "vary" && value.eq_ignore_ascii_case("origin");
    assert_eq!(answer.headers.iter().filter(|header| varies(header)).count(), 1, "{answer:?}");
}

#[tokio::test]
async fn pages_of_an_allowed_origin_read_every_answer() {
    const APP: &str = "https://app.example";
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let (app, evil) = (format!("Origin: {APP}"), "Origin: https://evil.example");
    let cross = "Sec-Fetch-Site: cross-site";
    let uploaded = http(server.addr, "POST", UPLOAD, &["x-user: ann", &app, cross], GIF).await;
    assert_eq!(uploaded.status, 201);
    assert_shared(&uploaded, Some(APP));
    let ids = json!([uploaded.json()["id"]]);
    ann.ok(json!({"type": "publish", "channel": "general", "nonce": "n", "text": "", "attachments": ids}))
        .await;
    let url = uploaded.json()["url"].as_str().unwrap().to_owned();

    for (method, path, headers, status) in [
        ("GET", &*url, &["x-user: ann"][..], 200),
        ("GET", &url, &["x-user: ann", "Range: bytes=1-2"], 206),
        ("GET", &url, &["x-user: ann", "Range: bytes=99-"], 416),
        ("HEAD", &url, &["x-user: ann"], 200),
        ("GET", &url, &[], 401),
        ("GET", "/chat/attachments/a_1/x", &["x-user: ann"], 404),
        ("GET", "/chat/ui/chat.js", &[], 200),
        ("GET", "/chat/ui/emoji.json", &["Accept-Encoding: br"], 200),
        ("GET", "/chat/ui/nothing.js", &[], 404),
        ("GET", "/chat/ws", &["x-user: ann"], 426),
        ("GET", "/chat/ws", &[], 401),
        ("POST", UPLOAD, &[], 401),
        ("POST", "/chat/channels/nowhere/attachments?name=a", &["x-user: ann"], 404),
        ("PUT", UPLOAD, &["x-user: ann"], 405),
        ("GET", "/nothing", &[], 404),
    ] {
        let with = |more: &'static str| headers.iter().copied().chain([more]).collect::<Vec<_>>();
        let allowed: Vec<&str> = headers.iter().copied().chain([&*app]).collect();
        let answer = http(server.addr, method, path, &allowed, b"").await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert_shared(&answer, Some(APP));
        assert_shared(&http(server.addr, method, path, &with(evil), b"").await, None);
        assert_shared(&http(server.addr, method, path, headers, b"").await, None);
    }

    let policy = async |headers: &[&str]| {
        let answer = http(server.addr, "GET", &url, headers, b"").await;
        answer.header("cross-origin-resource-policy").map(str::to_owned)
    };
    assert_eq!(policy(&["x-user: ann", &app]).await.as_deref(), Some("cross-origin"));
    assert_eq!(policy(&["x-user: ann", evil]).await.as_deref(), Some("same-origin"));
    assert_eq!(policy(&["x-user: ann"]).await.as_deref(), Some("same-origin"));
}

#[tokio::test]
async fn only_allowed_origins_get_a_preflight_answer() {
    let server = Server::start().await;
    for (path, methods) in [
        (UPLOAD, "POST"),
        ("/chat/attachments/a_1/x", "GET, HEAD"),
        ("/chat/ui/chat.js", "GET, HEAD"),
        ("/chat/ws", "GET, HEAD"),
    ] {
        let asked = ["Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type"];
        let ask =
            async |more: &[&str]| http(server.addr, "OPTIONS", path, &[&asked, more].concat(), b"").await;
        let answer = ask(&["Origin: https://app.example", "Sec-Fetch-Site: cross-site"]).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{path}");
        assert_shared(&answer, Some("https://app.example"));
        assert_eq!(answer.header("access-control-allow-methods"), Some(methods), "{path}");
        let headers = answer.header("access-control-allow-headers").unwrap();
        assert!(headers.contains("content-type") && headers.contains("range"), "{headers}");
        assert!(answer.header("access-control-max-age").is_some());
        for foreign in ["Origin: https://evil.example", "Origin: http://app.example", "Origin: null"] {
            let answer = ask(&[foreign]).await;
            answer.assert_error(403, "not_allowed");
            assert_shared(&answer, None);
            assert_eq!(answer.header("access-control-allow-methods"), None);
        }
        // Without an origin, it is not a preflight of a browser.
        let answer = ask(&[]).await;
        assert_eq!((answer.status, answer.header("access-control-allow-methods")), (204, None), "{path}");
    }
}

#[tokio::test]
async fn configured_origins_can_use_each_other_in_web_chat() {
    let addr = web_chat(&["--origin", "https://chat.example", "--origin", "https://app.example"]).await;
    let app = ["Host: chat.example", "Origin: https://app.example"];
    let asked = [&app[..], &["Access-Control-Request-Method: POST"]].concat();
    for path in ["/session", UPLOAD] {
        let answer = send(addr, &format!("OPTIONS {path} HTTP/1.1"), &asked, b"").await;
        assert_eq!(answer.status, 204, "{path}");
        assert_shared(&answer, Some("https://app.example"));
    }
    let answer = sign_in(addr, "ann", &app).await;
    assert_eq!(answer.status, 200);
    assert_shared(&answer, Some("https://app.example"));
    assert_shared(&sign_in(addr, "ann", &app).await, Some("https://app.example"));
    let misdirected = ["Host: evil.example", "Origin: https://app.example"];
    assert_shared(&sign_in(addr, "ann", &misdirected).await, Some("https://app.example"));
    let untold = web_chat(&[]).await;
    let answer =
        send(untold, "GET / HTTP/1.1", &["Host: localhost", "Origin: https://app.example"], b"").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}
