//! Wakes those who wait for something new in any log.

use tokio::sync::watch;

/// Rings when a log may have something new. It costs next to nothing while nobody listens.
#[derive(Debug)]
pub(crate) struct Bell(watch::Sender<()>);

impl Default for Bell {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl Bell {
    /// Wakes all who listen. Whoever begins to listen after this reads what was stored before it.
    pub(crate) fn ring(&self) {
        if self.0.receiver_count() > 0 {
            self.0.send_replace(());
        }
    }

    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}
