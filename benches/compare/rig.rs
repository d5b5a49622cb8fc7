//! Everything that runs: upstream, provider, the bare proxy twice, the gateway with either store.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use vestibule::clock::{Stopwatch, SystemClock};
use vestibule::emulator::{Emulator, Options};

use crate::upstream::{ECHO, NEED_USER};
use crate::{Result, browser, upstream};

/// How long anything may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// All processes, the provider and two sessions.
pub(crate) struct Rig {
    pub(crate) pins: Pins,
    pub(crate) bare: Server,
    pub(crate) control: Server,
    pub(crate) memory: Gateway,
    pub(crate) sealed: Gateway,
    /// Where an anonymous browser is sent.
    pub(crate) issuer: String,
    /// `sub` of the person who is signed in.
    pub(crate) sub: String,
    // Kept running.
    _upstream: Server,
    _emulator: Emulator,
    _scratch: TempDir,
}

/// A gateway and a session there.
pub(crate) struct Gateway {
    pub(crate) server: Server,
    /// Value of the `Cookie` header.
    pub(crate) cookie: String,
}

impl Rig {
    /// Starts everything and signs in.
    pub(crate) fn start(vestibule: &Path) -> Result<Self> {
        let pins = Pins::find();
        pins.pin_this_process();
        let scratch = tempfile::tempdir()?;
        let this = std::env::current_exe()?;
        let serve = |mut command: Command, arguments: &[String], listen, name: &str| {
            Server::start(command.args(arguments), listen, scratch.path(), name)
        };

        let behind = free_port()?;
        let arguments = ["upstream".to_owned(), behind.to_string()];
        let upstream = serve(pins.upstream(&this), &arguments, behind, "upstream")?;
        let bare = |name: &str| {
            let listen = free_port()?;
            let arguments = ["bare".to_owned(), listen.to_string(), behind.to_string()];
            serve(pins.proxy(&this), &arguments, listen, name)
        };
        let options = Options::demo();
        let user = options.users.first().ok_or("find a user of the emulator")?.clone();
        let emulator = Emulator::start(options, Arc::new(SystemClock))?;
        let gateway = |name: &str, sessions: &str| {
            let listen = free_port()?;
            let yaml = configuration(listen, behind, &emulator, sessions)?;
            let file = scratch.path().join(format!("{name}.yaml"));
            std::fs::write(&file, yaml)?;
            let arguments = ["run".to_owned(), "-c".to_owned(), file.display().to_string()];
            let server = serve(pins.proxy(vestibule), &arguments, listen, name)?;
            until(
                || browser::get(listen, NEED_USER, &browser::headers(&browser::NAVIGATION)),
                |r| r.status == 302,
            )?;
            let cookie = browser::sign_in(listen, ECHO, &user.username, user.password.expose_secret())?;
            Ok::<_, Box<dyn std::error::Error>>(Gateway { server, cookie })
        };
        let key = Command::new(vestibule).arg("key").output()?.stdout;
        let key = String::from_utf8(key)?;
        let sealed = format!("{{ store: cookie, keys: [{{ value: {} }}] }}", key.trim());
        Ok(Self {
            bare: bare("bare")?,
            control: bare("control")?,
            memory: gateway("memory", "{ store: memory }")?,
            sealed: gateway("sealed", &sealed)?,
            issuer: emulator.issuer(),
            sub: user.sub.clone(),
            pins,
            _upstream: upstream,
            _emulator: emulator,
            _scratch: scratch,
        })
    }
}

/// A gateway as an operator would write it, but for one thread and for `value` secrets. The access log
/// stays as it is by default: JSON on standard output, which goes to `/dev/null`.
fn configuration(
    listen: SocketAddr,
    behind: SocketAddr,
    emulator: &Emulator,
    sessions: &str,
) -> Result<String> {
    let client = emulator.options().clients.first().ok_or("find a client of the emulator")?;
    let secret = client.secret.as_ref().map_or("", |secret| secret.expose_secret());
    Ok(format!(
        "origins: [http://{listen}]\n\
         listeners: [{{ address: {listen} }}]\n\
         admin: {{ address: {admin} }}\n\
         threads: 1\n\
         log: {{ level: warn }}\n\
         providers:\n  \
           local:\n    \
             issuer: {issuer}\n    \
             client_id: {id}\n    \
             client_secret: {{ value: {secret} }}\n\
         sessions: {sessions}\n\
         routes:\n  \
           - {{ id: public, match: {{ path: {public} }}, auth: public, upstream: http://{behind} }}\n  \
           - {{ id: app, auth: {{ session: local }}, upstream: http://{behind} }}\n",
        admin = free_port()?,
        issuer = emulator.issuer(),
        id = client.id,
        public = upstream::PUBLIC,
    ))
}

/// A child process that listens; killed when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Server {
    fn start(command: &mut Command, address: SocketAddr, scratch: &Path, name: &str) -> Result<Self> {
        let log = scratch.join(format!("{name}.log"));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?).spawn()?;
        let mut server = Self { address, child };
        let watch = Stopwatch::start();
        while TcpStream::connect(address).is_err() {
            if watch.elapsed() > PATIENCE || server.child.try_wait()?.is_some() {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("start {name}: {said}").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// The process, which `taskset` has become.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Had it ended by itself there would be nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Which processor runs what: a proxy under test shares its own with nothing that is busy.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pins {
    /// One core, or no `taskset`: the system decides.
    None,
    /// Proxies on 0, everything else on 1.
    Two,
    /// The upstream on 2.
    Three,
}

impl Pins {
    fn find() -> Self {
        let taskset = Command::new("taskset").arg("-V").stdout(Stdio::null()).status();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        match (taskset.is_ok_and(|status| status.success()), cores) {
            (false, _) | (_, 1) => Self::None,
            (true, 2) => Self::Two,
            (true, _) => Self::Three,
        }
    }

    /// Threads to come are pinned too: the emulator's among them.
    fn pin_this_process(self) {
        if !matches!(self, Self::None) {
            let pid = std::process::id().to_string();
            // Where it fails the measured processes are pinned still.
            let _ = Command::new("taskset").args(["-cp", "1", &pid]).stdout(Stdio::null()).status();
        }
    }

    fn proxy(self, program: &Path) -> Command {
        self.on("0", program)
    }

    fn upstream(self, program: &Path) -> Command {
        self.on(if matches!(self, Self::Three) { "2" } else { "1" }, program)
    }

    /// The load generator.
    pub(crate) fn load(self, program: &str) -> Command {
        self.on("1", Path::new(program))
    }

    fn on(self, cpu: &str, program: &Path) -> Command {
        if matches!(self, Self::None) {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.args(["-c", cpu]).arg(program);
        command
    }

    /// In words, for the report.
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::None => "nothing is pinned: treat differences as noise",
            Self::Two => "proxy under test on CPU 0; load and upstream on CPU 1",
            Self::Three => "proxy under test on CPU 0, load on CPU 1, upstream on CPU 2",
        }
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// Asks until the answer will do.
fn until<T: std::fmt::Debug>(mut ask: impl FnMut() -> Result<T>, will_do: impl Fn(&T) -> bool) -> Result<()> {
    let watch = Stopwatch::start();
    loop {
        let answer = ask()?;
        if will_do(&answer) {
            return Ok(());
        }
        if watch.elapsed() > PATIENCE {
            return Err(format!("see the gateway ready: {answer:?}").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
