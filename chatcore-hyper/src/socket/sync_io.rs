//! A socket that may not be ready, as tungstenite's synchronous state machine uses it.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};

use crate::socket::boundary::{Boundary, Codings};

/// The most frames without a message to read at once. Then the caller counts them, and may stop reading.
pub(super) const OTHERS_AT_ONCE: u32 = 64;

/// The socket for the state machine, during one call.
pub(super) struct SyncIo<'a, 'b, I> {
    pub(super) io: &'a mut I,
    pub(super) cx: &'a mut Context<'b>,
    pub(super) boundary: &'a mut Boundary,
    pub(super) codings: &'a mut Codings,
    pub(super) replies: &'a mut Vec<u8>,
    pub(super) heard: &'a mut bool,
}

impl<I: AsyncRead + Unpin> Read for SyncIo<'_, '_, I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.boundary.others() >= OTHERS_AT_ONCE {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.io).poll_read(self.cx, &mut buffer) {
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
            Poll::Ready(read) => {
                read?;
                let bytes = buffer.filled_mut();
                self.boundary.take(bytes, self.codings);
                *self.heard |= !bytes.is_empty();
                Ok(bytes.len())
            }
        }
    }
}

impl<I> Write for SyncIo<'_, '_, I> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
