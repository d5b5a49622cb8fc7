//! One certificate for every proxy, and what clients trust and offer.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore};

use crate::Result;

/// An ECDSA P-256 certificate for 127.0.0.1 in files, and the client that trusts its issuer.
pub(crate) struct Certificate {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
    /// Both in one file, as HAProxy wants it.
    pub(crate) pair: PathBuf,
    pub(crate) client: Arc<ClientConfig>,
}

impl Certificate {
    /// Makes it, and writes it into `folder`.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let mut issuer = CertificateParams::default();
        issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(issuer, KeyPair::generate()?)?;
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let leaf = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &issuer)?;

        let file = |name: &str, content: &str| {
            let path = folder.join(name);
            fs::write(&path, content)?;
            // The gateway takes no key that everybody can read.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640))?;
            Ok::<_, std::io::Error>(path)
        };
        let (certificate, secret) = (leaf.pem(), key.serialize_pem());
        let mut roots = RootCertStore::empty();
        roots.add(issuer.der().clone())?;
        Ok(Self {
            chain: file("tls.crt", &certificate)?,
            key: file("tls.key", &secret)?,
            pair: file("tls.pem", &format!("{certificate}{secret}"))?,
            client: Arc::new(client(roots)?),
        })
    }
}

/// TLS 1.3 ([RFC 8446](https://www.rfc-editor.org/rfc/rfc8446)) with X25519, and never a session resumed:
/// what every peer can do, so that all of them do the same work.
fn client(roots: RootCertStore) -> Result<ClientConfig> {
    let provider =
        CryptoProvider { kx_groups: vec![aws_lc_rs::kx_group::X25519], ..aws_lc_rs::default_provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}
