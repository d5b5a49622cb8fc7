//! What a user or a client was granted, and the codes and tokens that stand for it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::sync::Cache;

use super::pkce::CodeChallenge;
use super::scope::Scope;
use super::sessions::Session;
use super::store::bounded;
use super::uuid;
use crate::clock::Timestamp;
use crate::seal::{random_token, sha256};

/// How long a code may be redeemed.
const CODE_LIFETIME: Duration = Duration::from_mins(1);
/// How long a spent code is remembered, so that its reuse revokes what it gave.
const CODE_MEMORY: Duration = Duration::from_hours(1);
/// The longest an issued token is remembered.
const TOKEN_MEMORY: Duration = Duration::from_hours(30 * 24);
const TOKENS: u64 = 100_000;

/// The user behind a grant; absent for client credentials.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) sub: String,
    pub(super) sid: String,
    pub(super) auth_time: Timestamp,
    pub(super) acr: String,
}

impl Subject {
    pub(super) fn of(session: &Session, policy: &str) -> Self {
        Self {
            sub: session.sub.clone(),
            sid: session.sid.clone(),
            auth_time: session.auth_time,
            acr: policy.to_owned(),
        }
    }
}

/// What a client may do, for whom, since when.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) subject: Option<Subject>,
    pub(super) scope: Scope,
    pub(super) given_at: Timestamp,
    revoked: AtomicBool,
    /// Refresh tokens of this generation and later ones are dead.
    dead_from: AtomicU64,
}

impl Grant {
    pub(super) fn new(client_id: &str, subject: Option<Subject>, scope: Scope, now: Timestamp) -> Self {
        Self {
            client_id: client_id.to_owned(),
            subject,
            scope,
            given_at: now,
            revoked: AtomicBool::new(false),
            dead_from: AtomicU64::new(u64::MAX),
        }
    }

    /// Ends it and all that came of it.
    pub(super) fn revoke(&self) {
        self.revoked.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::SeqCst)
    }
}

/// A code that was given out.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) grant: Arc<Grant>,
    pub(super) redirect_uri: String,
    pub(super) nonce: Option<String>,
    pub(super) challenge: Option<CodeChallenge>,
    spent: AtomicBool,
}

/// All codes of the environment.
pub(super) struct Codes(Cache<String, Arc<Code>>);

impl Codes {
    pub(super) fn new() -> Self {
        Self(bounded(10_000, CODE_MEMORY))
    }

    /// A fresh code.
    pub(super) fn issue(
        &self,
        grant: Grant,
        redirect_uri: String,
        nonce: Option<String>,
        challenge: Option<CodeChallenge>,
    ) -> String {
        let code = uuid::random();
        let spent = AtomicBool::new(false);
        let value = Code { grant: Arc::new(grant), redirect_uri, nonce, challenge, spent };
        self.0.insert(code.clone(), Arc::new(value));
        code
    }

    /// Spends a code of `client_id`: once, within its lifetime.
    ///
    /// [RFC 6749 §4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2): when a code is used
    /// more than once, what it gave is revoked. Another client's attempt spends nothing.
    pub(super) fn spend(&self, code: &str, client_id: &str, now: Timestamp) -> Option<Arc<Code>> {
        let code = self.0.get(code).filter(|code| code.grant.client_id == client_id)?;
        if code.spent.swap(true, Ordering::SeqCst) {
            code.grant.revoke();
            return None;
        }
        (now.since(code.grant.given_at) < CODE_LIFETIME).then_some(code)
    }
}

/// An access token that was given out.
#[derive(Debug)]
pub(super) struct AccessToken {
    pub(super) grant: Arc<Grant>,
    pub(super) scope: Scope,
    pub(super) audiences: Vec<String>,
    pub(super) issuer: String,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    revoked: AtomicBool,
}

impl AccessToken {
    pub(super) fn new(
        grant: Arc<Grant>,
        scope: Scope,
        audiences: Vec<String>,
        issuer: String,
        (issued_at, lifetime): (Timestamp, Duration),
    ) -> Self {
        let expires_at = issued_at.plus(lifetime);
        Self { grant, scope, audiences, issuer, issued_at, expires_at, revoked: AtomicBool::new(false) }
    }

    pub(super) fn revoke(&self) {
        self.revoked.store(true, Ordering::SeqCst);
    }

    fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at && !self.revoked.load(Ordering::SeqCst) && !self.grant.is_revoked()
    }
}

/// A refresh token that was given out: opaque, replaced at every use.
#[derive(Debug)]
pub(super) struct RefreshToken {
    pub(super) grant: Arc<Grant>,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    /// How many came before it. A replay revokes by generation: the replayed token's and all later,
    /// which includes a sibling that a use within the grace period made.
    generation: u64,
    first_used: Mutex<Option<Timestamp>>,
}

/// What presenting a refresh token comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// First use, or one more within the grace period.
    Fine,
    /// A use after that.
    Replay,
}

impl RefreshToken {
    /// Records a use.
    pub(super) fn present(&self, grace_period: Duration, now: Timestamp) -> Use {
        let mut first_used = self.first_used.lock().unwrap_or_else(PoisonError::into_inner);
        match *first_used {
            None => {
                *first_used = Some(now);
                Use::Fine
            }
            // Without a grace period even the same instant is too late.
            Some(at) if now.since(at) < grace_period => Use::Fine,
            Some(_) => Use::Replay,
        }
    }

