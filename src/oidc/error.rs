//! What can go wrong with a provider, told apart by who is at fault.
//!
//! An unavailable or misbehaving provider is "cannot know": 503 and try again. A rejected response
//! is an attack, a mistake or an old tab: the login ends with a page, and no session is made.
//! Texts here name what failed and never repeat a token, a code or a secret.

use std::time::Duration;

use super::circuit::Endpoint;
use super::json::NotJson;
use crate::http_client;

/// How long a client is told to wait when the provider has not said.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Why an exchange with the provider came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The provider can't be reached or doesn't serve us now.
    #[error("be served by the provider: {0}")]
    ProviderUnavailable(#[from] Unavailable),
    /// The provider answered what no provider may answer.
    #[error("use the provider's answer: {0}")]
    ProviderMisbehaved(#[from] Misbehaved),
    /// The authorization response or a token fails a check.
    #[error("accept the response: {0}")]
    ResponseRejected(#[from] Rejected),
}

impl Error {
    /// A stable code for logs and metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ProviderUnavailable(unavailable) => unavailable.cause.reason(),
            Self::ProviderMisbehaved(misbehaved) => misbehaved.reason(),
            Self::ResponseRejected(rejected) => rejected.reason(),
        }
    }

    /// The same error, saying where it happened. What names an endpoint already keeps it: a token
    /// request that fails for want of metadata is about the metadata.
    pub(super) fn at(self, endpoint: Endpoint) -> Self {
        match self {
            Self::ProviderUnavailable(Unavailable { endpoint: None, cause, retry_after }) => {
                Unavailable { endpoint: Some(endpoint), cause, retry_after }.into()
            }
            // A rejection says by itself what it is about.
            Self::ProviderUnavailable(_)
            | Self::ProviderMisbehaved(Misbehaved::At(..))
            | Self::ResponseRejected(_) => self,
            Self::ProviderMisbehaved(misbehaved) => Misbehaved::At(endpoint, Box::new(misbehaved)).into(),
        }
    }

    /// When to try again; `None` when trying again can't help, since the response itself is bad.
    ///
    /// `Some` is therefore also the sign for 503: the provider is at fault and we cannot know.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::ProviderUnavailable(unavailable) => Some(unavailable.retry_after),
            Self::ProviderMisbehaved(_) => Some(RETRY_AFTER),
            Self::ResponseRejected(_) => None,
        }
    }
}

impl From<http_client::Error> for Error {
    fn from(error: http_client::Error) -> Self {
        match error {
            http_client::Error::Unreachable(why) => Unavailable::because(Cause::Unreachable(why)).into(),
            http_client::Error::TimedOut(limit) => Unavailable::because(Cause::TimedOut(limit)).into(),
            http_client::Error::TooLarge => Misbehaved::TooLong.into(),
        }
    }
}

/// The provider can't be reached or doesn't serve us now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{cause}", endpoint.map(|endpoint| format!("{endpoint}: ")).unwrap_or_default())]
pub struct Unavailable {
    /// What was called, where that is known.
    pub endpoint: Option<Endpoint>,
    /// What happened.
    pub cause: Cause,
    /// When to try again: what the provider asked for, at most a minute, or a few seconds.
    pub retry_after: Duration,
}

impl Unavailable {
    pub(super) const fn because(cause: Cause) -> Self {
        Self { endpoint: None, cause, retry_after: RETRY_AFTER }
    }

    /// More logins wait for the provider than it is asked for at once.
    #[must_use]
    pub const fn busy() -> Self {
        Self::because(Cause::Busy)
    }
}

/// Why the provider doesn't serve us.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No connection, or it broke.
    #[error("no connection ({0})")]
    Unreachable(String),
    /// No whole answer within the limit.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// 5xx or 429.
    #[error("it answered {0}")]
    Status(u16),
    /// Too many calls are under way.
    #[error("too many calls to it are under way")]
    Busy,
    /// It failed so often that it is asked only now and then.
    #[error("it failed repeatedly and is given a pause")]
    CircuitOpen,
    /// It asked us by `Retry-After` to stay away for a while.
    #[error("it asked for a pause")]
    HeldOff,
}

impl Cause {
    const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "provider_unreachable",
            Self::TimedOut(_) => "provider_timeout",
            Self::Status(429) => "provider_rate_limit",
            Self::Status(_) => "provider_status",
            Self::Busy => "provider_busy",
            Self::CircuitOpen => "provider_circuit_open",
            Self::HeldOff => "provider_held_off",
        }
    }
}

