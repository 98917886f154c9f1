//! What a browser downloads from `web_chat` before a person can write: how much, and in how many steps.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use chatcore_tests::{Answer, http};
use clap::Parser;
use tokio::net::TcpListener;
use web_chat::{App, Options};

/// The largest total size of the client on the wire.
const CLIENT_BYTES: usize = 75_100;

/// The modules that are imported when a person signs out.
const LATER: [&str; 1] = ["/leaving.js"];

async fn start() -> SocketAddr {
    let app = App::open(&Options::parse_from(["web_chat", "--memory"])).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(app.serve(listener, std::future::pending()));
    addr
}

async fn get(addr: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    let answer = http(addr, "GET", path, headers, b"").await;
    assert_eq!(answer.status, 200, "{path}");
    answer
}

/// Returns the addresses of files in a text: in strings, or in `url()` of a style.
fn named(text: &str) -> impl Iterator<Item = &str> {
    let is_file = |name: &&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
        let endings =
            ["css", "gif", "html", "ico", "jpg", "js", "json", "mjs", "png", "svg", "webp", "woff", "woff2"];
        name.chars().all(plain) && name.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
    };
    text.split(['"', '\'', '`', '(', ')']).filter(is_file)
}

/// Resolves an address in the file at `base` to a path.
fn resolve(base: &str, name: &str) -> String {
    let folder = base.rsplit_once('/').unwrap().0;
    if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("{folder}/{}", name.strip_prefix("./").unwrap_or(name))
    }
}

/// Follows every address in the page, its modules and its styles, so that no download is missed. Another page that
/// they lead to, and what is imported on the way out, come later.
#[tokio::test]
async fn the_client_is_small_and_in_few_files() {
    let addr = start().await;
    let mut sizes = BTreeMap::new();
    let mut paths = vec!["/".to_owned()];
    while let Some(path) = paths.pop() {
        if sizes.contains_key(&path) {
            continue;
        }
        let wire = get(addr, &path, &["Accept-Encoding: gzip, deflate, br"]).await;
        assert_eq!(wire.header("vary"), Some("accept-encoding"), "{path}");
        sizes.insert(path.clone(), wire.body.len());
        let text = String::from_utf8(get(addr, &path, &[]).await.body).unwrap();
        let now = named(&text).filter(|name| !name.ends_with(".html") && !LATER.contains(name));
        paths.extend(now.map(|name| resolve(&path, name)));
    }
    let sum: usize = sizes.values().sum();
    println!("{sum} bytes of {CLIENT_BYTES}: {sizes:#?}");
    assert!(sum <= CLIENT_BYTES, "{sum} bytes are over {CLIENT_BYTES}: {sizes:#?}");
    let fetched: Vec<&str> = sizes.keys().map(String::as_str).collect();
    let expected = [
        "/",
        "/app.css",
        "/app.js",
        "/chat/ui/chat.css",
        "/chat/ui/chat.js",
        "/chat/ui/emoji.json",
        "/icon-mentions.svg",
        "/icon.svg",
        "/requests.js",
        "/sign-in.js",
    ];
    assert_eq!(fetched, expected);
}

#[tokio::test]
async fn the_page_preloads_every_module_of_its_script() {
    let addr = start().await;
    let text = async |path: &str| String::from_utf8(get(addr, path, &[]).await.body).unwrap();
    let page = text("/").await;
    let (head, _) = page.split_once("</head>").unwrap();
    let (mut modules, mut scripts) = (Vec::new(), vec!["/app.js".to_owned()]);
    while let Some(script) = scripts.pop() {
        let source = text(&script).await;
        let imported = named(&source).filter(|name| name.ends_with(".js") && !LATER.contains(name));
        let new: Vec<String> =
            imported.filter(|name| !modules.iter().any(|one| one == name)).map(str::to_owned).collect();
        modules.extend(new.iter().cloned());
        scripts.extend(new);
    }
    assert!(modules.len() > 1, "{modules:?}");
    for name in modules {
        let link = format!("<link rel=\"modulepreload\" href=\"{name}\">");
        assert!(head.contains(&link), "{link}");
    }
}

#[tokio::test]
async fn served_files_have_no_comments() {
    let addr = start().await;
    let source = include_str!("../../../chatcore-hyper/ui/core/chat-core.js");
    let served = String::from_utf8(get(addr, "/chat/ui/core/chat-core.js", &[]).await.body).unwrap();
    assert!(source.contains("\n/**") && source.contains("\n  "));
    assert!(!served.contains("\n/**") && !served.contains("\n "));
    let bare = |text: &str| text.split_whitespace().collect::<String>();
    let code = source.lines().map(str::trim).filter(|line| line.starts_with("export "));
    let exported: Vec<&str> = code.collect();
    assert!(!exported.is_empty());
    exported.iter().for_each(|line| assert!(bare(&served).contains(&bare(line)), "{line}"));
}
