//! Decodes a frame into a command.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, IntoDeserializer, MapAccess,
    VariantAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};

use super::command::{Command, Named};
use super::lenient::LenientFrame;
use crate::model::error::ErrorCode;

/// A malformed frame, with its `id` if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Malformed {
    /// The frame's `id`, if it could be read.
    pub id: Option<i64>,
    /// `bad_frame` or `unknown_command`.
    pub code: ErrorCode,
    /// What is wrong with it.
    pub message: String,
}

impl Command {
    /// Decodes a frame into its `id` and command.
    ///
    /// # Errors
    /// [`Malformed`] with a message for the programmer of the client. It has the frame's `id` if there is one,
    /// whatever else is wrong.
    pub fn decode(frame: &str) -> Result<(i64, Self), Malformed> {
        let read = || {
            // serde would accept a list for a struct too.
            if !is_object(frame) {
                return Err(serde_json::Error::custom("a frame must be one JSON object"));
            }
            let name = match leading_name(frame) {
                Some(name) => Cow::Borrowed(name),
                None => serde_json::from_str::<Head>(frame)?.name,
            };
            let mut fields = serde_json::Deserializer::from_str(frame);
            let mut id = None;
            let command = Named::deserialize(Fields { name: &name, id: &mut id, fields: &mut fields })?;
            fields.end()?;
            Ok((id.ok_or_else(|| serde_json::Error::missing_field("id"))?, command))
        };
        read().map_err(|error| explain(frame, &error))
    }
}

/// Returns the frame's `type` if the frame begins with it, as most do. This saves a pass over the frame.
fn leading_name(frame: &str) -> Option<&str> {
    let rest = frame.strip_prefix(r#"{"type":""#)?;
    let end = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\'))?;
    rest[end..].starts_with('"').then_some(&rest[..end])
}

/// The fields that identify a command.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    name: Cow<'a, str>,
}

/// The frame of the command with that name. Its `id` is put aside.
struct Fields<'a, D> {
    name: &'a str,
    id: &'a mut Option<i64>,
    fields: D,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Fields<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_enum(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, D: Deserializer<'de>> EnumAccess<'de> for Fields<'_, D> {
    type Error = D::Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), D::Error> {
        let name: StrDeserializer<'_, D::Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de, D: Deserializer<'de>> VariantAccess<'de> for Fields<'_, D> {
    type Error = D::Error;

    fn unit_variant(self) -> Result<(), D::Error> {
        self.fields.deserialize_map(Common { id: self.id, visitor: IgnoredAny }).map(drop)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.fields.deserialize_map(Common { id: self.id, visitor })
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, D::Error> {
        seed.deserialize(self.fields)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.fields.deserialize_seq(visitor)
    }
}

/// Reads the fields that all commands have, and leaves the rest to the command's visitor.
struct Common<'a, V> {
    id: &'a mut Option<i64>,
    visitor: V,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Common<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<V::Value, M::Error> {
        self.visitor.visit_map(Own { map, id: self.id, has_name: false })
    }
}

/// The command's own fields.
struct Own<'a, M> {
    map: M,
    id: &'a mut Option<i64>,
    has_name: bool,
}

