//! Turns: work that runs once, whatever number of processes have the schema.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

use crate::database::Database;
use crate::error::Failure;

/// The longest turn. The server ends the transaction of a process that it can't reach any more.
const LONGEST: &str = "10min";

/// How long the end of a turn may take. After that, its connection is closed without it.
const ENDING: Duration = Duration::from_secs(5);

/// Work that one process does at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Chore {
    /// Removing files that nobody needs.
    Sweep,
    /// Erasing people.
    Erase,
    /// Pruning the logs to the history that is kept.
    Retention,
    /// Removing what uploads have left that were cut off.
    Leftovers,
}

impl Chore {
    fn name(self) -> &'static str {
        match self {
            Self::Sweep => "sweep",
            Self::Erase => "erase",
            Self::Retention => "retention",
            Self::Leftovers => "leftovers",
        }
    }
}

/// The turn for a chore, which ends on drop: an open transaction with an advisory lock, on its own connection. It has
/// no snapshot, so it keeps no dead row from vacuum.
pub(crate) struct Turn(Option<Object>);

impl Database {
    /// Takes the turn for a chore on the schema, unless another process has it.
    pub(crate) async fn turn(&self, schema: &str, chore: Chore) -> Result<Option<Turn>, Failure> {
        let turn = Turn(Some(self.connection().await?));
        let Some(connection) = &turn.0 else { return Ok(None) };
        let begin = format!(
            "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '{LONGEST}'; \
             SELECT pg_try_advisory_xact_lock(hashtextextended('{schema}.{}', 0))",
            chore.name()
        );
        let answers =
            timeout(ENDING, connection.simple_query(&begin)).await.map_err(|_| Failure::Timeout)??;
        let taken = answers.iter().any(|answer| match answer {
            SimpleQueryMessage::Row(row) => row.get(0) == Some("t"),
            _ => false,
        });
        Ok(taken.then_some(turn))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(connection) = self.0.take() else { return };
        // Turns are rare: no connection is kept for them, and none with an open transaction goes back to the pool.
        let connection = Object::take(connection);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { timeout(ENDING, connection.batch_execute("ROLLBACK")).await });
        }
    }
}
