//! The id of one request: on error pages, in the access log, and told to the upstream.

use std::cell::RefCell;
use std::fmt;

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use crate::seal::fill_random;

const RANDOM_BYTES: usize = 16;
const DIGITS: usize = 2 * RANDOM_BYTES;
/// Ids that are drawn at once, so that one allocation is enough for them.
const DRAWN: usize = 32;
const MAX_BYTES: usize = 64;

/// The id of one request: 1 to 64 characters of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`.
///
/// It can be written into a page, a log line or a header as it stands.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(HeaderValue);

/// Who sent a request, as far as its `X-Request-Id` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// One of `trusted_proxies`: its id is kept, so that one request has one id everywhere.
    TrustedProxy,
    /// Anyone else: a client could write another's id, or text meant for whoever reads the log.
    Anyone,
}

impl RequestId {
    /// The header that carries it, to us from trusted proxies and from us to upstreams and clients.
    pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

    /// A fresh id: 128 random bits as 32 hex digits.
    #[must_use]
    pub fn random() -> Self {
        let digits = IDS.with_borrow_mut(|ids| {
            if ids.is_empty() {
                *ids = draw();
            }
            ids.split_to(DIGITS.min(ids.len()))
        });
        // Hex digits are always a header value.
        Self(HeaderValue::from_maybe_shared(digits).unwrap_or(Self::UNREAD.0))
    }

    /// Stands for the id of a request whose head has not been looked at yet.
    pub const UNREAD: Self = Self(HeaderValue::from_static("-"));

    /// The id of a request: what a trusted proxy sent, if it is an id, and a fresh one otherwise.
    #[must_use]
    pub fn of(incoming: Option<&HeaderValue>, sender: Sender) -> Self {
        match sender {
            Sender::TrustedProxy => incoming.and_then(Self::read).unwrap_or_else(Self::random),
            Sender::Anyone => Self::random(),
        }
    }

    fn read(value: &HeaderValue) -> Option<Self> {
        let bytes = value.as_bytes();
        let known = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        (!bytes.is_empty() && bytes.len() <= MAX_BYTES && bytes.iter().all(known))
            .then(|| Self(value.clone()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id as the value of `X-Request-Id`.
    #[must_use]
    pub fn header_value(&self) -> HeaderValue {
        self.0.clone()
    }
}

thread_local! {
    /// Drawn and not given out yet.
    static IDS: RefCell<Bytes> = const { RefCell::new(Bytes::new()) };
}

/// The digits of some ids.
fn draw() -> Bytes {
    let mut random = [0; DRAWN * RANDOM_BYTES];
    fill_random(&mut random);
    random.iter().flat_map(|byte| [hex_digit(byte >> 4), hex_digit(byte & 15)]).collect()
}

const fn hex_digit(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn id(text: &'static str, sender: Sender) -> RequestId {
        RequestId::of(Some(&HeaderValue::from_static(text)), sender)
    }

    #[test]
    fn a_fresh_id_is_32_hex_digits_and_never_the_same() {
        let (one, other) = (RequestId::random(), RequestId::random());
        assert_eq!(one.as_str().len(), 32);
        assert!(one.as_str().bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(one, other);
    }

    #[rstest]
    #[case::ours("0123456789abcdef0123456789abcdef")]
    #[case::uuid("b7b6b6a2-0f5e-4b6f-9a59-2f3c4d5e6f70")]
    #[case::short("A.b_c-9")]
    fn keeps_the_id_of_a_trusted_proxy(#[case] text: &'static str) {
        assert_eq!(id(text, Sender::TrustedProxy).as_str(), text);
    }

    #[rstest]
    #[case::empty("")]
    #[case::blank("a b")]
    #[case::markup("<script>")]
    #[case::percent("a%0d%0ab")]
    #[case::too_long("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]
    fn replaces_what_is_no_id_even_from_a_trusted_proxy(#[case] text: &'static str) {
        assert_ne!(id(text, Sender::TrustedProxy).as_str(), text);
    }

    #[test]
    fn replaces_the_id_of_anyone_else() {
        assert_ne!(id("abc", Sender::Anyone).as_str(), "abc");
    }
}
