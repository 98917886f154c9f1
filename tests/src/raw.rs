//! A client that can misbehave: bytes on a socket.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::deflate::{ACCEPTED, inflate};
use crate::must;

/// A message or a control frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its opcode: 1 text, 8 close, 9 ping, 10 pong.
    pub opcode: u8,
    /// Its payload, inflated if it was compressed.
    pub payload: Vec<u8>,
}

/// A TCP connection to the server.
#[derive(Debug)]
pub struct Raw {
    tcp: TcpStream,
    /// Whether the server may compress messages.
    deflates: bool,
    received_bytes: usize,
}

/// Encodes a client's frame, masked. `first` is its first byte: FIN, the reserved bits and the opcode.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    let mask = [0x11, 0x22, 0x33, 0x44];
    bytes.extend_from_slice(&mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn connect(addr: SocketAddr) -> Self {
        let tcp = must("a connection", TcpStream::connect(addr)).await.expect("a listener");
        Self { tcp, deflates: false, received_bytes: 0 }
    }

    /// Connects as `name` and receives the `welcome`.
    ///
    /// # Panics
    /// If the handshake fails.
    pub async fn websocket(addr: SocketAddr, name: &str) -> Self {
        let mut raw = Self::upgraded(addr, name).await;
        let welcome = raw.frame().await.expect("a welcome");
        assert!(welcome.payload.starts_with(br#"{"type":"welcome""#), "{welcome:?}");
        raw
    }

    /// Connects as `name`, up to the end of the handshake.
    ///
    /// # Panics
    /// If the handshake fails.
    pub async fn upgraded(addr: SocketAddr, name: &str) -> Self {
        Self::offering(addr, name, None).await.0
    }

    /// Connects as `name` with compression.
    ///
    /// # Panics
    /// If the handshake fails, or the server does not accept the offer.
    pub async fn deflating(addr: SocketAddr, name: &str, offer: &str) -> Self {
        let (mut raw, accepted) = Self::offering(addr, name, Some(offer)).await;
        assert_eq!(accepted.as_deref(), Some(ACCEPTED));
        raw.deflates = true;
        raw
    }

    /// Connects as `name` and offers an extension. Returns what the server accepts of it.
    ///
    /// # Panics
    /// If the handshake fails.
    pub async fn offering(addr: SocketAddr, name: &str, offer: Option<&str>) -> (Self, Option<String>) {
        let mut raw = Self::connect(addr).await;
        let offer = offer.map(|offer| format!("Sec-WebSocket-Extensions: {offer}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /chat/ws HTTP/1.1\r\nHost: {addr}\r\nx-user: {name}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Protocol: chatcore.v1.lean\r\n{offer}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        raw.write(request.as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let accepted = head.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions: "));
        let accepted = accepted.map(str::to_owned);
        (raw, accepted)
    }

    /// Returns how many bytes of frames were received.
    #[must_use]
    pub fn received_bytes(&self) -> usize {
        self.received_bytes
    }

    /// Writes all bytes.
    ///
    /// # Panics
    /// If the connection is gone.
    pub async fn write(&mut self, bytes: &[u8]) {
        must("a write", self.tcp.write_all(bytes)).await.expect("an open connection");
    }

    /// Writes all bytes. Returns whether the connection is open.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        must("a write", self.tcp.write_all(bytes)).await.is_ok()
    }

    /// Writes what the socket accepts without waiting, and returns the number of bytes: 0 if the buffers are full.
    ///
    /// # Errors
    /// If the server has closed the connection.
    pub fn try_write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self.tcp.try_write(bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// Waits until the socket accepts data.
    ///
    /// # Errors
    /// If the server has closed the connection.
    pub async fn writable(&mut self) -> std::io::Result<()> {
        self.tcp.writable().await
    }

    /// Reads the head of an HTTP response.
    ///
    /// # Panics
    /// If the connection ends before that.
    pub async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(must("a head", self.tcp.read_u8()).await.expect("more of the head"));
        }
        String::from_utf8(head).expect("ASCII")
    }

    /// Reads everything up to the end of the connection.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end too.
        let _ = must("the end of the connection", self.tcp.read_to_end(&mut rest)).await;
        rest
    }

    /// Reads a message or a control frame of the server; `None` at the end of the connection. With compression, a
    /// message may come in fragments.
    ///
    /// # Panics
    /// If the server masks a frame, or fragments or compresses one where it must not.
    pub async fn frame(&mut self) -> Option<Frame> {
        let (first, mut payload) = self.fragment().await?;
        if !self.deflates {
            assert_eq!(first & 0xf0, 0x80, "whole frames, no reserved bit");
        }
        assert!(
            first & 0x30 == 0 && first & 0xc0 != 0,
            "only compressed messages come in fragments: {first:x}"
        );
        let mut last = first;
        while last & 0x80 == 0 {
            let rest;
            (last, rest) = self.fragment().await?;
            assert_eq!(last & 0x7f, 0, "a fragment");
            payload.extend(rest);
        }
        if first & 0x40 != 0 {
            payload = inflate(&payload);
        }
        Some(Frame { opcode: first & 0x0f, payload })
    }

    /// Reads a frame of the server as it is: its first byte and its payload.
    ///
    /// # Panics
    /// If the server masks it.
    pub async fn fragment(&mut self) -> Option<(u8, Vec<u8>)> {
        must("a frame", async {
            let first = self.tcp.read_u8().await.ok()?;
            let len = match self.tcp.read_u8().await.ok()? {
                126 => usize::from(self.tcp.read_u16().await.ok()?),
                127 => usize::try_from(self.tcp.read_u64().await.ok()?).expect("a length"),
                len => usize::from(len),
            };
            assert!(len <= 1 << 24, "a server's frame is not masked and not huge");
            let mut payload = vec![0; len];
            self.tcp.read_exact(&mut payload).await.ok()?;
            self.received_bytes += payload.len() + 2;
            self.received_bytes += if len > 0xffff { 8 } else { 2 * usize::from(len > 125) };
            Some((first, payload))
        })
        .await
    }

    /// Reads up to the server's close frame, and returns its code; `None` if the connection ends without one.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            let frame = self.frame().await?;
            if frame.opcode == 8 {
                return frame.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            }
        }
    }
}
