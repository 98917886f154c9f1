//! The settings of a bus, with their defaults.

use std::{fmt, io};

use async_nats::{ConnectOptions, ServerAddr};

use crate::bus::NatsBus;
use crate::error::ConnectError;

/// Settings of a [`NatsBus`]. [`NatsBus::builder`] begins with the defaults.
#[must_use]
pub struct Builder {
    url: String,
    namespace: String,
    name: String,
    options: ConnectOptions,
}

impl Builder {
    pub(crate) fn new(url: &str) -> Self {
        let (namespace, name) = ("chat".to_owned(), "chatcore".to_owned());
        Self { url: url.to_owned(), namespace, name, options: ConnectOptions::new() }
    }

    /// Sets the namespace: processes with the same one are on the same bus. Default `chat`.
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Sets the name of the connection, which NATS shows its operator. Default `chatcore`.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Sets the options of the NATS client: credentials, TLS, time-outs. The bus sets its own ping interval, capacities,
    /// event callback, echo and reconnecting.
    pub fn options(mut self, options: ConnectOptions) -> Self {
        self.options = options;
        self
    }

    /// Connects, and waits up to five seconds until the bus carries messages. If it doesn't by then, the bus is disrupted
    /// until it does.
    ///
    /// # Errors
    /// [`ConnectError`] if the settings are invalid.
    pub async fn connect(self) -> Result<NatsBus, ConnectError> {
        let addresses = addresses(&self.url)?;
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if !(1..=64).contains(&self.namespace.len()) || !self.namespace.chars().all(valid) {
            return Err(ConnectError::Namespace(self.namespace));
        }
        NatsBus::open(addresses, &self.namespace, self.options.name(self.name)).await
    }
}

impl fmt::Debug for Builder {
    /// Leaves out the URL, which may have a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name, options, .. } = self;
        f.debug_struct("Builder")
            .field("namespace", namespace)
            .field("name", name)
            .field("options", options)
            .finish_non_exhaustive()
    }
}

fn addresses(urls: &str) -> Result<Vec<ServerAddr>, ConnectError> {
    let parse = |url: &str| {
        address(url.trim()).map_err(|error| {
            let url = url.rsplit('@').next().unwrap_or_default().to_owned();
            ConnectError::Url { url, source: Box::new(error) }
        })
    };
    urls.split(',').map(parse).collect()
}

/// Parses a URL. The client would also take one without a host, and WebSockets, for which it is not built.
fn address(url: &str) -> io::Result<ServerAddr> {
    let address: ServerAddr = url.parse()?;
    if address.host().is_empty() || address.is_websocket() {
        let what = "it must be nats://HOST:PORT or tls://HOST:PORT";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_servers_are_named_with_commas() {
        let two = addresses("nats://one:4222, tls://two").expect("two addresses");
        assert_eq!(two.iter().map(ServerAddr::host).collect::<Vec<_>>(), ["one", "two"]);
        assert!(two[1].tls_required());
        assert_eq!(two[1].port(), 4222);
    }

    #[test]
    fn an_invalid_url_is_named_without_its_password() {
        for bad in ["", "nats://u:secret@", "nats://one,,nats://two", "http://one", "ws://one"] {
            let error = addresses(bad).expect_err(bad);
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
}
