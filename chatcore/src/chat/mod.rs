//! The handle that an app holds, and its builder.

pub(crate) mod client;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::chat::client::Client;
use crate::connection::Connection;
use crate::engine::Core;
use crate::engine::attachments::{FileKind, HeldFiles};
use crate::engine::drain::returns;
use crate::engine::previews::{PreviewFile, PreviewMaker};
use crate::limits::Limits;
use crate::model::error::Error;
use crate::model::id::{AttachmentId, SessionId, UserId};
use crate::model::message::{Attachment, User};
use crate::model::name::ChannelName;
use crate::model::policy::{Identity, OpenPolicy, Policy};
use crate::model::time::Clock;
use crate::protocol::{ChannelObject, ChatEvent, CloseReason, Encoder};
use crate::runtime::failures::FailureLog;
use crate::runtime::panics::contain_async;
use crate::runtime::stats::Stats;
use crate::store::blob::{BlobStore, ByteStream};
use crate::store::{ChannelInfo, Created, Durability, Store, Unread};

/// A running chat: what transports, bots and the app's own code share. Cloning it is cheap.
///
/// Its background tasks end with the last clone and the last connection.
#[derive(Clone)]
pub struct Chat {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    background: Vec<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.background.iter().for_each(JoinHandle::abort);
    }
}

/// Sets up a [`Chat`].
pub struct ChatBuilder {
    store: Arc<dyn Store>,
    blobs: Option<Arc<dyn BlobStore>>,
    policy: Arc<dyn Policy>,
    limits: Limits,
    clock: Clock,
    base: String,
}

impl ChatBuilder {
    /// Sets where attachments' bytes are kept. Without it there are no attachments.
    #[must_use]
    pub fn blobs(mut self, blobs: impl BlobStore) -> Self {
        self.blobs = Some(Arc::new(blobs));
        self
    }

    /// Sets who may do what. The default is [`OpenPolicy`].
    #[must_use]
    pub fn policy(mut self, policy: impl Policy) -> Self {
        self.policy = Arc::new(policy);
        self
    }

    /// Sets the bounds.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the clock by which uploads get old, in place of the system's: for tests and simulations. Jumps of it are
    /// passed over as [`Clock::steady`] says, with [`Limits::upload_ttl`] as its patience.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the path under which a transport serves the chat, such as `/chat`; attachments' URLs begin with
    /// it. The default is the root.
    #[must_use]
    pub fn base(mut self, path: &str) -> Self {
        let path = path.trim_matches('/');
        self.base = if path.is_empty() { String::new() } else { format!("/{path}") };
        self
    }

    /// Starts the chat's tasks on the tokio runtime of the caller.
    ///
    /// # Panics
    /// Panics outside a tokio runtime.
    #[must_use]
    pub fn build(self) -> Chat {
        let encoder = Encoder::new(&self.base);
        let limits = Arc::new(self.limits);
        let core = Core::new(self.store, self.blobs, self.policy, limits, self.clock, encoder);
        let core = Arc::new(core);
        let departures = Arc::clone(&core.departures);
        let sweeper = Arc::clone(&core);
        let background = vec![
            tokio::spawn(async move { departures.run().await }),
            tokio::spawn(async move {
                loop {
                    // A sweep before its time follows a delete; either way it is the same sweep.
                    let _ =
                        tokio::time::timeout(sweeper.sweep_interval(), sweeper.discarded.notified()).await;
                    // What a sweep did not come to is there for the next.
                    if let Err(panicked) = contain_async(sweeper.sweep()).await {
                        sweeper.monitor.failures.failed("the sweep failed", "", &panicked);
                    }
                }
            }),
        ];
        Chat { inner: Arc::new(Inner { core, background }) }
    }
}

impl Chat {
    /// Begins to set up a chat on `store`, which is both its log and its directory.
    pub fn builder(store: impl Store) -> ChatBuilder {
        ChatBuilder {
            store: Arc::new(store),
            blobs: None,
            policy: Arc::new(OpenPolicy),
            limits: Limits::default(),
            clock: Clock::default(),
            base: String::new(),
        }
    }

    fn core(&self) -> &Arc<Core> {
        &self.inner.core
    }

    /// Connects a participant in this process: a bot, a test, the app's own code.
    ///
    /// # Errors
    /// [`CloseReason::Overloaded`] where there are too many connections, [`CloseReason::Draining`] where the
    /// chat takes no new ones.
    pub fn connect(&self, identity: Identity) -> Result<Client, CloseReason> {
        Ok(Client::new(self.open(identity)?))
    }

