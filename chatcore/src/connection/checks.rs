//! What becomes of a command whose fields are all valid: a request.

use crate::connection::admission::Listing;
use crate::connection::request::{
    ADDED_AT_ONCE, DIRECT_PEOPLE, Request, SearchMark, checked_emoji, checked_mentions, checked_publish,
    checked_query, checked_text, checked_title, checked_topic, checked_user, checked_users, creatable,
    existing, page, up_to,
};
use crate::limits::Limits;
use crate::model::error::{Error, ErrorCode};
use crate::model::id::Seq;
use crate::model::membership::ChannelKind;
use crate::model::name::ChannelName;
use crate::model::query::SearchQuery;
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
