//! What each checked command does.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use crate::channel::Channel;
use crate::channel::append::Pending;
use crate::connection::admission::Listing;
use crate::connection::checks::empty;
use crate::connection::mentions::mentioned;
use crate::connection::request::{Publish, Request};
use crate::connection::review::Edit;
use crate::connection::subscription::{PendingSubscription, Subscription};
use crate::delivery::handle::{ConnectionHandle, SubscriptionKey};
use crate::engine::Engine;
use crate::engine::access::Readable;
use crate::engine::answers::Reservation;
use crate::engine::members::{Update, private_name};
use crate::engine::nodes::notice::Notice;
use crate::limits::share::Waits;
use crate::model::append::{Append, AppendBody, EditExtras, Extras};
use crate::model::attachment::Attachment;
use crate::model::emoji;
use crate::model::error::{Error, ErrorCode};
use crate::model::id::{AttachmentId, ChannelId, Seq};
use crate::model::membership::ChannelKind;
use crate::model::message::{Message, ReactionLimits, User};
use crate::model::moment::Moment;
use crate::model::name::ChannelName;
use crate::model::new_message::NewMessage;
use crate::model::policy::Action;
use crate::model::visible;
use crate::protocol::{Logged, Published, Reply};
use crate::store::{Appended, ChannelInfo, Created, NewPrivate};

/// The outcome of a command.
pub(crate) struct Outcome {
    pub(crate) reply: Reply,
    /// The subscription that it began.
    pub(crate) pending: Option<PendingSubscription>,
    /// The bytes that its large answer holds.
    pub(crate) reservation: Option<Reservation>,
    /// Where the next list of channels begins.
    pub(crate) listing: Option<Listing>,
    /// The open channel that was published to.
    pub(crate) open: Option<ChannelId>,
}

impl From<Reply> for Outcome {
    fn from(reply: Reply) -> Self {
        Self { reply, pending: None, reservation: None, listing: None, open: None }
    }
}

/// What became of a publish that was tried without the store.
pub(crate) enum TryPublish {
    /// It is in the queue of its channel's appends. `open` is its channel if that is an open one, which its author joins
    /// by it.
    Queued { channel: ChannelName, open: Option<ChannelId>, pending: Pending },
    /// It names files or people, its channel is not in memory, or the app reviews it.
    NeedsStore(Box<Publish>),
}

impl Engine {
    /// Returns the command with its channel's own name, if it was refused because its user spelt the name
    /// differently.
    pub(crate) async fn respelt(
        &self,
        mut request: Request,
        refused: &Error,
    ) -> Result<Option<Request>, Error> {
        let codes = [ErrorCode::NoSuchChannel, ErrorCode::NotAllowed, ErrorCode::NotSubscribed];
        let Some(name) = request.existing().filter(|_| codes.contains(&refused.code())) else {
            return Ok(None);
        };
        match self.store.channel(name).await? {
            Some(info) if info.name != *name => *name = info.name,
            _ => return Ok(None),
        }
        Ok(Some(request))
    }

    /// Carries out a command that needs the store. If its answer may be large, waits for its turn first. `key` is
    /// for a subscription that it may begin.
    pub(crate) async fn run_in_turn(
        self: Arc<Self>,
        handle: Arc<ConnectionHandle>,
        key: SubscriptionKey,
        request: Request,
    ) -> Result<Outcome, Error> {
        let wait = self.limits.store_timeout;
        let reservation = match request.has_large_answer() {
            true => Some(self.reserve(&handle).await?),
            false => None,
        };
        let outcome =
            timeout(wait, self.run(handle, key, request)).await.map_err(|_| Error::timed_out())??;
        Ok(Outcome { reservation, ..outcome })
    }

    async fn reserve(&self, handle: &Arc<ConnectionHandle>) -> Result<Reservation, Error> {
        if let Some(reservation) = self.answers.try_reserve(handle) {
            return Ok(reservation);
        }
        let waited = Box::pin(timeout(self.limits.store_timeout, self.answers.reserve(handle)));
        waited.await.map_err(|_| Error::overloaded())
    }

