//! `h2load` of nghttp2: HTTP/2 over TLS.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Counted, Request};
use crate::Result;
use crate::pins::Pins;
use crate::statistics::percentile;

/// Makes sure that there is an `h2load`.
pub(super) fn find() -> Result<()> {
    match Command::new("h2load").arg("--version").stdout(Stdio::null()).status() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err("find h2load, which speaks HTTP/2: apt-get install nghttp2-client".into())
        }
        Err(error) => Err(format!("run h2load: {error}").into()),
    }
}

pub(super) fn load(pins: Pins, scratch: &Path, request: &Request<'_>, seconds: u64) -> Result<Counted> {
    // Two may run at the same time.
    let log = scratch.join(format!("h2load-{}.log", request.to.address.port()));
    let mut h2load = pins.load("h2load");
    h2load.args(["-t1", "-c16", "-m8", &format!("-D{seconds}"), "--log-file"]).arg(&log);
    let report = Report::of(&mut h2load, request)?;
    // A line an answer: when it began in microseconds since the epoch, status, microseconds.
    let mut took: Vec<f64> = fs::read_to_string(&log)?
        .lines()
        .filter_map(|line| line.split('\t').nth(2)?.parse::<f64>().ok())
        .map(|micros| micros / 1e3)
        .collect();
    fs::remove_file(&log)?;
    took.sort_by(f64::total_cmp);
    let seconds = f64::from(u32::try_from(seconds)?);
    Ok(Counted {
        requests: report.requests,
        seconds,
        p50_ms: percentile(&took, 50),
        p99_ms: percentile(&took, 99),
        faults: report.faults,
    })
}

/// Sends so many requests on one connection, one after the other.
pub(crate) fn requests(request: &Request<'_>, count: usize) -> Result<()> {
    let mut h2load = Command::new("h2load");
    let report = Report::of(h2load.args(["-t1", "-c1", "-m1", &format!("-n{count}")]), request)?;
    match report.faults.as_slice() {
        [] => Ok(()),
        faults => Err(faults.join("; ").into()),
    }
}

struct Report {
    requests: f64,
    faults: Vec<String>,
}

impl Report {
    fn of(h2load: &mut Command, request: &Request<'_>) -> Result<Self> {
        for (name, value) in request.headers {
            h2load.args(["-H", &format!("{name}: {value}")]);
        }
        let output = h2load.arg(request.to.url(request.path)).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let facts: BTreeMap<&str, &str> =
            said.lines().filter_map(|line| line.split_once(": ")).map(|(k, v)| (k, v.trim())).collect();
        let fact = |name: &str| {
            let fact = facts.get(name).copied();
            fact.ok_or_else(|| format!("find `{name}` in what h2load says: {said}"))
        };
        // "requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout"
        let requests = number(fact("requests")?, "succeeded")?;
        let mut faults = Vec::new();
        for bad in ["failed", "errored", "timeout"] {
            let count = number(fact("requests")?, bad)?;
            if count > 0.0 {
                faults.push(format!("{count} {bad}"));
            }
        }
        if (fact("Application protocol")?, fact("TLS Protocol")?) != ("h2", "TLSv1.3") {
            faults.push("not HTTP/2 over TLS 1.3".to_owned());
        }
        // "status codes: 9 2xx, 0 3xx, 0 4xx, 0 5xx"
        let class = format!("{}xx", request.status / 100);
        if number(fact("status codes")?, &class)? < requests {
            faults.push(format!("status codes {}", fact("status codes")?));
        }
        // "traffic: 1.00MB (1) total, 1B (1) headers (space savings 9%), 1B (1) data"
        let data = fact("traffic")?.rsplit_once('(').and_then(|(_, data)| data.split(')').next());
        let data: f64 = data.ok_or("read h2load's traffic")?.parse()?;
        let wanted = f64::from(u32::try_from(request.body)?);
        // Answers that the end cuts off have their data counted.
        if (data / requests.max(1.0) - wanted).abs() > 0.03 * wanted {
            faults.push(format!("{data} bytes of data in {requests} answers"));
        }
        Ok(Self { requests, faults })
    }
}

/// The number before a word: 9 for `done` in "9 started, 9 done".
fn number(fact: &str, word: &str) -> Result<f64> {
    let part = fact.split(", ").find_map(|part| part.strip_suffix(word));
    let part = part.ok_or_else(|| format!("find `{word}` in what h2load says: {fact}"))?;
    Ok(part.trim().parse()?)
}
