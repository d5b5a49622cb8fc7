//! The endpoints by path, with the methods they take and how often they were asked.

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, Method};

use super::addresses::Shape;
use super::parameters::Parameters;

/// What a path below the environment stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Discovery,
    Jwks,
    Authorize,
    Par,
    SignOn,
    Resume,
    Token,
    UserInfo,
    Introspect,
    Revoke,
    Signoff,
    IdpSignoff,
    CheckSession,
}

impl Endpoint {
    /// The endpoint at `path`, from which the environment was taken off.
    pub(super) fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/as/.well-known/openid-configuration" => Self::Discovery,
            "/as/jwks" => Self::Jwks,
            "/as/authorize" => Self::Authorize,
            "/as/par" => Self::Par,
            "/signon/" => Self::SignOn,
            "/as/resume" => Self::Resume,
            "/as/token" => Self::Token,
            "/as/userinfo" => Self::UserInfo,
            "/as/introspect" => Self::Introspect,
            "/as/revoke" => Self::Revoke,
            "/as/signoff" => Self::Signoff,
            "/as/idpSignoff" => Self::IdpSignoff,
            "/as/checksession" => Self::CheckSession,
            _ => return None,
        })
    }

    /// `Allow`.
    pub(super) const fn methods(self) -> &'static str {
        match self {
            Self::Discovery | Self::Jwks | Self::Resume | Self::IdpSignoff | Self::CheckSession => "GET",
            Self::Authorize | Self::SignOn | Self::UserInfo | Self::Signoff => "GET, POST",
            Self::Par | Self::Token | Self::Introspect | Self::Revoke => "POST",
        }
    }

    pub(super) fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|name| name == method.as_str())
    }
}

/// A request for an endpoint.
pub(super) struct Inbound {
    pub(super) shape: Shape,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    /// The query of a GET, the form of a POST.
    pub(super) parameters: Parameters,
}

/// How many requests each endpoint has answered, in either set of addresses, refused ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestCounts {
    /// `/as/.well-known/openid-configuration`.
    pub discovery: u64,
    /// `/as/jwks`.
    pub jwks: u64,
    /// `/as/authorize`.
    pub authorize: u64,
    /// `/as/par`.
    pub par: u64,
    /// `/signon/`: the page and what was typed into it.
    pub sign_on: u64,
    /// `/as/resume`.
    pub resume: u64,
    /// `/as/token`.
    pub token: u64,
    /// `/as/userinfo`.
    pub userinfo: u64,
    /// `/as/introspect`.
    pub introspect: u64,
    /// `/as/revoke`.
    pub revoke: u64,
    /// `/as/signoff`.
    pub signoff: u64,
    /// `/as/idpSignoff`.
    pub idp_signoff: u64,
    /// `/as/checksession`.
    pub check_session: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<RequestCounts>);

impl Counters {
    pub(super) fn count(&self, endpoint: Endpoint) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = match endpoint {
            Endpoint::Discovery => &mut counts.discovery,
            Endpoint::Jwks => &mut counts.jwks,
            Endpoint::Authorize => &mut counts.authorize,
            Endpoint::Par => &mut counts.par,
            Endpoint::SignOn => &mut counts.sign_on,
            Endpoint::Resume => &mut counts.resume,
            Endpoint::Token => &mut counts.token,
            Endpoint::UserInfo => &mut counts.userinfo,
            Endpoint::Introspect => &mut counts.introspect,
            Endpoint::Revoke => &mut counts.revoke,
            Endpoint::Signoff => &mut counts.signoff,
            Endpoint::IdpSignoff => &mut counts.idp_signoff,
            Endpoint::CheckSession => &mut counts.check_session,
        };
        *count += 1;
    }

    pub(super) fn snapshot(&self) -> RequestCounts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
