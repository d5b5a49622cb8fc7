//! What is measured, and what proves that it was.

use std::rc::Rc;

use serde::Serialize;

use crate::Result;
use crate::browser::{self, Headers, NAVIGATION, Response};
use crate::load::{Load, Request};
use crate::origin::Origin;
use crate::rig::{Build, Rig};
use crate::session::Session;
use crate::stage::Bare;
use crate::upstream::{BODY, ECHO, NEED_TOKEN, NEED_USER, PUBLIC};

/// What a proxy is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    /// Forward, whoever asks.
    Forward,
    /// Forward with the identity of a session that the server keeps.
    MemorySession,
    /// Forward with the identity of a session that the cookie holds.
    SealedSession,
    /// Send someone without a session to the provider.
    Redirect,
    /// Take a new TLS 1.3 connection and forward one request.
    Connection,
    /// Forward over HTTP/2 and TLS.
    Http2,
    /// Forward over HTTP/2 and TLS with the identity of a session.
    Http2Session,
    /// Forward what a browser sends.
    BrowserHead,
    /// Forward what a browser sends, with the identity of a session.
    BrowserHeadSession,
}

impl Work {
    /// As headings have it.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Forward => "public route, HTTP/1.1",
            Self::MemorySession => "session in memory, HTTP/1.1",
            Self::SealedSession => "session in the cookie, HTTP/1.1",
            Self::Redirect => "nobody signed in: 302 to the provider",
            Self::Connection => "public route, new TLS 1.3 connection for each request",
            Self::Http2 => "public route, HTTP/2 over TLS",
            Self::Http2Session => "session in memory, HTTP/2 over TLS",
            Self::BrowserHead => "public route, a browser's head",
            Self::BrowserHeadSession => "session in memory, a browser's head",
        }
    }

    /// What the bare proxy is measured at beside it.
    pub(crate) const fn base(self) -> Self {
        match self {
            Self::Forward | Self::MemorySession | Self::SealedSession | Self::Redirect => Self::Forward,
            Self::Connection => Self::Connection,
            Self::Http2 | Self::Http2Session => Self::Http2,
            Self::BrowserHead | Self::BrowserHeadSession => Self::BrowserHead,
        }
    }

    const fn load(self) -> Load {
        match self {
            Self::Connection => Load::NewConnections,
            Self::Http2 | Self::Http2Session => Load::Http2,
            _ => Load::KeepAlive,
        }
    }

    fn head(self) -> Headers {
        match self {
            Self::Redirect => browser::headers(&NAVIGATION),
            Self::BrowserHead | Self::BrowserHeadSession => browser::headers(&BROWSER),
            _ => Headers::new(),
        }
    }
}

/// What Chrome sends with a page's request, all in all about 600 bytes.
const BROWSER: [(&str, &str); 12] = [
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    ),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Accept-Language", "en-GB,en;q=0.9,nl;q=0.8"),
    ("Cache-Control", "max-age=0"),
    ("Sec-Ch-Ua", "\"Chromium\";v=\"141\", \"Not?A_Brand\";v=\"8\""),
    ("Sec-Ch-Ua-Mobile", "?0"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Cookie", "theme=dark; csrftoken=3b1f0a9d376c524b8e8a43e5d7c2b190"),
];

/// What a probe must show before and after.
#[derive(Clone)]
pub(crate) enum Proof {
    /// The upstream's body.
    Body,
    /// The upstream saw who is signed in. The load goes to a path that answers 403 to anybody else, so
    /// that it proves the same.
    Identity(Rc<Session>),
    /// The upstream saw an access token. The same.
    Token(Rc<Session>),
    /// 302 to the provider whose issuer begins so.
    Redirect(String),
}

/// Bare Pingora.
pub(crate) const BARE: &str = "bare Pingora";
/// A second process of it.
pub(crate) const CONTROL: &str = "bare Pingora again";
/// The gateway.
pub(crate) const OURS: &str = "Vestibule";
/// Another build of the gateway.
pub(crate) const OTHER: &str = "Vestibule, other build";

/// One kind of request to one proxy.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) work: Work,
    pub(crate) system: String,
    /// The process whose time is taken, and that of its descendants.
    pub(crate) pid: u32,
    origin: Origin,
    path: &'static str,
    proof: Proof,
    /// What the gateway owes its upstreams and peers needn't do: its cookie stays with it.
    keeps_its_cookie: bool,
}

/// Every case of a rig, or those whose name contains `only`, with what they are compared with.
pub(crate) fn of(rig: &Rig, only: Option<&str>) -> Result<Vec<Case>> {
    let mut all = Vec::new();
    for (bare, name) in [(&rig.bare, BARE), (&rig.control, CONTROL)] {
        all.extend(bare_cases(bare, name));
    }
    for (build, name) in [(Some(&rig.ours), OURS), (rig.other.as_ref(), OTHER)] {
        let Some(build) = build else { continue };
        all.extend(own_cases(build, &rig.stage.emulator.issuer()).into_iter().map(|case| Case {
            system: name.to_owned(),
            keeps_its_cookie: true,
            ..case
        }));
    }
    for peer in &rig.peers {
        all.extend(peer.cases());
    }
    let wanted: Vec<bool> =
        all.iter().map(|case| only.is_none_or(|only| case.name().contains(only))).collect();
    let bases: Vec<Work> =
        all.iter().zip(&wanted).filter(|(_, wanted)| **wanted).map(|(case, _)| case.work.base()).collect();
    if bases.is_empty() {
        return Err("find a case of that name".into());
    }
    let is_base = |case: &Case| case.system == BARE && bases.contains(&case.work);
    Ok(all
        .iter()
        .zip(&wanted)
        .filter(|(case, wanted)| **wanted || is_base(case))
        .map(|(case, _)| case.clone())
        .collect())
}