    /// Opens a session for a transport to drive.
    ///
    /// # Errors
    /// [`CloseReason::Overloaded`] where there are too many connections, [`CloseReason::Draining`] where the
    /// chat takes no new ones.
    pub fn open(&self, identity: Identity) -> Result<Connection, CloseReason> {
        Connection::open(Arc::clone(self.core()), identity)
    }

    /// Creates a channel if there is none of that name, and returns the one there is. The policy is not asked.
    ///
    /// # Errors
    /// `not_allowed` if there are [`Limits::channels`] of other names, `unavailable` where the store can't be written.
    pub async fn ensure_channel(
        &self,
        name: &ChannelName,
        topic: &str,
        by: &User,
    ) -> Result<ChannelInfo, Error> {
        let most = self.core().limits.channels;
        let created = self.core().store.create_channel_within(name, topic, by, most).await?;
        let created = created.ok_or_else(|| Error::too_many_channels(most))?;
        if let Created::New(info) = &created {
            let object = ChannelObject::new(info.clone(), Unread::default());
            self.core().announce_channel(name, &object);
        }
        Ok(created.into_channel())
    }

    /// Remembers a user under the display name they have now.
    ///
    /// # Errors
    /// `unavailable` where the store can't be written.
    pub async fn remember_user(&self, user: &User) -> Result<(), Error> {
        Ok(self.core().store.put_user(user).await?)
    }

    /// Stores a file that a participant uploads to a channel, to be named in a later publish.
    ///
    /// `inspect` gets the file's first 256 KiB, or all of a shorter one, and says what it is.
    ///
    /// # Errors
    /// `no_such_channel`, `not_allowed`, `bad_name` for the file's name, `too_large`, `bad_frame` where the
    /// stream failed, `rate_limited` for too many at once or too much in a day, `storage_full` if the files take as much
    /// as they may, `unavailable`. Nothing is left of a refused upload.
    ///
    /// # Cancel safety
    /// What a dropped future leaves behind can't be attached or read, and is removed within
    /// [`Limits::upload_ttl`].
    pub async fn upload(
        &self,
        identity: &Identity,
        channel: &str,
        file_name: &str,
        bytes: ByteStream,
        inspect: impl FnOnce(&[u8]) -> FileKind + Send,
    ) -> Result<Attachment, Error> {
        self.core().upload(identity, channel, file_name, bytes, inspect).await
    }

    /// Returns an attachment that the participant may read.
    ///
    /// # Errors
    /// `no_such_attachment` also for one of a deleted message or of somebody else's unsent one;
    /// `not_allowed`, `unavailable`.
    pub async fn attachment(&self, identity: &Identity, id: &str) -> Result<Attachment, Error> {
        self.core().attachment(identity, id).await
    }

    /// Writes an attachment as the protocol spells it, in JSON; its own `Serialize` is the store's, which keeps
    /// no `url`.
    #[must_use]
    pub fn attachment_json(&self, attachment: &Attachment) -> Bytes {
        self.core().encoder.attachment(attachment)
    }

    /// Returns the bytes of an attachment, cut to its size; all of them with `0..u64::MAX`.
    ///
    /// # Errors
    /// As [`attachment`](Self::attachment).
    pub async fn attachment_bytes(
        &self,
        identity: &Identity,
        id: &AttachmentId,
        range: Range<u64>,
    ) -> Result<ByteStream, Error> {
        self.core().attachment_bytes(identity, id, range).await
    }

    /// Returns a picture's preview with a longest side of `side` pixels, one of the
    /// [`PREVIEW_SIDES`](crate::PREVIEW_SIDES); `None` if there is none: of another file, of a broken picture, or of
    /// one that needs more than [`Limits::preview_memory`].
    ///
    /// Both are made by `maker` when one is first asked for, and kept until the file is removed.
    ///
    /// # Errors
    /// As [`attachment`](Self::attachment); `unavailable` also after [`Limits::preview_wait`], `draining` if it would
    /// have to be made.
    ///
    /// # Cancel safety
    /// A dropped future gives up its place in the queue. Once its turn has come, the previews are made and kept.
    pub async fn preview(
        &self,
        identity: &Identity,
        id: &str,
        side: u32,
        maker: Arc<dyn PreviewMaker>,
    ) -> Result<Option<PreviewFile>, Error> {
        self.core().preview(identity, id, side, maker).await
    }

    /// Returns the bytes of a preview, cut to its size; all of them with `0..u64::MAX`.
    ///
    /// # Errors
    /// As [`attachment`](Self::attachment).
    pub async fn preview_bytes(
        &self,
        identity: &Identity,
        preview: &PreviewFile,
        range: Range<u64>,
    ) -> Result<ByteStream, Error> {
        self.core().preview_bytes(identity, preview, range).await
    }

