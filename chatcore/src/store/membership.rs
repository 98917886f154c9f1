//! Who belongs to which channel.

use async_trait::async_trait;
use unicode_normalization::char::is_combining_mark;

use super::{AppendError, ChannelInfo, Created, PageLimit, StoreError};
use crate::model::append::{Append, AppendBody};
use crate::model::id::{ChannelId, UserId};
use crate::model::membership::{ChannelKind, HistoryAccess, Member, MemberOp, Notify, Role};
use crate::model::message::User;
use crate::model::name::ChannelName;
use crate::model::visible;

/// A private channel to create.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewPrivate {
    /// Its key, which the engine has generated.
    pub name: ChannelName,
    /// What people see.
    pub title: String,
    /// The topic. May be empty.
    pub topic: String,
    /// What a new member can read of its past.
    pub history: HistoryAccess,
}

impl NewPrivate {
    /// Returns a private channel without a topic, whose new members can read everything.
    #[must_use]
    pub fn new(name: ChannelName, title: impl Into<String>) -> Self {
        Self { name, title: title.into(), topic: String::new(), history: HistoryAccess::All }
    }

    /// Sets the topic.
    #[must_use]
    pub fn with_topic(self, topic: impl Into<String>) -> Self {
        Self { topic: topic.into(), ..self }
    }

    /// Sets what a new member can read of its past.
    #[must_use]
    pub fn with_history(self, history: HistoryAccess) -> Self {
        Self { history, ..self }
    }
}

/// A page of a channel's members, by user id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberPage {
    /// The members.
    pub members: Vec<Member>,
    /// Whether there are more after them.
    pub more: bool,
}

impl MemberPage {
    /// Returns a page of these members. `more` says whether there are others after them.
    #[must_use]
    pub fn new(members: Vec<Member>, more: bool) -> Self {
        Self { members, more }
    }
}

/// A channel as one user has it in their list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listed {
    /// The channel.
    pub info: ChannelInfo,
    /// The user's membership, or `None` for an open channel that they have not joined.
    pub member: Option<Member>,
    /// How many members it has.
    pub members: u64,
    /// The people of a direct channel, the user included, by user id. Empty for any other.
    pub users: Vec<User>,
}

impl Listed {
    /// Returns a channel as a user has it who is this member, if any.
    #[must_use]
    pub fn new(info: ChannelInfo, member: Option<Member>, members: u64) -> Self {
        Self { info, member, members, users: Vec::new() }
    }

    /// Sets the people of a direct channel.
    #[must_use]
    pub fn with_users(self, users: Vec<User>) -> Self {
        Self { users, ..self }
    }

    /// Returns the weight: that of the channel, and for each of its people that of [`UserPage::weight_of`].
    #[must_use]
    pub fn weight(&self) -> usize {
        self.info.weight() + self.users.iter().map(UserPage::weight_of).sum::<usize>()
    }
}

/// A page of a user's channels, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedPage {
    /// The channels.
    pub channels: Vec<Listed>,
    /// Whether there are more after them.
    pub more: bool,
}

impl ListedPage {
    /// Returns a page of these channels. `more` says whether there are others after them.
    #[must_use]
    pub fn new(channels: Vec<Listed>, more: bool) -> Self {
        Self { channels, more }
    }
}

/// A page of users, by user id.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserPage {
    /// The users.
    pub users: Vec<User>,
    /// Whether there are more after them.
    pub more: bool,
}

impl UserPage {
    /// Returns a page of these users. `more` says whether there are others after them.
    #[must_use]
    pub fn new(users: Vec<User>, more: bool) -> Self {
        Self { users, more }
    }

    /// Returns the weight of a user on a page, about its bytes in memory: 64, and the UTF-8 bytes of id, name and
    /// avatar.
    #[must_use]
    pub fn weight_of(user: &User) -> usize {
        let avatar = user.avatar().map_or(0, |avatar| avatar.as_str().len());
        64 + user.id.as_str().len() + user.name.len() + avatar
    }
}

/// Returns whether a person's name matches what somebody types to find them: the name, or one of its words, begins with
/// it. Both are compared as [folded](visible::fold).
#[must_use]
pub fn name_matches(name: &str, query: &str) -> bool {
    let (name, query) = (visible::fold(name), visible::fold(query.trim()));
    query.is_empty() || name_words(&name).any(|word| word.starts_with(&query))
}

