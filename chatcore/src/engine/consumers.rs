//! Durable consumers: the lease of one, and what it reads next.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::engine::Engine;
use crate::model::check::Check;
use crate::model::event::Event;
use crate::model::id::{ChannelId, ConsumerName, Position};
use crate::store::{ChannelInfo, Head, Lease, News, PageLimit, Replay, StoreError};

/// The channels that one batch is read from. Each may add one event beyond the batch's bytes.
pub(crate) const CHANNELS: usize = 32;

/// The bytes of one page of channels.
pub(crate) const PAGE_BYTES: usize = 64 << 10;

/// The first and the longest wait after a failure of the store. Each wait is twice the one before it.
const BACKOFF: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(8)];

/// The shortest time between two questions to the store that nothing has asked for.
const SHORTEST_POLL: Duration = Duration::from_millis(100);

/// The bounds of a lease.
const TERM: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3_600)];

/// Says which channels a consumer reads.
pub(crate) type Choice = Arc<dyn Fn(&ChannelInfo) -> bool + Send + Sync>;

/// How long to wait after failures of the store that follow each other.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(BACKOFF[0])
    }

    pub(crate) async fn wait(&mut self) {
        let wait = self.0;
        self.0 = (wait * 2).min(BACKOFF[1]);
        sleep(wait).await;
    }
}

/// Something that a consumer has not read.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) channel: Arc<ChannelInfo>,
    pub(crate) what: What,
    /// The position after it.
    pub(crate) position: Position,
}

/// What was found.
#[derive(Debug)]
pub(crate) enum What {
    Event(Event),
    Reset(Head),
}

/// The next part of the logs for a consumer.
#[derive(Debug)]
pub(crate) enum Part {
    Found(Vec<Found>),
    Nothing,
    /// Another holder has the lease.
    Lost,
}

/// What is known of a lease.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// Until when nobody else can have taken it.
    until: Instant,
    is_lost: bool,
}

/// A lease that is extended until this is dropped.
#[derive(Debug)]
pub(crate) struct Holding {
    pub(crate) lease: Lease,
    standing: watch::Sender<Standing>,
    keeper: JoinHandle<()>,
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Holding {
    pub(crate) fn is_lost(&self) -> bool {
        self.standing.borrow().is_lost
    }

    /// Waits until another holder has the lease.
    pub(crate) async fn lost(&self) {
        // The sender is this one, so only a loss ends the wait.
        let _ = self.standing.subscribe().wait_for(|standing| standing.is_lost).await;
    }

    pub(crate) fn set_lost(&self) {
        self.standing.send_modify(|standing| standing.is_lost = true);
    }
}

impl Engine {
    /// Returns how long a lease lasts.
    pub(crate) fn lease_term(&self) -> Duration {
        self.limits.consumer_lease.clamp(TERM[0], TERM[1])
    }

    /// Returns how long a consumer waits without news before it asks the store.
    pub(crate) fn poll_interval(&self) -> Duration {
        self.limits.consumer_poll.max(SHORTEST_POLL)
    }

    /// Takes a lease, and extends it until the result is dropped. `None` while another holder has it.
    pub(crate) async fn take_consumer(
        self: &Arc<Self>,
        name: &ConsumerName,
        holder: u64,
    ) -> Result<Option<Holding>, StoreError> {
        let (began, term) = (Instant::now(), self.lease_term());
        let taken = self.in_time(self.store.take_consumer(name, holder, term)).await?;
        let Some(lease) = taken else { return Ok(None) };
        let standing = watch::Sender::new(Standing { until: began + term, is_lost: false });
        let keeper = tokio::spawn(Arc::clone(self).keep_lease(lease.clone(), standing.clone()));
        Ok(Some(Holding { lease, standing, keeper }))
    }

    async fn keep_lease(self: Arc<Self>, lease: Lease, standing: watch::Sender<Standing>) {
        let mut backoff = Backoff::new();
        sleep(self.lease_term() / 3).await;
        loop {
            match self.extend(&lease, &standing).await {
                Ok(true) => {
                    backoff = Backoff::new();
                    sleep(self.lease_term() / 3).await;
                }
                Ok(false) => return,
                Err(error) => {
                    self.consumer_failed("a consumer's lease could not be extended", &lease.consumer, &error);
                    backoff.wait().await;
                }
            }
        }
    }

    /// Logs a failure of the store.
    pub(crate) fn consumer_failed(&self, kind: &'static str, name: &ConsumerName, error: &StoreError) {
        self.monitor.failures.failed(kind, format_args!("consumer {name}"), error);
    }

