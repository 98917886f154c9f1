//! Functions for the fuzzers.

use std::io::Read;

use super::archive::{ArchiveError, Reader};
use super::frames;

/// Reads an archive to its end, and returns the result.
pub(crate) fn read(bytes: &[u8], mut entry: impl FnMut(String)) -> &'static str {
    let mut read = || {
        let mut archive = Reader::begin(bytes)?;
        while let Some((name, _)) = archive.next()? {
            entry(name.path());
        }
        Ok(())
    };
    match read() {
        Ok(()) => "whole",
        Err(ArchiveError::Foreign) => "foreign",
        Err(ArchiveError::Newer(_)) => "newer",
        Err(ArchiveError::Truncated) => "truncated",
        Err(ArchiveError::Altered(_)) => "altered",
        Err(ArchiveError::Read(_) | ArchiveError::Write(_) | ArchiveError::Stopped) => "failed",
    }
}

/// A reader that returns bytes in pieces.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let most = out.len().min(self.1);
        self.0.read(&mut out[..most])
    }
}

/// Receives what a service sends.
pub(crate) fn receive(bytes: &[u8], piece: usize) -> Result<String, String> {
    let mut out = Vec::new();
    match frames::receive(Pieces(bytes, piece), &mut out) {
        Ok(received) => Ok(format!("{out:?} {received:?}")),
        Err(error) => Err(error.to_string()),
    }
}
