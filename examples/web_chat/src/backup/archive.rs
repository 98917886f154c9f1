//! The file of a backup: a tar archive with the contents of the data folder.
//!
//! Its first entry is a manifest, its last entry has the SHA-256 of all bytes before it. [`Reader`] refuses
//! everything that differs in a byte from what [`Writer`] writes. So an archive has no links, no other paths and
//! no ambiguous sizes.

use std::io::{self, Read, Write};

use chatcore::blob::FolderBlobs;
use chatcore::{AttachmentId, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tar::Header;

/// The format that this version writes, and the newest that it can read.
const FORMAT: u32 = 1;

const MANIFEST: &str = "web_chat-backup.json";
const CHECKSUM: &str = "web_chat-backup.sha256";
/// The path of the messages' file, in the archive and in the data folder.
pub(crate) const MESSAGES: &str = "chat.redb";
/// The path of the accounts' file, in the archive and in the data folder.
pub(crate) const NAMES: &str = "accounts.redb";
/// The path of the attachments, in the archive and in the data folder.
pub(crate) const FILES: &str = "files";

const BLOCK: usize = 512;
/// The size of the zeros after the last entry.
const END: usize = 2 * BLOCK;
/// The largest first entry, in bytes.
const MANIFEST_BYTES: u64 = 4_096;
/// The size of the last entry: the hexadecimal checksum and a newline.
const CHECKSUM_BYTES: u64 = 65;

/// The manifest of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    version: String,
    /// When the backup began.
    pub(crate) made_at: Timestamp,
    /// Whether the archive has messages and accounts. It has none if the service uses a database.
    pub(crate) database: bool,
}

/// The content of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// The file with the messages.
    Messages,
    /// The file with the accounts.
    Names,
    /// An attachment.
    File(AttachmentId),
}

impl Name {
    /// Returns the path in the archive, which is also the path in the data folder.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Messages => MESSAGES.to_owned(),
            Self::Names => NAMES.to_owned(),
            Self::File(id) => {
                let parts: Vec<_> =
                    FolderBlobs::path_of(id).iter().map(|part| part.to_string_lossy().into_owned()).collect();
                format!("{FILES}/{}", parts.join("/"))
            }
        }
    }

    fn of(path: &str) -> Option<Self> {
        let name = match path {
            MESSAGES => Self::Messages,
            NAMES => Self::Names,
            _ => Self::File(AttachmentId::new(path.rsplit('/').next()?).ok()?),
        };
        (name.path() == path).then_some(name)
    }
}

/// Why a file can't be restored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("it is not a backup of web_chat")]
    Foreign,
    #[error("its format is {0}, and this web_chat supports formats up to {FORMAT}: use a newer web_chat")]
    Newer(u32),
    #[error("it is incomplete: copy the whole file again")]
    Truncated,
    #[error("it is damaged or was changed ({0}): copy it again")]
    Altered(String),
    #[error("it can't be read")]
    Read(#[source] io::Error),
    #[error("its contents can't be written")]
    Write(#[source] io::Error),
    #[error("it was stopped by a signal")]
    Stopped,
}

/// Hashes and counts the bytes that pass through.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self { inner, hash: Sha256::new() }
    }

    /// Returns the checksum of the bytes so far, as the last entry has it.
    fn line(&self) -> String {
        let hash = self.hash.clone().finalize();
        let mut line: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        line.push('\n');
        line
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(bytes)?;
        self.hash.update(&bytes[..read]);
        Ok(read)
    }
}

fn header(path: &str, size: u64, mtime: u64) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_path(path)?;
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(mtime);
    header.set_cksum();
    Ok(header)
}

/// Returns the number of zeros after `size` bytes to the end of the block.
fn padding(size: u64) -> usize {
    let used = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    (BLOCK - used) % BLOCK
}

/// Writes an archive.
pub(crate) struct Writer<W: Write> {
    out: Hashing<W>,
    mtime: u64,
}

impl<W: Write> Writer<W> {
    /// Begins an archive.
    ///
    /// # Errors
    /// If writing to `out` fails.
    pub(crate) fn begin(out: W, database: bool, now: Timestamp) -> io::Result<Self> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let manifest = Manifest { format: FORMAT, version, made_at: now, database };
        let manifest = serde_json::to_vec(&manifest)?;
        let mtime = u64::try_from(now.as_millis() / 1_000).unwrap_or(0);
        let mut writer = Self { out: Hashing::new(out), mtime };
        writer.put(MANIFEST, manifest.len() as u64, &mut &manifest[..])?;
        Ok(writer)
    }

    /// Adds `size` bytes.
    ///
    /// # Errors
    /// If `from` has fewer bytes, or if reading or writing fails.
    pub(crate) fn add(&mut self, name: &Name, size: u64, from: &mut impl Read) -> io::Result<()> {
        self.put(&name.path(), size, from)
    }

    fn put(&mut self, path: &str, size: u64, from: &mut impl Read) -> io::Result<()> {
        self.out.write_all(header(path, size, self.mtime)?.as_bytes())?;
        if io::copy(&mut from.take(size), &mut self.out)? < size {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("{path} is shorter than it was"),
            ));
        }
        self.out.write_all(&[0; BLOCK][..padding(size)])
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// If writing fails.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        let line = self.out.line();
        self.put(CHECKSUM, line.len() as u64, &mut line.as_bytes())?;
        self.out.write_all(&[0; END])?;
        self.out.flush()
    }
}

