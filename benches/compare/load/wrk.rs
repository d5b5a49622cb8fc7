//! `wrk`, one thread.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::{Counted, Request};
use crate::Result;
use crate::pins::Pins;

const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/compare/load/wrk.lua");

/// What the script writes.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Report {
    requests: f64,
    micros: f64,
    /// Bytes of all responses.
    bytes: f64,
    p50: f64,
    p99: f64,
    connect: u64,
    read: u64,
    write: u64,
    timeout: u64,
    status: u64,
}

impl Report {
    fn faults(&self, size: usize) -> Result<Vec<String>> {
        let mut faults = Vec::new();
        let Self { connect, read, write, timeout, status, .. } = self;
        if connect + read + write + timeout + status > 0 {
            faults.push(format!(
                "{connect} connects, {read} reads, {write} writes, {timeout} waits, {status} answers failed"
            ));
        }
        // An answer of another kind has another size.
        let (mean, probed) = (self.bytes / self.requests, f64::from(u32::try_from(size)?));
        if (mean / probed - 1.0).abs() > 0.03 {
            faults.push(format!("mean answer {mean:.0} bytes, {size} when probed"));
        }
        Ok(faults)
    }
}

/// Makes sure that there is a `wrk`.
pub(super) fn find() -> Result<()> {
    match Command::new("wrk").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status() {
        // It has no option that succeeds without a load.
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err("find wrk, which makes the load: apt-get install wrk".into())
        }
        Err(error) => Err(format!("run wrk: {error}").into()),
    }
}

pub(super) fn load(
    pins: Pins,
    request: &Request<'_>,
    (connections, seconds): (usize, u64),
) -> Result<Counted> {
    let mut wrk = pins.load("wrk");
    wrk.args(["-t1", "--latency", "--timeout", "10s", "-s", REPORT]);
    wrk.args([format!("-c{connections}"), format!("-d{seconds}s")]);
    for (name, value) in request.headers {
        wrk.args(["-H", &format!("{name}: {value}")]);
    }
    let output = wrk.arg(request.to.url(request.path)).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let counted = said.lines().last().filter(|_| output.status.success());
    let counted = counted.ok_or_else(|| format!("make a load: {said}"))?;
    let report: Report = serde_json::from_str(counted)?;
    Ok(Counted {
        requests: report.requests,
        seconds: report.micros / 1e6,
        p50_ms: report.p50 / 1e3,
        p99_ms: report.p99 / 1e3,
        faults: report.faults(request.size)?,
    })
}
