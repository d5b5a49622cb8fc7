//! Stops a browser that goes round: sent to the provider again right after it came back.
//!
//! Only authorize redirects that follow a completed callback of the same browser within ten seconds
//! count; three are let through. A person who reloads a page never gets there.

use std::time::Duration;

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::SignIn;
use crate::clock::Timestamp;
use crate::reply::{OwedCookies, SetCookie};
use crate::seal::{Binding, Keyring, Purpose};
use crate::session::cookie::pairs;

/// How soon after a completed callback a redirect counts.
const WINDOW: Duration = Duration::from_secs(10);
/// Redirects let through.
const ALLOWED: u32 = 3;
/// How long the count is kept.
const MEMORY: Duration = Duration::from_mins(1);

/// The browser goes round: an error page instead of another redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sign in: the browser comes back again and again without a session")]
pub struct GoingRound;

#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
struct Count {
    redirects: u32,
    completed_at: Option<Timestamp>,
}

/// Counts an authorize redirect, and owes the cookie where it counts.
///
/// # Errors
/// [`GoingRound`] for the fourth.
pub fn on_redirect(
    sign_in: &SignIn,
    keyring: &Keyring,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<OwedCookies, GoingRound> {
    let mut count = read(sign_in, keyring, headers);
    if count.completed_at.is_none_or(|at| now.since(at) > WINDOW) {
        return Ok(OwedCookies::none());
    }
    count.redirects += 1;
    if count.redirects > ALLOWED { Err(GoingRound) } else { Ok(owe(sign_in, keyring, count)) }
}

/// Notes a completed callback.
pub fn on_callback(sign_in: &SignIn, keyring: &Keyring, headers: &HeaderMap, now: Timestamp) -> OwedCookies {
    let before = read(sign_in, keyring, headers);
    let recent = before.completed_at.is_some_and(|at| now.since(at) <= MEMORY);
    let redirects = if recent { before.redirects } else { 0 };
    owe(sign_in, keyring, Count { redirects, completed_at: Some(now) })
}

/// Forgets the count: who signs out and in again doesn't go round.
pub fn forget(sign_in: &SignIn, headers: &HeaderMap) -> OwedCookies {
    let mut owed = OwedCookies::none();
    if pairs(headers).any(|(name, _)| name == sign_in.loop_cookie) {
        owed.owe(&sign_in.clear_login_cookie(&sign_in.loop_cookie));
    }
    owed
}

fn read(sign_in: &SignIn, keyring: &Keyring, headers: &HeaderMap) -> Count {
    pairs(headers)
        .filter(|(name, _)| *name == sign_in.loop_cookie)
        .filter_map(|(_, value)| keyring.open(binding(sign_in), value).ok())
        .find_map(|plain| serde_json::from_slice(&plain).ok())
        .unwrap_or_default()
}

fn owe(sign_in: &SignIn, keyring: &Keyring, count: Count) -> OwedCookies {
    let plain = serde_json::to_vec(&count).unwrap_or_default();
    let value = keyring.seal(binding(sign_in), &plain);
    let cookie =
        SetCookie::new(&sign_in.loop_cookie, &value, sign_in.scope.transport, sign_in.login_same_site())
            .max_age(MEMORY.as_secs())
            .partitioned(sign_in.scope.partitioned);
    let mut owed = OwedCookies::none();
    owed.owe(&cookie);
    owed
}

fn binding(sign_in: &SignIn) -> Binding<'_> {
    Binding { purpose: Purpose::LoopGuard, name: &sign_in.loop_cookie, origin: &sign_in.scope.origin }
}