    /// Closes all of a user's connections: with [`CloseReason::SignedOut`] or [`CloseReason::Banned`] their clients
    /// stay away, with [`CloseReason::Reconnect`] they come back and are authenticated anew. One that is being
    /// opened, with an [`Identity`] from before, is refused with the same reason.
    pub fn disconnect(&self, user: &UserId, reason: CloseReason) {
        self.core().links.close(user, None, reason);
    }

    /// Closes the connections of one of a user's sign-ins, as [`disconnect`](Self::disconnect) closes those of all:
    /// those whose [`Identity`] has this [`session`](Identity::session).
    pub fn disconnect_session(&self, user: &UserId, session: &SessionId, reason: CloseReason) {
        self.core().links.close(user, Some(session), reason);
    }

    /// Ends what a user's connections have of a channel, whatever the policy says: subscriptions, frames that wait,
    /// answers under way, the place in the list of who is online. Each connection of the user is told
    /// `channel_removed`, and no event, typing, presence, read marker, or answer of the channel comes after that.
    ///
    /// When the call returns, no connection takes anything of the channel any more. What its transport was given
    /// before may still be on its way to a slow client, ahead of `channel_removed`. A publish that was accepted is
    /// still answered. A subscription that is asked for later is the policy's to decide.
    ///
    /// The call waits for a write to a socket at most, and for no task; the policy is not asked.
    pub fn revoke(&self, user: &UserId, channel: &ChannelName) {
        self.core().revoke(user, channel);
    }

    /// Asks the policy again whether a user may read the channels that their connections follow, each as its own
    /// [`Identity`], and ends what is no longer allowed, as [`revoke`](Self::revoke) does. Call it when rights have
    /// changed, after the policy knows it.
    pub fn recheck(&self, user: &UserId) {
        self.core().recheck(user);
    }

    /// Holds the files: while the answer lives no file is removed from the blob store, whatever is deleted. Waits for
    /// a removal under way, which takes [`Limits::store_timeout`] at most. A backup holds them, so that those which its
    /// copy of the store names are there to be copied; the sweep catches up afterwards. Several may hold them at once.
    pub async fn hold_files(&self) -> HeldFiles {
        self.core().uploads.hold().await
    }

    /// Begins to go away: takes no new connections, commands and uploads, ends the uploads under way with
    /// `draining`, tells every client when to come back, and closes each connection once what it has accepted is
    /// answered.
    ///
    /// The clients come back one after the other: from a second on, each 10 ms after the one before, or closer if
    /// [`Limits::drain_spread`] would be too short for that.
    pub fn drain(&self) {
        let core = self.core();
        core.start_draining();
        let mut links = Vec::new();
        core.links.for_each(|link| links.push(Arc::clone(link)));
        let first = Error::draining().retry().unwrap_or_default();
        let returns = returns(links.len(), first, core.limits.drain_spread);
        for (link, retry_ms) in links.iter().zip(returns) {
            link.send(Encoder::notice(&ChatEvent::Draining { retry_ms }));
            link.close(CloseReason::GoingAway);
        }
    }

    /// Says whether [`drain`](Self::drain) was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.core().is_draining()
    }

    /// Returns how many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.core().links.len()
    }

    /// Returns what the chat holds now and what it has counted since it was built.
    ///
    /// It costs a look at every channel in memory: ask for it every few seconds, not for each request. The crate
    /// has no exporter of its own. `web_chat` shows how one is made of it for Prometheus.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core().stats()
    }

    /// Returns the log of failures, for a transport and for the app's own code to report theirs.
    #[must_use]
    pub fn failures(&self) -> &FailureLog {
        &self.core().monitor.failures
    }

    /// Asks the store for something small, to see whether it answers: for a readiness check.
    ///
    /// # Errors
    /// `unavailable` if the store fails or does not answer within `bound`.
    pub async fn check_store(&self, bound: Duration) -> Result<(), Error> {
        self.core().check_store(bound).await
    }

    /// Returns the bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.core().limits
    }

    /// Returns the path under which the chat is served: empty for the root, else `/…`.
    #[must_use]
    pub fn base(&self) -> &str {
        self.core().encoder.base()
    }

    /// Says what an acknowledged publish stands for.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.core().store.durability()
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat")
            .field("base", &self.base())
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ChatBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatBuilder").field("base", &self.base).finish_non_exhaustive()
    }
}
