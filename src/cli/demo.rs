//! `vestibule demo` and `vestibule emulator`: everything on this machine, nothing to install.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use super::{complain, echo, print, run};
use crate::clock::SystemClock;
use crate::config::{Source, load};
use crate::emulator::{Emulator, Options};

/// Provider, echo service and gateway; prints one address and two users.
pub(super) fn demo(port: u16) -> ExitCode {
    match prepared(port) {
        Ok(Demo { yaml, address, introduction, emulator }) => {
            let source = Source::Text { name: "demo".to_owned(), text: yaml, base_dir: PathBuf::from(".") };
            let config = match run::started(load(&source)) {
                Ok(config) => config,
                Err(status) => return status,
            };
            std::thread::spawn(move || {
                while TcpStream::connect(address).is_err() {
                    std::thread::sleep(Duration::from_millis(20));
                }
                print(&introduction);
            });
            // Stops when the process does.
            let _emulator = emulator;
            run::start(config)
        }
        Err(error) => {
            complain(&format!("failed to start the demo: {error}"));
            ExitCode::FAILURE
        }
    }
}

struct Demo {
    yaml: String,
    address: SocketAddr,
    introduction: String,
    emulator: Emulator,
}

fn prepared(port: u16) -> Result<Demo, Box<dyn std::error::Error>> {
    let port = free_port(port)?;
    let echo = echo::start()?;
    let options = Options::demo();
    let users: Vec<String> = options
        .users
        .iter()
        .map(|user| format!("  {:<8} {}", user.username, shown(&user.password)))
        .collect();
    let client = options.clients.first().ok_or("the emulator has no client")?;
    let client_id = client.id.clone();
    let secret = client.secret.as_ref().map(shown).unwrap_or_default().to_owned();
    let emulator = Emulator::start(options, Arc::new(SystemClock))?;
    let yaml = format!(
        "origins: [http://localhost:{port}]\n\
         listeners: [{{ address: 127.0.0.1:{port} }}]\n\
         log: {{ format: text, level: error, access: {{ output: off }} }}\n\
         providers:\n  \
           pingone:\n    \
             issuer: {issuer}\n    \
             client_id: {client_id}\n    \
             client_secret: {{ value: {secret} }}\n\
         sessions: {{ store: memory }}\n\
         shutdown: {{ delay: 0s, grace: 2s }}\n\
         routes:\n  \
           - {{ id: echo, auth: {{ session: pingone }}, upstream: http://{echo} }}\n",
        issuer = emulator.issuer(),
    );
    let introduction = format!(
        "\nVestibule is running. Open\n\n  http://localhost:{port}/\n\nand sign in as one of\n\n{}\n\n\
         Ctrl-C stops everything.",
        users.join("\n"),
    );
    Ok(Demo { yaml, address: SocketAddr::from(([127, 0, 0, 1], port)), introduction, emulator })
}

/// The port asked for, or another one when it is in use.
fn free_port(wanted: u16) -> std::io::Result<u16> {
    let listener =
        TcpListener::bind(("127.0.0.1", wanted)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)))?;
    Ok(listener.local_addr()?.port())
}

/// The local PingOne alone, until it is stopped.
pub(super) fn emulator(listen: SocketAddr) -> ExitCode {
    if !listen.ip().is_loopback() {
        complain(&"the emulator's users have public passwords: it listens on loopback only");
        return ExitCode::from(super::FAULTY);
    }
    let options = Options { listen, ..Options::demo() };
    let described = describe(&options);
    match Emulator::start(options, Arc::new(SystemClock)) {
        Ok(emulator) => {
            print(&format!("issuer         {}\n{described}\nCtrl-C stops it.", emulator.issuer()));
            loop {
                std::thread::park();
            }
        }
        Err(error) => {
            complain(&format!("failed to {error}"));
            ExitCode::FAILURE
        }
    }
}

fn describe(options: &Options) -> String {
    let clients = options.clients.iter().map(|client| {
        format!(
            "client_id      {}\nclient_secret  {}",
            client.id,
            client.secret.as_ref().map_or("none", shown)
        )
    });
    let users = options
        .users
        .iter()
        .map(|user| format!("user           {} / {}", user.username, shown(&user.password)));
    clients.chain(users).collect::<Vec<_>>().join("\n")
}

/// The emulator's passwords are no secrets: they are there to be read.
fn shown(secret: &SecretString) -> &str {
    secret.expose_secret()
}
