//! Writes many parts with one system call.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// Up to this many bytes are copied into one piece, which is cheaper than passing each part to the system.
const COPIED: usize = 4_096;

/// Of more bytes, neighbours of up to this size each are.
const SMALL: usize = 1_024;

/// Writes as much of the parts, at most `N` with `len` bytes, as the socket takes at once.
pub(super) fn poll_write<'a, const N: usize, I: AsyncWrite + Unpin>(
    parts: impl Iterator<Item = &'a [u8]> + Clone,
    len: usize,
    io: &mut I,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut others = parts.clone();
    if let (Some(only), None) = (others.next(), others.next()) {
        return Pin::new(io).poll_write(cx, only);
    }
    if len <= COPIED {
        let mut bytes = [0; COPIED];
        let mut at = 0;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        return Pin::new(io).poll_write(cx, &bytes[..at]);
    }
    let small = parts.clone().filter(|part| part.len() <= SMALL);
    let mut copied = Vec::with_capacity(small.clone().map(<[u8]>::len).sum());
    small.for_each(|part| copied.extend_from_slice(part));
    let mut slices = [IoSlice::new(&[]); N];
    let (mut count, mut neighbours, mut rest) = (0, 0, &copied[..]);
    let mut add = |part| {
        slices[count] = IoSlice::new(part);
        count += 1;
    };
    for part in parts {
        if part.len() <= SMALL {
            neighbours += part.len();
            continue;
        }
        let before = rest.split_off(..neighbours).expect("invariant: all small parts are copied");
        neighbours = 0;
        if !before.is_empty() {
            add(before);
        }
        add(part);
    }
    if !rest.is_empty() {
        add(rest);
    }
    Pin::new(io).poll_write_vectored(cx, &slices[..count])
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    /// Records the parts of each write.
    #[derive(Default)]
    struct Parts(Vec<Vec<usize>>);

    impl AsyncWrite for Parts {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(vec![bytes.len()]);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            parts: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.0.push(parts.iter().map(|part| part.len()).collect());
            Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn small_neighbours_are_one_part_and_large_ones_are_not_copied() {
        for (sizes, parts) in [
            (&[100, 200][..], &[300][..]),
            (&[1_000; 5], &[5_000]),
            (&[100, 5_000, 100, 100, 6_000], &[100, 5_000, 200, 6_000]),
            (&[5_000, 100], &[5_000, 100]),
        ] {
            let bytes: Vec<Vec<u8>> = sizes.iter().map(|size| vec![b'x'; *size]).collect();
            let len = sizes.iter().sum();
            let mut wire = Parts::default();
            let all = bytes.iter().map(|part| &part[..]);
            assert_eq!(poll_fn(|cx| poll_write::<8, _>(all.clone(), len, &mut wire, cx)).await.unwrap(), len);
            assert_eq!(wire.0, [parts], "{sizes:?}");
        }
    }
}
