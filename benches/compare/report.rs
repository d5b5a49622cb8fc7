//! The table, and the same as JSON.

use std::fmt::Write as _;
use std::fs;

use serde::Serialize;
use serde_json::json;

use crate::rig::Rig;
use crate::rounds::{Measured, Round};
use crate::statistics::{Spread, median};
use crate::{Plan, Result, process};

/// A case over all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    name: &'static str,
    base: &'static str,
    /// Processor time per request, in microseconds.
    cpu_us: Spread,
    /// The same over that of the base in the same round.
    ratio: Spread,
    /// What it adds to the base, in microseconds.
    added_us: Spread,
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    rss_mib: f64,
    utilization: f64,
    /// Whether a round was faulty.
    faulty: bool,
}

/// Sums up the rounds of every case.
pub(crate) fn summarize(measured: &[Measured]) -> Vec<Summary> {
    measured.iter().map(|case| summary(case, base_of(case, measured))).collect()
}

fn base_of<'a>(case: &'a Measured, measured: &'a [Measured]) -> &'a Measured {
    measured.iter().find(|other| other.name == case.base).unwrap_or(case)
}

fn summary(case: &Measured, base: &Measured) -> Summary {
    let all = |value: fn(&Round) -> f64| case.rounds.iter().map(value).collect::<Vec<_>>();
    let paired = |compare: fn(f64, f64) -> f64| {
        let pairs = case.rounds.iter().zip(&base.rounds);
        pairs.map(|(own, base)| compare(own.cpu_us, base.cpu_us)).collect::<Vec<_>>()
    };
    Summary {
        name: case.name,
        base: case.base,
        cpu_us: Spread::of(&all(|round| round.cpu_us)),
        ratio: Spread::of(&paired(|own, base| own / base)),
        added_us: Spread::of(&paired(|own, base| own - base)),
        rate: median(all(|round| round.rate)),
        p50_ms: median(all(|round| round.p50_ms)),
        p99_ms: median(all(|round| round.p99_ms)),
        rss_mib: median(all(|round| round.rss_mib)),
        utilization: median(all(|round| round.utilization)),
        faulty: case.rounds.iter().any(|round| !round.faults.is_empty()),
    }
}

/// The table that people read, as Markdown.
pub(crate) fn table(rig: &Rig, summary: &[Summary]) -> String {
    let mut text = format!(
        "\n{}; {}\n\n\
         | case | CPU us/request | to | ratio | min-max | 95 % | adds us | req/s | p50 ms | p99 ms | RSS MiB | busy |\n\
         | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        process::machine(),
        rig.pins.describe(),
    );
    for case in summary {
        let Summary { name, base, cpu_us, ratio, added_us, .. } = case;
        let fault = if case.faulty { " FAULTY" } else { "" };
        // Writing to a string can't fail.
        let _ = writeln!(
            text,
            "| {name}{fault} | {:.2} | {base} | {:.3} | {:.3}-{:.3} | {:.3}-{:.3} | {:+.2} | {:.0} | {:.2} | {:.2} | {:.1} | {:.2} |",
            cpu_us.median,
            ratio.median,
            ratio.min,
            ratio.max,
            ratio.low,
            ratio.high,
            added_us.median,
            case.rate,
            case.p50_ms,
            case.p99_ms,
            case.rss_mib,
            case.utilization,
        );
    }
    text
}

/// Writes everything that was measured.
pub(crate) fn write_json(plan: &Plan, rig: &Rig, measured: &[Measured], summary: &[Summary]) -> Result<()> {
    let whole = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "machine": process::machine(),
        "pinning": rig.pins.describe(),
        "vestibule": plan.vestibule,
        "access_log": "json on standard output, to /dev/null",
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "warm_up_seconds": plan.warm_up,
        "connections": plan.connections,
        "summary": summary,
        "measured": measured,
    });
    fs::write(&plan.json, serde_json::to_vec_pretty(&whole)?)?;
    Ok(())
}
