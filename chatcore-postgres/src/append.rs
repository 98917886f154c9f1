//! A call of the database function `chat_append`: a batch as columns, and its answers.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use chatcore::store::{AppendError, Appended, TooManyReactions};
use chatcore::{ChannelId, Epoch};
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::digest::Digest;
use crate::error::Failure;
use crate::event::{at, kind_of, seq, signed};
use crate::item::Item;

/// The answer to one item.
pub(crate) type Answer = Result<Appended, AppendError>;

/// A batch as the parameters of `chat_append`.
///
/// Only the order within a channel matters. So the items are sorted into runs of plain messages, each appended by one
/// statement, and runs of other items, appended one by one.
pub(crate) struct Call<'a> {
    /// Each item's index in the batch, and its run.
    places: Vec<(usize, usize)>,
    ends: Vec<i32>,
    plain: Vec<bool>,
    channel: Vec<i64>,
    left: Vec<i32>,
    kind: Vec<i16>,
    author: Vec<&'a str>,
    author_name: Vec<&'a str>,
    nonce: Vec<Option<&'a str>>,
    digest: Vec<&'a Digest>,
    key: Vec<i64>,
    target: Vec<Option<i64>>,
    text: Vec<&'a str>,
    attachments: Vec<Option<&'a str>>,
    /// For a reaction, the most reactions on its message. For a member, the most members.
    most: Vec<Option<i64>>,
    /// For a reaction, the most kinds that its author can add to the message.
    kinds: Vec<Option<i64>>,
    checked: Vec<bool>,
    more: Vec<Option<&'a str>>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(items: &'a [Item]) -> Self {
        let runs = runs(items);
        let mut order: Vec<usize> = (0..items.len()).collect();
        // By channel too, so that neighbouring rows of the log come one after the other.
        order.sort_by_key(|at| (runs[*at], items[*at].append.channel));
        let sorted: Vec<&Item> = order.iter().map(|at| &items[*at]).collect();
        let (mut ends, mut plain, mut left) = (Vec::new(), Vec::new(), Vec::with_capacity(items.len()));
        let mut places = Vec::with_capacity(items.len());
        for run in order.chunk_by(|a, b| runs[*a] == runs[*b]) {
            for channel in run.chunk_by(|a, b| items[*a].append.channel == items[*b].append.channel) {
                left.extend((0..count(channel.len())).rev());
            }
            places.extend(run.iter().map(|at| (*at, ends.len())));
            ends.push(count(places.len()));
            plain.push(is_plain_run(runs[run[0]]));
        }
        Self {
            places,
            ends,
            plain,
            left,
            channel: sorted.iter().map(|item| signed(item.append.channel.0)).collect(),
            kind: sorted.iter().map(|item| kind_of(&item.append.body)).collect(),
            author: sorted.iter().map(|item| item.append.author.id.as_str()).collect(),
            author_name: sorted.iter().map(|item| item.append.author.stored_name()).collect(),
            nonce: sorted.iter().map(|item| item.nonce()).collect(),
            digest: sorted.iter().map(|item| &item.digest).collect(),
            key: sorted.iter().map(|item| item.key).collect(),
            target: sorted.iter().map(|item| item.target()).collect(),
            text: sorted.iter().map(|item| item.text()).collect(),
            attachments: sorted.iter().map(|item| item.attachments.as_deref()).collect(),
            most: sorted.iter().map(|item| Some(signed(item.most()? as u64))).collect(),
            kinds: sorted.iter().map(|item| Some(signed(item.kinds()? as u64))).collect(),
            checked: sorted.iter().map(|item| item.append.checked).collect(),
            more: sorted.iter().map(|item| item.more.as_deref()).collect(),
        }
    }

    /// Returns the statement for [`params`](Self::params).
    pub(crate) fn sql(schema: &str) -> String {
        let mut holes = String::from("$1");
        for hole in 2..=17 {
            // Writing to a string does not fail.
            let _ = write!(holes, ", ${hole}");
        }
        format!(
            "SELECT run, item, channel, refusal, seq, at, epoch, duplicate FROM {schema}.chat_append({holes})"
        )
    }

    pub(crate) fn params(&self) -> [(&(dyn ToSql + Sync), Type); 17] {
        [
            (&self.ends, Type::INT4_ARRAY),
            (&self.plain, Type::BOOL_ARRAY),
            (&self.channel, Type::INT8_ARRAY),
            (&self.left, Type::INT4_ARRAY),
            (&self.kind, Type::INT2_ARRAY),
            (&self.author, Type::TEXT_ARRAY),
            (&self.author_name, Type::TEXT_ARRAY),
            (&self.nonce, Type::TEXT_ARRAY),
            (&self.digest, Type::UUID_ARRAY),
            (&self.key, Type::INT8_ARRAY),
            (&self.target, Type::INT8_ARRAY),
            (&self.text, Type::TEXT_ARRAY),
            (&self.attachments, Type::TEXT_ARRAY),
            (&self.most, Type::INT8_ARRAY),
            (&self.kinds, Type::INT8_ARRAY),
            (&self.checked, Type::BOOL_ARRAY),
            (&self.more, Type::TEXT_ARRAY),
        ]
    }

    /// Reads the answers, in the order of the batch.
    pub(crate) fn answers(&self, rows: &[Row]) -> Result<Vec<Answer>, Failure> {
        const MISSING: &str = "the database returned no answer for an item";
        let mut answers: Vec<Option<Answer>> = vec![None; self.places.len()];
        // For runs of new messages only: the last event of each channel.
        let mut lasts: HashMap<(usize, i64), Appended> = HashMap::new();
        for row in rows {
            let answer = self.answer(row)?;
            match row.try_get::<_, Option<i32>>(1)? {
                Some(item) => {
                    let place = self.places.get(index(item)?).ok_or(Failure::Broken(MISSING))?;
                    answers[place.0] = Some(answer);
                }
                None => {
                    let last = answer
                        .map_err(|_| Failure::Broken("the database returned an error for a whole channel"))?;
                    lasts.insert((index(row.try_get(0)?)?, row.try_get(2)?), last);
                }
            }
        }
        for ((&(place, run), &channel), &left) in self.places.iter().zip(&self.channel).zip(&self.left) {
            if answers[place].is_some() || !self.plain[run] {
                continue;
            }
            answers[place] = Some(match lasts.get(&(run, channel)) {
                Some(last) => {
                    let seq = last.seq.checked_sub(u64::from(left.unsigned_abs()));
                    let seq = seq.ok_or(Failure::Broken("the database returned a seq below the first"))?;
                    Ok(Appended::new(seq, last.at, last.epoch.clone()))
                }
                None => Err(AppendError::NoSuchChannel),
            });
        }
        answers.into_iter().map(|answer| answer.ok_or(Failure::Broken(MISSING))).collect()
    }

    /// Reads one row.
    fn answer(&self, row: &Row) -> Result<Answer, Failure> {
        let refusal: i16 = row.try_get(3)?;
        match refusal {
            0 => {}
            1 => return Ok(Err(AppendError::NoSuchChannel)),
            2 => return Ok(Err(AppendError::NoSuchMessage)),
            3 => return Ok(Err(AppendError::NoSuchAttachment)),
            4 => {
                let most = limit_of(&self.most, row)?;
                return Ok(Err(TooManyReactions::OnMessage { most }.into()));
            }
            5 => {
                let most = limit_of(&self.kinds, row)?;
                return Ok(Err(TooManyReactions::OfUser { most }.into()));
            }
            6 => return Ok(Err(AppendError::NotAllowed)),
            7 => return Ok(Err(AppendError::Archived)),
            8 => return Ok(Err(AppendError::TooManyMembers { most: limit_of(&self.most, row)? })),
            9 => return Ok(Err(AppendError::NotAMember)),
            10 => return Ok(Err(AppendError::Unchanged)),
            11 => return Ok(Err(AppendError::LastOwner)),
            12 => return Ok(Err(AppendError::Erased)),
            _ => return Err(Failure::Broken("the database refused an item for an unknown reason")),
        }
        let epoch = Epoch::new(row.try_get::<_, &str>(6)?)
            .map_err(|_| Failure::Broken("invalid epoch in the database"))?;
        let outcome = if row.try_get(7)? { Appended::duplicate } else { Appended::new };
        Ok(Ok(outcome(seq(row, 4)?, at(row, 5)?, epoch)))
    }
}

