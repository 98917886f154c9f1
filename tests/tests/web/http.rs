//! HTTP apart from the WebSocket: every response of uploads, downloads, the handshake and the client's files.

use chatcore_tests::{Answer, Raw, Server, http};
use serde_json::json;

const ANN: &str = "x-user: ann";

async fn upload(server: &Server, name: &str, bytes: &[u8]) -> serde_json::Value {
    let path = format!("/chat/channels/general/attachments?name={name}");
    let answer = http(server.addr, "POST", &path, &[ANN], bytes).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

/// A server with a file that belongs to a message, and the file's path.
async fn served(name: &str, bytes: &[u8]) -> (Server, String) {
    let server = Server::start().await;
    let mut ann = server.member("ann", "general").await;
    let attachment = upload(&server, name, bytes).await;
    let ids = json!([attachment["id"]]);
    ann.ok(json!({"type": "publish", "channel": "general", "nonce": "n", "text": "", "attachments": ids}))
        .await;
    (server, attachment["url"].as_str().expect("a url").to_owned())
}

async fn get(server: &Server, path: &str, headers: &[&str]) -> Answer {
    let headers: Vec<&str> = headers.iter().copied().chain([ANN]).collect();
    http(server.addr, "GET", path, &headers, b"").await
}

#[tokio::test]
async fn an_upload_answers_201_with_the_attachment() {
    let server = Server::start().await;
    server.member("ann", "general").await;
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80\0\0\x01\x68\x08\x06\0\0\0";
    let attachment = upload(&server, "%D0%BF%D0%BB%D0%B0%D0%BD%201.png", png).await;
    let id = attachment["id"].as_str().unwrap();
    assert_eq!(
        attachment,
        json!({
            "id": id, "name": "план 1.png", "size": png.len(), "content_type": "image/png", "width": 640, "height": 360,
            "url": format!("/chat/attachments/{id}/%D0%BF%D0%BB%D0%B0%D0%BD%201.png"),
        })
    );
    let url = attachment["url"].as_str().unwrap();
    assert_eq!(get(&server, url, &[]).await.body, png);
    let path = "/chat/channels/general/attachments?name=b";
    let answer = http(server.addr, "POST", path, &[ANN], b"x").await;
    assert_eq!(answer.header("location"), answer.json()["url"].as_str());
}

#[tokio::test]
async fn a_chunked_upload_needs_no_length() {
    let server = Server::start().await;
    server.member("ann", "general").await;
    let mut raw = Raw::connect(server.addr).await;
    raw.write(
        b"POST /chat/channels/general/attachments?name=a HTTP/1.1\r\nHost: x\r\nx-user: ann\r\nConnection: close\r\n\
          Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    )
    .await;
    assert_eq!(raw.answer().await.json()["size"], 5);
}

#[tokio::test]
async fn a_refused_upload_says_why() {
    let server = Server::with(|setup| setup.limits.attachment_bytes = 10).await;
    server.member("ann", "general").await;
    server.member("root", "secret").await;
    let post = async |user: &str, channel: &str, query: &str, body: &[u8]| {
        let path = format!("/chat/channels/{channel}/attachments{query}");
        http(server.addr, "POST", &path, &[&format!("x-user: {user}")], body).await
    };
    assert_eq!(post("ann", "general", "?name=a", &[1; 10]).await.status, 201, "at the limit");
    post("ann", "general", "?name=a", &[1; 11]).await.assert_error(413, "too_large");
    post("ann", "nowhere", "?name=a", b"x").await.assert_error(404, "no_such_channel");
    post("ann", "a%2fb", "?name=a", b"x").await.assert_error(404, "no_such_channel");
    post("ann", "%ff", "?name=a", b"x").await.assert_error(422, "bad_name");
    post("ann", "secret", "?name=a", b"x").await.assert_error(403, "not_allowed");
    post("guest", "general", "?name=a", b"x").await.assert_error(403, "not_allowed");
    for name in ["", "?name=", "?name=..", "?name=a%2fb", "?name=a%0d%0ab", "?name=%ff"] {
        post("ann", "general", name, b"x").await.assert_error(422, "bad_name");
    }
    let path = "/chat/channels/general/attachments?name=a";
    http(server.addr, "POST", path, &[], b"x").await.assert_error(401, "unauthorized");
    http(server.addr, "PUT", path, &[ANN], b"x").await.assert_error(405, "method_not_allowed");
}

#[tokio::test]
async fn a_too_large_upload_is_refused_before_it_is_read() {
    let server = Server::with(|setup| setup.limits.attachment_bytes = 100_000).await;
    server.member("ann", "general").await;
    let head = "POST /chat/channels/general/attachments?name=a HTTP/1.1\r\nHost: x\r\nx-user: ann\r\n";
    // By its length, before any byte is sent.
    let mut raw = Raw::connect(server.addr).await;
    raw.write(format!("{head}Content-Length: 100001\r\n\r\n").as_bytes()).await;
    let answer = raw.answer().await;
    answer.assert_error(413, "too_large");
    assert_eq!(answer.header("connection"), Some("close"));
    // By its data, without a length and without an end.
    let mut raw = Raw::connect(server.addr).await;
    raw.write(format!("{head}Transfer-Encoding: chunked\r\n\r\n186a1\r\n").as_bytes()).await;
    raw.write(&[b'x'; 100_001]).await;
    raw.answer().await.assert_error(413, "too_large");
    // A client that sends everything before it reads still gets the response.
    let path = "/chat/channels/general/attachments?name=a";
    http(server.addr, "POST", path, &[ANN], &vec![b'x'; 4 << 20]).await.assert_error(413, "too_large");
}

#[tokio::test]
async fn too_many_uploads_at_once_get_unavailable() {
    let server = Server::with(|setup| setup.limits.uploads = 0).await;
    server.member("ann", "general").await;
    let answer = http(server.addr, "POST", "/chat/channels/general/attachments?name=a", &[ANN], b"x").await;
    answer.assert_error(503, "unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_browser_does_not_run_a_served_file() {
    let (server, url) = served("x.html", b"<!doctype html><script>alert(1)</script>").await;
    let answer = get(&server, &url, &[]).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, b"<!doctype html><script>alert(1)</script>");
    let etag = format!("\"{}\"", url.split('/').nth(3).unwrap());
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-disposition", "attachment; filename=\"x.html\"; filename*=UTF-8''x.html"),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cross-origin-resource-policy", "same-origin"),
        ("cache-control", "private, no-cache"),
        ("accept-ranges", "bytes"),
        ("content-length", "40"),
        ("etag", &etag),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
}

#[tokio::test]
async fn a_picture_is_served_inline() {
    let (server, url) = served("a%22b.gif", b"GIF89a\x01\0\x01\0\0\0\0;").await;
    let answer = get(&server, &url, &[]).await;
    assert_eq!(answer.header("content-type"), Some("image/gif"));
    assert_eq!(
        answer.header("content-disposition"),
        Some("inline; filename=\"a_b.gif\"; filename*=UTF-8''a%22b.gif")
    );
}

/// A request's headers, and the response's status, body and `Content-Range`.
type Case<'a> = (&'a [&'a str], u16, &'a [u8], Option<&'a str>);

#[tokio::test]
async fn ranges_are_honoured() {
    let (server, url) = served("a", b"0123456789").await;
    let etag = get(&server, &url, &[]).await.header("etag").unwrap().to_owned();
    let (same, other) = (format!("If-Range: {etag}"), "If-Range: \"other\"".to_owned());
    let weak = format!("If-Range: W/{etag}");
    let cases: &[Case<'_>] = &[
        (&["Range: bytes=2-4"], 206, b"234", Some("bytes 2-4/10")),
        (&["Range: bytes=7-"], 206, b"789", Some("bytes 7-9/10")),
        (&["Range: bytes=-1"], 206, b"9", Some("bytes 9-9/10")),
        (&["Range: bytes=0-99"], 206, b"0123456789", Some("bytes 0-9/10")),
        (&["Range: bytes=0-1,3-4"], 200, b"0123456789", None),
        (&["Range: bytes=, 2-4,"], 206, b"234", Some("bytes 2-4/10")),
        (&["Range: bytes=2-4, 10-20"], 206, b"234", Some("bytes 2-4/10")),
        (&["Range: bytes=2-4, x"], 200, b"0123456789", None),
        (&["Range: bytes=2-4", "Range: bytes=2-4"], 200, b"0123456789", None),
        (&["Range: lines=1-2"], 200, b"0123456789", None),
        (&["Range: bytes=2-4", &same], 206, b"234", Some("bytes 2-4/10")),
        (&["Range: bytes=2-4", &other], 200, b"0123456789", None),
        (&["Range: bytes=2-4", &same, &other], 200, b"0123456789", None),
        (&["Range: bytes=2-4", &weak], 200, b"0123456789", None),
        (&["Range: bytes=2-4", "If-Range: Thu, 01 Jan 2099 00:00:00 GMT"], 200, b"0123456789", None),
        (&["Range: bytes=10-", &other], 200, b"0123456789", None),
    ];
    for (headers, status, body, range) in cases {
        let answer = get(&server, &url, headers).await;
        assert_eq!((answer.status, &answer.body[..]), (*status, *body), "{headers:?}");
        assert_eq!(answer.header("content-range"), *range, "{headers:?}");
    }
    for range in ["Range: bytes=10-", "Range: bytes=-0", "Range: bytes=10-11, 12-13"] {
        let answer = get(&server, &url, &[range]).await;
        assert_eq!((answer.status, answer.header("content-range")), (416, Some("bytes */10")), "{range}");
    }
}

#[tokio::test]
async fn a_matching_etag_answers_304() {
    let (server, url) = served("a", b"0123456789").await;
    let etag = get(&server, &url, &[]).await.header("etag").unwrap().to_owned();
    for known in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
        let answer = get(&server, &url, &[&format!("If-None-Match: {known}"), "Range: bytes=0-1"]).await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(answer.header("etag"), Some(&*etag));
    }
    assert_eq!(get(&server, &url, &["If-None-Match: \"x\""]).await.status, 200);
}

#[tokio::test]
async fn head_of_a_file_has_no_body() {
    let (server, url) = served("a", b"0123456789").await;
    let answer = http(server.addr, "HEAD", &url, &[ANN], b"").await;
    assert_eq!((answer.status, answer.body.len(), answer.header("content-length")), (200, 0, Some("10")));
}

#[tokio::test]
async fn only_get_honours_a_range() {
    let (server, url) = served("a", b"0123456789").await;
    for range in ["Range: bytes=1-2", "Range: bytes=10-"] {
        let answer = http(server.addr, "HEAD", &url, &[ANN, range], b"").await;
        assert_eq!((answer.status, answer.header("content-length")), (200, Some("10")), "{range}");
        assert_eq!(answer.header("content-range"), None, "{range}");
    }
}

#[tokio::test]
async fn another_version_than_in_if_match_is_412() {
    let (server, file) = served("a", b"0123456789").await;
    for url in [&*file, "/chat/ui/chat.js"] {
        let etag = get(&server, url, &[]).await.header("etag").unwrap().to_owned();
        for (condition, status) in [
            (format!("If-Match: {etag}"), 200),
            (format!("If-Match: \"x\", {etag}"), 200),
            ("If-Match: *".to_owned(), 200),
            ("If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT".to_owned(), 200),
            ("If-Match: \"x\"".to_owned(), 412),
            (format!("If-Match: W/{etag}"), 412),
        ] {
            assert_eq!(get(&server, url, &[&condition]).await.status, status, "{url} {condition}");
        }
        // If-Match is checked first, and no range of another version is sent.
        let both = [&*format!("If-None-Match: {etag}"), "If-Match: \"x\"", "Range: bytes=0-1"];
        get(&server, url, &both).await.assert_error(412, "precondition_failed");
    }
}

#[tokio::test]
async fn an_empty_file_can_be_uploaded() {
    let (server, url) = served("a", b"").await;
    let answer = get(&server, &url, &[]).await;
    assert_eq!((answer.status, answer.body.len(), answer.header("content-length")), (200, 0, Some("0")));
    assert_eq!(get(&server, &url, &["Range: bytes=0-"]).await.status, 416);
}

#[tokio::test]
async fn a_refused_download_says_why() {
    let (server, url) = served("a", b"x").await;
    http(server.addr, "GET", &url, &[], b"").await.assert_error(401, "unauthorized");
    get(&server, "/chat/attachments/a_unknown/x", &[]).await.assert_error(404, "no_such_attachment");
    get(&server, "/chat/attachments/..%2f..%2fetc%2fpasswd/x", &[])
        .await
        .assert_error(404, "no_such_attachment");
    http(server.addr, "DELETE", &url, &[ANN], b"").await.assert_error(405, "method_not_allowed");

    // A file of another user that is not in a message yet does not exist, nor does one of a deleted message.
    let unsent = upload(&server, "b", b"y").await;
    let unsent = unsent["url"].as_str().unwrap();
    assert_eq!(get(&server, unsent, &[]).await.status, 200);
    http(server.addr, "GET", unsent, &["x-user: bob"], b"").await.assert_error(404, "no_such_attachment");
    assert_eq!(http(server.addr, "GET", &url, &["x-user: bob"], b"").await.status, 200);
    let mut ann = server.member("ann", "general").await;
    ann.ok(json!({"type": "delete", "channel": "general", "seq": 1})).await;
    get(&server, &url, &[]).await.assert_error(404, "no_such_attachment");

    // A file is as private as its channel.
    let mut root = server.member("root", "secret").await;
    let answer =
        http(server.addr, "POST", "/chat/channels/secret/attachments?name=s", &["x-user: root"], b"s").await;
    let secret = answer.json();
    let ids = json!([secret["id"]]);
    root.ok(json!({"type": "publish", "channel": "secret", "nonce": "n", "text": "", "attachments": ids}))
        .await;
    get(&server, secret["url"].as_str().unwrap(), &[]).await.assert_error(403, "not_allowed");
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let server = Server::start().await;
    server.member("ann", "general").await;
    let path = "/chat/channels/general/attachments?name=a";
    let own = format!("Origin: http://{}", server.addr);
    for (headers, status) in [
        (vec![ANN], 201),
        (vec![ANN, &own], 201),
        (vec![ANN, "Origin: https://app.example"], 201),
        (vec![ANN, "Origin: https://evil.example"], 403),
        (vec![ANN, "Origin: null"], 403),
        (vec![ANN, "Sec-Fetch-Site: cross-site"], 403),
        (vec![ANN, &own, "Sec-Fetch-Site: cross-site"], 403),
        (vec![ANN, &own, "Sec-Fetch-Site: same-origin"], 201),
        (vec!["Origin: https://evil.example"], 403),
    ] {
        let answer = http(server.addr, "POST", path, &headers, b"x").await;
        assert_eq!(answer.status, status, "{headers:?}");
        if status == 403 {
            answer.assert_error(403, "not_allowed");
        }
    }
}

const HANDSHAKE: [&str; 4] = [
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// Sends a handshake and returns the head of the response.
async fn handshake(server: &Server, headers: &[&str]) -> String {
    let mut raw = Raw::connect(server.addr).await;
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    raw.write(format!("GET /chat/ws HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", server.addr).as_bytes()).await;
    raw.head().await.to_ascii_lowercase()
}

#[tokio::test]
async fn a_handshake_switches_protocols_and_echoes_the_subprotocol() {
    let server = Server::start().await;
    let headers: Vec<&str> = HANDSHAKE.into_iter().chain([ANN]).collect();
    let head = handshake(&server, &headers).await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    assert!(!head.contains("sec-websocket-protocol"), "{head}");
    let headers = [&headers[..], &["Sec-WebSocket-Protocol: soap, chatcore.v1"]].concat();
    let head = handshake(&server, &headers).await;
    assert!(head.contains("sec-websocket-protocol: chatcore.v1\r\n"), "{head}");
    let headers = [&headers[..], &["Sec-WebSocket-Protocol: chatcore.v1.lean"]].concat();
    let head = handshake(&server, &headers).await;
    assert!(head.contains("sec-websocket-protocol: chatcore.v1.lean\r\n"), "of both, the lean one: {head}");
}

#[tokio::test]
async fn a_handshake_over_http_1_0_is_refused() {
    let server = Server::start().await;
    let headers: String = HANDSHAKE.into_iter().chain([ANN]).map(|header| format!("{header}\r\n")).collect();
    let mut raw = Raw::connect(server.addr).await;
    raw.write(format!("GET /chat/ws HTTP/1.0\r\nHost: {}\r\n{headers}\r\n", server.addr).as_bytes()).await;
    let head = raw.head().await.to_ascii_lowercase();
    assert!(head.contains(" 426 ") && head.contains("upgrade: websocket"), "{head}");
}

#[tokio::test]
async fn a_handshake_is_refused_before_the_upgrade() {
    let server = Server::start().await;
    let with = |more: &'static str| HANDSHAKE.into_iter().chain([ANN, more]).collect::<Vec<_>>();
    let without = |less: usize| {
        let mut headers = with("X: y");
        headers.remove(less);
        headers
    };
    for (headers, status) in [
        (HANDSHAKE.to_vec(), "401"),
        (with("Origin: https://evil.example"), "403"),
        (with("Origin: null"), "403"),
        (with("Sec-WebSocket-Protocol: chatcore.v2"), "400"),
        (without(0), "426"),
        (without(1), "426"),
        (without(2), "426"),
        (without(3), "400"),
        (with("Origin: https://app.example"), "101"),
    ] {
        let head = handshake(&server, &headers).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{headers:?} gave {head}");
    }
    let answer = http(server.addr, "GET", "/chat/ws", &[ANN, "Sec-WebSocket-Protocol: other"], b"").await;
    answer.assert_error(426, "bad_handshake");
    http(server.addr, "POST", "/chat/ws", &[ANN], b"").await.assert_error(405, "method_not_allowed");
    let offers = with("Sec-WebSocket-Protocol: chatcore.v2");
    let offers: Vec<&str> = offers.into_iter().filter(|header| !header.starts_with("Connection")).collect();
    let mut raw = Raw::connect(server.addr).await;
    let headers: String = offers.iter().map(|header| format!("{header}\r\n")).collect();
    let request = format!("GET /chat/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\n{headers}\r\n");
    raw.write(request.as_bytes()).await;
    let answer = raw.answer().await;
    answer.assert_error(400, "bad_handshake");
    assert!(answer.json()["message"].as_str().unwrap().contains("chatcore.v1"), "names what is served");
}

#[tokio::test]
async fn the_clients_files_are_served() {
    let server = Server::start().await;
    let answer = http(server.addr, "GET", "/chat/ui/core/chat-core.js", &[], b"").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert!(!answer.body.is_empty());
    for path in [
        "/chat/ui/nothing.js",
        "/chat/ui/",
        "/chat/ui/../Cargo.toml",
        "/chat/ui/%2e%2e/Cargo.toml",
        "/chat/ui//etc/passwd",
    ] {
        http(server.addr, "GET", path, &[], b"").await.assert_error(404, "not_found");
    }
    http(server.addr, "POST", "/chat/ui/core/chat-core.js", &[], b"x")
        .await
        .assert_error(405, "method_not_allowed");
}

#[tokio::test]
async fn the_clients_files_are_compressed_and_revalidated() {
    let server = Server::start().await;
    let path = "/chat/ui/core/chat-core.js";
    let mut tags = Vec::new();
    for (accepted, encoding) in [
        (None, None),
        (Some("Accept-Encoding: gzip, deflate"), None),
        (Some("Accept-Encoding: br;q=0, *"), None),
        (Some("Accept-Encoding: gzip;q=1.0, br;q=0.1"), Some("br")),
    ] {
        let headers: Vec<&str> = accepted.into_iter().collect();
        let answer = http(server.addr, "GET", path, &headers, b"").await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, encoding), "{accepted:?}");
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        assert_eq!(answer.header("content-length"), Some(&*answer.body.len().to_string()));
        let etag = answer.header("etag").unwrap();
        let known = format!("If-None-Match: {etag}");
        let again = [&headers[..], &[&known]].concat();
        let again = http(server.addr, "GET", path, &again, b"").await;
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(etag)));
        assert_eq!(again.header("vary"), Some("accept-encoding"));
        let head = http(server.addr, "HEAD", path, &headers, b"").await;
        assert_eq!(head.header("content-length"), answer.header("content-length"));
        tags.push(etag.to_owned());
    }
    assert_ne!(tags[0], tags[3]);
    let answer = http(server.addr, "GET", "/chat/ui/emoji.json", &["Accept-Encoding: br"], b"").await;
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("content-encoding"), Some("br"));
}

#[tokio::test]
async fn unknown_paths_are_not_found() {
    let server = Server::start().await;
    for path in
        ["/", "/chat", "/chat/", "/chat/wsx", "/chatter/ws", "/chat/attachments/a_1", "/chat/channels/a"]
    {
        get(&server, path, &[]).await.assert_error(404, "not_found");
    }
    let answer = http(server.addr, "POST", "/chat/ws", &[ANN], b"").await;
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS"));
}

#[tokio::test]
async fn a_refused_upload_says_when_to_retry() {
    let server = Server::with(|setup| setup.limits.uploads_per_user = 0).await;
    server.member("ann", "a").await;
    let path = "/chat/channels/a/attachments?name=a.txt";
    let answer = http(server.addr, "POST", path, &[ANN], b"x").await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    answer.assert_error(429, "rate_limited");
    server.chat.drain();
    let answer = http(server.addr, "POST", path, &[ANN], b"x").await;
    assert_eq!(answer.header("retry-after"), Some("1"));
    answer.assert_error(503, "draining");
}
