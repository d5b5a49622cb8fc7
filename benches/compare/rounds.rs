//! Rounds: every case once, in an order that turns, so that nobody is always first or after the same.

use std::time::Duration;

use serde::Serialize;
use vestibule::clock::Stopwatch;

use crate::cases::{Case, Work};
use crate::process::CpuTime;
use crate::stage::Stage;
use crate::{Plan, Result, process, say};

/// A case and what its rounds gave, in their order.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) work: Work,
    pub(crate) system: String,
    pub(crate) rounds: Vec<Round>,
}

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    /// Processor time of the proxy per request, in microseconds: all threads, user and system.
    pub(crate) cpu_us: f64,
    /// Requests per second.
    pub(crate) rate: f64,
    /// Median latency in milliseconds.
    pub(crate) p50_ms: f64,
    /// 99th percentile of the latency in milliseconds.
    pub(crate) p99_ms: f64,
    /// Resident memory of the proxy after the load, in MiB.
    pub(crate) rss_mib: f64,
    /// The part of the time that the proxy ran. Well below 1 it had to wait for others, and rate and
    /// latency say more about them.
    pub(crate) utilization: f64,
    /// Seconds that the hypervisor took.
    pub(crate) stolen_s: f64,
    /// Requests.
    pub(crate) requests: f64,
    /// What makes the measurement worthless.
    pub(crate) faults: Vec<String>,
}

/// Measures every case in every round.
pub(crate) fn measure(plan: &Plan, stage: &Stage, cases: &[Case]) -> Result<Vec<Measured>> {
    let mut measured: Vec<Measured> = cases
        .iter()
        .map(|case| Measured { work: case.work, system: case.system.clone(), rounds: Vec::new() })
        .collect();
    for round in 0..plan.rounds {
        let mut order: Vec<_> = cases.iter().zip(&mut measured).collect();
        order.rotate_left(round % cases.len());
        if round % 2 == 1 {
            order.reverse();
        }
        for (case, measured) in order {
            let taken = once(plan, stage, case)?;
            say(&format!(
                "round {:>2}  {:<72} {:>7.2} us/request  {:>7.0}/s  busy {:.2}  {}",
                round + 1,
                case.name(),
                taken.cpu_us,
                taken.rate,
                taken.utilization,
                taken.faults.join("; "),
            ));
            measured.rounds.push(taken);
        }
    }
    Ok(measured)
}

fn once(plan: &Plan, stage: &Stage, case: &Case) -> Result<Round> {
    case.with_request(|load, request| {
        if plan.warm_up > 0 {
            load.run(stage, request, (plan.connections, plan.warm_up))?;
        }
        let (cpu, stolen, watch) = (CpuTime::of(case.pid)?, process::stolen()?, Stopwatch::start());
        let counted = load.run(stage, request, (plan.connections, plan.seconds))?;
        let elapsed = watch.elapsed();
        let cpu = CpuTime::of(case.pid)?.since(&cpu);
        let stolen = process::stolen()?.saturating_sub(stolen);
        if counted.requests < 1.0 {
            return Err(format!("get one answer from `{}`: {:?}", case.name(), counted.faults).into());
        }
        Ok(Round {
            cpu_us: micros(cpu) / counted.requests,
            rate: counted.requests / counted.seconds,
            p50_ms: counted.p50_ms,
            p99_ms: counted.p99_ms,
            rss_mib: process::resident_mib(case.pid)?,
            utilization: cpu.as_secs_f64() / elapsed.as_secs_f64(),
            stolen_s: stolen.as_secs_f64(),
            requests: counted.requests,
            faults: counted.faults,
        })
    })
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
