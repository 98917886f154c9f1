//! Erases people: their connections at once, and what they left in the logs part by part.
//!
//! The store has who is erased and how far. So an erasure goes on after a crash, here or at another node.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::channel::Channel;
use crate::channel::departures::list_limit;
use crate::channel::registry::ChannelRegistry;
use crate::engine::Engine;
use crate::engine::members::Actor;
use crate::engine::nodes::endings::Ending;
use crate::limits::Limits;
use crate::model::append::AppendBody;
use crate::model::error::{Error, ErrorCode};
use crate::model::id::{Seq, UserId};
use crate::model::membership::{ChannelKind, MemberOp, Role};
use crate::model::message::{Erasure, ReactionLimits, User};
use crate::model::moment::Moment;
use crate::protocol::CloseReason;
use crate::runtime::panics::contain_async;
use crate::store::{ErasedUser, NextTraces, PageLimit, StoreError, Traces};

/// The events of the erased person in one step.
const STEP: usize = 64;

/// The time between two looks for erasures that another node has begun, or has left.
const INTERVAL: Duration = Duration::from_secs(5);

/// The time before the store is asked again whether writes from before the erasure are over.
const LATER: Duration = Duration::from_millis(20);

/// The longest rest after a step. A rest is as long as the step, so an erasure takes at most half of the time.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The most erasures of one look.
const ERASURES: usize = 1_000;

/// How often the last owner hands over before the channel is left for the next look: others may leave at the same time.
const HANDOVERS: usize = 3;

impl Engine {
    /// Begins to erase a person. When it returns, the store has it, and no connection here has their name any more.
    pub(crate) async fn erase(&self, user: &UserId, erasure: Erasure) -> Result<(), Error> {
        self.bounded(self.store.begin_erasure(user, erasure)).await?;
        self.end(Ending::Erased { user: user.clone() });
        forget_name(&self.registry, &self.limits, user).await;
        self.erasing.notify_one();
        Ok(())
    }

    /// Ends what an erased person has at this node: their connections, their places in lists, and their name.
    pub(super) fn end_erased(&self, user: &UserId, at: Moment) {
        // Before the rings: what is encoded from now on has no name.
        self.encoder.names().enter(user);
        self.connections.close(user, None, CloseReason::SignedOut, at);
        self.show_renamed(&User::erased(user.clone()));
        let (registry, limits, user) = (Arc::clone(&self.registry), Arc::clone(&self.limits), user.clone());
        tokio::spawn(async move { forget_name(&registry, &limits, &user).await });
    }

    /// Lets the id of an erased person be used again at this node.
    pub(crate) fn let_in_again(&self, user: UserId) {
        self.encoder.names().remove(&user);
        let registry = Arc::clone(&self.registry);
        tokio::spawn(async move { forget_texts(&registry, &user).await });
    }

    /// Goes on with erasures, for ever.
    pub(crate) async fn keep_erasing(self: Arc<Self>) {
        loop {
            let error: Box<dyn std::error::Error + Send + Sync> = match contain_async(self.erase_all()).await
            {
                Ok(Ok(())) => {
                    let _ = timeout(INTERVAL, self.erasing.notified()).await;
                    continue;
                }
                Ok(Err(error)) => error.into(),
                Err(panicked) => panicked.into(),
            };
            // The store knows where to go on.
            self.monitor.failures.failed("an erasure has stopped for a moment", "", &*error);
            sleep(INTERVAL).await;
        }
    }

    async fn erase_all(&self) -> Result<(), Error> {
        let under_way = self.bounded(self.store.erasures(ERASURES)).await?;
        let names = self.encoder.names();
        let done = names.keep(&under_way.iter().map(|erased| &erased.user).collect::<Vec<_>>());
        for user in &done {
            // Another node may have erased them, and may have let texts stay: then they are read from the store again.
            forget_texts(&self.registry, user).await;
        }
        for ErasedUser { user, .. } in &under_way {
            if names.enter(user) {
                self.end_erased(user, Moment::now());
            }
        }
        for erased in &under_way {
            // Of several nodes on one store, one erases.
            let Some(_turn) = self.bounded(self.store.erasure_turn()).await? else { return Ok(()) };
            self.erase_one(erased).await?;
        }
        Ok(())
    }

