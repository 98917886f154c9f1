//! What an operator's tools see of `web_chat`: metrics, health checks, and the page that describes them.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use chatcore_tests::{Answer, Client, Service as Process, http, must};
use clap::Parser;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use web_chat::{App, Options};

struct Service {
    chat: SocketAddr,
    operations: SocketAddr,
    shutdown: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn start() -> Service {
    let app = App::open(&Options::parse_from(["web_chat", "--memory"])).await.unwrap();
    let (listener, chat) = listen().await;
    let (tools, operations) = listen().await;
    tokio::spawn(app.operations().serve(tools));
    let (shutdown, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(app.serve(listener, async {
        let _ = stopped.await;
    }));
    Service { chat, operations, shutdown, serving }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

impl Service {
    async fn metrics(&self) -> Metrics {
        let answer = http(self.operations, "GET", "/metrics", &[], b"").await;
        assert_eq!(answer.status, 200);
        let openmetrics = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(answer.header("content-type"), Some(openmetrics));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        Metrics::parse(std::str::from_utf8(&answer.body).unwrap())
    }

    async fn sign_in(&self, name: &str) -> String {
        let body = json!({ "name": name }).to_string();
        let answer = http(self.chat, "POST", "/session", &[], body.as_bytes()).await;
        answer.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    }
}

/// The metrics of a page in the OpenMetrics format, by their full names with labels.
struct Metrics {
    values: BTreeMap<String, f64>,
    families: BTreeMap<String, String>,
}

impl Metrics {
    fn parse(page: &str) -> Self {
        let (mut values, mut families) = (BTreeMap::new(), BTreeMap::new());
        let mut helped = BTreeSet::new();
        assert!(page.ends_with("# EOF\n"), "the page is whole");
        for line in page.lines().filter(|line| *line != "# EOF") {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').unwrap();
                assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
            } else if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').unwrap();
                let twice = families.insert(name.to_owned(), kind.to_owned());
                assert!(twice.is_none() && helped.contains(name), "{line}");
            } else {
                let (name, value) = line.rsplit_once(' ').unwrap();
                let plain = name.split('{').next().unwrap();
                let known = families.iter().any(|(family, kind)| match kind.as_str() {
                    "counter" => plain.strip_suffix("_total") == Some(family),
                    "histogram" => ["_sum", "_count", "_bucket"]
                        .iter()
                        .any(|end| plain.strip_suffix(end) == Some(family)),
                    _ => plain == family,
                });
                assert!(known, "no family has {line}");
                assert!(values.insert(name.to_owned(), value.parse().unwrap()).is_none(), "{line}");
            }
        }
        Self { values, families }
    }

    #[track_caller]
    fn get(&self, name: &str) -> f64 {
        *self.values.get(name).unwrap_or_else(|| panic!("no {name} in {:#?}", self.values.keys()))
    }
}

#[tokio::test]
async fn the_metrics_count_what_happens() {
    let service = start().await;
    let before = service.metrics().await;
    assert_eq!(before.get("chatcore_connections"), 0.0);
    assert_eq!(before.get("chatcore_limit{limit=\"connections\"}"), 20_000.0);
    let cookie = service.sign_in("ann").await;
    let mut ann = Client::connect_with_cookie(service.chat, &cookie).await;
    ann.ok(json!({"type": "subscribe", "channel": "general"})).await;
    ann.publish("general", "one").await;
    ann.publish("general", "two").await;
    ann.refused(json!({"type": "history", "channel": "nowhere", "before": 1}), "no_such_channel").await;
    let after = service.metrics().await;
    for (name, value) in [
        ("chatcore_connections", 1.0),
        ("chatcore_users", 1.0),
        ("chatcore_subscriptions", 1.0),
        ("chatcore_connections_opened_total", 1.0),
        ("chatcore_publishes_total", 2.0),
        ("chatcore_append_events_total", 2.0),
        ("chatcore_append_seconds_count", 2.0),
        ("chatcore_publish_seconds_bucket{le=\"+Inf\"}", 2.0),
        ("chatcore_refusals_total{code=\"no_such_channel\"}", 1.0),
        ("chatcore_refusals_total{code=\"rate_limited\"}", 0.0),
        ("web_chat_http_responses_total{status=\"101\"}", 1.0),
        ("chatcore_draining", 0.0),
    ] {
        assert_eq!(after.get(name), value, "{name}");
    }
    assert!(after.get("chatcore_ring_bytes") > before.get("chatcore_ring_bytes"));
    ann.close().await;
    let gone = async {
        while service.metrics().await.get("chatcore_connections_closed_total{code=\"1000\"}") < 1.0 {}
    };
    must("the close is counted", gone).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_metrics_have_the_processs_own_figures() {
    let metrics = start().await.metrics().await;
    for name in [
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_threads",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
    ] {
        assert!(metrics.get(name) > 0.0, "{name}");
    }
    assert!(metrics.get("process_cpu_seconds_total") >= 0.0);
}

#[tokio::test]
async fn health_is_on_both_listeners_and_metrics_on_one() {
    let service = start().await;
    for addr in [service.chat, service.operations] {
        for (path, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
            let answer = http(addr, "GET", path, &[], b"").await;
            assert_eq!((answer.status, answer.body.as_slice()), (200, text.as_bytes()));
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
            assert_eq!(http(addr, "POST", path, &[], b"").await.status, 405);
        }
    }
    assert_eq!(http(service.operations, "POST", "/metrics", &[], b"").await.status, 405);
    assert_eq!(http(service.operations, "GET", "/chat/ws", &[], b"").await.status, 404);
    let page = http(service.chat, "GET", "/metrics", &[], b"").await;
    assert!(!String::from_utf8_lossy(&page.body).contains("chatcore_connections"), "{page:?}");
}

#[tokio::test]
async fn a_draining_service_is_alive_but_not_ready() {
    let service = start().await;
    let cookie = service.sign_in("ann").await;
    let ann = Client::connect_with_cookie(service.chat, &cookie).await;
    service.shutdown.send(()).unwrap();
    let check = async |path| -> Answer { http(service.operations, "GET", path, &[], b"").await };
    let draining = async {
        loop {
            let answer = check("/readyz").await;
            if answer.status == 503 {
                return answer;
            }
        }
    };
    let answer = must("it is not ready", draining).await;
    assert_eq!(answer.body, b"not ready: the service is draining\n");
    assert_eq!(check("/healthz").await.status, 200);
    let metrics = http(service.operations, "GET", "/metrics", &[], b"").await;
    let metrics = Metrics::parse(std::str::from_utf8(&metrics.body).unwrap());
    assert_eq!(metrics.get("chatcore_draining"), 1.0);
    assert!(metrics.families.contains_key("chatcore_connections_closed"));
    drop(ann);
    must("it ends", service.serving).await.unwrap().unwrap();
}

fn docs(file: &str) -> String {
    std::fs::read_to_string(format!("{}/../docs/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Returns all words of a text that are names of metrics.
fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = |word: &&str| ["chatcore_", "web_chat_", "process_"].iter().any(|head| word.starts_with(head));
    words.filter(ours).filter(|word| !word.ends_with('_')).map(str::to_owned).collect()
}

/// The metrics as queries name them: a counter with `_total`, a histogram also by its parts.
fn exported(metrics: &Metrics) -> BTreeSet<String> {
    let names = metrics.families.iter().map(|(name, kind)| match kind.as_str() {
        "counter" => format!("{name}_total"),
        _ => name.clone(),
    });
    // These exist only with a database, or with a bus.
    let others = [
        "chatcore_database_connections",
        "chatcore_database_waiting",
        "chatcore_bus_heard",
        "chatcore_bus_peers",
        "chatcore_bus_probe_seconds",
        "chatcore_bus_envelopes_total",
        "chatcore_bus_lag_seconds",
        "chatcore_bus_gaps_total",
        "chatcore_bus_resyncs_total",
        "chatcore_bus_reordered_total",
        "chatcore_bus_dropped_total",
        "chatcore_bus_unpublished_total",
    ];
    names.chain(others.map(String::from)).collect()
}

#[tokio::test]
async fn the_operations_page_lists_every_metric() {
    let exported = exported(&start().await.metrics().await);
    let page = docs("operations.md");
    let documented: BTreeSet<String> =
        named(&page).into_iter().filter(|name| name != "web_chat_data").collect();
    let undocumented: Vec<_> = exported.difference(&documented).collect();
    assert!(undocumented.is_empty(), "not in docs/operations.md: {undocumented:?}");
    let unknown: Vec<_> = documented.difference(&exported).collect();
    assert!(unknown.is_empty(), "in docs/operations.md, and not exported: {unknown:?}");
}

#[tokio::test]
async fn the_dashboard_names_only_existing_metrics() {
    let exported = exported(&start().await.metrics().await);
    let dashboard: serde_json::Value = serde_json::from_str(&docs("grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let mut shown = BTreeSet::new();
    for target in targets {
        shown.extend(named(target["expr"].as_str().unwrap()));
    }
    let of_a_histogram = |name: &str| {
        ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
    };
    let shown: BTreeSet<String> = shown.iter().map(|name| of_a_histogram(name)).collect();
    assert!(panels.len() > 10 && shown.is_subset(&exported), "{:?}", shown.difference(&exported));
    let missing: Vec<_> = exported.difference(&shown).collect();
    assert!(missing.is_empty(), "no panel shows {missing:?}");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
}

#[tokio::test]
async fn every_error_code_of_the_protocol_is_counted() {
    let metrics = start().await.metrics().await;
    let page = docs("protocol.md");
    let (_, codes) = page.split_once("## Error codes").unwrap();
    let paragraph = codes.trim_start().lines().next().unwrap();
    let code = |word: &&str| word.contains('_') || ["empty", "unavailable", "draining"].contains(word);
    let codes: BTreeSet<&str> =
        paragraph.split('`').skip(1).step_by(2).filter(code).filter(|code| *code != "retry_ms").collect();
    for code in &codes {
        metrics.get(&format!("chatcore_refusals_total{{code=\"{code}\"}}"));
    }
    assert!(codes.len() >= 14, "{codes:?}");
}

#[tokio::test]
async fn the_log_can_be_json() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--log-format", "json", "--log", "warn,web_chat=info", "--metrics-listen", "127.0.0.1:0"];
    let mut service = Process::with(folder.path(), &options).await;
    service.signal("TERM");
    let line: serde_json::Value = serde_json::from_str(&service.logged("drained").await).unwrap();
    assert_eq!((&line["level"], &line["fields"]["message"]), (&json!("INFO"), &json!("drained")));
    assert!(service.ended().await.success());
}
