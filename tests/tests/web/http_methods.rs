//! Strict HTTP on every path of `web_chat` and of the library: methods, paths, lengths and encodings.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use chatcore_hyper::web::Allowance;
use chatcore_tests::{Answer, Client, Raw, Server, http};
use clap::Parser;
use serde_json::json;
use tokio::net::TcpListener;
use web_chat::{App, Options};

/// A `web_chat` with a signed-in user who has sent a file: its address, the user's cookie, and the file's path.
async fn start() -> (SocketAddr, String, String) {
    let app = App::open(&Options::parse_from(["web_chat", "--memory"])).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(app.serve(listener, std::future::pending()));
    let answer = http(addr, "POST", "/session", &[], br#"{"name":"ann"}"#).await;
    let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let mut ann = Client::connect_with_cookie(addr, &cookie).await;
    let cookie = format!("Cookie: {cookie}");
    let upload = http(addr, "POST", UPLOADS, &[&cookie], b"0123456789").await.json();
    let ids = json!([upload["id"]]);
    ann.ok(json!({"type": "publish", "channel": "general", "nonce": "n", "text": "", "attachments": ids}))
        .await;
    (addr, cookie, upload["url"].as_str().unwrap().to_owned())
}

const UPLOADS: &str = "/chat/channels/general/attachments?name=a";

const READ: &str = "GET, HEAD, OPTIONS";

/// Every path with its methods.
fn routes(file: &str) -> [(&str, &'static str); 28] {
    [
        ("/", READ),
        ("/app.js", READ),
        ("/account.html", READ),
        ("/admin.html", READ),
        ("/session", "GET, HEAD, POST, DELETE, OPTIONS"),
        ("/link", "POST, OPTIONS"),
        ("/account", "GET, HEAD, PATCH, DELETE, OPTIONS"),
        ("/account/link", "POST, OPTIONS"),
        ("/account/devices", "DELETE, OPTIONS"),
        ("/account/devices/x", "DELETE, OPTIONS"),
        ("/admin/people", READ),
        ("/admin/people/u_1", "PATCH, DELETE, OPTIONS"),
        ("/admin/people/u_1/devices", "DELETE, OPTIONS"),
        ("/admin/people/u_1/link", "POST, OPTIONS"),
        ("/admin/people?name=a", READ),
        ("/admin/invitations", "GET, HEAD, POST, OPTIONS"),
        ("/admin/invitations/x", "DELETE, OPTIONS"),
        ("/admin/%70eople", READ),
        ("/admin/channels", READ),
        ("/admin/channels/general/export", READ),
        ("/admin/channels/general", "PATCH, OPTIONS"),
        ("/healthz", READ),
        ("/readyz", READ),
        ("/chat/ws", READ),
        ("/chat/ui/chat.js", READ),
        (UPLOADS, "POST, OPTIONS"),
        (file, READ),
        ("/embed.html", READ),
    ]
}

#[tokio::test]
async fn every_path_lists_its_methods() {
    let (addr, cookie, file) = start().await;
    for (path, allow) in routes(&file) {
        let answer = http(addr, "OPTIONS", path, &[&cookie], b"").await;
        assert_eq!((answer.status, answer.header("allow")), (204, Some(allow)), "{path}");
        assert_eq!(answer.header("content-length"), None, "{path}: a 204 has no body");
        let others = ["PUT", "PATCH", "TRACE", "BREW"];
        for method in others.into_iter().filter(|method| !allow.contains(method)) {
            let answer = http(addr, method, path, &[&cookie], b"").await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some(allow)), "{method} {path}");
        }
    }
    assert_eq!(http(addr, "OPTIONS", "*", &[], b"").await.status, 204);
}

#[tokio::test]
async fn head_matches_get_on_every_path() {
    let (addr, cookie, file) = start().await;
    for (path, allow) in routes(&file).into_iter().chain([("/nothing", READ), ("/chat/nothing", READ)]) {
        let with: [&[&str]; 3] = [
            &[],
            &[&cookie, "Accept-Encoding: br"],
            &[&cookie, "If-Match: \"x\"", "If-None-Match: *", "Range: bytes=99-"],
        ];
        for headers in with {
            let get = http(addr, "GET", path, headers, b"").await;
            let head = http(addr, "HEAD", path, headers, b"").await;
            assert_eq!((head.status, head.body.len()), (get.status, 0), "{path} {headers:?}");
            let without_date = |answer: &Answer| {
                let mut headers = answer.headers.clone();
                // RFC 9110, 9.3.2: HEAD may leave out what is known only while the content is made.
                headers.retain(|(name, _)| name != "date" && name != "transfer-encoding");
                headers
            };
            assert_eq!(without_date(&head), without_date(&get), "{path} {headers:?}");
            assert_ne!(get.status == 405, allow.contains("GET"), "{path}");
        }
    }
}

