//! The signing keys: RS256, published, rotated, withdrawn.

use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::uuid;

/// The keys of an environment.
#[derive(Debug)]
pub(super) struct Keys(ArcSwap<KeySet>);

/// No key could be made, or nothing signed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use an RSA key")]
pub struct KeyFailed;

#[derive(Debug)]
struct KeySet {
    signing: Arc<SigningKey>,
    /// Keys that signed before.
    retired: Vec<PublishedKey>,
    /// A key of another rotation policy: published, never seen to sign. PingOne's set has such, and a
    /// client that takes the first key it finds fails by it.
    bystander: PublishedKey,
}

/// One for all environments of the process: making an RSA key takes long, and nobody has the private
/// half of this one.
static BYSTANDER: LazyLock<Option<Vec<u8>>> =
    LazyLock::new(|| SigningKey::generate(None).ok().map(|key| key.public.der));

#[derive(Debug)]
struct SigningKey {
    pair: KeyPair,
    public: PublishedKey,
}

#[derive(Debug, Clone)]
struct PublishedKey {
    kid: String,
    /// `RSAPublicKey` of [RFC 8017 A.1.1](https://www.rfc-editor.org/rfc/rfc8017#appendix-A.1.1).
    der: Vec<u8>,
}

impl Keys {
    /// Two fresh keys.
    pub(super) fn new(signing_kid: Option<String>) -> Result<Self, KeyFailed> {
        let signing = SigningKey::generate(signing_kid)?;
        let der = BYSTANDER.clone().ok_or(KeyFailed)?;
        let bystander = PublishedKey { kid: uuid::random(), der };
        Ok(Self(ArcSwap::from_pointee(KeySet { signing: Arc::new(signing), retired: Vec::new(), bystander })))
    }

    /// Signs with a fresh key from now on; the one before stays published.
    pub(super) fn rotate(&self) -> Result<(), KeyFailed> {
        let fresh = Arc::new(SigningKey::generate(None)?);
        self.0.rcu(|keys| {
            let mut retired = keys.retired.clone();
            retired.push(keys.signing.public.clone());
            KeySet { signing: Arc::clone(&fresh), retired, bystander: keys.bystander.clone() }
        });
        Ok(())
    }

    /// Publishes the keys that signed before no longer.
    pub(super) fn withdraw_retired(&self) {
        self.0.rcu(|keys| KeySet {
            signing: Arc::clone(&keys.signing),
            retired: Vec::new(),
            bystander: keys.bystander.clone(),
        });
    }

    /// The key set ([RFC 7517 §5](https://www.rfc-editor.org/rfc/rfc7517#section-5)). The key that
    /// signs doesn't come first.
    pub(super) fn jwks(&self) -> Value {
        let keys = self.0.load();
        let published: Vec<Value> = keys.published().filter_map(PublishedKey::jwk).collect();
        json!({ "keys": published })
    }

    /// A JWT in compact form ([RFC 7515 §3.1](https://www.rfc-editor.org/rfc/rfc7515#section-3.1)).
    pub(super) fn sign(&self, typ: Option<&str>, claims: &Map<String, Value>) -> Result<String, KeyFailed> {
        let keys = self.0.load();
        let key = &keys.signing;
        let mut header = Map::new();
        header.insert("kid".to_owned(), json!(key.public.kid));
        header.insert("alg".to_owned(), json!("RS256"));
        if let Some(typ) = typ {
            header.insert("typ".to_owned(), json!(typ));
        }
        let encode = |part: &Map<String, Value>| {
            serde_json::to_vec(part).map(|json| URL_SAFE_NO_PAD.encode(json)).map_err(|_| KeyFailed)
        };
        let signed = format!("{}.{}", encode(&header)?, encode(claims)?);
        let mut signature = vec![0; key.pair.public_modulus_len()];
        key.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| KeyFailed)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a JWT that a published key signed, whatever they say.
    pub(super) fn verify(&self, jwt: &str) -> Option<Map<String, Value>> {
        let (signed, signature) = jwt.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        let header: Map<String, Value> = decode(header)?;
        if header.get("alg")?.as_str()? != "RS256" {
            return None;
        }
        let kid = header.get("kid")?.as_str()?;
        let keys = self.0.load();
        let key = keys.published().find(|key| key.kid == kid)?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &key.der)
            .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).ok()?)
            .ok()?;
        decode(claims)
    }
}

