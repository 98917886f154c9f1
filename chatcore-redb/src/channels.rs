//! The channels: how they are created and changed inside a write transaction.

use chatcore::store::{
    ChannelInfo, ChannelKind, Created, HistoryAccess, Member, NewPrivate, Role, StoreError,
};
use chatcore::{ChannelId, ChannelName, Timestamp, User};
use redb::{ReadableTable, ReadableTableMetadata};

use crate::error::TransactionError;
use crate::log::Changes;
use crate::schema::{EVERYBODY, Log, decode, encode};

/// Why a channel is not created.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The name is taken.
    NameTaken,
    /// Somebody in it was erased.
    Erased,
}

impl From<Refused> for StoreError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NameTaken => Self::new("a channel has that name already"),
            Refused::Erased => Self::new("the user was erased"),
        }
    }
}

impl Changes<'_> {
    pub(crate) fn channel(&self, id: ChannelId) -> Result<Option<ChannelInfo>, TransactionError> {
        self.tables.channels.read()?.get(id.0)?.map(|row| decode(row.value())).transpose()
    }

    /// Returns the channel that an index names.
    fn indexed(&self, id: u64) -> Result<ChannelInfo, TransactionError> {
        self.channel(ChannelId(id))?.ok_or(TransactionError::Broken("invalid row: an index has no channel"))
    }

    pub(crate) fn create_channel(
        &mut self,
        name: ChannelName,
        topic: String,
        by: User,
        now: Timestamp,
        most: usize,
    ) -> Result<Result<Option<Created>, Refused>, TransactionError> {
        let spelt = self.tables.names.read()?.get(name.as_str())?.map(|row| row.value());
        let taken = match spelt {
            Some(id) => Some(id),
            None => self.tables.looks.read()?.get(name.look().as_str())?.map(|row| row.value()),
        };
        if let Some(id) = taken {
            return Ok(Ok(Some(Created::Exists(self.indexed(id)?))));
        }
        if self.is_erased(&by.id)? {
            return Ok(Err(Refused::Erased));
        }
        let Some(id) = self.next_channel(most)? else { return Ok(Ok(None)) };
        let info = ChannelInfo::new(id, name, now, by).with_topic(topic);
        self.enter_channel(&info, std::slice::from_ref(&info.created_by))?;
        Ok(Ok(Some(Created::New(info))))
    }

    /// Creates a private channel, unless there are `most` channels.
    pub(crate) fn create_private(
        &mut self,
        new: NewPrivate,
        by: User,
        now: Timestamp,
        most: usize,
    ) -> Result<Result<Option<ChannelInfo>, Refused>, TransactionError> {
        if self.is_erased(&by.id)? {
            return Ok(Err(Refused::Erased));
        }
        if self.is_taken(&new.name)? {
            return Ok(Err(Refused::NameTaken));
        }
        let Some(id) = self.next_channel(most)? else { return Ok(Ok(None)) };
        let info = ChannelInfo::new(id, new.name, now, by).with_title(new.title).with_topic(new.topic);
        let info = info.with_kind(ChannelKind::Private, new.history);
        self.enter_channel(&info, std::slice::from_ref(&info.created_by))?;
        Ok(Ok(Some(info)))
    }

    /// Returns the direct channel of `people`, or creates it under `name` unless there are `most` channels.
    pub(crate) fn open_direct(
        &mut self,
        name: ChannelName,
        people: &[User],
        by: User,
        now: Timestamp,
        most: usize,
    ) -> Result<Result<Option<Created>, Refused>, TransactionError> {
        let mut ids: Vec<_> = people.iter().map(|user| user.id.as_str()).collect();
        ids.sort_unstable();
        let ids = ids.join(" ");
        let known = self.tables.directs.read()?.get(ids.as_str())?.map(|row| row.value());
        if let Some(id) = known {
            return Ok(Ok(Some(Created::Exists(self.indexed(id)?))));
        }
        for user in people {
            if self.is_erased(&user.id)? {
                return Ok(Err(Refused::Erased));
            }
        }
        if self.is_taken(&name)? {
            return Ok(Err(Refused::NameTaken));
        }
        let Some(id) = self.next_channel(most)? else { return Ok(Ok(None)) };
        let info = ChannelInfo::new(id, name, now, by).with_title("");
        let info = info.with_kind(ChannelKind::Direct, HistoryAccess::All);
        self.enter_channel(&info, people)?;
        self.tables.directs.write()?.insert(ids.as_str(), id.0)?;
        Ok(Ok(Some(Created::New(info))))
    }

    fn is_taken(&self, name: &ChannelName) -> Result<bool, TransactionError> {
        Ok(self.tables.names.read()?.get(name.as_str())?.is_some())
    }

    /// Returns the id of the channel that is created next, or `None` if there are `most` channels.
    fn next_channel(&self, most: usize) -> Result<Option<ChannelId>, TransactionError> {
        if self.tables.names.read()?.len()? >= most as u64 {
            return Ok(None);
        }
        let last = self.tables.channels.read()?.last()?.map_or(0, |(id, _)| id.value());
        Ok(Some(ChannelId(last + 1)))
    }

    /// Stores a new channel with an empty log and its first members. They own it, unless it is a direct one.
    fn enter_channel(&mut self, info: &ChannelInfo, people: &[User]) -> Result<(), TransactionError> {
        let id = info.id.0;
        self.put_channel(info)?;
        self.tables.names.write()?.insert(info.name.as_str(), id)?;
        let look = info.name.look();
        if self.tables.looks.read()?.get(look.as_str())?.is_none() {
            self.tables.looks.write()?.insert(look.as_str(), id)?;
        }
        self.tables.logs.write()?.insert(id, encode(&Log::new())?.as_slice())?;
        self.enter_list(info)?;
        self.note_place(&info.created_by.id, info.id)?;
        let role = if info.kind == ChannelKind::Direct { Role::Member } else { Role::Owner };
        for user in people {
            self.put_member(info, &Member::new(user.clone(), role))?;
        }
        Ok(())
    }

    /// Enters a channel in the list of everybody, if it is an open one.
    pub(crate) fn enter_list(&mut self, info: &ChannelInfo) -> Result<(), TransactionError> {
        if info.kind == ChannelKind::Open {
            let key = (EVERYBODY, info.archived, info.name.as_str());
            self.tables.lists.write()?.insert(key, info.id.0)?;
        }
        Ok(())
    }

    fn put_channel(&mut self, info: &ChannelInfo) -> Result<(), TransactionError> {
        self.tables.channels.write()?.insert(info.id.0, encode(info)?.as_slice())?;
        let restricted = self.tables.restricted.write()?;
        if info.kind != ChannelKind::Open || info.archived {
            restricted.insert(info.id.0, ())?;
        } else {
            restricted.remove(info.id.0)?;
        }
        Ok(())
    }

    /// Changes a channel. What is `None` stays.
    pub(crate) fn change_channel(
        &mut self,
        channel: ChannelId,
        title: Option<&str>,
        topic: Option<&str>,
        archived: Option<bool>,
    ) -> Result<(), TransactionError> {
        let mut info = self.indexed(channel.0)?;
        if let Some(title) = title {
            title.clone_into(&mut info.title);
        }
        if let Some(topic) = topic {
            topic.clone_into(&mut info.topic);
        }
        if let Some(archived) = archived.filter(|archived| *archived != info.archived) {
            self.move_in_lists(&info, archived)?;
            info.archived = archived;
        }
        self.put_channel(&info)
    }

    /// Moves a channel between the archived ones and the others, in the list of everybody who has it there.
    fn move_in_lists(&mut self, info: &ChannelInfo, archived: bool) -> Result<(), TransactionError> {
        let users = match info.kind {
            ChannelKind::Open => vec![EVERYBODY.to_owned()],
            _ => self.member_ids(info.id)?,
        };
        let lists = self.tables.lists.write()?;
        for user in &users {
            lists.remove((user.as_str(), info.archived, info.name.as_str()))?;
            lists.insert((user.as_str(), archived, info.name.as_str()), info.id.0)?;
        }
        Ok(())
    }
}
