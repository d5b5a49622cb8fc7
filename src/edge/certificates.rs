//! The gateway's own certificates, chosen by the name that a client asks for.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use super::CertificateFiles;

/// Chains and keys; the first answers for names that none carries.
#[derive(Debug)]
pub struct Certificates(Vec<Arc<CertifiedKey>>);

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(files: &[CertificateFiles]) -> Result<Self, String> {
        let provider = CryptoProvider::get_default().ok_or("no TLS provider is installed")?;
        let load = |files: &CertificateFiles| {
            let fault = |what: &dyn std::fmt::Display| format!("{}: {what}", files.certificate.display());
            let chain = CertificateDer::pem_file_iter(&files.certificate)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| fault(&error))?;
            let key = PrivateKeyDer::from_pem_file(&files.key)
                .map_err(|error| format!("{}: {error}", files.key.display()))?;
            CertifiedKey::from_der(chain, key, provider).map(Arc::new).map_err(|error| fault(&error))
        };
        let keys = files.iter().map(load).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() { Err("no certificate".to_owned()) } else { Ok(Self(keys)) }
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let first = self.0.first()?;
        let wanted = hello.server_name().and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let schemes = hello.signature_schemes();
        let fits = |key: &&Arc<CertifiedKey>| {
            let carries = wanted.as_ref().is_some_and(|name| carries(key, name));
            carries && key.key.choose_scheme(schemes).is_some()
        };
        Some(Arc::clone(self.0.iter().find(fits).unwrap_or(first)))
    }
}

fn carries(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let Some(leaf) = key.cert.first() else { return false };
    rustls::server::ParsedCertificate::try_from(leaf)
        .is_ok_and(|leaf| rustls::client::verify_server_name(&leaf, name).is_ok())
}
