//! Files and folders that only their owner can access.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Creates `folder` and its missing parents with mode 0700.
pub(super) fn make_folders(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Creates a new file with mode 0600.
pub(super) fn create_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Removes other users' access to a folder and to everything in it.
///
/// A folder without such access is not entered: other users can't reach its contents.
#[cfg(unix)]
pub(super) fn tighten(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    if std::fs::metadata(folder)?.permissions().mode() & OTHERS == 0 {
        return Ok(());
    }
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        // Another process may remove files and folders meanwhile.
        let Some(entries) = found(std::fs::read_dir(folder))? else { continue };
        for entry in entries {
            let entry = entry?;
            // For a symbolic link this is the link's own metadata, whose mode can't change.
            let Some(metadata) = found(entry.metadata())? else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            if metadata.is_dir() || metadata.is_file() {
                found(tighten_one(&entry.path(), metadata.permissions()))?;
            }
        }
    }
    // Last, so that an interrupted walk is done again.
    tighten_one(folder, std::fs::metadata(folder)?.permissions())
}

/// On other systems their own rules apply.
#[cfg(not(unix))]
pub(super) fn tighten(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Returns `None` if something does not exist any more, since another process may remove files of a shared folder.
pub(super) fn found<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}

#[cfg(unix)]
const OTHERS: u32 = 0o077;

#[cfg(unix)]
fn tighten_one(path: &Path, mut permissions: std::fs::Permissions) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    if permissions.mode() & OTHERS == 0 {
        return Ok(());
    }
    permissions.set_mode(permissions.mode() & 0o7700);
    match std::fs::set_permissions(path, permissions) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let path = path.display();
            tracing::warn!(%path, "other users can access the files here, and they belong to another user");
            Ok(())
        }
        outcome => outcome,
    }
}
