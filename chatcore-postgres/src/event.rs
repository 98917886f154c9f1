//! The log's rows: how an event is stored, and how a row is read as an event or as a message.

use chatcore::store::{AppendBody, Check, Content, Event, EventKind, Filling, Mentions, Page, UploadState};
use chatcore::{Attachment, Avatar, ChannelId, Message, Nonce, Reaction, Seq, Timestamp, User, UserId};
use serde_json::{Map, Value, from_str, from_value, json};
use tokio_postgres::Row;

use crate::error::Failure;

/// The values of the column `kind`.
pub(crate) mod kind {
    pub(crate) const MESSAGE: i16 = 0;
    pub(crate) const EDIT: i16 = 1;
    pub(crate) const DELETE: i16 = 2;
    pub(crate) const REACT_ON: i16 = 3;
    pub(crate) const REACT_OFF: i16 = 4;
    pub(crate) const MEMBER: i16 = 5;
    pub(crate) const CHANGE: i16 = 6;
}

/// The columns that [`event`] reads, in order.
const EVENT_COLUMNS: &str = "seq, at, kind, author, author_name, nonce, target, text, \
    attachments::text AS attachments, deleted, mentions::text AS mentions, message_kind, data, \
    change::text AS change";

/// The columns that [`event`] reads for an event's check: without what may be long.
pub(crate) const CHECK_COLUMNS: &str = "seq, at, kind, author, author_name, nonce, target, '' AS text, \
    NULL::text AS attachments, false AS deleted, NULL::text AS mentions, NULL::text AS message_kind, \
    NULL::text AS data, change::text AS change";
/// The number of [`CHECK_COLUMNS`].
pub(crate) const CHECK_WIDTH: usize = 14;

/// The columns that [`message`] reads, in order.
pub(crate) const MESSAGE_COLUMNS: &str = "seq, at, kind, author, author_name, nonce, target, \
    coalesce(edited_text, text) AS text, attachments::text AS attachments, deleted, \
    coalesce(edited_mentions, mentions)::text AS mentions, message_kind, coalesce(edited_data, data) AS data, \
    NULL::text AS change, edited_at, reactions::text AS reactions";
/// The index of the column `more`, after [`MESSAGE_COLUMNS`].
const MORE: usize = 16;

/// Returns the weight of the mentions in a column, equal to that of [`Mentions`].
macro_rules! mentions_weight {
    ($column:literal) => {
        concat!(
            "CASE WHEN ",
            $column,
            " IS NULL THEN 0 ELSE coalesce((SELECT sum(32 + octet_length(id)) FROM ( \
                SELECT jsonb_array_elements_text(",
            $column,
            " -> 'list') AS id \
                UNION ALL SELECT jsonb_array_elements_text(",
            $column,
            " -> 'here') \
            ) AS ids), 0) END"
        )
    };
}

/// The weight of a row's event, equal to [`Event::weight`].
const EVENT_WEIGHT: &str = concat!(
    "(256 + octet_length(author) + octet_length(author_name) + octet_length(text) \
    + coalesce(octet_length(nonce), 0) + coalesce(octet_length(data), 0) \
    + CASE WHEN attachments IS NULL THEN 0 ELSE ( \
        SELECT sum(256 + octet_length(file ->> 'name') + octet_length(file ->> 'content_type')) \
        FROM jsonb_array_elements(attachments) AS file) END \
    + CASE WHEN change IS NULL THEN 0 ELSE octet_length(concat( \
        change #>> '{user,id}', change #>> '{user,name}', change ->> 'title', change ->> 'topic')) END + ",
    mentions_weight!("mentions"),
    ")::int"
);

/// The weight that a row's message adds to its event's. [`Message::weight`] is the sum.
///
/// A JSON list of ids has four bytes more per id than the ids, and ids contain nothing to escape but `"` and `\`.
const FOLDED_WEIGHT: &str = concat!(
    "(coalesce(octet_length(edited_text) - octet_length(text), 0) \
    + coalesce(octet_length(edited_data) - coalesce(octet_length(data), 0), 0) \
    + CASE WHEN reactions IS NULL THEN 0 ELSE coalesce(( \
        SELECT sum(64 + octet_length(emoji ->> 'emoji') + octet_length(emoji ->> 'users') \
            + 28 * jsonb_array_length(emoji -> 'users')) \
        FROM jsonb_array_elements(reactions) AS emoji), 0) END \
    + CASE WHEN edited_mentions IS NULL THEN 0 ELSE ",
    mentions_weight!("edited_mentions"),
    " - ",
    mentions_weight!("mentions"),
    " END)::int"
);

/// The rows of a page of the log. The page takes rows while it has room, so it reads at most one row too many.
/// Weighing reads no text that is stored outside of the table.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// The schema of the table.
    pub(crate) schema: &'a str,
    /// The condition for the rows.
    pub(crate) condition: &'a str,
    /// The order in which the page is filled, by `seq`.
    pub(crate) order: &'a str,
    /// The parameter with the most rows: one more than the page has, to show whether there are more pages.
    pub(crate) items: &'a str,
    /// The parameter with the most bytes of all rows.
    pub(crate) bytes: &'a str,
}

