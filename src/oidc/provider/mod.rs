//! The provider: the only file here that does I/O.
//!
//! It keeps metadata and keys, sends the requests that the other files build, and hands their
//! answers back to them. Calls are bounded in time as a whole; a GET may be tried three times within
//! that, the token request goes out once, since a code is spent by its first use. A provider that is
//! down costs nobody a wait for long (`circuit`) and takes nothing away that is
//! known already (`kept`).

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use oauth2::{AsyncHttpClient, AuthorizationCode, HttpRequest, HttpResponse, PkceCodeVerifier, RedirectUrl};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::authorization::{self, AuthorizationParams, AuthorizationRequest};
use super::authorization_response::Code;
use super::circuit::{Circuit, CircuitState, Endpoint};
use super::discovery::{self, Metadata};
use super::error::{Cause, Error, Misbehaved, Rejected};
use super::id_token::{Candidate, Rules, ValidatedIdToken};
use super::jwks::{self, Budget, KeySet, Spending};
use super::kept::{Fetch, Kept, REFRESH_AFTER};
use super::logout::{self, LogoutParams};
use super::retry::{self, MAX_RETRIES, backoff, jittered};
use super::token::{self, TokenSet};
use super::{Config, SigningAlgorithm, answer, client_auth, userinfo};
use crate::clock::Clock;
use crate::http_client::{self, HttpClient};
use crate::identity::Claims;
use crate::telemetry::Metrics;
use crate::telemetry::labels::{CallOutcome, ProviderCall};

/// Pause of the upkeep while there is nothing usable: soon after a provider is back, we are too.
const RETRY_MISSING: Duration = Duration::from_secs(2);
/// Pause of the upkeep while the last good documents still serve.
const RETRY_STALE: Duration = Duration::from_secs(30);
/// Longest delay of a refresh that is due, so that replicas don't all come at once.
const REFRESH_JITTER: Duration = Duration::from_secs(30);

/// One of the configured providers.
pub struct Provider {
    config: Config,
    http: Arc<dyn HttpClient>,
    clock: Arc<dyn Clock>,
    circuit: Circuit,
    metadata: Kept<Metadata>,
    keys: Kept<KeySet>,
    spending: Spending,
    last_error: Mutex<Option<&'static str>>,
    metrics: Option<Arc<Metrics>>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("name", &self.config.name).finish_non_exhaustive()
    }
}

/// How a provider is doing, for people and probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProviderStatus {
    /// Age of the metadata; `None` before the first.
    pub metadata_age: Option<Duration>,
    /// Age of the key set; `None` before the first.
    pub keys_age: Option<Duration>,
    /// Usable keys.
    pub keys: usize,
    /// Whether calls are let through.
    pub circuit: CircuitState,
    /// Reason code of the last exchange, if it failed.
    pub last_error: Option<&'static str>,
}

impl Provider {
    /// A provider of which nothing is known yet; nothing is called.
    #[must_use]
    pub fn new(config: Config, http: Arc<dyn HttpClient>, clock: Arc<dyn Clock>) -> Self {
        Self {
            config,
            http,
            clock,
            circuit: Circuit::default(),
            metadata: Kept::empty(),
            keys: Kept::empty(),
            spending: Spending::default(),
            last_error: Mutex::new(None),
            metrics: None,
        }
    }

