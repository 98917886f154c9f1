//! The proxy between an app and its database for tests of a failing network.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use chatcore_tests::{Proxy, Traffic};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that echoes its input, and reports each chunk.
async fn echo() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut chunk = [0; 64];
                while let Ok(length @ 1..) = socket.read(&mut chunk).await {
                    tell.send(chunk[..length].to_vec()).unwrap();
                    socket.write_all(&chunk[..length]).await.unwrap();
                }
            });
        }
    });
    (addr, told)
}

async fn ask(client: &mut TcpStream, request: &[u8]) {
    client.write_all(request).await.unwrap();
    let mut answer = vec![0; request.len()];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, request);
}

async fn is_closed(client: &mut TcpStream) -> bool {
    matches!(client.read(&mut [0]).await, Ok(0) | Err(_))
}

#[tokio::test]
async fn a_delay_holds_up_what_passes() {
    let (server, _told) = echo().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut client, b"at once").await;
    let delay = Duration::from_millis(30);
    proxy.set(Traffic::Delay(delay));
    let begun = Instant::now();
    ask(&mut client, b"later").await;
    assert!(begun.elapsed() >= delay);
    proxy.set(Traffic::Pass);
    ask(&mut client, b"at once again").await;
}

#[tokio::test]
async fn a_cut_closes_old_and_new_connections() {
    let (server, _told) = echo().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut client, b"before").await;
    proxy.set(Traffic::Cut);
    assert!(is_closed(&mut client).await);
    assert!(is_closed(&mut TcpStream::connect(proxy.addr()).await.unwrap()).await);
    proxy.set(Traffic::Pass);
    ask(&mut TcpStream::connect(proxy.addr()).await.unwrap(), b"after").await;
}

#[tokio::test]
async fn a_black_hole_swallows_bytes_in_silence() {
    let (server, mut told) = echo().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut hurt = TcpStream::connect(proxy.addr()).await.unwrap();
    let mut idle = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut hurt, b"1").await;
    ask(&mut idle, b"2").await;
    proxy.set(Traffic::BlackHole);
    let mut new = TcpStream::connect(proxy.addr()).await.unwrap();
    for client in [&mut hurt, &mut new] {
        client.write_all(b"lost").await.unwrap();
        client.shutdown().await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "all was swallowed, and nothing came");
    }
    proxy.set(Traffic::Pass);
    ask(&mut idle, b"3").await;
    for chunk in [b"1", b"2", b"3"] {
        assert_eq!(told.recv().await.unwrap(), chunk);
    }
    assert!(told.try_recv().is_err(), "what was lost never came");
}

#[tokio::test]
async fn a_lost_answer_is_lost_after_the_request_arrived() {
    let (server, mut told) = echo().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let lost = proxy.lose_answer_to("commit");
    ask(&mut client, b"begin").await;
    // The request arrives in two pieces. The first one is answered.
    ask(&mut client, b"com").await;
    client.write_all(b"mit").await.unwrap();
    assert!(is_closed(&mut client).await);
    lost.await.unwrap();
    let mut other = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut other, b"commit").await;
    for chunk in [&b"begin"[..], b"com", b"mit", b"commit"] {
        assert_eq!(told.recv().await.unwrap(), chunk, "only one answer was lost");
    }
}

#[tokio::test]
async fn a_connection_ends_with_its_proxy() {
    let (server, _told) = echo().await;
    let proxy = Proxy::start(server).await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    ask(&mut client, b"before").await;
    drop(proxy);
    assert!(is_closed(&mut client).await);
}