/// Returns a [folded](visible::fold) name from its beginning on, and from the beginning of each of its words on: a letter
/// or digit after another sign. A mark belongs to the letter before it. A store that finds people by an index has these in it.
pub fn name_words(folded: &str) -> impl Iterator<Item = &str> {
    let is_start = move |(at, c): &(usize, char)| {
        let before = folded[..*at].chars().next_back();
        let ends_word = |before: char| !before.is_alphanumeric() && !is_combining_mark(before);
        before.is_none_or(|before| c.is_alphanumeric() && ends_word(before))
    };
    folded.char_indices().filter(is_start).map(|(at, _)| &folded[at..])
}

/// The outcome of [`Membership::leave_open`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Leaving {
    /// The user is no longer a member.
    Left,
    /// The user was no member.
    NotAMember,
    /// The user is the last owner, and others remain.
    LastOwner,
}

/// What a store knows of a channel's members when it [judges](judge) an append.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Standing<'a> {
    /// The author's membership.
    pub author: Option<&'a Member>,
    /// The membership of the person whom a change of the members is about.
    pub subject: Option<&'a Member>,
    /// How many members the channel has.
    pub members: usize,
    /// How many owners it has.
    pub owners: usize,
    /// Whether the author was [erased](super::Erasures).
    pub author_erased: bool,
    /// Whether the person whom a change of the members is about was erased.
    pub subject_erased: bool,
}

impl<'a> Standing<'a> {
    /// Returns what a store knows.
    #[must_use]
    pub fn new(
        author: Option<&'a Member>,
        subject: Option<&'a Member>,
        members: usize,
        owners: usize,
    ) -> Self {
        Self { author, subject, members, owners, author_erased: false, subject_erased: false }
    }

    /// Sets whether the author was erased, and the person whom a change of the members is about.
    #[must_use]
    pub fn with_erased(self, author: bool, subject: bool) -> Self {
        Self { author_erased: author, subject_erased: subject, ..self }
    }
}

/// Decides whether a channel and its members allow an append: the rules of every store. A store may answer what it
/// allows without asking, and [what needs no standing](needs_standing) with one that only says who was erased.
///
/// # Errors
/// The [`AppendError`] of an append that is refused.
pub fn judge(append: &Append, info: &ChannelInfo, standing: Standing<'_>) -> Result<(), AppendError> {
    let Standing { author, subject, members, owners, author_erased, subject_erased } = standing;
    let is_gone =
        subject_erased && !matches!(&append.body, AppendBody::Member { op, .. } if op.ends_membership());
    if is_gone || (author_erased && !append.body.suits_erased()) {
        return Err(AppendError::Erased);
    }
    let is_owner = author.is_some_and(|member| member.role == Role::Owner);
    if append.checked && info.kind != ChannelKind::Open && author.is_none() {
        return Err(AppendError::NoSuchChannel);
    }
    let needs_owner = match &append.body {
        AppendBody::Member { op: MemberOp::Added, .. } => info.kind != ChannelKind::Open,
        AppendBody::Member { op: MemberOp::Left, .. } => false,
        AppendBody::Member { .. } | AppendBody::Change { .. } => true,
        _ => false,
    };
    // Nobody owns a direct channel.
    if append.checked && needs_owner && !is_owner {
        return Err(AppendError::NotAllowed);
    }
    // The last owner of an archive may be erased, too.
    if info.archived && !append.body.suits_archive() && !author_erased {
        return Err(AppendError::Archived);
    }
    match &append.body {
        AppendBody::Member { .. } if info.kind == ChannelKind::Direct => Err(AppendError::NotAllowed),
        AppendBody::Member { op, role, most, .. } => {
            let Some(subject) = subject else {
                return match op {
                    MemberOp::Added if members >= *most => Err(AppendError::TooManyMembers { most: *most }),
                    MemberOp::Added => Ok(()),
                    _ => Err(AppendError::NotAMember),
                };
            };
            let is_last = subject.role == Role::Owner && owners <= 1;
            match op {
                MemberOp::Added => Err(AppendError::Unchanged),
                MemberOp::Role if subject.role == *role => Err(AppendError::Unchanged),
                MemberOp::Role if is_last => Err(AppendError::LastOwner),
                MemberOp::Removed | MemberOp::Left if is_last && members > 1 => Err(AppendError::LastOwner),
                _ => Ok(()),
            }
        }
        AppendBody::Change { title, topic, archived } => {
            let changes = title.as_ref().is_some_and(|title| *title != info.title)
                || topic.as_ref().is_some_and(|topic| *topic != info.topic)
                || archived.is_some_and(|archived| archived != info.archived);
            if changes { Ok(()) } else { Err(AppendError::Unchanged) }
        }
        _ => Ok(()),
    }
}

/// Returns whether [`judge`] looks at the members for this append to a channel of this kind.
#[must_use]
pub fn needs_standing(append: &Append, kind: ChannelKind) -> bool {
    match &append.body {
        AppendBody::Member { .. } => true,
        AppendBody::Change { .. } => append.checked,
        _ => append.checked && kind != ChannelKind::Open,
    }
}

