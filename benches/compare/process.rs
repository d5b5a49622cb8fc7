//! What Linux says of processes and of the machine (`proc(5)`).

use std::fs::read_to_string;
use std::time::Duration;

use crate::Result;

/// `USER_HZ`: the unit of times in `/proc`, the same on every architecture we build for.
const TICK: Duration = Duration::from_millis(10);

/// Processor time that a process has used, all its threads, user and system.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    let stat = read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold anything; `utime` and `stime` are fields 14 and 15.
    let (_, fields) = stat.rsplit_once(')').ok_or("read /proc/PID/stat")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    Ok(TICK * ticks.sum::<std::result::Result<u32, _>>()?)
}

/// Resident memory of a process in bytes.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let status = read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("read /proc/PID/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// Time that the hypervisor took from this machine's processors.
pub(crate) fn stolen() -> Result<Duration> {
    let stat = read_to_string("/proc/stat")?;
    let steal =
        stat.lines().next().and_then(|line| line.split_whitespace().nth(8)).ok_or("read /proc/stat")?;
    Ok(TICK * steal.parse::<u32>()?)
}

/// The processor's name and the kernel's release.
pub(crate) fn machine() -> String {
    let cpus = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": ")).map_or("unknown processor", |(_, name)| name);
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {count} cores, Linux {}", kernel.trim())
}
