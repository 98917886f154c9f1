//! TLS by rustls, with the system's root certificates.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::ConnectError;

/// Makes what puts TLS on a connection. The server's name and its certificate's chain are verified; where the
/// system has no root certificates, no server's is taken.
pub(crate) fn connector() -> Result<MakeRustlsConnect, ConnectError> {
    let failed = |error: rustls::Error| ConnectError::Tls(Box::new(error));
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    // Named here, so that it does not matter which providers the program has besides.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
