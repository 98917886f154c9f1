//! The handle that an app holds.

mod app;
mod builder;
pub(crate) mod client;
pub(crate) mod consumer;
mod erasure;
mod members;
pub(crate) mod sender;
mod session;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;

pub use self::builder::ChatBuilder;
use crate::chat::app::in_time;
use crate::chat::client::Client;
use crate::connection::Connection;
use crate::connection::checks::creatable;
use crate::engine::Engine;
use crate::engine::drain::returns;
use crate::engine::nodes::endings::Ending;
use crate::engine::previews::{PreviewFile, PreviewMaker};
use crate::engine::upload_slots::HeldFiles;
use crate::limits::Limits;
use crate::model::attachment::Attachment;
use crate::model::attachment::FileKind;
use crate::model::error::Error;
use crate::model::id::{AttachmentId, SessionId, UserId};
use crate::model::message::User;
use crate::model::name::ChannelName;
use crate::model::policy::Identity;
use crate::protocol::{ChatEvent, CloseReason, ConnectError, Encoder};
use crate::runtime::failures::FailureLog;
use crate::runtime::stats::Stats;
use crate::store::blob::ByteStream;
use crate::store::{ChannelInfo, Created, Durability, Store};

/// A running chat, shared by transports, bots and the app's own code. Cloning it is cheap.
///
/// Its background tasks end with the last clone and the last connection.
#[derive(Clone)]
pub struct Chat {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<Engine>,
    background: Vec<JoinHandle<()>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.background.iter().for_each(JoinHandle::abort);
    }
}

