//! Places for simultaneous use, in total and per address.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Semaphore;

use crate::limits::address::{ClientAddress, SLOTS, Slots};

/// The places, in total and per address.
#[derive(Debug)]
pub(crate) struct Places {
    all: Semaphore,
    total: usize,
    slots: Slots,
    held: Box<[AtomicU32]>,
    per_address: u32,
}

/// A place of an address. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    slot: Option<u16>,
}

impl Places {
    pub(crate) fn new(total: usize, per_address: usize) -> Arc<Self> {
        let total = total.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Arc::new(Self {
            all: Semaphore::new(total),
            total,
            slots: Slots::default(),
            held: (0..SLOTS).map(|_| AtomicU32::new(0)).collect(),
            per_address: u32::try_from(per_address).unwrap_or(u32::MAX),
        })
    }

    /// Waits for a place that is not yet an address's.
    pub(crate) async fn any(self: &Arc<Self>) -> Place {
        self.all.acquire().await.expect("invariant: the semaphore is never closed").forget();
        Place { places: Arc::clone(self), slot: None }
    }

    /// Takes a place for an address. Returns `None` if the address already has as many as it may, or if no place is
    /// left.
    pub(crate) fn take(self: &Arc<Self>, address: ClientAddress) -> Option<Place> {
        self.all.try_acquire().ok()?.forget();
        Place { places: Arc::clone(self), slot: None }.of(address)
    }

    /// Returns the number of places in use.
    pub(crate) fn held(&self) -> usize {
        self.total - self.all.available_permits()
    }

    /// Waits until no place is in use.
    pub(crate) async fn empty(&self) {
        let all = u32::try_from(self.total).expect("invariant: clamped when it was made");
        drop(self.all.acquire_many(all).await);
    }
}

impl Place {
    /// Gives the place to an address. Returns `None` if the address has as many as it may.
    pub(crate) fn of(mut self, address: ClientAddress) -> Option<Self> {
        let slot = self.places.slots.of(address);
        let held = &self.places.held[usize::from(slot)];
        if held.fetch_add(1, Ordering::Relaxed) >= self.places.per_address {
            held.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        self.slot = Some(slot);
        Some(self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.places.held[usize::from(slot)].fetch_sub(1, Ordering::Relaxed);
        }
        self.places.all.add_permits(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_bounded_per_address_and_given_back() {
        let places = Places::new(3, 2);
        let [ann, bob] = ["192.0.2.1", "192.0.2.2"].map(|text| ClientAddress::new(text.parse().unwrap()));
        let anns = [places.take(ann), places.any().await.of(ann)];
        assert!(anns.iter().all(Option::is_some));
        assert!(places.take(ann).is_none(), "one past its own limit");
        assert_eq!(places.held(), 2, "which holds no place");
        let bobs = places.take(bob);
        assert!(bobs.is_some());
        assert!(places.take(bob).is_none(), "one past the limit of all");
        drop((anns, bobs));
        assert_eq!(places.held(), 0);
        places.empty().await;
        assert!(places.take(ann).is_some());
    }
}
