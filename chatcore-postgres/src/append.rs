//! One call of the database's `chat_append`: a batch as columns, and its answers.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use chatcore::store::{AppendError, Appended};
use chatcore::{Append, AppendBody, ChannelId, Epoch};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::error::Failure;
use crate::event::{at, kind_of, seq, signed};

/// The answer to one item.
pub(crate) type Answer = Result<Appended, AppendError>;

/// An append under a key of its own. Tried again under the same key, it is done once: the log has the key, so
/// a commit whose answer was lost is told from an earlier one of the same nonce.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    append: Append,
    key: i64,
    /// What the log keeps unique by channel and author: a publish's nonce, of any other append U+0001 and the
    /// key, which no nonce can be.
    nonce: String,
    /// The files as JSON, where there are any.
    attachments: Option<String>,
}

impl Item {
    /// Takes an append, unless it is one that PostgreSQL can't hold.
    pub(crate) fn new(append: Append) -> Result<Self, AppendError> {
        if has_zero(&append) {
            return Err(AppendError::Rejected("PostgreSQL holds no text with U+0000"));
        }
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).expect("invariant: the system has a source of randomness");
        let key = i64::from_le_bytes(bytes);
        let (nonce, attachments) = match &append.body {
            AppendBody::Message { nonce, attachments, .. } => {
                let files = (!attachments.is_empty()).then(|| serde_json::to_string(attachments));
                let files = files.transpose().map_err(|_| AppendError::Rejected("its files are no JSON"))?;
                (nonce.as_str().to_owned(), files)
            }
            _ => (format!("\u{1}{key:016x}"), None),
        };
        Ok(Self { append, key, nonce, attachments })
    }

    fn target(&self) -> Option<i64> {
        match &self.append.body {
            AppendBody::Message { reply_to, .. } => reply_to.map(signed),
            AppendBody::Edit { target, .. }
            | AppendBody::Delete { target }
            | AppendBody::React { target, .. } => Some(signed(*target)),
        }
    }

    fn text(&self) -> &str {
        match &self.append.body {
            AppendBody::Message { text, .. } | AppendBody::Edit { text, .. } => text,
            AppendBody::Delete { .. } => "",
            AppendBody::React { emoji, .. } => emoji,
        }
    }

    /// Whether it depends on nothing in the log but its nonce.
    fn is_plain(&self) -> bool {
        matches!(self.append.body, AppendBody::Message { reply_to: None, .. }) && self.attachments.is_none()
    }
}

fn has_zero(append: &Append) -> bool {
    let body = match &append.body {
        AppendBody::Message { text, attachments, .. } => {
            text.contains('\0')
                || attachments.iter().any(|file| file.name.contains('\0') || file.content_type.contains('\0'))
        }
        AppendBody::Edit { text, .. } => text.contains('\0'),
        AppendBody::Delete { .. } => false,
        AppendBody::React { emoji, .. } => emoji.contains('\0'),
    };
    body || append.author.name.contains('\0')
}

/// A batch as the parameters of `chat_append`.
///
/// Channels know nothing of each other, so only the order within each matters: the items are sorted into runs
/// of plain messages, each of which is one statement, and runs of the rest, which go item by item.
pub(crate) struct Call<'a> {
    /// Where each item of the call stands in the batch.
    places: Vec<usize>,
    ends: Vec<i32>,
    plain: Vec<bool>,
    channel: Vec<i64>,
    kind: Vec<i16>,
    author: Vec<&'a str>,
    author_name: Vec<&'a str>,
    nonce: Vec<&'a str>,
    key: Vec<i64>,
    target: Vec<Option<i64>>,
    text: Vec<&'a str>,
    attachments: Vec<Option<&'a str>>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(items: &'a [Item]) -> Self {
        let runs = runs(items);
        let mut places: Vec<usize> = (0..items.len()).collect();
        places.sort_by_key(|at| runs[*at]);
        let sorted: Vec<&Item> = places.iter().map(|at| &items[*at]).collect();
        let (mut ends, mut plain) = (Vec::new(), Vec::new());
        let mut end = 0;
        for run in places.chunk_by(|a, b| runs[*a] == runs[*b]) {
            end += run.len();
            ends.push(i32::try_from(end).unwrap_or(i32::MAX));
            plain.push(is_plain_run(runs[run[0]]));
        }
        Self {
            ends,
            plain,
            channel: sorted.iter().map(|item| signed(item.append.channel.0)).collect(),
            kind: sorted.iter().map(|item| kind_of(&item.append.body)).collect(),
            author: sorted.iter().map(|item| item.append.author.id.as_str()).collect(),
            author_name: sorted.iter().map(|item| &*item.append.author.name).collect(),
            nonce: sorted.iter().map(|item| item.nonce.as_str()).collect(),
            key: sorted.iter().map(|item| item.key).collect(),
            target: sorted.iter().map(|item| item.target()).collect(),
            text: sorted.iter().map(|item| item.text()).collect(),
            attachments: sorted.iter().map(|item| item.attachments.as_deref()).collect(),
            places,
        }
    }

    /// Returns the statement that [`params`](Self::params) belong to.
    pub(crate) fn sql(schema: &str) -> String {
        let mut holes = String::from("$1");
        for hole in 2..=11 {
            // Writing to a string does not fail.
            let _ = write!(holes, ", ${hole}");
        }
        format!("SELECT item, refusal, seq, at, epoch, duplicate FROM {schema}.chat_append({holes})")
    }

    pub(crate) fn params(&self) -> [(&(dyn ToSql + Sync), Type); 11] {
        [
            (&self.ends, Type::INT4_ARRAY),
            (&self.plain, Type::BOOL_ARRAY),
            (&self.channel, Type::INT8_ARRAY),
            (&self.kind, Type::INT2_ARRAY),
            (&self.author, Type::TEXT_ARRAY),
            (&self.author_name, Type::TEXT_ARRAY),
            (&self.nonce, Type::TEXT_ARRAY),
            (&self.key, Type::INT8_ARRAY),
            (&self.target, Type::INT8_ARRAY),
            (&self.text, Type::TEXT_ARRAY),
            (&self.attachments, Type::TEXT_ARRAY),
        ]
    }

    /// Reads the answers, in the batch's order. Of two to one item the later stands: a run that the database
    /// had to undo and do again has left both.
    pub(crate) fn answers(&self, rows: &[Row]) -> Result<Vec<Answer>, Failure> {
        const MISSING: &str = "the database left an item without an answer";
        let mut answers: Vec<Option<Answer>> = vec![None; self.places.len()];
        // The channels' epochs repeat: one copy of each serves the whole batch.
        let mut epochs: HashMap<String, Epoch> = HashMap::new();
        for row in rows {
            let item: i32 = row.try_get(0)?;
            let item = usize::try_from(item - 1).map_err(|_| Failure::Broken(MISSING))?;
            let place = self.places.get(item).ok_or(Failure::Broken(MISSING))?;
            answers[*place] = Some(answer(row, &mut epochs)?);
        }
        answers.into_iter().map(|answer| answer.ok_or(Failure::Broken(MISSING))).collect()
    }
}