    /// Extends a lease. Returns whether nobody else has taken it.
    async fn extend(&self, lease: &Lease, standing: &watch::Sender<Standing>) -> Result<bool, StoreError> {
        let (began, term) = (Instant::now(), self.lease_term());
        let is_ours = self.in_time(self.store.renew_lease(lease, term)).await?;
        standing.send_modify(|standing| match is_ours {
            true => standing.until = standing.until.max(began + term),
            false => standing.is_lost = true,
        });
        Ok(is_ours)
    }

    /// Returns whether the lease is not lost. If its time is over, as after this process was stopped for a while, the store
    /// is asked.
    pub(crate) async fn confirm(&self, holding: &Holding) -> Result<bool, StoreError> {
        let Standing { until, is_lost } = *holding.standing.borrow();
        if is_lost || Instant::now() < until {
            return Ok(!is_lost);
        }
        self.extend(&holding.lease, &holding.standing).await
    }

    /// Moves a consumer's positions. Returns false if another holder has taken the lease.
    pub(crate) async fn advance(
        &self,
        holding: &Holding,
        positions: &[(ChannelId, Position)],
    ) -> Result<bool, StoreError> {
        let is_ours = self.in_time(self.store.advance(&holding.lease, positions)).await?;
        if !is_ours {
            holding.set_lost();
        }
        Ok(is_ours)
    }

    /// Reads what comes next for a consumer, from the channels after `after` and then from the first one on, so that each
    /// gets its turn. Sets `after` to where the next call goes on.
    pub(crate) async fn read_next(
        &self,
        holding: &Holding,
        chosen: Option<&Choice>,
        after: &mut ChannelId,
    ) -> Result<Part, StoreError> {
        let mut is_round = *after == ChannelId(0);
        loop {
            let page = PageLimit::new(CHANNELS, PAGE_BYTES);
            let page = self.in_time(self.store.news(&holding.lease.consumer, *after, page)).await?;
            let next = page.news.last().filter(|_| page.more).map_or(ChannelId(0), |last| last.channel.id);
            let (found, passed) = self.read_page(page.news, chosen).await?;
            if !passed.is_empty() && !self.advance(holding, &passed).await? {
                return Ok(Part::Lost);
            }
            *after = next;
            if !found.is_empty() {
                return Ok(if self.confirm(holding).await? { Part::Found(found) } else { Part::Lost });
            }
            if next == ChannelId(0) && std::mem::replace(&mut is_round, true) {
                return Ok(Part::Nothing);
            }
        }
    }

    /// Reads from these channels, from each a part of a batch. Also returns the positions in those where there is nothing to
    /// read.
    async fn read_page(
        &self,
        news: Vec<News>,
        chosen: Option<&Choice>,
    ) -> Result<(Vec<Found>, Vec<(ChannelId, Position)>), StoreError> {
        let is_chosen = |news: &News| chosen.is_none_or(|chosen| chosen(&news.channel));
        let (read, other): (Vec<_>, Vec<_>) = news.into_iter().partition(is_chosen);
        let mut passed = Vec::new();
        if !other.is_empty() {
            let ids: Vec<_> = other.iter().map(|news| news.channel.id).collect();
            let heads = self.in_time(self.store.heads(&ids)).await?;
            passed.extend(ids.into_iter().zip(heads).filter_map(|(id, head)| Some((id, head?.position()))));
        }
        let mut found = Vec::new();
        if read.is_empty() {
            return Ok((found, passed));
        }
        let limit = PageLimit::new(
            (self.limits.consumer_events / read.len()).max(1),
            self.limits.consumer_bytes / read.len(),
        );
        let positions: Vec<_> = read.iter().map(|news| (news.channel.id, news.position.clone())).collect();
        let replays = self.in_time(self.store.after_many(&positions, limit)).await?;
        for (News { channel, position, .. }, replay) in read.into_iter().zip(replays) {
            let channel = Arc::new(channel);
            match replay {
                Some(Replay::Events { events, .. }) if events.is_empty() => {
                    passed.push((channel.id, position));
                }
                Some(Replay::Events { events, .. }) => found.extend(events.into_iter().map(|mut event| {
                    self.encoder.hide_names(&mut event);
                    let check = Some(Check::of(&event));
                    let position = Position::new(position.epoch.clone(), event.seq).with_check(check);
                    Found { channel: Arc::clone(&channel), what: What::Event(event), position }
                })),
                Some(Replay::Reset(head)) => {
                    let position = head.position();
                    found.push(Found { channel, what: What::Reset(head), position });
                }
                // The channel is gone.
                None => {}
            }
        }
        Ok((found, passed))
    }
}
