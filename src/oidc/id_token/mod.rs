//! ID token validation
//! ([OpenID Connect Core 1.0 §3.1.3.7](https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation)).
//!
//! Every claim of the protocol is checked here on strictly read JSON, then `openidconnect` verifies
//! the signature over the bytes that were read. The claims come first for two reasons: a token that
//! is wrong anyway never causes a fetch of keys, and the log says which check failed. What else a
//! token says of a person may be of any type: a number as `preferred_username` is odd, but no reason
//! to keep that person out.

use std::time::Duration;

use openidconnect::{AccessToken, AccessTokenHash, JsonWebKey as _, SignatureVerificationError};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq as _;

use super::SigningAlgorithm;
use super::error::Rejected;
use super::jwks::KeySet;
use super::jws::{self, NotJws};
use crate::clock::Timestamp;
use crate::identity::Claims;

/// Longest time between issue and arrival: as long as a login may take.
const MAX_AGE: Duration = Duration::from_hours(1);
/// Longest `sub`, in ASCII characters (Core §2).
const MAX_SUB: usize = 255;

/// What a token must agree with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) algorithms: &'a [SigningAlgorithm],
    pub(super) clock_skew: Duration,
    pub(super) nonce: &'a str,
    pub(super) access_token: &'a str,
    pub(super) now: Timestamp,
}

/// An ID token that passed every check: the proof that the provider says this of the person who
/// just signed in.
#[derive(Debug, Clone)]
pub struct ValidatedIdToken {
    claims: Claims,
    sub: String,
    sid: Option<String>,
    auth_time: Option<Timestamp>,
}

impl ValidatedIdToken {
    /// All claims of the token.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// `sub`: the person, at this provider. 1 to 255 printable ASCII characters.
    #[must_use]
    pub fn sub(&self) -> &str {
        &self.sub
    }

    /// `sid`: the session at the provider, which its logout tokens name.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// `auth_time`: when the person last proved who they are.
    #[must_use]
    pub const fn auth_time(&self) -> Option<Timestamp> {
        self.auth_time
    }

    /// Step 13: when `max_age` was requested, `auth_time` must be there and recent enough. One that lies
    /// ahead by more than clocks differ proves nothing.
    ///
    /// # Errors
    /// [`Rejected::IdTokenAuthTime`].
    pub fn check_max_age(
        &self,
        max_age: Duration,
        clock_skew: Duration,
        now: Timestamp,
    ) -> Result<(), Rejected> {
        let recent =
            |at: Timestamp| now.since(at) <= max_age.saturating_add(clock_skew) && at <= now.plus(clock_skew);
        if self.auth_time.is_some_and(recent) { Ok(()) } else { Err(Rejected::IdTokenAuthTime) }
    }
}

/// A token that is right in everything but, perhaps, its signature.
pub(super) struct Candidate<'a> {
    signing_input: &'a [u8],
    signature: Vec<u8>,
    algorithm: SigningAlgorithm,
    kid: Option<String>,
    at_hash: Option<String>,
    validated: ValidatedIdToken,
}

impl<'a> Candidate<'a> {
    /// Checks all that needs no key. Steps are numbered as in §3.1.3.7.
    pub(super) fn examine(compact: &'a str, rules: &Rules<'_>) -> Result<Self, Rejected> {
        // 1. We ask for no encryption, so an encrypted token is not for us.
        let jws::Unverified { header, payload, signing_input, signature } = jws::parse(compact)?;
        // 7. The algorithm is one of the configured ones, whatever the metadata offers.
        let algorithm = algorithm(&header, rules.algorithms)?;
        let kid = optional_text(&header, "kid")?;
        header_says_id_token(&header)?;
        // 2. The issuer, byte by byte.
        if text(&payload, "iss") != Some(rules.issuer) {
            return Err(Rejected::IdTokenIssuer);
        }
        // 3. The audience is this client and nobody else.
        if !audience_is(payload.get("aud"), rules.client_id) {
            return Err(Rejected::IdTokenAudience);
        }
        // 4. and 5. The authorized party, where there is one.
        if payload.get("azp").is_some_and(|azp| azp.as_str() != Some(rules.client_id)) {
            return Err(Rejected::IdTokenAuthorizedParty);
        }
        // 9. and 10. Not expired, issued about now, valid already.
        check_times(&payload, rules)?;
        // 11. The nonce of this very login.
        let nonce = text(&payload, "nonce").ok_or(Rejected::IdTokenNonce)?;
        if rules.nonce.is_empty() || !bool::from(nonce.as_bytes().ct_eq(rules.nonce.as_bytes())) {
            return Err(Rejected::IdTokenNonce);
        }
        let at_hash = optional_text(&payload, "at_hash")?;
        // 13. `auth_time` is kept for whoever asked for `max_age`.
        let validated = ValidatedIdToken {
            sub: subject(&payload)?.to_owned(),
            sid: optional_text(&payload, "sid")?,
            auth_time: optional_time(&payload, "auth_time", Rejected::IdTokenMalformed)?,
            claims: Claims::new(payload),
        };
        Ok(Self { signing_input, signature, algorithm, kid, at_hash, validated })
    }

