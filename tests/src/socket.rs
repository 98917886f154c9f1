//! A client's socket: a WebSocket library's, or one with compression, which the library does not know.

use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_websockets::{CloseCode, Message, WebSocketStream};

use crate::deflate::deflate;
use crate::raw::{Frame, Raw, frame};

/// A client's end of a WebSocket.
#[derive(Debug)]
pub(crate) enum Socket {
    Plain(WebSocketStream<TcpStream>),
    Deflating(Raw),
}

/// What the server sent.
#[derive(Debug)]
pub(crate) enum Incoming {
    Text(String),
    /// A close frame with this code.
    Close(u16),
    /// The end of the connection.
    End,
}

/// FIN and the opcode.
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PONG: u8 = 0x8a;

/// The mark of a compressed message.
const COMPRESSED: u8 = 0x40;

impl Socket {
    /// Sends a text. Returns whether the connection is open.
    pub(crate) async fn send_text(&mut self, text: String) -> bool {
        match self {
            Self::Plain(socket) => socket.send(Message::text(text)).await.is_ok(),
            Self::Deflating(raw) => raw.send(&frame(TEXT | COMPRESSED, &deflate(text.as_bytes()))).await,
        }
    }

    /// Sends bytes. Returns whether the connection is open.
    pub(crate) async fn send_binary(&mut self, bytes: &'static [u8]) -> bool {
        match self {
            Self::Plain(socket) => socket.send(Message::binary(bytes)).await.is_ok(),
            Self::Deflating(raw) => raw.send(&frame(BINARY, bytes)).await,
        }
    }

    /// Sends a close frame with 1000. Returns whether the connection is open.
    pub(crate) async fn send_close(&mut self) -> bool {
        match self {
            Self::Plain(socket) => {
                socket.send(Message::close(Some(CloseCode::NORMAL_CLOSURE), "")).await.is_ok()
            }
            Self::Deflating(raw) => raw.send(&frame(CLOSE, &1000_u16.to_be_bytes())).await,
        }
    }

    /// Returns the next message, and answers control frames.
    pub(crate) async fn next(&mut self) -> Incoming {
        loop {
            match self {
                Self::Plain(socket) => {
                    let Some(Ok(message)) = socket.next().await else { return Incoming::End };
                    if let Some(text) = message.as_text() {
                        return Incoming::Text(text.to_owned());
                    }
                    if let Some((code, _)) = message.as_close() {
                        // Sends our own close frame.
                        let _ = socket.next().await;
                        return Incoming::Close(code.into());
                    }
                }
                Self::Deflating(raw) => {
                    let Some(Frame { opcode, payload }) = raw.frame().await else { return Incoming::End };
                    match opcode {
                        1 => return Incoming::Text(String::from_utf8(payload).expect("UTF-8")),
                        8 => {
                            raw.send(&frame(CLOSE, &payload)).await;
                            let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                            return Incoming::Close(code.expect("a code"));
                        }
                        9 => drop(raw.send(&frame(PONG, &payload)).await),
                        _ => {}
                    }
                }
            }
        }
    }
}
