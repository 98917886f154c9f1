//! A connection of an attacker: bytes out, and as few in as it likes.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{FROM, Target};
use crate::raw::frame;

/// How long an attacker waits for its own handshake.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects with a receive buffer that takes little, so that what is unread stays with the service, and with a
/// small send buffer: the system's memory for sockets is measured, and is to be the service's.
pub(super) async fn connect(target: &Target) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    socket.set_send_buffer_size(4_096)?;
    socket.bind(SocketAddr::from((FROM, 0)))?;
    timeout(PATIENCE, socket.connect(target.addr)).await.map_err(|_| ErrorKind::TimedOut)?
}

/// Connects a WebSocket, up to the head of the answer.
pub(super) async fn websocket(target: &Target) -> io::Result<TcpStream> {
    let mut tcp = connect(target).await?;
    let Target { addr, cookie } = target;
    let request = format!(
        "GET /chat/ws HTTP/1.1\r\nHost: {addr}\r\nCookie: {cookie}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    tcp.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    let reading = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(tcp.read_u8().await?);
        }
        Ok::<_, io::Error>(())
    };
    timeout(PATIENCE, reading).await.map_err(|_| ErrorKind::TimedOut)??;
    if head.starts_with(b"HTTP/1.1 101") { Ok(tcp) } else { Err(ErrorKind::ConnectionRefused.into()) }
}

/// Writes text frames.
pub(super) async fn tell(tcp: &mut TcpStream, commands: &[String]) -> io::Result<()> {
    let bytes: Vec<u8> = commands.iter().flat_map(|command| frame(0x81, command.as_bytes())).collect();
    tcp.write_all(&bytes).await
}

/// Reads and drops whatever comes, until the end.
pub(super) async fn drain(tcp: &mut TcpStream) -> io::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    while tcp.read(&mut bytes).await? > 0 {}
    Ok(())
}

/// Waits for the end without reading.
pub(super) async fn hold(tcp: &mut TcpStream) -> io::Result<()> {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // One more byte of nothing finds out whether the connection is still there.
        tcp.write_all(&frame(0x8a, b"")).await?;
    }
}
