//! What is done for users in the background, in order for each: telling them of their channels beside the logs, and storing
//! what they did beside the logs. Both need the store, which serves several users at once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::future::join_all;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::delivery::handle::ConnectionHandle;
use crate::engine::Engine;
use crate::engine::nodes::notice::Notice;
use crate::model::error::{Error, ErrorCode};
use crate::model::id::{ChannelId, Seq, UserId};
use crate::model::message::User;
use crate::model::moment::Moment;
use crate::model::name::ChannelName;
use crate::model::policy::Action;
use crate::protocol::{ChannelObject, ChatEvent, CloseReason, Encoder, RemovalReason};
use crate::runtime::panics::contain_async;
use crate::store::StoreError;

/// The most tidings that wait. Each has about two hundred bytes. Clients lose nothing by one that is dropped but a moment:
/// their next list of channels has it.
const WAITING: usize = 10_000;

/// The most tidings that are worked off at once, so that a store writes those of many users together.
const AT_ONCE: usize = 64;

/// The most removals that are remembered as told. For one that is forgotten too early, a client is told twice.
const TOLD: usize = 1_000;

/// What is done for one user: they are told something, something is stored, or a command waits.
#[derive(Debug)]
pub(crate) enum Tiding {
    /// Tells them how they have a channel in their list now.
    Added { user: UserId, channel: ChannelId },
    /// Tells them that they are no longer a member of a channel.
    Removed { user: UserId, channel: ChannelId, name: ChannelName, seq: Seq, reason: RemovalReason },
    /// Stores a connected user's name, by which others find them.
    Seen(User),
    /// Joins them to an open channel to which they have published, unless they have joined it.
    Join { user: User, channel: ChannelId },
    /// Tells them how much they have to read in a channel now.
    Counts { user: UserId, channel: ChannelId, name: ChannelName },
    /// Tells a command that all earlier tidings of this user are done.
    Reached { user: UserId, reached: Arc<Notify> },
}

impl Tiding {
    fn user(&self) -> &UserId {
        match self {
            Self::Added { user, .. }
            | Self::Removed { user, .. }
            | Self::Counts { user, .. }
            | Self::Reached { user, .. } => user,
            Self::Seen(user) | Self::Join { user, .. } => &user.id,
        }
    }
}

/// The tidings that wait.
#[derive(Debug)]
pub(crate) struct Tidings {
    queue: mpsc::Sender<Tiding>,
    waiting: Mutex<Option<mpsc::Receiver<Tiding>>>,
    /// How many joins wait.
    joins: AtomicUsize,
    /// The removals that connections were told of at the end of their subscription, the oldest first.
    removals: Mutex<VecDeque<Removal>>,
}

/// A member's removal that a connection was told of.
#[derive(Debug)]
struct Removal {
    /// The connection's number: a weak reference would keep its memory.
    connection: u64,
    channel: ChannelId,
    /// Of the event that removed them.
    seq: Seq,
}

impl Tidings {
    pub(crate) fn new() -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        Self {
            queue,
            waiting: Mutex::new(Some(waiting)),
            joins: AtomicUsize::new(0),
            removals: Mutex::default(),
        }
    }

    /// Notes that a connection is told of a removal by the end of its subscription, so that it is not told again.
    pub(crate) fn note_removal(&self, handle: &ConnectionHandle, channel: ChannelId, seq: Seq) {
        let mut removals = self.removals.lock().expect("invariant: nothing panics under this lock");
        if removals.len() >= TOLD {
            removals.pop_front();
        }
        removals.push_back(Removal { connection: handle.number, channel, seq });
    }

    /// Returns whether a connection was told of a removal by the end of its subscription.
    fn has_told(&self, handle: &ConnectionHandle, channel: ChannelId, seq: Seq) -> bool {
        let removals = self.removals.lock().expect("invariant: nothing panics under this lock");
        removals.iter().any(|told| (told.connection, told.channel, told.seq) == (handle.number, channel, seq))
    }
}

