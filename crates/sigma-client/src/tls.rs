//! Whom to trust and what to show over TLS.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::ConfigError;

/// How many servers' sessions are kept for a short handshake: there is one, perhaps behind a proxy.
const SESSIONS: usize = 4;

/// The TLS settings of a client, as they were given.
pub(crate) struct Tls {
    pub(crate) ca_pem: Option<Vec<u8>>,
    pub(crate) system_roots: bool,
    pub(crate) identity_pem: Option<(Vec<u8>, Vec<u8>)>,
}

impl Default for Tls {
    fn default() -> Self {
        Tls {
            ca_pem: None,
            system_roots: true,
            identity_pem: None,
        }
    }
}

impl Tls {
    /// Makes the configuration with a provider of its own, so that no process-wide one is needed. The system's
    /// roots are read only if `needed`, and having none is an error only if `required`: an image without any
    /// still serves `http`.
    pub(crate) fn config(&self, needed: bool, required: bool) -> Result<ClientConfig, ConfigError> {
        let roots = self.roots(needed, required)?;
        let builder =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(tls)?
                .with_root_certificates(roots);
        let mut config = match &self.identity_pem {
            Some((certificate, key)) => {
                let chain = certificates(certificate, "client certificate")?;
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
                    ConfigError::Tls(format!("the client key cannot be read: {error}"))
                })?;
                builder.with_client_auth_cert(chain, key).map_err(tls)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(config)
    }

    fn roots(&self, needed: bool, required: bool) -> Result<RootCertStore, ConfigError> {
        let mut roots = RootCertStore::empty();
        if let Some(pem) = &self.ca_pem {
            for certificate in certificates(pem, "CA")? {
                roots.add(certificate).map_err(tls)?;
            }
        }
        if self.system_roots && needed {
            // One broken file among the system's many must not stop the others.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if required && roots.is_empty() {
            let advice =
                "no CA certificates found: install the package ca-certificates or give a CA file";
            return Err(ConfigError::Tls(advice.to_owned()));
        }
        Ok(roots)
    }
}

fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let list =
        list.map_err(|error| ConfigError::Tls(format!("the {what} cannot be read: {error}")))?;
    if list.is_empty() {
        return Err(ConfigError::Tls(format!(
            "the {what} holds no PEM certificate"
        )));
    }
    Ok(list)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is an argument of map_err"
)]
fn tls(error: rustls::Error) -> ConfigError {
    ConfigError::Tls(error.to_string())
}
