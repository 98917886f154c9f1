//! An item of a batch, with the values of its columns.

use chatcore::store::{Append, AppendBody, AppendError, Mention, Mentions};
use serde_json::{Map, Value, json};

use crate::digest::Digest;
use crate::event::{change, signed};

/// An append with a random key. The log stores the key, so a retry with the same key appends nothing twice. It also tells a
/// commit whose answer was lost from an earlier publish with the same nonce.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) append: Append,
    pub(crate) key: i64,
    pub(crate) digest: Digest,
    /// The files as JSON, if there are any.
    pub(crate) attachments: Option<String>,
    /// What only some items have, as JSON: see `11_appends.sql`.
    pub(crate) more: Option<String>,
}

impl Item {
    /// Makes items of a batch. An append that PostgreSQL can't store gives an error.
    pub(crate) fn all(batch: Vec<Append>) -> Vec<Result<Self, AppendError>> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).expect("invariant: the system has a source of randomness");
        // One system call serves the whole batch.
        let first = u128::from_le_bytes(random);
        batch.into_iter().zip(0..).map(|(append, n)| Self::new(append, first.wrapping_add(n))).collect()
    }

    fn new(append: Append, random: u128) -> Result<Self, AppendError> {
        if has_zero(&append) {
            return Err(AppendError::Rejected("PostgreSQL text can't contain U+0000"));
        }
        let files = match &append.body {
            AppendBody::Message { attachments, .. } if !attachments.is_empty() => Some(attachments),
            _ => None,
        };
        let attachments = files.map(serde_json::to_string).transpose();
        let attachments =
            attachments.map_err(|_| AppendError::Rejected("the list of files can't be written as JSON"))?;
        let [.., a, b, c, d, e, f, g, h] = random.to_be_bytes();
        let key = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let digest = match &append.body {
            AppendBody::Message { nonce, .. } => {
                Digest::of_message(append.channel, append.author.id.as_str(), nonce.as_str())
            }
            _ => Digest::of_random(random),
        };
        let more = more(&append.body).map(|more| more.to_string());
        Ok(Self { append, key, digest, attachments, more })
    }

    pub(crate) fn nonce(&self) -> Option<&str> {
        match &self.append.body {
            AppendBody::Message { nonce, .. } => Some(nonce.as_str()),
            _ => None,
        }
    }

    pub(crate) fn target(&self) -> Option<i64> {
        match &self.append.body {
            AppendBody::Message { reply_to, .. } => reply_to.map(signed),
            AppendBody::Edit { target, .. }
            | AppendBody::Delete { target }
            | AppendBody::React { target, .. } => Some(signed(*target)),
            AppendBody::Member { .. } | AppendBody::Change { .. } => None,
        }
    }

    pub(crate) fn text(&self) -> &str {
        match &self.append.body {
            AppendBody::Message { text, .. } | AppendBody::Edit { text, .. } => text,
            AppendBody::React { emoji, .. } => emoji,
            AppendBody::Delete { .. } | AppendBody::Member { .. } | AppendBody::Change { .. } => "",
        }
    }

    /// Returns the most reactions on the message, or the most members of the channel.
    pub(crate) fn most(&self) -> Option<usize> {
        match &self.append.body {
            AppendBody::React { limits, .. } => Some(limits.on_message),
            AppendBody::Member { most, .. } => Some(*most),
            _ => None,
        }
    }

    /// Returns the most kinds of reactions that the author can add to the message.
    pub(crate) fn kinds(&self) -> Option<usize> {
        match &self.append.body {
            AppendBody::React { limits, .. } => Some(limits.of_user),
            _ => None,
        }
    }

    /// Returns whether the item depends on nothing in the log but its nonce, if its channel is open.
    pub(crate) fn is_plain(&self) -> bool {
        let is_message = matches!(self.append.body, AppendBody::Message { reply_to: None, .. });
        is_message && self.attachments.is_none() && self.more.is_none()
    }
}

fn more(body: &AppendBody) -> Option<Value> {
    let mut more = Map::new();
    let mut put = |name: &str, value: Value| _ = more.insert(name.to_owned(), value);
    let (mentions, kind, data) = match body {
        AppendBody::Message { extras: Some(extras), .. } => {
            let mentions = Some(&extras.mentions).filter(|mentions| !mentions.is_empty());
            (mentions, extras.kind, extras.data.as_ref())
        }
        AppendBody::Edit { extras: Some(extras), .. } => {
            (extras.mentions.as_ref(), None, extras.data.as_ref())
        }
        _ => return change(body),
    };
    if let Some(mentions) = mentions {
        put("mentions", json!(mentions));
    }
    if let Some(kind) = kind {
        put("kind", json!(kind));
    }
    if let Some(data) = data {
        put("data", json!(data.as_json()));
    }
    (!more.is_empty()).then_some(Value::Object(more))
}

fn has_zero(append: &Append) -> bool {
    let zero = |text: &str| text.contains('\0');
    let any = |text: &Option<String>| text.as_deref().is_some_and(zero);
    let in_body = match &append.body {
        AppendBody::Message { text, attachments, extras, .. } => {
            zero(text)
                || attachments.iter().any(|file| zero(&file.name) || zero(&file.content_type))
                || extras.as_ref().is_some_and(|extras| has_zero_mention(&extras.mentions))
        }
        AppendBody::Edit { text, extras, .. } => {
            let mentions = extras.as_ref().and_then(|extras| extras.mentions.as_ref());
            zero(text) || mentions.is_some_and(has_zero_mention)
        }
        AppendBody::Delete { .. } => false,
        AppendBody::React { emoji, .. } => zero(emoji),
        AppendBody::Member { user, .. } => zero(&user.name),
        AppendBody::Change { title, topic, .. } => any(title) || any(topic),
    };
    in_body || zero(&append.author.name)
}

fn has_zero_mention(mentions: &Mentions) -> bool {
    mentions.list.iter().map(Mention::as_str).any(|mention| mention.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatcore::store::{EditExtras, Extras, MemberOp, Role};
    use chatcore::{ChannelId, Nonce, User};

    #[test]
    fn what_has_a_zero_byte_is_rejected() {
        let user = |name: &str| User::new("u_ann", name).expect("a user");
        let mentions = Mentions::new(vec![Mention::Unknown("@\0".to_owned())], Vec::new());
        let message = AppendBody::Message {
            nonce: Nonce::new("a").expect("a nonce"),
            text: "".into(),
            reply_to: None,
            attachments: Vec::new(),
            extras: Extras::default().with_mentions(mentions.clone()).boxed(),
        };
        let edit = |text: &str, mentions| AppendBody::Edit {
            target: 1,
            text: text.into(),
            extras: EditExtras::boxed(mentions, None),
        };
        let (op, role) = (MemberOp::Added, Role::Member);
        let title = Some("a\0".to_owned());
        for (author, body) in [
            ("Ann", message),
            ("Ann", edit("a\0b", None)),
            ("Ann", edit("a", Some(mentions))),
            ("Ann", AppendBody::Member { op, user: user("B\0b"), role, most: 9 }),
            ("Ann", AppendBody::Change { title, topic: None, archived: None }),
            ("A\0n", AppendBody::Delete { target: 1 }),
        ] {
            let what = format!("{body:?}");
            let outcome = Item::all(vec![Append::new(ChannelId(1), user(author), body)]).remove(0);
            assert!(matches!(outcome, Err(AppendError::Rejected(_))), "{what}: {outcome:?}");
        }
    }
}
