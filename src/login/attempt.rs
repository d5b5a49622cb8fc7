//! One attempt to sign in: what its cookie holds, what its `state` says, how many there may be.

use std::time::Duration;

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::SignIn;
use super::return_to::ReturnTo;
use crate::clock::Timestamp;
use crate::identity::ProviderName;
use crate::reply::OwedCookies;
use crate::seal::{self, Binding, Keyring, Purpose};
use crate::session::cookie::pairs;
use crate::session::{self, Live};

/// How long an attempt may take.
pub const LIFETIME: Duration = Duration::from_hours(1);
/// Attempts that one browser may have under way; the oldest are dropped.
const MAX_ATTEMPTS: usize = 8;
/// What their cookies may take together.
const MAX_BYTES: usize = 8 * 1024;

/// The id of an attempt: eight hex digits of its second, so that a request shows which of its
/// cookies are the oldest, and 72 random bits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(String);

impl AttemptId {
    fn fresh(now: Timestamp) -> Self {
        // Eight hex digits last until the year 2106.
        let second = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
        Self(format!("{second:08x}{}", seal::random_token::<9>()))
    }

    /// Reads the id at the end of a cookie's name.
    fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        (text.len() == 20 && plain).then(|| Self(text.to_owned()))
    }

    /// The id as it stands in a cookie's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The half of an attempt that stays in the browser's cookie.
#[derive(Serialize, Deserialize)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// [OpenID Connect Core §15.5.2](https://openid.net/specs/openid-connect-core-1_0.html#NonceNotes).
    pub nonce: String,
    /// [RFC 7636 §4.1](https://www.rfc-editor.org/rfc/rfc7636#section-4.1).
    pub code_verifier: String,
    /// `max_age` in seconds, if the request had it: then the answer must prove it
    /// ([OpenID Connect Core §3.1.2.1](https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// The session that the browser had with this provider when the login began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
}

/// A session that a login takes the place of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// The session.
    pub handle: session::Handle,
    /// Whose it is.
    pub sub: Option<String>,
}

impl Previous {
    /// What a login must know of a session to end it.
    #[must_use]
    pub fn of(live: &Live) -> Self {
        Self { handle: *live.handle(), sub: live.identity().sub().map(str::to_owned) }
    }
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The half that travels as `state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The attempt.
    pub attempt: AttemptId,
    /// The provider it was started with.
    pub provider: ProviderName,
    /// The page it was for, read anew.
    pub return_to: ReturnTo,
    /// When it was started.
    pub at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct SealedState {
    a: AttemptId,
    p: ProviderName,
    r: String,
    t: Timestamp,
}

impl Attempt {
    /// A fresh attempt: new nonce, new verifier of 256 random bits.
    #[must_use]
    pub fn fresh(now: Timestamp, max_age: Option<u64>, previous: Option<Previous>) -> Self {
        Self {
            previous,
            max_age,
            id: AttemptId::fresh(now),
            nonce: seal::random_token::<24>(),
            code_verifier: seal::random_token::<32>(),
        }
    }

    /// The cookie that holds it, and what clears the oldest ones beyond the limits.
    pub fn owe(&self, sign_in: &SignIn, keyring: &Keyring, headers: &HeaderMap) -> OwedCookies {
        let name = cookie_name(sign_in, &self.id);
        let plain = serde_json::to_vec(self).unwrap_or_default();
        let value = keyring.seal(binding(sign_in, &name), &plain);
        let mut owed = OwedCookies::none();
        let mut room = MAX_BYTES.saturating_sub(name.len() + value.len());
        let mut known: Vec<(AttemptId, usize)> = under_way(sign_in, headers).collect();
        known.sort_by(|(one, _), (other, _)| other.cmp(one));
        for (index, (id, size)) in known.into_iter().enumerate() {
            if index + 1 < MAX_ATTEMPTS && size <= room {
                room -= size;
            } else {
                room = 0;
                owed.owe(&sign_in.clear_login_cookie(&cookie_name(sign_in, &id)));
            }
        }
        owed.owe(&sign_in.set_login_cookie(&name, &value));
        owed
    }

    /// The attempt of this id, if the request still has its cookie: exactly one, sealed by us for
    /// this very name and origin.
    #[must_use]
    pub fn find(sign_in: &SignIn, keyring: &Keyring, headers: &HeaderMap, id: &AttemptId) -> Option<Self> {
        let name = cookie_name(sign_in, id);
        let mut opened = pairs(headers)
            .filter(|(known, _)| *known == name)
            .filter_map(|(_, value)| keyring.open(binding(sign_in, &name), value).ok())
            .filter_map(|plain| serde_json::from_slice::<Self>(&plain).ok());
        let attempt = opened.next()?;
        (opened.next().is_none() && attempt.id == *id).then_some(attempt)
    }
}

/// What takes the cookie of an attempt from the browser.
pub fn clear(sign_in: &SignIn, headers: &HeaderMap, id: &AttemptId) -> OwedCookies {
    let mut owed = OwedCookies::none();
    let name = cookie_name(sign_in, id);
    if pairs(headers).any(|(known, _)| known == name) {
        owed.owe(&sign_in.clear_login_cookie(&name));
    }
    owed
}

impl State {
    /// Seals it for the authorization request.
    #[must_use]
    pub fn seal(&self, sign_in: &SignIn, keyring: &Keyring) -> String {
        let sealed = SealedState {
            a: self.attempt.clone(),
            p: self.provider.clone(),
            r: self.return_to.as_str().to_owned(),
            t: self.at,
        };
        let plain = serde_json::to_vec(&sealed).unwrap_or_default();
        keyring.seal(state_binding(&sign_in.scope.origin), &plain)
    }

    /// Opens a `state` that came back to `origin`. The target is read by the same rules again.
    #[must_use]
    pub fn open(
        text: &str,
        origin: &crate::route::origin::Origin,
        own: &[&str],
        keyring: &Keyring,
    ) -> Option<Self> {
        let plain = keyring.open(state_binding(&origin.to_string()), text).ok()?;
        let sealed: SealedState = serde_json::from_slice(&plain).ok()?;
        let return_to = ReturnTo::parse(&sealed.r, origin, own).unwrap_or_else(|_| ReturnTo::root());
        Some(Self { attempt: sealed.a, provider: sealed.p, return_to, at: sealed.t })
    }

    /// Whether the attempt has taken too long. One from the future is another replica's.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now.since(self.at) > LIFETIME
    }
}

fn under_way<'a>(
    sign_in: &'a SignIn,
    headers: &'a HeaderMap,
) -> impl Iterator<Item = (AttemptId, usize)> + 'a {
    pairs(headers).filter_map(|(name, value)| {
        let id = AttemptId::parse(name.strip_prefix(sign_in.cookie_prefix.as_str())?)?;
        Some((id, name.len() + value.len()))
    })
}

fn cookie_name(sign_in: &SignIn, id: &AttemptId) -> String {
    format!("{}{}", sign_in.cookie_prefix, id.as_str())
}

fn binding<'a>(sign_in: &'a SignIn, name: &'a str) -> Binding<'a> {
    Binding { purpose: Purpose::Login, name, origin: &sign_in.scope.origin }
}

fn state_binding(origin: &str) -> Binding<'_> {
    Binding { purpose: Purpose::State, name: "state", origin }
}