impl Rows<'_> {
    /// Selects [`EVENT_COLUMNS`].
    pub(crate) fn events(self) -> String {
        self.select(EVENT_COLUMNS, EVENT_WEIGHT)
    }

    /// Selects [`MESSAGE_COLUMNS`], and `more`: whether there is a row after this one.
    pub(crate) fn messages(self) -> String {
        self.select(&format!("{MESSAGE_COLUMNS}, more"), &format!("{EVENT_WEIGHT} + {FOLDED_WEIGHT}"))
    }

    fn select(self, columns: &str, weight: &str) -> String {
        let Self { schema, condition, order, items, bytes } = self;
        format!(
            "SELECT {columns} FROM ( \
                 SELECT *, sum(weight) OVER page - weight AS ahead, lead(seq) OVER page IS NOT NULL AS more \
                 FROM ( \
                     SELECT *, {weight} AS weight FROM {schema}.event \
                     WHERE {condition} ORDER BY {order} LIMIT {items} \
                 ) AS found WINDOW page AS (ORDER BY {order} ROWS UNBOUNDED PRECEDING) \
             ) AS weighed WHERE ahead <= {bytes} ORDER BY {order}"
        )
    }
}

/// Reads the rows of [`Rows::messages`] into a page, in order.
pub(crate) fn message_page(rows: &[Row], page: &mut Filling) -> Result<Page, Failure> {
    let mut messages = Vec::with_capacity(rows.len());
    for row in rows {
        let message = message(row)?;
        if !page.take(message.weight()) {
            return Ok(Page::new(messages, true));
        }
        messages.push(message);
    }
    let more = rows.last().map(|row| row.try_get(MORE)).transpose()?.unwrap_or(false);
    Ok(Page::new(messages, more))
}

/// Converts to PostgreSQL's signed integers. No log is long enough for a `seq` to be clamped.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(crate) fn channel_id(id: i64) -> ChannelId {
    ChannelId(unsigned(id))
}

pub(crate) fn user(id: &str, name: &str) -> Result<User, Failure> {
    Ok(User::from_stored(user_id(id)?, name))
}

/// Returns a user with the avatar that is stored with them.
pub(crate) fn profile(id: &str, name: &str, avatar: Option<&str>) -> Result<User, Failure> {
    let avatar = avatar.map(Avatar::new).transpose();
    Ok(user(id, name)?.with_avatar(avatar.map_err(|_| Failure::Broken("invalid avatar in the database"))?))
}

pub(crate) fn kind_of(body: &AppendBody) -> i16 {
    match body {
        AppendBody::Message { .. } => kind::MESSAGE,
        AppendBody::Edit { .. } => kind::EDIT,
        AppendBody::Delete { .. } => kind::DELETE,
        AppendBody::React { on: true, .. } => kind::REACT_ON,
        AppendBody::React { on: false, .. } => kind::REACT_OFF,
        AppendBody::Member { .. } => kind::MEMBER,
        AppendBody::Change { .. } => kind::CHANGE,
    }
}

/// Returns the column `change` of a change of a member or of the channel: what [`changed`] reads.
pub(crate) fn change(body: &AppendBody) -> Option<Value> {
    match body {
        AppendBody::Member { op, user, .. } if op.ends_membership() => Some(json!({"op": op, "user": user})),
        AppendBody::Member { op, user, role, .. } => Some(json!({"op": op, "user": user, "role": role})),
        AppendBody::Change { title, topic, archived } => {
            Some(json!({"title": title, "topic": topic, "archived": archived}))
        }
        _ => None,
    }
}

/// Reads the column `change` as a variant of [`EventKind`], whose other fields it has by their names.
fn changed(variant: &str, by: &User, change: Option<&str>) -> Result<EventKind, Failure> {
    const INVALID: &str = "invalid change of a channel or its members in the database";
    let mut fields: Map<String, Value> = valid(from_str(change.unwrap_or_default()), INVALID)?;
    fields.insert("by".to_owned(), json!(by));
    valid(from_value(json!({ variant: fields })), INVALID)
}

