//! The gateway's own certificates, chosen by the name that a client asks for.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use zeroize::Zeroizing;

use super::CertificateFiles;
use crate::seal::sha256;

/// Chains and keys; the first answers for names that none carries.
#[derive(Debug)]
pub struct Certificates {
    files: Vec<CertificateFiles>,
    keys: ArcSwap<Vec<Arc<CertifiedKey>>>,
    /// Hash of the files as they were loaded.
    loaded: Mutex<[u8; 32]>,
}

/// What a look at the files has brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Reload {
    /// They are as they were.
    Unchanged,
    /// New ones answer from now on; connections that are open go on.
    Changed,
    /// They changed and can't be used: the old ones stay, and why.
    Kept(String),
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(files: &[CertificateFiles]) -> Result<Self, String> {
        // Before they are read: what changes in between is seen as a change.
        let loaded = Mutex::new(fingerprint(files));
        Ok(Self { keys: ArcSwap::from_pointee(read(files)?), files: files.to_vec(), loaded })
    }

    /// Reads the files anew if they have changed. Certificate and key may be replaced one after the
    /// other: until they fit again, the old ones stay.
    pub fn reload(&self) -> Reload {
        let now = fingerprint(&self.files);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if *loaded == now {
            return Reload::Unchanged;
        }
        match read(&self.files) {
            Ok(keys) => {
                self.keys.store(Arc::new(keys));
                *loaded = now;
                Reload::Changed
            }
            Err(why) => Reload::Kept(why),
        }
    }
}

/// SHA-256 over the content of all files, in order.
fn fingerprint(files: &[CertificateFiles]) -> [u8; 32] {
    let mut hashes = Vec::with_capacity(files.len() * 64);
    for files in files {
        for path in [&files.certificate, &files.key] {
            // A file that can't be read counts as empty; reading it in earnest says why.
            let content = Zeroizing::new(std::fs::read(path).unwrap_or_default());
            hashes.extend_from_slice(&sha256(&content));
        }
    }
    sha256(&hashes)
}

fn read(files: &[CertificateFiles]) -> Result<Vec<Arc<CertifiedKey>>, String> {
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
    if keys.is_empty() { Err("no certificate".to_owned()) } else { Ok(keys) }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let keys = self.keys.load();
        let first = keys.first()?;
        let wanted = hello.server_name().and_then(|name| ServerName::try_from(name.to_owned()).ok());
        let schemes = hello.signature_schemes();
        let fits = |key: &&Arc<CertifiedKey>| {
            let carries = wanted.as_ref().is_some_and(|name| carries(key, name));
            carries && key.key.choose_scheme(schemes).is_some()
        };
        Some(Arc::clone(keys.iter().find(fits).unwrap_or(first)))
    }
}

fn carries(key: &CertifiedKey, name: &ServerName<'_>) -> bool {
    let Some(leaf) = key.cert.first() else { return false };
    rustls::server::ParsedCertificate::try_from(leaf)
        .is_ok_and(|leaf| rustls::client::verify_server_name(&leaf, name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(files: &CertificateFiles, name: &str) -> Vec<u8> {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        std::fs::write(&files.certificate, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        made.cert.der().to_vec()
    }

    fn answering(certificates: &Certificates) -> Vec<u8> {
        certificates.keys.load().first().unwrap().cert.first().unwrap().to_vec()
    }

    #[test]
    fn new_files_answer_once_they_fit() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let files = CertificateFiles { certificate: path("tls.crt"), key: path("tls.key") };
        let first = write(&files, "app.test");
        let certificates = Certificates::load(std::slice::from_ref(&files)).unwrap();
        assert_eq!(certificates.reload(), Reload::Unchanged);
        assert_eq!(answering(&certificates), first);

        std::fs::write(&files.certificate, "half a cert").unwrap();
        assert!(matches!(certificates.reload(), Reload::Kept(_)));
        assert_eq!(answering(&certificates), first);

        let second = write(&files, "app.test");
        assert_eq!(certificates.reload(), Reload::Changed);
        assert_eq!(answering(&certificates), second);
    }
}