    /// Carries out a command. `key` is for a subscription that it may begin.
    async fn run(
        self: Arc<Self>,
        handle: Arc<ConnectionHandle>,
        key: SubscriptionKey,
        request: Request,
    ) -> Result<Outcome, Error> {
        let reply = match request {
            Request::Channels { after, archived, limit } => {
                return self.channels(&handle, key, after, archived, limit).await;
            }
            Request::CreateChannel { name, topic } => self.create_channel(&handle, name, &topic).await?,
            Request::Subscribe { channel, after, limit } => {
                let beginning = Subscription::begin(self, handle, key, channel, after, limit);
                let (pending, reply) = Box::pin(beginning).await?;
                return Ok(Outcome { pending: Some(pending), ..reply.into() });
            }
            Request::Publish(publish) => return self.publish(&handle, publish).await,
            Request::CreatePrivate { title, topic, history, members } => {
                let new = NewPrivate::new(private_name(), title).with_topic(topic).with_history(history);
                self.make_private(&handle, &new, &members).await?
            }
            Request::OpenDirect { users } => self.write_to(&handle, &users).await?,
            Request::UpdateChannel { channel, title, topic, archived } => {
                self.update(&handle, &channel, Update { title, topic, archived }).await?
            }
            Request::Members { channel, after, limit } => {
                self.list_members(&handle, &channel, after.as_ref(), limit).await?
            }
            Request::AddMembers { channel, users } => self.invite(&handle, &channel, &users).await?,
            Request::RemoveMember { channel, user } => self.dismiss(&handle, &channel, &user).await?,
            Request::Join { channel } => self.join_channel(&handle, &channel).await?,
            Request::Leave { channel } => self.leave_channel(&handle, &channel).await?,
            Request::SetRole { channel, user, role } => {
                self.give_role(&handle, &channel, &user, role).await?
            }
            Request::SetNotify { channel, notify } => self.notify(&handle, &channel, notify).await?,
            Request::Users { query, channel, after, limit } => {
                self.find_people(&handle, &query, channel.as_ref(), after, limit).await?
            }
            Request::Edit { channel, seq, text, mentions, data } => {
                self.edit(&handle, &channel, seq, Edit { text, mentions, data }).await?
            }
            Request::Delete { channel, seq } => self.delete(&handle, &channel, seq).await?,
            Request::React { channel, seq, emoji, on } => {
                self.react(&handle, &channel, seq, emoji, on).await?
            }
            Request::History { channel, history, limit } => {
                self.history(&handle, &channel, history, limit).await?
            }
            Request::Search { channel, query, before, limit } => {
                self.search(&handle, &channel, &query, before, limit).await?
            }
            Request::SearchAll { query, from, limit } => {
                self.search_all(&handle, &query, from, limit).await?
            }
            Request::Read { channel, seq } => self.mark(&handle, &channel, seq, true).await?,
            Request::Unread { channel, seq } => self.mark(&handle, &channel, seq, false).await?,
            // A channel with a subscription is in memory, so nothing is needed from here.
            Request::Unsubscribe { .. } | Request::Typing { .. } => return Err(not_subscribed()),
            Request::Ping => Reply::Done,
        };
        Ok(reply.into())
    }

    /// Logs a failure of a command that is not the client's fault.
    pub(crate) fn report(&self, kind: &'static str, handle: &ConnectionHandle, error: &Error) {
        if let Some(cause) = error.failure() {
            self.monitor.failures.failed(kind, format_args!("user {}", handle.identity.user.id), cause);
        }
    }

    /// Makes a small request to the store, within `bound`.
    pub(crate) async fn check_store(&self, bound: Duration) -> Result<(), Error> {
        // That there is no such channel is an answer too.
        let name = ChannelName::new("general").expect("invariant: a valid name");
        let answer = timeout(bound, self.store.channel(&name)).await;
        answer.map_err(|_| Error::timed_out())?.map(drop).map_err(Error::from)
    }

    async fn create_channel(
        &self,
        handle: &ConnectionHandle,
        name: ChannelName,
        topic: &str,
    ) -> Result<Reply, Error> {
        self.policy.authorize(&handle.identity, Action::CreateChannel(&name))?;
        if let Some(info) = self.store.channel(&name).await? {
            return Err(self.name_taken(handle, info.name));
        }
        handle.share.take_creation(Moment::now())?;
        let created =
            self.store.create_channel_within(&name, topic, &handle.identity.user, self.limits.channels).await;
        if !matches!(created, Ok(Some(Created::New(_)))) {
            handle.share.give_creation_back(Moment::now());
        }
        match created? {
            None => Err(Error::too_many_channels(self.limits.channels)),
            Some(Created::Exists(info)) => Err(self.name_taken(handle, info.name)),
            Some(Created::New(info)) => {
                self.announce_channel(&info);
                Ok(Reply::Channel(Box::new(self.seen_by(&handle.identity.user.id, info.id).await?)))
            }
        }
    }

    fn name_taken(&self, handle: &ConnectionHandle, name: ChannelName) -> Error {
        match self.policy.authorize(&handle.identity, Action::List(&name)) {
            Ok(()) => Error::name_taken(name),
            Err(denied) => denied.into(),
        }
    }

