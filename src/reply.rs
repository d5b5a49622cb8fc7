//! An answer of ours, and the cookies that go with it.

use bytes::Bytes;
use cookie::SameSite;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};

/// A whole answer that the gateway gives by itself.
///
/// Every one is `Cache-Control: no-store`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// Headers other than `Content-Length`, which the edge adds.
    pub headers: HeaderMap,
    /// The body; the edge leaves it out for HEAD.
    pub body: Bytes,
    /// Whether the connection must not be used again.
    pub connection: Connection,
    /// Why, for the access log: a short word such as `signed_out`.
    pub reason: &'static str,
}

/// What happens to the connection after a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// It may carry further requests.
    Keep,
    /// It is closed, since what follows on it can't be trusted.
    Close,
}

impl Reply {
    /// An answer without a body.
    #[must_use]
    pub fn empty(status: StatusCode, reason: &'static str) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Self { status, headers, body: Bytes::new(), connection: Connection::Keep, reason }
    }

    /// An answer with a body of this content type.
    #[must_use]
    pub fn with_body(
        status: StatusCode,
        content_type: &'static str,
        body: impl Into<Bytes>,
        reason: &'static str,
    ) -> Self {
        let mut reply = Self::empty(status, reason);
        reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        reply.body = body.into();
        reply
    }

    /// A redirect. After a POST the status is 303, so that a body is never sent twice
    /// ([RFC 9700 §4.12](https://www.rfc-editor.org/rfc/rfc9700#section-4.12)).
    #[must_use]
    pub fn redirect(status: StatusCode, location: HeaderValue, reason: &'static str) -> Self {
        let mut reply = Self::empty(status, reason);
        reply.headers.insert(LOCATION, location);
        reply
    }

    /// Adds a header, beside others of the same name.
    #[must_use]
    pub fn header(mut self, name: http::HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Adds cookies the browser is owed.
    #[must_use]
    pub fn cookies(mut self, owed: OwedCookies) -> Self {
        owed.write(&mut self.headers);
        self
    }

    /// The same answer, after which the connection is closed.
    #[must_use]
    pub const fn closing(mut self) -> Self {
        self.connection = Connection::Close;
        self
    }
}

/// Cookies that a response owes the browser. Dropping them unwritten would lose a session, so the
/// type must be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "cookies that are not written are lost"]
pub struct OwedCookies(Vec<HeaderValue>);

impl OwedCookies {
    /// None.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Owes one more cookie. A cookie whose value can't be written is left out; ours are all ASCII.
    pub fn owe(&mut self, cookie: &SetCookie) {
        if let Ok(mut value) = HeaderValue::try_from(cookie.written()) {
            value.set_sensitive(true);
            self.0.push(value);
        }
    }

    /// Adds those of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether none is owed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The `Set-Cookie` values.
    pub fn values(&self) -> impl Iterator<Item = &HeaderValue> {
        self.0.iter()
    }

    /// Writes them as `Set-Cookie` and makes the response `no-store`.
    pub fn write(self, headers: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for value in self.0 {
            headers.append(http::header::SET_COOKIE, value);
        }
    }
}

/// A cookie to set or to clear; `Path=/; HttpOnly` always.
#[derive(Clone, PartialEq, Eq)]
pub struct SetCookie {
    name: String,
    value: String,
    transport: Transport,
    same_site: SameSite,
    max_age: Option<u64>,
    partitioned: bool,
}

/// Whether an origin's cookies are bound to TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `https`: the `__Host-` prefix and `Secure`.
    Tls,
    /// `http` on loopback: neither, since a browser would drop such a cookie.
    Plain,
}

impl SetCookie {
    /// A cookie for the browser's session (no `Max-Age`).
    #[must_use]
    pub fn new(name: &str, value: &str, transport: Transport, same_site: SameSite) -> Self {
        let (name, value) = (name.to_owned(), value.to_owned());
        Self { name, value, transport, same_site, max_age: None, partitioned: false }
    }

    /// The same with a lifetime.
    #[must_use]
    pub const fn max_age(mut self, seconds: u64) -> Self {
        self.max_age = Some(seconds);
        self
    }

    /// The same, kept apart for each top-level site (CHIPS).
    #[must_use]
    pub const fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    /// What clears a cookie. A browser ignores a clearing cookie whose attributes differ, so they
    /// are the same as when it was set.
    #[must_use]
    pub fn clear(name: &str, transport: Transport, same_site: SameSite) -> Self {
        Self::new(name, "", transport, same_site).max_age(0)
    }

