//! The gateways under test: real processes with an operator's configuration.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use vestibule::clock::Stopwatch;

use super::message::Reader;
use super::provider::{CLIENT, SECRET};
use super::session::Store;
use super::settings::{ABSOLUTE, IDLE};
use super::world::{HOST, ORIGIN, World};

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_mins(1);

/// A gateway; killed when dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) store: Store,
    pub(crate) plain: SocketAddr,
    pub(crate) tls: SocketAddr,
    child: Child,
    log: PathBuf,
}

/// What is the same for both gateways.
#[derive(Debug)]
pub(crate) struct Site<'a> {
    pub(crate) program: &'a Path,
    /// Where files may be put; `tls.crt` and `tls.key` are there.
    pub(crate) folder: &'a Path,
    pub(crate) upstream: SocketAddr,
}

impl Gateway {
    /// Starts one with this store.
    pub(crate) fn start(site: &Site<'_>, world: &World, store: Store) -> io::Result<Self> {
        let (plain, tls, admin) = (free_port()?, free_port()?, free_port()?);
        let (folder, upstream) = (site.folder.display(), site.upstream);
        let (issuer, name) = (world.provider.issuer(), store.name());
        let (idle, absolute) = (IDLE.as_millis(), ABSOLUTE.as_millis());
        let key = world.key.to_base64url();
        let yaml = format!(
            "origins: [{ORIGIN}]\n\
             listeners:\n  \
               - {{ address: {tls}, tls: {{ certificate: {folder}/tls.crt, key: {folder}/tls.key }} }}\n  \
               - {{ address: {plain} }}\n\
             admin: {{ address: {admin} }}\n\
             shutdown: {{ delay: 0s, grace: 1s }}\n\
             log: {{ level: error }}\n\
             providers:\n  \
               golden: {{ issuer: {issuer}, client_id: {CLIENT}, client_secret: {{ value: {SECRET} }} }}\n\
             sessions:\n  \
               store: {name}\n  \
               keys: [{{ value: {key} }}]\n  \
               idle_timeout: {idle}ms\n  \
               absolute_timeout: {absolute}ms\n\
             routes:\n  \
               - {{ id: public, match: {{ path: /public }}, auth: public, upstream: http://{upstream} }}\n  \
               - {{ id: maybe, match: {{ path: /maybe }}, auth: {{ session: golden, required: false }}, upstream: http://{upstream} }}\n  \
               - id: mapped\n    \
                 match: {{ path: /mapped }}\n    \
                 auth: {{ session: golden }}\n    \
                 identity: {{ headers: {{ X-Golden-User: sub, X-Golden-Sid: sid, X-Golden-Mail: email }} }}\n    \
                 upstream: http://{upstream}\n  \
               - {{ id: staff, match: {{ path: /staff }}, auth: {{ session: golden }}, require: [{{ groups: [staff] }}], upstream: http://{upstream} }}\n  \
               - {{ id: app, auth: {{ session: golden }}, upstream: http://{upstream} }}\n",
            key = key.as_str(),
        );
        let file = site.folder.join(format!("{name}.yaml"));
        std::fs::write(&file, yaml)?;
        let log = site.folder.join(format!("{name}.log"));
        let child = Command::new(site.program)
            .args(["run".as_ref(), "-c".as_ref(), file.as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        Ok(Self { store, plain, tls, child, log })
    }

    /// Waits until it sends people to the provider.
    pub(crate) async fn ready(&mut self, world: &World) {
        let since = Stopwatch::start();
        while since.elapsed() < START {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("the gateway ended with {status}: {}", self.logs());
            }
            let location = self.location().await.unwrap_or_default();
            if location.starts_with(world.provider.issuer()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the gateway isn't ready: {}", self.logs());
    }

    /// Where a person is sent who opens a page.
    async fn location(&self) -> Option<String> {
        let mut reader = Reader::new(TcpStream::connect(self.plain).await.ok()?);
        let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nAccept: text/html\r\n\r\n");
        reader.inner().write_all(request.as_bytes()).await.ok()?;
        Some(reader.head().await.ok()??.field("location")?.to_owned())
    }

    /// What it has said.
    pub(crate) fn logs(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(20).collect();
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Resident memory in KiB.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> Option<u64> {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).ok()?;
        u64::try_from(open.count()).ok()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Had it ended by itself there would be nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
fn free_port() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}
