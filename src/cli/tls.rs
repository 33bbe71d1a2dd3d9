//! The program's own TLS: certificate and key from PEM files.

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::{
    error::{Error, Result},
    settings::TlsFiles,
};

/// TLS 1.2 and 1.3 with the certificate of the files.
///
/// # Errors
/// When a file cannot be read or the two do not belong together, in one line that names the setting.
pub fn config(files: &TlsFiles) -> Result<ServerConfig> {
    let complain = |variable: &str, error: &dyn std::fmt::Display| Error::Invalid(format!("{variable}: {error}"));
    let certificates = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| complain("SESSILE_TLS_CERT", &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| complain("SESSILE_TLS_KEY", &error))?;
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::bug)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| complain("SESSILE_TLS_CERT, SESSILE_TLS_KEY", &error))
}