impl Engine {
    /// Queues a tiding, and drops it if too many wait.
    pub(crate) fn tell_soon(&self, tiding: Tiding) {
        let joins = usize::from(matches!(tiding, Tiding::Join { .. }));
        // Before it can be taken out of the queue.
        self.tidings.joins.fetch_add(joins, Ordering::AcqRel);
        if let Err(TrySendError::Full(tiding) | TrySendError::Closed(tiding)) =
            self.tidings.queue.try_send(tiding)
        {
            let what = "changes of members are not shown, since too many wait for the store";
            self.monitor.failures.limited(what, "");
            self.tidings.joins.fetch_sub(joins, Ordering::AcqRel);
            self.forget_joined(tiding.user());
        }
    }

    /// Waits until a user has joined the open channels to which they have published here. Call it before they leave one:
    /// otherwise a join that waits would come after it.
    pub(crate) async fn finish_joins_of(&self, user: &UserId) {
        if self.tidings.joins.load(Ordering::Acquire) == 0 {
            return;
        }
        let reached = Arc::new(Notify::new());
        self.tell_soon(Tiding::Reached { user: user.clone(), reached: Arc::clone(&reached) });
        // If the store is slow or the queue is full, the caller goes on without them, and has time left to.
        let _ = timeout(self.limits.store_timeout / 2, reached.notified()).await;
    }

    /// Has the store asked what a user has joined when they publish next.
    pub(crate) fn forget_joined(&self, user: &UserId) {
        for handle in self.connections.of(user) {
            handle.set_joined_stale();
        }
    }

    /// Tells users what there is to tell, for ever.
    pub(crate) async fn keep_telling(self: Arc<Self>) {
        let waiting = self.tidings.waiting.lock().expect("invariant: nothing panics under this lock").take();
        let Some(mut waiting) = waiting else { return };
        let mut batch = Vec::with_capacity(AT_ONCE);
        while waiting.recv_many(&mut batch, AT_ONCE).await > 0 {
            // It keeps the order of one user's.
            batch.sort_by(|one, other| one.user().cmp(other.user()));
            let of_users = batch.chunk_by(|one, other| one.user() == other.user());
            join_all(of_users.map(|tidings| self.tell_in_order(tidings))).await;
            batch.clear();
        }
    }

    async fn tell_in_order(&self, tidings: &[Tiding]) {
        for tiding in tidings {
            let told = timeout(self.limits.store_timeout, contain_async(self.tell(tiding))).await;
            if matches!(tiding, Tiding::Join { .. }) {
                self.tidings.joins.fetch_sub(1, Ordering::AcqRel);
            }
            let told = match told {
                Ok(Ok(told)) => told,
                Ok(Err(panicked)) => Err(StoreError::because("the store panicked", panicked).into()),
                Err(_) => Err(Error::timed_out()),
            };
            let Err(error) = told else { continue };
            self.forget_joined(tiding.user());
            if let Some(cause) = error.failure() {
                self.monitor.failures.failed("a change of members could not be shown", "", cause);
            }
        }
    }

    async fn tell(&self, tiding: &Tiding) -> Result<(), Error> {
        match tiding {
            Tiding::Added { user, channel } => self.show_added(user, *channel).await,
            Tiding::Removed { user, channel, name, seq, reason } => {
                self.show_removed(user, *channel, name, *seq, *reason).await
            }
            Tiding::Seen(user) => self.remember(user).await,
            Tiding::Join { user, channel } => self.join(*channel, user).await,
            Tiding::Counts { user, channel, name } => self.show_counts(user, *channel, name).await,
            Tiding::Reached { reached, .. } => {
                reached.notify_one();
                Ok(())
            }
        }
    }

    /// Stores a user's current name, and their avatar if there is one. If something is new, everybody who may know of them
    /// is told.
    pub(crate) async fn remember(&self, user: &User) -> Result<(), Error> {
        let known = self.known(&user.id).await?;
        if known.as_ref().is_some_and(|known| known.is_deleted()) {
            // They were erased, and nobody has let them in again.
            self.connections.close(&user.id, None, CloseReason::SignedOut, Moment::now());
            return Ok(());
        }
        let kept = known.as_ref().and_then(|known| known.avatar().cloned());
        let user = user.clone().with_avatar(user.avatar().cloned().or(kept));
        if known.as_ref() != Some(&user) {
            self.store.put_user(&user).await?;
            self.show_profile(known.is_some(), &user);
        }
        Ok(())
    }