impl KeySet {
    fn published(&self) -> impl Iterator<Item = &PublishedKey> {
        std::iter::once(&self.bystander).chain(&self.retired).chain(std::iter::once(&self.signing.public))
    }
}

impl SigningKey {
    fn generate(kid: Option<String>) -> Result<Self, KeyFailed> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyFailed)?;
        let der = pair.public_key().as_ref().to_vec();
        Ok(Self { pair, public: PublishedKey { kid: kid.unwrap_or_else(uuid::random), der } })
    }
}

impl PublishedKey {
    /// [RFC 7518 §6.3.1](https://www.rfc-editor.org/rfc/rfc7518#section-6.3.1).
    fn jwk(&self) -> Option<Value> {
        let (modulus, exponent) = rsa_numbers(&self.der)?;
        Some(json!({
            "kty": "RSA",
            "e": URL_SAFE_NO_PAD.encode(exponent),
            "use": "sig",
            "kid": self.kid,
            "alg": "RS256",
            "n": URL_SAFE_NO_PAD.encode(modulus),
        }))
    }
}

/// Modulus and exponent, big-endian without leading zeros, of an `RSAPublicKey`: a sequence of two
/// integers in DER.
fn rsa_numbers(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = element(der, 0x30)?;
    let (modulus, rest) = element(sequence, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    // A zero in front only keeps the number positive.
    let digits = |number: &[u8]| number.iter().position(|&byte| byte != 0);
    Some((modulus.get(digits(modulus)?..)?, exponent.get(digits(exponent)?..)?))
}

/// Splits the content of a DER element with this tag from what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        (digits.iter().fold(0_usize, |length, &byte| (length << 8) | usize::from(byte)), rest)
    };
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kids(keys: &Keys) -> Vec<String> {
        let jwks = keys.jwks();
        let listed = jwks["keys"].as_array().unwrap();
        listed.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    fn claims() -> Map<String, Value> {
        Map::from_iter([("sub".to_owned(), json!("1f0a9d37"))])
    }

    #[test]
    fn a_verifier_that_knows_only_the_jwks_accepts_a_signature() {
        let keys = Keys::new(Some("default".to_owned())).unwrap();
        let jwt = keys.sign(Some("at+jwt"), &claims()).unwrap();
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        let jwks = keys.jwks();
        let jwk = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == "default").unwrap();
        let number = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        assert_eq!(number("n").len(), 256);
        assert_eq!(number("e"), [1, 0, 1]);
        let public = aws_lc_rs::rsa::PublicKeyComponents { n: number("n"), e: number("e") };
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        assert!(public.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature).is_ok());
    }

    #[test]
    fn rotation_brings_a_new_key_and_keeps_the_old_until_withdrawn() {
        let keys = Keys::new(None).unwrap();
        let old = keys.sign(None, &claims()).unwrap();
        let before = kids(&keys);
        assert_eq!(before.len(), 2);

        keys.rotate().unwrap();
        let rotated = kids(&keys);
        assert_eq!(rotated.len(), 3);
        assert!(before.iter().all(|kid| rotated.contains(kid)));
        assert_eq!(keys.verify(&old), Some(claims()));

        keys.withdraw_retired();
        assert_eq!(kids(&keys).len(), 2);
        assert_eq!(keys.verify(&old), None);
        assert_eq!(keys.verify(&keys.sign(None, &claims()).unwrap()), Some(claims()));
    }

    #[test]
    fn refuses_what_it_did_not_sign() {
        let keys = Keys::new(Some("default".to_owned())).unwrap();
        let foreign = Keys::new(Some("default".to_owned())).unwrap();
        let jwt = keys.sign(None, &claims()).unwrap();
        let parts: Vec<&str> = jwt.split('.').collect();
        let other = URL_SAFE_NO_PAD.encode(r#"{"sub":"root"}"#);
        let unsigned = URL_SAFE_NO_PAD.encode(r#"{"kid":"default","alg":"none"}"#);
        for forged in [
            foreign.sign(None, &claims()).unwrap(),
            format!("{}.{other}.{}", parts[0], parts[2]),
            format!("{unsigned}.{}.", parts[1]),
            format!("{}.{}", parts[0], parts[1]),
            String::new(),
        ] {
            assert_eq!(keys.verify(&forged), None, "{forged}");
        }
    }
}