    async fn erase_one(&self, erased: &ErasedUser) -> Result<(), Error> {
        let user = &erased.user;
        loop {
            let started = Instant::now();
            match self.bounded(self.store.next_traces(user, STEP)).await? {
                NextTraces::Found(traces) => {
                    self.take_away(erased, &traces).await?;
                    let covered = self.store.cover_traces(user, traces.channel.id, traces.through);
                    self.bounded(covered).await?;
                    sleep(started.elapsed().min(LONGEST_REST)).await;
                }
                NextTraces::Later => sleep(LATER).await,
                NextTraces::Nothing => break,
            }
        }
        if erased.erasure == Erasure::Tombstones {
            forget_texts(&self.registry, user).await;
        }
        self.bounded(self.store.end_erasure(user)).await?;
        self.discarded.notify_one();
        Ok(())
    }

    /// Appends what takes away a person's membership, messages and reactions. What is gone already is no error.
    async fn take_away(&self, erased: &ErasedUser, traces: &Traces) -> Result<(), Error> {
        let channel = self.channel(&traces.channel.name).await?;
        let by = User::erased(erased.user.clone());
        self.leave_for_good(&channel, &by).await?;
        let messages = traces.messages.iter().filter(|_| erased.erasure == Erasure::Tombstones);
        let deletes = messages.map(|target| AppendBody::Delete { target: *target });
        let reactions = traces.reactions.iter().map(|(target, emoji)| AppendBody::React {
            target: *target,
            emoji: emoji.clone(),
            on: false,
            limits: ReactionLimits::default(),
        });
        let mut pending = Vec::new();
        for body in deletes.chain(reactions) {
            pending.push(self.queue(by.clone(), Arc::clone(&channel), body, None)?);
        }
        for pending in pending {
            match pending.await {
                Err(error) if error.code() != ErrorCode::NoSuchMessage => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends a membership. The last owner hands over first. A direct channel keeps its people.
    async fn leave_for_good(&self, channel: &Arc<Channel>, by: &User) -> Result<(), Error> {
        let id = channel.info.id;
        if channel.info.kind == ChannelKind::Direct {
            return Ok(());
        }
        for _ in 0..HANDOVERS {
            if self.bounded(self.store.member(id, &by.id)).await?.is_none() {
                return Ok(());
            }
            let left = match channel.info.kind {
                ChannelKind::Open => self.leave_open(id, &by.id).await,
                _ => self.remove_member(Actor::app(by), channel, by, MemberOp::Left).await.map(drop),
            };
            match left {
                Err(error) if error.code() == ErrorCode::LastOwner => self.hand_over(channel, by).await?,
                Err(error) if error.code() == ErrorCode::NotAMember => return Ok(()),
                left => return left,
            }
        }
        Err(Error::last_owner())
    }

    /// Makes the member owner who has been one for the longest time.
    async fn hand_over(&self, channel: &Arc<Channel>, by: &User) -> Result<(), Error> {
        let limit = PageLimit::new(self.limits.members_page.max(1), self.limits.answer_bytes);
        let mut after: Option<UserId> = None;
        let mut oldest: Option<(Seq, User)> = None;
        loop {
            let page = self.bounded(self.store.members(channel.info.id, after.as_ref(), limit)).await?;
            after = page.members.last().map(|member| member.user.id.clone());
            for member in page.members.into_iter().filter(|member| !member.user.is_deleted()) {
                if oldest.as_ref().is_none_or(|(since, _)| member.since < *since) {
                    oldest = Some((member.since, member.user));
                }
            }
            if !page.more {
                break;
            }
        }
        if let Some((_, heir)) = oldest {
            self.set_role(Actor::app(by), channel, &heir, Role::Owner).await?;
        }
        Ok(())
    }

    /// Returns what the store has made for these people, or says that one of them was erased.
    pub(crate) async fn unless_erased<T>(
        &self,
        made: Result<T, StoreError>,
        people: &[User],
    ) -> Result<T, Error> {
        let error = match made {
            Ok(made) => return Ok(made),
            Err(error) => error,
        };
        for user in people {
            if matches!(self.store.erased_user(&user.id).await, Ok(Some(_))) {
                return Err(Error::erased());
            }
        }
        Err(error.into())
    }

    /// Waits for the store, but not for ever.
    async fn bounded<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, Error> {
        Ok(timeout(self.limits.store_timeout, call).await.map_err(|_| Error::timed_out())??)
    }
}

/// Takes a person's name out of everything in memory.
async fn forget_name(registry: &ChannelRegistry, limits: &Limits, user: &UserId) {
    for channel in registry.all() {
        channel.forget(user, list_limit(limits));
        // A ring may have megabytes.
        tokio::task::yield_now().await;
    }
}

/// Drops what an erased person wrote from everything in memory.
async fn forget_texts(registry: &ChannelRegistry, user: &UserId) {
    for channel in registry.all() {
        channel.ring().forget_texts(user);
        tokio::task::yield_now().await;
    }
}
