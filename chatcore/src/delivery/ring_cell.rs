//! A channel's ring, shared by readers and the append group. It is filled when the channel is first used.

use std::future::Future;
use std::sync::{Arc, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::OnceCell;

use crate::delivery::cursor::{Cursor, Read};
use crate::delivery::outlet::{BURST_FRAMES, Burst};
use crate::delivery::ring::{HistoryRing, Push};
use crate::delivery::ring_budget::Rings;
use crate::limits::Limits;
use crate::model::event::Event;
use crate::model::id::UserId;
use crate::model::name::ChannelName;
use crate::protocol::Encoder;
use crate::store::{Head, Page};

/// The ring of the channel with this name.
#[derive(Debug)]
pub(crate) struct RingCell {
    channel: ChannelName,
    encoder: Encoder,
    rings: Arc<Rings>,
    ring: OnceCell<RwLock<HistoryRing>>,
}

impl RingCell {
    /// Returns a cell without a ring.
    pub(crate) fn new(channel: ChannelName, encoder: Encoder, rings: Arc<Rings>) -> Self {
        Self { channel, encoder, rings, ring: OnceCell::new() }
    }

    /// Returns the channel's name.
    pub(crate) fn channel(&self) -> &ChannelName {
        &self.channel
    }

    /// Fills the ring with the end of the log, which `tail` reads, unless it is filled already.
    pub(crate) async fn fill<F, E>(&self, limits: &Limits, tail: impl FnOnce() -> F) -> Result<(), E>
    where
        F: Future<Output = Result<(Head, Page), E>>,
    {
        let fill = || async {
            let (head, newest) = tail().await?;
            Ok(RwLock::new(HistoryRing::new(limits, self.encoder.clone(), &self.rings, head, &newest)))
        };
        if self.is_filled() {
            return Ok(());
        }
        self.ring.get_or_try_init(fill).await?;
        self.forget_erased();
        Ok(())
    }

    pub(crate) fn is_filled(&self) -> bool {
        self.ring.initialized()
    }

    /// Returns the ring for reading. [Fill](Self::fill) it first.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, HistoryRing> {
        self.filled().read().expect("invariant: nothing panics under this lock")
    }

    /// Fills a burst with the frames after `from`. Returns the cursor after them, or `None` if the ring has moved past, and
    /// whether there is more.
    pub(crate) fn next_burst(&self, from: Cursor, burst: &mut Burst) -> (Option<Cursor>, bool) {
        let (read, count) = burst.refill(|frames| self.read().read_all_forms(from, BURST_FRAMES, frames));
        match read {
            Read::Caught(end) | Read::More(end) => {
                let to = Cursor { generation: end.generation, seq: from.seq + count as u64 };
                (Some(to), to != end || matches!(read, Read::More(_)))
            }
            Read::Lagged { .. } => (None, false),
        }
    }

    /// Adds an event that is stored. The write lock keeps readers away for one push.
    pub(crate) fn push(&self, event: &Event) -> Push {
        let (frame, check) = self.encoder.event(&self.channel, event);
        let push = self.write().push(event, frame, check);
        // Somebody may have been erased since it was encoded.
        for user in self.encoder.names().in_event(event) {
            self.forget(&user);
        }
        push
    }

    /// Keeps the newest of the ring, up to `floor` bytes of frames and of messages.
    pub(crate) fn shrink(&self, floor: usize) {
        self.write().shrink(floor);
    }

    /// Takes an erased person's name out of everything. Enter it in the encoder's names before.
    pub(crate) fn forget(&self, user: &UserId) {
        self.write().forget(user);
    }

    /// Drops what an erased person wrote, and what is older.
    pub(crate) fn forget_texts(&self, user: &UserId) {
        self.write().forget_texts(user);
    }

    /// Replaces the ring after the log was lost, rebuilt or trimmed. All cursors lag.
    pub(crate) fn restart(&self, limits: &Limits, head: Head, newest: &Page) {
        self.write().restart(limits, head, newest);
        self.forget_erased();
    }

    /// Takes out the names of those who were erased while the ring was filled.
    fn forget_erased(&self) {
        for user in self.encoder.names().all() {
            self.forget(&user);
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, HistoryRing> {
        self.filled().write().expect("invariant: nothing panics under this lock")
    }

    fn filled(&self) -> &RwLock<HistoryRing> {
        self.ring.get().expect("invariant: a channel is loaded before it is read or appended to")
    }
}
