//! The users seen last, for an outage of the database.

use std::collections::HashMap;

use crate::accounts::Known;
use crate::accounts::record::{Change, Found, Wanted};
use crate::accounts::secret::Hash;

/// The most users remembered, in each of two generations.
const REMEMBERED: usize = 10_000;

/// The users seen last, by the hashes of their tokens.
#[derive(Default)]
pub(super) struct Remembered {
    young: HashMap<Hash, Known>,
    old: HashMap<Hash, Known>,
}

impl Remembered {
    pub(super) fn put(&mut self, hash: Hash, known: Known) {
        if self.young.len() >= REMEMBERED {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, known);
    }

    pub(super) fn get(&self, hash: &Hash) -> Option<Known> {
        self.young.get(hash).or_else(|| self.old.get(hash)).cloned()
    }

    pub(super) fn forget(&mut self, hash: &Hash) {
        self.young.remove(hash);
        self.old.remove(hash);
    }

    /// Follows changes: forgets devices that have signed out, and remembers those whose person is another now or that
    /// were asked for.
    pub(super) fn follow(&mut self, wanted: &Wanted, found: &Found, changes: &[Change]) {
        for change in changes {
            let (id, after) = match change {
                Change::Put(person) => (&person.user.id, Some(person)),
                Change::Remove(id) => (id, None),
                Change::Service(_) => continue,
            };
            for device in found.by_id(id).into_iter().flat_map(|before| &before.devices) {
                if after.is_none_or(|after| after.device(&device.hash).is_none()) {
                    self.forget(&device.hash);
                }
            }
            let Some(after) = after else { continue };
            for device in &after.devices {
                if wanted.tokens.contains(&device.hash) || self.get(&device.hash).is_some() {
                    self.put(device.hash, Known { user: after.user.clone(), used: device.used });
                }
            }
        }
    }
}
