//! Proof Key for Code Exchange ([RFC 7636](https://www.rfc-editor.org/rfc/rfc7636)), under the
//! application's `pkceEnforcement`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::client::PkceEnforcement;
use super::parameters::Parameters;
use crate::seal::sha256;

/// A `code_challenge` with its method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CodeChallenge {
    Plain(String),
    S256(String),
}

impl CodeChallenge {
    /// Reads the challenge of an authorization request; the error is the description.
    pub(super) fn read(
        parameters: &Parameters,
        enforcement: PkceEnforcement,
    ) -> Result<Option<Self>, &'static str> {
        let challenge = parameters.get("code_challenge");
        let method = parameters.get("code_challenge_method");
        let challenge = match (challenge, method, enforcement) {
            (None, None, PkceEnforcement::Optional) => return Ok(None),
            (None, Some(_), _) => return Err("code_challenge_method came without code_challenge"),
            (None, None, _) => return Err("code_challenge is required"),
            (Some(challenge), Some("S256"), _) => Self::S256(challenge.to_owned()),
            (Some(_), _, PkceEnforcement::S256Required) => {
                return Err("code_challenge_method must be S256");
            }
            // RFC 7636 §4.3: without a method it is plain.
            (Some(challenge), None | Some("plain"), _) => Self::Plain(challenge.to_owned()),
            (Some(_), Some(_), _) => return Err("code_challenge_method is not supported"),
        };
        if !is_code_string(challenge.text()) {
            return Err("code_challenge is malformed");
        }
        Ok(Some(challenge))
    }

    fn text(&self) -> &str {
        match self {
            Self::Plain(text) | Self::S256(text) => text,
        }
    }

    /// Whether `verifier` answers the challenge
    /// ([RFC 7636 §4.6](https://www.rfc-editor.org/rfc/rfc7636#section-4.6)).
    pub(super) fn is_answered_by(&self, verifier: &str) -> bool {
        if !is_code_string(verifier) {
            return false;
        }
        let (given, expected) = match self {
            Self::Plain(challenge) => (verifier.to_owned(), challenge),
            Self::S256(challenge) => (URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())), challenge),
        };
        given.as_bytes().ct_eq(expected.as_bytes()).into()
    }
}

/// 43 to 128 unreserved characters
/// ([RFC 7636 §4.1](https://www.rfc-editor.org/rfc/rfc7636#section-4.1)).
fn is_code_string(text: &str) -> bool {
    let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    // RFC 7636 Appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn read(query: &str, enforcement: PkceEnforcement) -> Result<Option<CodeChallenge>, &'static str> {
        CodeChallenge::read(&Parameters::parse(query.as_bytes()).unwrap(), enforcement)
    }

    #[test]
    fn answers_the_appendix() {
        let challenge = CodeChallenge::S256(CHALLENGE.to_owned());
        assert!(challenge.is_answered_by(VERIFIER));
        assert!(!challenge.is_answered_by(CHALLENGE));
        assert!(!challenge.is_answered_by(""));
        assert!(CodeChallenge::Plain(VERIFIER.to_owned()).is_answered_by(VERIFIER));
        assert!(!CodeChallenge::Plain(VERIFIER.to_owned()).is_answered_by(CHALLENGE));
    }

    #[rstest]
    #[case::none_optional("", PkceEnforcement::Optional, true)]
    #[case::none_required("", PkceEnforcement::Required, false)]
    #[case::none_s256("", PkceEnforcement::S256Required, false)]
    #[case::plain_optional("{c}", PkceEnforcement::Optional, true)]
    #[case::plain_required("{c}&code_challenge_method=plain", PkceEnforcement::Required, true)]
    #[case::plain_s256("{c}&code_challenge_method=plain", PkceEnforcement::S256Required, false)]
    #[case::default_s256("{c}", PkceEnforcement::S256Required, false)]
    #[case::s256("{c}&code_challenge_method=S256", PkceEnforcement::S256Required, true)]
    #[case::unknown_method("{c}&code_challenge_method=S512", PkceEnforcement::Optional, false)]
    #[case::method_alone("code_challenge_method=S256", PkceEnforcement::Optional, false)]
    #[case::too_short("code_challenge=abc&code_challenge_method=S256", PkceEnforcement::Optional, false)]
    fn enforces(#[case] query: &str, #[case] enforcement: PkceEnforcement, #[case] fine: bool) {
        let query = query.replace("{c}", &format!("code_challenge={CHALLENGE}"));
        assert_eq!(read(&query, enforcement).is_ok(), fine);
    }
}
