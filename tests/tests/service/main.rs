//! `web_chat` as an operator runs it: backups, restarts, metrics, and every command of the operator's page.

#[cfg(unix)]
mod backup;
#[cfg(unix)]
mod files_moved;
#[cfg(target_os = "linux")]
mod manual;
mod operations;
mod restart;
mod shutdown;
