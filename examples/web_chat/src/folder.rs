//! The data folder, to which only its owner has access.

use std::io;
use std::path::Path;

/// The folder for the files of an unfinished restore, in the data folder.
pub(crate) const RESTORING: &str = "restoring";

/// Refuses a folder with an unfinished restore.
///
/// # Errors
/// If the folder has an unfinished restore.
pub(crate) fn check(folder: &Path) -> io::Result<()> {
    if !folder.join(RESTORING).try_exists()? {
        return Ok(());
    }
    let why = "a restore into it has not ended: wait for it, or if it was killed, remove the folder and restore again";
    Err(io::Error::other(why))
}

/// Creates a folder and its missing parents, with mode 0700. An existing folder is left unchanged.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Syncs a folder, so that the names in it survive a power loss.
#[cfg(unix)]
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// Does nothing: other systems can't sync a folder.
#[cfg(not(unix))]
pub(crate) fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Creates the folder and its missing parents with mode 0700, or removes the access of others to an existing
/// folder. Blocks.
///
/// A folder of another user and a shared folder such as `/tmp` are left unchanged: the files in it are private on
/// their own.
///
/// # Errors
/// If the folder can't be created or read.
#[cfg(unix)]
pub(crate) fn open(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    const OTHERS: u32 = 0o077;
    const STICKY: u32 = 0o1000;

    make(folder)?;
    let mut permissions = std::fs::metadata(folder)?.permissions();
    let mode = permissions.mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    permissions.set_mode(mode & !OTHERS);
    let outcome = if mode & STICKY == 0 {
        std::fs::set_permissions(folder, permissions)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    };
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let folder = folder.display();
            tracing::warn!(%folder, "other users can enter the data folder: set --data to a folder of its own");
            Ok(())
        }
        outcome => outcome,
    }
}

/// Creates the folder and its missing parents. Access is up to the operating system.
#[cfg(not(unix))]
pub(crate) fn open(folder: &Path) -> io::Result<()> {
    make(folder)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs::{Permissions, metadata, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use clap::Parser;

    use super::*;
    use crate::{App, Options};

    fn mode(path: &Path) -> u32 {
        metadata(path).unwrap().permissions().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// Returns the folder and every path below it.
    fn all(folder: &Path) -> Vec<PathBuf> {
        let mut all = vec![folder.to_path_buf()];
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            all.extend(if path.is_dir() { self::all(&path) } else { vec![path] });
        }
        all
    }

    fn assert_private(data: &Path) {
        let paths = all(data);
        for name in ["chat.redb", "accounts.redb", "files"] {
            assert!(paths.contains(&data.join(name)), "{name} is missing");
        }
        for path in paths {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), expected, "{}", path.display());
        }
    }

    #[tokio::test]
    async fn only_the_owner_can_read_stored_data() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let options = Options::parse_from(["web_chat", "--data", data.to_str().unwrap()]);
        drop(App::open(&options).await.unwrap());
        assert_private(&data);

        // Files as an earlier version left them.
        let (old, file) = (data.join("files/xab/xcd"), data.join("files/xab/xcd/a_abcd"));
        std::fs::create_dir_all(&old).unwrap();
        std::fs::write(&file, "a file").unwrap();
        for path in all(&data) {
            set_mode(&path, if path.is_dir() { 0o755 } else { 0o644 });
        }
        drop(App::open(&options).await.unwrap());
        assert_private(&data);
    }

    #[test]
    fn stricter_modes_of_an_operator_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for (before, after) in [(0o500, 0o500), (0o750, 0o700), (0o1777, 0o1777)] {
            set_mode(folder.path(), before);
            open(folder.path()).unwrap();
            assert_eq!(mode(folder.path()), after);
        }
        set_mode(folder.path(), 0o700);
    }
}
