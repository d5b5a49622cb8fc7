//! Which processor runs what: a proxy under test shares its own with nothing that is busy.

use std::path::Path;
use std::process::{Command, Stdio};

/// Where the processes of a run are pinned.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pins {
    /// Too few cores, or no `taskset`: the system decides.
    None,
    /// Proxies on the first cores, everything else on the next.
    Together { proxies: usize },
    /// The upstream on a core of its own, too.
    Apart { proxies: usize },
}

impl Pins {
    /// For proxies of so many threads.
    pub(crate) fn find(proxies: usize) -> Self {
        let taskset = Command::new("taskset").arg("-V").stdout(Stdio::null()).status();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        match taskset.is_ok_and(|status| status.success()) {
            true if cores > proxies + 1 => Self::Apart { proxies },
            true if cores > proxies => Self::Together { proxies },
            _ => Self::None,
        }
    }

    /// Threads to come are pinned too: the emulator's and the load's among them.
    pub(crate) fn pin_this_process(self) {
        if let Self::Together { proxies } | Self::Apart { proxies } = self {
            let (cpu, pid) = (proxies.to_string(), std::process::id().to_string());
            // Where it fails the measured processes are pinned still.
            let _ = Command::new("taskset").args(["-cp", &cpu, &pid]).stdout(Stdio::null()).status();
        }
    }

    /// A proxy under test.
    pub(crate) fn proxy(self, program: impl AsRef<Path>) -> Command {
        self.on(|proxies| format!("0-{}", proxies.saturating_sub(1)), program.as_ref())
    }

    /// The service behind the proxies.
    pub(crate) fn upstream(self, program: impl AsRef<Path>) -> Command {
        let next = usize::from(matches!(self, Self::Apart { .. }));
        self.on(|proxies| (proxies + next).to_string(), program.as_ref())
    }

    /// The load generator.
    pub(crate) fn load(self, program: impl AsRef<Path>) -> Command {
        self.on(|proxies| proxies.to_string(), program.as_ref())
    }

    fn on(self, cpus: impl Fn(usize) -> String, program: &Path) -> Command {
        let (Self::Together { proxies } | Self::Apart { proxies }) = self else {
            return Command::new(program);
        };
        let mut command = Command::new("taskset");
        command.args(["-c", &cpus(proxies)]).arg(program);
        command
    }

    /// In words, for the report.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::None => "nothing is pinned: treat differences as noise",
            Self::Together { .. } => "proxy under test first, load and upstream together on the next core",
            Self::Apart { .. } => "proxy under test first, load and upstream on a core each",
        }
    }
}
