//! The certified provider of `tests/oidc-provider`, run by node.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::listener::free_port;
use super::provider::{CLIENT_ID, CLIENT_SECRET, POSTING_CLIENT_ID, entry};

/// The running provider; it ends when dropped.
pub(crate) struct OidcProvider {
    child: Child,
    issuer: String,
    /// Kept open: node ends when it can't print.
    _stdout: BufReader<ChildStdout>,
}

impl OidcProvider {
    /// Starts it for clients at these origins. Everybody is signed in at once, as `login_hint` or as `ada`.
    pub(crate) fn start(origins: &[&str]) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc-provider");
        assert!(
            folder.join("node_modules").exists(),
            "the provider isn't installed: `npm ci` in tests/oidc-provider, or `make test`"
        );
        let mut child = Command::new("node")
            .arg(folder.join("server.mjs"))
            .args([&free_port().to_string(), CLIENT_ID, POSTING_CLIENT_ID, CLIENT_SECRET])
            .args(origins)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node can be started");
        let mut stdout = BufReader::new(child.stdout.take().expect("its stdout"));
        let issuer = stdout.by_ref().lines().map_while(Result::ok).find(|line| line.starts_with("http://"));
        Self { child, issuer: issuer.expect("the provider prints its issuer"), _stdout: stdout }
    }

    /// The entry of `providers` that names it.
    pub(crate) fn entry(&self) -> Value {
        entry(&self.issuer)
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
