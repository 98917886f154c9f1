//! Durable consumers: the app's own programs that read all logs, each event at least once.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::chat::Chat;
use crate::chat::app::in_time;
use crate::engine::Engine;
use crate::engine::consumers::{Backoff, Choice, Found, Holding, Part, What};
use crate::model::error::Error;
use crate::model::event::Event;
use crate::model::id::{ChannelId, ConsumerName, Position};
use crate::model::name::ChannelName;
use crate::protocol::Variant;
use crate::store::{ChannelInfo, Head, StartAt, StoreError};

/// What a [`Consumer`] reads from a channel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// An event, as the log has it now: the message of a deleted one is empty. [`Chat::event_json`] returns it as clients
    /// get it.
    Event {
        /// The channel, as it was when the batch was read.
        channel: Arc<ChannelInfo>,
        /// The event.
        event: Event,
    },
    /// Events between the consumer's position and `head` can't be read: they were pruned, the log was restored from a
    /// backup, or it got another epoch. The consumer goes on after `head`. What is in the channel now,
    /// [`Chat::history`] returns.
    Reset {
        /// The channel, as it was when the batch was read.
        channel: Arc<ChannelInfo>,
        /// The end of the log at the reset.
        head: Head,
    },
}

impl Entry {
    /// Returns the channel.
    #[must_use]
    pub fn channel(&self) -> &ChannelInfo {
        match self {
            Self::Event { channel, .. } | Self::Reset { channel, .. } => channel,
        }
    }
}

/// The next entries for a [`Consumer`], at least one: from each channel some, in the order of its log. It derefs to a
/// slice. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Batch {
    entries: Arc<[Entry]>,
    /// The position after each entry.
    positions: Arc<[(ChannelId, Position)]>,
    generation: u64,
    /// The number of the batch, of those with this lease.
    number: u64,
    /// The number of entries that were already acked.
    from: usize,
}

impl Deref for Batch {
    type Target = [Entry];

    fn deref(&self) -> &[Entry] {
        &self.entries[self.from..]
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Batch {
    fn new(found: Vec<Found>, generation: u64, number: u64) -> Self {
        let positions = found.iter().map(|found| (found.channel.id, found.position.clone())).collect();
        let entry = |Found { channel, what, .. }| match what {
            What::Event(event) => Entry::Event { channel, event },
            What::Reset(head) => Entry::Reset { channel, head },
        };
        let entries = found.into_iter().map(entry).collect();
        Self { entries, positions, generation, number, from: 0 }
    }

    /// Returns the last position in each channel among the first `count` entries, and what is left after them.
    fn split(&self, count: usize) -> (Vec<(ChannelId, Position)>, Option<Self>) {
        let end = self.from.saturating_add(count).min(self.entries.len());
        let mut positions: Vec<(ChannelId, Position)> = Vec::new();
        for (channel, position) in &self.positions[self.from..end] {
            // The entries of a channel are neighbours.
            match positions.last_mut() {
                Some(last) if last.0 == *channel => last.1 = position.clone(),
                _ => positions.push((*channel, position.clone())),
            }
        }
        (positions, (end < self.entries.len()).then(|| Self { from: end, ..self.clone() }))
    }
}

/// Why a batch was not acked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// Another process has taken over, since this one did not answer for longer than the lease, or the consumer was
    /// removed. The position is where it was, and the other process reads the batch again.
    #[error("another process reads for this consumer now, so its position was not moved")]
    Lost,
    /// The chat is draining and the store failed. The position may have been moved or not.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

/// Opens a [`Consumer`]: [`Chat::consumer`].
#[must_use = "a consumer is opened with `open`"]
pub struct ConsumerBuilder {
    chat: Chat,
    name: String,
    start: StartAt,
    chosen: Option<Choice>,
}

impl ConsumerBuilder {
    /// Has a new consumer start at the end of the logs: events from before it is first opened are not read. The
    /// default is their beginning. A consumer that exists goes on where it is.
    pub fn start_at_end(self) -> Self {
        Self { start: StartAt::End, ..self }
    }

    /// Chooses the channels that are read. The default is all, including private and direct ones. The others are passed
    /// over: a channel that is chosen later is read from then on. Each process must choose the same.
    pub fn channels(self, chosen: impl Fn(&ChannelInfo) -> bool + Send + Sync + 'static) -> Self {
        Self { chosen: Some(Arc::new(chosen)), ..self }
    }

    /// Enters the consumer in the store, unless it is there, and returns a handle that reads for it.
    ///
    /// # Errors
    /// - `bad_name` if the name is invalid: see [`ConsumerName`]
    /// - `not_allowed` if there are already [`Limits::consumers`](crate::Limits::consumers)
    /// - `unavailable` if the store fails
    pub async fn open(self) -> Result<Consumer, Error> {
        let Self { chat, name, start, chosen } = self;
        let name = ConsumerName::new(name).map_err(|error| Error::bad_consumer_name(&error))?;
        let engine = Arc::clone(chat.engine());
        let most = engine.limits.consumers;
        let is_there =
            in_time(&engine, async { Ok(engine.store.create_consumer_within(&name, start, most).await?) });
        if !is_there.await? {
            return Err(Error::too_many_consumers(most));
        }
        let mut holder = [0; 8];
        getrandom::fill(&mut holder).expect("invariant: the system has a source of randomness");
        Ok(Consumer {
            bell: engine.monitor.appended.listen(),
            engine,
            name,
            chosen,
            holder: u64::from_ne_bytes(holder),
            holding: None,
            batch: None,
            batches: 0,
            after: ChannelId(0),
            _chat: chat,
        })
    }
}

impl fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, start, .. } = self;
        f.debug_struct("ConsumerBuilder").field("name", name).field("start", start).finish_non_exhaustive()
    }
}

