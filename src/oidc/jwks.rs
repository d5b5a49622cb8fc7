//! The provider's keys: which can be used, which one fits a token, when they may be fetched again
//! ([RFC 7517](https://www.rfc-editor.org/rfc/rfc7517)).
//!
//! Keys belong to one provider and are never looked up by `kid` alone: two providers may both call
//! theirs `default`. Symmetric keys are never taken, so nothing that we or the provider publish can
//! forge a token.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Request, Response};
use openidconnect::core::CoreJsonWebKey;
use serde_json::{Map, Value};
use url::Url;

use super::SigningAlgorithm;
use super::answer;
use super::error::{Error, Misbehaved, Rejected};
use super::retry::has_passed;
use crate::clock::Timestamp;

/// Smallest RSA modulus that is trusted
/// ([RFC 7518 §3.3](https://www.rfc-editor.org/rfc/rfc7518#section-3.3): 2048 bits or larger).
const MIN_RSA_BITS: usize = 2048;
/// Largest RSA modulus that the verification takes.
const MAX_RSA_BITS: usize = 4096;
/// Bytes of a P-256 coordinate and of an Ed25519 key.
const CURVE_BYTES: usize = 32;
/// Bearer and logout tokens may cause one fetch in this time.
const BEARER_REFETCH_EVERY: Duration = Duration::from_secs(30);

/// Asks for the key set.
pub(super) fn request(jwks_uri: &Url) -> Result<Request<Vec<u8>>, Misbehaved> {
    let mut request = Request::get(jwks_uri.as_str())
        .body(Vec::new())
        .map_err(|_| Misbehaved::MetadataEndpoint("jwks_uri"))?;
    let accept = HeaderValue::from_static("application/json, application/jwk-set+json");
    request.headers_mut().insert(ACCEPT, accept);
    Ok(request)
}

/// Reads the key set; one without a usable key is refused, so that it never replaces a good one.
pub(super) fn process(response: &Response<Bytes>) -> Result<KeySet, Error> {
    let document = answer::object(response)?;
    let keys = document.get("keys").and_then(Value::as_array).ok_or(Misbehaved::NoUsableKeys)?;
    let keys: Vec<Key> = keys.iter().filter_map(Value::as_object).filter_map(Key::read).collect();
    if keys.is_empty() {
        return Err(Misbehaved::NoUsableKeys.into());
    }
    Ok(KeySet { keys })
}

/// The keys of one provider that can verify a signature.
#[derive(Debug)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// Number of usable keys.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.keys.len()
    }

    /// The one key that fits a token's `kid` and algorithm.
    ///
    /// Without `kid` exactly one key must fit
    /// ([Core §10.1](https://openid.net/specs/openid-connect-core-1_0.html#Signing): with several
    /// keys in the set, a `kid` must be given); we don't try one after the other.
    ///
    /// # Errors
    /// [`Rejected::IdTokenKeyUnknown`] or [`Rejected::IdTokenKeyAmbiguous`].
    pub(super) fn select(
        &self,
        kid: Option<&str>,
        algorithm: SigningAlgorithm,
    ) -> Result<&CoreJsonWebKey, Rejected> {
        let named = |key: &&Key| kid.is_none_or(|kid| key.kid.as_deref() == Some(kid));
        let mut fitting = self.keys.iter().filter(named).filter(|key| key.fits(algorithm));
        match (fitting.next(), fitting.next()) {
            (Some(key), None) => Ok(&key.jwk),
            (None, _) => Err(Rejected::IdTokenKeyUnknown),
            (Some(_), Some(_)) => Err(Rejected::IdTokenKeyAmbiguous),
        }
    }

    /// Whether a token with this `kid` and algorithm has its key here.
    #[must_use]
    pub fn knows(&self, kid: Option<&str>, algorithm: SigningAlgorithm) -> bool {
        self.select(kid, algorithm).is_ok()
    }
}

