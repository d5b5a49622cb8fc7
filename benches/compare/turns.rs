//! Two proxies under load that take turns on their core.
//!
//! A machine that is quicker at one moment than at the next is so for both, since turns are short. At the
//! same time neither finds the other's code and data in the caches whenever it is its turn for a moment:
//! in operation a proxy shares its core with no other.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::tree;

/// How long a turn is: hundreds of requests, and a tenth of what the machine's moods last.
const TURN: Duration = Duration::from_millis(50);

/// Lets these processes run in turns, each with all that it has started, until `done`. From then on all run.
pub(crate) fn take(processes: [u32; 2], done: impl Fn() -> bool) {
    let trees = Trees(processes.map(tree));
    let [one, other] = &trees.0;
    while !done() {
        for (runs, waits) in [(one, other), (other, one)] {
            signal(waits, Signal::SIGSTOP);
            signal(runs, Signal::SIGCONT);
            std::thread::sleep(TURN);
        }
    }
}

struct Trees([Vec<u32>; 2]);

impl Drop for Trees {
    /// Nothing is left behind stopped.
    fn drop(&mut self) {
        self.0.iter().for_each(|tree| signal(tree, Signal::SIGCONT));
    }
}

/// Who has ended meanwhile needn't be told.
fn signal(processes: &[u32], signal: Signal) {
    for process in processes.iter().filter_map(|&process| i32::try_from(process).ok()) {
        let _ = kill(Pid::from_raw(process), signal);
    }
}
