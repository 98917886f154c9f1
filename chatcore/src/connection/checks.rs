//! The checks of each command's fields, which make a request of it.

use std::sync::Arc;

use crate::channel::Channel;
use crate::connection::admission::Listing;
use crate::connection::request::{Publish, Request, SearchMark};
use crate::limits::Limits;
use crate::model::emoji;
use crate::model::error::{Error, ErrorCode};
use crate::model::id::{AttachmentId, Nonce, Seq, UserId};
use crate::model::membership::{ChannelKind, Mention};
use crate::model::name::ChannelName;
use crate::model::new_message::NewMessage;
use crate::model::query::{QUERY_CHARS, SearchQuery};
use crate::model::visible;
use crate::protocol::{Command, Draft, History, SearchFrom};

impl Request {
    /// Checks every field of a command. `listing` is where the connection's last list of channels ended.
    pub(super) fn checked(
        limits: &Limits,
        listing: Option<&Listing>,
        command: Command,
    ) -> Result<Self, Error> {
        Ok(match command {
            Command::Channels { after, limit, archived } => Self::Channels {
                archived,
                after: after.map(|after| listed_up_to(listing, &after)).transpose()?,
                limit: up_to(limits.channels_page, limit, 1)?,
            },
            Command::CreateChannel { name, topic, kind, title, members, history } => {
                let topic = checked_topic(limits, topic.as_deref().unwrap_or_default())?;
                match (kind.unwrap_or_default(), name, title) {
                    (ChannelKind::Open, Some(name), None) if members.is_empty() && history.is_none() => {
                        Self::CreateChannel { name: creatable(&name)?, topic }
                    }
                    (ChannelKind::Private, None, Some(title)) => Self::CreatePrivate {
                        title: checked_title(limits, &title)?,
                        topic,
                        history: history.unwrap_or_default(),
                        members: checked_users(members, 0, ADDED_AT_ONCE)?,
                    },
                    _ => {
                        let why = "an open channel has a 'name', and a private one a 'title', which can have 'members' \
                                   and 'history'";
                        return Err(Error::new(ErrorCode::BadFrame, why));
                    }
                }
            }
            Command::OpenDirect { users } => {
                Self::OpenDirect { users: checked_users(users, 0, DIRECT_PEOPLE - 1)? }
            }
            Command::UpdateChannel { channel, title, topic, archived } => Self::UpdateChannel {
                channel: existing(&channel)?,
                title: title.map(|title| checked_title(limits, &title)).transpose()?,
                topic: topic.map(|topic| checked_topic(limits, &topic)).transpose()?,
                archived,
            },
            Command::Members { channel, after, limit } => Self::Members {
                channel: existing(&channel)?,
                after: after.map(|after| checked_user(&after)).transpose()?,
                limit: up_to(limits.members_page, limit, 1)?,
            },
            Command::AddMembers { channel, users } => Self::AddMembers {
                channel: existing(&channel)?,
                users: checked_users(users, 1, ADDED_AT_ONCE)?,
            },
            Command::RemoveMember { channel, user } => {
                Self::RemoveMember { channel: existing(&channel)?, user: checked_user(&user)? }
            }
            Command::Join { channel } => Self::Join { channel: existing(&channel)? },
            Command::Leave { channel } => Self::Leave { channel: existing(&channel)? },
            Command::SetRole { channel, user, role } => {
                Self::SetRole { channel: existing(&channel)?, user: checked_user(&user)?, role }
            }
            Command::SetNotify { channel, notify } => {
                Self::SetNotify { channel: existing(&channel)?, notify }
            }
            Command::Users { query, channel, after, limit } => Self::Users {
                query: checked_query(query)?,
                channel: channel.map(|channel| existing(&channel)).transpose()?,
                after: after.map(|after| checked_user(&after)).transpose()?,
                limit: up_to(limits.users_page, limit, 1)?,
            },
            Command::Subscribe { channel, after, limit } => {
                Self::Subscribe { channel: existing(&channel)?, after, limit: page(limits, limit, 0)? }
            }
            Command::Unsubscribe { channel } => Self::Unsubscribe { channel: existing(&channel)? },
            Command::Publish { channel, nonce, text, attachments, reply_to, mentions, data } => {
                let draft = Draft::new(channel, nonce, text, attachments, reply_to, mentions, data);
                Self::Publish(checked_publish(limits, draft, |_| None)?)
            }
            Command::Edit { channel, seq, text, mentions, data } => Self::Edit {
                channel: existing(&channel)?,
                seq,
                text: checked_text(limits, text)?.into(),
                mentions: mentions.map(|mentions| checked_mentions(limits, mentions)).transpose()?,
                data,
            },
            Command::Delete { channel, seq } => Self::Delete { channel: existing(&channel)?, seq },
            Command::React { channel, seq, emoji, on } => Self::React {
                channel: existing(&channel)?,
                seq,
                emoji: checked_emoji(limits, emoji, on)?,
                on,
            },
            Command::History { channel, before, after, around, limit } => {
                let history = match (before, after, around) {
                    (Some(before), None, None) => History::Before(before),
                    (None, Some(after), None) => History::After(after),
                    (None, None, Some(around)) => History::Around(around),
                    _ => {
                        let why = "'history' needs exactly one of 'before', 'after' and 'around'";
                        return Err(Error::new(ErrorCode::BadFrame, why));
                    }
                };
                Self::History { channel: existing(&channel)?, history, limit: page(limits, limit, 1)? }
            }
            Command::Search { channel, query, before, limit } => {
                let (query, limit) = (SearchQuery::new(&query)?, up_to(limits.search_results, limit, 1)?);
                match (channel, before) {
                    (Some(channel), None) => {
                        Self::Search { channel: existing(&channel)?, query, before: Seq::MAX, limit }
                    }
                    (Some(channel), Some(SearchFrom::Seq(before))) => {
                        Self::Search { channel: existing(&channel)?, query, before, limit }
                    }
                    (None, None) => Self::SearchAll { query, from: None, limit },
                    (None, Some(SearchFrom::Mark(mark))) => {
                        Self::SearchAll { query, from: Some(SearchMark::of(&mark)?), limit }
                    }
                    _ => {
                        let why = "'before' is a 'seq' with a 'channel', and otherwise where the last search has ended";
                        return Err(Error::new(ErrorCode::BadFrame, why));
                    }
                }
            }
            Command::Read { channel, seq } => Self::Read { channel: existing(&channel)?, seq },
            Command::Unread { channel, seq } => Self::Unread { channel: existing(&channel)?, seq },
            Command::Typing { channel } => Self::Typing { channel: existing(&channel)? },
            Command::Ping => Self::Ping,
        })
    }
}

/// Returns the channel's name that `after` is, or that its mark stands for.
fn listed_up_to(listing: Option<&Listing>, after: &str) -> Result<ChannelName, Error> {
    if !after.starts_with('~') {
        return Ok(ChannelName::existing(after)?);
    }
    let listing = listing.filter(|listing| listing.mark() == after);
    listing.map(|listing| listing.after().clone()).ok_or_else(|| {
        let why = "'after' is not the end of this connection's last list: list from the start";
        Error::new(ErrorCode::BadFrame, why)
    })
}

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
pub(crate) fn creatable(name: &str) -> Result<ChannelName, Error> {
    let name = ChannelName::new(name)?;
    let look = name.look();
    if GENERATED.iter().any(|start| look.starts_with(start)) || visible::is_reserved(&look) {
        let why = format!("the channel name {:?} is reserved: choose another", name.as_str());
        return Err(Error::new(ErrorCode::BadName, why));
    }
    Ok(name)
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
