//! A connection without a socket.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use chatcore::protocol::Form;
use chatcore::transport::{Connection, Outlet};
use chatcore::{Chat, Identity, User};

/// A connection that is driven as a transport does.
#[derive(Debug)]
pub struct Driven {
    connection: Connection,
    out: Vec<Bytes>,
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
        let mut driven = Self { connection, out: Vec::new() };
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
    pub async fn ask(&mut self, frame: &str) -> Bytes {
        self.connection.receive(frame);
        self.until(|frame| frame.starts_with(br#"{"type":"ok""#)).await
    }

    /// Takes frames until one matches, and returns it.
    pub async fn until(&mut self, fits: impl Fn(&[u8]) -> bool) -> Bytes {
        loop {
            self.out.clear();
            poll_fn(|cx| self.connection.poll_outgoing(cx, &mut self.out)).await;
            if let Some(at) = self.out.iter().position(|frame| fits(frame)) {
                // A transport doesn't copy it either.
                return self.out.swap_remove(at);
            }
        }
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
