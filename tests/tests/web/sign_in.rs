//! Signing in to `web_chat` and out again, over HTTP and with sockets.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;

use chatcore_tests::{Answer, Client, http};
use clap::Parser;
use serde_json::json;
use tokio::net::TcpListener;
use web_chat::{App, Options};

pub(super) async fn start(arguments: &[&str]) -> SocketAddr {
    let options = Options::parse_from(["web_chat", "--memory"].iter().chain(arguments));
    let app = App::open(&options).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(app.serve(listener, std::future::pending()));
    addr
}

pub(super) async fn sign_in(addr: SocketAddr, name: &str, headers: &[&str]) -> Answer {
    http(addr, "POST", "/session", headers, json!({ "name": name }).to_string().as_bytes()).await
}

/// Returns the cookie of a response as a browser would send it back.
pub(super) fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_name_belongs_to_the_browser_with_its_cookie() {
    let addr = start(&[]).await;
    http(addr, "GET", "/session", &[], b"").await.assert_error(401, "unauthorized");
    let answer = sign_in(addr, "  Ann  Lee ", &[]).await;
    assert_eq!((answer.status, &answer.json()["user"]["name"]), (200, &json!("Ann Lee")));
    let set = answer.header("set-cookie").unwrap();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=31536000"] {
        assert!(set.contains(part), "{set}");
    }
    let cookie = cookie(&answer);
    assert_eq!(cookie.split_once('=').unwrap().1.len(), 32, "128 bits");
    let header = format!("Cookie: theme=dark; {cookie}");
    let me = http(addr, "GET", "/session", &[&header], b"").await;
    assert_eq!(me.json(), answer.json()["user"]);
    for taken in ["ann lee", "ANN LEE", "Ann L\u{435}e"] {
        sign_in(addr, taken, &[]).await.assert_error(409, "name_taken");
    }
    let again = sign_in(addr, "Ann Lee", &[&header]).await;
    assert_eq!(
        again.json(),
        json!({ "user": answer.json()["user"] }),
        "who is signed in already stays who they are"
    );
}

#[tokio::test]
async fn invalid_names_can_not_sign_in() {
    let addr = start(&[]).await;
    for name in ["", "   ", "a\u{202e}b", "a\nb", &"x".repeat(33)] {
        sign_in(addr, name, &[]).await.assert_error(422, "bad_name");
    }
    for body in ["", "{", "[]", "{}", r#"{"name":7}"#, &format!(r#"{{"name":"{}"}}"#, "x".repeat(5_000))] {
        http(addr, "POST", "/session", &[], body.as_bytes()).await.assert_error(422, "bad_frame");
    }
    assert_eq!(sign_in(addr, &"x".repeat(32), &[]).await.status, 200);
    let answer = http(addr, "PUT", "/session", &[], b"").await;
    assert_eq!(answer.header("allow"), Some("GET, HEAD, POST, DELETE, OPTIONS"));
    answer.assert_error(405, "method_not_allowed");
}

#[tokio::test]
async fn head_of_a_session_matches_get_without_the_body() {
    let addr = start(&[]).await;
    let answer = sign_in(addr, "ann", &[]).await;
    let cookie = format!("Cookie: {}", answer.header("set-cookie").unwrap().split(';').next().unwrap());
    for headers in [&[][..], &[&*cookie]] {
        let get = http(addr, "GET", "/session", headers, b"").await;
        let head = http(addr, "HEAD", "/session", headers, b"").await;
        assert_eq!((head.status, head.body.len()), (get.status, 0));
        for name in ["content-type", "content-length", "cache-control"] {
            assert_eq!(head.header(name), get.header(name), "{name}");
        }
    }
}

#[tokio::test]
async fn signing_out_ends_the_sockets_and_keeps_the_name() {
    let addr = start(&[]).await;
    let answer = sign_in(addr, "ann", &[]).await;
    let cookie = cookie(&answer);
    let header = format!("Cookie: {cookie}");
    let mut client = Client::connect_with_cookie(addr, &cookie).await;
    assert_eq!(client.welcome["user"], answer.json()["user"]);
    let out = http(addr, "DELETE", "/session", &[&header], b"").await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(out.header("clear-site-data"), Some("\"cache\""), "the next person there finds no files");
    assert_eq!(client.closed().await, 4100);
    http(addr, "GET", "/session", &[&header], b"").await.assert_error(401, "unauthorized");
    http(addr, "GET", "/chat/ws", &[&header], b"").await.assert_error(401, "unauthorized");
    assert_eq!(http(addr, "DELETE", "/session", &[&header], b"").await.status, 204, "out already");
    sign_in(addr, "Ann", &[]).await.assert_error(409, "name_taken");
}

