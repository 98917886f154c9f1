//! Files in the database, as rows of parts.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use chatcore::blob::{BlobError, BlobStore, ByteStream};
use chatcore::store::StoreError;
use chatcore::{Attachment, AttachmentId};
use futures::stream::{self, StreamExt};
use tokio::runtime::Handle;
use tokio_postgres::types::Type;

use crate::database::Database;
use crate::error::Failure;
use crate::event::{signed, unsigned};
use crate::leftovers::Leftovers;

/// The bytes of a part of a file: of each but the last. The database has files in parts of this size.
const PART: usize = 64 << 10;

/// The most bytes that a reader of a file holds.
const PIECE: u64 = 16 << 10;

/// The most parts that one transaction removes: 16 MiB.
const REMOVE_STEP: i64 = 256;

/// A [`BlobStore`] in the schema of a [`PostgresStore`](crate::PostgresStore), for any number of processes.
/// [`PostgresStore::blobs`](crate::PostgresStore::blobs) returns it. Clones are handles to the same connections.
///
/// - A file is rows of 64 KiB. An upload holds one of them in memory, a download 16 KiB. Neither holds a connection or
///   a transaction while it waits for its client.
/// - A file can be read from the commit on that makes it whole. That commit is as durable as the server's
///   `synchronous_commit` says, and all parts with it.
/// - What an upload has left whose process was killed can't be read. It is removed after a day.
/// - A download whose file is removed meanwhile ends with an error of the kind [`NotFound`](io::ErrorKind::NotFound).
/// - It has up to [`Builder::blob_connections`](crate::Builder::blob_connections) connections of its own, so that
///   files don't keep messages waiting.
#[derive(Clone)]
pub struct PostgresBlobs {
    files: Files,
    _leftovers: Arc<Leftovers>,
}

/// The tables of the files.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) database: Database,
    pub(crate) schema: Arc<str>,
}

impl PostgresBlobs {
    /// Starts the task that removes leftovers.
    pub(crate) fn start(files: Files, turns: Database) -> Self {
        let leftovers = Arc::new(Leftovers::start(files.clone(), turns));
        Self { files, _leftovers: leftovers }
    }

    /// Returns the size of a file in bytes, or `None` if there is no such file.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be read.
    pub async fn size(&self, id: &AttachmentId) -> Result<Option<u64>, StoreError> {
        let whole =
            self.files.whole(id).await.map_err(|failure| failure.during("the file can't be looked up"))?;
        Ok(whole.map(|(_, size)| size))
    }

    /// Returns up to `limit` files that this schema's index of attachments has and that are not in the database, in
    /// the order of their ids, after `after`: files that are kept elsewhere, or lost.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be read.
    pub async fn missing(
        &self,
        after: Option<&AttachmentId>,
        limit: usize,
    ) -> Result<Vec<Attachment>, StoreError> {
        let found = self.files.indexed("NOT EXISTS", after, limit).await;
        found.map_err(|failure| failure.during("the missing files can't be listed"))
    }

    /// Returns up to `limit` files that this schema's index of attachments has and that are in the database, in the
    /// order of their ids, after `after`.
    ///
    /// # Errors
    /// [`StoreError`] if the database can't be read.
    pub async fn held(
        &self,
        after: Option<&AttachmentId>,
        limit: usize,
    ) -> Result<Vec<Attachment>, StoreError> {
        let found = self.files.indexed("EXISTS", after, limit).await;
        found.map_err(|failure| failure.during("the files can't be listed"))
    }
}

impl fmt::Debug for PostgresBlobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresBlobs").field("schema", &self.files.schema).finish_non_exhaustive()
    }
}

#[async_trait]
impl BlobStore for PostgresBlobs {
    async fn put(&self, id: &AttachmentId, bytes: ByteStream, limit: u64) -> Result<u64, BlobError> {
        let mut unfinished = Unfinished::begin(&self.files, id).await.map_err(failed)?;
        let written = unfinished.write(bytes, limit).await;
        match &written {
            Ok(_) => unfinished.number = None,
            Err(_) => unfinished.remove().await,
        }
        written
    }