    /// Announces a new channel to everyone who may see it, at all nodes.
    pub(crate) fn announce_channel(&self, info: &ChannelInfo) {
        self.show_once(info);
        self.tell_nodes(|| Notice::Created { info: info.clone() });
    }

    /// Queues a publish that needs nothing from the store first. Otherwise returns it.
    pub(crate) fn try_publish(
        &self,
        handle: &ConnectionHandle,
        mut publish: Box<Publish>,
    ) -> Result<TryPublish, Error> {
        if !publish.message.attachments.is_empty() || !publish.message.mentions.is_empty() {
            return Ok(TryPublish::NeedsStore(publish));
        }
        let loaded = publish.loaded.take();
        let Some(channel) = loaded.or_else(|| self.registry.loaded(publish.channel.as_str())) else {
            return Ok(TryPublish::NeedsStore(publish));
        };
        self.policy.authorize(&handle.identity, Action::Write(&publish.channel))?;
        if self.is_reviewed(&handle.identity, &publish.channel, &mut publish.message) {
            return Ok(TryPublish::NeedsStore(publish));
        }
        let Publish { channel: name, message: NewMessage { nonce, text, reply_to, data, .. }, .. } = *publish;
        let extras = data.map(|data| Box::new(Extras::default().with_data(data)));
        let body = AppendBody::Message { nonce, text, reply_to, attachments: Vec::new(), extras };
        let open = (channel.info.kind == ChannelKind::Open).then_some(channel.info.id);
        let pending = self.enqueue(handle, channel, body)?;
        Ok(TryPublish::Queued { channel: name, open, pending })
    }

    async fn publish(&self, handle: &ConnectionHandle, publish: Box<Publish>) -> Result<Outcome, Error> {
        let Publish { channel: name, mut message, .. } = *publish;
        self.policy.authorize(&handle.identity, Action::Write(&name))?;
        let channel = self.channel(&name).await?;
        if self.is_reviewed(&handle.identity, &name, &mut message) {
            // Boxed, since most chats have no review and need no room for one.
            Box::pin(self.review(handle, &channel, &mut message)).await?;
        }
        let NewMessage { nonce, text, attachments, reply_to, mentions, data, .. } = message;
        // Only a member may learn who else can read the channel.
        if !mentions.is_empty() {
            self.first_readable(&handle.identity, &channel.info).await?;
        }
        let mentions = self.mentions(handle, &channel, mentions).await?;
        let files = self.files(&attachments).await?;
        // The review and the store may have taken a long time.
        self.policy.authorize(&handle.identity, Action::Write(&name))?;
        let mentioned = mentioned(&mentions, &handle.identity.user.id);
        let mut extras = Extras::default().with_mentions(mentions);
        extras.data = data;
        let body = AppendBody::Message { nonce, text, reply_to, attachments: files, extras: extras.boxed() };
        let appended = self.append(handle, Arc::clone(&channel), body).await?;
        if !appended.duplicate {
            self.tell_counts(&channel.info, mentioned);
        }
        let open = (channel.info.kind == ChannelKind::Open).then_some(channel.info.id);
        Ok(Outcome { open, ..published(name, &appended).into() })
    }

    /// Returns the uploaded files that a message is to have.
    pub(crate) async fn files(&self, ids: &[AttachmentId]) -> Result<Vec<Attachment>, Error> {
        let mut files = Vec::with_capacity(ids.len());
        for id in ids {
            // Whose it is and whether it is unused is checked by the store, in the append's own transaction.
            let upload = self.store.upload(id).await?.ok_or_else(Error::no_such_attachment)?;
            files.push(upload.attachment);
        }
        Ok(files)
    }

    async fn edit(
        &self,
        handle: &ConnectionHandle,
        name: &ChannelName,
        seq: Seq,
        edit: Edit,
    ) -> Result<Reply, Error> {
        let (channel, message) = self.target(handle, name, seq).await?;
        let author = &message.author.id;
        let allowed = || {
            self.policy.authorize(&handle.identity, Action::Write(name))?;
            self.policy.authorize(&handle.identity, Action::Edit { channel: name, seq, author })
        };
        allowed()?;
        if message.attachments.is_empty() && !visible::shows_something(&edit.text) {
            return Err(empty());
        }
        let reviewed = Box::pin(self.reviewed_edit(handle, &channel, &message, edit));
        let Edit { text, mentions, data } = reviewed.await?;
        let mentions = match mentions {
            Some(mentions) => Some(self.mentions(handle, &channel, mentions).await?),
            None => None,
        };
        // The review and the store may have taken a long time.
        allowed()?;
        let mut newly = mentions.as_ref().map_or_else(Vec::new, |mentions| mentioned(mentions, author));
        newly.retain(|user| !message.mentions.mean(user));
        let extras = EditExtras::boxed(mentions, data);
        let info = channel.info.clone();
        let reply = self.log(handle, channel, AppendBody::Edit { target: seq, text, extras }).await?;
        self.tell_counts(&info, newly);
        Ok(reply)
    }