fn answer(row: &Row, epochs: &mut HashMap<String, Epoch>) -> Result<Answer, Failure> {
    let refusal: i16 = row.try_get(1)?;
    match refusal {
        0 => {}
        1 => return Ok(Err(AppendError::NoSuchChannel)),
        2 => return Ok(Err(AppendError::NoSuchMessage)),
        3 => return Ok(Err(AppendError::NoSuchAttachment)),
        _ => return Err(Failure::Broken("the database refused an item for no known reason")),
    }
    let text: &str = row.try_get(4)?;
    let epoch = match epochs.get(text) {
        Some(epoch) => epoch.clone(),
        None => {
            let epoch = Epoch::new(text).map_err(|_| Failure::Broken("an epoch in the database is none"))?;
            epochs.insert(text.to_owned(), epoch.clone());
            epoch
        }
    };
    Ok(Ok(Appended { seq: seq(row, 2)?, at: at(row, 3)?, epoch, duplicate: row.try_get(5)? }))
}

/// Numbers the runs: an even one has plain messages, of different nonces in each channel, an odd one the rest.
/// Within a channel the numbers never fall.
fn runs<'a>(items: &'a [Item]) -> Vec<usize> {
    let mut last: HashMap<ChannelId, usize> = HashMap::new();
    let mut nonces = HashSet::new();
    let number = |item: &'a Item| {
        let run = last.entry(item.append.channel).or_default();
        if item.is_plain() != is_plain_run(*run) {
            *run += 1;
        }
        let author = item.append.author.id.as_str();
        while item.is_plain() && !nonces.insert((item.append.channel, *run, author, item.nonce.as_str())) {
            *run += 2;
        }
        *run
    };
    items.iter().map(number).collect()
}

fn is_plain_run(run: usize) -> bool {
    run.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatcore::{Nonce, User};

    fn item(channel: u64, body: AppendBody) -> Item {
        let author = User::new("u_ann", "Ann").expect("a user");
        Item::new(Append { channel: ChannelId(channel), author, body }).expect("an item")
    }

    fn say(channel: u64, nonce: &str) -> Item {
        let nonce = Nonce::new(nonce).expect("a nonce");
        item(
            channel,
            AppendBody::Message { nonce, text: String::new(), reply_to: None, attachments: Vec::new() },
        )
    }

    #[test]
    fn plain_messages_of_one_nonce_each_are_one_run() {
        let batch = [say(1, "a"), say(2, "a"), say(1, "b")];
        assert_eq!(runs(&batch), [0, 0, 0]);
        let call = Call::new(&batch);
        assert_eq!((call.ends, call.plain), (vec![3], vec![true]));
    }

    #[test]
    fn a_repeated_nonce_and_what_depends_on_others_begin_a_run_in_their_channel_only() {
        let delete = |channel| item(channel, AppendBody::Delete { target: 1 });
        let batch = [say(1, "a"), delete(1), say(2, "a"), say(1, "b"), say(2, "a"), delete(2)];
        assert_eq!(runs(&batch), [0, 1, 0, 2, 2, 3]);
        let call = Call::new(&batch);
        assert_eq!(call.places, [0, 2, 1, 3, 4, 5]);
        assert_eq!((call.ends, call.plain), (vec![2, 3, 5, 6], vec![true, false, true, false]));
    }

    #[test]
    fn a_text_with_a_zero_is_rejected() {
        let author = User::new("u_ann", "Ann").expect("a user");
        let body = AppendBody::Edit { target: 1, text: "a\0b".to_owned() };
        let outcome = Item::new(Append { channel: ChannelId(1), author, body });
        assert!(matches!(outcome, Err(AppendError::Rejected(_))), "{outcome:?}");
    }
}