    /// 6. and 8. Checks the signature, always, and what is bound by it.
    pub(super) fn verify(&self, keys: &KeySet, rules: &Rules<'_>) -> Result<ValidatedIdToken, Rejected> {
        let key = keys.select(self.kid.as_deref(), self.algorithm)?;
        let algorithm = self.algorithm.core();
        // The crate compares `kty`, `use` and `alg` of the key with the algorithm once more. Neither
        // `none` nor an algorithm with a shared secret has a `SigningAlgorithm` to get here with.
        key.verify_signature(&algorithm, self.signing_input, &self.signature).map_err(|why| match why {
            SignatureVerificationError::InvalidKey(_) => Rejected::IdTokenKeyUnknown,
            _ => Rejected::IdTokenSignature,
        })?;
        if let Some(at_hash) = &self.at_hash {
            let access_token = AccessToken::new(rules.access_token.to_owned());
            let expected = AccessTokenHash::from_token(&access_token, &algorithm, key)
                .map_err(|_| Rejected::IdTokenAccessTokenHash)?;
            if !bool::from(expected.as_str().as_bytes().ct_eq(at_hash.as_bytes())) {
                return Err(Rejected::IdTokenAccessTokenHash);
            }
        }
        Ok(self.validated.clone())
    }
}

impl From<NotJws> for Rejected {
    fn from(why: NotJws) -> Self {
        match why {
            NotJws::TooLong => Self::IdTokenTooLong,
            NotJws::Encrypted => Self::IdTokenEncrypted,
            NotJws::Malformed => Self::IdTokenMalformed,
        }
    }
}

impl Rejected {
    /// Whether a token that was refused so may pass once the provider's keys are fetched again:
    /// its key may be new, or an old `kid` may have a new key.
    pub(super) const fn may_pass_with_newer_keys(self) -> bool {
        matches!(self, Self::IdTokenKeyUnknown | Self::IdTokenKeyAmbiguous | Self::IdTokenSignature)
    }
}

fn text<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    members.get(name).and_then(Value::as_str)
}

fn optional_text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Rejected> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Rejected::IdTokenMalformed),
    }
}

fn algorithm(
    header: &Map<String, Value>,
    allowed: &[SigningAlgorithm],
) -> Result<SigningAlgorithm, Rejected> {
    let name = text(header, "alg").ok_or(Rejected::IdTokenMalformed)?;
    allowed.iter().copied().find(|allowed| allowed.name() == name).ok_or(Rejected::IdTokenAlgorithm)
}

/// `jku`, `x5u`, `jwk` and `x5c` are not looked at: the key comes from the metadata's `jwks_uri`
/// alone. `crit` is refused, since we understand no extension
/// ([RFC 7515 §4.1.11](https://www.rfc-editor.org/rfc/rfc7515#section-4.1.11)), and so are access
/// and logout tokens, which say by `typ` what they are.
fn header_says_id_token(header: &Map<String, Value>) -> Result<(), Rejected> {
    if header.contains_key("crit") {
        return Err(Rejected::IdTokenCritical);
    }
    let is_jwt = |typ: &Value| {
        typ.as_str().is_some_and(|typ| {
            ["JWT", "application/jwt", "JOSE", "application/jose"]
                .iter()
                .any(|jwt| typ.eq_ignore_ascii_case(jwt))
        })
    };
    if header.contains_key("cty") || !header.get("typ").is_none_or(is_jwt) {
        return Err(Rejected::IdTokenType);
    }
    Ok(())
}

fn audience_is(audience: Option<&Value>, client_id: &str) -> bool {
    match audience {
        Some(Value::String(one)) => one == client_id,
        Some(Value::Array(many)) => {
            !many.is_empty() && many.iter().all(|one| one.as_str() == Some(client_id))
        }
        _ => false,
    }
}

fn check_times(payload: &Map<String, Value>, rules: &Rules<'_>) -> Result<(), Rejected> {
    let Rules { now, clock_skew, .. } = *rules;
    let time = |name, otherwise| optional_time(payload, name, otherwise);
    let expires = time("exp", Rejected::IdTokenExpiry)?.ok_or(Rejected::IdTokenExpiry)?;
    if now >= expires.plus(clock_skew) {
        return Err(Rejected::IdTokenExpired);
    }
    let issued = time("iat", Rejected::IdTokenIssuedAt)?.ok_or(Rejected::IdTokenIssuedAt)?;
    if issued > now.plus(clock_skew) || now > issued.plus(MAX_AGE).plus(clock_skew) {
        return Err(Rejected::IdTokenIssuedAt);
    }
    match time("nbf", Rejected::IdTokenNotYetValid)? {
        Some(not_before) if not_before > now.plus(clock_skew) => Err(Rejected::IdTokenNotYetValid),
        _ => Ok(()),
    }
}

/// A `NumericDate` ([RFC 7519 §2](https://www.rfc-editor.org/rfc/rfc7519#section-2)): a number, never
/// a string that some parsers skip and others read.
fn optional_time(
    members: &Map<String, Value>,
    name: &str,
    otherwise: Rejected,
) -> Result<Option<Timestamp>, Rejected> {
    let Some(value) = members.get(name) else { return Ok(None) };
    let since_epoch = value.as_u64().map(Duration::from_secs).or_else(|| {
        // Fails for what is negative or beyond measure.
        Duration::try_from_secs_f64(value.as_f64()?).ok()
    });
    let millis = since_epoch.and_then(|since| u64::try_from(since.as_millis()).ok()).ok_or(otherwise)?;
    Ok(Some(Timestamp::from_millis(millis)))
}

fn subject(payload: &Map<String, Value>) -> Result<&str, Rejected> {
    text(payload, "sub")
        .filter(|sub| (1..=MAX_SUB).contains(&sub.len()))
        .filter(|sub| sub.bytes().all(|b| b.is_ascii() && !b.is_ascii_control()))
        .ok_or(Rejected::IdTokenSubject)
}

#[cfg(test)]
mod tests;
