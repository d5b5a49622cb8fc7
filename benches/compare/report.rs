//! What the rounds say together: a table, and the same as JSON.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use serde::Serialize;
use serde_json::json;
use vestibule::clock::{Clock as _, SystemClock};

use crate::bars::{self, IDLE_MIB, Verdict};
use crate::cases::Work;
use crate::idle::Idle;
use crate::peers::Absent;
use crate::rounds::{Measured, Round};
use crate::stage::Stage;
use crate::statistics::{Spread, median};
use crate::{Plan, Result, process};

/// A case over all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) work: Work,
    pub(crate) system: String,
    /// Processor time per request, in microseconds.
    pub(crate) cpu_us: Spread,
    /// The same over that of the bare proxy beside it.
    pub(crate) ratio: Spread,
    /// What it adds to the bare proxy, in microseconds.
    pub(crate) added_us: Spread,
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    rss_mib: f64,
    utilization: f64,
    /// Whether a round was faulty.
    pub(crate) faulty: bool,
}

impl Summary {
    pub(crate) fn name(&self) -> String {
        format!("{}: {}", self.system, self.work.title())
    }
}

/// Everything that a run has brought.
pub(crate) struct Run<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) stage: &'a Stage,
    pub(crate) absent: &'a [Absent],
    pub(crate) idle: Idle,
    pub(crate) measured: Vec<Measured>,
    pub(crate) summary: Vec<Summary>,
    pub(crate) verdict: Verdict,
}

/// Sums up the rounds of every case, by work and in the order of the cases.
pub(crate) fn summarize(measured: &[Measured]) -> Vec<Summary> {
    let mut all: Vec<Summary> = measured.iter().map(summary).collect();
    all.sort_by_key(|case| case.work);
    all
}

fn summary(case: &Measured) -> Summary {
    let all = |value: fn(&Round) -> f64| case.rounds.iter().map(value).collect::<Vec<_>>();
    let paired = |compare: fn(f64, f64) -> f64| {
        let pairs = case.pairs.iter().map(|pair| (pair.cpu_us, pair.bare_us));
        let itself = case.rounds.iter().map(|round| (round.cpu_us, round.cpu_us));
        let pairs = pairs.chain(itself.filter(|_| case.pairs.is_empty()));
        pairs.map(|(own, base)| compare(own, base)).collect::<Vec<_>>()
    };
    Summary {
        work: case.work,
        system: case.system.clone(),
        cpu_us: Spread::of(&all(|round| round.cpu_us)),
        ratio: Spread::of(&paired(|own, base| own / base)),
        added_us: Spread::of(&paired(|own, base| own - base)),
        rate: median(all(|round| round.rate)),
        p50_ms: median(all(|round| round.p50_ms)),
        p99_ms: median(all(|round| round.p99_ms)),
        rss_mib: median(all(|round| round.rss_mib)),
        utilization: median(all(|round| round.utilization)),
        faulty: case
            .rounds
            .iter()
            .map(|round| &round.faults)
            .chain(case.pairs.iter().map(|pair| &pair.faults))
            .any(|faults| !faults.is_empty()),
    }
}

impl Run<'_> {
    /// The table that people read, as Markdown.
    pub(crate) fn table(&self) -> String {
        let Plan { rounds, seconds, connections, .. } = self.plan;
        let Idle { bare_mib, vestibule_mib } = self.idle;
        let mut text = format!(
            "Version {} ({}), {}. {}; {}. {rounds} rounds of {seconds} s after {} s of warm-up, {} thread(s), \
             {connections} connections.\n\n\
             | system | CPU µs/request | of bare | 95 % | bar | req/s | p50 ms | p99 ms | RSS MiB | busy |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
            env!("CARGO_PKG_VERSION"),
            commit(),
            today(),
            process::machine(),
            self.stage.pins.describe(),
            self.plan.warm_up,
            self.stage.threads,
        );
        let mut work = None;
        for case in &self.summary {
            if work.replace(case.work) != Some(case.work) {
                // Writing to a string can't fail.
                let _ = writeln!(text, "| **{}** | | | | | | | | | |", case.work.title());
            }
            text.push_str(&line(case));
        }
        let _ = writeln!(
            text,
            "\nAn idle process has {vestibule_mib:.1} MiB (the bar is {IDLE_MIB:.0}), bare Pingora {bare_mib:.1}."
        );
        for Absent { name, why } in self.absent {
            let _ = writeln!(text, "Not measured: {name} ({why}).");
        }
        let _ = writeln!(text, "\nVerdict: {}.", self.verdict);
        text
    }

    /// Writes everything that was measured.
    pub(crate) fn write_json(&self) -> Result<()> {
        let plan = self.plan;
        let whole = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "commit": commit(),
            "date": today(),
            "machine": process::machine(),
            "pinning": self.stage.pins.describe(),
            "vestibule": plan.vestibule,
            "beside": plan.beside,
            "access_log": "json on standard output, to /dev/null; peers write none",
            "threads": self.stage.threads,
            "rounds": plan.rounds,
            "seconds": plan.seconds,
            "warm_up_seconds": plan.warm_up,
            "connections": plan.connections,
            "verdict": self.verdict.to_string(),
            "idle": self.idle,
            "absent": self.absent,
            "summary": self.summary,
            "measured": self.measured,
        });
        fs::write(&plan.json, serde_json::to_vec_pretty(&whole)?)?;
        Ok(())
    }
}

fn line(case: &Summary) -> String {
    let Summary { system, cpu_us, ratio, .. } = case;
    let fault = if case.faulty { " FAULTY" } else { "" };
    let bar = bars::bar(case.work, system).map_or(String::new(), |bar| {
        let broken = if ratio.high <= bar { "" } else { " broken" };
        format!("≤ {bar:.2}{broken}")
    });
    format!(
        "| {system}{fault} | {:.2} | {:.3} | {:.3}-{:.3} | {bar} | {:.0} | {:.2} | {:.2} | {:.1} | {:.2} |\n",
        cpu_us.median,
        ratio.median,
        ratio.low,
        ratio.high,
        case.rate,
        case.p50_ms,
        case.p99_ms,
        case.rss_mib,
        case.utilization,
    )
}

/// The commit that the checkout is at, as far as git says.
fn commit() -> String {
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let said = git.ok().and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    if said.trim().is_empty() { "unknown commit".to_owned() } else { said.trim().to_owned() }
}

fn today() -> String {
    let now = i64::try_from(SystemClock.now().as_millis()).unwrap_or_default();
    jiff::Timestamp::from_millisecond(now)
        .map_or_else(|_| String::new(), |now| now.strftime("%-d %B %Y").to_string())
}