    /// Stores a user's current name and avatar, or that they have none. If something is new, everybody who may know of them
    /// is told.
    pub(crate) async fn put_profile(&self, user: &User) -> Result<(), Error> {
        let known = self.known(&user.id).await?;
        let is_erased = known.as_ref().is_some_and(|known| known.is_deleted());
        if !is_erased && known.as_ref() != Some(user) {
            self.store.put_profile(user).await?;
            self.show_profile(known.is_some(), user);
        }
        Ok(())
    }

    /// Returns a person as the store knows them.
    pub(crate) async fn known(&self, user: &UserId) -> Result<Option<User>, Error> {
        Ok(self.store.users(std::slice::from_ref(user)).await?.remove(user))
    }

    /// Tells all nodes of a new name or avatar. Nobody has seen a user who was not known.
    fn show_profile(&self, was_known: bool, user: &User) {
        if was_known {
            self.show_renamed(user);
            self.tell_nodes(|| Notice::Renamed { user: user.clone() });
        }
    }

    /// Returns a channel as a user has it in their list.
    ///
    /// # Errors
    /// `no_such_channel` if they can't see it by its members.
    pub(crate) async fn seen_by(&self, user: &UserId, channel: ChannelId) -> Result<ChannelObject, Error> {
        let listed = self.store.listed(user, channel).await?.ok_or_else(Error::no_such_channel)?;
        let unread = self.store.unread(user, &[channel]).await?.into_iter().next().unwrap_or_default();
        Ok(ChannelObject::new(listed, unread))
    }

    async fn show_added(&self, user: &UserId, channel: ChannelId) -> Result<(), Error> {
        if self.connections.of(user).is_empty() {
            return Ok(());
        }
        let channel = match self.seen_by(user, channel).await {
            Err(error) if error.code() == ErrorCode::NoSuchChannel => return Ok(()),
            seen => seen?,
        };
        let (name, has_left) = (channel.name.clone(), channel.role.is_none());
        let frame = Encoder::notice(&ChatEvent::ChannelAdded { channel });
        for handle in self.connections.of(user) {
            if has_left {
                handle.set_joined_stale();
            }
            if self.policy.authorize(&handle.identity, Action::List(&name)).is_ok() {
                handle.send_of(&name, &frame, || true);
            }
        }
        Ok(())
    }

    /// Ends what a removed member has of a channel here. Subscriptions end by the event in the channel's log, exactly
    /// there: this node may not have heard of it, so it is read from the store.
    async fn show_removed(
        &self,
        user: &UserId,
        channel: ChannelId,
        name: &ChannelName,
        seq: Seq,
        reason: RemovalReason,
    ) -> Result<(), Error> {
        if self.connections.of(user).is_empty() {
            return Ok(());
        }
        if let Some(loaded) = self.registry.loaded(name.as_str()) {
            self.appends.catch_up(&loaded).await?;
        }
        if self.store.member(channel, user).await?.is_some() {
            // They came back.
            return Ok(());
        }
        let frame = Encoder::notice(&ChatEvent::ChannelRemoved { channel: name.clone(), reason });
        for handle in self.connections.of(user) {
            if !handle.tells_removal(name) && !self.tidings.has_told(&handle, channel, seq) {
                handle.send(frame.clone());
            }
        }
        Ok(())
    }

    async fn show_counts(&self, user: &UserId, channel: ChannelId, name: &ChannelName) -> Result<(), Error> {
        if self.connections.of(user).is_empty() {
            return Ok(());
        }
        if self.store.listed(user, channel).await?.is_none() {
            return Ok(());
        }
        let unread = self.store.unread(user, &[channel]).await?.into_iter().next().unwrap_or_default();
        let (unread, mentions) = (unread.messages, unread.mentions);
        let frame = Encoder::notice(&ChatEvent::Counts { channel: name.clone(), unread, mentions });
        for handle in self.connections.of(user) {
            if self.policy.authorize(&handle.identity, Action::Read(name)).is_ok() {
                handle.send_of(name, &frame, || true);
            }
        }
        Ok(())
    }
}
