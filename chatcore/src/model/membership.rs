//! Who belongs to a channel, and what follows from it.

use serde::{Deserialize, Deserializer, Serialize};

use crate::model::attachment::FIXED_WEIGHT;
use crate::model::id::{Seq, UserId};
use crate::model::message::User;

/// Who can see a channel. It never changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ChannelKind {
    /// Everybody, whether they have joined it or not.
    #[default]
    Open,
    /// Its members. For others it does not exist.
    Private,
    /// Its people, who are set when it is opened and never change.
    Direct,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Role {
    /// Also rename and archive the channel, remove others, give roles, and add people to a private channel.
    Owner,
    /// Read and write.
    #[default]
    Member,
}

/// What a member wants to be told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Notify {
    /// Every message.
    #[default]
    All,
    /// Messages that mention them.
    Mentions,
    /// Nothing.
    None,
}

/// What a new member of a private channel can read of its past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HistoryAccess {
    /// Everything.
    #[default]
    All,
    /// What has happened since they joined for the last time.
    Joined,
}

/// A member of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// The person.
    pub user: User,
    /// What they may do.
    pub role: Role,
    /// What they want to be told of.
    #[serde(default)]
    pub notify: Notify,
    /// The `seq` of the event that added them for the last time, or 0 if they were there from the start or joined
    /// by themselves.
    #[serde(default)]
    pub since: Seq,
}

impl Member {
    /// Returns a member who was there from the start and wants to be told of every message.
    #[must_use]
    pub fn new(user: User, role: Role) -> Self {
        Self { user, role, notify: Notify::default(), since: 0 }
    }

    /// Sets the event that added them.
    #[must_use]
    pub fn with_since(self, since: Seq) -> Self {
        Self { since, ..self }
    }

    /// Sets what they want to be told of.
    #[must_use]
    pub fn with_notify(self, notify: Notify) -> Self {
        Self { notify, ..self }
    }

    /// Returns the weight, about its bytes in memory: 256, and the UTF-8 bytes of the user's id, name and avatar.
    #[must_use]
    pub fn weight(&self) -> usize {
        let avatar = self.user.avatar().map_or(0, |avatar| avatar.as_str().len());
        FIXED_WEIGHT + self.user.id.as_str().len() + self.user.name.len() + avatar
    }
}

/// What became of a member. Exhaustive on purpose: a store must keep every kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberOp {
    /// Somebody added them.
    Added,
    /// Somebody removed them.
    Removed,
    /// They left.
    Left,
    /// Their role changed.
    Role,
}

impl MemberOp {
    /// Returns whether they are no longer a member afterwards.
    #[must_use]
    pub fn ends_membership(self) -> bool {
        matches!(self, Self::Removed | Self::Left)
    }
}

/// Whom a message mentions. On the wire it is a user's id, `"@channel"` or `"@here"`. Exhaustive on purpose: a
/// store must count every kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Mention {
    /// One person.
    User(UserId),
    /// Everybody who can read the channel.
    Channel,
    /// Those of them who were online when the message was stored.
    Here,
    /// Something that this version does not know. Nobody is mentioned by it.
    Unknown(String),
}

impl Mention {
    /// Returns the mention as it is on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::User(id) => id.as_str(),
            Self::Channel => "@channel",
            Self::Here => "@here",
            Self::Unknown(text) => text,
        }
    }
}

impl From<String> for Mention {
    fn from(text: String) -> Self {
        match text.as_str() {
            "@channel" => Self::Channel,
            "@here" => Self::Here,
            // An id of a user may begin with any sign, but the two above are no ids.
            id => UserId::new(id).map_or_else(|_| Self::Unknown(text), Self::User),
        }
    }
}

impl From<Mention> for String {
    fn from(mention: Mention) -> Self {
        mention.as_str().to_owned()
    }
}

/// The people whom a message mentions, as it is stored.
///
/// `here` is not on the wire: those whom [`Mention::Here`] meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Mentions {
    /// The mentions, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<Mention>,
    /// Who was online in the channel when the message was stored, if `list` has [`Mention::Here`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub here: Vec<UserId>,
}

impl Mentions {
    /// Returns these mentions. `here` are those whom [`Mention::Here`] means.
    #[must_use]
    pub fn new(list: Vec<Mention>, here: Vec<UserId>) -> Self {
        Self { list, here }
    }

    /// Reads them as they are stored, or as the list that is on the wire.
    pub(crate) fn of_either<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            List(Vec<Mention>),
            Stored(Mentions),
        }
        Ok(match Either::deserialize(deserializer)? {
            Either::List(list) => Self { list, here: Vec::new() },
            Either::Stored(mentions) => mentions,
        })
    }

    /// Returns whether nobody is mentioned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns whether `user` is mentioned, provided that they can read the channel.
    #[must_use]
    pub fn mean(&self, user: &UserId) -> bool {
        self.list.iter().any(|mention| match mention {
            Mention::User(id) => id == user,
            Mention::Channel => true,
            Mention::Here => self.here.contains(user),
            Mention::Unknown(_) => false,
        })
    }

    /// Returns the weight, about its bytes in memory: 32 and its bytes for each entry.
    #[must_use]
    pub fn weight(&self) -> usize {
        let list = self.list.iter().map(|mention| 32 + mention.as_str().len()).sum::<usize>();
        list + self.here.iter().map(|user| 32 + user.as_str().len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_reads_as_it_is_written() {
        for text in ["@channel", "@here", "u_ann", "@ann", "not an id"] {
            let mention = Mention::from(text.to_owned());
            assert_eq!(mention.as_str(), text);
            let json = serde_json::to_string(&mention).unwrap();
            assert_eq!(serde_json::from_str::<Mention>(&json).unwrap(), mention);
        }
    }

    #[test]
    fn mentions_mean_those_they_name() {
        let (ann, bob) = (UserId::new("u_ann").unwrap(), UserId::new("u_bob").unwrap());
        let mean = |list: Vec<Mention>, here: Vec<UserId>| {
            let mentions = Mentions::new(list, here);
            (mentions.mean(&ann), mentions.mean(&bob))
        };
        assert_eq!(mean(Vec::new(), Vec::new()), (false, false));
        assert_eq!(mean(vec![Mention::User(ann.clone())], Vec::new()), (true, false));
        assert_eq!(mean(vec![Mention::Channel], Vec::new()), (true, true));
        assert_eq!(mean(vec![Mention::Here], vec![bob.clone()]), (false, true));
        assert_eq!(mean(vec![Mention::Unknown("@all of us".into())], vec![bob.clone()]), (false, false));
    }
}
