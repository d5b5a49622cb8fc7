//! Rounds: every case once, in an order that turns, so that nobody is always first or after the same.
//!
//! A case is measured while the bare proxy does its part of the same work on the same core, in turns: a
//! machine that is quicker at one moment than at the next is so for both, and what is left is their ratio.
//! Alone, for rates and latencies, it is measured less often. Every round has new processes.

use std::time::Duration;

use serde::Serialize;
use vestibule::clock::Stopwatch;

use crate::cases::{self, BARE, Case, Work};
use crate::load::Counted;
use crate::process::CpuTime;
use crate::rig::Rig;
use crate::stage::Stage;
use crate::{Plan, Result, process, say, turns};

/// One round in so many measures every case alone, too.
const ALONE: usize = 3;

/// A case and what its rounds gave, in their order.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) work: Work,
    pub(crate) system: String,
    pub(crate) rounds: Vec<Round>,
    /// In turns with the bare proxy; none of the bare proxy itself.
    pub(crate) pairs: Vec<Pair>,
}

/// Two measurements in turns, on the same core. Processor time per request, in microseconds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Pair {
    pub(crate) cpu_us: f64,
    pub(crate) bare_us: f64,
    /// What makes the measurement worthless.
    pub(crate) faults: Vec<String>,
}

/// One measurement alone.
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
pub(crate) fn measure(plan: &Plan, rig: &mut Rig) -> Result<Vec<Measured>> {
    let none = |case: &Case| Measured {
        work: case.work,
        system: case.system.clone(),
        rounds: Vec::new(),
        pairs: Vec::new(),
    };
    let mut measured: Vec<Measured> = cases::of(rig, plan.only.as_deref())?.iter().map(none).collect();
    for round in 0..plan.rounds {
        if round > 0 {
            rig.renew(plan)?;
        }
        let (stage, cases) = (&rig.stage, cases::of(rig, plan.only.as_deref())?);
        let mut order: Vec<_> = cases.iter().zip(&mut measured).collect();
        order.rotate_left(round % cases.len());
        if round % 2 == 1 {
            order.reverse();
        }
        for (case, measured) in order {
            let number = round + 1;
            if round % ALONE == 0 {
                let taken = alone(plan, stage, case)?;
                say(&format!(
                    "round {number:>2}  {:<72} {:>7.2} us/request  {:>7.0}/s  busy {:.2}  {}",
                    case.name(),
                    taken.cpu_us,
                    taken.rate,
                    taken.utilization,
                    taken.faults.join("; "),
                ));
                measured.rounds.push(taken);
            }
            let base = cases.iter().find(|base| base.system == BARE && base.work == case.work.base());
            if let Some(base) = base.filter(|_| case.system != BARE) {
                let pair = in_turns(plan, stage, case, base)?;
                say(&format!(
                    "round {number:>2}  {:<72} {:>7.2} us/request   {:.3} of the bare proxy's in turns with it  {}",
                    case.name(),
                    pair.cpu_us,
                    pair.cpu_us / pair.bare_us,
                    pair.faults.join("; "),
                ));
                measured.pairs.push(pair);
            }
        }
    }
    Ok(measured)
}

fn alone(plan: &Plan, stage: &Stage, case: &Case) -> Result<Round> {
    case.with_request(|load, request| {
        if plan.warm_up > 0 {
            load.run(stage, request, (plan.connections, plan.warm_up))?;
        }
        let (cpu, stolen, watch) = (CpuTime::of(case.pid)?, process::stolen()?, Stopwatch::start());
        let counted = load.run(stage, request, (plan.connections, plan.seconds))?;
        let elapsed = watch.elapsed();
        let cpu = CpuTime::of(case.pid)?.since(&cpu);
        let stolen = process::stolen()?.saturating_sub(stolen);
        answered(case, &counted)?;
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

fn in_turns(plan: &Plan, stage: &Stage, case: &Case, base: &Case) -> Result<Pair> {
    base.with_request(|base_load, base_request| {
        case.with_request(|load, request| {
            let effort = (plan.connections, plan.seconds);
            let (cpu, base_cpu) = (CpuTime::of(case.pid)?, CpuTime::of(base.pid)?);
            let (counted, base_counted) = std::thread::scope(|both| {
                let told = |error: Box<dyn std::error::Error>| error.to_string();
                let one = both.spawn(move || load.run(stage, request, effort).map_err(told));
                let other = both.spawn(move || base_load.run(stage, base_request, effort).map_err(told));
                turns::take([case.pid, base.pid], || one.is_finished() && other.is_finished());
                (one.join(), other.join())
            });
            let counted = counted.map_err(|_| "load a proxy")??;
            let base_counted = base_counted.map_err(|_| "load the bare proxy")??;
            let (cpu, base_cpu) =
                (CpuTime::of(case.pid)?.since(&cpu), CpuTime::of(base.pid)?.since(&base_cpu));
            answered(case, &counted)?;
            answered(base, &base_counted)?;
            Ok(Pair {
                cpu_us: micros(cpu) / counted.requests,
                bare_us: micros(base_cpu) / base_counted.requests,
                faults: [counted.faults, base_counted.faults].concat(),
            })
        })
    })
}

fn answered(case: &Case, counted: &Counted) -> Result<()> {
    if counted.requests < 1.0 {
        return Err(format!("get one answer from `{}`: {:?}", case.name(), counted.faults).into());
    }
    Ok(())
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
