//! What pages say about signing in, and the address that begins it.

use http::StatusCode;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::language::Text;
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
    /// `login`, where the person is to be asked again.
    pub prompt: Option<&'a str>,
    /// Who it may be, for the provider.
    pub login_hint: Option<&'a str>,
}

impl<'a> SignIn<'a> {
    /// With this provider, for this page.
    #[must_use]
    pub const fn of(provider: Option<&'a ProviderName>, return_to: Option<&'a str>) -> Self {
        Self { provider, return_to, prompt: None, login_hint: None }
    }

    /// Path and query of the sign-in endpoint under `prefix`.
    pub(super) fn address(&self, prefix: &str) -> String {
        let mut address = format!("{prefix}/sign-in");
        let parameters = [
            ("provider", self.provider.map(ProviderName::as_str)),
            ("return_to", self.return_to),
            ("prompt", self.prompt),
            ("login_hint", self.login_hint),
        ];
        let given = parameters.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for (index, (name, value)) in given.enumerate() {
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
    pub(super) const ALL: &'static [Self] = &[Self::InFrame, Self::WithBody];

    pub(super) const fn sentence(self) -> Text {
        match self {
            Self::InFrame => Text::new(
                "You need to sign in to open this page. Signing in takes the whole window.",
                "Sie müssen sich anmelden, um diese Seite zu öffnen. Die Anmeldung braucht das ganze Fenster.",
            ),
            Self::WithBody => Text::new(
                "What you sent was not taken, because you are not signed in any more. Sign in, then send it again.",
                "Was Sie gesendet haben, wurde nicht angenommen, weil Sie nicht mehr angemeldet sind. Melden Sie sich an und senden Sie es dann noch einmal.",
            ),
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
    pub(super) const ALL: &'static [Self] = &[Self::Expired, Self::CookieLost, Self::UsedBefore];

    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Expired => "login_expired",
            Self::CookieLost => "login_cookie_lost",
            Self::UsedBefore => "callback_used_before",
        }
    }

    pub(super) const fn title(self) -> Text {
        match self {
            Self::Expired => Text::new("This sign-in took too long", "Diese Anmeldung hat zu lange gedauert"),
            Self::CookieLost => {
                Text::new("This sign-in can't be finished", "Diese Anmeldung kann nicht abgeschlossen werden")
            }
            Self::UsedBefore => Text::new("This sign-in is over", "Diese Anmeldung ist vorbei"),
        }
    }

    pub(super) const fn sentence(self) -> Text {
        match self {
            Self::Expired => Text::new(
                "A sign-in has to be finished within an hour. Begin again to go on.",
                "Eine Anmeldung muss innerhalb einer Stunde abgeschlossen werden. Beginnen Sie noch einmal, um fortzufahren.",
            ),
            Self::CookieLost => Text::new(
                "The browser no longer has the cookie that this sign-in began with. It may block cookies, or the sign-in began in another browser.",
                "Der Browser hat das Cookie nicht mehr, mit dem diese Anmeldung begonnen hat. Vielleicht lehnt er Cookies ab, oder die Anmeldung hat in einem anderen Browser begonnen.",
            ),
            Self::UsedBefore => Text::new(
                "You came back to the end of an earlier sign-in, which can be used only once. Begin again to go on.",
                "Sie sind zum Abschluss einer früheren Anmeldung zurückgekehrt; er gilt nur einmal. Beginnen Sie noch einmal, um fortzufahren.",
            ),
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
    pub(super) const ALL: &'static [Self] =
        &[Self::Declined, Self::ProviderError, Self::Rejected, Self::SessionTooLarge];

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

    pub(super) const fn title(self) -> Text {
        match self {
            Self::Declined => Text::new("You were not signed in", "Sie wurden nicht angemeldet"),
            Self::ProviderError | Self::Rejected => {
                Text::new("Signing in failed", "Die Anmeldung ist gescheitert")
            }
            Self::SessionTooLarge => {
                Text::new("This account can't be used here", "Dieses Konto kann hier nicht benutzt werden")
            }
        }
    }

    pub(super) const fn sentence(self) -> Text {
        match self {
            Self::Declined => Text::new(
                "The sign-in was cancelled or refused.",
                "Die Anmeldung wurde abgebrochen oder abgelehnt.",
            ),
            Self::ProviderError => Text::new(
                "The sign-in service reported an error. Try again; if it goes on, ask the people who run this service for help.",
                "Der Anmeldedienst hat einen Fehler gemeldet. Versuchen Sie es noch einmal; wenn es dabei bleibt, bitten Sie die Betreiber dieses Dienstes um Hilfe.",
            ),
            Self::Rejected => Text::new(
                "The answer of the sign-in service could not be verified, so it was not taken. Try again.",
                "Die Antwort des Anmeldedienstes hat der Prüfung nicht standgehalten und wurde darum nicht angenommen. Versuchen Sie es noch einmal.",
            ),
            Self::SessionTooLarge => Text::new(
                "The account carries more information, such as groups, than a session can hold. Ask the people who run this service for help.",
                "Zu dem Konto gehören mehr Angaben, etwa Gruppen, als eine Sitzung aufnehmen kann. Bitten Sie die Betreiber dieses Dienstes um Hilfe.",
            ),
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
        let sign_in = SignIn::of(provider.as_ref(), return_to);
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
        fn what_is_asked_for_comes_back_as_it_was(target in any::<String>(), hint in any::<String>()) {
            let sign_in = SignIn { login_hint: Some(&hint), ..SignIn::of(None, Some(&target)) };
            let address = sign_in.address("/p");
            let url = url::Url::parse("https://app.example.com").unwrap().join(&address).unwrap();
            let pairs: Vec<_> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(pairs, vec![("return_to".to_owned(), target), ("login_hint".to_owned(), hint)]);
            prop_assert_eq!(url.path(), "/p/sign-in");
        }
    }
}
