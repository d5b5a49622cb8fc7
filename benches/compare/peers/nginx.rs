//! nginx: one worker, connections to the upstream kept.

use std::fs;
use std::process::Command;

use super::{Peer, forwards, named, program};
use crate::Result;
use crate::child::free_port;
use crate::origin::Origin;
use crate::stage::Stage;
use crate::tls::Certificate;

pub(super) fn start(stage: &Stage) -> Result<Peer> {
    let nginx = program("nginx")?;
    let system = named("nginx", Command::new(&nginx).arg("-v"))?;
    let (plain, secure) = (free_port()?, free_port()?);
    let (scratch, behind) = (stage.scratch().display(), stage.behind);
    let Certificate { chain, key, .. } = &stage.certificate;
    let (chain, key) = (chain.display(), key.display());
    let forward = "location / { proxy_pass http://behind; proxy_http_version 1.1; \
                   proxy_set_header Connection \"\"; proxy_set_header Host $http_host; }";
    let scratches: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {scratch}/nginx-{kind};\n"))
        .concat();
    let file = stage.scratch().join("nginx.conf");
    fs::write(
        &file,
        format!(
            "daemon off;\n\
             worker_processes {threads};\n\
             pid {scratch}/nginx.pid;\n\
             error_log {scratch}/nginx.err warn;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n\
             {scratches}  \
               access_log off;\n  \
               keepalive_timeout 1h;\n  \
               keepalive_requests 1000000000;\n  \
               upstream behind {{ server {behind}; keepalive 256; keepalive_requests 1000000000; }}\n  \
               server {{ listen {plain} backlog=4096; {forward} }}\n  \
               server {{\n    \
                 listen {secure} ssl http2 backlog=4096;\n    \
                 ssl_certificate {chain};\n    \
                 ssl_certificate_key {key};\n    \
                 ssl_protocols TLSv1.3;\n    \
                 ssl_session_cache off;\n    \
                 ssl_session_tickets off;\n    \
                 {forward}\n  \
               }}\n\
             }}\n",
            threads = stage.threads,
        ),
    )?;
    let mut command = stage.pins.proxy(&nginx);
    command
        .arg("-p")
        .arg(stage.scratch())
        .arg("-e")
        .arg(stage.scratch().join("nginx.err"))
        .arg("-c")
        .arg(&file);
    let server = stage.start(&mut command, &[plain, secure], "nginx")?;
    let services = forwards(&system, &Origin::plain(plain), &stage.secure(secure));
    Ok(Peer { server, services })
}