impl<'de, M: MapAccess<'de>> MapAccess<'de> for Own<'_, M> {
    type Error = M::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, M::Error> {
        let mut seed = seed;
        loop {
            match self.map.next_key_seed(KeySeed(seed))? {
                None => return Ok(None),
                Some(Key::Own(key)) => return Ok(Some(key)),
                Some(Key::Type(_)) if self.has_name => return Err(M::Error::duplicate_field("type")),
                Some(Key::Id(_)) if self.id.is_some() => return Err(M::Error::duplicate_field("id")),
                Some(Key::Type(back)) => {
                    self.map.next_value::<IgnoredAny>()?;
                    self.has_name = true;
                    seed = back;
                }
                Some(Key::Id(back)) => {
                    *self.id = Some(self.map.next_value()?);
                    seed = back;
                }
            }
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, M::Error> {
        self.map.next_value_seed(seed)
    }
}

/// A key of a frame. For a key that all commands have, the seed comes back unused.
enum Key<S, T> {
    Type(S),
    Id(S),
    Own(T),
}

struct KeySeed<S>(S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for KeySeed<S> {
    type Value = Key<S, S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de, S: DeserializeSeed<'de>> Visitor<'de> for KeySeed<S> {
    type Value = Key<S, S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        match key {
            "type" => Ok(Key::Type(self.0)),
            "id" => Ok(Key::Id(self.0)),
            _ => {
                let key: StrDeserializer<'_, E> = key.into_deserializer();
                self.0.deserialize(key).map(Key::Own)
            }
        }
    }
}

fn is_object(frame: &str) -> bool {
    frame.trim_start().starts_with('{')
}

/// Reads a refused frame again, to find its `id` and what is wrong.
fn explain(frame: &str, error: &serde_json::Error) -> Malformed {
    let found = LenientFrame::scan(frame);
    let id = found.id();
    let bad = |message: String| Malformed { id, code: ErrorCode::BadFrame, message };
    if !is_object(frame) {
        return bad("a frame must be one JSON object".to_owned());
    }
    let name = found.name();
    if let Some(name) = name.as_deref().filter(|name| !Command::NAMES.contains(name)) {
        let shown: String = name.chars().take(64).collect();
        let message = format!("unknown command {shown:?}");
        return Malformed { id, code: ErrorCode::UnknownCommand, message };
    }
    let text: String = error.to_string().chars().take(200).collect();
    if !error.is_data() {
        return bad(format!("the frame is not JSON: {text}"));
    }
    match (name, id) {
        (None, _) if found.has_name() => bad("'type' must be a string".to_owned()),
        (None, _) => bad("a frame must have a 'type'".to_owned()),
        (Some(_), None) => bad("a command must have an integer 'id'".to_owned()),
        (Some(_), Some(_)) => bad(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(frame: &str) -> (Option<i64>, ErrorCode) {
        let error = Command::decode(frame).unwrap_err();
        (error.id, error.code)
    }

    #[test]
    fn commands_decode_with_their_id_and_ignore_unknown_fields() {
        let (id, command) =
            Command::decode(r#"{"type":"read","id":7,"channel":"a","seq":3,"later":[1]}"#).unwrap();
        assert_eq!((id, command), (7, Command::Read { channel: "a".into(), seq: 3 }));
        assert_eq!(Command::decode(r#"{"id":1,"type":"ping"}"#).unwrap().1, Command::Ping);
    }

    #[test]
    fn what_is_malformed_is_named() {
        assert_eq!(refused("hi"), (None, ErrorCode::BadFrame));
        assert_eq!(refused("[1]"), (None, ErrorCode::BadFrame));
        assert_eq!(refused(r#"{"id":4}"#), (Some(4), ErrorCode::BadFrame));
        assert_eq!(refused(r#"{"type":5,"id":4}"#), (Some(4), ErrorCode::BadFrame));
        assert_eq!(refused(r#"{"type":"ping"}"#), (None, ErrorCode::BadFrame));
        assert_eq!(refused(r#"{"type":"fly","id":4}"#), (Some(4), ErrorCode::UnknownCommand));
        assert_eq!(
            refused(r#"{"type":"read","id":4,"channel":"a","seq":-1}"#),
            (Some(4), ErrorCode::BadFrame)
        );
        assert_eq!(refused(r#"{"type":"read","id":4,"channel":7,"seq":1}"#), (Some(4), ErrorCode::BadFrame));
    }

    #[test]
    fn a_frame_may_have_its_fields_in_any_order() {
        let read = Command::Read { channel: "a".into(), seq: 3 };
        for frame in [
            r#"{"type":"read","id":7,"channel":"a","seq":3}"#,
            r#" {"type":"read","id":7,"channel":"a","seq":3} "#,
            r#"{"channel":"a","type":"read","seq":3,"id":7}"#,
            r#"{"id":7,"channel":"a","seq":3,"type":"read"}"#,
            r#"{"type":"\u0072ead","id":7,"channel":"a","seq":3}"#,
            r#"{"\u0074ype":"read","\u0069d":7,"ch\u0061nnel":"a","seq":3}"#,
        ] {
            assert_eq!(Command::decode(frame), Ok((7, read.clone())), "{frame}");
        }
        for odd in [
            r#"{"type":"read","id":7,"channel":"a","seq":3,"type":"read"}"#,
            r#"{"channel":"a","type":"read","id":7,"seq":3,"id":7}"#,
            r#"{"type":"read","id":7,"channel":"a","seq":3}}"#,
        ] {
            assert_eq!(refused(odd), (Some(7), ErrorCode::BadFrame), "{odd}");
        }
    }

    #[test]
    fn a_field_that_is_ignored_can_not_break_a_frame() {
        let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        for odd in [r#""\ud83d""#, "1e999", "123456789012345678901234567890", "{\"a\":1,\"a\":2}", &deep] {
            let frame = format!(r#"{{"later":{odd},"type":"ping","id":1,"text":{odd},"later":{odd}}}"#);
            assert_eq!(Command::decode(&frame), Ok((1, Command::Ping)), "{odd:.40}");
        }
    }

    #[test]
    fn what_is_refused_keeps_its_id() {
        for (text, why) in [
            (r#""\ud83d""#, "hex escape"),
            (r#""\x""#, "escape"),
            ("\"\n\"", "control character"),
            ("7", "expected a string"),
            ("nope", "expected"),
            (r#""a","text":"b""#, "duplicate field `text`"),
            (r#""a"},"#, "trailing characters"),
            (r#""a"#, "EOF"),
        ] {
            let frame = format!(r#"{{"type":"publish","channel":"a","nonce":"n","text":{text},"id":7}}"#);
            let late = format!(r#"{{"type":"publish","id":7,"channel":"a","nonce":"n","text":{text}}}"#);
            let error = Command::decode(&late).unwrap_err();
            assert_eq!((error.id, error.code), (Some(7), ErrorCode::BadFrame), "{late}");
            assert!(error.message.contains(why), "{}", error.message);
            let cut_off = why == "EOF" || why == "trailing characters";
            assert_eq!(refused(&frame).0, (!cut_off).then_some(7), "{frame}");
        }
        assert_eq!(refused(r#"{"type":"fly","id":7,"x":nope}"#), (Some(7), ErrorCode::UnknownCommand));
        assert_eq!(refused(r#"{"type":"ping","id":6,"id":7}"#), (Some(7), ErrorCode::BadFrame));
    }

    #[test]
    fn a_list_is_no_frame() {
        assert_eq!(refused(r#"["ping",1]"#), (None, ErrorCode::BadFrame));
    }

    #[test]
    fn a_command_reads_as_it_is_written() {
        let publish = Command::Publish {
            channel: "a".into(),
            nonce: "n".into(),
            text: "\"\u{1f600}\"".into(),
            attachments: vec!["a_1".into()],
            reply_to: Some(3),
            mentions: Vec::new(),
            data: None,
        };
        let mut written = serde_json::to_value(&publish).unwrap();
        written["id"] = 7.into();
        assert_eq!(Command::decode(&written.to_string()), Ok((7, publish)));
    }

    #[test]
    fn every_command_name_is_known() {
        for name in Command::NAMES {
            let error = Command::decode(&format!(r#"{{"type":"{name}","id":1,"channel":1}}"#)).err();
            assert!(error.is_none_or(|e| e.code == ErrorCode::BadFrame), "{name}");
        }
    }
}
