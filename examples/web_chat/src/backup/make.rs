//! The command `web_chat backup`.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chatcore_redb::RedbStore;
use tempfile::TempPath;
use tokio::runtime::Handle;

use super::archive::{ArchiveError, MESSAGES, NAMES, Name, Reader};
use super::contents::{Contents, ContentsError};
#[cfg(unix)]
use super::{frames, socket};
use crate::accounts::{AccountsError, RedbAccounts};
use crate::app::off_the_workers;
use crate::folder;
use crate::options::Options;

/// How long a service that starts or stops may lock the files without answering.
const WAIT: Duration = Duration::from_secs(5);
/// The interval between attempts during that time.
const RETRY: Duration = Duration::from_millis(50);

/// Why a backup failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    #[error("{} exists, and a backup never overwrites a file: choose another name, or remove it", .0.display())]
    Exists(PathBuf),
    #[error("{} can't be written", .path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("there is no {} to back up: set --data to the service's folder", .0.display())]
    NoData(PathBuf),
    #[error(
        "there is no {} to back up: if the messages are in a database, set --database-url as for the service",
        .0.display()
    )]
    NoMessages(PathBuf),
    #[error("the service on {} can't be reached", .path.display())]
    Unreachable { path: PathBuf, source: io::Error },
    #[error("the service on {} stopped before the backup was complete: try again", .0.display())]
    CutOff(PathBuf),
    #[error("the service on {} made no backup: {why}", .path.display())]
    Refused { path: PathBuf, why: String },
    #[error(
        "{} is open in another process that takes no commands, as an older web_chat or one whose data folder has a path \
         too long for a socket: stop it first",
        .0.display()
    )]
    Locked(PathBuf),
    #[error("the messages can't be opened")]
    Messages(#[source] chatcore_redb::OpenError),
    #[error(transparent)]
    Names(#[from] AccountsError),
    #[error("no backup could be made")]
    Contents(#[from] ContentsError),
    #[error("{} was written, but can't be read back: {source}", .path.display())]
    Unreadable { path: PathBuf, source: ArchiveError },
}

/// The content of a backup.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) database: bool,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// A complete backup.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) sums: Sums,
    /// A note about missing files.
    pub(crate) note: Option<String>,
}

/// Makes a backup in a new file. If the future is dropped, nothing of the file is left.
pub(crate) async fn backup(options: &Options, file: &Path) -> Result<Made, BackupError> {
    let write = |source| BackupError::Write { path: file.to_path_buf(), source };
    if file.try_exists().map_err(write)? {
        return Err(BackupError::Exists(file.to_path_buf()));
    }
    let directory = file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A file of mode 0600 that is removed on drop.
    let begun = tempfile::Builder::new().prefix(".web_chat-backup-").tempfile_in(directory).map_err(write)?;
    let (mut out, path) = begun.into_parts();
    let (source, target, runtime) = (Source::of(options), file.to_path_buf(), Handle::current());
    let filled = off_the_workers(move || {
        let write = |source| BackupError::Write { path: target.clone(), source };
        let note = source.write(&mut out, &target, &runtime)?;
        out.sync_all().map_err(write)?;
        Ok::<_, BackupError>((note, out))
    });
    let (note, out) = filled.await?;
    let sums = read_back(out, &path, file).await?;
    name(path, file, directory).await?;
    Ok(Made { sums, note })
}

/// Gives the file its name, unless that name is taken by now.
async fn name(path: TempPath, file: &Path, directory: &Path) -> Result<(), BackupError> {
    let (file, directory) = (file.to_path_buf(), directory.to_path_buf());
    off_the_workers(move || {
        path.persist_noclobber(&file).map_err(|refused| match refused.error.kind() {
            io::ErrorKind::AlreadyExists => BackupError::Exists(file.clone()),
            _ => BackupError::Write { path: file.clone(), source: refused.error },
        })?;
        folder::sync(&directory).map_err(|source| BackupError::Write { path: file, source })
    })
    .await
}

/// Reads the whole archive back from the disk.
async fn read_back(out: File, path: &Path, file: &Path) -> Result<Sums, BackupError> {
    drop(out);
    let (path, file) = (path.to_path_buf(), file.to_path_buf());
    off_the_workers(move || {
        let unreadable = |source| BackupError::Unreadable { path: file.clone(), source };
        let input = File::open(&path).map_err(|error| unreadable(ArchiveError::Read(error)))?;
        sums(input).map_err(unreadable)
    })
    .await
}

fn sums(input: File) -> Result<Sums, ArchiveError> {
    let mut sums = Sums { bytes: input.metadata().map_err(ArchiveError::Read)?.len(), ..Sums::default() };
    let mut archive = Reader::begin(BufReader::with_capacity(64 << 10, input))?;
    sums.database = archive.manifest().database;
    while let Some((name, _)) = archive.next()? {
        sums.files += u64::from(matches!(name, Name::File(_)));
    }
    Ok(sums)
}

/// The source of a backup.
struct Source {
    data: PathBuf,
    has_database: bool,
    wait: Duration,
}

impl Source {
    fn of(options: &Options) -> Self {
        Self {
            data: options.data.clone(),
            has_database: options.database_url.is_some(),
            wait: options.limits().store_timeout,
        }
    }

    /// Writes the archive through the service that runs on the folder, or from the files. Blocks.
    fn write(&self, out: &mut File, target: &Path, runtime: &Handle) -> Result<Option<String>, BackupError> {
        if !self.data.is_dir() {
            return Err(BackupError::NoData(self.data.clone()));
        }
        let began = Instant::now();
        loop {
            #[cfg(unix)]
            if let Some(note) = self.receive(out, target)? {
                return Ok(note);
            }
            match self.open() {
                Err(BackupError::Locked(_)) if began.elapsed() < WAIT => std::thread::sleep(RETRY),
                opened => {
                    let mut out = io::BufWriter::with_capacity(64 << 10, out);
                    return opened?.write(&mut out, runtime).map_err(|error| match error {
                        ContentsError::Write(source) => {
                            BackupError::Write { path: target.to_path_buf(), source }
                        }
                        error => error.into(),
                    });
                }
            }
        }
    }

    /// Requests the archive from the service that runs on the folder; `None` if there is no service.
    #[cfg(unix)]
    fn receive(&self, out: &mut File, target: &Path) -> Result<Option<Option<String>>, BackupError> {
        let path = socket::path(&self.data);
        let unreachable = |source| BackupError::Unreachable { path: path.clone(), source };
        let Some(connection) = socket::ask(&self.data).map_err(unreachable)? else { return Ok(None) };
        let received = frames::receive(BufReader::new(connection), out).map_err(unreachable)?;
        match received.map_err(|source| BackupError::Write { path: target.to_path_buf(), source })? {
            frames::Received::Whole(note) => Ok(Some(note)),
            frames::Received::Refused(why) => Err(BackupError::Refused { path: self.data.clone(), why }),
            frames::Received::CutOff => Err(BackupError::CutOff(self.data.clone())),
        }
    }

    /// Opens the files directly, if there is no service.
    fn open(&self) -> Result<Contents, BackupError> {
        let data = self.data.clone();
        if self.has_database {
            return Ok(Contents { data, databases: None, chat: None });
        }
        let messages = data.join(MESSAGES);
        if !messages.exists() {
            return Err(BackupError::NoMessages(messages));
        }
        let store = match RedbStore::builder().lock_wait(Duration::ZERO).open(&messages) {
            Err(chatcore_redb::OpenError::Locked { .. }) => return Err(BackupError::Locked(messages)),
            opened => opened.map_err(BackupError::Messages)?,
        };
        let accounts = RedbAccounts::open(&data.join(NAMES), self.wait)?;
        Ok(Contents { data, databases: Some((store, Arc::new(accounts))), chat: None })
    }
}
