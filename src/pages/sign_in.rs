//! What pages say about signing in, and the address that begins it.

use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::identity::ProviderName;

/// Unreserved characters and `/` stand for themselves in a query
/// ([RFC 3986 §3.4](https://www.rfc-editor.org/rfc/rfc3986#section-3.4)).
const IN_A_QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A sign-in that a page offers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignIn<'a> {
    /// With this provider; without one, `/sign-in` decides or asks.
    pub provider: Option<&'a ProviderName>,
    /// The page to come back to: path and query, checked again by `/sign-in`.
    pub return_to: Option<&'a str>,
}

impl SignIn<'_> {
    /// Path and query of the sign-in endpoint under `prefix`.
    pub(super) fn address(&self, prefix: &str) -> String {
        let mut address = format!("{prefix}/sign-in");
        let provider = self.provider.map(|provider| ("provider", provider.as_str()));
        let return_to = self.return_to.map(|return_to| ("return_to", return_to));
        for (index, (name, value)) in provider.into_iter().chain(return_to).enumerate() {
            address.push(if index == 0 { '?' } else { '&' });
            address.push_str(name);
            address.push('=');
            address.extend(utf8_percent_encode(value, IN_A_QUERY));
        }
        address
    }
}

/// Where a request for a sign-in comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A frame, or a prefetch: the page may be shown in a frame, and its link opens the top window.
    InFrame,
    /// A navigation that sent something, which is lost once the person is sent to sign in.
    WithBody,
}

impl Asked {
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::InFrame => "You need to sign in to open this page. Signing in takes the whole window.",
            Self::WithBody => {
                "What you sent was not taken, because you are not signed in any more. Sign in, then send it again."
            }
        }
    }
}

/// Why a callback was answered with an offer to begin again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// The login took longer than its hour.
    Expired,
    /// The login's cookie is gone, or there never was one in this browser.
    CookieLost,
    /// The callback was answered before: history, back button, reload.
    UsedBefore,
}

impl Stale {
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Expired => "login_expired",
            Self::CookieLost => "login_cookie_lost",
            Self::UsedBefore => "callback_used_before",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Expired => "This sign-in took too long",
            Self::CookieLost => "This sign-in can't be finished",
            Self::UsedBefore => "This sign-in is over",
        }
    }

    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::Expired => "A sign-in has to be finished within an hour. Begin again to go on.",
            Self::CookieLost => {
                "The browser no longer has the cookie that this sign-in began with. It may block cookies, or the sign-in began in another browser."
            }
            Self::UsedBefore => {
                "You came back to the end of an earlier sign-in, which can be used only once. Begin again to go on."
            }
        }
    }
}

/// Why a login failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInFailure {
    /// The person or the provider said no (`access_denied`).
    Declined,
    /// The provider answered with another error.
    ProviderError,
    /// The provider's answer didn't verify.
    Rejected,
    /// The session is too large for its cookie (`sessions.cookie.max_size`).
    SessionTooLarge,
}

impl SignInFailure {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Declined | Self::SessionTooLarge => StatusCode::FORBIDDEN,
            Self::Rejected => StatusCode::BAD_REQUEST,
            Self::ProviderError => StatusCode::BAD_GATEWAY,
        }
    }

    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Declined => "login_declined",
            Self::ProviderError => "provider_error",
            Self::Rejected => "login_rejected",
            Self::SessionTooLarge => "session_too_large",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Declined => "You were not signed in",
            Self::ProviderError | Self::Rejected => "Signing in failed",
            Self::SessionTooLarge => "This account can't be used here",
        }
    }

    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::Declined => "The sign-in was cancelled or refused.",
            Self::ProviderError => {
                "The sign-in service reported an error. Try again; if it goes on, ask the people who run this service for help."
            }
            Self::Rejected => {
                "The answer of the sign-in service could not be verified, so it was not taken. Try again."
            }
            Self::SessionTooLarge => {
                "The account carries more information, such as groups, than a session can hold. Ask the people who run this service for help."
            }
        }
    }
}

/// A provider's error code, if it looks like one: 1 to 64 characters of letters, digits, `_`, `-` and
/// `.`. Anything else could be a sentence that someone wants a person to read.
pub(super) fn error_code(code: &str) -> Option<&str> {
    let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (!code.is_empty() && code.len() <= 64 && code.bytes().all(known)).then_some(code)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::bare(None, None, "/.vestibule/sign-in")]
    #[case::target(None, Some("/a?b=c&d"), "/.vestibule/sign-in?return_to=/a%3Fb%3Dc%26d")]
    #[case::provider(Some("workforce"), None, "/.vestibule/sign-in?provider=workforce")]
    #[case::both(Some("w"), Some("/a"), "/.vestibule/sign-in?provider=w&return_to=/a")]
    fn writes_the_address_of_the_sign_in(
        #[case] provider: Option<&str>,
        #[case] return_to: Option<&str>,
        #[case] expected: &str,
    ) {
        let provider = provider.map(|name| ProviderName::parse(name).unwrap());
        let sign_in = SignIn { provider: provider.as_ref(), return_to };
        assert_eq!(sign_in.address("/.vestibule"), expected);
    }

    #[rstest]
    #[case::plain("access_denied", true)]
    #[case::sentence("call 555 0100 now", false)]
    #[case::markup("<b>", false)]
    #[case::line_end("a\r\nb", false)]
    #[case::empty("", false)]
    #[case::long("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false)]
    fn shows_only_what_looks_like_an_error_code(#[case] code: &str, #[case] shown: bool) {
        assert_eq!(error_code(code).is_some(), shown);
    }

    proptest! {
        #[test]
        fn a_target_comes_back_as_it_was_and_stays_one_parameter(target in any::<String>()) {
            let address = SignIn { provider: None, return_to: Some(&target) }.address("/p");
            let url = url::Url::parse("https://app.example.com").unwrap().join(&address).unwrap();
            let pairs: Vec<_> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(pairs, vec![("return_to".to_owned(), target)]);
            prop_assert_eq!(url.path(), "/p/sign-in");
        }
    }
}
