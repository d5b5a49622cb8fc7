//! What must hold, and whether it does.

use std::fmt;

use crate::cases::{BARE, CONTROL, OURS, Work};
use crate::idle::Idle;
use crate::report::Summary;

/// Processor time of the gateway over that of the bare proxy in the same round, at most.
const BARS: [(Work, f64); 5] = [
    (Work::Forward, 1.10),
    (Work::MemorySession, 1.20),
    (Work::SealedSession, 1.30),
    (Work::Redirect, 0.65),
    (Work::Connection, 1.05),
];
/// Memory of an idle gateway, in MiB, at most.
pub(crate) const IDLE_MIB: f64 = 24.0;
/// What the control's median may be. It does the same as the bare proxy.
const CONTROL_FROM: f64 = 0.97;
const CONTROL_TO: f64 = 1.03;
/// Rounds, and the seconds of each, below which nothing is said.
pub(crate) const ROUNDS: usize = 15;
pub(crate) const SECONDS: u64 = 5;

/// The bar of a case, if it has one.
pub(crate) fn bar(work: Work, system: &str) -> Option<f64> {
    let own = BARS.iter().find(|(of, _)| *of == work && system == OURS);
    own.map(|(_, bar)| *bar)
}

/// What a run says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every bar holds.
    Holds,
    /// These don't.
    Broken(Vec<String>),
    /// The run can't say anything, and why.
    Void(Vec<String>),
    /// Too little was measured to say anything.
    Partial(String),
}

/// Judges by the upper end of each interval.
pub(crate) fn judge(summary: &[Summary], idle: &Idle, (rounds, seconds): (usize, u64)) -> Verdict {
    // A peer that breaks off is marked in the table: it says nothing of the gateway and its bars.
    let judged = |case: &&Summary| [OURS, BARE, CONTROL].contains(&&*case.system);
    let faulty = summary.iter().filter(judged).filter(|case| case.faulty);
    let faulty = faulty.map(|case| format!("faulty: {}", case.name()));
    let strayed = summary
        .iter()
        .filter(|case| case.system == CONTROL)
        .filter(|case| !(CONTROL_FROM..=CONTROL_TO).contains(&case.ratio.median))
        .map(|case| format!("{} is {:.3} of itself", case.name(), case.ratio.median));
    let void: Vec<String> = faulty.chain(strayed).collect();
    if !void.is_empty() {
        return Verdict::Void(void);
    }
    let missing = BARS.iter().find(|(work, _)| {
        let of =
            |system: &str, work: Work| summary.iter().any(|case| case.work == work && case.system == system);
        !(of(OURS, *work) && of(CONTROL, work.base()))
    });
    if rounds < ROUNDS || seconds < SECONDS {
        return Verdict::Partial(format!("the bars want {ROUNDS} rounds of {SECONDS} s"));
    }
    if let Some((work, _)) = missing {
        return Verdict::Partial(format!("not measured with its control: {}", work.title()));
    }
    let mut broken: Vec<String> = summary
        .iter()
        .filter_map(|case| {
            let bar = bar(case.work, &case.system)?;
            // Not `>`: what isn't a number doesn't hold.
            let holds = case.ratio.high <= bar;
            (!holds).then(|| format!("{}: up to {:.3}, the bar is {bar:.2}", case.name(), case.ratio.high))
        })
        .collect();
    if idle.vestibule_mib > IDLE_MIB {
        broken.push(format!("idle process: {:.1} MiB, the bar is {IDLE_MIB:.0} MiB", idle.vestibule_mib));
    }
    if broken.is_empty() { Verdict::Holds } else { Verdict::Broken(broken) }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => f.write_str("every bar holds"),
            Self::Broken(which) => write!(f, "broken: {}", which.join("; ")),
            Self::Void(why) => write!(f, "void: {}", why.join("; ")),
            Self::Partial(why) => write!(f, "no verdict: {why}"),
        }
    }
}
