//! Secrets: the tokens of devices and the codes of links. Only their hashes are stored.

use std::fmt;

use chatcore::{SessionId, UserId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

/// The SHA-256 hash of a secret: 64 hex digits in lower case as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Hash([u8; 32]);

impl Hash {
    fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Returns the hash written as `text`.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let is_hex = |b: u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f');
        if text.len() != 64 || !text.bytes().all(is_hex) {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Self(hash))
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(bytes.try_into().ok()?))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the session id that the chat gets for the token with this hash.
    pub(crate) fn session(self) -> SessionId {
        SessionId::new(self.to_string()).expect("invariant: 64 hex digits make an id")
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| de::Error::custom("a hash has 64 hex digits"))
    }
}

/// The secret with which a device signs in: 128 random bits, as hex digits.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn new(text: &str) -> Option<Self> {
        (text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| Self(text.to_owned()))
    }

    pub(crate) fn random() -> Self {
        Self(random_hex())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the session id that the chat gets for this token. It does not reveal the token.
    pub(crate) fn session(&self) -> SessionId {
        self.hash().session()
    }

    pub(crate) fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }
}

/// The digits of Crockford's base 32: without I, L, O and U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The number of digits of a code: 140 bits.
const CODE_DIGITS: usize = 28;

/// The secret in a link, which a person may also type: 140 random bits as seven groups of four digits.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Code(String);

impl Code {
    /// Reads a code that a person typed: case, spaces and dashes don't matter, and letters that look like a digit
    /// are that digit.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let mut code = String::with_capacity(CODE_DIGITS);
        for c in text.chars().filter(|c| !matches!(c, ' ' | '-')) {
            let digit = match c.to_ascii_uppercase() {
                'O' => '0',
                'I' | 'L' => '1',
                other => other,
            };
            if code.len() == CODE_DIGITS || !DIGITS.contains(&u8::try_from(digit).ok()?) {
                return None;
            }
            code.push(digit);
        }
        (code.len() == CODE_DIGITS).then_some(Self(code))
    }

    pub(crate) fn random() -> Self {
        let mut bytes = [0_u8; CODE_DIGITS];
        getrandom::fill(&mut bytes).expect("invariant: the system has a source of randomness");
        // 32 divides 256, so every digit is equally likely.
        Self(bytes.iter().map(|byte| char::from(DIGITS[usize::from(byte % 32)])).collect())
    }

    pub(crate) fn hash(&self) -> Hash {
        Hash::of(&self.0)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for start in (0..CODE_DIGITS).step_by(4) {
            let dash = if start == 0 { "" } else { "-" };
            write!(f, "{dash}{}", &self.0[start..start + 4])?;
        }
        Ok(())
    }
}

// Secrets stay out of logs and panics.

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code")
    }
}

/// The digits of a user's id: those of base64 for URLs.
const ID_DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Returns an id for a new person: 48 random bits in eight digits. It is no secret, and it is short because each message
/// carries its author's. So whoever uses it checks that nobody has it, and nobody had it.
pub(crate) fn random_id() -> UserId {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).expect("invariant: the system has a source of randomness");
    // 64 divides 256, so every digit is equally likely.
    let digits = bytes.map(|byte| char::from(ID_DIGITS[usize::from(byte % 64)]));
    let id = ["u_".to_owned(), digits.iter().collect()].concat();
    UserId::new(id).expect("invariant: these digits make an id")
}

/// Returns 128 random bits as 32 hex digits.
fn random_hex() -> String {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).expect("invariant: the system has a source of randomness");
    format!("{:032x}", u128::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_short_and_needs_no_escape() {
        let [one, other] = [random_id(), random_id()].map(|id| id.as_str().to_owned());
        assert!(one.len() == 10 && one.starts_with("u_") && one != other, "{one} {other}");
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
    }

    #[test]
    fn a_typed_code_is_read_in_any_spelling() {
        let code = Code::random();
        let shown = code.to_string();
        assert_eq!(shown.split('-').map(str::len).collect::<Vec<_>>(), [4; 7]);
        for typed in [shown.clone(), shown.to_lowercase(), shown.replace('-', " "), shown.replace('-', "")] {
            assert!(Code::new(&typed) == Some(code.clone()), "{typed}");
        }
        let zeros = Code::new(&"O0o0".repeat(7)).unwrap();
        assert!(zeros == Code::new(&"0".repeat(28)).unwrap());
        assert!(Code::new(&"Il1L".repeat(7)).unwrap() == Code::new(&"1".repeat(28)).unwrap());
    }

    #[test]
    fn texts_of_another_length_or_alphabet_are_no_code() {
        let shown = Code::random().to_string();
        for text in ["", "-", &shown[1..], &format!("{shown}0"), &"U".repeat(28), &"é".repeat(28)] {
            assert!(Code::new(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_hash_is_read_back_from_lower_case_only() {
        let hash = Token::random().hash();
        assert_eq!(Hash::new(&hash.to_string()), Some(hash));
        assert_eq!(Hash::from_bytes(hash.as_bytes()), Some(hash));
        for text in ["", "x", &"0".repeat(63), &"g".repeat(64), &"A".repeat(64)] {
            assert_eq!(Hash::new(text), None, "{text:?}");
        }
    }
}
