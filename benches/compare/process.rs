//! What Linux says of processes and of the machine (`proc(5)`).

use std::collections::BTreeMap;
use std::fs::{read_dir, read_to_string};
use std::time::Duration;

use crate::Result;

/// `USER_HZ`: the unit of times in `/proc`, the same on every architecture we build for.
const TICK: Duration = Duration::from_millis(10);

/// Processor time that a process and its descendants have used, user and system.
///
/// `/proc/PID/task/TID/schedstat` counts nanoseconds and forgets a thread when it ends;
/// `/proc/PID/stat` remembers and counts in hundredths of a second. So the first is used as long as no
/// thread has ended between two looks.
#[derive(Debug)]
pub(crate) struct CpuTime {
    /// Nanoseconds by thread.
    threads: BTreeMap<u32, u64>,
    whole: Duration,
}

impl CpuTime {
    /// Of `root` and what it has started, until now.
    pub(crate) fn of(root: u32) -> Result<Self> {
        let (mut threads, mut whole) = (BTreeMap::new(), Duration::ZERO);
        for process in tree(root) {
            let stat = read_to_string(format!("/proc/{process}/stat"))?;
            // `utime` and `stime` are fields 14 and 15.
            let ticks = fields(&stat).skip(11).take(2).map(str::parse::<u32>);
            whole += TICK * ticks.sum::<std::result::Result<u32, _>>()?;
            for thread in numbers(&format!("/proc/{process}/task")) {
                let file = format!("/proc/{process}/task/{thread}/schedstat");
                // It may have ended since.
                let ran = read_to_string(file).unwrap_or_default();
                if let Some(ran) = ran.split(' ').next().and_then(|ran| ran.parse().ok()) {
                    threads.insert(thread, ran);
                }
            }
        }
        Ok(Self { threads, whole })
    }

    /// What was used since an earlier look at the same processes.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        if earlier.threads.is_empty() || earlier.threads.keys().any(|id| !self.threads.contains_key(id)) {
            return self.whole.saturating_sub(earlier.whole);
        }
        let used =
            self.threads.iter().map(|(id, now)| now.saturating_sub(*earlier.threads.get(id).unwrap_or(&0)));
        Duration::from_nanos(used.sum())
    }
}

/// Resident memory of a process and its descendants in MiB. What several of them share counts for each.
pub(crate) fn resident_mib(root: u32) -> Result<f64> {
    let mut sum = 0;
    for process in tree(root) {
        let status = read_to_string(format!("/proc/{process}/status"))?;
        let line =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("read /proc/PID/status")?;
        sum += line.trim().trim_end_matches(" kB").parse::<u32>()?;
    }
    Ok(f64::from(sum) / 1024.0)
}

/// A process and its descendants.
pub(crate) fn tree(root: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = numbers("/proc")
        .filter_map(|process| {
            let stat = read_to_string(format!("/proc/{process}/stat")).ok()?;
            let parent = fields(&stat).nth(1)?.parse().ok()?;
            Some((parent, process))
        })
        .collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(of, _)| *of == parent).map(|(_, child)| *child));
        next += 1;
    }
    found
}

/// Fields from the third on: the name in parentheses before them may hold anything.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace()
}

/// Entries of a folder that are numbers.
fn numbers(folder: &str) -> impl Iterator<Item = u32> {
    let entries = read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
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