#[tokio::test]
async fn a_missing_path_is_404_for_any_method() {
    let (addr, cookie, file) = start().await;
    let slash = |path: &str| format!("{path}/");
    for path in [
        slash("/session"),
        slash("/account"),
        slash("/account/devices"),
        slash("/admin/people"),
        "/admin".into(),
        "/admin/nothing".into(),
        "/account/nothing".into(),
        slash("/healthz"),
        slash("/index.html"),
        slash("/chat/ws"),
        slash("/chat/ui/chat.js"),
        slash(&file),
        slash("/chat"),
        "/chat".into(),
        "//".into(),
        "//session".into(),
        "/nothing".into(),
        "/chat%2Fws".into(),
        "/chat/channels/general%2Fattachments?name=a".into(),
        "/%2573ession".into(),
        "/app.js%00".into(),
        "/%ff".into(),
        "/%".into(),
        "/..".into(),
        "/%2e%2e/Cargo.toml".into(),
        "/chat/..%2fapp.js".into(),
    ] {
        let methods = ["GET", "HEAD", "POST", "DELETE", "OPTIONS"];
        // A browser may send a preflight for any path of the client's files.
        for method in methods.into_iter().filter(|method| *method != "OPTIONS" || !path.contains("/ui/")) {
            let answer = http(addr, method, &path, &[&cookie], b"").await;
            assert_eq!(answer.status, 404, "{method} {path}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_path_is_percent_decoded_once() {
    let (addr, cookie, file) = start().await;
    let encoded = file.replace("/attachments/", "/%61ttachments/");
    let status = async |path: &str| http(addr, "GET", path, &[&cookie], b"").await.status;
    for path in
        ["/%73ession", "/%68ealthz", "/app%2Ejs", "/ch%61t/ui/chat%2ejs", &encoded, &encoded.to_uppercase()]
    {
        let expected = if path.contains("ATTACH") || path == encoded.to_uppercase() { 404 } else { 200 };
        assert_eq!(status(path).await, expected, "{path}");
    }
    assert_eq!(status("/ch%61t/%77s").await, 426);
    let mut ann = Client::connect_with_cookie(addr, cookie.strip_prefix("Cookie: ").unwrap()).await;
    ann.ok(json!({"type": "create_channel", "name": "café"})).await;
    for (channel, status) in [
        ("caf%C3%A9", 201),
        ("CAF%c3%89", 201),
        ("caf%25C3%25A9", 404),
        ("caf%c3", 422),
        ("caf%zz", 404),
        ("general%00", 404),
        ("..", 404),
        ("%2e%2e%2fgeneral", 404),
    ] {
        let path = format!("/chat/channels/{channel}/attachments?name=a");
        assert_eq!(http(addr, "POST", &path, &[&cookie], b"x").await.status, status, "{channel}");
    }
    for (name, expected) in [("a%252Fb", "a%2Fb"), ("a%2Bb", "a+b"), ("a+b", "a b"), ("%zz", "%zz")] {
        let path = format!("/chat/channels/general/attachments?name={name}");
        assert_eq!(http(addr, "POST", &path, &[&cookie], b"x").await.json()["name"], expected, "{name}");
    }
}

#[tokio::test]
async fn a_refused_upload_gets_no_100_continue() {
    let server = Server::with(|setup| {
        setup.limits.attachment_bytes = 10;
        setup.limits.uploads_per_user = 1;
        setup.config.uploads = Allowance::new(1_000, std::time::Duration::from_secs(1));
    })
    .await;
    server.member("ann", "general").await;
    let send = async |method: &str, path: &str, user: &str, length: usize, more: &str| {
        let mut raw = Raw::connect(server.addr).await;
        let user = if user.is_empty() { String::new() } else { format!("x-user: {user}\r\n") };
        let head = format!(
            "{method} /chat{path} HTTP/1.1\r\nHost: localhost\r\n{user}Content-Length: {length}\r\n\
             Expect: 100-continue\r\n{more}\r\n"
        );
        raw.write(head.as_bytes()).await;
        let head = raw.head().await;
        (head.split(' ').nth(1).unwrap().to_owned(), raw)
    };
    let uploads = "/channels/general/attachments?name=a";
    for (method, path, user, length, more, status) in [
        ("POST", uploads, "", 9, "", "401"),
        ("POST", uploads, "guest", 9, "", "403"),
        ("POST", uploads, "ann", 9, "Origin: https://evil.example\r\n", "403"),
        ("POST", "/channels/nowhere/attachments?name=a", "ann", 9, "", "404"),
        ("POST", "/nothing", "ann", 9, "", "404"),
        ("PUT", uploads, "ann", 9, "", "405"),
        ("POST", uploads, "ann", 11, "", "413"),
        ("POST", uploads, "ann", 9, "Content-Encoding: gzip\r\n", "415"),
        ("POST", "/channels/general/attachments", "ann", 9, "", "422"),
        ("POST", "/channels/general/attachments?name=..", "ann", 9, "", "422"),
        ("POST", "/channels/%ff/attachments?name=a", "ann", 9, "", "422"),
        ("POST", "/ui/chat.js", "ann", 9, "", "405"),
        ("OPTIONS", uploads, "ann", 9, "", "204"),
    ] {
        let (answered, _) = send(method, path, user, length, more).await;
        assert_eq!(answered, status, "{method} {path} {user}");
    }
    let (first, mut held) = send("POST", uploads, "ann", 9, "").await;
    assert_eq!(first, "100", "a body that is wanted is asked for");
    assert_eq!(send("POST", uploads, "ann", 9, "").await.0, "429");
    held.write(b"123456789").await;
    assert!(held.head().await.starts_with("HTTP/1.1 201"));
    server.chat.drain();
    assert_eq!(send("POST", uploads, "ann", 9, "").await.0, "503");
}

#[tokio::test]
async fn a_too_long_sign_in_gets_no_100_continue() {
    let (addr, ..) = start().await;
    let mut raw = Raw::connect(addr).await;
    let head =
        "POST /session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4097\r\nExpect: 100-continue\r\n\r\n";
    raw.write(head.as_bytes()).await;
    let head = raw.head().await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 422 ") && head.contains("connection: close"), "{head}");
}

#[tokio::test]
async fn a_body_with_two_lengths_closes_its_connection() {
    let server = Server::start().await;
    server.member("ann", "general").await;
    let (length, chunked) = ("Content-Length: 3", "Transfer-Encoding: chunked");
    for (headers, status) in [
        (format!("{length}\r\n{chunked}"), 201),
        (format!("{chunked}\r\n{length}"), 201),
        (format!("Content-Length: 99999999999\r\n{chunked}"), 201),
        ("Transfer-Encoding: gzip, chunked".to_owned(), 501),
    ] {
        let mut raw = Raw::connect(server.addr).await;
        // What follows the body would be a second request if the other length counted.
        raw.write(
            format!(
                "POST {UPLOADS} HTTP/1.1\r\nHost: x\r\nx-user: ann\r\n{headers}\r\n\r\n5\r\nabcde\r\n0\r\n\r\n\
                 GET /chat/ui/chat.js HTTP/1.1\r\nHost: x\r\n\r\n"
            )
            .as_bytes(),
        )
        .await;
        let answer = raw.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")), "{headers}");
        // One response, then the end.
        assert!(status != 201 || answer.json()["size"] == 5, "{headers}: {answer:?}");
    }
    for headers in [
        "Content-Length: 1\r\nContent-Length: 2",
        "Content-Length: +1",
        "Content-Length: 1, 2",
        "Content-Length: -1",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: gzip",
    ] {
        let mut raw = Raw::connect(server.addr).await;
        raw.write(
            format!("POST {UPLOADS} HTTP/1.1\r\nHost: x\r\nx-user: ann\r\n{headers}\r\n\r\nab").as_bytes(),
        )
        .await;
        assert_eq!(raw.answer().await.status, 400, "{headers}");
    }
}

#[tokio::test]
async fn an_encoded_upload_is_refused() {
    let (addr, cookie, _) = start().await;
    for (coding, status) in
        [("identity", 201), ("Identity", 201), ("gzip", 415), ("identity, br", 415), ("", 415)]
    {
        let answer =
            http(addr, "POST", UPLOADS, &[&cookie, &format!("Content-Encoding: {coding}")], b"x").await;
        assert_eq!(answer.status, status, "{coding}");
        if status == 415 {
            answer.assert_error(415, "bad_coding");
            assert_eq!(answer.header("accept-encoding"), Some("identity"));
        }
    }
}

#[tokio::test]
async fn no_accept_header_is_refused() {
    let (addr, cookie, file) = start().await;
    for path in ["/", "/app.js", "/session", "/healthz", "/chat/ui/chat.js", &file] {
        for (accept, encoding) in [
            ("Accept: image/x-none", None),
            ("Accept: text/html;q=0, */*;q=0", None),
            ("Accept-Encoding: identity;q=0", None),
            ("Accept-Encoding: *;q=0", None),
            ("Accept-Encoding: br;q=0, *", None),
            ("Accept-Encoding: *", Some("br")),
            ("Accept-Encoding: identity;q=0, br;q=0.001", Some("br")),
            ("Accept-Charset: x", None),
            ("Accept-Language: x", None),
        ] {
            let answer = http(addr, "GET", path, &[&cookie, accept], b"").await;
            assert_eq!(answer.status, 200, "{path} {accept}");
            let text = matches!(path, "/" | "/app.js" | "/chat/ui/chat.js");
            assert_eq!(answer.header("content-encoding"), encoding.filter(|_| text), "{path} {accept}");
        }
    }
}