/// Returns the limit of the item of a row.
fn limit_of(limits: &[Option<i64>], row: &Row) -> Result<usize, Failure> {
    const NONE: &str = "the database refused an item for a limit that it does not have";
    let item = row.try_get::<_, Option<i32>>(1)?.ok_or(Failure::Broken(NONE))?;
    let limit = limits.get(index(item)?).copied().flatten().ok_or(Failure::Broken(NONE))?;
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Converts a number of the database, which counts from 1, into an index.
fn index(number: i32) -> Result<usize, Failure> {
    usize::try_from(number - 1).map_err(|_| Failure::Broken("the database returned an item number below 1"))
}

fn count(len: usize) -> i32 {
    i32::try_from(len).unwrap_or(i32::MAX)
}

/// Returns each item's run. An even run has plain messages, with different nonces in each channel. An odd run has
/// other items. Within a channel the numbers never decrease.
fn runs(items: &[Item]) -> Vec<usize> {
    let mut last: HashMap<ChannelId, usize> = HashMap::new();
    let mut digests = HashSet::new();
    let mut number = |item: &Item| {
        let run = last.entry(item.append.channel).or_default();
        if item.is_plain() != is_plain_run(*run) {
            *run += 1;
        }
        while item.is_plain() && !digests.insert((*run, item.digest)) {
            *run += 2;
        }
        *run
    };
    items.iter().map(&mut number).collect()
}

fn is_plain_run(run: usize) -> bool {
    run.is_multiple_of(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatcore::store::{Append, AppendBody, Extras, Mention, Mentions};
    use chatcore::{Nonce, User};

    fn one(append: Append) -> Result<Item, AppendError> {
        Item::all(vec![append]).remove(0)
    }

    fn item(channel: u64, body: AppendBody) -> Item {
        let author = User::new("u_ann", "Ann").expect("a user");
        one(Append::new(ChannelId(channel), author, body)).expect("an item")
    }

    fn say(channel: u64, nonce: &str) -> Item {
        let nonce = Nonce::new(nonce).expect("a nonce");
        item(
            channel,
            AppendBody::Message {
                nonce,
                text: "".into(),
                reply_to: None,
                attachments: Vec::new(),
                extras: None,
            },
        )
    }

    #[test]
    fn plain_messages_with_different_nonces_are_one_run() {
        let batch = [say(1, "a"), say(2, "a"), say(1, "b")];
        assert_eq!(runs(&batch), [0, 0, 0]);
        let call = Call::new(&batch);
        assert_eq!((call.ends, call.plain), (vec![3], vec![true]));
    }

    #[test]
    fn a_repeated_nonce_or_an_edit_begins_a_run_in_its_channel() {
        let delete = |channel| item(channel, AppendBody::Delete { target: 1 });
        let batch = [say(1, "a"), delete(1), say(2, "a"), say(1, "b"), say(2, "a"), delete(2)];
        assert_eq!(runs(&batch), [0, 1, 0, 2, 2, 3]);
        let call = Call::new(&batch);
        assert_eq!(call.places, [(0, 0), (2, 0), (1, 1), (3, 2), (4, 2), (5, 3)]);
        assert_eq!((call.ends, call.plain), (vec![2, 3, 5, 6], vec![true, false, true, false]));
        assert_eq!(call.left, [0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_run_is_sorted_by_channel_and_counts_down_in_each() {
        let batch = [say(2, "a"), say(1, "a"), say(2, "b"), say(1, "b"), say(2, "c")];
        let call = Call::new(&batch);
        assert_eq!(call.places, [(1, 0), (3, 0), (0, 0), (2, 0), (4, 0)]);
        assert_eq!(call.left, [1, 0, 2, 1, 0]);
    }

    #[test]
    fn checked_messages_are_plain_and_ones_with_extras_are_not() {
        let message = |extras: Extras| {
            let body = AppendBody::Message {
                nonce: Nonce::new("a").expect("a nonce"),
                text: "".into(),
                reply_to: None,
                attachments: Vec::new(),
                extras: extras.boxed(),
            };
            let author = User::new("u_ann", "Ann").expect("a user");
            one(Append::new(ChannelId(1), author, body).checked()).expect("an item")
        };
        assert_eq!(runs(&[message(Extras::default())]), [0]);
        let mentions = Mentions::new(vec![Mention::Channel], Vec::new());
        assert_eq!(runs(&[message(Extras::default().with_mentions(mentions))]), [1]);
    }
}
