//! Backups: one file with all that the service keeps, and the way back.

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

pub(crate) use self::contents::{Contents, remove_copies};
#[cfg(unix)]
pub(crate) use self::socket::listen;
use crate::options::Options;

/// What to do instead of serving.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Write a backup of the data folder to a new file, also while the service runs.
    ///
    /// It holds messages, names and files as they are at one moment. The service writes a copy of its database into
    /// the data folder meanwhile, which needs as much room again. With --database-url the backup has the files only;
    /// back up the database with pg_dump before it.
    Backup {
        /// The backup, a tar archive of mode 0600. It must not exist.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Put a backup into a new or empty data folder.
    ///
    /// A backup that is not whole, or was altered, is refused, and nothing is left of it. With --database-url restore
    /// the database first. People whose page is open get what is there then.
    Restore {
        /// The backup.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

/// Makes a backup in the new file `file`, by the service that runs on the data folder, or of the folder itself. Returns
/// what to tell the operator.
///
/// # Errors
/// Why there is none. Nothing is left of it.
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
            "\nMessages and names are in PostgreSQL and not in this backup: back them up with pg_dump",
        );
    }
    if let Some(note) = made.note {
        told.push('\n');
        told.push_str(&note);
    }
    Ok(told)
}

/// Restores the backup in `file` to the data folder, and returns what to tell the operator.
///
/// # Errors
/// Why it was not restored. The folder is as it was then.
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
