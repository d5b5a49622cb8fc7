//! Parameters of an own endpoint: the query of a GET, the form of a POST.

use std::borrow::Cow;

use http::Method;
use http::header::CONTENT_TYPE;

use super::super::Inbound;

/// Names and values in the order they came.
#[derive(Debug)]
pub(super) struct Parameters<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// A POST that is no form.
#[derive(Debug)]
pub(super) struct NotAForm;

impl<'a> Parameters<'a> {
    /// Reads them from where the method puts them, never from both.
    pub(super) fn of(inbound: &'a Inbound<'_>) -> Result<Self, NotAForm> {
        if inbound.parts.method != Method::POST {
            return Ok(Self::parse(inbound.query.unwrap_or_default().as_bytes()));
        }
        let content_type = inbound.parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_form = content_type.is_some_and(|value| {
            let essence = value.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
        // A POST without a body has no type to state.
        if !is_form && !inbound.body.is_empty() {
            return Err(NotAForm);
        }
        Ok(Self::parse(&inbound.body))
    }

    fn parse(text: &'a [u8]) -> Self {
        Self(url::form_urlencoded::parse(text).collect())
    }

    /// The value of a parameter that came exactly once.
    pub(super) fn one(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_ref());
        let first = values.next()?;
        values.next().is_none().then_some(first)
    }

    /// Whether this parameter, once, is all there is.
    pub(super) fn only(&self, name: &str) -> bool {
        matches!(self.0.as_slice(), [(known, _)] if known == name)
    }

    /// Whether the parameter is there at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    pub(super) fn into_pairs(self) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
        self.0.into_iter()
    }
}
