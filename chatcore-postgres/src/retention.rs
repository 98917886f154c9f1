//! The task that keeps each channel's log to its newest messages.

use std::sync::Arc;
use std::time::Duration;

use chatcore::store::EventStore;
use chatcore::{ChannelId, Clock, FailureLog, Seq};
use tokio::task::JoinHandle;
use tokio_postgres::types::Type;

use crate::error::Failure;
use crate::event::{channel_id, seq, signed};
use crate::store::PostgresStore;

/// How long the task rests after it has looked at all channels.
const REST: Duration = Duration::from_secs(600);
/// How long a jump of the clock must last before nonces get old by it: as long as they are kept.
const PATIENCE: Duration = Duration::from_secs(24 * 3_600);
/// Channels that one look finds; the next look finds the next ones.
const CHANNELS: i64 = 1_000;

/// The running task. Dropping it ends the task, between two steps or in one.
#[derive(Debug)]
pub(crate) struct Retention(JoinHandle<()>);

impl Retention {
    /// Starts to keep the newest `messages` of each channel.
    pub(crate) fn start(store: PostgresStore, messages: u64) -> Arc<Self> {
        Arc::new(Self(tokio::spawn(async move {
            let failures = FailureLog::new();
            let clock = Clock::default().steady(PATIENCE);
            loop {
                if let Err(failure) = trim(&store, messages, &clock, &failures).await {
                    failures.failed("old messages could not be pruned", "", &failure);
                }
                tokio::time::sleep(REST).await;
            }
        })))
    }
}

impl Drop for Retention {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn trim(
    store: &PostgresStore,
    messages: u64,
    clock: &Clock,
    failures: &FailureLog,
) -> Result<(), Failure> {
    loop {
        let found = excess(store, messages).await?;
        for (channel, through) in &found {
            if let Err(error) = store.prune(*channel, *through, clock.now()).await {
                let about = format_args!("channel number {}", channel.0);
                failures.failed("a channel could not be pruned", about, &error);
                return Ok(());
            }
        }
        if found.is_empty() {
            return Ok(());
        }
    }
}

/// Finds channels that have a tenth more than `messages`, and the last message that each has too many.
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
