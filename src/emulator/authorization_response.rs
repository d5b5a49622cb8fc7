//! How an answer goes back to the application.

use url::form_urlencoded;

use super::answer::{self, Answer};
use super::html::Page;
use http::StatusCode;

/// `response_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseMode {
    Query,
    Fragment,
    FormPost,
}

/// Where it goes, with the application's `state`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReturnTarget {
    /// A registered redirect URI.
    pub(super) redirect_uri: String,
    pub(super) response_mode: ResponseMode,
    pub(super) state: Option<String>,
}

impl ResponseMode {
    /// The modes that discovery names.
    pub(super) const NAMES: [&'static str; 3] = ["query", "fragment", "form_post"];

    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "query" => Some(Self::Query),
            "fragment" => Some(Self::Fragment),
            "form_post" => Some(Self::FormPost),
            _ => None,
        }
    }
}

impl ReturnTarget {
    /// [RFC 6749 §4.1.2](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2). There is no `iss`
    /// (RFC 9207): PingOne doesn't send it.
    pub(super) fn success(&self, code: &str) -> Answer {
        self.send(&[("code", code)])
    }

    /// [RFC 6749 §4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1).
    pub(super) fn failure(&self, error: &str, description: &str) -> Answer {
        self.send(&[("error", error), ("error_description", description)])
    }

    fn send(&self, parameters: &[(&str, &str)]) -> Answer {
        let mut parameters = parameters.to_vec();
        if let Some(state) = &self.state {
            parameters.push(("state", state));
        }
        let separator = match self.response_mode {
            ResponseMode::FormPost => {
                let page = Page::form_post(&self.redirect_uri, &parameters);
                return answer::page(StatusCode::OK, &page);
            }
            ResponseMode::Fragment => '#',
            // A query that was registered stays (RFC 6749 §3.1.2).
            ResponseMode::Query if self.redirect_uri.contains('?') => '&',
            ResponseMode::Query => '?',
        };
        let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        answer::redirect(&format!("{}{separator}{encoded}", self.redirect_uri))
    }
}

#[cfg(test)]
mod tests {
    use http::header::LOCATION;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("https://a.example/cb", ResponseMode::Query, "https://a.example/cb?code=c&state=a%26b")]
    #[case("https://a.example/cb?x=1", ResponseMode::Query, "https://a.example/cb?x=1&code=c&state=a%26b")]
    #[case("https://a.example/cb", ResponseMode::Fragment, "https://a.example/cb#code=c&state=a%26b")]
    fn redirects(#[case] uri: &str, #[case] response_mode: ResponseMode, #[case] expected: &str) {
        let target =
            ReturnTarget { redirect_uri: uri.to_owned(), response_mode, state: Some("a&b".to_owned()) };
        let answer = target.success("c");
        assert_eq!(answer.status(), StatusCode::FOUND);
        assert_eq!(answer.headers()[LOCATION], expected);
    }

    #[test]
    fn posts_a_form() {
        let target = ReturnTarget {
            redirect_uri: "https://a.example/cb".to_owned(),
            response_mode: ResponseMode::FormPost,
            state: None,
        };
        let answer = target.failure("login_required", "why");
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(answer.headers().get(LOCATION).is_none());
    }
}
