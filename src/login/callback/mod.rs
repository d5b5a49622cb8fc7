//! The way back: an authorization response becomes a session.
//!
//! Everything that can be judged without the provider is judged first, so that a forged or stale
//! callback costs no token call. Copies of one callback in flight are merged; a copy that comes
//! later finds its attempt spent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use moka::future::Cache as Flights;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;

use super::attempt::{self, Attempt, AttemptId, Previous, State};
use super::return_to::ReturnTo;
use super::{SignIn, loop_guard};
use crate::clock::{Clock, Timestamp};
use crate::identity::{ClaimPath, Claims, ProviderName};
use crate::oidc::{self, AuthorizationResponse, Code, TokenSet, Userinfo};
use crate::reply::OwedCookies;
use crate::seal::{self, Keyring};
use crate::session::cookie as session_cookie;
use crate::session::{self, Ending, Live, Session, SessionStore};
use crate::telemetry::Metrics;
use crate::telemetry::labels::{LoginOutcome, SessionEnd};

/// How long the session that a login replaces stays good for the same person's other tabs.
const GRACE: Duration = Duration::from_secs(10);
/// Code exchanges under way at one provider. Who brings made-up codes takes room from others here, but
/// neither memory nor connections without end.
const AT_ONCE: usize = 64;
/// How long a login waits for its turn.
const TURN: Duration = Duration::from_secs(2);
/// Attempts remembered as spent.
const SPENT: u64 = 100_000;

/// Claims that are about the token, not about the person: checked, then of no further use.
const OF_THE_TOKEN: &[&str] = &["nonce", "at_hash", "c_hash", "s_hash", "exp", "nbf", "jti"];

/// Finishes logins.
#[derive(Debug)]
pub struct Callbacks {
    keyring: Arc<Keyring>,
    store: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    desks: HashMap<ProviderName, Desk>,
    flights: Flights<[u8; 32], Arc<Result<SignedIn, Failed>>>,
    spent: Cache<AttemptId, ()>,
}

/// What the logins of one provider share, so that a slow one holds up no other's.
#[derive(Debug)]
struct Desk {
    /// Claims that some route maps or requires, by which `userinfo: when_missing` decides.
    wanted: HashSet<ClaimPath>,
    room: Semaphore,
}

/// A login that made a session.
#[derive(Debug, Clone)]
pub struct SignedIn {
    /// The page it was for.
    pub return_to: ReturnTo,
    /// The session, the attempt's end, the loop guard's note.
    pub cookies: OwedCookies,
}

/// Why a callback makes no session.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failed {
    /// The attempt is over or its cookie is gone; the page it was for is known.
    #[error("finish a login whose attempt is gone")]
    Stale {
        /// The page.
        return_to: ReturnTo,
        /// Why.
        why: Staleness,
    },
    /// The provider says no.
    #[error("sign in: the provider answered {error}")]
    ProviderSaid {
        /// The `error` code, printable.
        error: String,
        /// The page it was for.
        return_to: ReturnTo,
        /// Clears the attempt.
        cookies: OwedCookies,
    },
    /// The provider can't be asked, misbehaves, or sent what doesn't hold.
    #[error("sign in: {error}")]
    Oidc {
        /// What went wrong.
        error: Arc<oidc::Error>,
        /// The page it was for.
        return_to: ReturnTo,
        /// Clears the attempt.
        cookies: OwedCookies,
    },
    /// The session can't be kept.
    #[error("sign in: {error}")]
    Store {
        /// Why.
        error: session::Error,
        /// Clears the attempt.
        cookies: OwedCookies,
    },
}

/// Why an attempt is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staleness {
    /// It took longer than its lifetime.
    Expired,
    /// The browser has no cookie of it.
    CookieGone,
    /// Its answer has been taken before.
    Spent,
}

/// An authorization response whose attempt, provider and issuer fit, not yet exchanged.
#[derive(Debug)]
struct Matched {
    attempt: Attempt,
    state: State,
    code: Code,
}

