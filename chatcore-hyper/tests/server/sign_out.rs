//! A sign-out during a handshake.
#![allow(clippy::unwrap_used)] // The helpers are tests too.

use std::future::ready;

use chatcore::protocol::CloseReason;
use chatcore::{Identity, User};
use chatcore_hyper::{ChatService, Unauthorized, serve};
use http::request::Parts;
use tokio::net::TcpListener;
use tokio_websockets::ClientBuilder;

use crate::common::{chat, closed, must};

#[tokio::test]
async fn a_handshake_can_not_overtake_a_disconnection() {
    let (chat, _folder) = chat().await;
    let overtaken = chat.clone();
    let service = ChatService::builder(chat, move |_: &Parts| {
        let ann = User::new("u_ann", "ann").unwrap();
        // The session existed when it was looked up, and is gone before the socket is open.
        overtaken.disconnect(&ann.id, CloseReason::SignedOut);
        ready(Ok::<_, Unauthorized>(Identity::new(ann)))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, service.build()).into_future());
    let client = ClientBuilder::new().uri(&format!("ws://{addr}/chat/ws")).unwrap();
    let (mut socket, _) = must("a handshake", client.connect()).await.unwrap();
    assert_eq!(must("a close", closed(&mut socket)).await, Some(4100));
}