/// The provider answered what no provider may answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaved {
    /// What one endpoint answered.
    #[error("{0}: {1}")]
    At(Endpoint, Box<Self>),
    /// A redirect where an answer belongs; never followed.
    #[error("it answered with a redirect ({0})")]
    Redirected(u16),
    /// A status that has no place here.
    #[error("it answered {0}")]
    Status(u16),
    /// More bytes than any such document has.
    #[error("its answer is longer than {max} bytes", max = http_client::MAX_BODY)]
    TooLong,
    /// Not the JSON it must be.
    #[error("its answer is no good JSON: {0}")]
    NotJson(#[from] NotJson),
    /// Metadata of another issuer.
    #[error("its metadata is for the issuer {found:?}, expected {expected:?}")]
    MetadataIssuer {
        /// The configured issuer.
        expected: String,
        /// The issuer of the document, cut to a readable length.
        found: String,
    },
    /// Metadata that lacks a member or has one of the wrong type.
    #[error("its metadata is incomplete: {0}")]
    Metadata(String),
    /// An endpoint that isn't an `https` address.
    #[error("its {0} is not an https address")]
    MetadataEndpoint(&'static str),
    /// No key in the set can verify anything.
    #[error("its key set has no usable key")]
    NoUsableKeys,
    /// The token endpoint refused us: our client, its secret or its grants are not set up as we are.
    #[error("this client is refused: {0}")]
    TokenError(&'static str),
    /// A token response without a member, or with one of the wrong type.
    #[error("its token response has no good {0}")]
    TokenResponse(&'static str),
    /// Userinfo that isn't a plain JSON object.
    #[error("its userinfo is not a JSON object")]
    Userinfo,
}

impl Misbehaved {
    fn reason(&self) -> &'static str {
        match self {
            Self::At(_, misbehaved) => misbehaved.reason(),
            Self::Redirected(_) => "provider_redirected",
            Self::Status(_) => "provider_unexpected_status",
            Self::TooLong => "provider_answer_too_long",
            Self::NotJson(_) => "provider_answer_not_json",
            Self::MetadataIssuer { .. } => "metadata_issuer",
            Self::Metadata(_) => "metadata_incomplete",
            Self::MetadataEndpoint(_) => "metadata_endpoint",
            Self::NoUsableKeys => "keys_unusable",
            Self::TokenError(code) => code,
            Self::TokenResponse(_) => "token_response",
            Self::Userinfo => "userinfo_malformed",
        }
    }
}

/// The authorization response or a token fails a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The authorization response has no `state`.
    #[error("state is missing")]
    StateMissing,
    /// It has neither `code` nor `error`.
    #[error("neither code nor error is present")]
    CodeMissing,
    /// It has both.
    #[error("both code and error are present")]
    CodeAndError,
    /// It has a parameter twice.
    #[error("the parameter {0} occurs twice")]
    ParameterRepeated(&'static str),
    /// A parameter is longer than any honest one, or has characters that it can't have.
    #[error("the parameter {0} is malformed")]
    ParameterMalformed(&'static str),
    /// `iss` names another issuer.
    #[error("iss names another issuer")]
    IssMismatch,
    /// `iss` is missing although the provider says that it sends it.
    #[error("iss is missing")]
    IssMissing,
    /// The provider refused the code: used before, expired, or not ours.
    #[error("the token endpoint refused the code")]
    InvalidGrant,
    /// Over the size limit.
    #[error("the ID token is too long")]
    IdTokenTooLong,
    /// Not three parts of base64url, or not the JSON it must be.
    #[error("the ID token is malformed")]
    IdTokenMalformed,
    /// Encrypted.
    #[error("the ID token is encrypted")]
    IdTokenEncrypted,
    /// `alg` is not configured.
    #[error("the ID token's algorithm is not allowed")]
    IdTokenAlgorithm,
    /// `crit` is present.
    #[error("the ID token has critical header parameters")]
    IdTokenCritical,
    /// `typ` or `cty` says that it is something else.
    #[error("the ID token is of another type")]
    IdTokenType,
    /// No key of the provider fits.
    #[error("no key of the provider fits the ID token")]
    IdTokenKeyUnknown,
    /// Several keys fit.
    #[error("several keys of the provider fit the ID token")]
    IdTokenKeyAmbiguous,
    /// The signature is wrong.
    #[error("the ID token's signature is wrong")]
    IdTokenSignature,
    /// `iss` is missing or another's.
    #[error("the ID token's issuer is another")]
    IdTokenIssuer,
    /// `aud` lacks this client or names others.
    #[error("the ID token's audience is not this client alone")]
    IdTokenAudience,
    /// `azp` is another client.
    #[error("the ID token was issued to another client")]
    IdTokenAuthorizedParty,
    /// `exp` is missing or no time.
    #[error("the ID token has no good time of expiry")]
    IdTokenExpiry,
    /// `exp` has passed.
    #[error("the ID token has expired")]
    IdTokenExpired,
    /// `iat` is missing, in the future, or long ago.
    #[error("the ID token's time of issue is out of range")]
    IdTokenIssuedAt,
    /// `nbf` is in the future.
    #[error("the ID token is not valid yet")]
    IdTokenNotYetValid,
    /// `nonce` is missing or of another login.
    #[error("the ID token's nonce is of another login")]
    IdTokenNonce,
    /// `sub` is missing or not 1 to 255 ASCII characters.
    #[error("the ID token's subject is malformed")]
    IdTokenSubject,
    /// `at_hash` is of another access token.
    #[error("the ID token belongs to another access token")]
    IdTokenAccessTokenHash,
    /// `auth_time` is missing or longer ago than `max_age`.
    #[error("the person signed in too long ago")]
    IdTokenAuthTime,
    /// Userinfo is about another person.
    #[error("the userinfo is of another person")]
    UserinfoSubject,
}

impl Rejected {
    /// A stable code for logs and metrics.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::StateMissing => "state_missing",
            Self::CodeMissing => "code_missing",
            Self::CodeAndError => "code_and_error",
            Self::ParameterRepeated(_) => "parameter_repeated",
            Self::ParameterMalformed(_) => "parameter_malformed",
            Self::IssMismatch => "iss_mismatch",
            Self::IssMissing => "iss_missing",
            Self::InvalidGrant => "invalid_grant",
            Self::IdTokenTooLong => "id_token_too_long",
            Self::IdTokenMalformed => "id_token_malformed",
            Self::IdTokenEncrypted => "id_token_encrypted",
            Self::IdTokenAlgorithm => "id_token_algorithm",
            Self::IdTokenCritical => "id_token_critical",
            Self::IdTokenType => "id_token_type",
            Self::IdTokenKeyUnknown => "id_token_key_unknown",
            Self::IdTokenKeyAmbiguous => "id_token_key_ambiguous",
            Self::IdTokenSignature => "id_token_signature",
            Self::IdTokenIssuer => "id_token_issuer",
            Self::IdTokenAudience => "id_token_audience",
            Self::IdTokenAuthorizedParty => "id_token_azp",
            Self::IdTokenExpiry => "id_token_exp",
            Self::IdTokenExpired => "id_token_expired",
            Self::IdTokenIssuedAt => "id_token_iat",
            Self::IdTokenNotYetValid => "id_token_nbf",
            Self::IdTokenNonce => "id_token_nonce",
            Self::IdTokenSubject => "id_token_sub",
            Self::IdTokenAccessTokenHash => "id_token_at_hash",
            Self::IdTokenAuthTime => "id_token_auth_time",
            Self::UserinfoSubject => "userinfo_sub",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_providers_fault_is_worth_another_try() {
        assert_eq!(Error::from(Rejected::IdTokenNonce).retry_after(), None);
        assert!(Error::from(Misbehaved::NoUsableKeys).retry_after().is_some());
        let asked =
            Unavailable { endpoint: None, cause: Cause::Status(503), retry_after: Duration::from_secs(17) };
        assert_eq!(Error::from(asked).retry_after(), Some(Duration::from_secs(17)));
    }

    #[test]
    fn reads_as_the_end_of_a_sentence() {
        let error = Error::from(http_client::Error::TimedOut(Duration::from_secs(5)));
        assert_eq!(format!("failed to {error}"), "failed to be served by the provider: no answer within 5s");
        assert_eq!(error.reason(), "provider_timeout");
        let error = error.at(Endpoint::Userinfo).at(Endpoint::Token);
        assert_eq!(
            format!("failed to {error}"),
            "failed to be served by the provider: userinfo endpoint: no answer within 5s"
        );
        assert_eq!(error.reason(), "provider_timeout");
        let error = Error::from(Misbehaved::Status(404)).at(Endpoint::Keys).at(Endpoint::Token);
        assert_eq!(
            format!("failed to {error}"),
            "failed to use the provider's answer: keys: it answered 404"
        );
        assert_eq!(error.reason(), "provider_unexpected_status");
    }
}
