//! The task that removes what uploads have left whose process was killed.

use std::time::Duration;

use chatcore::FailureLog;
use tokio::task::JoinHandle;
use tokio_postgres::types::Type;

use crate::blobs::Files;
use crate::database::Database;
use crate::error::Failure;
use crate::turn::Chore;

/// The time between two rounds.
const REST: Duration = Duration::from_secs(3_600);
/// The age from which on an unfinished file is a leftover. No upload takes as long.
const AGE: &str = "1 day";
/// The most files per query.
const FILES: i64 = 256;

/// The running task. Dropping it aborts the task.
#[derive(Debug)]
pub(crate) struct Leftovers(JoinHandle<()>);

impl Leftovers {
    pub(crate) fn start(files: Files, turns: Database) -> Self {
        Self(tokio::spawn(async move {
            let failures = FailureLog::new();
            loop {
                if let Err(failure) = clear(&files, &turns).await {
                    failures.failed("the rests of uploads could not be removed", "", &failure);
                }
                tokio::time::sleep(REST).await;
            }
        }))
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn clear(files: &Files, turns: &Database) -> Result<(), Failure> {
    let Some(_turn) = turns.turn(&files.schema, Chore::Leftovers).await? else { return Ok(()) };
    let sql = format!(
        "SELECT number FROM {}.blob WHERE size IS NULL AND began < now() - interval '{AGE}' ORDER BY began LIMIT $1",
        files.schema
    );
    loop {
        let rows = files.database.query(&sql, &[(&FILES, Type::INT8)]).await?;
        for row in &rows {
            files.remove(row.try_get(0)?).await?;
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}
