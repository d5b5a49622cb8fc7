//! The real binary, started with a configuration and ended on drop.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use vestibule::clock::Stopwatch;

use super::config::Config;
use super::message::Response;
use super::raw::{Raw, ask};

/// How long a start may take, on a machine that does much else.
const START: Duration = Duration::from_secs(30);

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_vestibule");

/// A running gateway.
#[derive(Debug)]
pub(crate) struct Gateway {
    config: Config,
    process: Process,
    environment: Vec<(String, String)>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    access_log: Arc<Mutex<String>>,
    logs: Arc<Mutex<String>>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Gateway {
    /// Starts, and waits until the gateway calls itself ready.
    pub(crate) fn start(config: Config) -> Self {
        Self::start_in(config, Vec::new())
    }

    /// The same with more in its environment.
    pub(crate) fn start_in(config: Config, environment: Vec<(String, String)>) -> Self {
        let process = Process::run(&config.write(), &environment);
        let mut gateway = Self { config, process, environment };
        gateway.wait_ready();
        gateway
    }

    /// Starts without waiting.
    pub(crate) fn launch(config: Config) -> Self {
        let process = Process::run(&config.write(), &[]);
        Self { config, process, environment: Vec::new() }
    }

    fn wait_ready(&mut self) {
        let since = Stopwatch::start();
        while since.elapsed() < START {
            if let Some(status) = self.process.child.try_wait().expect("the process can be asked") {
                panic!("vestibule ended with {status}:\n{}", self.logs());
            }
            if self.is_ready() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("vestibule wasn't ready in time:\n{}", self.logs());
    }

    /// Whether `/readyz` says so.
    pub(crate) fn is_ready(&self) -> bool {
        listens(self.config.admin())
            && listens(self.config.port())
            && self.admin("/readyz").is_some_and(|r| r.status == 200)
    }

    /// Where its configuration is.
    pub(crate) fn file(&self) -> String {
        self.config.path("vestibule.yaml")
    }

    /// Ends it and starts it anew with the same configuration and ports.
    pub(crate) fn restart(&mut self) {
        let _ = self.process.child.kill();
        let _ = self.process.child.wait();
        self.process = Process::run(&self.config.write(), &self.environment);
        self.wait_ready();
    }

    /// What the kernel says of the process under this word of `/proc/PID/status`: kibibytes, or a number.
    pub(crate) fn status(&self, word: &str) -> u64 {
        let path = format!("/proc/{}/status", self.process.child.id());
        let text = std::fs::read_to_string(path).expect("a running process");
        let line = text.lines().find_map(|line| line.strip_prefix(word)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.unwrap_or_else(|| panic!("{word} in {text}"))
    }

    /// Processor time that the process has taken, in hundredths of a second.
    pub(crate) fn processor_time(&self) -> u64 {
        let path = format!("/proc/{}/stat", self.process.child.id());
        let text = std::fs::read_to_string(path).expect("a running process");
        let after_the_name = text.rsplit(')').next().unwrap_or_default();
        let fields = after_the_name.split_whitespace().skip(11).take(2);
        fields.filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    }

    /// How many descriptors the process has open.
    pub(crate) fn descriptors(&self) -> usize {
        let path = format!("/proc/{}/fd", self.process.child.id());
        std::fs::read_dir(path).expect("a running process").count()
    }

    /// Sends SIGTERM.
    pub(crate) fn sigterm(&self) {
        let pid = self.process.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().expect("kill can be run");
        assert!(sent.success(), "SIGTERM could not be sent");
    }

    /// The exit status, when the process ends within this time.
    pub(crate) fn exits_within(&mut self, limit: Duration) -> Option<i32> {
        let since = Stopwatch::start();
        loop {
            if let Some(status) = self.process.child.try_wait().expect("the process can be asked") {
                return Some(status.code().unwrap_or(-1));
            }
            if since.elapsed() > limit {
                return None;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// An address of the first origin.
    pub(crate) fn url(&self, target: &str) -> String {
        format!("{}{target}", self.config.origin())
    }

    /// The value of a right `Host` header.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.port())
    }

    /// Writes a file beside the configuration while the gateway runs.
    pub(crate) fn write_file(&self, name: &str, content: &str) {
        self.config.file(name, content);
    }

    /// The public port.
    pub(crate) const fn port(&self) -> u16 {
        self.config.port()
    }

    /// GET on the admin listener; none when it doesn't answer.
    pub(crate) fn admin(&self, path: &str) -> Option<Response> {
        let port = self.config.admin();
        if !listens(port) {
            return None;
        }
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
        Raw::connect(port).send(request).response()
    }

    /// One request on the public listener: a request line without the version, and further header
    /// lines, each ended by CRLF.
    pub(crate) fn ask(&self, line: &str, more: &str) -> Response {
        ask(self.port(), &format!("{line} HTTP/1.1\r\nHost: {}\r\n{more}\r\n", self.host()))
    }

    /// What it logged so far (stderr).
    pub(crate) fn logs(&self) -> String {
        self.process.logs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why this answer was given: path and reason, by its line in the access log (JSON).
    #[track_caller]
    pub(crate) fn reason(&self, answer: &Response) -> (String, String) {
        let id = answer.fields.text("x-request-id").to_owned();
        super::eventually(&format!("a line about {id} in the access log"), || {
            let log = self.access_log();
            let mut lines = log.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let line = lines.find(|line| line["request_id"] == id)?;
            let text = |name: &str| line[name].as_str().map(str::to_owned);
            Some((text("path")?, text("reason")?))
        })
    }

    /// Its access log so far (stdout).
    pub(crate) fn access_log(&self) -> String {
        self.process.access_log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Process {
    fn run(config: &Path, environment: &[(String, String)]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["run", "-c"])
            .arg(config)
            .env_remove("RUST_LOG")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("vestibule can be started");
        let access_log = collect(child.stdout.take().expect("its stdout"));
        let logs = collect(child.stderr.take().expect("its stderr"));
        Self { child, access_log, logs }
    }
}

fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&text);
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
    text
}

/// Whether something accepts connections on this port of 127.0.0.1.
pub(crate) fn listens(port: u16) -> bool {
    std::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).is_ok()
}
