//! The gRPC server and client of `tests/grpc`, run by node: neither knows of a gateway.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grpc");
    assert!(
        folder.join("node_modules").exists(),
        "gRPC isn't installed: `npm ci` in tests/grpc, or `make test`"
    );
    folder
}

/// The running server; it ends when dropped.
pub(crate) struct GrpcServer {
    child: Child,
    pub(crate) port: u16,
}

impl GrpcServer {
    /// Without TLS.
    pub(crate) fn plain() -> Self {
        Self::start(&[])
    }

    /// With this key and certificate, in files.
    pub(crate) fn tls(key: &Path, certificate: &Path) -> Self {
        Self::start(&[key, certificate])
    }

    fn start(arguments: &[&Path]) -> Self {
        let mut child = Command::new("node")
            .arg(folder().join("server.mjs"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node can be started");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("its stdout"));
        stdout.read_line(&mut line).expect("its port");
        Self { child, port: line.trim().parse().expect("its port") }
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes one call: the service, the cookie, the call and its argument; what came of it.
pub(crate) fn call(port: u16, authority: &str, words: [&str; 4]) -> Value {
    let [service, cookie, name, argument] = words;
    let output = Command::new("node")
        .arg(folder().join("client.mjs"))
        .args([&format!("localhost:{port}"), authority, service, cookie, name, argument])
        .stdin(Stdio::null())
        .output()
        .expect("node can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no result of {name}: {errors}"))
}
