//! The body of an upload, bounded in its rate and in its address's bytes.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Buf, Bytes};
use chatcore::blob::ByteStream;
use futures::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

use crate::limits::addresses::Uploading;
use crate::limits::allowance::TooManyRequests;
use crate::limits::config::{Bounds, Config};

/// A body that fails if it is too slow or too large.
pub(crate) struct UploadBody<B> {
    body: Pin<Box<B>>,
    bounds: Arc<Bounds>,
    uploading: Uploading,
    /// When the body must be complete.
    until: Instant,
    /// How long the server has waited for it, and the bytes received meanwhile.
    waited: Duration,
    bytes: u64,
    /// Why it ended, if its address has used up its bytes.
    refused: Arc<OnceLock<TooManyRequests>>,
}

impl<B> UploadBody<B>
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub(crate) fn new(body: B, bounds: Arc<Bounds>, uploading: Uploading) -> Self {
        let until = Instant::now() + bounds.config.upload_timeout;
        let body = Box::pin(body);
        Self { body, bounds, uploading, until, waited: Duration::ZERO, bytes: 0, refused: Arc::default() }
    }

    /// Returns the least number of bytes that will come.
    pub(crate) fn announced(&self) -> u64 {
        self.body.size_hint().lower()
    }

    /// Returns where the reason is stored if the stream ends because its address has used up its bytes.
    pub(crate) fn refused(&self) -> Arc<OnceLock<TooManyRequests>> {
        Arc::clone(&self.refused)
    }

    /// Returns a stream of the body's bytes.
    pub(crate) fn into_stream(self) -> ByteStream {
        stream::unfold(Some(self), |body| async {
            let mut body = body?;
            match body.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(body))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let began = Instant::now();
            let frame = timeout_at(self.due(began), poll_fn(|cx| self.body.as_mut().poll_frame(cx))).await;
            self.waited += began.elapsed();
            let frame = match frame {
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => frame.map_err(io::Error::other)?,
            };
            // Trailers are ignored.
            let Ok(mut data) = frame.into_data() else { continue };
            if !data.has_remaining() {
                continue;
            }
            let bytes = data.copy_to_bytes(data.remaining());
            self.bytes += bytes.len() as u64;
            if let Err(error) = self.uploading.take(bytes.len()) {
                let _ = self.refused.set(error);
                return Err(io::ErrorKind::QuotaExceeded.into());
            }
            return Ok(Some(bytes));
        }
    }

    /// Returns until when more bytes must come.
    fn due(&self, now: Instant) -> Instant {
        let Config { upload_idle: idle, upload_rate: rate, .. } = self.bounds.config;
        let owed = Duration::from_secs_f64(self.bytes as f64 / f64::from(rate.max(1)));
        let patience = (idle + owed).saturating_sub(self.waited).min(idle);
        (now + patience).min(self.until)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::StreamBody;

    use super::*;
    use crate::limits::addresses::Addresses;

    /// Receives a body whose pieces come after this many seconds each. Returns the number of bytes, and when and
    /// why it ended.
    async fn receive(config: Config, pieces: Vec<(u64, usize)>) -> (usize, u64, Option<io::ErrorKind>) {
        let (parts, ()) = http::Request::new(()).into_parts();
        let uploading = Addresses::new(&config).upload(&parts).expect("no address, no bound");
        let frames = stream::iter(pieces).then(|(seconds, bytes)| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok::<_, io::Error>(http_body::Frame::data(Bytes::from(vec![0; bytes])))
        });
        let began = Instant::now();
        let mut stream =
            UploadBody::new(StreamBody::new(frames), Arc::new(Bounds::new(config)), uploading).into_stream();
        let (mut bytes, mut failed) = (0, None);
        while let Some(piece) = stream.next().await {
            match piece {
                Ok(piece) => bytes += piece.len(),
                Err(error) => failed = Some(error.kind()),
            }
        }
        (bytes, began.elapsed().as_secs(), failed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_every_29_seconds_is_cut_off_after_30() {
        let ended = receive(Config::default(), vec![(29, 1); 1_000]).await;
        assert_eq!(ended, (1, 30, Some(io::ErrorKind::TimedOut)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_at_the_least_rate_passes_and_a_slower_one_does_not() {
        let whole = receive(Config::default(), vec![(10, 40_960); 100]).await;
        assert_eq!(whole, (4_096_000, 1_000, None));
        let (_, seconds, failed) = receive(Config::default(), vec![(10, 20_480); 100]).await;
        assert_eq!((seconds, failed), (55, Some(io::ErrorKind::TimedOut)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_has_a_time_in_all() {
        let config = Config { upload_timeout: Duration::from_secs(100), ..Config::default() };
        assert_eq!(receive(config.clone(), vec![(10, 1 << 20); 10]).await.2, None);
        let (bytes, seconds, failed) = receive(config, vec![(10, 1 << 20); 11]).await;
        assert_eq!((bytes, seconds, failed), (10 << 20, 100, Some(io::ErrorKind::TimedOut)));
    }
}
