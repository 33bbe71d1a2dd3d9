//! The program's own TLS, with a certificate and a key from PEM files that are reloaded on SIGHUP. Called by
//! [`run`](super::run) and by `doctor`.
//!
//! Invariant: the certificate in use always matches its key. A failed reload changes nothing.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use crate::base::{
    error::{Error, Result},
    settings::TlsFiles,
};

/// The certificate in use. A reload affects new handshakes only, not open connections.
#[derive(Debug)]
pub struct Certificate {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    in_use: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// One line that names the setting, if a file cannot be read or the key does not match the certificate.
    pub fn read(files: &TlsFiles) -> Result<Arc<Self>> {
        let provider = Arc::new(ring::default_provider());
        let in_use = RwLock::new(read(files, &provider)?);
        Ok(Arc::new(Self { files: files.clone(), provider, in_use }))
    }

    /// Reloads the files. The next handshake uses the new certificate.
    ///
    /// # Errors
    /// Like [`Self::read`]. The certificate in use stays.
    pub fn read_again(&self) -> Result<()> {
        let new = read(&self.files, &self.provider)?;
        *self.in_use.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// A configuration for TLS 1.2 and 1.3 with this certificate.
    pub fn config(self: &Arc<Self>) -> Result<ServerConfig> {
        Ok(ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(Error::bug)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.in_use.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(files: &TlsFiles, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>> {
    let invalid = |variable: &str, error: &dyn std::fmt::Display| Error::Invalid(format!("{variable}: {error}"));
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| invalid("SESSILE_TLS_CERT", &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| invalid("SESSILE_TLS_KEY", &error))?;
    if chain.is_empty() {
        return Err(invalid("SESSILE_TLS_CERT", &"the file contains no certificate"));
    }
    let pair = CertifiedKey::from_der(chain, key, provider);
    pair.map(Arc::new).map_err(|error| invalid("SESSILE_TLS_CERT, SESSILE_TLS_KEY", &error))
}
