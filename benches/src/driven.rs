//! A connection without a socket.

use std::future::poll_fn;
use std::iter;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use chatcore::protocol::Form;
use chatcore::transport::{Connection, Outgoing, Outlet};
use chatcore::{Chat, Identity, User};

/// A connection that is driven as a transport does.
#[derive(Debug)]
pub struct Driven {
    connection: Connection,
    out: Taken,
}

/// The frames that were taken: the short ones in one buffer, as a transport has them, and the others.
#[derive(Debug, Default)]
struct Taken {
    short: Vec<u8>,
    /// Where each of the short ones ends.
    ends: Vec<usize>,
    shared: Vec<Bytes>,
}

impl Outgoing for Taken {
    fn push(&mut self, frame: Bytes) {
        self.shared.push(frame);
    }

    fn write(&mut self, _: usize, encode: &mut dyn FnMut(&mut Vec<u8>)) {
        encode(&mut self.short);
        self.ends.push(self.short.len());
    }
}

impl Taken {
    fn clear(&mut self) {
        self.short.clear();
        self.ends.clear();
        self.shared.clear();
    }

    /// Returns the frames.
    fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let begins = iter::once(0).chain(self.ends.iter().copied());
        let short = begins.zip(&self.ends).map(|(begin, end)| &self.short[begin..*end]);
        short.chain(self.shared.iter().map(|frame| &frame[..]))
    }
}

impl Driven {
    /// Connects a user who reads messages in their lean form, and sends these commands.
    ///
    /// # Panics
    /// If the chat accepts no connection.
    pub async fn open(chat: &Chat, name: &str, first: &[&str]) -> Self {
        Self::reading(Form::Lean, chat, name, first).await
    }

    /// Connects a user who reads messages in this form, and sends these commands.
    ///
    /// # Panics
    /// If the chat accepts no connection.
    pub async fn reading(form: Form, chat: &Chat, name: &str, first: &[&str]) -> Self {
        let user = User::new(&format!("u_{name}"), name).expect("a user");
        let connection = chat.open(Identity::new(user)).expect("room for a connection");
        connection.set_form(form);
        let mut driven = Self { connection, out: Taken::default() };
        for frame in first {
            driven.ask(frame).await;
        }
        driven
    }

    /// Lets the fan-out write directly to `outlet`.
    pub fn set_outlet(&self, outlet: Arc<dyn Outlet>) {
        self.connection.set_outlet(outlet);
    }

    /// Sends a command, takes frames until its `ok`, and returns that.
    pub async fn ask(&mut self, frame: &str) -> &[u8] {
        self.connection.receive(frame);
        self.until(|frame| frame.starts_with(br#"{"type":"ok""#)).await
    }

    /// Takes frames until one matches, and returns it.
    pub async fn until(&mut self, fits: impl Fn(&[u8]) -> bool) -> &[u8] {
        let at = loop {
            self.out.clear();
            poll_fn(|cx| self.connection.poll_outgoing(cx, &mut self.out)).await;
            if let Some(at) = self.out.frames().position(&fits) {
                break at;
            }
        };
        self.out.frames().nth(at).unwrap_or_default()
    }

    /// Takes all available frames.
    ///
    /// # Panics
    /// If the connection is closed.
    pub fn drain(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        self.out.clear();
        while let Poll::Ready(closed) = self.connection.poll_outgoing(&mut cx, &mut self.out) {
            assert_eq!(closed, None);
        }
    }
}
