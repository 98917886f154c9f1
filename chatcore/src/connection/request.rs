//! What each command must be before it is carried out. It has no clock.

use std::sync::Arc;

use crate::channel::Channel;
use crate::limits::Limits;
use crate::model::data::Data;
use crate::model::emoji;
use crate::model::error::{Error, ErrorCode};
use crate::model::id::{AttachmentId, Nonce, Position, Seq, UserId};
use crate::model::membership::{HistoryAccess, Mention, Notify, Role};
use crate::model::name::ChannelName;
use crate::model::new_message::NewMessage;
use crate::model::query::{QUERY_CHARS, SearchQuery};
use crate::model::visible;
use crate::protocol::{Draft, History};

/// A command whose every field has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Channels {
        after: Option<ChannelName>,
        archived: bool,
        limit: usize,
    },
    CreateChannel {
        name: ChannelName,
        topic: String,
    },
    CreatePrivate {
        title: String,
        topic: String,
        history: HistoryAccess,
        members: Vec<UserId>,
    },
    OpenDirect {
        users: Vec<UserId>,
    },
    UpdateChannel {
        channel: ChannelName,
        title: Option<String>,
        topic: Option<String>,
        archived: Option<bool>,
    },
    Members {
        channel: ChannelName,
        after: Option<UserId>,
        limit: usize,
    },
    AddMembers {
        channel: ChannelName,
        users: Vec<UserId>,
    },
    RemoveMember {
        channel: ChannelName,
        user: UserId,
    },
    Join {
        channel: ChannelName,
    },
    Leave {
        channel: ChannelName,
    },
    SetRole {
        channel: ChannelName,
        user: UserId,
        role: Role,
    },
    SetNotify {
        channel: ChannelName,
        notify: Notify,
    },
    Users {
        query: String,
        channel: Option<ChannelName>,
        after: Option<UserId>,
        limit: usize,
    },
    Subscribe {
        channel: ChannelName,
        after: Option<Position>,
        limit: usize,
    },
    Unsubscribe {
        channel: ChannelName,
    },
    /// Boxed, since the most frequent command would be the largest.
    Publish(Box<Publish>),
    Edit {
        channel: ChannelName,
        seq: Seq,
        text: Arc<str>,
        mentions: Option<Vec<Mention>>,
        data: Option<Data>,
    },
    Delete {
        channel: ChannelName,
        seq: Seq,
    },
    React {
        channel: ChannelName,
        seq: Seq,
        emoji: String,
        on: bool,
    },
    History {
        channel: ChannelName,
        history: History,
        limit: usize,
    },
    Search {
        channel: ChannelName,
        query: SearchQuery,
        before: Seq,
        limit: usize,
    },
    SearchAll {
        query: SearchQuery,
        from: Option<SearchMark>,
        limit: usize,
    },
    Read {
        channel: ChannelName,
        seq: Seq,
    },
    Unread {
        channel: ChannelName,
        seq: Seq,
    },
    Typing {
        channel: ChannelName,
    },
    Ping,
}