impl Chat {
    /// Returns a builder of a chat on `store`, which has its logs, its directory and its index of attachments.
    ///
    /// ```
    /// use chatcore::blob::FolderBlobs;
    /// use chatcore::{ChannelName, Chat, Limits, MemoryStore, User};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// let chat = Chat::builder(MemoryStore::new())
    ///     .blobs(FolderBlobs::open(folder.join("files")).await?)
    ///     .limits(Limits::default().with_text_chars(2_000))
    ///     .base("/chat")
    ///     .build();
    /// let host = User::new("u_host", "Host")?;
    /// chat.ensure_channel(&ChannelName::new("general")?, "What everyone should know", &host).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(store: impl Store) -> ChatBuilder {
        ChatBuilder::new(Arc::new(store))
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.inner.engine
    }

    /// Connects a participant in this process: a bot, a test, the app's own code.
    ///
    /// # Errors
    /// [`ConnectError`] if there are too many connections, the chat is draining, or the user was disconnected after
    /// the authentication, or erased.
    pub fn connect(&self, identity: Identity) -> Result<Client, ConnectError> {
        Ok(Client::new(self.open(identity)?))
    }

    /// Opens a session for a transport to drive.
    ///
    /// # Errors
    /// [`ConnectError`] if there are too many connections, the chat is draining, or the user was disconnected after
    /// the authentication, or erased.
    pub fn open(&self, identity: Identity) -> Result<Connection, ConnectError> {
        Connection::open(Arc::clone(self.engine()), identity)
    }

    /// Returns the channel with this name in any spelling, whatever its kind. If there is none, it creates an open one. The
    /// policy is not asked.
    ///
    /// # Errors
    /// - `name_taken` if another channel's name looks the same
    /// - `bad_name` to create one whose name is invalid or reserved: it begins as those of private and direct channels do, or
    ///   is a mention such as `everyone`
    /// - `not_allowed` if there are already [`Limits::channels`] channels
    /// - `unavailable` if the store fails, or does not answer within [`Limits::store_timeout`]
    pub async fn ensure_channel(
        &self,
        name: &ChannelName,
        topic: &str,
        by: &User,
    ) -> Result<ChannelInfo, Error> {
        let engine = self.engine();
        in_time(engine, async {
            if let Some(info) = engine.store.channel(name).await? {
                return same(name, info);
            }
            creatable(name.as_str())?;
            let most = engine.limits.channels;
            let created = engine.store.create_channel_within(name, topic, by, most).await;
            let created = engine.unless_erased(created, std::slice::from_ref(by)).await?;
            let created = created.ok_or_else(|| Error::too_many_channels(most))?;
            if let Created::New(info) = &created {
                engine.announce_channel(info);
            }
            same(name, created.into_channel())
        })
        .await
    }

    /// Stores a user's current display name, so that others find them by it. The name of a user who connects is stored
    /// automatically, a moment later. If it is another name than before, everybody who may know of the user is told, at
    /// all nodes. A message keeps the name that its author had when it was written, for authors who are gone.
    ///
    /// # Errors
    /// `unavailable` if the store can't be read or written.
    pub async fn remember_user(&self, user: &User) -> Result<(), Error> {
        self.engine().remember(user).await
    }

    /// Stores a file that a participant uploads to a channel. A later publish can name it.
    ///
    /// `inspect` gets the file's first 256 KiB, or the whole file if it is shorter, and returns its type.
    ///
    /// # Errors
    /// If an upload is refused, nothing is left of it.
    ///
    /// - `no_such_channel`, `not_allowed`
    /// - `bad_name` if the file's name is invalid
    /// - `too_large`
    /// - `bad_frame` if the stream failed
    /// - `rate_limited` for too many uploads at once or too many bytes per day
    /// - `storage_full` if the stored files have reached their limit
    /// - `unavailable`
    ///
    /// # Cancel safety
    /// If the future is dropped, the rest can't be attached or read, and is removed within [`Limits::upload_ttl`].
    pub async fn upload(
        &self,
        identity: &Identity,
        channel: &str,
        file_name: &str,
        bytes: ByteStream,
        inspect: impl FnOnce(&[u8]) -> FileKind + Send,
    ) -> Result<Attachment, Error> {
        self.engine().upload(identity, channel, file_name, bytes, inspect).await
    }

    /// Returns an attachment that the participant may read.
    ///
    /// # Errors
    /// `no_such_attachment`, also if its message was deleted, or if it is another user's and was not sent yet.
    /// `not_allowed`, `unavailable`.
    pub async fn attachment(&self, identity: &Identity, id: &str) -> Result<Attachment, Error> {
        self.engine().attachment(identity, id).await
    }

    /// Returns an attachment as JSON in the form of the protocol. Its own `Serialize` is for stores, which keep no
    /// `url`.
    #[must_use]
    pub fn attachment_json(&self, attachment: &Attachment) -> Bytes {
        self.engine().encoder.attachment(attachment)
    }

    /// Returns the bytes of an attachment in `range`, which is cut to its size: `0..u64::MAX` is the whole.
    ///
    /// # Errors
    /// As for [`attachment`](Self::attachment).
    pub async fn attachment_bytes(
        &self,
        identity: &Identity,
        id: &AttachmentId,
        range: Range<u64>,
    ) -> Result<ByteStream, Error> {
        self.engine().attachment_bytes(identity, id, range).await
    }

    /// Returns a preview of a picture with a longest side of `side` pixels, one of
    /// [`PREVIEW_SIDES`](crate::attachments::PREVIEW_SIDES). Returns `None` if the file is not a picture, is broken, or needs
    /// more than [`Limits::preview_memory`].
    ///
    /// `maker` makes both sizes when one is first requested. They are kept until the file is removed.
    ///
    /// # Errors
    /// As for [`attachment`](Self::attachment). Also `unavailable` after [`Limits::preview_wait`], and `draining`
    /// if the preview would have to be made.
    ///
    /// # Cancel safety
    /// If the future is dropped while it waits, it leaves the queue. If its turn has come, the previews are made
    /// and kept.
    pub async fn preview(
        &self,
        identity: &Identity,
        id: &str,
        side: u32,
        maker: Arc<dyn PreviewMaker>,
    ) -> Result<Option<PreviewFile>, Error> {
        self.engine().preview(identity, id, side, maker).await
    }

    /// Returns the bytes of a preview in `range`, which is cut to its size: `0..u64::MAX` is the whole.
    ///
    /// # Errors
    /// As for [`attachment`](Self::attachment).
    pub async fn preview_bytes(
        &self,
        identity: &Identity,
        preview: &PreviewFile,
        range: Range<u64>,
    ) -> Result<ByteStream, Error> {
        self.engine().preview_bytes(identity, preview, range).await
    }

    /// Closes all connections of a user, at all nodes if there is a [bus](ChatBuilder::bus). A connection that is being
    /// opened with an [`Identity`] from before this call is refused with the same reason.
    ///
    /// After [`CloseReason::SignedOut`] or [`CloseReason::Banned`] their clients stay away, and uploads and downloads that
    /// began with such an identity end with `not_allowed`. After [`CloseReason::Reconnect`] clients come back and are
    /// authenticated again.
    pub fn disconnect(&self, user: &UserId, reason: CloseReason) {
        let (user, session, code) = (user.clone(), None, reason.code());
        self.engine().end(Ending::Connections { user, session, code });
    }

    /// Closes the connections of one sign-in of a user: those whose [`Identity`] has this
    /// [`session`](Identity::session). Otherwise it is like [`disconnect`](Self::disconnect).
    pub fn disconnect_session(&self, user: &UserId, session: &SessionId, reason: CloseReason) {
        let (user, session, code) = (user.clone(), Some(session.clone()), reason.code());
        self.engine().end(Ending::Connections { user, session, code });
    }

    /// Ends everything that a user's connections have of a channel, at all nodes, without asking the policy: subscriptions,
    /// waiting frames, answers in progress, the entry in the list of who is online. Each connection of the user
    /// gets `channel_removed`, and after that no event, typing, presence, read marker or answer of the channel.
    ///
    /// When the call returns, no connection to this node accepts anything more of the channel. Frames that its transport
    /// already has may still reach a slow client, before `channel_removed`. An accepted publish is still answered.
    /// The policy decides about later subscriptions.
    ///
    /// The call waits at most for one write to a socket, and for no task.
    pub fn revoke(&self, user: &UserId, channel: &ChannelName) {
        self.engine().end(Ending::Channel { user: user.clone(), channel: channel.clone() });
    }

    /// Asks the policy again whether a user may read the channels that their connections are subscribed to, for
    /// each with its own [`Identity`], and ends what is no longer allowed, as [`revoke`](Self::revoke) does. Call
    /// it after rights have changed and the policy knows it. Each other node asks its own policy, a moment later.
    pub fn recheck(&self, user: &UserId) {
        self.engine().end(Ending::Rights { user: user.clone() });
    }

    /// Keeps all files: until the result is dropped, no file is removed from the blob store, even if its message
    /// is deleted. Waits for a removal in progress, at most [`Limits::store_timeout`]. A backup calls this so that
    /// the files that its copy of the store names can still be copied. The sweep catches up later. Several holds
    /// may exist at once.
    pub async fn hold_files(&self) -> HeldFiles {
        self.engine().uploads.hold().await
    }

    /// Shuts down gracefully. It refuses new connections, commands and uploads, ends uploads in progress with
    /// `draining`, tells every client when to come back, and closes each connection once its accepted commands are
    /// answered.
    ///
    /// The clients come back one after the other: the first after a second, each 10 ms after the one before, or
    /// closer if [`Limits::drain_spread`] is too short for that.
    ///
    /// It returns at once. Before the process ends, wait until the transport has written everything and closed its sockets:
    /// with `chatcore-hyper`, its `serve` does, and `ChatService::closed` is for other servers.
    pub fn drain(&self) {
        let engine = self.engine();
        engine.start_draining();
        let mut connections = Vec::new();
        engine.connections.for_each(|handle| connections.push(Arc::clone(handle)));
        let first = Error::draining().retry_after().unwrap_or_default();
        let returns = returns(connections.len(), first, engine.limits.drain_spread);
        for (handle, retry_ms) in connections.iter().zip(returns) {
            handle.send(Encoder::notice(&ChatEvent::Draining { retry_ms }));
            handle.close(CloseReason::GoingAway);
        }
    }

    /// Returns whether [`drain`](Self::drain) was called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.engine().is_draining()
    }

    /// Returns the number of open connections. After [`drain`](Self::drain), one that is no longer counted may still have
    /// frames to write.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.engine().connections.len()
    }

    /// Returns what the chat has now, and what it has counted since it was built.
    ///
    /// This looks at every channel in memory, so call it every few seconds and not for each request. The crate has
    /// no exporter of its own. `web_chat` shows one for Prometheus.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine().stats()
    }

    /// Returns the log of failures, where a transport and the app's own code can report theirs.
    #[must_use]
    pub fn failures(&self) -> &FailureLog {
        &self.engine().monitor.failures
    }

    /// Makes a small request to the store, to see whether it answers: for a readiness check.
    ///
    /// # Errors
    /// `unavailable` if the store fails or does not answer within `bound`.
    pub async fn check_store(&self, bound: Duration) -> Result<(), Error> {
        self.engine().check_store(bound).await
    }

    /// Returns the limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.engine().limits
    }

    /// Returns the path under which the chat is served: empty for the root, otherwise `/…`.
    #[must_use]
    pub fn base(&self) -> &str {
        self.engine().encoder.base()
    }

    /// Returns what an acknowledged publish means.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.engine().store.durability()
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

/// Returns the channel that has the name in any spelling, and refuses one whose name only looks the same.
fn same(name: &ChannelName, found: ChannelInfo) -> Result<ChannelInfo, Error> {
    if found.name.is_same_as(name) { Ok(found) } else { Err(Error::name_taken(found.name)) }
}