pub(crate) fn bare_cases(bare: &Bare, name: &str) -> Vec<Case> {
    let at = |work, origin: &Origin| Case::new(work, name, bare.server.pid(), origin, "/", Proof::Body);
    let mut cases = vec![
        at(Work::Forward, &bare.plain),
        at(Work::Connection, &bare.secure),
        at(Work::Http2, &bare.secure),
    ];
    if name == BARE {
        cases.push(at(Work::BrowserHead, &bare.plain));
    }
    cases
}

/// What the gateway does, in the order of the report.
pub(crate) fn own_cases(build: &Build, issuer: &str) -> Vec<Case> {
    let Build { memory, sealed, secure } = build;
    [
        (Work::Forward, memory, PUBLIC, Proof::Body),
        (Work::MemorySession, memory, NEED_USER, Proof::Identity(Rc::clone(&memory.session))),
        (Work::SealedSession, sealed, NEED_USER, Proof::Identity(Rc::clone(&sealed.session))),
        (Work::Redirect, memory, NEED_USER, Proof::Redirect(issuer.to_owned())),
        (Work::Connection, secure, PUBLIC, Proof::Body),
        (Work::Http2, secure, PUBLIC, Proof::Body),
        (Work::Http2Session, secure, NEED_USER, Proof::Identity(Rc::clone(&secure.session))),
        (Work::BrowserHeadSession, memory, NEED_USER, Proof::Identity(Rc::clone(&memory.session))),
    ]
    .into_iter()
    .map(|(work, gateway, path, proof)| {
        Case::new(work, OURS, gateway.server.pid(), &gateway.origin, path, proof)
    })
    .collect()
}

impl Case {
    pub(crate) fn new(
        work: Work,
        system: impl Into<String>,
        pid: u32,
        origin: &Origin,
        path: &'static str,
        proof: Proof,
    ) -> Self {
        let (system, origin) = (system.into(), origin.clone());
        Self { work, system, pid, origin, path, proof, keeps_its_cookie: false }
    }

    /// System and work.
    pub(crate) fn name(&self) -> String {
        format!("{}: {}", self.system, self.work.title())
    }

    /// Probes, and gives the request to `act` that the load is to repeat.
    pub(crate) fn with_request<T>(&self, act: impl FnOnce(Load, &Request<'_>) -> Result<T>) -> Result<T> {
        if let Proof::Identity(session) | Proof::Token(session) = &self.proof {
            session.renew(&self.origin, ECHO)?;
        }
        let headers = self.headers();
        let response = self.probe(&headers)?;
        let request = Request {
            to: &self.origin,
            path: self.path,
            headers: &headers,
            status: response.status,
            body: response.body.len(),
            size: response.size,
        };
        let done = act(self.work.load(), &request)?;
        self.probe(&headers)?;
        Ok(done)
    }

    /// What a request says beside its path and Host.
    fn headers(&self) -> Headers {
        let headers = self.work.head();
        match &self.proof {
            Proof::Identity(session) | Proof::Token(session) => session.headers(&self.origin, &headers),
            Proof::Body | Proof::Redirect(_) => headers,
        }
    }

    /// Sends one request and checks what came of it.
    fn probe(&self, headers: &Headers) -> Result<Response> {
        let fail = |response: &Response| {
            let body = String::from_utf8_lossy(&response.body);
            format!("see what `{}` promises: {} {:?} {body}", self.name(), response.status, response.headers)
        };
        if let Proof::Identity(session) | Proof::Token(session) = &self.proof {
            let echoed = browser::get(&self.origin, ECHO, headers)?;
            let head = String::from_utf8_lossy(&echoed.body).to_lowercase();
            let told = match self.path {
                NEED_TOKEN => "\r\nauthorization: bearer ".to_owned(),
                _ => format!("\r\nx-forwarded-user: {}\r\n", session.sub.to_lowercase()),
            };
            let leaked = self.keeps_its_cookie
                && session.secrets(&self.origin).iter().any(|secret| head.contains(&secret.to_lowercase()));
            if echoed.status != 200 || !head.contains(&told) || leaked {
                return Err(fail(&echoed).into());
            }
        }
        let response = browser::get(&self.origin, self.path, headers)?;
        let promised = match &self.proof {
            Proof::Redirect(issuer) => {
                response.status == 302
                    && response.all("location").all(|location| location.starts_with(issuer))
            }
            _ => response.status == 200 && response.body.len() == BODY,
        };
        if promised { Ok(response) } else { Err(fail(&response).into()) }
    }
}
