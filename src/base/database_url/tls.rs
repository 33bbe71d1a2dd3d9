//! TLS to PostgreSQL: the trusted certificates, and how the server's certificate is verified. Called by the settings
//! and the connect plan. A server certificate needs a subject alternative name. It must be signed by an authority, and
//! must not be an authority itself.
//!
//! Invariant: the signature of the handshake is always verified.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::postgres::Trust;

/// Creates the TLS connector for `trust`. On failure returns one line about the certificates.
pub(crate) fn connector(trust: Trust) -> Result<MakeRustlsConnect, String> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Any => Arc::new(Lenient::new(None, &provider)),
        Trust::Chain(file) => Arc::new(Lenient::new(Some(roots(&file)?), &provider)),
        Trust::ChainAndHost(file) => {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots(&file)?), provider.clone())
                .build()
                .map_err(|error| format!("has an sslrootcert that cannot be used: {error}"))?
        }
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot be reached over TLS: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    // PostgreSQL 17 requires this for sslnegotiation=direct; older servers ignore it.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(MakeRustlsConnect::new(config))
}

fn roots(file: &Path) -> Result<RootCertStore, String> {
    let wrong = |what: &str| format!("has an sslrootcert, {file:?}, that {what}: write the path of a PEM file");
    let certificates = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&format!("cannot be read ({error})")))?;
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(wrong("contains no certificate"));
    }
    Ok(roots)
}

/// Verifies the chain if there are roots, and never the host name. Always verifies the signature of the handshake:
/// without it, channel binding would prove nothing.
#[derive(Debug)]
struct Lenient {
    roots: Option<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Lenient {
    fn new(roots: Option<RootCertStore>, provider: &CryptoProvider) -> Self {
        Self { roots, algorithms: provider.signature_verification_algorithms }
    }
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let end_entity = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&end_entity, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if self.roots.is_some() {
            return verify_tls13_signature(message, certificate, signed, &self.algorithms);
        }
        // webpki supports only X.509 version 3, but the manual of PostgreSQL creates certificates of version 1.
        let key = public_key(certificate).ok_or(CertificateError::BadEncoding)?;
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The public key in a certificate of any version (RFC 5280, section 4.1). It follows the serial number, algorithm,
/// issuer, validity and subject; in later versions the version number comes first.
fn public_key<'a>(certificate: &'a CertificateDer<'_>) -> Option<SubjectPublicKeyInfoDer<'a>> {
    const VERSION: u8 = 0xa0;
    let certificate = Element::first(certificate)?;
    let mut field = Element::first(Element::first(certificate.content)?.content)?;
    for _ in 0..if field.tag == VERSION { 6 } else { 5 } {
        field = Element::first(field.rest)?;
    }
    Some(field.whole.into())
}

/// A DER element (X.690, section 8.1) and the input after it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    whole: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Element<'a> {
    fn first(input: &'a [u8]) -> Option<Self> {
        const LONG_FORM: u8 = 0x80;
        let (&[tag, short], after) = input.split_first_chunk()?;
        let (length, after) = if short < LONG_FORM {
            (usize::from(short), after)
        } else {
            let (length, after) = after.split_at_checked(usize::from(short - LONG_FORM))?;
            let length =
                length.iter().try_fold(0_usize, |length, byte| Some(length.checked_mul(256)? + usize::from(*byte)))?;
            (length, after)
        };
        let (content, rest) = after.split_at_checked(length)?;
        let whole = input.get(..input.len() - rest.len())?;
        Some(Self { tag, content, whole, rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = content.len();
        let length = if length < 128 { vec![length as u8] } else { vec![0x82, (length >> 8) as u8, length as u8] };
        [&[tag], &length[..], content].concat()
    }

    #[test]
    fn the_key_is_found_in_certificates_of_every_version_and_nothing_else_is_read() {
        let key = element(0x30, &[7; 300]);
        let names = [
            element(0x02, b"serial"),
            element(0x30, b"algorithm"),
            element(0x30, &[1; 200]),
            element(0x30, b"validity"),
            element(0x30, b"subject"),
        ]
        .concat();
        for version in [vec![], element(0xa0, &element(0x02, &[2]))] {
            let signed = element(0x30, &[version, names.clone(), key.clone(), element(0xa3, b"extensions")].concat());
            let whole = element(0x30, &[signed, element(0x30, b"algorithm")].concat());
            let found = public_key(&CertificateDer::from(whole.clone())).map(|key| key.to_vec());
            assert_eq!(found.as_deref(), Some(&key[..]));
            for end in 0..whole.len() {
                assert!(public_key(&CertificateDer::from(&whole[..end])).is_none());
            }
        }
        let endless = [0x30, 0x89, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0];
        assert!(public_key(&CertificateDer::from(&endless[..])).is_none());
    }
}