/// Who belongs to which channel.
///
/// In a private channel members come and go by [`AppendBody::Member`](super::AppendBody::Member): the log and the
/// members change in one transaction. A direct channel has its people from the start. An open channel needs nobody:
/// its members are those who have it in their list.
///
/// # Laws
/// - After an [append](super::EventStore::append) with a member's removal was acknowledged, no call on any handle
///   returns them as a member.
/// - A private channel with members has an owner.
/// - Of simultaneous calls for the same people, one opens their direct channel, and all get it.
#[async_trait]
pub trait Membership: Send + Sync + 'static {
    /// Creates a private channel with an empty log and a new epoch, whose owner and only member is `by`. Returns `None`
    /// if there are `most` channels.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written, or if the name is taken.
    async fn create_private_within(
        &self,
        new: &NewPrivate,
        by: &User,
        most: usize,
    ) -> Result<Option<ChannelInfo>, StoreError>;

    /// Returns the direct channel of exactly these people, and creates it under `name` if there is none, with all of
    /// them as members. Returns `None` if there is none and there are `most` channels. `people` are one or more, in any
    /// order, each once, and include `by`.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written, or if the name is taken.
    async fn open_direct_within(
        &self,
        name: &ChannelName,
        people: &[User],
        by: &User,
        most: usize,
    ) -> Result<Option<Created>, StoreError>;

    /// Returns a user's membership in a channel.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn member(&self, channel: ChannelId, user: &UserId) -> Result<Option<Member>, StoreError>;

    /// Returns a page of a channel's members whose ids come after `after`, or of all, by user id. Ids are compared byte
    /// by byte. Their names and avatars are those that were [stored](super::Directory::put_user) last.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read. A channel that does not exist has no members.
    async fn members(
        &self,
        channel: ChannelId,
        after: Option<&UserId>,
        limit: PageLimit,
    ) -> Result<MemberPage, StoreError>;

    /// Returns a channel as a user has it in their list, or `None` if it does not exist, or if it is private or direct
    /// and the user is no member.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn listed(&self, user: &UserId, channel: ChannelId) -> Result<Option<Listed>, StoreError>;

    /// Returns a page of the channels that a user can see, whose names come after `after`, or of all, by name: open
    /// ones, and private and direct ones of which the user is a member. Names are compared byte by byte. Archived
    /// channels are left out unless `archived`. The page is bounded by [`Listed::weight`].
    ///
    /// The cost is that of the channels on the page, however many others there are.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn channels_of(
        &self,
        user: &UserId,
        after: Option<&ChannelName>,
        archived: bool,
        limit: PageLimit,
    ) -> Result<ListedPage, StoreError>;

    /// Enters a user in an open channel's members, unless they are there, and returns whether they are new. Nothing is
    /// appended to the log. A channel of another kind stays as it is.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written or has no such channel.
    async fn join_open(&self, channel: ChannelId, user: &User) -> Result<bool, StoreError>;

    /// Removes a user from an open channel's members. Nothing is appended to the log. A channel of another kind stays
    /// as it is: the answer is [`Leaving::NotAMember`].
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written or has no such channel.
    async fn leave_open(&self, channel: ChannelId, user: &UserId) -> Result<Leaving, StoreError>;

    /// Sets what a member wants to be told of. Returns false if the user is no member.
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be written.
    async fn set_notify(&self, channel: ChannelId, user: &UserId, notify: Notify)
    -> Result<bool, StoreError>;

    /// Returns a page of the [stored](super::Directory::put_user) users whose ids come after `after`, or of all, by
    /// user id, whose names match `query` ([`name_matches`]). Everybody matches an empty query. The page is bounded by
    /// [`UserPage::weight_of`].
    ///
    /// # Errors
    /// [`StoreError`] if the store can't be read.
    async fn find_users(
        &self,
        query: &str,
        after: Option<&UserId>,
        limit: PageLimit,
    ) -> Result<UserPage, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_by_the_beginning_of_any_of_its_words() {
        for (name, query, expected) in [
            ("Ann Lee", "", true),
            ("Ann Lee", "an", true),
            ("Ann Lee", "LEE", true),
            ("Ann Lee", "ann l", true),
            ("Ann Lee", "nn", false),
            ("Ann Lee", "lee ann", false),
            ("Jean-Luc", "luc", true),
            ("Straße", "strass", true),
            ("安娜", "安", true),
            ("Jörg Müller", "mül", true),
            ("Jörg Müller", "ller", false),
        ] {
            assert_eq!(name_matches(name, query), expected, "{query} in {name}");
        }
    }
}