impl Request {
    /// Returns the log's text for a failure of the command.
    pub(crate) fn failed(&self) -> &'static str {
        match self {
            Self::Channels { .. } => "channels failed",
            Self::CreateChannel { .. } | Self::CreatePrivate { .. } => "create_channel failed",
            Self::OpenDirect { .. } => "open_direct failed",
            Self::UpdateChannel { .. } => "update_channel failed",
            Self::Members { .. } => "members failed",
            Self::AddMembers { .. } => "add_members failed",
            Self::RemoveMember { .. } => "remove_member failed",
            Self::Join { .. } => "join failed",
            Self::Leave { .. } => "leave failed",
            Self::SetRole { .. } => "set_role failed",
            Self::SetNotify { .. } => "set_notify failed",
            Self::Users { .. } => "users failed",
            Self::Subscribe { .. } => "subscribe failed",
            Self::Unsubscribe { .. } => "unsubscribe failed",
            Self::Publish(_) => "publish failed",
            Self::Edit { .. } => "edit failed",
            Self::Delete { .. } => "delete failed",
            Self::React { .. } => "react failed",
            Self::History { .. } => "history failed",
            Self::Search { .. } | Self::SearchAll { .. } => "search failed",
            Self::Read { .. } => "read failed",
            Self::Unread { .. } => "unread failed",
            Self::Typing { .. } => "typing failed",
            Self::Ping => "ping failed",
        }
    }

    /// Returns whether the answer is a list, with as many bytes as the stored texts take.
    pub(crate) fn has_large_answer(&self) -> bool {
        matches!(
            self,
            Self::Channels { .. }
                | Self::Subscribe { .. }
                | Self::History { .. }
                | Self::Search { .. }
                | Self::SearchAll { .. }
        )
    }

    /// Returns the existing channel that the command names.
    pub(crate) fn existing(&mut self) -> Option<&mut ChannelName> {
        match self {
            Self::Subscribe { channel, .. }
            | Self::Unsubscribe { channel }
            | Self::Edit { channel, .. }
            | Self::Delete { channel, .. }
            | Self::React { channel, .. }
            | Self::History { channel, .. }
            | Self::Search { channel, .. }
            | Self::Read { channel, .. }
            | Self::Unread { channel, .. }
            | Self::Typing { channel }
            | Self::UpdateChannel { channel, .. }
            | Self::Members { channel, .. }
            | Self::AddMembers { channel, .. }
            | Self::RemoveMember { channel, .. }
            | Self::Join { channel }
            | Self::Leave { channel }
            | Self::SetRole { channel, .. }
            | Self::SetNotify { channel, .. } => Some(channel),
            Self::Publish(publish) => Some(&mut publish.channel),
            Self::Users { channel, .. } => channel.as_mut(),
            Self::Channels { .. }
            | Self::CreateChannel { .. }
            | Self::CreatePrivate { .. }
            | Self::OpenDirect { .. }
            | Self::SearchAll { .. }
            | Self::Ping => None,
        }
    }

    /// Returns the channel that the answer is about.
    pub(crate) fn reads(&self) -> Option<&ChannelName> {
        match self {
            Self::Subscribe { channel, .. }
            | Self::History { channel, .. }
            | Self::Search { channel, .. }
            | Self::Read { channel, .. }
            | Self::Unread { channel, .. }
            | Self::Members { channel, .. } => Some(channel),
            Self::Users { channel, .. } => channel.as_ref(),
            _ => None,
        }
    }
}

/// A checked `publish`.
#[derive(Clone, Debug)]
pub(crate) struct Publish {
    pub(crate) channel: ChannelName,
    /// The channel, if it was found in memory, so that it is looked up once.
    pub(crate) loaded: Option<Arc<Channel>>,
    pub(crate) message: NewMessage,
}

/// What is asked is the same wherever the channel was.
impl PartialEq for Publish {
    fn eq(&self, other: &Self) -> bool {
        (&self.channel, &self.message) == (&other.channel, &other.message)
    }
}

impl Eq for Publish {}

/// Checks a publish. `find` returns a channel with this name that is in memory.
pub(super) fn checked_publish(
    limits: &Limits,
    draft: Draft<'_>,
    find: impl FnOnce(&str) -> Option<Arc<Channel>>,
) -> Result<Box<Publish>, Error> {
    let Draft { channel, nonce, text, attachments, reply_to, mentions, data, .. } = draft;
    let loaded = find(&channel);
    let channel = match &loaded {
        Some(loaded) => loaded.info.name.clone(),
        None => existing(&channel)?,
    };
    let nonce = Nonce::new(nonce).map_err(|e| Error::new(ErrorCode::BadFrame, e.to_string()))?;
    check_content(limits, &text, attachments.len())?;
    let attachments = match attachments.is_empty() {
        // Most messages have none.
        true => Vec::new(),
        false => attachments
            .into_iter()
            .map(|id| AttachmentId::new(id).map_err(|_| Error::no_such_attachment()))
            .collect::<Result<_, _>>()?,
    };
    let (text, mentions) = (checked_text(limits, text)?.into(), checked_mentions(limits, mentions)?);
    let (kind, edits) = (None, None);
    let message = NewMessage { nonce, text, attachments, reply_to, mentions, data, kind, edits };
    Ok(Box::new(Publish { channel, loaded, message }))
}

