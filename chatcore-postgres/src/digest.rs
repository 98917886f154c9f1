//! What the log keeps unique of an event.

use std::error::Error;

use bytes::BytesMut;
use chatcore::ChannelId;
use sha2::{Digest as _, Sha256};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// The first 128 bits of a SHA-256, in a column of type `uuid`: 16 bytes, compared as they are. Whoever chooses
/// nonces can't find two messages of one digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 16]);

impl Digest {
    /// The same for each repetition of a publish, and for nothing else.
    pub(crate) fn of_message(channel: ChannelId, author: &str, nonce: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(channel.0.to_le_bytes());
        // Its length keeps the author from running into the nonce.
        hash.update((author.len() as u64).to_le_bytes());
        hash.update(author);
        hash.update(nonce);
        Self::first_half(hash)
    }

    /// Of what has no nonce: random as its argument is, and hashed, so that neighbouring arguments fall apart.
    pub(crate) fn of_random(random: u128) -> Self {
        Self::first_half(Sha256::new_with_prefix(random.to_le_bytes()))
    }

    fn first_half(hash: Sha256) -> Self {
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        Self(half)
    }
}

impl ToSql for Digest {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::UUID
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_repetition_has_the_same() {
        let first = Digest::of_message(ChannelId(1), "u_ann", "n");
        assert_eq!(first, Digest::of_message(ChannelId(1), "u_ann", "n"));
        for (channel, author, nonce) in
            [(2, "u_ann", "n"), (1, "u_bob", "n"), (1, "u_ann", "m"), (1, "u_an", "nn")]
        {
            assert_ne!(
                first,
                Digest::of_message(ChannelId(channel), author, nonce),
                "{channel} {author} {nonce}"
            );
        }
        assert_ne!(Digest::of_random(1), Digest::of_random(2));
    }
}
