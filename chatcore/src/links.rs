//! Every connection there is, by user.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use dashmap::DashMap;

use crate::config::Limits;
use crate::id::UserId;
use crate::link::Link;
use crate::protocol::CloseReason;
use crate::sync::Arc;

/// The open connections.
#[derive(Debug, Default)]
pub(crate) struct Links {
    by_user: DashMap<UserId, Vec<Arc<Link>>>,
    count: AtomicUsize,
}

impl Links {
    /// Enters a connection; says no where there are too many, in all or of this user.
    pub(crate) fn enter(&self, link: &Arc<Link>, limits: &Limits) -> bool {
        if self.count.fetch_add(1, Ordering::Relaxed) >= limits.connections {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let mut links = self.by_user.entry(link.identity.user.id.clone()).or_default();
        if links.len() >= limits.connections_per_user {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        links.push(Arc::clone(link));
        true
    }

    /// Removes a connection.
    pub(crate) fn leave(&self, link: &Arc<Link>) {
        let user = &link.identity.user.id;
        if let Some(mut links) = self.by_user.get_mut(user) {
            links.retain(|other| !Arc::ptr_eq(other, link));
        }
        self.by_user.remove_if(user, |_, links| links.is_empty());
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Calls `visit` for each connection.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Arc<Link>)) {
        for links in &self.by_user {
            links.iter().for_each(&mut visit);
        }
    }

    /// Leaves a frame with a user's connections but `except`.
    pub(crate) fn send_to_user(&self, user: &UserId, except: &Arc<Link>, frame: &Bytes) {
        if let Some(links) = self.by_user.get(user) {
            for link in links.iter().filter(|link| !Arc::ptr_eq(link, except)) {
                link.send(frame.clone());
            }
        }
    }

    /// Closes a user's connections.
    pub(crate) fn close_user(&self, user: &UserId, reason: CloseReason) {
        if let Some(links) = self.by_user.get(user) {
            links.iter().for_each(|link| link.close(reason));
        }
    }
}