#[derive(Debug)]
struct Key {
    kid: Option<String>,
    family: Family,
    algorithm: Option<String>,
    jwk: CoreJsonWebKey,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    P256,
    Ed25519,
}

impl Key {
    /// A key that can be used to verify; others are skipped, since a set may hold keys for other
    /// purposes and of kinds yet to be invented.
    fn read(members: &Map<String, Value>) -> Option<Self> {
        let text = |name| members.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        if let Some(operations) = members.get("key_ops") {
            operations.as_array()?.iter().find(|operation| *operation == "verify")?;
        }
        let bytes = |name| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let family = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                bytes("e")?;
                (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits(&bytes("n")?)).then_some(Family::Rsa)?
            }
            ("EC", Some("P-256")) => {
                let whole = bytes("x")?.len() == CURVE_BYTES && bytes("y")?.len() == CURVE_BYTES;
                whole.then_some(Family::P256)?
            }
            ("OKP", Some("Ed25519")) => (bytes("x")?.len() == CURVE_BYTES).then_some(Family::Ed25519)?,
            _ => return None,
        };
        Some(Self {
            kid: text("kid").map(str::to_owned),
            family,
            algorithm: text("alg").map(str::to_owned),
            jwk: serde_json::from_value(Value::Object(members.clone())).ok()?,
        })
    }

    fn fits(&self, algorithm: SigningAlgorithm) -> bool {
        let family = match algorithm {
            SigningAlgorithm::Rs256 | SigningAlgorithm::Ps256 => Family::Rsa,
            SigningAlgorithm::Es256 => Family::P256,
            SigningAlgorithm::EdDsa => Family::Ed25519,
        };
        self.family == family && self.algorithm.as_deref().is_none_or(|name| name == algorithm.name())
    }
}

/// Length of a big-endian number in bits.
fn bits(number: &[u8]) -> usize {
    let mut digits = number.iter().skip_while(|byte| **byte == 0);
    let Some(first) = digits.next() else { return 0 };
    digits.count() * 8 + (8 - first.leading_zeros() as usize)
}

/// On whose account keys are fetched again when a token's key isn't known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// A login: its token came straight from the provider, so it may always cause one fetch.
    Login,
    /// A bearer or logout token: anyone can send those, so all of them share one fetch per 30 s.
    Bearer,
}

/// What has been spent of the budgets.
#[derive(Debug, Default)]
pub(super) struct Spending(Mutex<Option<Timestamp>>);

