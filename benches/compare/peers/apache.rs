//! Apache with mod_auth_openidc, signed in at the same provider.

use std::fs;
use std::process::Command;
use std::rc::Rc;

use super::{Peer, Service, named, program};
use crate::Result;
use crate::cases::{Proof, Work};
use crate::child::free_port;
use crate::origin::Origin;
use crate::stage::Stage;
use crate::upstream::NEED_USER;

const MODULES: &str = "/usr/lib/apache2/modules";

/// Sessions in shared memory, as by default.
pub(super) fn shm(stage: &Stage) -> Result<Peer> {
    let (peer, system, origin) = start(stage, "shm", "OIDCSessionType server-cache")?;
    with_session(stage, peer, &system, &origin, Work::MemorySession)
}

/// Sessions sealed into the cookie.
pub(super) fn cookie(stage: &Stage) -> Result<Peer> {
    let (mut peer, system, origin) = start(stage, "cookie", "OIDCSessionType client-cookie")?;
    peer.services.push(Service {
        system: system.clone(),
        work: Work::Redirect,
        origin: origin.clone(),
        path: NEED_USER,
        proof: Proof::Redirect(stage.emulator.issuer()),
    });
    with_session(stage, peer, &system, &origin, Work::SealedSession)
}

fn with_session(stage: &Stage, mut peer: Peer, system: &str, at: &Origin, work: Work) -> Result<Peer> {
    peer.services.push(Service {
        system: system.to_owned(),
        work,
        origin: at.clone(),
        path: NEED_USER,
        proof: Proof::Identity(Rc::clone(&stage.sign_in(at)?)),
    });
    Ok(peer)
}

fn start(stage: &Stage, name: &str, sessions: &str) -> Result<(Peer, String, Origin)> {
    let apache = program("apache2")?;
    for module in ["mod_auth_openidc.so", "mod_proxy_http.so"] {
        if !std::path::Path::new(MODULES).join(module).is_file() {
            return Err(format!("{module} isn't installed: benches/peers.sh").into());
        }
    }
    let system = named("Apache", Command::new(&apache).arg("-v"))? + " + mod_auth_openidc";
    let listen = free_port()?;
    let scratch = stage.scratch().display();
    let modules: String =
        ["mpm_event", "authn_core", "authz_core", "authz_user", "proxy", "proxy_http", "auth_openidc"]
            .map(|module| format!("LoadModule {module}_module {MODULES}/mod_{module}.so\n"))
            .concat();
    let (client, secret) = stage.client()?;
    let file = stage.scratch().join(format!("apache-{name}.conf"));
    fs::write(
        &file,
        format!(
            "ServerRoot {scratch}\n\
             ServerName 127.0.0.1\n\
             DefaultRuntimeDir {scratch}\n\
             PidFile {scratch}/apache-{name}.pid\n\
             ErrorLog {scratch}/apache-{name}.err\n\
             Mutex file:{scratch} default\n\
             Listen {listen}\n\
             User www-data\n\
             Group www-data\n\
             {modules}\
             ServerLimit 2\n\
             StartServers 2\n\
             ThreadLimit 192\n\
             ThreadsPerChild 192\n\
             MaxRequestWorkers 384\n\
             MinSpareThreads 192\n\
             MaxSpareThreads 384\n\
             MaxConnectionsPerChild 0\n\
             KeepAlive On\n\
             MaxKeepAliveRequests 0\n\
             KeepAliveTimeout 3600\n\
             LimitRequestFieldSize 32768\n\
             ProxyPass / http://{behind}/ enablereuse=on max=128 keepalive=On\n\
             OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration\n\
             OIDCClientID {id}\n\
             OIDCClientSecret {secret}\n\
             OIDCProviderTokenEndpointAuth client_secret_basic\n\
             OIDCRedirectURI http://{listen}/oidc/callback\n\
             OIDCScope \"openid profile email\"\n\
             OIDCPKCEMethod S256\n\
             OIDCCryptoPassphrase a-passphrase-for-this-run-alone\n\
             OIDCSessionInactivityTimeout 36000\n\
             OIDCSessionMaxDuration 36000\n\
             OIDCAuthNHeader X-Forwarded-User\n\
             OIDCRemoteUserClaim sub\n\
             OIDCStateMaxNumberOfCookies 7 true\n\
             {sessions}\n\
             <Location />\n  \
               AuthType openid-connect\n  \
               Require valid-user\n\
             </Location>\n",
            behind = stage.behind,
            issuer = stage.emulator.issuer(),
            id = client.id,
        ),
    )?;
    let mut command = stage.pins.proxy(&apache);
    command.arg("-DFOREGROUND").arg("-f").arg(&file);
    let server = stage.start(&mut command, &[listen], &format!("apache-{name}"))?;
    Ok((Peer { server, services: Vec::new() }, system, Origin::plain(listen)))
}
