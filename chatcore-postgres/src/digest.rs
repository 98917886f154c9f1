//! The unique key of an event in the log.

use std::error::Error;

use bytes::BytesMut;
use chatcore::ChannelId;
use sha2::{Digest as _, Sha256};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// The first 128 bits of a SHA-256, in a column of type `uuid`: 16 bytes, compared as they are. A client that chooses
/// its nonces can't find two messages with the same digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 16]);

impl Digest {
    /// Returns the digest of a message. A repeated publish has the same digest, and no other message has.
    pub(crate) fn of_message(channel: ChannelId, author: &str, nonce: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(channel.0.to_le_bytes());
        // The length separates the author from the nonce.
        hash.update((author.len() as u64).to_le_bytes());
        hash.update(author);
        hash.update(nonce);
        Self::first_half(hash)
    }

    /// Returns the digest of an event without a nonce: the hash of a random number, since the numbers of a batch are
    /// consecutive.
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
    fn only_a_repeated_publish_has_the_same_digest() {
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