#[tokio::test]
async fn a_receipt_frees_a_name_whose_cookie_was_refused() {
    let addr = start(&[]).await;
    let answer = sign_in(addr, "ann", &[]).await;
    let receipt = answer.json()["receipt"].as_str().unwrap().to_owned();
    assert_eq!(answer.json()["secure"], json!(false));
    let mut client = Client::connect_with_cookie(addr, &cookie(&answer)).await;
    let give_back =
        async |receipt: &str| http(addr, "DELETE", &format!("/session?receipt={receipt}"), &[], b"").await;
    for wrong in ["", "x", &"0".repeat(63), &"g".repeat(64), &receipt.to_uppercase()] {
        give_back(wrong).await.assert_error(422, "bad_frame");
    }
    give_back(&"0".repeat(64)).await.assert_error(404, "not_found");
    sign_in(addr, "Ann", &[]).await.assert_error(409, "name_taken");
    assert_eq!(give_back(&receipt).await.status, 204);
    assert_eq!(client.closed().await, 4100);
    assert_eq!(sign_in(addr, "Ann", &[]).await.status, 200);
    give_back(&receipt).await.assert_error(404, "not_found");
}

#[tokio::test]
async fn an_answer_says_whether_its_cookie_is_https_only() {
    let addr = start(&["--secure-cookie"]).await;
    assert_eq!(sign_in(addr, "ann", &[]).await.json()["secure"], json!(true));
}

#[tokio::test]
async fn a_page_is_told_why_its_handshake_is_refused() {
    let addr = start(&[]).await;
    let cookie = format!("Cookie: {}", cookie(&sign_in(addr, "ann", &[]).await));
    let ask = async |headers: &[&str]| http(addr, "POST", "/chat/identity", headers, b"").await;
    let known = ask(&[&cookie]).await;
    assert_eq!((known.status, &known.json()["user"]["name"]), (200, &json!("ann")));
    assert_eq!(known.header("cache-control"), Some("no-store"));
    assert_eq!(ask(&[]).await.json(), json!({ "user": null }));
    ask(&[&cookie, "Origin: https://chat.example"]).await.assert_error(403, "not_allowed");
    http(addr, "GET", "/chat/identity", &[], b"").await.assert_error(405, "method_not_allowed");
}

#[tokio::test]
async fn a_foreign_page_changes_nothing_on_any_path() {
    let addr = start(&[]).await;
    for header in ["Origin: https://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"] {
        sign_in(addr, "ann", &[header]).await.assert_error(403, "not_allowed");
        http(addr, "DELETE", "/session", &[header], b"").await.assert_error(403, "not_allowed");
        let upload = "/chat/channels/general/attachments?name=a.txt";
        http(addr, "POST", upload, &[header], b"x").await.assert_error(403, "not_allowed");
    }
    let own = format!("Origin: http://{addr}");
    assert_eq!(sign_in(addr, "ann", &[&own, "Sec-Fetch-Site: same-origin"]).await.status, 200);
}

#[tokio::test]
async fn every_page_has_the_strict_content_policy() {
    let addr = start(&[]).await;
    for path in
        ["/", "/app.js", "/app.css", "/icon.svg", "/chat/ui/core/chat-core.js", "/session", "/nothing"]
    {
        let answer = http(addr, "GET", path, &[], b"").await;
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    assert_eq!(http(addr, "GET", "/", &[], b"").await.status, 200);
    http(addr, "GET", "/nothing", &[], b"").await.assert_error(404, "not_found");
}

#[tokio::test]
async fn the_first_channel_exists_and_options_take_effect() {
    let addr = start(&["--history", "2", "--text-chars", "5", "--names", "1"]).await;
    let cookie = cookie(&sign_in(addr, "ann", &[]).await);
    sign_in(addr, "bob", &[]).await.assert_error(503, "unavailable");
    let mut ann = Client::connect_with_cookie(addr, &cookie).await;
    assert_eq!(ann.welcome["limits"]["text_chars"], 5);
    assert_eq!(ann.ok(json!({"type": "channels"})).await["channels"][0]["name"], "general");
    for text in ["one", "two", "three"] {
        ann.publish("general", text).await;
    }
    let opened = ann.ok(json!({"type": "subscribe", "channel": "general"})).await;
    assert_eq!(opened["messages"].as_array().unwrap().len(), 2);
    let long = json!({"type": "publish", "channel": "general", "nonce": "n", "text": "123456"});
    ann.refused(long, "too_large").await;
}
