//! The epoll floor: one thread, one epoll, and nothing between a message and the send call.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;

use crate::floor::{Floor, Sends, Socket};

/// The event of the listener. Connections have lower numbers.
const LISTENER: u64 = u64::MAX;

struct EpollSocket {
    socket: TcpStream,
    epoll: Rc<OwnedFd>,
}

impl Socket for EpollSocket {
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.socket).write(bytes)
    }

    fn watch(&self, number: usize, blocked: bool) {
        let out = if blocked { EventFlags::OUT } else { EventFlags::empty() };
        epoll::modify(&self.epoll, &self.socket, data(number), EventFlags::IN | out).unwrap();
    }

    fn shut_down(&self) {
        // The peer may have closed it already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

fn data(number: usize) -> EventData {
    EventData::new_u64(number as u64)
}

/// Serves forever.
pub(crate) fn run(listener: &TcpListener, channels: usize, sends: Sends) {
    let epoll = Rc::new(epoll::create(CreateFlags::CLOEXEC).unwrap());
    listener.set_nonblocking(true).unwrap();
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN).unwrap();
    let mut floor = Floor::new(channels, sends);
    let mut events: Vec<Event> = Vec::with_capacity(1_024);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        events.clear();
        match epoll::wait(&epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("{error}"),
        }
        for event in &events {
            let (flags, data) = (event.flags, event.data);
            if data.u64() == LISTENER {
                accept(listener, &epoll, &mut floor);
                continue;
            }
            let number = data.u64() as usize;
            if flags.contains(EventFlags::OUT) {
                floor.unblock(number);
            }
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                read(&mut floor, number, &mut buffer);
            }
        }
        floor.flush();
    }
}

fn accept(listener: &TcpListener, epoll: &Rc<OwnedFd>, floor: &mut Floor<EpollSocket>) {
    while let Ok((socket, _)) = listener.accept() {
        socket.set_nonblocking(true).unwrap();
        socket.set_nodelay(true).unwrap();
        floor.open(|number| {
            epoll::add(epoll, &socket, data(number), EventFlags::IN).unwrap();
            EpollSocket { socket, epoll: Rc::clone(epoll) }
        });
    }
}

fn read(floor: &mut Floor<EpollSocket>, number: usize, buffer: &mut [u8]) {
    let Some(socket) = floor.socket(number) else { return };
    match (&socket.socket).read(buffer) {
        Ok(read) if read > 0 => floor.receive(number, &mut buffer[..read]),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        _ => floor.close(number),
    }
}
