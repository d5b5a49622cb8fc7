//! Raw JSON Web Tokens: header and payload are text, so that a test can write any mistake.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// An RSA key of 2,048 bits. The two keys of a test run are made once, since making one is slow.
pub(crate) struct Key(RsaKeyPair);

impl Key {
    /// The provider's first key.
    pub(crate) fn first() -> &'static Self {
        static KEY: OnceLock<Key> = OnceLock::new();
        KEY.get_or_init(Self::generate)
    }

    /// Another one: rotated in, or an attacker's.
    pub(crate) fn second() -> &'static Self {
        static KEY: OnceLock<Key> = OnceLock::new();
        KEY.get_or_init(Self::generate)
    }

    fn generate() -> Self {
        Self(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key can be made"))
    }

    /// The public half as a JWK.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        let (n, e) = integers(self.0.public_key().as_ref());
        json!({ "kty": "RSA", "use": "sig", "kid": kid, "n": base64url(n), "e": base64url(e) })
    }

    /// The public half as PEM.
    pub(crate) fn public_pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().expect("an encodable key");
        let text = STANDARD.encode(der.as_ref());
        let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    /// What could pass for a certificate of it in `x5c`: base64 of its public half.
    pub(crate) fn certificate(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().expect("an encodable key");
        STANDARD.encode(der.as_ref())
    }

    /// Signs as RS256.
    pub(crate) fn rs256(&self, header: &str, payload: &str) -> String {
        self.sign(&RSA_PKCS1_SHA256, header, payload)
    }

    /// Signs as RS512.
    pub(crate) fn rs512(&self, header: &str, payload: &str) -> String {
        self.sign(&RSA_PKCS1_SHA512, header, payload)
    }

    fn sign(&self, encoding: &'static dyn RsaEncoding, header: &str, payload: &str) -> String {
        let input = signing_input(header, payload);
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        self.0.sign(encoding, &random, input.as_bytes(), &mut signature).expect("a signature");
        format!("{input}.{}", base64url(&signature))
    }
}

/// Signs as HS256.
pub(crate) fn hs256(secret: &[u8], header: &str, payload: &str) -> String {
    let input = signing_input(header, payload);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
    format!("{input}.{}", base64url(tag.as_ref()))
}

/// Leaves the signature out.
pub(crate) fn unsigned(header: &str, payload: &str) -> String {
    signing_input(header, payload) + "."
}

/// The same token with one bit of its signature flipped.
pub(crate) fn with_broken_signature(token: &str) -> String {
    let (input, signature) = token.rsplit_once('.').expect("a signed token");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    bytes[10] ^= 1;
    format!("{input}.{}", base64url(&bytes))
}

/// `at_hash` of an access token
/// ([OpenID Connect Core 1.0 §3.1.3.6](https://openid.net/specs/openid-connect-core-1_0.html#CodeIDToken)).
pub(crate) fn at_hash(access_token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, access_token.as_bytes());
    base64url(&hash.as_ref()[..16])
}

/// The S256 challenge of a verifier ([RFC 7636 §4.2](https://www.rfc-editor.org/rfc/rfc7636#section-4.2)).
pub(crate) fn s256(verifier: &str) -> String {
    base64url(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref())
}

/// Base64url without padding.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signing_input(header: &str, payload: &str) -> String {
    format!("{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()))
}

/// Modulus and exponent of a PKCS#1 `RSAPublicKey`: a sequence of two integers.
fn integers(der: &[u8]) -> (&[u8], &[u8]) {
    let (sequence, _) = element(der);
    let (n, rest) = element(sequence);
    let (e, _) = element(rest);
    (n.strip_prefix(&[0]).unwrap_or(n), e)
}

/// The content of the first DER element, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let long = usize::from(der[1] & 0x7f);
    let (start, length) = if der[1] < 0x80 {
        (2, long)
    } else {
        (2 + long, der[2..2 + long].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    (&der[start..start + length], &der[start + length..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_the_challenge_of_the_specification() {
        // RFC 7636, appendix B.
        let challenge = s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_signature_verifies_with_the_published_modulus() {
        let token = Key::first().rs256(r#"{"alg":"RS256"}"#, "{}");
        let (input, signature) = token.rsplit_once('.').unwrap();
        let jwk = Key::first().jwk("a");
        let part = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let public = aws_lc_rs::rsa::PublicKeyComponents { n: part("n"), e: part("e") };
        let verify = |signature: &str| {
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            public.verify(&aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256, input.as_bytes(), &signature)
        };
        assert!(verify(signature).is_ok());
        assert!(verify(with_broken_signature(&token).rsplit_once('.').unwrap().1).is_err());
    }
}