    /// The same, with its calls counted.
    #[must_use]
    pub fn counted_by(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Its configuration.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The metadata, if it is usable now (at most 24 hours old). No I/O.
    #[must_use]
    pub fn metadata(&self) -> Option<Arc<Metadata>> {
        self.metadata.usable(self.clock.now())
    }

    /// The metadata: at once when it is usable, else from one fetch that all callers share.
    ///
    /// # Errors
    /// [`Error`] when there is none and the fetch fails, or one failed within the last second.
    pub async fn ready(&self) -> Result<Arc<Metadata>, Error> {
        self.metadata_by(self.http.as_ref()).await
    }

    /// The request that sends a browser to sign in. No I/O.
    #[must_use]
    pub fn authorization_request(
        &self,
        metadata: &Metadata,
        params: AuthorizationParams<'_>,
    ) -> AuthorizationRequest {
        authorization::request(&self.config, metadata, &params)
    }

    /// Exchanges a code for tokens, in one attempt.
    ///
    /// # Errors
    /// [`Rejected::InvalidGrant`] when the provider refuses the code, else whatever fails.
    pub async fn exchange(
        &self,
        code: &Code,
        code_verifier: &str,
        redirect_uri: &str,
    ) -> Result<TokenSet, Error> {
        let metadata = self.ready().await?;
        let client = client_auth::client(&self.config, &metadata);
        let redirect_uri = RedirectUrl::new(redirect_uri.to_owned())
            .map_err(|_| Rejected::ParameterMalformed("redirect_uri"))?;
        let answer = client
            .exchange_code(AuthorizationCode::new(code.expose().to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(code_verifier.to_owned()))
            .set_redirect_uri(Cow::Owned(redirect_uri))
            .request_async(&TokenEndpoint(self))
            .await;
        self.noted(Endpoint::Token, token::process(answer))
    }

    /// Validates the ID token of a login; fetches keys once when its key isn't known, or its
    /// signature doesn't fit the key that is.
    ///
    /// # Errors
    /// [`Error::ResponseRejected`] when a check fails, else why there are no keys to check with.
    pub async fn validate_id_token(&self, tokens: &TokenSet, nonce: &str) -> Result<ValidatedIdToken, Error> {
        let rules = Rules {
            issuer: &self.config.issuer,
            client_id: &self.config.client_id,
            algorithms: &self.config.id_token_algorithms,
            clock_skew: self.config.clock_skew,
            nonce,
            access_token: tokens.access_token.expose_secret(),
            now: self.clock.now(),
        };
        let missed = self.keys.now();
        let candidate = Candidate::examine(tokens.id_token.expose_secret(), &rules)?;
        let mut keys = self.keys_by(self.http.as_ref()).await?;
        loop {
            let rejected = match candidate.verify(&keys, &rules) {
                Ok(validated) => return Ok(validated),
                Err(rejected) => rejected,
            };
            if !rejected.may_pass_with_newer_keys() {
                return Err(rejected.into());
            }
            let permitted = |now| self.spending.permits(Budget::Login, now);
            let fetch = self.fetch_keys(self.http.as_ref());
            match self.keys.newer(&keys, missed, self.clock.as_ref(), permitted, fetch).await? {
                Some(newer) => keys = newer,
                None => return Err(rejected.into()),
            }
        }
    }

    /// The keys, fetched again when none fits and `budget` allows it. The set that comes back may
    /// still not have the key.
    ///
    /// # Errors
    /// [`Error`] when there are no keys, or a fetch that was allowed failed.
    pub async fn keys_for(
        &self,
        kid: Option<&str>,
        algorithm: SigningAlgorithm,
        budget: Budget,
    ) -> Result<Arc<KeySet>, Error> {
        let missed = self.keys.now();
        let keys = self.keys_by(self.http.as_ref()).await?;
        if keys.knows(kid, algorithm) {
            return Ok(keys);
        }
        let permitted = |now| self.spending.permits(budget, now);
        let fetch = self.fetch_keys(self.http.as_ref());
        let newer = self.keys.newer(&keys, missed, self.clock.as_ref(), permitted, fetch).await?;
        Ok(newer.unwrap_or(keys))
    }

    /// What the userinfo endpoint says of the person `expected_sub`.
    ///
    /// # Errors
    /// [`Rejected::UserinfoSubject`] when it speaks of another person, else whatever fails.
    pub async fn userinfo(&self, access_token: &SecretString, expected_sub: &str) -> Result<Claims, Error> {
        let metadata = self.ready().await?;
        let Some(endpoint) = &metadata.userinfo_endpoint else {
            return Err(Misbehaved::Metadata("no userinfo_endpoint".to_owned()).into());
        };
        let request = userinfo::request(endpoint, access_token.expose_secret())?;
        let answer = self.get(self.http.as_ref(), Endpoint::Userinfo, request).await;
        let claims = answer.and_then(|response| userinfo::process(&response, expected_sub));
        self.noted(Endpoint::Userinfo, claims)
    }

    /// Where a browser ends its session at the provider; `None` when it has no such place. No I/O.
    #[must_use]
    pub fn end_session_url(
        &self,
        metadata: &Metadata,
        id_token_hint: Option<&str>,
        logout_hint: Option<&str>,
        post_logout_redirect_uri: &str,
        state: &str,
    ) -> Option<Url> {
        let params = LogoutParams { id_token_hint, logout_hint, post_logout_redirect_uri, state };
        logout::end_session_url(&self.config, metadata, params)
    }

    /// One round of upkeep: fetches metadata and keys that are due, and says when to come back.
    ///
    /// What fails leaves the last good documents in use and is logged. `http` is the caller's own
    /// client, since kept connections belong to the runtime that opened them.
    pub async fn keep_fresh(&self, http: &dyn HttpClient) -> Duration {
        let clock = self.clock.as_ref();
        let metadata = self.metadata.refresh(clock, self.fetch_metadata(http)).await;
        let keys = self.keys.refresh(clock, self.fetch_keys(http)).await;
        let now = clock.now();
        let usable = self.metadata.usable(now).is_some() && self.keys.usable(now).is_some();
        let mut pause = None;
        for (document, outcome, age) in
            [("metadata", metadata, self.metadata.age(now)), ("keys", keys, self.keys.age(now))]
        {
            let Err(error) = outcome else { continue };
            pause = Some(if usable { RETRY_STALE } else { RETRY_MISSING });
            self.alarm(document, &error, age);
        }
        pause.map_or_else(
            || {
                let oldest = self.metadata.age(now).max(self.keys.age(now)).unwrap_or_default();
                REFRESH_AFTER.saturating_sub(oldest).saturating_add(jittered(REFRESH_JITTER))
            },
            jittered,
        )
    }

    /// How it is doing.
    #[must_use]
    pub fn status(&self) -> ProviderStatus {
        let now = self.clock.now();
        ProviderStatus {
            metadata_age: self.metadata.age(now),
            keys_age: self.keys.age(now),
            keys: self.keys.usable(now).map_or(0, |keys| keys.count()),
            circuit: self.circuit.is(),
            last_error: *self.last_error.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    async fn metadata_by(&self, http: &dyn HttpClient) -> Result<Arc<Metadata>, Error> {
        match self.metadata() {
            Some(metadata) => Ok(metadata),
            None => self.metadata.get(self.clock.as_ref(), self.fetch_metadata(http)).await,
        }
    }

    async fn keys_by(&self, http: &dyn HttpClient) -> Result<Arc<KeySet>, Error> {
        match self.keys.usable(self.clock.now()) {
            Some(keys) => Ok(keys),
            None => self.keys.get(self.clock.as_ref(), self.fetch_keys(http)).await,
        }
    }

    fn fetch_metadata<'a>(&'a self, http: &'a dyn HttpClient) -> Fetch<'a, Metadata> {
        Box::pin(async move {
            let request = discovery::request(&self.config.issuer)?;
            let answer = self.get(http, Endpoint::Metadata, request).await;
            let metadata = answer.and_then(|response| discovery::process(&response, &self.config.issuer));
            self.noted(Endpoint::Metadata, metadata)
        })
    }

    fn fetch_keys<'a>(&'a self, http: &'a dyn HttpClient) -> Fetch<'a, KeySet> {
        Box::pin(async move {
            let metadata = self.metadata_by(http).await?;
            let request = jwks::request(&metadata.jwks_uri)?;
            let answer = self.get(http, Endpoint::Keys, request).await;
            self.noted(Endpoint::Keys, answer.and_then(|response| jwks::process(&response)))
        })
    }

    async fn send_token_request(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        let call = async {
            self.circuit.admit(Endpoint::Token, self.clock.now())?;
            self.send(self.http.as_ref(), Endpoint::Token, request).await
        };
        let response = self.within_total(Endpoint::Token, call).await?;
        token::check(&response)?;
        Ok(response.map(|body| body.to_vec()))
    }

    /// A GET, with at most two further attempts within the time of one.
    async fn get(
        &self,
        http: &dyn HttpClient,
        endpoint: Endpoint,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Bytes>, Error> {
        let attempts = async {
            self.circuit.admit(endpoint, self.clock.now())?;
            let mut answer = self.send(http, endpoint, request.clone()).await;
            for retries in 0..MAX_RETRIES {
                // A pause that the provider asked for, or an open circuit, ends the attempts too.
                if !may_pass(&answer) || self.circuit.admit(endpoint, self.clock.now()).is_err() {
                    break;
                }
                tokio::time::sleep(backoff(retries)).await;
                answer = self.send(http, endpoint, request.clone()).await;
            }
            answer
        };
        self.within_total(endpoint, attempts).await
    }

    async fn within_total(
        &self,
        endpoint: Endpoint,
        call: impl Future<Output = Result<Response<Bytes>, Error>> + Send,
    ) -> Result<Response<Bytes>, Error> {
        let limit = self.config.http.total_timeout;
        if let Ok(answer) = tokio::time::timeout(limit, call).await {
            return answer;
        }
        self.circuit.failed(endpoint, None, self.clock.now());
        Err(http_client::Error::TimedOut(limit).into())
    }

    /// Sends a request that the circuit has admitted, and tells the circuit what came of it.
    async fn send(
        &self,
        http: &dyn HttpClient,
        endpoint: Endpoint,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Bytes>, Error> {
        let sent = http.send(request).await;
        let now = self.clock.now();
        let hold_off = sent.as_ref().ok().and_then(|answer| retry::retry_after(answer.headers(), now));
        let answer = match sent {
            Ok(response) => answer::served(response, now).map_err(Error::from),
            Err(error) => Err(error.into()),
        };
        match &answer {
            Ok(_) => self.circuit.succeeded(),
            Err(_) => self.circuit.failed(endpoint, hold_off, now),
        }
        answer
    }

    fn alarm(&self, document: &str, error: &Error, age: Option<Duration>) {
        let provider = self.config.name.as_str();
        let (reason, age) = (error.reason(), age.map(|age| age.as_secs()));
        if matches!(error, Error::ProviderUnavailable(_)) {
            tracing::warn!(provider, document, reason, age, "failed to {error}; the last good one stays");
        } else {
            // Louder, since it won't pass by itself: nobody who answers takes all keys away.
            tracing::error!(provider, document, reason, age, "failed to {error}; the last good one stays");
        }
    }

    /// Remembers how a call went; an error says from here on at which endpoint.
    fn noted<T>(&self, endpoint: Endpoint, result: Result<T, Error>) -> Result<T, Error> {
        let result = result.map_err(|error| error.at(endpoint));
        let reason = result.as_ref().err().map(Error::reason);
        if let Some(metrics) = &self.metrics {
            let outcome = match &result {
                Ok(_) => CallOutcome::Ok,
                Err(Error::ProviderUnavailable(_)) => CallOutcome::Unavailable,
                Err(Error::ProviderMisbehaved(_)) => CallOutcome::Invalid,
                Err(Error::ResponseRejected(_)) => CallOutcome::Refused,
            };
            let call = match endpoint {
                Endpoint::Metadata => ProviderCall::Metadata,
                Endpoint::Keys => ProviderCall::Keys,
                Endpoint::Token => ProviderCall::Token,
                Endpoint::Userinfo => ProviderCall::Userinfo,
            };
            metrics.provider_call(&self.config.name, call, outcome);
        }
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        result
    }
}

/// The way of `oauth2`'s token requests to the provider.
struct TokenEndpoint<'a>(&'a Provider);

impl<'c> AsyncHttpClient<'c> for TokenEndpoint<'_> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, Error>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.0.send_token_request(request))
    }
}

/// Whether the same request may fare better at once: a broken connection or a hiccup, not a limit.
const fn may_pass(answer: &Result<Response<Bytes>, Error>) -> bool {
    let Err(Error::ProviderUnavailable(unavailable)) = answer else { return false };
    matches!(unavailable.cause, Cause::Unreachable(_) | Cause::Status(500..))
}

#[cfg(test)]
mod tests;
