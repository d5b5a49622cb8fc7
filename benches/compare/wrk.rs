//! The load: `wrk`, one thread.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::Result;
use crate::browser::Headers;
use crate::rig::Pins;

const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/report.lua");

/// What one run has counted.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct Load {
    /// Responses read to their end.
    pub(crate) requests: f64,
    /// Length of the run in microseconds.
    pub(crate) micros: f64,
    /// Bytes of all responses.
    pub(crate) bytes: f64,
    /// Median latency in microseconds.
    pub(crate) p50: f64,
    /// The latency in microseconds that one request in a hundred exceeded.
    pub(crate) p99: f64,
    connect: u64,
    read: u64,
    write: u64,
    timeout: u64,
    status: u64,
}

impl Load {
    /// What went wrong: connections, reads, writes, time-outs, and answers over 399.
    pub(crate) fn fault(&self) -> Option<String> {
        let Self { connect, read, write, timeout, status, .. } = self;
        (connect + read + write + timeout + status > 0).then(|| {
            format!(
                "{connect} connects, {read} reads, {write} writes, {timeout} waits, {status} answers failed"
            )
        })
    }
}

/// Makes sure that there is a `wrk`.
pub(crate) fn find() -> Result<()> {
    match Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        // It has no option that succeeds without a load.
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err("find wrk, which makes the load: apt-get install wrk".into())
        }
        Err(error) => Err(format!("run wrk: {error}").into()),
    }
}

/// Asks for `path` again and again for so many seconds.
pub(crate) fn load(
    pins: Pins,
    to: SocketAddr,
    path: &str,
    headers: &Headers,
    (connections, seconds): (usize, u64),
) -> Result<Load> {
    let mut wrk = pins.load("wrk");
    wrk.args(["-t1", "--latency", "--timeout", "10s", "-s", REPORT]);
    wrk.args([format!("-c{connections}"), format!("-d{seconds}s")]);
    for (name, value) in headers {
        wrk.args(["-H", &format!("{name}: {value}")]);
    }
    let output = wrk.arg(format!("http://{to}{path}")).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let counted = said.lines().last().filter(|_| output.status.success());
    let counted = counted.ok_or_else(|| format!("make a load: {said}"))?;
    Ok(serde_json::from_str(counted)?)
}
