//! A compact JWS taken apart, before any of it is believed
//! ([RFC 7515 §7.1](https://www.rfc-editor.org/rfc/rfc7515#section-7.1)).
//!
//! What passes has one spelling of base64url, no repeated member, and bounded size and depth. It is
//! the only reading of the text: the signature is checked over the very bytes that were received.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::json;

/// Longest token that is looked at, in bytes.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// Header and payload of a token whose signature nobody has checked.
pub(super) struct Unverified<'a> {
    pub(super) header: Map<String, Value>,
    pub(super) payload: Map<String, Value>,
    /// The JWS signing input: header, dot and payload, as they came
    /// ([RFC 7515 §5.2](https://www.rfc-editor.org/rfc/rfc7515#section-5.2), step 8).
    pub(super) signing_input: &'a [u8],
    pub(super) signature: Vec<u8>,
}

/// Why a text is not a compact JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotJws {
    TooLong,
    /// Five parts: a JWE.
    Encrypted,
    Malformed,
}

/// Takes a token apart.
pub(super) fn parse(compact: &str) -> Result<Unverified<'_>, NotJws> {
    if compact.len() > MAX_BYTES {
        return Err(NotJws::TooLong);
    }
    let parts: Vec<&str> = compact.split('.').take(6).collect();
    let &[header, payload, signature] = parts.as_slice() else {
        return Err(if parts.len() == 5 { NotJws::Encrypted } else { NotJws::Malformed });
    };
    let signature = decode(signature)?;
    let object = |part| json::parse_object(&decode(part)?).map_err(|_| NotJws::Malformed);
    let (header, payload) = (object(header)?, object(payload)?);
    // Three parts have a last dot.
    let (signing_input, _) = compact.rsplit_once('.').ok_or(NotJws::Malformed)?;
    Ok(Unverified { header, payload, signing_input: signing_input.as_bytes(), signature })
}

fn decode(part: &str) -> Result<Vec<u8>, NotJws> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| NotJws::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn compact(header: &str, payload: &str) -> String {
        format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn reads_the_example_of_rfc_7515() {
        // RFC 7515, appendix A.1.
        let text = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQ\
                     ogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEj\
                     Xk";
        let token = parse(text).unwrap_or_else(|why| panic!("{why:?}"));
        assert_eq!(token.header.get("alg"), Some(&Value::from("HS256")));
        assert_eq!(token.payload.get("exp"), Some(&Value::from(1_300_819_380)));
        let signing_input = text.strip_suffix(".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert_eq!(token.signing_input, signing_input.as_bytes());
        // The signature's bytes are listed there.
        assert_eq!(token.signature.get(..4), Some([116, 24, 223, 180].as_slice()));
        assert_eq!(token.signature.len(), 32);
    }

    #[rstest]
    #[case::empty("", NotJws::Malformed)]
    #[case::two_parts("e30.e30", NotJws::Malformed)]
    #[case::four_parts("e30.e30.AA.AA", NotJws::Malformed)]
    #[case::encrypted("e30.AA.AA.AA.AA", NotJws::Encrypted)]
    #[case::six_parts("e30.AA.AA.AA.AA.AA", NotJws::Malformed)]
    #[case::padded("e30=.e30.AAAA", NotJws::Malformed)]
    #[case::a_padded_signature("e30.e30.AA==", NotJws::Malformed)]
    #[case::the_other_alphabet("e30.e30.+/AA", NotJws::Malformed)]
    #[case::trailing_bits("e30.e30.AB", NotJws::Malformed)]
    #[case::blanks(" e30.e30.AAAA", NotJws::Malformed)]
    #[case::a_header_of_two_minds(&compact(r#"{"alg":"RS256","alg":"none"}"#, "{}"), NotJws::Malformed)]
    #[case::a_payload_of_two_minds(&compact("{}", r#"{"sub":"a","sub":"b"}"#), NotJws::Malformed)]
    #[case::a_list(&compact("{}", "[]"), NotJws::Malformed)]
    #[case::one_part_of_the_greatest_length(&"A".repeat(64 * 1024), NotJws::Malformed)]
    #[case::too_long(&"A".repeat(64 * 1024 + 1), NotJws::TooLong)]
    fn refuses_what_is_not_a_token(#[case] token: &str, #[case] why: NotJws) {
        assert_eq!(parse(token).err(), Some(why));
    }

    proptest! {
        #[test]
        fn never_panics(token in "[A-Za-z0-9_.-]{0,80}|\\PC{0,40}") {
            let _ = parse(&token);
        }
    }
}