impl Callbacks {
    /// Nothing under way.
    #[must_use]
    pub fn new(
        keyring: Arc<Keyring>,
        store: Arc<dyn SessionStore>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        wanted: impl Iterator<Item = (ProviderName, HashSet<ClaimPath>)>,
    ) -> Self {
        let spent = Cache::builder()
            .max_capacity(SPENT)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(attempt::LIFETIME)
            .build();
        Self {
            keyring,
            store,
            clock,
            metrics,
            desks: wanted
                .map(|(provider, wanted)| (provider, Desk { wanted, room: Semaphore::new(AT_ONCE) }))
                .collect(),
            flights: Flights::builder().max_capacity(SPENT).time_to_live(Duration::from_mins(1)).build(),
            spent,
        }
    }

    /// Finishes the login that `response` answers. `previous` is the session that the browser
    /// already has with this provider.
    ///
    /// # Errors
    /// [`Failed`].
    pub async fn finish(
        self: &Arc<Self>,
        sign_in: &Arc<SignIn>,
        response: AuthorizationResponse,
        state: State,
        headers: &HeaderMap,
        previous: Option<Arc<Live>>,
    ) -> Result<SignedIn, Failed> {
        let matched = self.match_attempt(sign_in, &response, state, headers).await?;
        let flight =
            seal::sha256(format!("{} {}", matched.attempt.id.as_str(), matched.code.expose()).as_bytes());
        let outcome = self
            .flights
            .get_with(flight, async {
                // Only the first copy gets here while it is under way; later ones find it spent.
                if !self.spent.entry(matched.attempt.id.clone()).or_insert(()).is_fresh() {
                    return Arc::new(Err(stale(&matched.state, Staleness::Spent)));
                }
                // In a task of its own: a browser that goes away must not lose the session that its
                // next copy of the callback waits for.
                let (this, sign_in, headers) = (Arc::clone(self), Arc::clone(sign_in), headers.clone());
                let return_to = matched.state.return_to.clone();
                let task =
                    tokio::spawn(async move { this.exchange(&sign_in, matched, &headers, previous).await });
                Arc::new(match task.await {
                    Ok(outcome) => outcome,
                    // A fault of ours is a 500, not a stale login.
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => Err(Failed::Stale { return_to, why: Staleness::Spent }),
                })
            })
            .await;
        self.flights.invalidate(&flight).await;
        (*outcome).clone()
    }

    /// What can be judged without the token endpoint.
    async fn match_attempt(
        &self,
        sign_in: &SignIn,
        response: &AuthorizationResponse,
        state: State,
        headers: &HeaderMap,
    ) -> Result<Matched, Failed> {
        if state.is_stale(self.clock.now()) {
            return Err(stale(&state, Staleness::Expired));
        }
        let Some(attempt) = Attempt::find(sign_in, &self.keyring, headers, &state.attempt) else {
            return Err(stale(&state, Staleness::CookieGone));
        };
        let cookies = attempt::clear(sign_in, headers, &state.attempt);
        let return_to = state.return_to.clone();
        // The metadata says whether the response must name its issuer; that of an error counts too.
        let judged = match sign_in.provider.ready().await {
            Ok(metadata) => response.check_issuer(&metadata).map_err(oidc::Error::from),
            Err(error) => Err(error),
        };
        if let Err(error) = judged {
            return Err(Failed::Oidc { error: Arc::new(error), return_to, cookies });
        }
        match response.outcome() {
            Ok(code) => Ok(Matched { attempt, state, code: code.clone() }),
            Err(said) => Err(Failed::ProviderSaid { error: said.error.clone(), return_to, cookies }),
        }
    }

