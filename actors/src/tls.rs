//! TLS to whomever the node connects to: whom it trusts, and whose cryptography it uses.

use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
pub use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore};

/// The certificate authorities that this system trusts. They are many files: not for a thread that must go on.
#[must_use]
pub fn of_the_system() -> RootCertStore {
    let mut trusted = RootCertStore::empty();
    trusted.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    trusted
}

/// What a connection is made with that trusts `trusted` and shows no certificate of its own.
///
/// # Errors
/// The cryptography has no safe version of TLS.
pub fn client(trusted: RootCertStore) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    Ok(config.with_safe_default_protocol_versions()?.with_root_certificates(trusted).with_no_client_auth())
}
