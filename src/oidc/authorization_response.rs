//! The authorization response: a code or an error, brought by the browser
//! ([RFC 6749 §4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2), issuer identification
//! by [RFC 9207](https://www.rfc-editor.org/rfc/rfc9207)).
//!
//! Everything in it may be written by an attacker. It is read into a type that holds exactly one
//! outcome; the state is checked by whoever made it, the issuer here, before the code goes anywhere.

use std::borrow::Cow;
use std::fmt;

use super::discovery::Metadata;
use super::error::Rejected;

/// Longest `state`, `code` or `iss` that is read, in bytes.
const MAX_VALUE: usize = 8 * 1024;
/// Longest error code that is kept.
const MAX_ERROR: usize = 64;
/// Longest error description that is kept, in characters.
const MAX_DESCRIPTION: usize = 256;

/// An authorization response, from the query or from a posted form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationResponse {
    state: String,
    iss: Option<String>,
    outcome: Result<Code, ProviderError>,
}

/// An authorization code. `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// The code itself, for the token endpoint alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// What the provider says instead of giving a code
/// ([RFC 6749 §4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1)).
///
/// Both texts came through the browser: anyone may have written them. They are printable and short.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sign in: the provider says {error}")]
pub struct ProviderError {
    /// `error`: a code like `access_denied`.
    pub error: String,
    /// `error_description`.
    pub description: Option<String>,
}

impl AuthorizationResponse {
    /// Reads the decoded parameters of a response. Unknown parameters are ignored.
    ///
    /// # Errors
    /// [`Rejected`] unless there is one `state` and either one `code` or one `error`, each well-formed.
    pub fn parse<'a>(
        pairs: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    ) -> Result<Self, Rejected> {
        let [mut state, mut code, mut error, mut description, mut iss] = [const { None }; 5];
        for (name, value) in pairs {
            let (slot, name) = match &*name {
                "state" => (&mut state, "state"),
                "code" => (&mut code, "code"),
                "error" => (&mut error, "error"),
                "error_description" => (&mut description, "error_description"),
                "iss" => (&mut iss, "iss"),
                _ => continue,
            };
            if slot.replace(value).is_some() {
                return Err(Rejected::ParameterRepeated(name));
            }
        }
        let state = well_formed(state.ok_or(Rejected::StateMissing)?, "state", MAX_VALUE)?;
        let iss = iss.map(|iss| well_formed(iss, "iss", MAX_VALUE)).transpose()?;
        let outcome = match (code, error) {
            (Some(code), None) => Ok(Code(well_formed(code, "code", MAX_VALUE)?)),
            (None, Some(error)) => Err(ProviderError {
                error: well_formed(error, "error", MAX_ERROR)?,
                description: description.map(|text| printable(&text)).filter(|text| !text.is_empty()),
            }),
            (Some(_), Some(_)) => return Err(Rejected::CodeAndError),
            (None, None) => return Err(Rejected::CodeMissing),
        };
        Ok(Self { state, iss, outcome })
    }

    /// `state`, as it came.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Checks that the response, be it a code or an error, is of the provider that was asked
    /// ([RFC 9207 §2.4](https://www.rfc-editor.org/rfc/rfc9207#section-2.4)): a simple string
    /// comparison, and an `iss` that is advertised may not be missing.
    ///
    /// # Errors
    /// [`Rejected::IssMismatch`] or [`Rejected::IssMissing`].
    pub fn check_issuer(&self, metadata: &Metadata) -> Result<(), Rejected> {
        match &self.iss {
            Some(iss) if *iss == metadata.issuer => Ok(()),
            Some(_) => Err(Rejected::IssMismatch),
            None if metadata.authorization_response_iss_parameter_supported => Err(Rejected::IssMissing),
            None => Ok(()),
        }
    }

    /// The code, or what the provider says instead.
    ///
    /// # Errors
    /// [`ProviderError`] when the provider gave no code.
    pub fn outcome(&self) -> Result<&Code, &ProviderError> {
        self.outcome.as_ref()
    }
}

/// All these values are printable ASCII by their grammar (RFC 6749, appendix A), and none is empty.
fn well_formed(value: Cow<'_, str>, name: &'static str, max: usize) -> Result<String, Rejected> {
    let printable = value.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if printable && (1..=max).contains(&value.len()) {
        Ok(value.into_owned())
    } else {
        Err(Rejected::ParameterMalformed(name))
    }
}

