//! ID tokens, right and wrong.

use serde_json::json;
use vestibule::clock::{Clock as _, SystemClock};

use super::fault::Fault;
use super::{CLIENT_ID, CLIENT_SECRET, Grant, State};
use crate::support::jwt::{self, Key};

/// The ID token for a grant, with the fault of the day.
pub(super) fn id_token(state: &State, grant: &Grant, access_token: &str) -> String {
    let payload = payload(state, grant, access_token);
    let (key, kid) = state.signing;
    let plain = format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#);
    match state.fault {
        Fault::KidAbsentSingleJwks | Fault::KidAbsentMultipleJwks => {
            key.rs256(r#"{"alg":"RS256"}"#, &payload)
        }
        Fault::KidAbsentBadSignature => Key::second().rs256(r#"{"alg":"RS256"}"#, &payload),
        Fault::SigNoneShouted => jwt::unsigned(r#"{"alg":"NONE"}"#, &payload),
        Fault::SigNone => jwt::unsigned(r#"{"alg":"none"}"#, &payload),
        Fault::InvalidSigRs256 => jwt::with_broken_signature(&key.rs256(&plain, &payload)),
        Fault::WrongAlg => key.rs512(&format!(r#"{{"alg":"RS512","kid":"{kid}"}}"#), &payload),
        Fault::Hs256WithPublicKey => {
            let header = format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#);
            jwt::hs256(key.public_pem().as_bytes(), &header, &payload)
        }
        Fault::Hs256WithSecret => jwt::hs256(CLIENT_SECRET.as_bytes(), r#"{"alg":"HS256"}"#, &payload),
        Fault::EmbeddedJwk => planted("jwk", Key::second().jwk("planted"), &payload),
        Fault::EmbeddedJku => planted("jku", json!(format!("{}/planted", state.issuer)), &payload),
        Fault::EmbeddedX5u => planted("x5u", json!(format!("{}/planted", state.issuer)), &payload),
        Fault::EmbeddedX5c => planted("x5c", json!([Key::second().certificate()]), &payload),
        Fault::TypAccessToken => {
            key.rs256(&format!(r#"{{"alg":"RS256","kid":"{kid}","typ":"at+jwt"}}"#), &payload)
        }
        Fault::Encrypted => "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.AAAA.AAAA.AAAA.AAAA".to_owned(),
        Fault::Crit => {
            let header = format!(r#"{{"alg":"RS256","kid":"{kid}","crit":["urn:x"],"urn:x":1}}"#);
            key.rs256(&header, &payload)
        }
        Fault::TokenGarbage => "not.a.token".to_owned(),
        _ => key.rs256(&plain, &payload),
    }
}

/// Signed with an attacker's key, which the header offers by this member.
fn planted(member: &str, value: serde_json::Value, payload: &str) -> String {
    let mut header = json!({ "alg": "RS256", "kid": "planted" });
    header[member] = value;
    Key::second().rs256(&header.to_string(), payload)
}

fn payload(state: &State, grant: &Grant, access_token: &str) -> String {
    let now = SystemClock.now().as_secs();
    let mut claims = match state.fault {
        Fault::ClaimsInUserinfoOnly => serde_json::Map::new(),
        _ => state.claims.clone(),
    };
    let mut put = |name: &str, value: serde_json::Value| {
        if value.is_null() {
            claims.shift_remove(name);
        } else {
            claims.insert(name.to_owned(), value);
        }
    };
    put("iss", json!(state.issuer));
    put("sub", json!(grant.subject));
    put("aud", json!(CLIENT_ID));
    put("iat", json!(now));
    put("exp", json!(now + 300));
    put("auth_time", json!(now));
    put("nonce", json!(grant.nonce));
    put("at_hash", json!(jwt::at_hash(access_token)));
    match state.fault {
        Fault::InvalidIss => put("iss", json!("https://issuer.invalid")),
        Fault::MissingIss => put("iss", json!(null)),
        Fault::AudAsArray => put("aud", json!([CLIENT_ID])),
        Fault::AtHashMissing => put("at_hash", json!(null)),
        Fault::DistributedClaims => {
            put("_claim_names", json!({ "address": "elsewhere" }));
            put(
                "_claim_sources",
                json!({ "elsewhere": { "endpoint": format!("{}/planted", state.issuer) } }),
            );
        }
        Fault::TokenHuge => put("padding", json!("x".repeat(70_000))),
        Fault::MissingSub => put("sub", json!(null)),
        Fault::InvalidAud => put("aud", json!("another-client")),
        Fault::MissingAud => put("aud", json!(null)),
        Fault::ExtraAud => {
            put("aud", json!([CLIENT_ID, "another-client"]));
            put("azp", json!(CLIENT_ID));
        }
        Fault::AzpOther => put("azp", json!("another-client")),
        Fault::MissingIat => put("iat", json!(null)),
        Fault::IatFuture => put("iat", json!(now + 600)),
        Fault::NbfFuture => put("nbf", json!(now + 600)),
        Fault::MissingExp => put("exp", json!(null)),
        Fault::ExpPast => put("exp", json!(now - 65)),
        Fault::ExpWithinSkew => put("exp", json!(now - 30)),
        Fault::NonceInvalid => put("nonce", json!("another-nonce")),
        Fault::NonceMissing => put("nonce", json!(null)),
        Fault::AuthTimeMissing => put("auth_time", json!(null)),
        Fault::AuthTimeOld => put("auth_time", json!(now - 600)),
        Fault::AuthTimeWithinSkew => put("auth_time", json!(now - 90)),
        Fault::AuthTimeFuture => put("auth_time", json!(now + 600)),
        Fault::AtHashWrong => put("at_hash", json!(jwt::at_hash("another token"))),
        _ => {}
    }
    let text = serde_json::Value::Object(claims).to_string();
    match (state.fault, text.strip_prefix('{')) {
        (Fault::DuplicateMembers, Some(rest)) => format!(r#"{{"sub":"mallory",{rest}"#),
        _ => text,
    }
}