/// Reads an archive, entry by entry. Only the end proves the entries: do not use them before it.
pub(crate) struct Reader<R: Read> {
    entries: Entries<R>,
    manifest: Manifest,
}

/// The part of the manifest that all formats share.
#[derive(Deserialize)]
struct AnyManifest {
    format: u32,
}

impl<R: Read> Reader<R> {
    /// Reads the first entry.
    ///
    /// # Errors
    /// [`ArchiveError`] if it is not a backup, or a backup of a newer version.
    pub(crate) fn begin(input: R) -> Result<Self, ArchiveError> {
        let mut entries = Entries { input: Hashing::new(input), left: 0, padding: 0 };
        match entries.next() {
            Ok((path, size)) if path == MANIFEST && size <= MANIFEST_BYTES => {}
            Err(ArchiveError::Read(error)) => return Err(ArchiveError::Read(error)),
            _ => return Err(ArchiveError::Foreign),
        }
        let text = entries.rest()?;
        let AnyManifest { format } = serde_json::from_slice(&text).map_err(|_| ArchiveError::Foreign)?;
        if format > FORMAT {
            return Err(ArchiveError::Newer(format));
        }
        let manifest = serde_json::from_slice(&text).map_err(|_| ArchiveError::Foreign)?;
        Ok(Self { entries, manifest })
    }

    /// Returns the manifest.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Reads the next header, and returns the entry's name and size; `None` at the end of a complete, unchanged
    /// archive.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub(crate) fn next(&mut self) -> Result<Option<(Name, u64)>, ArchiveError> {
        self.entries.copy(&mut io::sink())?;
        let expected = self.entries.input.line();
        let (path, size) = self.entries.next()?;
        if path != CHECKSUM {
            let name = Name::of(&path).ok_or_else(|| altered(format!("an entry {path:?}")))?;
            return Ok(Some((name, size)));
        }
        if size != CHECKSUM_BYTES || self.entries.rest()? != expected.as_bytes() {
            return Err(altered("its checksum is another one"));
        }
        self.entries.end().map(|()| None)
    }

    /// Writes the rest of the entry to `out`.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub(crate) fn copy(&mut self, out: &mut impl Write) -> Result<(), ArchiveError> {
        self.entries.copy(out)
    }
}

/// The entries of a tar archive, without their meaning.
struct Entries<R: Read> {
    input: Hashing<R>,
    /// The unread bytes of the current entry.
    left: u64,
    padding: usize,
}

impl<R: Read> Entries<R> {
    /// Reads a header, which must be exactly as [`Writer`] writes it. Returns the path and the size.
    fn next(&mut self) -> Result<(String, u64), ArchiveError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        let read = Header::from_byte_slice(&block);
        let path = String::from_utf8(read.path_bytes().into_owned());
        let fields = (path, read.entry_size(), read.mtime());
        let (Ok(path), Ok(size), Ok(mtime)) = fields else { return Err(altered("a header")) };
        if header(&path, size, mtime).is_ok_and(|expected| *expected.as_bytes() == block) {
            (self.left, self.padding) = (size, padding(size));
            return Ok((path, size));
        }
        Err(altered(format!("the header of {path:?}")))
    }

    fn copy(&mut self, out: &mut impl Write) -> Result<(), ArchiveError> {
        let mut bytes = vec![0; usize::try_from(self.left).unwrap_or(usize::MAX).min(64 << 10)];
        while self.left > 0 {
            let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            self.fill(&mut bytes[..most])?;
            out.write_all(&bytes[..most]).map_err(ArchiveError::Write)?;
            self.left -= most as u64;
        }
        let mut zeros = [0; BLOCK];
        let padding = std::mem::take(&mut self.padding);
        self.fill(&mut zeros[..padding])?;
        if zeros.iter().any(|byte| *byte != 0) { Err(altered("between two entries")) } else { Ok(()) }
    }

    fn rest(&mut self) -> Result<Vec<u8>, ArchiveError> {
        let mut bytes = Vec::new();
        self.copy(&mut bytes)?;
        Ok(bytes)
    }

    /// Reads the end of the archive, which must be zeros only.
    fn end(&mut self) -> Result<(), ArchiveError> {
        let mut end = Vec::new();
        let most = END as u64 + 1;
        (&mut self.input).take(most).read_to_end(&mut end).map_err(ArchiveError::Read)?;
        match end.len() {
            END if end.iter().all(|byte| *byte == 0) => Ok(()),
            short if short < END => Err(ArchiveError::Truncated),
            _ => Err(altered("something follows its end")),
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ArchiveError> {
        self.input.read_exact(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ArchiveError::Truncated,
            _ => ArchiveError::Read(error),
        })
    }
}