    async fn delete(&self, handle: &ConnectionHandle, name: &ChannelName, seq: Seq) -> Result<Reply, Error> {
        let (channel, message) = self.target(handle, name, seq).await?;
        let author = &message.author.id;
        self.policy.authorize(&handle.identity, Action::Write(name))?;
        self.policy.authorize(&handle.identity, Action::Delete { channel: name, seq, author })?;
        let reply = self.log(handle, channel, AppendBody::Delete { target: seq }).await?;
        if !message.attachments.is_empty() {
            self.discarded.notify_one();
        }
        Ok(reply)
    }

    async fn react(
        &self,
        handle: &ConnectionHandle,
        name: &ChannelName,
        seq: Seq,
        emoji: String,
        on: bool,
    ) -> Result<Reply, Error> {
        let (channel, message) = self.target(handle, name, seq).await?;
        self.policy.authorize(&handle.identity, Action::Write(name))?;
        let emoji = spelling(&message, &emoji, on)?;
        let limits =
            ReactionLimits { on_message: self.limits.reactions, of_user: self.limits.reactions_per_user };
        self.log(handle, channel, AppendBody::React { target: seq, emoji, on, limits }).await
    }

    /// Returns the target of a command, if the user may read it and it is not deleted.
    async fn target(
        &self,
        handle: &ConnectionHandle,
        name: &ChannelName,
        seq: Seq,
    ) -> Result<(Arc<Channel>, Message), Error> {
        let Readable { channel, since } = self.readable(&handle.identity, name).await?;
        let message = self.store.message(channel.info.id, seq).await?;
        let message = message.filter(|message| !message.deleted && message.seq >= since);
        Ok((channel, message.ok_or_else(Error::no_such_message)?))
    }

    async fn log(
        &self,
        handle: &ConnectionHandle,
        channel: Arc<Channel>,
        body: AppendBody,
    ) -> Result<Reply, Error> {
        let name = channel.info.name.clone();
        let appended = self.append(handle, channel, body).await?;
        Ok(Reply::Logged(Logged { channel: name, seq: appended.seq }))
    }

    async fn append(
        &self,
        handle: &ConnectionHandle,
        channel: Arc<Channel>,
        body: AppendBody,
    ) -> Result<Appended, Error> {
        self.enqueue(handle, channel, body)?.await
    }

    fn enqueue(
        &self,
        handle: &ConnectionHandle,
        channel: Arc<Channel>,
        body: AppendBody,
    ) -> Result<Pending, Error> {
        let author = handle.identity.user.clone();
        let place = handle.share.enqueue()?;
        self.queue(author, channel, body, Some(place))
    }

    /// Queues an event of a user for the store. `place` is its place in the user's share, if it counts there.
    #[inline]
    pub(crate) fn queue(
        &self,
        author: User,
        channel: Arc<Channel>,
        body: AppendBody,
        place: Option<Waits>,
    ) -> Result<Pending, Error> {
        let mut append = Append::new(channel.info.id, author, body);
        append.checked = place.is_some();
        self.appends.enqueue(channel, append, place).inspect_err(|_| {
            let about = format_args!("append_queue of {} per group", self.limits.append_queue);
            self.monitor.failures.limited("appends are refused, since too many wait for the store", about);
        })
    }
}

/// Returns the spelling of a reaction: the message's own if it has the reaction, otherwise the emoji's normal
/// form. A stored reaction of an earlier version that is not an emoji can still be removed.
fn spelling(message: &Message, text: &str, on: bool) -> Result<String, Error> {
    let normal = emoji::normal_form(text);
    let mut there = message.reactions.iter().map(|reaction| &reaction.emoji);
    let same = |known: &&String| match normal {
        Some(normal) => emoji::normal_form(known) == Some(normal),
        None => !on && **known == text,
    };
    match (there.find(same), normal) {
        (Some(known), _) => Ok(known.clone()),
        (None, Some(normal)) => Ok(normal.to_owned()),
        (None, None) => Err(Error::new(ErrorCode::BadFrame, "a reaction must be exactly one emoji")),
    }
}

pub(crate) fn not_subscribed() -> Error {
    Error::new(ErrorCode::NotSubscribed, "subscribe to the channel first")
}

/// Returns the answer to a publish.
pub(crate) fn published(channel: ChannelName, appended: &Appended) -> Reply {
    let Appended { seq, at, duplicate, .. } = *appended;
    Reply::Published(Published { channel, seq, at, duplicate })
}
