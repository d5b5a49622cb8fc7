//! Child processes that listen.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use vestibule::clock::Stopwatch;

use crate::Result;

/// How long anything may take to start, under valgrind on a busy machine too.
const PATIENCE: Duration = Duration::from_mins(2);

/// A child process that listens; killed when dropped.
pub(crate) struct Server {
    child: Child,
}

impl Server {
    /// Starts it and waits until every address takes connections.
    pub(crate) fn start(
        command: &mut Command,
        addresses: &[SocketAddr],
        scratch: &Path,
        name: &str,
    ) -> Result<Self> {
        let log = scratch.join(format!("{name}.log"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?).spawn();
        let child = child.map_err(|error| format!("start {name}: {error}"))?;
        let mut server = Self { child };
        let watch = Stopwatch::start();
        while !addresses.iter().all(|address| TcpStream::connect(address).is_ok()) {
            if watch.elapsed() > PATIENCE || server.child.try_wait()?.is_some() {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("start {name}: {}", said.trim()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// The process, which `taskset` or `valgrind` has become.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop, and waits until it has: what it writes at its end is written then.
    pub(crate) fn stop(mut self) -> Result<()> {
        Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        let watch = Stopwatch::start();
        while self.child.try_wait()?.is_none() {
            if watch.elapsed() > PATIENCE {
                return Err("see a process stop".into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Had it ended by itself there would be nothing to kill. Workers of a peer go with their master,
        // which has to be asked.
        let mut kill = Command::new("kill");
        let asked = kill.args(["-TERM", &self.pid().to_string()]).stderr(Stdio::null()).status();
        let watch = Stopwatch::start();
        while asked.as_ref().is_ok_and(std::process::ExitStatus::success)
            && watch.elapsed() < Duration::from_secs(1)
        {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
pub(crate) fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// Asks until the answer will do. A gateway that starts claims its addresses, lets go of them and opens
/// them in earnest: who comes in between is cut off.
pub(crate) fn until<T: std::fmt::Debug>(
    mut ask: impl FnMut() -> Result<T>,
    will_do: impl Fn(&T) -> bool,
) -> Result<()> {
    let watch = Stopwatch::start();
    loop {
        let answer = ask();
        if answer.as_ref().is_ok_and(&will_do) {
            return Ok(());
        }
        if watch.elapsed() > PATIENCE {
            return Err(format!("see it ready: {answer:?}").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