fn altered(what: impl Into<String>) -> ArchiveError {
    ArchiveError::Altered(what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> AttachmentId {
        AttachmentId::new(text).unwrap()
    }

    /// An archive with every kind of entry, with sizes around the size of a block.
    fn archive() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::begin(&mut bytes, true, Timestamp::from_millis(1_700_000_000_123)).unwrap();
        for (name, size) in [
            (Name::Names, 511),
            (Name::Messages, 512),
            (Name::File(id("a_12")), 513),
            (Name::File(id("a")), 0),
        ] {
            writer.add(&name, size, &mut io::repeat(7).take(size)).unwrap();
        }
        writer.finish().unwrap();
        bytes
    }

    fn read(bytes: &[u8]) -> Result<Vec<(Name, u64)>, ArchiveError> {
        let mut reader = Reader::begin(bytes)?;
        let mut entries = Vec::new();
        while let Some(entry) = reader.next()? {
            entries.push(entry);
        }
        Ok(entries)
    }

    #[test]
    fn an_archive_returns_what_was_added() {
        let bytes = archive();
        let mut reader = Reader::begin(&bytes[..]).unwrap();
        assert_eq!(reader.manifest().made_at.as_millis(), 1_700_000_000_123);
        let mut paths = Vec::new();
        while let Some((name, size)) = reader.next().unwrap() {
            let mut body = Vec::new();
            reader.copy(&mut body).unwrap();
            assert_eq!(body, vec![7; usize::try_from(size).unwrap()]);
            paths.push(name.path());
        }
        assert_eq!(paths, ["accounts.redb", "chat.redb", "files/xa_/x12/a_12", "files/x/xa/a"]);
        assert_eq!(reader.manifest().version, env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn a_change_of_any_byte_of_an_archive_is_detected() {
        let bytes = archive();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << (at % 8);
            assert!(read(&altered).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_truncated_archive_is_refused() {
        let bytes = archive();
        for length in 0..bytes.len() {
            let error = read(&bytes[..length]).unwrap_err();
            assert!(matches!(error, ArchiveError::Foreign | ArchiveError::Truncated), "{length}: {error}");
        }
        let error = read(&[&bytes[..], b"x"].concat()).unwrap_err();
        assert!(error.to_string().contains("something follows its end"), "{error}");
    }

    /// Inserts an entry written by another program after the manifest.
    fn with_entry(make: impl FnOnce(&mut Header)) -> ArchiveError {
        let mut bytes = archive();
        bytes.truncate(2 * BLOCK);
        let mut header = header("chat.redb", 0, 0).unwrap();
        make(&mut header);
        header.set_cksum();
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(&[0; END]);
        read(&bytes).unwrap_err()
    }

    #[test]
    fn unexpected_entries_are_refused() {
        let named = |name: &'static [u8]| {
            with_entry(|header| {
                let field = &mut header.as_mut_bytes()[..100];
                field.fill(0);
                field[..name.len()].copy_from_slice(name);
            })
        };
        let names: [&[u8]; 8] = [
            b"../chat.redb",
            b"/etc/passwd",
            b"files/../../x",
            b"files/x12/x34/a_1256",
            b"files/xa_/x12/../x12/a_12",
            b"./chat.redb",
            b"chat.redb/",
            b"new",
        ];
        for name in names {
            let error = named(name);
            assert!(matches!(error, ArchiveError::Altered(_)), "{error}");
        }
        for kind in [
            tar::EntryType::Symlink,
            tar::EntryType::Link,
            tar::EntryType::Directory,
            tar::EntryType::Fifo,
            tar::EntryType::XHeader,
            tar::EntryType::GNULongName,
            tar::EntryType::GNUSparse,
        ] {
            let error = with_entry(|header| header.set_entry_type(kind));
            assert!(error.to_string().contains("the header of \"chat.redb\""), "{kind:?}: {error}");
        }
        let error = with_entry(|header| header.set_mode(0o4755));
        assert!(matches!(error, ArchiveError::Altered(_)), "{error}");
        let error = with_entry(|header| header.set_size(u64::MAX));
        assert!(matches!(error, ArchiveError::Truncated), "{error}");
    }

    #[test]
    fn a_backup_of_a_newer_version_is_recognized() {
        let mut bytes = Vec::new();
        let text = br#"{"format":2,"layers":[]}"#;
        bytes.extend_from_slice(header(MANIFEST, text.len() as u64, 0).unwrap().as_bytes());
        bytes.extend_from_slice(text);
        bytes.resize(4 * BLOCK, 0);
        let error = Reader::begin(&bytes[..]).err().unwrap();
        assert!(error.to_string().contains("its format is 2"), "{error}");
    }
}
