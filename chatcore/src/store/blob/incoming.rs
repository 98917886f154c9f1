//! Unfinished files, in a folder of each store that is open: several processes may share the place of the files.

use std::fs::{self, DirEntry, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use super::private::{self, found};
use crate::model::id::Nonce;

/// The file in a store's folder that the store keeps locked. The system unlocks it when the process ends.
const LOCK: &str = "lock";

/// How often a store tries to create its folder. Another store that starts may remove a folder before it is locked.
const ATTEMPTS: usize = 100;

/// A store's own folder for unfinished files. Dropping it removes it.
#[derive(Debug)]
pub(super) struct OwnFolder {
    pub(super) path: PathBuf,
    _lock: File,
}

impl OwnFolder {
    /// Removes what stores have left in `incoming` that are gone, and creates a folder in it. Blocks.
    pub(super) fn create(incoming: &Path) -> io::Result<Self> {
        private::make_folders(incoming)?;
        for entry in fs::read_dir(incoming)? {
            found(remove_unused(&entry?))?;
        }
        for _ in 0..ATTEMPTS {
            let path = incoming.join(Nonce::random().as_str());
            if let Some(lock) = found(lock_new(&path))?.flatten() {
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(io::Error::other(format!("other processes remove the folders in {} at once", incoming.display())))
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        // If this fails, the next store that opens removes it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Creates a folder and locks it. Returns `None` if another store took it for an unused one.
fn lock_new(path: &Path) -> io::Result<Option<File>> {
    private::make_folders(path)?;
    match private::create_file(&path.join(LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        lock => {
            let lock = lock?;
            Ok((try_lock(&lock)? && path.join(LOCK).try_exists()?).then_some(lock))
        }
    }
}

/// Removes a folder that no store has locked, or a file of an earlier version.
///
/// The folder is locked and then renamed before it is removed, so a store that has created it and not locked it yet finds
/// neither a lock to take nor a folder to put one in.
fn remove_unused(entry: &DirEntry) -> io::Result<()> {
    let path = entry.path();
    if !entry.file_type()?.is_dir() {
        return fs::remove_file(path);
    }
    // NFS locks only a file that is open for writing.
    let lock = File::options().write(true).create(true).truncate(false).open(path.join(LOCK))?;
    if !try_lock(&lock)? {
        return Ok(());
    }
    let unused = path.with_file_name(Nonce::random().as_str());
    match fs::rename(path, &unused) {
        // Windows can't rename a folder while a file in it is open.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        renamed => {
            renamed?;
            match fs::remove_dir_all(unused) {
                // Another store that opens found it by its new name, and locks it to remove it too.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                removed => removed,
            }
        }
    }
}

/// Locks a file unless it is locked.
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => {
            Err(io::Error::new(error.kind(), format!("the file system can't lock files: {error}")))
        }
    }
}
