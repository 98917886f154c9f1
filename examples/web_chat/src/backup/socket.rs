//! Backups of a running service. The database files are locked while it runs, so the command requests the backup
//! at a socket in the data folder.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as Connection;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use super::contents::Contents;
use super::frames::{REQUEST, Sender, refusal};
use crate::in_one_line;

/// The name of the socket, in the data folder.
const SOCKET: &str = "backup.sock";

/// The name of the socket until its permissions are set. It is not longer than the other name, since the length of
/// a socket's path is limited.
const UNFINISHED: &str = "backup.new";

/// The longest time for a command to send its request.
const ASKING: Duration = Duration::from_secs(5);

/// The longest time for which a command may read nothing.
const STALLED: Duration = Duration::from_secs(60);

/// A service that makes backups. It stops on drop.
#[derive(Debug)]
pub(crate) struct Listening {
    path: PathBuf,
    task: JoinHandle<()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
        // What is left is replaced at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns the path of the socket of a service that runs on the folder.
pub(crate) fn path(data: &Path) -> PathBuf {
    data.join(SOCKET)
}

/// Returns whether a service listens for commands in the folder.
pub(crate) fn is_served(data: &Path) -> bool {
    Connection::connect(path(data)).is_ok()
}

/// Connects to the service that runs on the folder to request a backup; `None` if there is no service.
///
/// # Errors
/// If connecting or writing fails.
pub(crate) fn ask(data: &Path) -> io::Result<Option<Connection>> {
    match Connection::connect(path(data)) {
        Ok(mut connection) => connection.write_all(REQUEST).map(|()| Some(connection)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
            // The path is too long for a socket, so no service listens there either.
            io::ErrorKind::InvalidInput => Ok(None),
            _ => Err(error),
        },
    }
}

/// Listens for commands of the service's own user and of root.
///
/// # Errors
/// If the socket can't be created.
pub(crate) fn listen(contents: Contents) -> io::Result<Listening> {
    let path = path(&contents.data);
    let unfinished = contents.data.join(UNFINISHED);
    // A service that was killed leaves its sockets behind.
    for left in [&path, &unfinished] {
        if fs::symlink_metadata(left).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(left)?;
        }
    }
    let listener = UnixListener::bind(&unfinished)?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
    fs::rename(&unfinished, &path)?;
    let task = tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((command, _)) => answer(command, &contents, &listener).await,
                // Out of open files: try again later.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    Ok(Listening { path, task })
}

/// Makes one backup, and refuses other commands in the meantime.
async fn answer(mut command: UnixStream, contents: &Contents, listener: &UnixListener) {
    if let Err(why) = admit(&mut command).await {
        return refuse(command, &why).await;
    }
    let contents = contents.clone();
    let runtime = Handle::current();
    let mut making = spawn_blocking(move || {
        if let Err(error) = make(command, &contents, &runtime) {
            tracing::error!(error = in_one_line(&*error), "a backup failed");
        }
    });
    loop {
        tokio::select! {
            _ = &mut making => return,
            other = listener.accept() => if let Ok((mut other, _)) = other {
                // Its request is read first: a socket that is closed with unread bytes is reset, and the reason with it.
                let why = match admit(&mut other).await {
                    Ok(()) => "another backup is being made: try again when it is done".to_owned(),
                    Err(why) => why,
                };
                refuse(other, &why).await;
            },
        }
    }
}

async fn admit(command: &mut UnixStream) -> Result<(), String> {
    let peer = command.peer_cred().map_err(|error| error.to_string())?.uid();
    if peer != 0 && peer != rustix::process::geteuid().as_raw() {
        return Err("only the service's own user and root may ask for a backup".to_owned());
    }
    let mut request = [0; REQUEST.len()];
    match timeout(ASKING, command.read_exact(&mut request)).await {
        Ok(Ok(_)) if request == REQUEST => Ok(()),
        _ => Err("the service and the command are of versions that do not understand each other".to_owned()),
    }
}

async fn refuse(mut command: UnixStream, why: &str) {
    let _ = timeout(ASKING, command.write_all(&refusal(why))).await;
}

fn make(
    command: UnixStream,
    contents: &Contents,
    runtime: &Handle,
) -> Result<(), Box<dyn std::error::Error>> {
    let command = command.into_std()?;
    command.set_nonblocking(false)?;
    command.set_write_timeout(Some(STALLED))?;
    let mut sender = Sender::new(&command);
    let outcome = contents.write(&mut sender, runtime);
    let told = outcome.as_ref().map(Clone::clone).map_err(|error| in_one_line(error));
    let sent = sender.finish(told);
    outcome?;
    tracing::info!("a backup was made");
    Ok(sent?)
}
