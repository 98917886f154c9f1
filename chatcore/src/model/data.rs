//! What an app attaches to a message.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

/// What an app attaches to a message: a JSON object, which the engine keeps and never reads. At most
/// [`MAX_BYTES`](Self::MAX_BYTES) as compact JSON, and [`MAX_DEPTH`](Self::MAX_DEPTH) levels deep.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(Arc<str>);

/// Why a value is no [`Data`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidData {
    /// It is no JSON object.
    #[error("'data' must be a JSON object")]
    NoObject,
    /// It is too long.
    #[error("'data' can have at most 4096 bytes of JSON")]
    TooLong,
    /// It has too many objects and lists within each other.
    #[error("'data' can have at most 64 levels of objects and lists")]
    TooDeep,
}

impl Data {
    /// The most bytes of compact JSON.
    pub const MAX_BYTES: usize = 4_096;

    /// The most objects and lists within each other, counted with the object itself. Parsers of JSON take some more, since
    /// data is stored and sent within other objects.
    pub const MAX_DEPTH: usize = 64;

    /// Returns the object that `value` serializes as.
    ///
    /// # Errors
    /// [`InvalidData`] if it is no JSON object, or too long.
    pub fn new(value: &impl Serialize) -> Result<Self, InvalidData> {
        match serde_json::to_value(value) {
            Ok(Value::Object(object)) => Self::of(&object),
            _ => Err(InvalidData::NoObject),
        }
    }

    fn of(object: &Map<String, Value>) -> Result<Self, InvalidData> {
        if !object.values().all(|value| has_depth(value, Self::MAX_DEPTH - 1)) {
            return Err(InvalidData::TooDeep);
        }
        let json = serde_json::to_string(object).map_err(|_| InvalidData::NoObject)?;
        if json.len() > Self::MAX_BYTES { Err(InvalidData::TooLong) } else { Ok(Self(json.into())) }
    }

    /// Reads what a client sends, within the limits.
    pub(crate) fn of_client<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        let object = Option::<Map<String, Value>>::deserialize(deserializer)?;
        object.map(|object| Self::of(&object)).transpose().map_err(de::Error::custom)
    }

    /// Returns the object as compact JSON.
    #[must_use]
    pub fn as_json(&self) -> &str {
        &self.0
    }

    /// Reads the object as a value of the app's own, or returns `None` if it is of another form.
    #[must_use]
    pub fn get<T: de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.0).ok()
    }
}

/// Returns whether a value has at most `most` levels of objects and lists.
fn has_depth(value: &Value, most: usize) -> bool {
    let inner = |value| most > 0 && has_depth(value, most - 1);
    match value {
        Value::Array(items) => most > 0 && items.iter().all(inner),
        Value::Object(object) => most > 0 && object.values().all(inner),
        _ => true,
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object: Map<String, Value> =
            serde_json::from_str(&self.0).expect("invariant: the constructor made it from an object");
        object.serialize(serializer)
    }
}

/// Reads what was stored, whatever its length and depth: earlier versions had other limits.
impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Map::<String, Value>::deserialize(deserializer)?;
        let json = serde_json::to_string(&object).map_err(de::Error::custom)?;
        Ok(Self(json.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_a_bounded_object_that_reads_as_it_is_written() {
        let data = Data::new(&serde_json::json!({"ticket": 7, "tags": ["a"]})).unwrap();
        let json = serde_json::to_string(&data).unwrap();
        assert_eq!(serde_json::from_str::<Data>(&json).unwrap(), data);
        assert_eq!(data.get::<serde_json::Value>().unwrap()["ticket"], 7);
        assert_eq!(Data::new(&[1]), Err(InvalidData::NoObject));
        let text = |bytes: usize| Data::new(&serde_json::json!({"x": "a".repeat(bytes)}));
        assert!(text(Data::MAX_BYTES - r#"{"x":""}"#.len()).is_ok());
        assert_eq!(text(Data::MAX_BYTES - r#"{"x":""}"#.len() + 1), Err(InvalidData::TooLong));
    }

    #[test]
    fn data_has_at_most_the_most_levels() {
        let deep =
            |depth: usize| (1..depth).fold(serde_json::json!({}), |inner, _| serde_json::json!({"a": inner}));
        assert!(Data::new(&deep(Data::MAX_DEPTH)).is_ok());
        assert_eq!(Data::new(&deep(Data::MAX_DEPTH + 1)), Err(InvalidData::TooDeep));
        let list =
            |depth: usize| (2..depth).fold(serde_json::json!([]), |inner, _| serde_json::json!([inner]));
        assert!(Data::new(&serde_json::json!({"a": list(Data::MAX_DEPTH)})).is_ok());
        assert!(Data::new(&serde_json::json!({"a": list(Data::MAX_DEPTH + 1)})).is_err());
    }

    #[test]
    fn stored_data_is_read_whatever_the_limits_are() {
        let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(2 * Data::MAX_BYTES));
        let deep = format!("{}{{}}{}", r#"{"a":"#.repeat(Data::MAX_DEPTH), "}".repeat(Data::MAX_DEPTH));
        for text in [long, deep] {
            assert_eq!(serde_json::from_str::<Data>(&text).unwrap().as_json(), text);
            let mut client = serde_json::Deserializer::from_str(&text);
            assert!(Data::of_client(&mut client).is_err());
        }
    }

    /// A store and a ring write data and read it again, some of it several times.
    #[test]
    fn data_of_the_most_bytes_reads_as_it_is_written() {
        // Numbers whose nearest neighbours are written with more digits.
        for number in [4.621_637_696_230_708e-194, 1.164_377_812_372_177e151, 5.273_321_188_009_01e-234] {
            let of = |pad: usize| Data::new(&serde_json::json!({"n": number, "pad": "x".repeat(pad)}));
            let pad = Data::MAX_BYTES - of(0).unwrap().as_json().len();
            let data = of(pad).unwrap();
            let json = serde_json::to_string(&data).unwrap();
            assert_eq!(json, data.as_json());
            assert_eq!(serde_json::from_str::<Data>(&json).map_err(|error| error.to_string()), Ok(data));
        }
    }
}