/// Reads every event of every channel, or of some, for a program of the app's: for billing, moderation, a search index, a
/// webhook. [`Chat::consumer`] opens one.
///
/// - Each event comes **at least once**, and those of a channel in the order of their `seq`. The position in each channel
///   is kept in the store and moved by [`ack`](Self::ack), so it survives restarts and crashes: what was not acked comes
///   again. So make what you do with an event idempotent, by its channel and `seq`.
/// - Of all handles with one name, in all processes, **one reads at a time**. The others wait in [`next`](Self::next), and
///   one of them takes over when the reader is dropped, or [`Limits::consumer_lease`] after its process died. A process
///   that was only stopped for so long may still work on its last batch, but can't ack it.
/// - **Nothing is lost silently.** If events can't be read any more, the consumer gets [`Entry::Reset`].
/// - An event that the app can't handle (a *poison* event) comes again and again, and nothing after it, until it is acked.
///   What to do is the app's decision: repeat after a while, put it aside and ack it, or stop.
/// - While the reader lives its lease is extended, however long the app works on a batch. So bound that work: a handler
///   that hangs keeps all other processes waiting.
///
/// It holds at most one batch ([`Limits::consumer_events`] and [`Limits::consumer_bytes`]). Idle channels cost nothing,
/// however many there are.
///
/// [`Limits::consumer_lease`]: crate::Limits::consumer_lease
/// [`Limits::consumer_events`]: crate::Limits::consumer_events
/// [`Limits::consumer_bytes`]: crate::Limits::consumer_bytes
pub struct Consumer {
    engine: Arc<Engine>,
    name: ConsumerName,
    chosen: Option<Choice>,
    /// The random number of this handle.
    holder: u64,
    holding: Option<Holding>,
    /// What was read and is not acked.
    batch: Option<Batch>,
    /// How many batches were read.
    batches: u64,
    /// The channel after which the next batch is read.
    after: ChannelId,
    bell: watch::Receiver<()>,
    /// The chat runs while something reads from it.
    _chat: Chat,
}

impl Consumer {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &ConsumerName {
        &self.name
    }

    /// Returns the next batch: that of the call before, or what is left of it, until it is acked. Waits while there is
    /// nothing to read, while another handle reads for this consumer, and while the store fails, which is logged.
    /// Returns `None` once the chat is [draining](Chat::drain).
    ///
    /// # Cancel safety
    /// If the future is dropped, nothing is lost: the next call returns the same entries.
    pub async fn next(&mut self) -> Option<Batch> {
        let engine = Arc::clone(&self.engine);
        tokio::select! {
            biased;
            () = engine.drain_begins() => {
                self.give_up();
                None
            }
            batch = self.next_batch() => Some(batch),
        }
    }

    async fn next_batch(&mut self) -> Batch {
        let mut backoff = Backoff::new();
        loop {
            match self.try_next().await {
                Ok(Some(batch)) => return batch,
                Ok(None) => backoff = Backoff::new(),
                Err(error) => {
                    self.engine.consumer_failed("a consumer could not read", &self.name, &error);
                    backoff.wait().await;
                }
            }
        }
    }

    /// Takes one step toward the next batch, which may be to wait for a change.
    async fn try_next(&mut self) -> Result<Option<Batch>, StoreError> {
        if self.holding.as_ref().is_some_and(Holding::is_lost) {
            (self.holding, self.batch) = (None, None);
        }
        let Some(holding) = &self.holding else {
            self.holding = self.engine.take_consumer(&self.name, self.holder).await?;
            if self.holding.is_none() {
                sleep(self.engine.lease_term() / 3).await;
            }
            return Ok(None);
        };
        if let Some(batch) = &self.batch {
            let is_ours = self.engine.confirm(holding).await?;
            return Ok(is_ours.then(|| batch.clone()));
        }
        // What is stored from now on rings again.
        drop(self.bell.borrow_and_update());
        match self.engine.read_next(holding, self.chosen.as_ref(), &mut self.after).await? {
            Part::Found(found) => {
                self.batches += 1;
                let batch = Batch::new(found, holding.lease.generation, self.batches);
                self.batch = Some(batch.clone());
                Ok(Some(batch))
            }
            Part::Lost => Ok(None),
            Part::Nothing => {
                tokio::select! {
                    // The monitor keeps the bell, so this is a ring.
                    _ = self.bell.changed() => {}
                    () = holding.lost() => {}
                    () = sleep(self.engine.poll_interval()) => {}
                }
                Ok(None)
            }
        }
    }

