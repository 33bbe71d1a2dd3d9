//! The program's own TLS: certificate and key from PEM files, read again when the program is asked to (SIGHUP).
//!
//! Invariant: there is always a certificate whose key fits. Files that cannot be used change nothing.

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

/// The certificate in use. Each handshake takes the one of its time; connections keep the one they began with.
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
    /// When a file cannot be read or the two do not belong together, in one line that names the setting.
    pub fn read(files: &TlsFiles) -> Result<Arc<Self>> {
        let provider = Arc::new(ring::default_provider());
        let in_use = RwLock::new(read(files, &provider)?);
        Ok(Arc::new(Self { files: files.clone(), provider, in_use }))
    }

    /// Reads the files again; what they hold is used from the next handshake on.
    ///
    /// # Errors
    /// As [`Self::read`]; then the certificate in use stays.
    pub fn read_again(&self) -> Result<()> {
        let new = read(&self.files, &self.provider)?;
        *self.in_use.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// TLS 1.2 and 1.3 with this certificate.
    ///
    /// # Errors
    /// Never in practice: the provider knows both versions.
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
    let complain = |variable: &str, error: &dyn std::fmt::Display| Error::Invalid(format!("{variable}: {error}"));
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| complain("SESSILE_TLS_CERT", &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| complain("SESSILE_TLS_KEY", &error))?;
    if chain.is_empty() {
        return Err(complain("SESSILE_TLS_CERT", &"there is no certificate in the file"));
    }
    let pair = CertifiedKey::from_der(chain, key, provider);
    pair.map(Arc::new).map_err(|error| complain("SESSILE_TLS_CERT, SESSILE_TLS_KEY", &error))
}
