//! What one address may request from a service.

use std::num::NonZeroU32;
use std::sync::Arc;

use chatcore::ErrorCode;
use http::request::Parts;

use crate::error::HttpError;
use crate::limits::address::ClientAddress;
use crate::limits::allowance::{Allowance, PerAddress, TooManyRequests};
use crate::limits::config::Config;
use crate::limits::permits::{Permit, Permits};

/// The limits per address. A request without a [`ClientAddress`] has none.
#[derive(Debug)]
pub(crate) struct Addresses {
    requests: PerAddress,
    sockets: Arc<Permits>,
    sockets_per_address: usize,
    handshakes: PerAddress,
    uploads: PerAddress,
    upload_bytes: PerAddress,
    uploading: Arc<Permits>,
    uploads_per_address: usize,
}

/// An upload of an address: its permit, and its bytes.
#[derive(Debug)]
pub(crate) struct Uploading {
    address: Option<ClientAddress>,
    addresses: Arc<Addresses>,
    /// Bytes of an unfinished kibibyte.
    rest: usize,
    _permit: Option<Permit>,
}

impl Addresses {
    pub(crate) fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self {
            requests: PerAddress::new(config.requests),
            sockets: Permits::new(usize::MAX, config.sockets_per_address),
            sockets_per_address: config.sockets_per_address,
            handshakes: PerAddress::new(config.handshakes),
            uploads: PerAddress::new(config.uploads),
            upload_bytes: PerAddress::new(Allowance::kibibytes_per_day(config.upload_bytes_per_day)),
            uploading: Permits::new(usize::MAX, config.uploads_per_address),
            uploads_per_address: config.uploads_per_address,
        })
    }

    /// Counts a request of its address.
    pub(crate) fn request(&self, parts: &Parts) -> Result<(), TooManyRequests> {
        address(parts).map_or(Ok(()), |address| self.requests.take(address))
    }

    /// Takes a permit for a WebSocket, of the request's address if that is known.
    pub(crate) fn socket(&self, parts: &Parts) -> Result<Permit, HttpError> {
        self.sockets.take(address(parts)).ok_or_else(|| {
            let why = format!("at most {} WebSockets at once from one address", self.sockets_per_address);
            HttpError::from(chatcore::Error::new(ErrorCode::RateLimited, why))
        })
    }

    /// Waits until no WebSocket has a permit.
    pub(crate) async fn sockets_closed(&self) {
        self.sockets.empty().await;
    }

    /// Counts a handshake of the request's address.
    pub(crate) fn handshake(&self, parts: &Parts) -> Result<(), TooManyRequests> {
        address(parts).map_or(Ok(()), |address| self.handshakes.take(address))
    }

    /// Begins an upload of the request's address.
    pub(crate) fn upload(self: &Arc<Self>, parts: &Parts) -> Result<Uploading, HttpError> {
        let address = address(parts);
        let permit = match address {
            None => None,
            Some(address) => {
                self.uploads.take(address)?;
                let permit = self.uploading.take(Some(address)).ok_or_else(|| {
                    let why =
                        format!("at most {} uploads at once from one address", self.uploads_per_address);
                    HttpError::from(chatcore::Error::new(ErrorCode::RateLimited, why))
                })?;
                Some(permit)
            }
        };
        Ok(Uploading { address, addresses: Arc::clone(self), rest: 0, _permit: permit })
    }
}

impl Uploading {
    /// Counts received bytes.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), TooManyRequests> {
        let Some(address) = self.address else { return Ok(()) };
        self.rest = self.rest.saturating_add(bytes);
        let whole = u32::try_from(self.rest >> 10).unwrap_or(u32::MAX);
        self.rest &= 1_023;
        NonZeroU32::new(whole).map_or(Ok(()), |count| self.addresses.upload_bytes.take_many(address, count))
    }
}

fn address(parts: &Parts) -> Option<ClientAddress> {
    parts.extensions.get().copied()
}
