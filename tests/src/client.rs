//! A client that speaks the protocol.

use std::collections::VecDeque;
use std::net::SocketAddr;

use chatcore::protocol::Form;
use http::HeaderValue;
use http::header::{COOKIE, HeaderName, SEC_WEBSOCKET_PROTOCOL};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_websockets::ClientBuilder;

use crate::deflate::OFFER;
use crate::must;
use crate::raw::Raw;
use crate::socket::{Incoming, Socket};

/// A client on a WebSocket, which reads messages in their lean form unless told otherwise. Frames that nobody has asked for wait in order.
#[derive(Debug)]
pub struct Client {
    socket: Socket,
    waiting: VecDeque<Value>,
    last_id: i64,
    /// The first frame.
    pub welcome: Value,
}

impl Client {
    /// Connects as `name` and receives the `welcome`.
    ///
    /// # Panics
    /// If that fails.
    pub async fn connect(addr: SocketAddr, name: &str) -> Self {
        Self::connect_raw(addr, name).await.welcomed().await
    }

    /// Connects as `name`, to read messages in this form, and receives the `welcome`.
    ///
    /// # Panics
    /// If that fails.
    pub async fn connect_in(addr: SocketAddr, name: &str, form: Form) -> Self {
        let user = HeaderName::from_static("x-user");
        Self::try_handshake(addr, user, name, form).await.expect("a WebSocket").welcomed().await
    }

    /// Connects with a cookie and receives the `welcome`.
    ///
    /// # Panics
    /// If that fails.
    pub async fn connect_with_cookie(addr: SocketAddr, cookie: &str) -> Self {
        Self::handshake(addr, COOKIE, cookie).await.welcomed().await
    }

    /// Connects as `name` with compression in both directions, and receives the `welcome`.
    ///
    /// # Panics
    /// If that fails.
    pub async fn connect_deflating(addr: SocketAddr, name: &str) -> Self {
        let socket = Socket::Deflating(Raw::deflating(addr, name, OFFER).await);
        Self { socket, waiting: VecDeque::new(), last_id: 0, welcome: Value::Null }.welcomed().await
    }

    /// Returns how many bytes were received after the handshake. Only connections with compression count them.
    ///
    /// # Panics
    /// If this is another one.
    #[must_use]
    pub fn received_bytes(&self) -> usize {
        match &self.socket {
            Socket::Deflating(raw) => raw.received_bytes(),
            Socket::Plain(_) => panic!("bytes are not counted"),
        }
    }

    /// Connects as `name` and receives nothing yet.
    ///
    /// # Panics
    /// If the handshake fails.
    pub async fn connect_raw(addr: SocketAddr, name: &str) -> Self {
        Self::handshake(addr, HeaderName::from_static("x-user"), name).await
    }

    /// Connects with a cookie and receives the `welcome`; `None` if the server is down or ends the connection.
    pub async fn try_connect_with_cookie(addr: SocketAddr, cookie: &str) -> Option<Self> {
        let mut client = Self::try_handshake(addr, COOKIE, cookie, Form::Lean).await.ok()?;
        client.welcome = client.next().await.ok()?;
        (client.welcome["type"] == "welcome").then_some(client)
    }

    async fn handshake(addr: SocketAddr, header: HeaderName, value: &str) -> Self {
        Self::try_handshake(addr, header, value, Form::Lean).await.expect("a WebSocket")
    }

