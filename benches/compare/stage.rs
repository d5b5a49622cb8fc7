//! What stands around the proxies, and the two kinds of proxy that are ours.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tempfile::TempDir;
use vestibule::clock::SystemClock;
use vestibule::emulator::{Client, Emulator, Options, User};

use crate::browser::{self, NAVIGATION};
use crate::child::{Server, free_port, until};
use crate::origin::Origin;
use crate::pins::Pins;
use crate::session::Session;
use crate::tls::Certificate;
use crate::upstream::{ECHO, NEED_USER};
use crate::{Result, upstream};

/// Longer than any run: no token ends in the middle.
const LIFETIME: Duration = Duration::from_hours(12);

/// The upstream, the provider and the certificate.
pub(crate) struct Stage {
    pub(crate) pins: Pins,
    /// Threads of each proxy.
    pub(crate) threads: usize,
    /// Where the upstream is.
    pub(crate) behind: SocketAddr,
    pub(crate) emulator: Emulator,
    pub(crate) certificate: Certificate,
    scratch: TempDir,
    // Kept running.
    _upstream: Server,
}

impl Stage {
    /// Sets it up for proxies of so many threads.
    pub(crate) fn set(threads: usize) -> Result<Self> {
        let pins = Pins::find(threads);
        pins.pin_this_process();
        let scratch = tempfile::tempdir()?;
        // Apache's workers find their locks there, as another user.
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755))?;
        let behind = free_port()?;
        let mut serve = pins.upstream(std::env::current_exe()?);
        serve.args(["upstream".to_owned(), behind.to_string()]);
        let options =
            Options { access_token_lifetime: LIFETIME, id_token_lifetime: LIFETIME, ..Options::demo() };
        Ok(Self {
            pins,
            threads,
            behind,
            emulator: Emulator::start(options, Arc::new(SystemClock))?,
            certificate: Certificate::make(scratch.path())?,
            _upstream: Server::start(&mut serve, &[behind], scratch.path(), "upstream")?,
            scratch,
        })
    }

    /// Where files may be put.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Our client at the provider.
    pub(crate) fn client(&self) -> Result<(&Client, &str)> {
        let client = self.emulator.options().clients.first().ok_or("find a client of the emulator")?;
        Ok((client, client.secret.as_ref().map_or("", |secret| secret.expose_secret())))
    }

    /// Who signs in.
    pub(crate) fn user(&self) -> Result<&User> {
        Ok(self.emulator.options().users.first().ok_or("find a user of the emulator")?)
    }

    /// Signs in at a proxy.
    pub(crate) fn sign_in(&self, at: &Origin) -> Result<Rc<Session>> {
        let user = self.user()?;
        let mut browser = browser::Browser::new(Arc::clone(&self.certificate.client));
        browser.sign_in(at, ECHO, &user.username, user.password.expose_secret())?;
        Ok(Rc::new(Session::new(browser, user.sub.clone())))
    }

    /// Starts a server that is ready once it takes connections.
    pub(crate) fn start(&self, command: &mut Command, at: &[SocketAddr], name: &str) -> Result<Server> {
        Server::start(command, at, self.scratch(), name)
    }

    /// Starts a bare proxy by `command`, which is this program or something that runs it.
    pub(crate) fn bare(&self, mut command: Command, name: &str) -> Result<Bare> {
        let (plain, secure) = (free_port()?, free_port()?);
        command.args(["bare".to_owned(), plain.to_string(), secure.to_string()]);
        command.args([&self.certificate.chain, &self.certificate.key]);
        command.args([self.behind.to_string(), self.threads.to_string()]);
        Ok(Bare {
            server: self.start(&mut command, &[plain, secure], name)?,
            plain: Origin::plain(plain),
            secure: self.secure(secure),
        })
    }

    /// Starts a gateway by `command` and signs in there.
    pub(crate) fn gateway(&self, command: Command, kind: Kind<'_>, name: &str) -> Result<Gateway> {
        let (server, origin) = self.idle_gateway(command, kind, name)?;
        let ask = || browser::get(&origin, NEED_USER, &browser::headers(&NAVIGATION));
        until(ask, |response| response.status == 302)?;
        let session = self.sign_in(&origin)?;
        Ok(Gateway { server, origin, session })
    }

    /// Starts a gateway and asks it nothing.
    pub(crate) fn idle_gateway(
        &self,
        mut command: Command,
        kind: Kind<'_>,
        name: &str,
    ) -> Result<(Server, Origin)> {
        let listen = free_port()?;
        let origin = match kind {
            Kind::Secure => self.secure(listen),
            Kind::Memory | Kind::Sealed(_) => Origin::plain(listen),
        };
        let file = self.scratch().join(format!("{name}.yaml"));
        fs::write(&file, self.configuration(&origin, kind)?)?;
        command.arg("run").arg("-c").arg(file);
        Ok((self.start(&mut command, &[listen], name)?, origin))
    }

    pub(crate) fn secure(&self, address: SocketAddr) -> Origin {
        Origin::secure(address, Arc::clone(&self.certificate.client))
    }

    /// A gateway as an operator would write it, but for the number of threads, sessions that outlast
    /// the run and `value` secrets. The access log stays as it is by default: JSON on standard output,
    /// which goes to `/dev/null`.
    fn configuration(&self, origin: &Origin, kind: Kind<'_>) -> Result<String> {
        let Certificate { chain, key, .. } = &self.certificate;
        let (tls, store) = match kind {
            Kind::Memory => (String::new(), "store: memory".to_owned()),
            Kind::Sealed(key) => (String::new(), format!("store: cookie, keys: [{{ value: {key} }}]")),
            Kind::Secure => {
                let (chain, key) = (chain.display(), key.display());
                let tls = format!(", tls: {{ certificate: {chain}, key: {key} }}");
                (tls, "store: memory".to_owned())
            }
        };
        let (client, secret) = self.client()?;
        Ok(format!(
            "origins: [{url}]\n\
             listeners: [{{ address: {listen}{tls} }}]\n\
             admin: {{ address: {admin} }}\n\
             threads: {threads}\n\
             log: {{ level: warn }}\n\
             shutdown: {{ delay: 0s }}\n\
             providers:\n  \
               local:\n    \
                 issuer: {issuer}\n    \
                 client_id: {id}\n    \
                 client_secret: {{ value: {secret} }}\n\
             sessions: {{ {store}, idle_timeout: 10h, absolute_timeout: 10h }}\n\
             routes:\n  \
               - {{ id: public, match: {{ path: {public} }}, auth: public, upstream: http://{behind} }}\n  \
               - {{ id: app, auth: {{ session: local }}, upstream: http://{behind} }}\n",
            url = origin.url(""),
            listen = origin.address,
            admin = free_port()?,
            threads = self.threads,
            issuer = self.emulator.issuer(),
            id = client.id,
            public = upstream::PUBLIC,
            behind = self.behind,
        ))
    }
}

/// What a gateway is set up for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind<'a> {
    /// Plain HTTP, sessions in memory.
    Memory,
    /// Plain HTTP, sessions sealed into the cookie with this key.
    Sealed(&'a str),
    /// TLS, sessions in memory.
    Secure,
}

/// A key for sealed sessions.
pub(crate) fn key(vestibule: &Path) -> Result<String> {
    let key = Command::new(vestibule).arg("key").output()?.stdout;
    Ok(String::from_utf8(key)?.trim().to_owned())
}

/// A bare proxy.
pub(crate) struct Bare {
    pub(crate) server: Server,
    pub(crate) plain: Origin,
    pub(crate) secure: Origin,
}

/// A gateway and a session there.
pub(crate) struct Gateway {
    pub(crate) server: Server,
    pub(crate) origin: Origin,
    pub(crate) session: Rc<Session>,
}
