//! What is measured, and what proves that it was.

use crate::Result;
use crate::browser::{self, Headers, NAVIGATION, Response};
use crate::rig::{Rig, Server};
use crate::upstream::{BODY, ECHO, NEED_USER, PUBLIC};

/// One kind of request to one proxy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Name of the case that it is compared with; its own for those that are the measure.
    pub(crate) base: &'static str,
    proxy: Proxy,
    path: &'static str,
    head: &'static [(&'static str, &'static str)],
    proof: Proof,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proxy {
    Bare,
    /// A second process of the same program: what it differs by is noise.
    Control,
    Memory,
    Sealed,
}

/// What a probe must show before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// The upstream's body.
    Body,
    /// The upstream saw who is signed in and not the cookie. The request goes to a path that answers
    /// 403 to anybody else, so that the load proves it too.
    Identity,
    /// 302 to the provider.
    Redirect,
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

const CASES: [Case; 8] = [
    Case { name: "bare", base: "bare", proxy: Proxy::Bare, path: "/", head: &[], proof: Proof::Body },
    Case {
        name: "bare again",
        base: "bare",
        proxy: Proxy::Control,
        path: "/",
        head: &[],
        proof: Proof::Body,
    },
    Case { name: "public", base: "bare", proxy: Proxy::Memory, path: PUBLIC, head: &[], proof: Proof::Body },
    Case {
        name: "memory session",
        base: "bare",
        proxy: Proxy::Memory,
        path: NEED_USER,
        head: &[],
        proof: Proof::Identity,
    },
    Case {
        name: "sealed session",
        base: "bare",
        proxy: Proxy::Sealed,
        path: NEED_USER,
        head: &[],
        proof: Proof::Identity,
    },
    Case {
        name: "anonymous 302",
        base: "bare",
        proxy: Proxy::Memory,
        path: NEED_USER,
        head: &NAVIGATION,
        proof: Proof::Redirect,
    },
    Case {
        name: "bare, browser's head",
        base: "bare, browser's head",
        proxy: Proxy::Bare,
        path: "/",
        head: &BROWSER,
        proof: Proof::Body,
    },
    Case {
        name: "memory session, browser's head",
        base: "bare, browser's head",
        proxy: Proxy::Memory,
        path: NEED_USER,
        head: &BROWSER,
        proof: Proof::Identity,
    },
];

/// The cases whose name contains `only`, and what they are compared with.
pub(crate) fn chosen(only: Option<&str>) -> Result<Vec<Case>> {
    let named = |case: &&Case| only.is_none_or(|only| case.name.contains(only));
    let wanted: Vec<Case> = CASES.iter().filter(named).copied().collect();
    if wanted.is_empty() {
        return Err("find a case of that name".into());
    }
    let is_base = |case: &Case| wanted.iter().any(|other| other.base == case.name);
    let is_wanted = |case: &Case| wanted.iter().any(|other| other.name == case.name);
    Ok(CASES.into_iter().filter(|case| is_wanted(case) || is_base(case)).collect())
}

impl Case {
    pub(crate) const fn path(&self) -> &'static str {
        self.path
    }

    /// The process whose time is taken.
    pub(crate) const fn server<'a>(&self, rig: &'a Rig) -> &'a Server {
        match self.proxy {
            Proxy::Bare => &rig.bare,
            Proxy::Control => &rig.control,
            Proxy::Memory => &rig.memory.server,
            Proxy::Sealed => &rig.sealed.server,
        }
    }

    /// What a request says beside its path and Host.
    pub(crate) fn headers(&self, rig: &Rig) -> Headers {
        let mut headers = browser::headers(self.head);
        if let Some(session) = self.session(rig) {
            match headers.iter_mut().find(|(name, _)| name == "Cookie") {
                Some((_, cookies)) => cookies.extend(["; ", session]),
                None => headers.push(("Cookie".to_owned(), session.to_owned())),
            }
        }
        headers
    }

    fn session<'a>(&self, rig: &'a Rig) -> Option<&'a str> {
        match (self.proof, self.proxy) {
            (Proof::Identity, Proxy::Memory) => Some(&rig.memory.cookie),
            (Proof::Identity, Proxy::Sealed) => Some(&rig.sealed.cookie),
            _ => None,
        }
    }

    /// Sends one request and checks what came of it; the size of its response in bytes.
    pub(crate) fn probe(&self, rig: &Rig) -> Result<usize> {
        let (address, headers) = (self.server(rig).address, self.headers(rig));
        let fail = |response: &Response| {
            let body = String::from_utf8_lossy(&response.body);
            format!("see what `{}` promises: {} {body}", self.name, response.status)
        };
        if self.proof == Proof::Identity {
            let echoed = browser::get(address, ECHO, &headers)?;
            let head = String::from_utf8_lossy(&echoed.body).to_lowercase();
            let named = format!("\r\nx-forwarded-user: {}\r\n", rig.sub.to_lowercase());
            let leaked = self.session(rig).is_some_and(|cookie| head.contains(&cookie.to_lowercase()));
            if echoed.status != 200 || !head.contains(&named) || leaked {
                return Err(fail(&echoed).into());
            }
        }
        let response = browser::get(address, self.path, &headers)?;
        let promised = match self.proof {
            Proof::Body | Proof::Identity => response.status == 200 && response.body.len() == BODY,
            Proof::Redirect => {
                response.status == 302
                    && response.all("location").all(|location| location.starts_with(&rig.issuer))
            }
        };
        if promised { Ok(response.size) } else { Err(fail(&response).into()) }
    }
}
