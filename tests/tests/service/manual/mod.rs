//! Runs every command of `docs/operations.md` in order, with the real programs, on folders below `DESTDIR`.
#![allow(clippy::unwrap_used)]

mod page;
mod shell;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Output};

use chatcore_tests::{Client, Database, Postgres, http, web_chat};
use serde_json::json;

use self::page::{Block, blocks, page};
use self::shell::{Machine, Shell};

async fn client(addr: SocketAddr, cookie: &str) -> Client {
    Client::connect_with_cookie(addr, cookie).await
}

async fn sign_in(addr: SocketAddr, name: &str) -> String {
    let answer = http(addr, "POST", "/session", &[], json!({ "name": name }).to_string().as_bytes()).await;
    // The cookie without the prefix, since the request came without TLS.
    let cookie = answer.header("set-cookie").unwrap_or_else(|| panic!("{answer:?}"));
    cookie.split(';').next().unwrap().to_owned()
}

async fn texts(addr: SocketAddr, cookie: &str) -> Vec<String> {
    let opened = client(addr, cookie).await.ok(json!({"type": "subscribe", "channel": "general"})).await;
    let messages = opened["messages"].as_array().unwrap();
    messages.iter().map(|message| message["text"].as_str().unwrap().to_owned()).collect()
}

async fn say(addr: SocketAddr, cookie: &str, text: &str) {
    client(addr, cookie).await.publish("general", text).await;
}

/// The checks before and after a block of the page, by the block's heading.
struct Story {
    addr: SocketAddr,
    metrics: SocketAddr,
    cookies: BTreeMap<&'static str, String>,
}

impl Story {
    async fn before(&self, heading: &str) {
        match heading {
            "Restore" => say(self.addr, &self.cookies["ann"], "lost").await,
            "Restore a database" => say(self.addr, &self.cookies["bob"], "lost").await,
            _ => {}
        }
    }

    async fn after(&mut self, heading: &str, machine: &Machine) {
        match heading {
            "Install as a service" => {
                let cookie = sign_in(self.addr, "ann").await;
                say(self.addr, &cookie, "one").await;
                self.cookies.insert("ann", cookie);
                let folder = fs::metadata(machine.path("var/lib/web_chat")).unwrap();
                assert_eq!(std::os::unix::fs::PermissionsExt::mode(&folder.permissions()) & 0o7777, 0o700);
            }
            "Back up every day" => {
                let backups = fs::read_dir(machine.path("var/backups/web_chat")).unwrap();
                let names: Vec<_> =
                    backups.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
                assert_eq!(names.len(), 2, "one by hand, one by the timer's unit: {names:?}");
                assert_eq!(names.iter().filter(|name| name.starts_with("daily-20")).count(), 1, "{names:?}");
            }
            "Metrics" => {
                let page = http(self.metrics, "GET", "/metrics", &[], b"").await;
                assert_eq!(page.status, 200);
            }
            "Restore" | "Upgrade" => {
                assert_eq!(texts(self.addr, &self.cookies["ann"]).await, ["one"], "after {heading}");
            }
            "Messages in PostgreSQL" => {
                let cookie = sign_in(self.addr, "bob").await;
                assert!(texts(self.addr, &cookie).await.is_empty(), "the database is new");
                say(self.addr, &cookie, "two").await;
                self.cookies.insert("bob", cookie);
            }
            "Restore a database" => {
                assert_eq!(texts(self.addr, &self.cookies["bob"]).await, ["two"]);
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_operations_page_works() {
    let database: Database = Postgres::shared().await.database().await;
    let machine = Machine::new(web_chat().as_std().get_program(), &database);
    let mut shell = Shell::start(&machine);
    let mut story = Story { addr: machine.chat, metrics: machine.metrics, cookies: BTreeMap::new() };
    let mut done = Vec::new();
    for Block { heading, commands } in blocks(&page("operations.md")) {
        story.before(&heading).await;
        shell.run(&commands).await;
        story.after(&heading, &machine).await;
        done.push(heading);
    }
    for heading in [
        "Install as a service",
        "Metrics",
        "Back up",
        "Back up every day",
        "Restore",
        "Upgrade",
        "Messages in PostgreSQL",
        "Back up a database",
        "Restore a database",
    ] {
        assert!(done.iter().any(|done| done == heading), "{heading} has commands: {done:?}");
    }
}

#[tokio::test]
#[should_panic(expected = "a command failed")]
async fn a_failing_command_of_the_page_fails_the_test() {
    let database = Postgres::shared().await.database().await;
    let machine = Machine::new(web_chat().as_std().get_program(), &database);
    Shell::start(&machine).run("true\nls \"$DESTDIR/nothing\" | cat\ntrue").await;
}

fn analyze(machine: &Machine, arguments: &[&str]) -> Output {
    let root = format!("--root={}", machine.path("").display());
    Command::new("systemd-analyze").args(arguments).args([&root, "web_chat.service"]).output().unwrap()
}

#[tokio::test]
async fn the_systemd_unit_is_valid_and_restricted() {
    let database = Postgres::shared().await.database().await;
    let machine = Machine::new(web_chat().as_std().get_program(), &database);
    machine.install_unit();
    let verified = analyze(&machine, &["verify"]);
    assert!(verified.status.success() && verified.stderr.is_empty(), "{verified:?}");
    // A service without any hardening has 9.6; below 2 is called OK.
    let security = analyze(&machine, &["security", "--offline=true", "--threshold=20", "--no-pager"]);
    assert!(security.status.success(), "{}", String::from_utf8_lossy(&security.stdout));
    let unit = page("service/web_chat.service");
    let grace: u32 = default_of("--grace").parse().unwrap();
    let value = |name: &str| -> u32 {
        let line = unit.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.parse().unwrap()
    };
    assert!(value("TimeoutStopSec=") > grace + 1, "a drain may take its time");
    let connections: u32 = default_of("--connections").parse().unwrap();
    assert!(value("LimitNOFILE=") >= connections + connections / 4 + 256, "as many as it asks for");
}

/// Returns the options in `--help` with their defaults.
fn options() -> BTreeMap<String, Option<String>> {
    let help = Command::new(web_chat().as_std().get_program()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let mut options: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut last = String::new();
    for line in help.lines().map(str::trim) {
        if let Some(option) = line.strip_prefix("--") {
            last = format!("--{}", option.split([' ', '=']).next().unwrap());
            options.insert(last.clone(), None);
        } else if let Some(default) = line.strip_prefix("[default: ") {
            options.insert(last.clone(), Some(default.trim_end_matches(']').to_owned()));
        }
    }
    options
}

fn default_of(option: &str) -> String {
    options()[option].clone().unwrap()
}

#[test]
fn the_operations_page_lists_every_option_with_its_default() {
    let options = options();
    assert!(options.len() > 25 && options.contains_key("--listen"), "{options:?}");
    let page = page("operations.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `--"));
    let mut documented = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let option = format!("--{}", cells[0].trim_end_matches('`').split(' ').next().unwrap());
        let default = cells[1].trim_matches('`').replace(',', "");
        assert!(!cells[2].is_empty(), "{option} says when to change it");
        let default = Some(default).filter(|default| default != "none");
        assert!(documented.insert(option.clone(), default).is_none(), "{option} is there twice");
    }
    assert_eq!(documented, options);
}
