//! What a browser fetches of `web_chat` before the first word: how much, and in how many steps.
#![allow(missing_docs, clippy::unwrap_used)]

use std::net::SocketAddr;

use chatcore_hyper::Ui;
use chatcore_tests::{Answer, http};
use clap::Parser;
use tokio::net::TcpListener;
use web_chat::{App, Options};

/// The most that the whole client may be on the wire.
const CLIENT_BYTES: usize = 60 << 10;

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

#[tokio::test]
async fn the_whole_client_is_small_on_the_wire() {
    let addr = start().await;
    let page = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/web_chat/ui")).unwrap();
    let page = page.map(|file| format!("/{}", file.unwrap().file_name().to_str().unwrap()));
    let ui = Ui::embedded();
    let paths: Vec<String> = page.chain(ui.names().map(|name| format!("/chat/ui/{name}"))).collect();
    assert!(paths.len() > 30, "{paths:?}");
    let mut sizes = Vec::new();
    for path in paths {
        let answer = get(addr, &path, &["Accept-Encoding: gzip, deflate, br"]).await;
        assert_eq!(answer.header("vary"), Some("accept-encoding"), "{path}");
        sizes.push((answer.body.len(), path));
    }
    sizes.sort();
    let sum: usize = sizes.iter().map(|(size, _)| size).sum();
    println!("{sum} bytes in {} files", sizes.len());
    assert!(sum <= CLIENT_BYTES, "{sum} bytes are over {CLIENT_BYTES}: {sizes:#?}");
}

#[tokio::test]
async fn the_page_names_every_module_and_style_so_that_all_are_fetched_at_once() {
    let addr = start().await;
    let page = String::from_utf8(get(addr, "/", &[]).await.body).unwrap();
    let ui = Ui::embedded();
    for name in ui.names() {
        let link = match name.rsplit_once('.').unwrap().1 {
            "js" => format!("<link rel=\"modulepreload\" href=\"/chat/ui/{name}\">"),
            "css" => format!("<link rel=\"preload\" as=\"style\" href=\"/chat/ui/{name}\">"),
            _ => continue,
        };
        let (head, _) = page.split_once("</head>").unwrap();
        assert!(head.contains(&link), "{link}");
    }
    for path in page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        get(addr, path, &[]).await;
    }
}

#[tokio::test]
async fn comments_stay_in_the_repository() {
    let addr = start().await;
    let source = include_str!("../../chatcore-hyper/ui/chat-core.js");
    let served = String::from_utf8(get(addr, "/chat/ui/chat-core.js", &[]).await.body).unwrap();
    assert!(source.contains("\n/**") && source.contains("\n  "));
    assert!(!served.contains("\n/**") && !served.contains("\n "));
    let bare = |text: &str| text.split_whitespace().collect::<String>();
    let code = source.lines().map(str::trim).filter(|line| line.starts_with("export "));
    let exported: Vec<&str> = code.collect();
    assert!(!exported.is_empty());
    exported.iter().for_each(|line| assert!(bare(&served).contains(&bare(line)), "{line}"));
}