/// A description for logs and pages: no control and format characters, not too long.
fn printable(text: &str) -> String {
    let shown = |c: &char| {
        // Beside control characters: marks that turn the direction of text or are not seen at all.
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().filter(shown).take(MAX_DESCRIPTION).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::testing::{self, ISSUER};
    use super::*;

    fn parse(query: &str) -> Result<AuthorizationResponse, Rejected> {
        AuthorizationResponse::parse(url::form_urlencoded::parse(query.as_bytes()))
    }

    #[test]
    fn reads_a_code() {
        let response = parse("code=c-1&state=s-1&session_state=x").unwrap();
        assert_eq!(response.state(), "s-1");
        assert_eq!(response.outcome().unwrap().expose(), "c-1");
        assert!(!format!("{response:?}").contains("c-1"));
    }

    #[test]
    fn reads_an_error_and_makes_its_description_harmless() {
        let text = "a".repeat(1000);
        let query =
            format!("error=access_denied&state=s&error_description=No%0d%0aSet-Cookie%3a%E2%80%AE{text}");
        let response = parse(&query).unwrap();
        let error = response.outcome().unwrap_err();
        assert_eq!(error.error, "access_denied");
        let description = error.description.as_deref().unwrap();
        assert!(description.starts_with("NoSet-Cookie:aaa"), "{description}");
        assert_eq!(description.chars().count(), MAX_DESCRIPTION);
    }

    #[rstest]
    #[case::nothing("", Rejected::StateMissing)]
    #[case::no_state("code=c", Rejected::StateMissing)]
    #[case::an_empty_state("code=c&state=", Rejected::ParameterMalformed("state"))]
    #[case::state_alone("state=s", Rejected::CodeMissing)]
    #[case::code_and_error("code=c&error=access_denied&state=s", Rejected::CodeAndError)]
    #[case::two_codes("code=c&code=d&state=s", Rejected::ParameterRepeated("code"))]
    #[case::two_states("code=c&state=s&state=s", Rejected::ParameterRepeated("state"))]
    #[case::two_issuers("code=c&state=s&iss=a&iss=b", Rejected::ParameterRepeated("iss"))]
    #[case::two_errors("error=a&state=s&error=b", Rejected::ParameterRepeated("error"))]
    #[case::an_empty_code("code=&state=s", Rejected::ParameterMalformed("code"))]
    #[case::a_code_of_two_lines("code=a%0d%0ab&state=s", Rejected::ParameterMalformed("code"))]
    #[case::a_state_with_nul("code=a&state=%00", Rejected::ParameterMalformed("state"))]
    #[case::an_error_of_two_lines("error=a%0ab&state=s", Rejected::ParameterMalformed("error"))]
    fn refuses(#[case] query: &str, #[case] why: Rejected) {
        assert_eq!(parse(query), Err(why));
    }

    #[test]
    fn reads_a_code_of_8192_bytes_and_none_that_is_longer() {
        let of = |bytes: usize| parse(&format!("code={}&state=s", "c".repeat(bytes)));
        assert!(of(8192).is_ok());
        assert_eq!(of(8193), Err(Rejected::ParameterMalformed("code")));
    }

    #[derive(Clone, Copy)]
    enum Iss {
        Advertised,
        NotAdvertised,
    }

    #[rstest]
    #[case::right(Iss::Advertised, Some(ISSUER), Ok(()))]
    #[case::wrong(Iss::Advertised, Some("https://evil.example"), Err(Rejected::IssMismatch))]
    #[case::missing(Iss::Advertised, None, Err(Rejected::IssMissing))]
    #[case::never_promised(Iss::NotAdvertised, None, Ok(()))]
    #[case::wrong_though_not_advertised(
        Iss::NotAdvertised,
        Some("https://evil.example"),
        Err(Rejected::IssMismatch)
    )]
    #[case::with_a_slash(Iss::Advertised, Some("https://idp.example.com/as/"), Err(Rejected::IssMismatch))]
    #[case::in_capitals(Iss::Advertised, Some("https://IDP.example.com/as"), Err(Rejected::IssMismatch))]
    #[case::with_a_port(Iss::Advertised, Some("https://idp.example.com:443/as"), Err(Rejected::IssMismatch))]
    fn compares_iss_of_codes_and_errors(
        #[case] advertised: Iss,
        #[case] iss: Option<&str>,
        #[case] expected: Result<(), Rejected>,
    ) {
        let mut metadata = testing::read_metadata();
        metadata.authorization_response_iss_parameter_supported = matches!(advertised, Iss::Advertised);
        for outcome in ["code", "error"] {
            let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> =
                vec![(outcome.into(), "x".into()), ("state".into(), "s".into())];
            pairs.extend(iss.map(|iss| ("iss".into(), iss.into())));
            let response = AuthorizationResponse::parse(pairs).unwrap();
            assert_eq!(response.check_issuer(&metadata), expected, "{outcome}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_holds_one_outcome(query in "(code|state|error|iss|x)=\\PC{0,8}(&(code|state|error|error_description|iss)=[^&]{0,12}){0,5}") {
            if let Ok(response) = parse(&query) {
                prop_assert!(!response.state().is_empty());
                if let Err(error) = response.outcome() {
                    prop_assert!(error.error.len() <= MAX_ERROR);
                    prop_assert!(error.description.iter().all(|text| !text.chars().any(char::is_control)));
                }
            }
        }
    }
}
