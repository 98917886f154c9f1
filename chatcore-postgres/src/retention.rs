//! The task that prunes each channel's log to its newest messages.

use std::sync::Arc;
use std::time::Duration;

use chatcore::store::{EventStore, NONCE_LIFE};
use chatcore::{ChannelId, Clock, FailureLog, Seq};
use tokio::task::JoinHandle;
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::event::{channel_id, seq, signed};
use crate::store::PostgresStore;
use crate::turn::Chore;

/// The time between two rounds over all channels.
const REST: Duration = Duration::from_secs(600);
/// The time until a round is tried again that another process was doing. It may keep more messages than this one, or be
/// killed before it has done.
const BUSY: Duration = Duration::from_secs(5);
/// The most channels per query.
const CHANNELS: i64 = 1_000;

/// The running task. Dropping it aborts the task.
#[derive(Debug)]
pub(crate) struct Retention(JoinHandle<()>);

impl Retention {
    /// Starts the task, which keeps the newest `messages` of each channel.
    pub(crate) fn start(store: PostgresStore, messages: u64) -> Arc<Self> {
        Arc::new(Self(tokio::spawn(async move {
            let failures = FailureLog::new();
            // A jump of the clock must last as long as nonces are kept before it makes them expire.
            let clock = Clock::default().steady(NONCE_LIFE);
            loop {
                let rest = match trim(&store, messages, &clock, &failures).await {
                    Ok(Round::Done) => REST,
                    Ok(Round::OfAnother) => {
                        tracing::debug!("another process prunes old messages");
                        BUSY
                    }
                    Err(failure) => {
                        failures.failed("old messages could not be pruned", "", &failure);
                        REST
                    }
                };
                tokio::time::sleep(rest).await;
            }
        })))
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A round over all channels.
enum Round {
    /// It was done, or it ended at a channel that could not be pruned.
    Done,
    /// Another process is doing one.
    OfAnother,
}

async fn trim(
    store: &PostgresStore,
    messages: u64,
    clock: &Clock,
    failures: &FailureLog,
) -> Result<Round, Failure> {
    let Some(_turn) = store.turns.turn(&store.schema, Chore::Retention).await? else {
        return Ok(Round::OfAnother);
    };
    loop {
        let found = excess(store, messages).await?;
        for (channel, through) in &found {
            if let Err(error) = store.prune(*channel, *through, clock.now()).await {
                let about = format_args!("channel number {}", channel.0);
                failures.failed("a channel could not be pruned", about, &error);
                return Ok(Round::Done);
            }
        }
        if found.is_empty() {
            return Ok(Round::Done);
        }
    }
}

/// Finds channels with over a tenth more than `messages`, and the last message to prune in each.
async fn excess(store: &PostgresStore, messages: u64) -> Result<Vec<(ChannelId, Seq)>, Failure> {
    let sql = format!(
        "SELECT c.id, e.seq FROM {0}.channel AS c CROSS JOIN LATERAL ( \
             SELECT seq FROM {0}.event WHERE channel = c.id AND kind = 0 \
             ORDER BY seq DESC OFFSET $1 LIMIT 1 \
         ) AS e WHERE c.messages - c.trimmed_messages > $1 + $1 / 10 LIMIT $2",
        store.schema
    );
    let messages = signed(messages);
    let rows = store.database.query(&sql, &[(&messages, Type::INT8), (&CHANNELS, Type::INT8)]).await?;
    rows.iter().map(|row| Ok((channel_id(row.try_get(0)?), seq(row, 1)?))).collect()
}