/// Reads [`EVENT_COLUMNS`], beginning at column `first`.
pub(crate) fn event(row: &Row, first: usize) -> Result<Event, Failure> {
    let by = user(row.try_get(first + 3)?, row.try_get(first + 4)?)?;
    let target: Option<i64> = row.try_get(first + 6)?;
    let target = target.map(unsigned);
    let text: &str = row.try_get(first + 7)?;
    let data = || row.try_get::<_, Option<&str>>(first + 12);
    let about = || target.ok_or(Failure::Broken("an event in the database has no target"));
    let kind = match row.try_get(first + 2)? {
        kind::MESSAGE => {
            let mut content = Content::new(by, nonce(row.try_get(first + 5)?)?, text);
            content.reply_to = target;
            content.attachments = attachments(row.try_get(first + 8)?)?;
            content.deleted = row.try_get(first + 9)?;
            content.mentions = mentions(row.try_get(first + 10)?)?.unwrap_or_default();
            let of_message = row.try_get::<_, Option<&str>>(first + 11)?.map(Value::from);
            content.kind =
                valid(of_message.map(from_value).transpose(), "invalid kind of a message in the database")?;
            content.data =
                valid(data()?.map(from_str).transpose(), "invalid data of a message in the database")?;
            EventKind::Message(content)
        }
        kind::EDIT => EventKind::Edited {
            target: about()?,
            text: text.into(),
            by,
            mentions: mentions(row.try_get(first + 10)?)?,
            data: valid(data()?.map(from_str).transpose(), "invalid data of an edit in the database")?,
        },
        kind::DELETE => EventKind::Deleted { target: about()?, by },
        kind @ (kind::REACT_ON | kind::REACT_OFF) => {
            EventKind::Reaction { target: about()?, emoji: text.to_owned(), on: kind == kind::REACT_ON, by }
        }
        kind::MEMBER => changed("Member", &by, row.try_get(first + 13)?)?,
        kind::CHANGE => changed("Changed", &by, row.try_get(first + 13)?)?,
        _ => return Err(Failure::Broken("unknown kind of event in the database")),
    };
    Ok(Event::new(seq(row, first)?, at(row, first + 1)?, kind))
}

/// Reads the check of a position from [`CHECK_COLUMNS`], beginning at column `first`. They are null if the event was
/// pruned.
pub(crate) fn check(row: &Row, first: usize, position: Seq) -> Result<Option<Check>, Failure> {
    if position == 0 {
        return Ok(Some(Check::START));
    }
    let found = row.try_get::<_, Option<i64>>(first)?.is_some();
    found.then(|| Ok(Check::of(&event(row, first)?))).transpose()
}

/// Reads [`MESSAGE_COLUMNS`].
pub(crate) fn message(row: &Row) -> Result<Message, Failure> {
    let event = event(row, 0)?;
    let mut message =
        event.to_message().ok_or(Failure::Broken("an event in the database is not a message"))?;
    let edited_at: Option<i64> = row.try_get(14)?;
    message.edited_at = edited_at.map(Timestamp::from_millis);
    message.reactions = reactions(row.try_get(15)?)?;
    Ok(message)
}

pub(crate) fn seq(row: &Row, column: usize) -> Result<Seq, Failure> {
    Ok(unsigned(row.try_get(column)?))
}

pub(crate) fn at(row: &Row, column: usize) -> Result<Timestamp, Failure> {
    Ok(Timestamp::from_millis(row.try_get(column)?))
}

fn nonce(text: &str) -> Result<Nonce, Failure> {
    Nonce::new(text).map_err(|_| Failure::Broken("invalid nonce in the database"))
}

fn attachments(json: Option<&str>) -> Result<Vec<Attachment>, Failure> {
    let files = valid(json.map(from_str).transpose(), "invalid list of files in the database")?;
    Ok(files.unwrap_or_default())
}

fn reactions(json: Option<&str>) -> Result<Vec<Reaction>, Failure> {
    let reactions = valid(json.map(from_str).transpose(), "invalid reactions in the database")?;
    Ok(reactions.unwrap_or_default())
}

fn mentions(json: Option<&str>) -> Result<Option<Mentions>, Failure> {
    valid(json.map(from_str).transpose(), "invalid mentions in the database")
}

/// Returns what was read from JSON.
fn valid<T>(parsed: serde_json::Result<T>, otherwise: &'static str) -> Result<T, Failure> {
    parsed.map_err(|_| Failure::Broken(otherwise))
}

pub(crate) fn user_id(id: &str) -> Result<UserId, Failure> {
    UserId::new(id).map_err(|_| Failure::Broken("invalid user id in the database"))
}

/// Splits a state into the columns `state` and `seq`.
pub(crate) fn upload_state_columns(state: UploadState) -> (i16, Option<i64>) {
    match state {
        UploadState::Receiving => (0, None),
        UploadState::Ready => (1, None),
        UploadState::Attached(seq) => (2, Some(signed(seq))),
        UploadState::Discarded => (3, None),
    }
}

/// Joins the columns `state` and `seq`.
pub(crate) fn upload_state(state: i16, seq: Option<i64>) -> Result<UploadState, Failure> {
    match (state, seq) {
        (0, _) => Ok(UploadState::Receiving),
        (1, _) => Ok(UploadState::Ready),
        (2, Some(seq)) => Ok(UploadState::Attached(unsigned(seq))),
        (3, _) => Ok(UploadState::Discarded),
        _ => Err(Failure::Broken("unknown state of an upload in the database")),
    }
}
