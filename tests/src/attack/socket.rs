//! A connection of an attacker, which may write anything and read little.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::{FROM, Target};
use crate::raw::frame;

/// The longest time to wait for the handshake.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects with a small receive buffer, so that unread data stays with the service, and a small send buffer, so
/// that the measured socket memory is the service's.
pub(super) async fn connect(target: &Target) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    socket.set_send_buffer_size(4_096)?;
    socket.bind(SocketAddr::from((FROM, 0)))?;
    timeout(PATIENCE, socket.connect(target.addr)).await.map_err(|_| ErrorKind::TimedOut)?
}

/// Connects a WebSocket, and reads the head of the response.
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

/// Reads and discards everything until the end.
pub(super) async fn drain(tcp: &mut TcpStream) -> io::Result<()> {
    let mut bytes = vec![0; 64 << 10];
    while tcp.read(&mut bytes).await? > 0 {}
    Ok(())
}

/// Waits for the end without reading.
pub(super) async fn hold(tcp: &mut TcpStream) -> io::Result<()> {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        // Sends an empty pong to check whether the connection still exists.
        tcp.write_all(&frame(0x8a, b"")).await?;
    }
}