impl Spending {
    /// Whether a fetch may be made now; it is then counted.
    pub(super) fn permits(&self, budget: Budget, now: Timestamp) -> bool {
        match budget {
            Budget::Login => true,
            Budget::Bearer => {
                let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let permitted = last.is_none_or(|last| has_passed(BEARER_REFETCH_EVERY, last, now));
                if permitted {
                    *last = Some(now);
                }
                permitted
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::super::testing::{self, SigningKey};
    use super::*;

    fn set(keys: &Value) -> Result<KeySet, Error> {
        process(&testing::json(&json!({ "keys": keys })))
    }

    fn rsa_of(bytes: usize) -> Value {
        let mut modulus = vec![0xff; bytes];
        modulus.insert(0, 0);
        json!({ "kty": "RSA", "kid": "k", "e": "AQAB", "n": URL_SAFE_NO_PAD.encode(modulus) })
    }

    #[rstest]
    #[case::an_empty_set(json!([]))]
    #[case::no_list(json!("none"))]
    #[case::a_symmetric_key(json!([{ "kty": "oct", "kid": "k", "k": "c2VjcmV0" }]))]
    #[case::rsa_1024(json!([rsa_of(128)]))]
    #[case::rsa_2047_bits_behind_zeros(json!([{ "kty": "RSA", "e": "AQAB",
        "n": URL_SAFE_NO_PAD.encode([vec![0, 0x7f], vec![0xff; 255]].concat()) }]))]
    #[case::rsa_8192(json!([rsa_of(1024)]))]
    #[case::rsa_without_exponent(json!([{ "kty": "RSA", "n": URL_SAFE_NO_PAD.encode([0xff; 256]) }]))]
    #[case::another_curve(json!([{ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" }]))]
    #[case::half_a_point(json!([{ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }]))]
    #[case::a_point_with_one_short_half(json!([{ "kty": "EC", "crv": "P-256",
        "x": URL_SAFE_NO_PAD.encode([1; 32]), "y": "AA" }]))]
    #[case::a_short_ed25519_key(json!([{ "kty": "OKP", "crv": "Ed25519", "x": "AA" }]))]
    #[case::numbers(json!([1, null, [], { "kty": 1 }]))]
    fn refuses_a_set_without_a_usable_key(#[case] keys: Value) {
        assert_eq!(set(&keys).unwrap_err(), Misbehaved::NoUsableKeys.into());
    }

    #[test]
    fn counts_the_keys_that_can_be_used() {
        let keys = set(&json!([SigningKey::rsa().jwk("a"), SigningKey::es256().jwk("b"), { "kty": "oct" }]));
        assert_eq!(keys.unwrap().count(), 2);
    }

    #[test]
    fn skips_what_it_cannot_use() {
        let mut for_encryption = SigningKey::rsa().jwk("enc");
        for_encryption.insert("use".into(), "enc".into());
        let mut for_signing_only = SigningKey::rsa().jwk("ops");
        for_signing_only.insert("key_ops".into(), json!(["sign"]));
        let good = SigningKey::rsa().jwk("good");
        let keys =
            set(&json!([{ "kty": "oct", "k": "AA" }, for_encryption, for_signing_only, good])).unwrap();
        assert_eq!(keys.count(), 1);
        assert!(keys.knows(Some("good"), SigningAlgorithm::Rs256));
    }

    #[test]
    fn a_key_for_one_algorithm_fits_no_other() {
        let mut pss = SigningKey::rsa().jwk("k");
        pss.insert("alg".into(), "PS256".into());
        let keys = set(&json!([pss, SigningKey::es256().jwk("e"), SigningKey::ed25519().jwk("d")])).unwrap();
        assert!(keys.knows(Some("k"), SigningAlgorithm::Ps256));
        assert!(!keys.knows(Some("k"), SigningAlgorithm::Rs256));
        assert!(!keys.knows(Some("e"), SigningAlgorithm::EdDsa));
        assert!(keys.knows(Some("e"), SigningAlgorithm::Es256));
        assert!(keys.knows(Some("d"), SigningAlgorithm::EdDsa));
    }

    #[test]
    fn without_kid_exactly_one_key_must_fit() {
        let one = set(&json!([SigningKey::rsa().jwk("a"), SigningKey::es256().jwk("b")])).unwrap();
        assert!(one.select(None, SigningAlgorithm::Rs256).is_ok());
        let two = set(&json!([SigningKey::rsa().jwk("a"), SigningKey::other_rsa().jwk("b")])).unwrap();
        let ambiguous = two.select(None, SigningAlgorithm::Rs256).unwrap_err();
        assert_eq!(ambiguous, Rejected::IdTokenKeyAmbiguous);
        let unknown = two.select(Some("c"), SigningAlgorithm::Rs256).unwrap_err();
        assert_eq!(unknown, Rejected::IdTokenKeyUnknown);
    }

    #[test]
    fn bearer_tokens_share_one_fetch_in_thirty_seconds_and_logins_have_their_own() {
        let spending = Spending::default();
        let start = Timestamp::from_secs(1000);
        assert!(spending.permits(Budget::Bearer, start));
        assert!(!spending.permits(Budget::Bearer, start.plus(Duration::from_millis(29_999))));
        assert!(spending.permits(Budget::Login, start));
        assert!(spending.permits(Budget::Login, start));
        assert!(spending.permits(Budget::Bearer, start.plus(Duration::from_secs(30))));
        assert!(!spending.permits(Budget::Bearer, start.plus(Duration::from_secs(31))));
    }
}
