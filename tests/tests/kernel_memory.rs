//! The kernel's memory for connections whose clients read nothing, which no process's memory shows.
#![cfg(target_os = "linux")]

use std::net::SocketAddr;
use std::time::Duration;

use chatcore_tests::{Server, must};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

const CLIENTS: usize = 300;

/// The bytes in the buffers of all TCP sockets of the machine.
fn tcp_memory() -> usize {
    let stat = std::fs::read_to_string("/proc/net/sockstat").expect("Linux has it");
    let tcp = stat.lines().find(|line| line.starts_with("TCP:")).expect("a line for TCP");
    let pages = tcp.split_whitespace().skip_while(|word| *word != "mem").nth(1).expect("its pages");
    pages.parse::<usize>().expect("a number") * 4_096
}

/// A client that requests the browser client's files repeatedly, and reads nothing.
async fn greedy(addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    // Only the buffers of the server's side matter here.
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut tcp = must("a connection", socket.connect(addr)).await.expect("a listener");
    let requests = "GET /chat/ui/chat.js HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    must("the requests", tcp.write_all(requests.as_bytes())).await.expect("an open connection");
    tcp
}

/// Waits until the machine's sockets hold less than `bytes`.
async fn less_than(bytes: usize) {
    // Other tests have sockets too, and the system does not report when it has freed memory.
    must("the system frees it", async {
        while tcp_memory() >= bytes {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

async fn connections_that_read_nothing(half_closed: bool) {
    let server = Server::with(|setup| setup.http.write_timeout = Duration::from_secs(2)).await;
    let before = tcp_memory();
    let mut clients = Vec::new();
    let mut most = 0;
    for _ in 0..CLIENTS {
        let mut client = greedy(server.addr).await;
        if half_closed {
            client.shutdown().await.expect("an open connection");
        }
        clients.push(client);
        most = most.max(tcp_memory());
    }
    for _ in 0..20 {
        sleep(Duration::from_millis(25)).await;
        most = most.max(tcp_memory());
    }
    let grown = most.saturating_sub(before);
    println!("{} MiB for {CLIENTS} connections", grown >> 20);
    assert!(grown < 150 << 20, "the system holds {} MiB for {CLIENTS} connections", grown >> 20);
    // The clients are still connected, and still read nothing.
    less_than(before + (24 << 20)).await;
    drop(clients);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_never_read_hold_little_memory() {
    connections_that_read_nothing(false).await;
    connections_that_read_nothing(true).await;
}
