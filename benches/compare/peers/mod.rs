//! Other proxies beside ours, each as its manual configures it for this work and on one thread.
//!
//! A peer that can't be had or doesn't do its work is told as absent, and why. Their access logs are
//! off, while ours is on.

mod apache;
mod envoy;
mod haproxy;
mod nginx;

use std::path::PathBuf;
use std::process::Command;

use serde::Serialize;

use crate::Result;
use crate::cases::{Case, Proof, Work};
use crate::child::Server;
use crate::origin::Origin;
use crate::stage::Stage;

/// A peer that runs.
pub(crate) struct Peer {
    server: Server,
    services: Vec<Service>,
}

/// One thing that it does.
struct Service {
    system: String,
    work: Work,
    origin: Origin,
    path: &'static str,
    proof: Proof,
}

/// A peer that doesn't.
#[derive(Debug, Serialize)]
pub(crate) struct Absent {
    pub(crate) name: &'static str,
    pub(crate) why: String,
}

type Start = fn(&Stage) -> Result<Peer>;

/// Starts all that there are.
pub(crate) fn start(stage: &Stage) -> (Vec<Peer>, Vec<Absent>) {
    let known: [(&'static str, Start); 6] = [
        ("nginx", nginx::start),
        ("HAProxy", haproxy::start),
        ("Envoy", envoy::plain),
        ("Envoy oauth2", envoy::oauth2),
        ("mod_auth_openidc, sessions in memory", apache::shm),
        ("mod_auth_openidc, sessions in the cookie", apache::cookie),
    ];
    let (mut running, mut absent) = (Vec::new(), Vec::new());
    for (name, start) in known {
        let tried = start(stage).and_then(|peer| {
            // One that doesn't do what it should is no peer.
            peer.cases().iter().try_for_each(|case| case.with_request(|_, _| Ok(())))?;
            Ok(peer)
        });
        match tried {
            Ok(peer) => running.push(peer),
            Err(error) => absent.push(Absent { name, why: error.to_string().replace('\n', " ") }),
        }
    }
    (running, absent)
}

impl Peer {
    /// What is measured of it.
    pub(crate) fn cases(&self) -> Vec<Case> {
        let case = |service: &Service| {
            let Service { system, work, origin, path, proof } = service;
            Case::new(*work, system.clone(), self.server.pid(), origin, path, proof.clone())
        };
        self.services.iter().map(case).collect()
    }
}

/// A proxy that forwards: plain, by new TLS connections, by HTTP/2.
fn forwards(system: &str, plain: &Origin, secure: &Origin) -> Vec<Service> {
    [(Work::Forward, plain), (Work::Connection, secure), (Work::Http2, secure)]
        .into_iter()
        .map(|(work, origin)| Service {
            system: system.to_owned(),
            work,
            origin: origin.clone(),
            path: "/",
            proof: Proof::Body,
        })
        .collect()
}

/// A program: from `benches/peers.sh`, or the system's.
fn program(name: &str) -> Result<PathBuf> {
    let folders = [
        concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/bin"),
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
    ];
    let found = folders.iter().map(|folder| PathBuf::from(folder).join(name)).find(|path| path.is_file());
    found.ok_or_else(|| format!("{name} isn't installed: benches/peers.sh").into())
}

/// Name and version, from what a program says of itself: the first word with a digit and a dot in it.
fn named(name: &str, command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let version = said
        .split(|c: char| c.is_whitespace() || c == '/')
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    let version = version.map_or("", |version| version.split(['-', '+']).next().unwrap_or_default());
    Ok(format!("{name} {version}").trim().to_owned())
}
