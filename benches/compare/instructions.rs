//! Instructions per request, counted by callgrind and compared with those that are kept.
//!
//! Time is noisy where others compute, too; instructions hardly are. Each kind of request is made on
//! its own, one after the other, `n` times and then twice as many times: the difference over `n` is free
//! of what comes once, such as a connection, and what the process does by itself in that time is taken
//! off. User code alone is counted, of all threads of the process.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vestibule::clock::Stopwatch;

use crate::cases::{self, Case};
use crate::load::{self, Load, Request};
use crate::rig::Build;
use crate::stage::{self, Kind, Stage};
use crate::{Result, browser, say};

/// What a count may exceed the kept one by.
const TOLERANCE: f64 = 0.03;
/// How long it is watched what a process does by itself.
const REST: Duration = Duration::from_secs(1);
/// Callgrind's files, beside a process's log.
const OUT: &str = "callgrind";

/// How it is counted.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Keep what is counted now
    #[arg(long)]
    write: bool,
    /// Requests that a count is taken over
    #[arg(long, default_value_t = 200)]
    requests: usize,
    /// Count only the cases whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Count this gateway instead of the one built beside
    #[arg(long, default_value = env!("CARGO_BIN_EXE_vestibule"))]
    vestibule: PathBuf,
    /// What is kept
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.json"))]
    kept: PathBuf,
}

/// The file in the repository.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Who counted: other compilers count otherwise.
    compiler: String,
    /// Instructions per request by case.
    instructions: BTreeMap<String, u64>,
}

