//! Rounds: every case once, in an order that turns, so that nobody is always first or after the same.

use std::time::Duration;

use serde::Serialize;
use vestibule::clock::Stopwatch;

use crate::cases::Case;
use crate::rig::Rig;
use crate::{Plan, Result, process, say, wrk};

/// A case and what its rounds gave, in their order.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: &'static str,
    pub(crate) base: &'static str,
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
pub(crate) fn measure(plan: &Plan, rig: &Rig, cases: &[Case]) -> Result<Vec<Measured>> {
    let mut measured: Vec<Measured> =
        cases.iter().map(|case| Measured { name: case.name, base: case.base, rounds: Vec::new() }).collect();
    for round in 0..plan.rounds {
        let mut order: Vec<_> = cases.iter().zip(&mut measured).collect();
        order.rotate_left(round % cases.len());
        if round % 2 == 1 {
            order.reverse();
        }
        for (case, measured) in order {
            let taken = once(plan, rig, case)?;
            say(&format!(
                "round {:>2}  {:<30} {:>7.2} us/request  {:>7.0}/s  busy {:.2}  {}",
                round + 1,
                case.name,
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

fn once(plan: &Plan, rig: &Rig, case: &Case) -> Result<Round> {
    let (server, headers) = (case.server(rig), case.headers(rig));
    let load =
        |seconds| wrk::load(rig.pins, server.address, case.path(), &headers, (plan.connections, seconds));
    let size = case.probe(rig)?;
    if plan.warm_up > 0 {
        load(plan.warm_up)?;
    }
    let (cpu, stolen, watch) = (process::cpu(server.pid())?, process::stolen()?, Stopwatch::start());
    let counted = load(plan.seconds)?;
    let elapsed = watch.elapsed();
    let cpu = process::cpu(server.pid())?.saturating_sub(cpu);
    let stolen = process::stolen()?.saturating_sub(stolen);
    case.probe(rig)?;

    let mut faults: Vec<String> = counted.fault().into_iter().collect();
    if counted.requests < 1.0 {
        return Err(format!("get one answer from `{}`", case.name).into());
    }
    // An answer of another kind has another size.
    let mean = counted.bytes / counted.requests;
    let probed = f64::from(u32::try_from(size)?);
    if (mean / probed - 1.0).abs() > 0.03 {
        faults.push(format!("mean answer {mean:.0} bytes, {size} when probed"));
    }
    Ok(Round {
        cpu_us: micros(cpu) / counted.requests,
        rate: counted.requests / counted.micros * 1e6,
        p50_ms: counted.p50 / 1e3,
        p99_ms: counted.p99 / 1e3,
        rss_mib: f64::from(u32::try_from(process::resident(server.pid())? / 1024)?) / 1024.0,
        utilization: cpu.as_secs_f64() / elapsed.as_secs_f64(),
        stolen_s: stolen.as_secs_f64(),
        requests: counted.requests,
        faults,
    })
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
