//! The real service behind real proxies, with the configurations in `docs/service`.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use chatcore_tests::{Service, free_port, must};
use futures::{SinkExt, StreamExt};
use http::HeaderValue;
use http::header::{COOKIE, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, pki_types};
use tokio_websockets::{ClientBuilder, Message};

const NAME: &str = "chat.example";
const PAGE: &str = "https://chat.example";
/// Below `client_max_body_size`, and far above nginx's default limit.
const FILE: usize = 20 << 20;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A proxy in front of a service. Both end on drop.
struct Proxy {
    _process: Child,
    folder: TempDir,
    service: Service,
    addr: SocketAddr,
    tls: Option<TlsConnector>,
}

/// A response's head, with names in lower case, and its body.
struct Answer {
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    #[track_caller]
    fn ok(&self) -> Value {
        assert!(self.head.starts_with("HTTP/1.1 200"), "{}", self.head);
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Proxy {
    async fn connect(&self) -> Box<dyn Stream> {
        let socket = must("a connection to the proxy", TcpStream::connect(self.addr)).await.unwrap();
        match &self.tls {
            Some(tls) => {
                let name = ServerName::try_from(NAME).unwrap();
                Box::new(must("a handshake", tls.connect(name, socket)).await.unwrap())
            }
            None => Box::new(socket),
        }
    }

    async fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {NAME}\r\nOrigin: {PAGE}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        // TLS keeps what the socket does not take at once.
        must("the request is sent", stream.flush()).await.unwrap();
        let mut answer = Vec::new();
        // A proxy may end TLS without a close message.
        let _ = must("an answer", stream.read_to_end(&mut answer)).await;
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let (first, headers) = head.split_once("\r\n").unwrap();
        let headers = headers.lines().map(|line| match line.split_once(": ") {
            Some((name, value)) => format!("\n{}: {value}", name.to_ascii_lowercase()),
            None => format!("\n{line}"),
        });
        Answer { head: first.to_owned() + &headers.collect::<String>(), body: answer.split_off(end + 4) }
    }
}

/// Uses the service as a browser at `https://chat.example` does.
async fn a_person_chats(proxy: &Proxy) {
    let page = proxy.ask("GET", "/", "", b"").await;
    assert!(page.head.starts_with("HTTP/1.1 200") && !page.body.is_empty(), "{}", page.head);
    let signed_in = proxy.ask("POST", "/session", "", br#"{"name":"ann"}"#).await;
    assert_eq!(signed_in.ok()["user"]["name"], "ann");
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-chat_session="), "the cookie is bound to TLS: {cookie}");

    let upload = "/chat/channels/general/attachments?name=film.bin";
    let cookies = format!("Cookie: {cookie}\r\n");
    let file = proxy.ask("POST", upload, &cookies, &vec![7; FILE]).await;
    assert!(file.head.starts_with("HTTP/1.1 201"), "{}", file.head);

    let builder = ClientBuilder::new().uri(&format!("ws://{NAME}/chat/ws")).unwrap();
    let protocol = HeaderValue::from_static("chatcore.v1.lean");
    let builder = builder.add_header(SEC_WEBSOCKET_PROTOCOL, protocol).unwrap();
    let builder = builder.add_header(COOKIE, HeaderValue::from_str(&cookie).unwrap()).unwrap();
    let builder = builder.add_header(ORIGIN, HeaderValue::from_static(PAGE)).unwrap();
    let connected = must("a WebSocket", builder.connect_on(proxy.connect().await)).await;
    let (mut socket, _) = connected.unwrap();
    for command in [
        json!({"type": "subscribe", "id": 1, "channel": "general"}),
        json!({"type": "publish", "id": 2, "channel": "general", "nonce": "n", "text": "through the proxy"}),
    ] {
        socket.send(Message::text(command.to_string())).await.unwrap();
    }
    let event = async {
        loop {
            let message = socket.next().await.expect("the socket is open").unwrap();
            let frame: Value = serde_json::from_str(message.as_text().unwrap_or("null")).unwrap();
            assert_ne!(frame["type"], "error", "{frame}");
            if frame["type"] == "message" {
                return frame;
            }
        }
    };
    assert_eq!(must("the message", event).await["text"], "through the proxy");
}

fn free() -> SocketAddr {
    ([127, 0, 0, 1], free_port()).into()
}

fn configuration(file: &str) -> String {
    fs::read_to_string(format!("{}/../docs/service/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Replaces each `old`, which must occur, by `new`.
#[track_caller]
fn put(text: &mut String, old: &str, new: &str) {
    assert!(text.contains(old), "no {old:?} in {text}");
    *text = text.replace(old, new);
}

async fn service(folder: &Path) -> Service {
    Service::with(&folder.join("data"), &["--origin", PAGE, "--trust-forwarded", "1"]).await
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("these tests need {name} (Debian: apt-get install {name})"))
}

/// Starts a proxy, and waits until it accepts connections.
async fn start(mut command: Command, addr: SocketAddr) -> Child {
    let mut process = command.stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let listens = async {
        while TcpStream::connect(addr).await.is_err() {
            assert!(process.try_wait().unwrap().is_none(), "the proxy ended");
            tokio::task::yield_now().await;
        }
    };
    must("the proxy listens", listens).await;
    process
}

/// Starts nginx with the file in `docs/service`, and returns its address without TLS too.
async fn nginx() -> (Proxy, SocketAddr) {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path()).await;
    let (plain, secure) = (free(), free());
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("chat.pem"), folder.path().join("chat.key"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut site = configuration("nginx.conf");
    put(&mut site, "listen 80;", &format!("listen {plain};"));
    put(&mut site, "listen 443 ssl", &format!("listen {secure} ssl"));
    put(&mut site, "    listen [::]:80;\n", "");
    put(&mut site, "    listen [::]:443 ssl http2;\n", "");
    put(&mut site, "/etc/ssl/certs/chat.example.pem", certificate.to_str().unwrap());
    put(&mut site, "/etc/ssl/private/chat.example.key", key.to_str().unwrap());
    put(&mut site, "127.0.0.1:3000", &service.addr.to_string());
    fs::write(folder.path().join("site.conf"), site).unwrap();
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {}/{kind};", folder.path().display()));
    let main = format!(
        "{user} daemon off; master_process off; pid {0}/nginx.pid; error_log stderr;\n\
         events {{}}\nhttp {{ access_log off; {1} include {0}/site.conf; }}\n",
        folder.path().display(),
        temporary.join(" ")
    );
    fs::write(folder.path().join("nginx.conf"), main).unwrap();
    let mut command = Command::new(program("nginx"));
    command.args(["-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(folder.path().join("nginx.conf"));
    let process = start(command, secure).await;
    let mut roots = RootCertStore::empty();
    roots.add(pki_types::CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let tls = Some(TlsConnector::from(Arc::new(config)));
    (Proxy { _process: process, folder, service, addr: secure, tls }, plain)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_chats_through_nginx() {
    let (proxy, plain) = nginx().await;
    a_person_chats(&proxy).await;
    let without_tls = Proxy { addr: plain, tls: None, ..proxy };
    let answer = without_tls.ask("GET", "/chat/ui/chat.js?x=1", "", b"").await;
    assert!(answer.head.starts_with("HTTP/1.1 308"), "{}", answer.head);
    assert_eq!(answer.header("location"), Some("https://chat.example/chat/ui/chat.js?x=1"));
    assert!(without_tls.folder.path().exists() && without_tls.service.id() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_chats_through_caddy() {
    let folder = tempfile::tempdir().unwrap();
    let service = service(folder.path()).await;
    let addr = free();
    let file = folder.path().join("Caddyfile");
    let caddy = |arguments: &[&str]| {
        let mut command = Command::new(program("caddy"));
        command.args(arguments).arg("--config").arg(&file).args(["--adapter", "caddyfile"]);
        command.env("HOME", folder.path()).env("XDG_DATA_HOME", folder.path());
        command.env("XDG_CONFIG_HOME", folder.path());
        command
    };
    let mut site = configuration("Caddyfile");
    fs::write(&file, &site).unwrap();
    let valid = must("caddy checks the file", caddy(&["validate"]).output()).await.unwrap();
    assert!(valid.status.success(), "{}", String::from_utf8_lossy(&valid.stderr));
    // A public authority would issue its certificate.
    put(&mut site, "chat.example {", &format!("http://chat.example:{} {{\n    bind 127.0.0.1", addr.port()));
    put(&mut site, "127.0.0.1:3000", &service.addr.to_string());
    fs::write(&file, format!("{{\n    admin off\n    auto_https off\n}}\n{site}")).unwrap();
    let process = start(caddy(&["run"]), addr).await;
    a_person_chats(&Proxy { _process: process, folder, service, addr, tls: None }).await;
}