    async fn exchange(
        &self,
        sign_in: &SignIn,
        matched: Matched,
        headers: &HeaderMap,
        previous: Option<Arc<Live>>,
    ) -> Result<SignedIn, Failed> {
        let Matched { attempt, state, code } = matched;
        // A form posted across sites comes without the session's cookie: what the browser had when
        // the login began counts then.
        let previous = previous.map(|live| Previous::of(&live)).or_else(|| attempt.previous.clone());
        let mut cookies = attempt::clear(sign_in, headers, &attempt.id);
        let (claims, tokens) = match self.ask(sign_in, &attempt, &code).await {
            Ok(answer) => answer,
            Err(error) => {
                let return_to = state.return_to;
                return Err(Failed::Oidc { error: Arc::new(error), return_to, cookies });
            }
        };
        let now = self.clock.now();
        match self.keep(sign_in, &claims, &tokens, previous, now).await {
            Ok(value) => {
                // Counted here, where one login is one, however many copies of its callback came.
                self.metrics.login(LoginOutcome::Completed);
                self.metrics.session_created();
                cookies.extend(session_cookie::issue(headers, &sign_in.scope, &value));
                cookies.extend(loop_guard::on_callback(sign_in, &self.keyring, headers, now));
                Ok(SignedIn { return_to: state.return_to, cookies })
            }
            Err(error) => Err(Failed::Store { error, cookies }),
        }
    }

    /// Exchanges the code, validates the ID token, asks for userinfo where the configuration says so.
    async fn ask(
        &self,
        sign_in: &SignIn,
        attempt: &Attempt,
        code: &Code,
    ) -> Result<(Claims, TokenSet), oidc::Error> {
        let provider = &sign_in.provider;
        let desk = self.desks.get(&sign_in.scope.provider).ok_or(oidc::Unavailable::busy())?;
        let turn = tokio::time::timeout(TURN, desk.room.acquire()).await;
        let Ok(Ok(_room)) = turn else { return Err(oidc::Unavailable::busy().into()) };
        let tokens = provider.exchange(code, &attempt.code_verifier, &sign_in.redirect_uri).await?;
        let id_token = provider.validate_id_token(&tokens, &attempt.nonce).await?;
        if let Some(max_age) = attempt.max_age {
            let skew = provider.config().clock_skew;
            id_token.check_max_age(Duration::from_secs(max_age), skew, self.clock.now())?;
        }
        let mut claims = id_token.claims().clone();
        claims.remove(OF_THE_TOKEN);
        let ask_userinfo = match provider.config().userinfo {
            Userinfo::Never => false,
            Userinfo::Always => true,
            Userinfo::WhenMissing => desk.wanted.iter().any(|claim| claims.get(claim).is_none()),
        };
        if ask_userinfo {
            let userinfo = provider.userinfo(&tokens.access_token, id_token.sub()).await?;
            claims.fill_from(userinfo, &provider.config().claims);
        }
        Ok((claims, tokens))
    }

    /// Makes the session, under a new id always, and ends the one it replaces.
    async fn keep(
        &self,
        sign_in: &SignIn,
        claims: &Claims,
        tokens: &TokenSet,
        previous: Option<Previous>,
        now: Timestamp,
    ) -> Result<String, session::Error> {
        let sub = claims.text("sub");
        // Another person's ends at once; one's own lives out its grace, and ends with its successor.
        let own = previous.as_ref().filter(|previous| previous.sub.as_deref() == sub);
        let session = Session {
            replaces: own.map(|previous| previous.handle),
            origin: sign_in.scope.origin.clone(),
            provider: sign_in.scope.provider.clone(),
            claims: claims.clone(),
            id_token: Some(tokens.id_token.expose_secret().to_owned()),
            created_at: now,
            last_seen: now,
        };
        let value = self.store.create(&sign_in.scope, session).await?;
        if let Some(previous) = &previous {
            let ending = if own.is_some() { Ending::After(GRACE) } else { Ending::AtOnce };
            self.store.end_known(&previous.handle, ending, now).await?;
            self.metrics.session_ended(SessionEnd::Replaced);
        }
        Ok(value)
    }
}

fn stale(state: &State, why: Staleness) -> Failed {
    Failed::Stale { return_to: state.return_to.clone(), why }
}

#[cfg(test)]
mod tests;