/// Counts and compares.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let counted = count(arguments)?;
    if arguments.write {
        let kept = Kept { compiler: compiler(), instructions: counted };
        fs::write(&arguments.kept, serde_json::to_string_pretty(&kept)? + "\n")?;
        say(&format!("kept: {}", arguments.kept.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let kept = fs::read_to_string(&arguments.kept)
        .map_err(|error| format!("read {}: {error}; --write makes it", arguments.kept.display()))?;
    let kept: Kept = serde_json::from_str(&kept)?;
    if kept.compiler != compiler() {
        say(&format!("the kept figures are of {}, this is {}", kept.compiler, compiler()));
    }
    let mut failed = false;
    for (case, now) in &counted {
        let Some(then) = kept.instructions.get(case) else {
            say(&format!("{case}: not among the kept figures; --write keeps it"));
            failed = true;
            continue;
        };
        let change = as_float(*now)? / as_float(*then)? - 1.0;
        let word = if change > TOLERANCE {
            failed = true;
            "MORE than is allowed"
        } else if change < -TOLERANCE {
            "less: lower the kept figure with --write"
        } else {
            "as kept"
        };
        say(&format!("{case:<72} {now:>8} kept {then:>8} {:>+6.2} % {word}", change * 100.0));
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn count(arguments: &Arguments) -> Result<BTreeMap<String, u64>> {
    Command::new("valgrind")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("run valgrind: {error}: apt-get install valgrind"))?;
    let stage = Stage::set(1)?;
    let this = std::env::current_exe()?;

    let bare = stage.bare(callgrind(&stage, &this), "bare")?;
    let ours = &arguments.vestibule;
    let start = |kind: Kind<'_>, name: &str| stage.gateway(callgrind(&stage, ours), kind, name);
    let build = Build {
        memory: start(Kind::Memory, "memory")?,
        sealed: start(Kind::Sealed(&stage::key(ours)?), "sealed")?,
        secure: start(Kind::Secure, "secure")?,
    };
    let mut all = cases::bare_cases(&bare, cases::BARE);
    all.extend(cases::own_cases(&build, &stage.emulator.issuer()));
    let wanted = |case: &Case| arguments.only.as_ref().is_none_or(|only| case.name().contains(only));

    let mut counted = BTreeMap::new();
    for case in all.iter().filter(|case| wanted(case)) {
        let instructions = of(&stage, case, arguments.requests)?;
        say(&format!("{:<72} {instructions:>8} instructions", case.name()));
        counted.insert(case.name(), instructions);
    }
    Ok(counted)
}

fn callgrind(stage: &Stage, program: &Path) -> Command {
    let mut command = stage.pins.proxy("valgrind");
    let out = stage.scratch().join(format!("{OUT}.%p"));
    command
        .args(["-q", "--tool=callgrind", "--instr-atstart=no"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        // Its pipes: there, nobody else looks for them.
        .arg(format!("--vgdb-prefix={}", pipes(stage)))
        .arg(program);
    command
}

fn pipes(stage: &Stage) -> String {
    stage.scratch().join("vgdb").display().to_string()
}

/// Instructions per request of a case.
fn of(stage: &Stage, case: &Case, requests: usize) -> Result<u64> {
    // A handshake is a hundred requests' work.
    case.with_request(|load, request| {
        let requests = if load == Load::NewConnections { requests.div_ceil(10) } else { requests };
        send(load, request, requests)?;
        monitor(stage, case.pid, &["instrumentation", "on"])?;
        // Timers tick on, whoever asks: on a slow machine there are more of them in a request.
        let idle = Count::taken(stage, case.pid, || {
            std::thread::sleep(REST);
            Ok(())
        })?;
        let once = Count::taken(stage, case.pid, || send(load, request, requests))?;
        let twice = Count::taken(stage, case.pid, || send(load, request, 2 * requests))?;
        let ticks = idle.instructions / idle.seconds * (twice.seconds - once.seconds);
        let each = (twice.instructions - once.instructions - ticks) / f64::from(u32::try_from(requests)?);
        if each < 1.0 {
            return Err(format!("count anything: {idle:?}, {once:?}, {twice:?}").into());
        }
        Ok(whole(each))
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "some millions at most, and positive"
)]
const fn whole(count: f64) -> u64 {
    count.round() as u64
}

/// The same request, one after the other.
fn send(load: Load, request: &Request<'_>, count: usize) -> Result<()> {
    match load {
        Load::NewConnections => load::connections(request, count),
        Load::Http2 => load::http2_requests(request, count),
        Load::KeepAlive => {
            let mut stream = request.to.connect()?;
            let text = browser::head("GET", request.to.address, request.path, request.headers) + "\r\n";
            for _ in 0..count {
                let response = browser::exchange(&mut *stream, &text)?;
                if (response.status, response.body.len()) != (request.status, request.body) {
                    return Err(format!("get the right answer: {response:?}").into());
                }
            }
            Ok(())
        }
    }
}

/// What a process spends while something runs.
#[derive(Debug)]
struct Count {
    instructions: f64,
    seconds: f64,
}

impl Count {
    /// Counts while `act` runs. Switching the count off forgets it, so it stays on.
    fn taken(stage: &Stage, pid: u32, act: impl FnOnce() -> Result<()>) -> Result<Self> {
        monitor(stage, pid, &["zero"])?;
        let watch = Stopwatch::start();
        act()?;
        let seconds = watch.elapsed().as_secs_f64();
        monitor(stage, pid, &["dump"])?;
        // It writes file after file, each with a number of its own.
        let mut instructions = 0.0;
        let name = format!("{OUT}.{pid}.");
        for entry in fs::read_dir(stage.scratch())?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&name) {
                let file = fs::read_to_string(entry.path())?;
                let total = file.lines().find_map(|line| line.strip_prefix("summary: "));
                instructions += total.ok_or("read what callgrind has counted")?.trim().parse::<f64>()?;
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { instructions, seconds })
    }
}

/// Tells callgrind what to do, and waits until it has.
fn monitor(stage: &Stage, pid: u32, words: &[&str]) -> Result<()> {
    let output = Command::new("vgdb")
        .arg(format!("--vgdb-prefix={}", pipes(stage)))
        .arg(format!("--pid={pid}"))
        .args(words)
        .output()?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("tell callgrind `{words:?}`: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

fn compiler() -> String {
    let said = Command::new("rustc").arg("-V").output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).trim().to_owned()
}

fn as_float(count: u64) -> Result<f64> {
    Ok(f64::from(u32::try_from(count)?))
}
