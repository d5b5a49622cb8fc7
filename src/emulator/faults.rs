//! Oddities of PingOne that can be switched while it runs.

use std::sync::atomic::{AtomicBool, Ordering};

/// How `auth_time` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthTime {
    /// In seconds, as the specification says.
    Seconds,
    /// Divided by 1000 once too often, as captured from PingOne: `1719859` beside an `iat` of
    /// `1719859270`.
    DividedByThousand,
}

/// The `typ` in the header of access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessTokenTyp {
    /// `at+jwt`; always so from 2 March 2027 on.
    AtJwt,
    /// None, as before.
    Absent,
}

/// The switches. They hold from the next token on.
#[derive(Debug)]
pub struct Faults {
    auth_time_divided: AtomicBool,
    typ_absent: AtomicBool,
}

impl Faults {
    pub(super) fn new(auth_time: AuthTime, typ: AccessTokenTyp) -> Self {
        Self {
            auth_time_divided: AtomicBool::new(auth_time == AuthTime::DividedByThousand),
            typ_absent: AtomicBool::new(typ == AccessTokenTyp::Absent),
        }
    }

    /// Chooses how `auth_time` is written.
    pub fn set_auth_time(&self, auth_time: AuthTime) {
        self.auth_time_divided.store(auth_time == AuthTime::DividedByThousand, Ordering::Relaxed);
    }

    /// Chooses the `typ` of access tokens.
    pub fn set_access_token_typ(&self, typ: AccessTokenTyp) {
        self.typ_absent.store(typ == AccessTokenTyp::Absent, Ordering::Relaxed);
    }

    /// How `auth_time` is written.
    #[must_use]
    pub fn auth_time(&self) -> AuthTime {
        if self.auth_time_divided.load(Ordering::Relaxed) {
            AuthTime::DividedByThousand
        } else {
            AuthTime::Seconds
        }
    }

    /// The `typ` of access tokens.
    #[must_use]
    pub fn access_token_typ(&self) -> AccessTokenTyp {
        if self.typ_absent.load(Ordering::Relaxed) { AccessTokenTyp::Absent } else { AccessTokenTyp::AtJwt }
    }
}
