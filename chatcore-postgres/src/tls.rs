//! TLS with rustls, and the root certificates of the system or of the app.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::ConnectError;

/// Returns a connector that verifies the server's name and its certificate chain, with the root certificates in
/// `pem` or else the system's. If the system has none, every server is refused.
pub(crate) fn connector(pem: Option<&[u8]>) -> Result<MakeRustlsConnect, ConnectError> {
    let failed = |error: rustls::Error| ConnectError::Tls(Box::new(error));
    let roots = match pem {
        Some(pem) => read(pem)?,
        None => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        }
    };
    // Named here, so that it does not matter which providers the program installs.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn read(pem: &[u8]) -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| ConnectError::Tls(Box::new(error)))?;
        roots.add(certificate).map_err(|error| ConnectError::Tls(Box::new(error)))?;
    }
    if roots.is_empty() {
        Err(ConnectError::Tls("the root certificates contain no certificate in PEM format".into()))
    } else {
        Ok(roots)
    }
}
