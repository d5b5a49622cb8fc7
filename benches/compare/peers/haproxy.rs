//! HAProxy: one thread, connections to the upstream shared.

use std::fs;
use std::process::Command;

use super::{Peer, forwards, named, program};
use crate::Result;
use crate::child::free_port;
use crate::origin::Origin;
use crate::stage::Stage;

pub(super) fn start(stage: &Stage) -> Result<Peer> {
    let haproxy = program("haproxy")?;
    let system = named("HAProxy", Command::new(&haproxy).arg("-v"))?;
    let (plain, secure) = (free_port()?, free_port()?);
    let file = stage.scratch().join("haproxy.cfg");
    fs::write(
        &file,
        format!(
            "global\n  \
               nbthread {threads}\n  \
               maxconn 8192\n\
             defaults\n  \
               mode http\n  \
               timeout connect 5s\n  \
               timeout client 1h\n  \
               timeout server 1h\n  \
               http-reuse always\n\
             frontend plain\n  \
               bind {plain}\n  \
               default_backend behind\n\
             frontend secure\n  \
               bind {secure} ssl crt {pair} alpn h2,http/1.1 ssl-min-ver TLSv1.3 no-tls-tickets\n  \
               default_backend behind\n\
             backend behind\n  \
               server one {behind} pool-max-conn 1024\n",
            threads = stage.threads,
            pair = stage.certificate.pair.display(),
            behind = stage.behind,
        ),
    )?;
    let mut command = stage.pins.proxy(&haproxy);
    command.arg("-db").arg("-f").arg(&file);
    let server = stage.start(&mut command, &[plain, secure], "haproxy")?;
    let services = forwards(&system, &Origin::plain(plain), &stage.secure(secure));
    Ok(Peer { server, services })
}
