//! People of `web_chat`: their devices, names and invitations, and what the owner does for them.
#![allow(missing_docs, clippy::unwrap_used)]

use std::net::SocketAddr;

use chatcore_tests::{Answer, Client, Database, Postgres, http};
use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use web_chat::{App, Options};

/// A running `web_chat`, with what must outlive it.
struct Chat {
    addr: SocketAddr,
    _database: Option<Database>,
    _data: Option<TempDir>,
}

/// Where a chat keeps its accounts.
#[derive(Clone, Copy)]
enum Store {
    Redb,
    Postgres,
}

/// Somebody's browser that is signed in.
struct Device {
    addr: SocketAddr,
    cookie: String,
    user: Value,
}

async fn serve(app: App) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(app.serve(listener, std::future::pending()));
    addr
}

impl Chat {
    async fn start(store: Store, arguments: &[&str]) -> Self {
        let (app, database, data) = Self::open(store, arguments).await;
        Self { addr: serve(app).await, _database: database, _data: data }
    }

    async fn open(store: Store, arguments: &[&str]) -> (App, Option<Database>, Option<TempDir>) {
        let open = async |own: &[&str]| {
            let options = Options::parse_from([&["web_chat"], own, arguments].concat());
            App::open(&options).await.unwrap()
        };
        match store {
            Store::Redb => (open(&["--memory"]).await, None, None),
            Store::Postgres => {
                let database = Postgres::shared().await.database().await;
                let data = tempfile::tempdir().unwrap();
                let (folder, url) = (data.path().to_str().unwrap(), database.url());
                let app = open(&["--data", folder, "--database-url", &url]).await;
                (app, Some(database), Some(data))
            }
        }
    }

    /// Signs a new device in.
    async fn join(&self, body: Value, agent: &str) -> Device {
        let answer = self.try_join(body, agent).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        Device::of(self.addr, &answer)
    }

    async fn try_join(&self, body: Value, agent: &str) -> Answer {
        let agent = format!("User-Agent: {agent}");
        http(self.addr, "POST", "/session", &[&agent], body.to_string().as_bytes()).await
    }

    async fn name(&self, name: &str) -> Device {
        self.join(json!({ "name": name }), LAPTOP).await
    }

    async fn look_at(&self, link: &str) -> Answer {
        http(self.addr, "POST", "/link", &[], json!({ "link": link }).to_string().as_bytes()).await
    }
}

const LAPTOP: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0";
const PHONE: &str =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Safari/604.1";

impl Device {
    fn of(addr: SocketAddr, answer: &Answer) -> Self {
        let cookie = answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        Self { addr, cookie, user: answer.json()["user"].clone() }
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let cookie = format!("Cookie: {}", self.cookie);
        http(self.addr, method, path, &[&cookie], body.as_bytes()).await
    }

    async fn get(&self, path: &str) -> Value {
        self.send("GET", path, None).await.json()
    }

    /// Makes a link, and returns its code.
    async fn link(&self, path: &str) -> String {
        self.send("POST", path, None).await.json()["link"].as_str().unwrap().to_owned()
    }

    async fn connect(&self) -> Client {
        Client::connect_with_cookie(self.addr, &self.cookie).await
    }

    fn path(&self) -> String {
        format!("/admin/people/{}", self.user["id"].as_str().unwrap())
    }
}

/// Runs each test on both stores of accounts.
macro_rules! on_both_stores {
    ($($test:ident),* $(,)?) => {
        mod redb {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Store::Redb).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(super::Store::Postgres).await;
            })*
        }
    };
}

mod devices;
mod owner;