    async fn get(&self, id: &AttachmentId, range: Range<u64>) -> Result<ByteStream, BlobError> {
        let (number, size) = self.files.whole(id).await.map_err(failed)?.ok_or(BlobError::NotFound)?;
        let (at, end) = (range.start.min(size), range.end.min(size));
        let files = self.files.clone();
        Ok(stream::try_unfold((files, at), move |(files, at)| async move {
            if at >= end {
                return Ok(None);
            }
            let piece = files.read(number, at..end).await?;
            let at = at + piece.len() as u64;
            Ok(Some((piece, (files, at))))
        })
        .boxed())
    }

    async fn delete(&self, id: &AttachmentId) -> Result<(), BlobError> {
        for number in self.files.hide(id).await.map_err(failed)? {
            self.files.remove(number).await.map_err(failed)?;
        }
        Ok(())
    }
}

impl Files {
    /// Returns a whole file's number and size.
    async fn whole(&self, id: &AttachmentId) -> Result<Option<(i64, u64)>, Failure> {
        let sql = format!("SELECT number, size FROM {}.blob WHERE id = $1 AND size IS NOT NULL", self.schema);
        let rows = self.database.query(&sql, &[(&id.as_str(), Type::TEXT)]).await?;
        rows.first().map(|row| Ok((row.try_get(0)?, unsigned(row.try_get(1)?)))).transpose()
    }

    async fn begin(&self, id: &AttachmentId) -> Result<i64, Failure> {
        let sql = format!("INSERT INTO {}.blob (id) VALUES ($1) RETURNING number", self.schema);
        // Not repeated: a second try would leave the first one's row.
        let rows = self.database.query_once(&sql, &[(&id.as_str(), Type::TEXT)]).await?;
        Ok(rows.first().ok_or(Failure::Broken("the database returned no row"))?.try_get(0)?)
    }

    async fn write_part(&self, number: i64, part: u64, bytes: &[u8]) -> Result<(), Failure> {
        let sql = format!("SELECT {}.chat_put_blob_part($1, $2, $3)", self.schema);
        let params =
            [(&number as _, Type::INT8), (&signed(part) as _, Type::INT8), (&bytes as _, Type::BYTEA)];
        self.database.query(&sql, &params).await.map(drop)
    }

    /// Makes a file whole, if all of its parts are there.
    async fn end(&self, number: i64, parts: u64, size: u64) -> Result<(), Failure> {
        let sql = format!("SELECT {}.chat_end_blob($1, $2, $3)", self.schema);
        let (parts, size) = (signed(parts), signed(size));
        let params = [(&number as _, Type::INT8), (&parts as _, Type::INT8), (&size as _, Type::INT8)];
        let rows = self.database.query(&sql, &params).await?;
        let row = rows.first().ok_or(Failure::Broken("the database returned no row"))?;
        if row.try_get(0)? { Ok(()) } else { Err(Failure::Broken("a part of the file is lost")) }
    }