    /// Revokes it and its descendants.
    pub(super) fn revoke(&self) {
        self.grant.dead_from.fetch_min(self.generation, Ordering::SeqCst);
    }

    /// Whether it may still be presented; used ones may, to be told a replay.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        let dead = self.grant.dead_from.load(Ordering::SeqCst) <= self.generation;
        now < self.expires_at && !dead && !self.grant.is_revoked()
    }

    /// Whether it is live and hasn't been replaced.
    pub(super) fn is_current(&self, now: Timestamp) -> bool {
        let unused = self.first_used.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        unused && self.is_live(now)
    }
}

/// All tokens of the environment, under the hash of their text.
///
/// PingOne's access tokens have no `jti`: two that are given to one client in one session within a
/// second are the same text, and the later grant stands for both.
#[derive(Debug)]
pub(super) struct Tokens {
    access: Cache<[u8; 32], Arc<AccessToken>>,
    refresh: Cache<[u8; 32], Arc<RefreshToken>>,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self { access: bounded(TOKENS, TOKEN_MEMORY), refresh: bounded(TOKENS, TOKEN_MEMORY) }
    }

    pub(super) fn record(&self, text: &str, token: AccessToken) {
        self.access.insert(sha256(text.as_bytes()), Arc::new(token));
    }

    /// The live access token with this text.
    pub(super) fn access(&self, text: &str, now: Timestamp) -> Option<Arc<AccessToken>> {
        self.access.get(&sha256(text.as_bytes())).filter(|token| token.is_live(now))
    }

    /// A fresh refresh token, in place of `previous`.
    pub(super) fn issue_refresh(
        &self,
        grant: &Arc<Grant>,
        previous: Option<&RefreshToken>,
        (issued_at, expires_at): (Timestamp, Timestamp),
    ) -> String {
        let text = random_token::<32>();
        let token = RefreshToken {
            grant: Arc::clone(grant),
            issued_at,
            expires_at,
            generation: previous.map_or(0, |previous| previous.generation + 1),
            first_used: Mutex::new(None),
        };
        self.refresh.insert(sha256(text.as_bytes()), Arc::new(token));
        text
    }

    /// The refresh token with this text, live or not.
    pub(super) fn refresh(&self, text: &str) -> Option<Arc<RefreshToken>> {
        self.refresh.get(&sha256(text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
    const SECOND: Duration = Duration::from_secs(1);

    fn grant() -> Grant {
        Grant::new("app", None, Scope::parse("openid"), NOW)
    }

    fn codes() -> (Codes, String) {
        let codes = Codes::new();
        let code = codes.issue(grant(), "https://app.example.com/cb".to_owned(), None, None);
        (codes, code)
    }

    #[test]
    fn a_code_is_spent_once_and_reuse_revokes_what_it_gave() {
        let (codes, code) = codes();
        let spent = codes.spend(&code, "app", NOW).unwrap();
        assert!(!spent.grant.is_revoked());
        assert!(codes.spend(&code, "app", NOW).is_none());
        assert!(spent.grant.is_revoked());
    }

    #[test]
    fn another_client_neither_gets_nor_spends_a_code() {
        let (codes, code) = codes();
        assert!(codes.spend(&code, "other", NOW).is_none());
        assert!(codes.spend(&code, "app", NOW).is_some());
    }

    #[test]
    fn a_code_lives_for_a_minute() {
        let (first, code) = codes();
        assert!(first.spend(&code, "app", NOW.plus(SECOND * 59)).is_some());
        let (second, code) = codes();
        assert!(second.spend(&code, "app", NOW.plus(CODE_LIFETIME)).is_none());
    }

    #[test]
    fn a_replayed_refresh_token_takes_its_descendants_and_spares_its_ancestors() {
        let tokens = Tokens::new();
        let grant = Arc::new(grant());
        let times = (NOW, NOW.plus(SECOND * 3600));
        let first = tokens.refresh(&tokens.issue_refresh(&grant, None, times)).unwrap();
        let second = tokens.refresh(&tokens.issue_refresh(&grant, Some(&first), times)).unwrap();
        let third = tokens.refresh(&tokens.issue_refresh(&grant, Some(&second), times)).unwrap();
        second.revoke();
        assert!(first.is_live(NOW));
        assert!(!second.is_live(NOW));
        assert!(!third.is_live(NOW));
    }

    #[test]
    fn the_grace_period_forgives_a_second_use() {
        let tokens = Tokens::new();
        let text = tokens.issue_refresh(&Arc::new(grant()), None, (NOW, NOW.plus(SECOND * 3600)));
        let token = tokens.refresh(&text).unwrap();
        assert_eq!(token.present(SECOND * 10, NOW), Use::Fine);
        assert_eq!(token.present(SECOND * 10, NOW.plus(SECOND * 9)), Use::Fine);
        assert_eq!(token.present(SECOND * 10, NOW.plus(SECOND * 10)), Use::Replay);
        assert!(!token.is_current(NOW));

        let strict = tokens.issue_refresh(&Arc::new(grant()), None, (NOW, NOW.plus(SECOND * 3600)));
        let strict = tokens.refresh(&strict).unwrap();
        assert_eq!(strict.present(Duration::ZERO, NOW), Use::Fine);
        assert_eq!(strict.present(Duration::ZERO, NOW), Use::Replay);
    }
}