    async fn try_handshake(
        addr: SocketAddr,
        header: HeaderName,
        value: &str,
        form: Form,
    ) -> Result<Self, tokio_websockets::Error> {
        let offered = match form {
            // As our client does, for servers that do not know the lean form.
            Form::Lean => "chatcore.v1.lean, chatcore.v1",
            form => form.subprotocol(),
        };
        let connecting = ClientBuilder::new()
            .uri(&format!("ws://{addr}/chat/ws"))
            .expect("a URI")
            .add_header(header, HeaderValue::from_str(value).expect("a header"))
            .expect("no reserved header")
            .add_header(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(offered))
            .expect("no reserved header");
        let connected = async {
            let tcp = TcpStream::connect(addr).await?;
            // As browsers do: a command of several packets does not wait until the first is acknowledged.
            tcp.set_nodelay(true)?;
            connecting.connect_on(tcp).await
        };
        let (socket, response) = must("a handshake", connected).await?;
        assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], form.subprotocol());
        Ok(Self { socket: Socket::Plain(socket), waiting: VecDeque::new(), last_id: 0, welcome: Value::Null })
    }

    async fn welcomed(mut self) -> Self {
        self.welcome = self.frame().await;
        assert_eq!(self.welcome["type"], "welcome");
        self
    }

    /// Sends a frame unchanged.
    ///
    /// # Panics
    /// If the connection is gone.
    pub async fn send(&mut self, frame: impl Into<String>) {
        assert!(must("a send", self.socket.send_text(frame.into())).await, "an open socket");
    }

    /// Sends a binary frame.
    ///
    /// # Panics
    /// If the connection is gone.
    pub async fn send_binary(&mut self, bytes: &'static [u8]) {
        assert!(must("a send", self.socket.send_binary(bytes)).await, "an open socket");
    }

    /// Sends a command and returns its `id` without waiting for the response.
    pub async fn tell(&mut self, mut command: Value) -> i64 {
        self.last_id += 1;
        command["id"] = self.last_id.into();
        self.send(command.to_string()).await;
        self.last_id
    }

    /// Sends a command and returns its `id`; `None` if the connection is gone.
    pub async fn try_tell(&mut self, mut command: Value) -> Option<i64> {
        self.last_id += 1;
        command["id"] = self.last_id.into();
        let sent = must("a send", self.socket.send_text(command.to_string())).await;
        sent.then_some(self.last_id)
    }

    /// Sends a command and returns its response. Other frames wait.
    pub async fn ask(&mut self, command: Value) -> Value {
        let id = self.tell(command).await;
        self.answer(id).await
    }

    /// Returns the response to the command `id`. Other frames wait.
    pub async fn answer(&mut self, id: i64) -> Value {
        let is_answer = |frame: &Value| {
            matches!(frame["type"].as_str(), Some("ok" | "error")) && frame["id"].as_i64() == Some(id)
        };
        self.find(&format!("the answer to {id}"), is_answer).await
    }

    /// Sends a command that succeeds, and returns its `ok`.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn ok(&mut self, command: Value) -> Value {
        let answer = self.ask(command.clone()).await;
        assert_eq!(answer["type"], "ok", "{command} gave {answer}");
        answer
    }

    /// Repeats a command while its error is retryable, and returns its `ok`.
    ///
    /// # Panics
    /// If its error is not retryable.
    pub async fn patient(&mut self, command: Value) -> Value {
        loop {
            let answer = self.ask(command.clone()).await;
            if answer["type"] == "ok" {
                return answer;
            }
            assert_eq!(answer["retryable"], true, "{command} gave {answer}");
            let wait = answer["retry_ms"].as_u64().unwrap_or(100);
            tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
        }
    }

    /// Sends a command that is refused with `code`, and returns its `error`.
    ///
    /// # Panics
    /// If it is not.
    pub async fn refused(&mut self, command: Value, code: &str) -> Value {
        let answer = self.ask(command.clone()).await;
        assert_eq!(
            (&answer["type"], &answer["code"]),
            (&json!("error"), &json!(code)),
            "{command} gave {answer}"
        );
        assert!(answer["message"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
        let retryable = matches!(code, "rate_limited" | "unavailable" | "draining");
        assert_eq!(answer["retryable"], retryable, "{answer}");
        answer
    }

    /// Publishes a text, with the text as the nonce, and returns its `seq`.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn publish(&mut self, channel: &str, text: &str) -> u64 {
        let command = json!({"type": "publish", "channel": channel, "nonce": text, "text": text});
        self.ok(command).await["seq"].as_u64().expect("a seq")
    }

    /// Returns the next event of a type. Frames before it wait.
    pub async fn event(&mut self, kind: &str) -> Value {
        self.find(kind, |frame| frame["type"] == kind).await
    }

    /// Returns the next event of a channel's log. Frames before it wait.
    pub async fn log_event(&mut self) -> Value {
        let is_logged = |frame: &Value| {
            matches!(frame["type"].as_str(), Some("message" | "edited" | "deleted" | "reaction"))
        };
        self.find("an event of the log", is_logged).await
    }

    /// Takes the waiting frames.
    pub fn take_waiting(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.waiting).into()
    }

    async fn find(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at).expect("found just now");
        }
        must(what, async {
            loop {
                let frame = self.frame().await;
                if wanted(&frame) {
                    return frame;
                }
                self.waiting.push_back(frame);
            }
        })
        .await
    }

    /// Returns the next frame from the socket.
    ///
    /// # Panics
    /// If the connection closes instead.
    pub async fn frame(&mut self) -> Value {
        match self.next().await {
            Ok(frame) => frame,
            Err(code) => panic!("closed with {code:?}"),
        }
    }

    /// Returns the next frame from the socket, or the close code.
    ///
    /// # Errors
    /// The close code; `None` if the connection ended without a close frame.
    ///
    /// # Panics
    /// If a frame is not JSON text.
    pub async fn next(&mut self) -> Result<Value, Option<u16>> {
        match must("a frame", self.socket.next()).await {
            Incoming::Text(text) => Ok(serde_json::from_str(&text).expect("JSON")),
            Incoming::Close(code) => Err(Some(code)),
            Incoming::End => Err(None),
        }
    }

    /// Returns the close code of the server. Frames before it wait.
    ///
    /// # Panics
    /// If the connection ends without a close frame.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.next().await {
                Ok(frame) => self.waiting.push_back(frame),
                Err(code) => return code.expect("a close frame"),
            }
        }
    }

    /// Sends a close frame without waiting for the response.
    pub async fn try_close(&mut self) {
        must("a close", self.socket.send_close()).await;
    }

    /// Closes with 1000 and returns the code of the server's close frame.
    ///
    /// # Panics
    /// If there is none.
    pub async fn close(&mut self) -> u16 {
        assert!(must("a close", self.socket.send_close()).await, "an open socket");
        self.closed().await
    }
}
