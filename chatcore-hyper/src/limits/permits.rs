//! Permits for simultaneous use, in total and per address.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Notify, Semaphore};

use crate::limits::address::{ClientAddress, SLOTS, Slots};

/// The permits, in total and per address.
#[derive(Debug)]
pub(crate) struct Permits {
    all: Semaphore,
    total: usize,
    slots: Slots,
    held: Box<[AtomicU32]>,
    per_address: u32,
    /// Rings when the last permit in use is given back.
    emptied: Notify,
}

/// A permit, which may be an address's. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Arc<Permits>,
    slot: Option<u16>,
}

impl Permits {
    pub(crate) fn new(total: usize, per_address: usize) -> Arc<Self> {
        let total = total.clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Arc::new(Self {
            all: Semaphore::new(total),
            total,
            slots: Slots::default(),
            held: (0..SLOTS).map(|_| AtomicU32::new(0)).collect(),
            per_address: u32::try_from(per_address).unwrap_or(u32::MAX),
            emptied: Notify::new(),
        })
    }

    /// Waits for a permit that is not yet an address's.
    pub(crate) async fn any(self: &Arc<Self>) -> Permit {
        self.all.acquire().await.expect("invariant: the semaphore is never closed").forget();
        Permit { permits: Arc::clone(self), slot: None }
    }

    /// Takes a permit, for an address if it is known. Returns `None` if the address already has as many as it may, or if
    /// no permit is left.
    pub(crate) fn take(self: &Arc<Self>, address: Option<ClientAddress>) -> Option<Permit> {
        self.all.try_acquire().ok()?.forget();
        let permit = Permit { permits: Arc::clone(self), slot: None };
        match address {
            Some(address) => permit.of(address),
            None => Some(permit),
        }
    }

    /// Returns the number of permits in use.
    pub(crate) fn held(&self) -> usize {
        self.total - self.all.available_permits()
    }

    /// Waits until no permit is in use. Permits can be taken meanwhile.
    pub(crate) async fn empty(&self) {
        let mut emptied = pin!(self.emptied.notified());
        loop {
            // Before the look, so that no ring is missed.
            emptied.as_mut().enable();
            if self.held() == 0 {
                return;
            }
            emptied.as_mut().await;
            emptied.set(self.emptied.notified());
        }
    }
}

impl Permit {
    /// Gives the permit to an address. Returns `None` if the address has as many as it may.
    pub(crate) fn of(mut self, address: ClientAddress) -> Option<Self> {
        let slot = self.permits.slots.of(address);
        let held = &self.permits.held[usize::from(slot)];
        if held.fetch_add(1, Ordering::Relaxed) >= self.permits.per_address {
            held.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        self.slot = Some(slot);
        Some(self)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.permits.held[usize::from(slot)].fetch_sub(1, Ordering::Relaxed);
        }
        self.permits.all.add_permits(1);
        if self.permits.held() == 0 {
            self.permits.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn permits_are_bounded_per_address_and_given_back() {
        let permits = Permits::new(3, 2);
        let [ann, bob] = ["192.0.2.1", "192.0.2.2"].map(|text| ClientAddress::new(text.parse().unwrap()));
        let anns = [permits.take(Some(ann)), permits.any().await.of(ann)];
        assert!(anns.iter().all(Option::is_some));
        assert!(permits.take(Some(ann)).is_none(), "one past its own limit");
        assert_eq!(permits.held(), 2, "which holds no permit");
        let bobs = permits.take(Some(bob));
        assert!(bobs.is_some());
        assert!(permits.take(Some(bob)).is_none(), "one past the limit of all");
        drop((anns, bobs));
        assert_eq!(permits.held(), 0);
        permits.empty().await;
        assert!(permits.take(Some(ann)).is_some());
    }
}
