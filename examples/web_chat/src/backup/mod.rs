//! Backups: one file with all data of the service, and how to restore it.

mod archive;
mod contents;
mod frames;
mod make;
mod restore;
#[cfg(unix)]
mod socket;
pub(crate) mod testkit;

use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Subcommand;

pub(crate) use self::contents::{Contents, ContentsError, each_file, remove_copies};
#[cfg(unix)]
pub(crate) use self::socket::listen;
use crate::options::Options;

/// A command to run instead of the service.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Write a backup of the data folder to a new file, even while the service runs.
    ///
    /// It has the messages, names and files as they are at one moment. Meanwhile the service writes a copy of its
    /// database into the data folder, which needs the same space again. With --database-url the backup has only the
    /// files: back up the database with pg_dump first.
    Backup {
        /// The backup, a tar archive of mode 0600. It must not exist.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Restore a backup into a new or empty data folder.
    ///
    /// An incomplete or damaged backup is refused, and nothing is left of it. With --database-url, restore the
    /// database first. Pages that are open load the restored messages.
    Restore {
        /// The backup.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Move the files of an earlier version from the data folder into the database.
    ///
    /// Stop the service first, and every other with the same folder. Each file is copied, read back and compared before
    /// any is removed from the folder. If it is interrupted, run it again.
    MoveFiles,
}

/// Returns whether a service runs on the data folder.
pub(crate) fn is_served(data: &Path) -> bool {
    #[cfg(unix)]
    return socket::is_served(data);
    #[cfg(not(unix))]
    return false;
}

/// Writes a backup to the new file `file`. If a service runs on the data folder, it makes the backup. Returns the
/// text to print.
///
/// # Errors
/// If no backup could be made. Then nothing is left of it.
///
/// # Cancel safety
/// If the future is dropped, nothing is left but copies of the databases in the data folder, which the next start
/// removes.
pub async fn backup(options: &Options, file: &Path) -> Result<String, Box<dyn Error>> {
    let made = make::backup(options, file).await?;
    let mut told = format!("Backup in {}: ", file.display());
    let _ = write!(told, "{}, {} bytes", held(&made.sums), made.sums.bytes);
    if !made.sums.database {
        told.push_str(
            "\nMessages and names (and files, without --files folder) are in PostgreSQL and not in this backup: back \
             them up with pg_dump",
        );
    }
    if let Some(note) = made.note {
        told.push('\n');
        told.push_str(&note);
    }
    Ok(told)
}

/// Restores the backup in `file` to the data folder. Returns the text to print.
///
/// # Errors
/// If it could not be restored. Then the folder is unchanged.
///
/// # Cancel safety
/// Not cancel safe: set `stopped` instead, and wait for it.
pub async fn restore(
    options: &Options,
    file: &Path,
    stopped: Arc<AtomicBool>,
) -> Result<String, Box<dyn Error>> {
    let restored = restore::restore(options, file, stopped).await?;
    let (data, held) = (options.data.display(), held(&restored.sums));
    Ok(format!("Restored {held} to {data}, as they were at {}", restored.made_at))
}

fn held(sums: &make::Sums) -> String {
    let files = if sums.files == 1 { "1 file".to_owned() } else { format!("{} files", sums.files) };
    if sums.database { format!("messages, names and {files}") } else { files }
}
