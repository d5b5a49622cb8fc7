//! Files that the configuration names: who may read them, certificates and keys.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::super::key::KeyPath;
use super::super::nearest::suggestion;
use super::Resolver;
use crate::edge::CertificateFiles;
use crate::pages::{Replacement, TEMPLATES};

/// Permissions of those who are neither owner nor group. The group may read: that is how
/// Kubernetes mounts secrets.
const OTHERS: u32 = 0o007;

/// A page is read by people who are stuck, perhaps over a bad line.
const LARGEST_TEMPLATE: u64 = 256 * 1024;

impl Resolver<'_> {
    /// Reads a file that nobody else may read.
    pub(super) fn private_file(&mut self, at: &KeyPath, path: &Path) -> Option<Zeroizing<Vec<u8>>> {
        let content = Zeroizing::new(self.file_content(at, path)?);
        let mode = fs::metadata(path).map_or(OTHERS, |metadata| metadata.permissions().mode());
        if mode & OTHERS != 0 {
            self.fault(
                at,
                format!(
                    "the file {} is open to everybody on this machine (mode {:o})",
                    path.display(),
                    mode & 0o777
                ),
                format!("nothing here: run chmod o= {}", path.display()),
            );
            return None;
        }
        Some(content)
    }

    fn file_content(&mut self, at: &KeyPath, path: &Path) -> Option<Vec<u8>> {
        match fs::read(path) {
            Ok(content) => Some(content),
            Err(error) => {
                let why = match error.kind() {
                    std::io::ErrorKind::NotFound => "isn't there".to_owned(),
                    std::io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
                    _ => format!("can't be read: {error}"),
                };
                let write = "the path of a file, absolute or from this file's folder on";
                self.fault(at, format!("the file {} {why}", path.display()), write);
                None
            }
        }
    }

    /// The files of a folder that stand in the place of our page templates. Folders, and what
    /// begins with a dot, are passed over: Kubernetes keeps the versions of a mounted folder there.
    pub(super) fn page_templates(&mut self, at: &KeyPath, written: &str) -> Option<Vec<Replacement>> {
        let folder = self.resolve_path(written);
        let entries = match fs::read_dir(&folder).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(error) => {
                let write = "the path of a folder, absolute or from this file's folder on";
                self.fault(at, format!("the folder {} can't be read: {error}", folder.display()), write);
                return None;
            }
        };
        let files = entries.iter().filter(|entry| fs::metadata(entry.path()).is_ok_and(|of| !of.is_dir()));
        let mut names: Vec<String> =
            files.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort_unstable();
        let known = TEMPLATES.map(|(name, _)| name);
        let mut replacements = Vec::new();
        for found in &names {
            let Some(name) = known.into_iter().find(|name| name == found) else {
                let unknown =
                    format!("no page is made of the file {} in {}", found.escape_debug(), folder.display());
                self.fault(at, unknown, suggestion(found, &known));
                return None;
            };
            let path = folder.join(name);
            // Nothing else has a size that says how much will be read.
            let fits = fs::metadata(&path).is_ok_and(|of| of.is_file() && of.len() <= LARGEST_TEMPLATE);
            if !fits {
                let why = format!("{} is no file of at most {LARGEST_TEMPLATE} bytes", path.display());
                self.fault(at, why, "a page that a phone can load");
                return None;
            }
            let Ok(source) = String::from_utf8(self.file_content(at, &path)?) else {
                self.fault(at, format!("the file {} is not UTF-8", path.display()), "a text file in UTF-8");
                return None;
            };
            replacements.push(Replacement { name, source });
        }
        Some(replacements)
    }

    /// Certificates to trust, in PEM.
    pub(super) fn trusted_certificates(&mut self, at: &KeyPath, written: &str) -> Option<Vec<u8>> {
        let path = self.resolve_path(written);
        let pem = self.file_content(at, &path)?;
        let mut store = RootCertStore::empty();
        let all_usable = CertificateDer::pem_slice_iter(&pem)
            .all(|certificate| certificate.is_ok_and(|certificate| store.add(certificate).is_ok()));
        if !all_usable || store.is_empty() {
            self.fault(
                at,
                format!("the file {} holds no readable certificates", path.display()),
                "a PEM file with -----BEGIN CERTIFICATE----- blocks",
            );
            return None;
        }
        Some(pem)
    }

    /// A certificate chain and the key that belongs to it.
    pub(super) fn certificate_files(
        &mut self,
        parent: &KeyPath,
        certificate: Option<&str>,
        key: Option<&str>,
    ) -> Option<CertificateFiles> {
        if certificate.is_none() {
            self.missing(parent, "certificate", "TLS needs a certificate", "certificate: FILE.crt");
        }
        if key.is_none() {
            self.missing(parent, "key", "TLS needs the certificate's private key", "key: FILE.key");
        }
        let (certificate_at, key_at) = (parent.key("certificate"), parent.key("key"));
        let chain = certificate.and_then(|written| self.certificate_chain(&certificate_at, written));
        let private = key.and_then(|written| self.private_key(&key_at, written));
        let (chain, private) = (chain?, private?);
        if let Err(error) = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider()) {
            let why = match error {
                rustls::Error::InconsistentKeys(_) => "the key doesn't belong to the certificate".to_owned(),
                other => format!("certificate and key can't be used: {other}"),
            };
            self.fault(&key_at, why, "the key that the certificate was issued for");
            return None;
        }
        Some(CertificateFiles { certificate: self.resolve_path(certificate?), key: self.resolve_path(key?) })
    }

    fn certificate_chain(&mut self, at: &KeyPath, written: &str) -> Option<Vec<CertificateDer<'static>>> {
        let path = self.resolve_path(written);
        let pem = self.file_content(at, &path)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match chain {
            Ok(chain) if !chain.is_empty() => Some(chain),
            _ => {
                self.fault(
                    at,
                    format!("the file {} holds no readable certificate", path.display()),
                    "a PEM file with the certificate first, then those that signed it",
                );
                None
            }
        }
    }

    fn private_key(&mut self, at: &KeyPath, written: &str) -> Option<PrivateKeyDer<'static>> {
        let path = self.resolve_path(written);
        let pem = self.private_file(at, &path)?;
        let key = PrivateKeyDer::from_pem_slice(&pem).ok();
        if key.is_none() {
            self.fault(
                at,
                format!("the file {} holds no readable private key", path.display()),
                "a PEM file with one -----BEGIN PRIVATE KEY----- block, without a password",
            );
        }
        key
    }
}
