//! What the parts of the service are told by the options.

use std::time::Duration;

use chatcore_hyper::web::{Allowance, Origins};
use chatcore_hyper::{Config, ServerConfig};

use crate::accounts::Rules;
use crate::files::FilesIn;
use crate::open_files;
use crate::options::Options;

impl Options {
    /// Returns the limits of the chat.
    pub(crate) fn limits(&self) -> chatcore::Limits {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let mut limits = chatcore::Limits::default();
        limits.page_messages = size(self.history);
        limits.text_chars = size(self.text_chars);
        limits.attachment_bytes = self.attachment_bytes;
        limits.connections = size(self.within_open_files(self.connections));
        limits.channels = size(self.channels);
        limits.file_bytes_per_user = self.files_per_user;
        limits.file_bytes_total = self.files_total;
        limits.drain_uploads = self.grace() / 2;
        limits.channels_at_once = self.new_channels;
        limits.channel_interval = Duration::from_secs(self.new_channel_interval);
        limits.message_bytes_per_day = self.message_bytes_per_day;
        limits.upload_bytes_per_day = self.upload_bytes_per_day;
        limits.message_bytes_per_day_total = self.total_message_bytes_per_day.unwrap_or(u64::MAX);
        limits.upload_bytes_per_day_total = self.total_upload_bytes_per_day.unwrap_or(u64::MAX);
        limits
    }

    /// Returns the rules of the accounts.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            names: self.names,
            name_ttl: Duration::from_secs(u64::from(self.name_ttl) * 24 * 60 * 60),
            owner: self.owner.clone(),
            join: self.join,
        }
    }

    /// Returns where the files are kept.
    #[must_use]
    pub fn files_in(&self) -> FilesIn {
        let usual = if self.database_url.is_some() { FilesIn::Database } else { FilesIn::Folder };
        self.files.unwrap_or(usual)
    }

    /// Returns the longest time of a drain.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace.into())
    }

    /// Returns the limits of the HTTP server.
    pub(crate) fn server(&self) -> ServerConfig {
        let size = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        // Pages, uploads and health checks need connections too.
        let connections = self.within_open_files(self.connections.saturating_add(self.connections / 4));
        let per_address = match self.trust_forwarded {
            0 => size(self.address_connections),
            _ => usize::MAX,
        };
        ServerConfig::default()
            .with_connections(size(connections))
            .with_connections_per_address(per_address)
            .with_trust_forwarded(self.trust_forwarded.into())
            .with_grace(self.grace())
    }

    /// Returns the settings of the chat's connections, and the limits per address.
    pub(crate) fn config(&self) -> Config {
        Config::default()
            .with_deflate(!self.no_deflate)
            .with_upload_bytes_per_day(self.address_upload_bytes_per_day)
            .with_sockets_per_address(usize::try_from(self.address_connections).unwrap_or(usize::MAX))
            .with_requests(self.requests())
    }

    /// Returns the allowance of requests per address.
    pub(crate) fn requests(&self) -> Allowance {
        Allowance::new(self.requests, Duration::from_millis(self.request_interval))
    }

    /// Returns the allowance of sign-ins per address.
    pub(crate) fn sign_ins(&self) -> Allowance {
        Allowance::new(self.sign_ins, Duration::from_millis(self.sign_in_interval))
    }

    fn within_open_files(&self, connections: u32) -> u32 {
        open_files::connections(connections, self.open_files, self.reserved_files)
    }

    /// Raises the limit of open files as far as possible, and logs a warning if it is still too low for
    /// `--connections`. Call it once, at the start.
    pub fn raise_open_files(&mut self) {
        self.open_files = open_files::raise();
        let allowed = self.within_open_files(self.connections);
        if let Some(open_files) = self.open_files.filter(|_| allowed < self.connections) {
            let asked = self.connections;
            tracing::warn!(
                asked,
                allowed,
                open_files,
                "the limit of open files allows fewer connections than asked for: raise it (ulimit -n, LimitNOFILE)"
            );
        }
    }

    /// Returns the origins of the service.
    pub(crate) fn origins(&self) -> Origins {
        self.origin.iter().cloned().fold(Origins::local(), Origins::own)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn a_proxy_may_use_all_connections() {
        let direct = Options::parse_from(["web_chat", "--address-connections", "9"]).server();
        assert_eq!((direct.connections_per_address, direct.trust_forwarded), (9, 0));
        let behind = Options::parse_from(["web_chat", "--trust-forwarded", "1"]).server();
        assert_eq!((behind.connections_per_address, behind.trust_forwarded), (usize::MAX, 1));
        let arguments = ["web_chat", "--trust-forwarded", "1", "--address-connections", "9"];
        assert_eq!(Options::parse_from(arguments).config().sockets_per_address, 9);
    }

    #[test]
    fn compression_is_on_unless_it_is_switched_off() {
        assert!(Options::parse_from(["web_chat"]).config().deflate);
        assert!(!Options::parse_from(["web_chat", "--no-deflate"]).config().deflate);
    }

    #[test]
    fn connections_are_capped_before_files_run_out() {
        let mut options = Options::parse_from(["web_chat"]);
        assert_eq!((options.limits().connections, options.server().connections), (20_000, 25_000));
        options.open_files = Some(1_024);
        assert_eq!((options.limits().connections, options.server().connections), (768, 768));
        options.reserved_files = 24;
        assert_eq!((options.limits().connections, options.server().connections), (1_000, 1_000));
    }
}