    /// Reads the beginning of a range, at most [`PIECE`] bytes.
    async fn read(&self, number: i64, range: Range<u64>) -> io::Result<Bytes> {
        let (part, offset) = (range.start / PART as u64, range.start % PART as u64);
        let length = PIECE.min(PART as u64 - offset).min(range.end - range.start);
        let sql = format!(
            "SELECT substring(p.bytes FROM $3 FOR $4) FROM {0}.blob AS b \
             LEFT JOIN {0}.blob_part AS p ON p.blob = b.number AND p.part = $2 \
             WHERE b.number = $1 AND b.size IS NOT NULL",
            self.schema
        );
        let narrow = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
        let (from, count) = (narrow(offset + 1), narrow(length));
        let params = [
            (&number as _, Type::INT8),
            (&signed(part) as _, Type::INT8),
            (&from as _, Type::INT4),
            (&count as _, Type::INT4),
        ];
        let rows = self.database.query(&sql, &params).await.map_err(io::Error::other)?;
        let Some(row) = rows.first() else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the file was removed while it was read"));
        };
        let bytes: Option<&[u8]> = row.try_get(0).map_err(io::Error::other)?;
        match bytes {
            // A copy: the row's own bytes are a part of the connection's buffer.
            Some(bytes) if bytes.len() as u64 == length => Ok(Bytes::copy_from_slice(bytes)),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a part of the file is missing in the database",
            )),
        }
    }

    /// Makes a file unreadable, and returns the numbers of it and of all that began under its id.
    async fn hide(&self, id: &AttachmentId) -> Result<Vec<i64>, Failure> {
        let sql = format!("UPDATE {}.blob SET size = NULL WHERE id = $1 RETURNING number", self.schema);
        let rows = self.database.query(&sql, &[(&id.as_str(), Type::TEXT)]).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Removes a file that can't be read, in several transactions, so that a large one passes the server's bound for a
    /// statement.
    pub(crate) async fn remove(&self, number: i64) -> Result<(), Failure> {
        let sql = format!("SELECT {}.chat_remove_blob($1, $2)", self.schema);
        loop {
            let params = [(&number as _, Type::INT8), (&REMOVE_STEP as _, Type::INT8)];
            let rows = self.database.query(&sql, &params).await?;
            let row = rows.first().ok_or(Failure::Broken("the database returned no row"))?;
            if !row.try_get::<_, bool>(0)? {
                return Ok(());
            }
        }
    }

    /// Returns files of the index, by whether they are in the database: `EXISTS` or `NOT EXISTS`.
    async fn indexed(
        &self,
        exists: &str,
        after: Option<&AttachmentId>,
        limit: usize,
    ) -> Result<Vec<Attachment>, Failure> {
        let sql = format!(
            "SELECT u.attachment::text FROM {0}.upload AS u WHERE u.id > $1 AND u.state IN (1, 2) AND {exists} ( \
                 SELECT FROM {0}.blob AS b WHERE b.id = u.id AND b.size IS NOT NULL \
             ) ORDER BY u.id LIMIT $2",
            self.schema
        );
        let after = after.map_or("", AttachmentId::as_str);
        let params = [(&after as _, Type::TEXT), (&signed(limit as u64) as _, Type::INT8)];
        let rows = self.database.query(&sql, &params).await?;
        let attachment = |row: &tokio_postgres::Row| {
            serde_json::from_str(row.try_get(0)?)
                .map_err(|_| Failure::Broken("invalid upload in the database"))
        };
        rows.iter().map(attachment).collect()
    }
}

/// A file that is being written. On drop it is removed, unless it became whole.
struct Unfinished {
    files: Files,
    /// Its number. `None` if nothing is left to remove.
    number: Option<i64>,
}

impl Unfinished {
    async fn begin(files: &Files, id: &AttachmentId) -> Result<Self, Failure> {
        Ok(Self { files: files.clone(), number: Some(files.begin(id).await?) })
    }

    /// Writes all parts, makes the file whole, and returns its size.
    async fn write(&self, mut bytes: ByteStream, limit: u64) -> Result<u64, BlobError> {
        let number = self.number.expect("invariant: it was just begun");
        let (mut size, mut parts) = (0_u64, 0_u64);
        let mut part = BytesMut::with_capacity(PART);
        while let Some(piece) = bytes.next().await {
            let mut piece = piece.map_err(BlobError::Stream)?;
            size += piece.len() as u64;
            if size > limit {
                return Err(BlobError::TooLarge { limit });
            }
            while !piece.is_empty() {
                part.extend_from_slice(&piece.split_to(piece.len().min(PART - part.len())));
                if part.len() == PART {
                    self.files.write_part(number, parts, &part).await.map_err(failed)?;
                    parts += 1;
                    part.clear();
                }
            }
        }
        if !part.is_empty() {
            self.files.write_part(number, parts, &part).await.map_err(failed)?;
            parts += 1;
        }
        self.files.end(number, parts, size).await.map_err(failed)?;
        Ok(size)
    }

    /// Removes what was written. If that fails, it is a leftover.
    async fn remove(&mut self) {
        if let Some(number) = self.number {
            let _ = self.files.remove(number).await;
            self.number = None;
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let files = self.files.clone();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { files.remove(number).await });
        }
    }
}

fn failed(failure: Failure) -> BlobError {
    BlobError::Io(io::Error::other(failure))
}