    /// The value of `Set-Cookie` ([RFC 6265 §4.1](https://www.rfc-editor.org/rfc/rfc6265#section-4.1)).
    fn written(&self) -> String {
        let mut text = String::with_capacity(self.name.len() + self.value.len() + 96);
        text.extend([&self.name, "=", &self.value, "; HttpOnly; SameSite="]);
        text.push_str(match self.same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        });
        // Without Secure browsers drop such a cookie.
        if self.partitioned && self.transport == Transport::Tls {
            text.push_str("; Partitioned");
        }
        if self.transport == Transport::Tls {
            text.push_str("; Secure");
        }
        text.push_str("; Path=/");
        if let Some(seconds) = self.max_age {
            text.extend(["; Max-Age=", itoa::Buffer::new().format(seconds)]);
        }
        text
    }
}

impl std::fmt::Display for SetCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.written())
    }
}

impl std::fmt::Debug for SetCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SetCookie").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::header::SET_COOKIE;
    use rstest::rstest;

    use super::*;

    fn session(transport: Transport) -> SetCookie {
        SetCookie::new("__Host-vestibule", "sealed", transport, SameSite::Lax)
    }

    #[rstest]
    #[case::session(
        session(Transport::Tls),
        "__Host-vestibule=sealed; HttpOnly; SameSite=Lax; Secure; Path=/"
    )]
    #[case::loopback(session(Transport::Plain), "__Host-vestibule=sealed; HttpOnly; SameSite=Lax; Path=/")]
    #[case::lifetime(
        session(Transport::Tls).max_age(3600),
        "__Host-vestibule=sealed; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=3600"
    )]
    #[case::form_post(
        SetCookie::new("login", "x", Transport::Tls, SameSite::None),
        "login=x; HttpOnly; SameSite=None; Secure; Path=/"
    )]
    #[case::partitioned(
        session(Transport::Tls).partitioned(true),
        "__Host-vestibule=sealed; HttpOnly; SameSite=Lax; Partitioned; Secure; Path=/"
    )]
    #[case::partitioned_on_loopback(
        session(Transport::Plain).partitioned(true),
        "__Host-vestibule=sealed; HttpOnly; SameSite=Lax; Path=/"
    )]
    #[case::cleared(
        SetCookie::clear("__Host-vestibule", Transport::Tls, SameSite::Lax),
        "__Host-vestibule=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"
    )]
    fn a_cookie_is_written_with_its_attributes(#[case] cookie: SetCookie, #[case] written: &str) {
        assert_eq!(cookie.to_string(), written);
    }

    #[test]
    fn every_answer_of_ours_is_kept_by_nobody() {
        let answers = [
            Reply::empty(StatusCode::NOT_FOUND, "not_found"),
            Reply::with_body(StatusCode::OK, "text/plain", "x", "page"),
            Reply::redirect(StatusCode::FOUND, HeaderValue::from_static("/"), "signed_out"),
        ];
        for answer in answers {
            assert_eq!(answer.headers.get(CACHE_CONTROL).unwrap(), "no-store");
        }
    }

    #[test]
    fn a_redirect_has_its_location_and_no_body() {
        let reply = Reply::redirect(StatusCode::SEE_OTHER, HeaderValue::from_static("/x"), "signed_in");
        assert_eq!(reply.headers.get(LOCATION).unwrap(), "/x");
        assert!(reply.body.is_empty());
    }

    #[test]
    fn owed_cookies_make_any_response_no_store() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
        headers.insert(SET_COOKIE, HeaderValue::from_static("theirs=1"));
        let mut owed = OwedCookies::none();
        owed.owe(&session(Transport::Tls));
        let mut more = OwedCookies::none();
        more.owe(&SetCookie::clear("login", Transport::Tls, SameSite::Lax));
        owed.extend(more);
        owed.write(&mut headers);
        assert_eq!(headers.get_all(CACHE_CONTROL).iter().collect::<Vec<_>>(), ["no-store"]);
        let names: Vec<_> = headers
            .get_all(SET_COOKIE)
            .iter()
            .map(|v| v.to_str().unwrap().split('=').next().unwrap())
            .collect();
        assert_eq!(names, ["theirs", "__Host-vestibule", "login"]);
    }

    #[test]
    fn without_owed_cookies_a_response_stays_as_it_is() {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
        let owed = OwedCookies::none();
        assert!(owed.is_empty());
        owed.write(&mut headers);
        assert_eq!(headers.get(CACHE_CONTROL).unwrap(), "public");
    }

    #[test]
    fn owed_cookies_are_not_shown() {
        let mut owed = OwedCookies::none();
        owed.owe(&session(Transport::Tls));
        assert!(!format!("{owed:?}").contains("sealed"));
        assert_eq!(owed.values().count(), 1);
    }

    #[test]
    fn a_reply_closes_its_connection_only_when_told() {
        let reply = Reply::empty(StatusCode::BAD_REQUEST, "malformed_path");
        assert_eq!(reply.connection, Connection::Keep);
        assert_eq!(reply.closing().connection, Connection::Close);
    }
}