    /// Moves the position past all entries of a batch, in one write: they don't come again. While the store fails it tries
    /// again, which is logged. A batch that was acked already changes nothing.
    ///
    /// # Errors
    /// [`AckError`] if the position was not moved, or may not have been.
    ///
    /// # Cancel safety
    /// If the future is dropped, the position was moved or not. [`next`](Self::next) then returns the batch again.
    pub async fn ack(&mut self, batch: &Batch) -> Result<(), AckError> {
        self.ack_first(batch, usize::MAX).await
    }

    /// Moves the position past the first `count` entries of a batch, as [`ack`](Self::ack) does. [`next`](Self::next) then
    /// returns the others.
    ///
    /// # Errors
    /// [`AckError`] if the position was not moved, or may not have been.
    ///
    /// # Cancel safety
    /// As for [`ack`](Self::ack).
    pub async fn ack_first(&mut self, batch: &Batch, count: usize) -> Result<(), AckError> {
        let holding = self.holding.as_ref().ok_or(AckError::Lost)?;
        if holding.lease.generation != batch.generation {
            return Err(AckError::Lost);
        }
        let end = batch.from.saturating_add(count);
        let current =
            self.batch.as_ref().filter(|current| current.number == batch.number && current.from < end);
        let Some(current) = current else { return Ok(()) };
        let (positions, left) = current.split(end - current.from);
        let mut backoff = Backoff::new();
        loop {
            match self.engine.advance(holding, &positions).await {
                Ok(true) => {
                    self.batch = left;
                    return Ok(());
                }
                Ok(false) => {
                    (self.holding, self.batch) = (None, None);
                    return Err(AckError::Lost);
                }
                Err(error) if self.engine.is_draining() => return Err(error.into()),
                Err(error) => {
                    self.engine.consumer_failed("a consumer could not ack", &self.name, &error);
                    backoff.wait().await;
                }
            }
        }
    }

    /// Ends the lease, so that another handle can take over at once.
    fn give_up(&mut self) {
        let Some(holding) = self.holding.take() else { return };
        self.batch = None;
        // Without a runtime, the lease ends by itself.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (engine, lease) = (Arc::clone(&self.engine), holding.lease.clone());
        runtime.spawn(async move {
            if let Err(error) = engine.in_time(engine.store.end_lease(&lease)).await {
                engine.consumer_failed("a consumer's lease could not be ended", &lease.consumer, &error);
            }
        });
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Chat {
    /// Opens a durable consumer: it reads every event of every channel, at least once and in the order of each channel's
    /// log, from a position that is kept in the store. See [`Consumer`] for what it promises. The policy is not asked.
    ///
    /// ```
    /// use chatcore::consumer::Entry;
    /// use chatcore::store::EventKind;
    /// use chatcore::{ChannelName, Chat, MemoryStore, NewMessage, User};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let chat = Chat::builder(MemoryStore::new()).build();
    /// let (ann, general) = (User::new("u_ann", "Ann")?, ChannelName::new("general")?);
    /// chat.ensure_channel(&general, "", &ann).await?;
    /// for text in ["Hello!", "Is anybody there?"] {
    ///     chat.publish(&ann, &general, NewMessage::text(text)).await?;
    /// }
    /// let mut billing = chat.consumer("billing").open().await?;
    /// let mut billed = 0;
    /// while let Some(batch) = billing.next().await {
    ///     for entry in &batch {
    ///         if let Entry::Event { event, .. } = entry
    ///             && let EventKind::Message(content) = &event.kind
    ///         {
    ///             billed += content.text.len();
    ///         }
    ///     }
    ///     // One write for all of them. If this process dies before it, they come again.
    ///     billing.ack(&batch).await?;
    ///     # break;
    /// }
    /// assert_eq!(billed, 23);
    /// # Ok(())
    /// # }
    /// ```
    pub fn consumer(&self, name: impl Into<String>) -> ConsumerBuilder {
        ConsumerBuilder { chat: self.clone(), name: name.into(), start: StartAt::Beginning, chosen: None }
    }

    /// Returns the names of all durable consumers, sorted.
    ///
    /// # Errors
    /// `unavailable` if the store fails.
    pub async fn consumers(&self) -> Result<Vec<ConsumerName>, Error> {
        let engine = self.engine();
        in_time(engine, async { Ok(engine.store.consumers().await?) }).await
    }

    /// Removes a durable consumer with its position. Returns whether there was one. Handles that still read for it read
    /// nothing more.
    ///
    /// # Errors
    /// `unavailable` if the store fails.
    pub async fn remove_consumer(&self, name: &ConsumerName) -> Result<bool, Error> {
        let engine = self.engine();
        in_time(engine, async { Ok(engine.store.remove_consumer(name).await?) }).await
    }

    /// Returns an event of a channel's log as JSON, as clients get it in the [full form](crate::protocol::Form::Full): for
    /// a webhook, say.
    #[must_use]
    pub fn event_json(&self, channel: &ChannelName, event: &Event) -> Bytes {
        self.engine().encoder.event(channel, event).0.bytes(Variant::Full)
    }
}