/// Checks the number of mentions, and drops those that say nothing or the same.
pub(crate) fn checked_mentions(limits: &Limits, mentions: Vec<Mention>) -> Result<Vec<Mention>, Error> {
    if mentions.is_empty() {
        return Ok(mentions);
    }
    let most = limits.mentions;
    if mentions.len() > most {
        return Err(Error::new(ErrorCode::TooLarge, format!("a message can mention at most {most} people")));
    }
    let mut list: Vec<Mention> = Vec::with_capacity(mentions.len());
    for mention in mentions {
        if !matches!(mention, Mention::Unknown(_)) && !list.contains(&mention) {
            list.push(mention);
        }
    }
    Ok(list)
}

/// The most people who are added at once.
pub(crate) const ADDED_AT_ONCE: usize = 50;

/// The most people of a direct channel.
pub(crate) const DIRECT_PEOPLE: usize = 9;

/// Checks ids of users, and drops those that are there twice.
pub(super) fn checked_users(users: Vec<String>, least: usize, most: usize) -> Result<Vec<UserId>, Error> {
    if !(least..=most).contains(&users.len()) {
        return Err(Error::new(ErrorCode::BadFrame, format!("'users' must be {least} to {most}")));
    }
    let mut ids: Vec<UserId> = Vec::with_capacity(users.len());
    for user in users {
        let id = checked_user(&user)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Checks the id of a user. An invalid id means that nobody has it.
pub(super) fn checked_user(user: &str) -> Result<UserId, Error> {
    UserId::new(user).map_err(|_| Error::no_such_user())
}

/// Checks a channel's title.
pub(crate) fn checked_title(limits: &Limits, title: &str) -> Result<String, Error> {
    let most = limits.title_chars;
    // Folding can shorten a text only so much. This bounds the work on a hostile text.
    let shown = if title.len() > 64 * most { title.to_owned() } else { visible::one_line(title) };
    if shown.is_empty() || shown.chars().count() > most {
        let why = format!("a title must have 1 to {most} visible characters");
        return Err(Error::new(ErrorCode::BadName, why));
    }
    Ok(shown)
}

/// Checks what people are to be found by.
pub(super) fn checked_query(query: Option<String>) -> Result<String, Error> {
    let query = query.unwrap_or_default();
    if query.chars().count() > QUERY_CHARS {
        let why = format!("a search can have at most {QUERY_CHARS} characters");
        return Err(Error::new(ErrorCode::TooLarge, why));
    }
    without_nul(query)
}

/// Where a search over all channels goes on: before a message of this channel, and then in the channels after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SearchMark {
    pub(crate) channel: ChannelName,
    pub(crate) before: Seq,
}

impl SearchMark {
    /// Returns the mark as it is on the wire.
    pub(crate) fn text(&self) -> String {
        format!("{}/{}", self.before, self.channel)
    }

    pub(super) fn of(text: &str) -> Result<Self, Error> {
        let mark = text.split_once('/').and_then(|(before, channel)| {
            Some(Self { before: before.parse().ok()?, channel: ChannelName::existing(channel).ok()? })
        });
        mark.ok_or_else(|| Error::new(ErrorCode::BadFrame, "'before' is not where a search has ended"))
    }
}

/// Checks that a message has something to show, and not too many attachments.
pub(crate) fn check_content(limits: &Limits, text: &str, attachments: usize) -> Result<(), Error> {
    let most = limits.attachments;
    if attachments > most {
        let why = format!("a message can have at most {most} attachments");
        return Err(Error::new(ErrorCode::TooLarge, why));
    }
    if attachments == 0 && !visible::shows_something(text) {
        return Err(empty());
    }
    Ok(())
}

pub(crate) fn checked_text<T: AsRef<str>>(limits: &Limits, text: T) -> Result<T, Error> {
    let (most, shown) = (limits.text_chars, text.as_ref());
    if shown.len() > most && shown.chars().count() > most {
        return Err(Error::new(ErrorCode::TooLarge, format!("a message can have at most {most} characters")));
    }
    without_nul(text)
}

pub(crate) fn checked_topic(limits: &Limits, topic: &str) -> Result<String, Error> {
    let most = limits.topic_chars;
    // Folding can shorten a text only so much. This bounds the work on a hostile text.
    let topic = if topic.len() > 64 * most { topic.to_owned() } else { visible::one_line(topic) };
    if topic.chars().count() > most {
        return Err(Error::new(ErrorCode::TooLarge, format!("a topic can have at most {most} characters")));
    }
    Ok(topic)
}

pub(super) fn checked_emoji(limits: &Limits, emoji: String, on: bool) -> Result<String, Error> {
    if emoji.trim().is_empty() {
        return Err(Error::new(ErrorCode::Empty, "a reaction must have an emoji"));
    }
    if emoji.len() > limits.emoji_bytes {
        return Err(Error::new(ErrorCode::TooLarge, "that is too long for an emoji"));
    }
    // A stored reaction of an earlier version that is not an emoji can be removed.
    if on && emoji::normal_form(&emoji).is_none() {
        return Err(Error::new(ErrorCode::BadFrame, "a reaction must be exactly one emoji"));
    }
    Ok(emoji)
}

pub(super) fn page(limits: &Limits, limit: Option<u32>, least: usize) -> Result<usize, Error> {
    up_to(limits.page_messages, limit, least)
}

/// Checks a `limit`. Without one, the result is `most`.
pub(super) fn up_to(most: usize, limit: Option<u32>, least: usize) -> Result<usize, Error> {
    let Some(limit) = limit else { return Ok(most) };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if (least..=most).contains(&limit) {
        Ok(limit)
    } else {
        Err(Error::new(ErrorCode::BadFrame, format!("'limit' must be {least} to {most}")))
    }
}

/// The beginnings of names that the service generates.
const GENERATED: [&str; 2] = ["pr.", "dm."];

/// Checks the name of a channel that a user wants to create.
pub(super) fn creatable(name: &str) -> Result<ChannelName, Error> {
    let name = ChannelName::new(name)?;
    check_creatable(&name)?;
    Ok(name)
}

/// Refuses a name that is reserved.
pub(crate) fn check_creatable(name: &ChannelName) -> Result<(), Error> {
    let look = name.look();
    if GENERATED.iter().any(|start| look.starts_with(start)) || visible::is_reserved(&look) {
        let why = format!("the channel name {:?} is reserved: choose another", name.as_str());
        return Err(Error::new(ErrorCode::BadName, why));
    }
    Ok(())
}

/// Checks the name of an existing channel. An invalid name means that there is no such channel.
pub(super) fn existing(name: &str) -> Result<ChannelName, Error> {
    ChannelName::existing(name).map_err(|_| Error::no_such_channel())
}

pub(super) fn empty() -> Error {
    Error::new(ErrorCode::Empty, "a message must have visible text or an attachment")
}

/// Refuses U+0000, which some stores can't store.
fn without_nul<T: AsRef<str>>(text: T) -> Result<T, Error> {
    // To the end and without a branch, so that the compiler compares many bytes at once.
    if text.as_ref().bytes().fold(false, |found, byte| found | (byte == 0)) {
        return Err(Error::new(ErrorCode::BadFrame, "text can't contain U+0000"));
    }
    Ok(text)
}
