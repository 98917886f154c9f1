//! The nonces of a log's messages, to find a publish that was sent again.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

use crate::model::append::Append;
use crate::model::id::{Seq, UserId};
use crate::model::time::Timestamp;
use crate::store::NONCE_LIFE;

/// The nonces of each author, and when the event was accepted that had one first.
#[derive(Debug, Default)]
pub(super) struct Nonces {
    /// Keyed by hash: a smaller table is in the CPU's caches more often.
    first: HashMap<u64, (Seq, Timestamp), BuildHasherDefault<Known>>,
    /// How many there must be before the expired ones are looked for again.
    next_sweep: usize,
}

/// So many may be looked through at each trim.
const FEW: usize = 4_096;

/// The hashes of a publish. They are computed once, and used to look for the nonce, to add it, and to move it when the
/// table grows.
#[derive(Debug)]
pub(crate) struct Hashed {
    /// Of the author alone.
    pub(super) author: u64,
    /// Of the author's nonce.
    nonce: u64,
}

/// Returns a hash that is known already.
#[derive(Debug, Default)]
pub(super) struct Known(u64);

impl Hasher for Known {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("invariant: a number is the hash");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Hashes users and nonces, for all logs of a store.
#[derive(Debug, Default)]
pub(crate) struct Hashes {
    /// Its keys are random, so nobody can choose nonces or ids that collide.
    keys: RandomState,
    /// The last author, and their hash: mostly that of the next append too.
    last: Option<(UserId, u64)>,
}

impl Hashes {
    /// Returns the hash of a user.
    pub(crate) fn of_user(&self, user: &UserId) -> u64 {
        self.of_text(user.as_str())
    }

    /// Returns the hashes of an append that has a nonce.
    pub(crate) fn of_append(&mut self, append: &Append) -> Option<Hashed> {
        let (_, by, nonce) = append.dedupe_key()?;
        let author = match &self.last {
            Some((last, hash)) if last == by => *hash,
            _ => {
                let hash = self.of_user(by);
                self.last = Some((by.clone(), hash));
                hash
            }
        };
        // Turned, so that a nonce that is the author's id is like any other.
        Some(Hashed { author, nonce: author.rotate_left(32) ^ self.of_text(nonce.as_str()) })
    }

    fn of_text(&self, text: &str) -> u64 {
        let mut hasher = self.keys.build_hasher();
        hasher.write(text.as_bytes());
        hasher.finish()
    }
}

impl Nonces {
    pub(super) fn first_of(&self, hashed: &Hashed) -> Option<(Seq, Timestamp)> {
        self.first.get(&hashed.nonce).copied()
    }

    pub(super) fn insert(&mut self, hashed: &Hashed, first: (Seq, Timestamp)) {
        self.first.insert(hashed.nonce, first);
    }

    /// Forgets those that expired, of the messages up to `through`. It looks through all, so if there are many it does
    /// nothing until they have doubled.
    pub(super) fn trim(&mut self, through: Seq, now: Timestamp) {
        if self.first.len() < self.next_sweep {
            return;
        }
        let expired = now.minus(NONCE_LIFE);
        self.first.retain(|_, (seq, at)| {
            let is_kept = *seq > through;
            if !is_kept {
                *at = (*at).min(now);
            }
            is_kept || *at > expired
        });
        self.next_sweep = if self.first.len() > FEW { 2 * self.first.len() } else { 0 };
    }
}
