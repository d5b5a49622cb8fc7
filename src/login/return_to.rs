//! Where a browser goes after signing in or out: a type that can only be a path of this origin.

use std::borrow::Cow;

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use url::Url;

use crate::route::origin::Origin;
use crate::route::path;

/// Longest target kept, in bytes.
const MAX: usize = 4096;

/// What can't stand in a `Location` as it is.
const NOT_ASCII: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}');

/// A path of this origin, with query and fragment. Nothing else can become a `Location` of ours
/// that a request had a say in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

/// The value names no page of this origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("return there: it is no page of this origin")]
pub struct Elsewhere;

impl ReturnTo {
    /// The front page.
    #[must_use]
    pub fn root() -> Self {
        Self("/".into())
    }

    /// Reads a target: an absolute path, or a whole URL of this very origin. Own endpoints (below
    /// `own`) are no targets: a sign-in that returns to the sign-in would never end.
    ///
    /// # Errors
    /// [`Elsewhere`] for everything else; the caller goes to [`ReturnTo::root`].
    pub fn parse(text: &str, origin: &Origin, own: &[&str]) -> Result<Self, Elsewhere> {
        // A browser drops tabs and line breaks and reads `\` as `/`: with any of them, two readers
        // could see two URLs.
        if text.len() > MAX || text.bytes().any(|b| b < 0x20 || b == 0x7f || b == b'\\') {
            return Err(Elsewhere);
        }
        let home;
        let local = if text.starts_with('/') {
            text
        } else {
            home = origin.to_string();
            match text.strip_prefix(home.as_str()) {
                Some("") => "/",
                Some(rest) => rest,
                None => text,
            }
        };
        if !local.starts_with('/') || local.starts_with("//") {
            return Err(Elsewhere);
        }
        let encoded = Cow::from(utf8_percent_encode(local, NOT_ASCII)).into_owned();
        let path = encoded.split(['?', '#']).next().unwrap_or_default();
        path::refuse_malformed(path).map_err(|_| Elsewhere)?;
        let begins_like_a_host = path.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("/%2f"));
        if begins_like_a_host || encoded.len() > MAX || is_own(path, own) {
            return Err(Elsewhere);
        }
        // The last word has a reader of the kind that browsers have. An absolute path of nothing but these
        // is read as one by every reader, so that it needn't be asked.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~?&=+%".contains(&byte);
        if !encoded.bytes().all(plain) && !stays(&encoded, origin) {
            return Err(Elsewhere);
        }
        Ok(Self(encoded))
    }

    /// Path, query and fragment.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As a `Location`.
    #[must_use]
    pub fn location(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or_else(|_| HeaderValue::from_static("/"))
    }
}

/// Whether a browser that reads `target` on a page of `origin` stays there.
fn stays(target: &str, origin: &Origin) -> bool {
    let Ok(base) = Url::parse(&origin.to_string()) else { return false };
    base.join(target).is_ok_and(|read| {
        read.origin() == base.origin() && read.username().is_empty() && read.password().is_none()
    })
}

/// Whether any reading of `path` lies under one of the own paths.
fn is_own(path: &str, own: &[&str]) -> bool {
    path::readings(path).any(|reading| {
        own.iter()
            .any(|own| reading.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const OWN: &[&str] = &["/.vestibule"];

    fn origin() -> Origin {
        Origin::parse("https://app.test").unwrap()
    }

    fn parse(text: &str) -> Result<ReturnTo, Elsewhere> {
        ReturnTo::parse(text, &origin(), OWN)
    }

    #[rstest]
    #[case::root("/", "/")]
    #[case::query_and_fragment("/a/b?x=1&y=%2F#frag", "/a/b?x=1&y=%2F#frag")]
    #[case::encoded_space("/a%20b", "/a%20b")]
    #[case::letters_beyond_ascii("/ü", "/%C3%BC")]
    #[case::encoded_letters("/%C3%BC", "/%C3%BC")]
    #[case::own_origin_in_full("https://app.test/a?b=c", "/a?b=c")]
    #[case::own_origin_alone("https://app.test", "/")]
    #[case::a_url_in_the_query("/redirect?u=https://evil.test", "/redirect?u=https://evil.test")]
    #[case::a_space_in_the_query("/a?q=x y", "/a?q=x%20y")]
    fn keeps_pages_of_this_origin(#[case] text: &str, #[case] kept: &str) {
        assert_eq!(parse(text).unwrap().as_str(), kept);
    }

    #[test]
    fn keeps_a_long_query() {
        let text = format!("/a?q={}", "x".repeat(2048));
        assert_eq!(parse(&text).unwrap().as_str(), text);
    }

    #[rstest]
    fn goes_nowhere_else(
        #[values(
            "//evil.test",
            "///evil.test",
            "////evil.test/%2e%2e",
            "/\\evil.test",
            "\\/evil.test",
            "\\\\evil.test",
            "/\\/evil.test",
            "/%5cevil.test",
            "/%2f%2fevil.test",
            "/%09/evil.test",
            "/\t/evil.test",
            "/a?x=\\b",
            "/a?x=\tb",
            "/a?x=\u{7f}b",
            "/\n/evil.test",
            "/\r\\evil.test",
            "/./\\evil.test",
            "/../../\\evil.test",
            "/.//evil.test",
            "https://evil.test",
            "HTTPS:evil.test",
            "https:/evil.test",
            "https:///evil.test",
            "http:evil.test",
            "https://app.test@evil.test",
            "https://app.test%40evil.test",
            "https://app.test.evil.test",
            "https://evil-app.test",
            "https://app.test:443@evil.test",
            "https://evil.test#app.test",
            "https://evil.test?app.test",
            "https://evil.test\\@app.test",
            "https://app.test\\.evil.test",
            "https://evil.test%00.app.test",
            "https://[::ffff:1.2.3.4]",
            "http://3627734734",
            "http://0xd8.0x3a.0xd6.0xce",
            "javascript:alert(1)",
            "java%0dscript:alert(1)",
            "%01javascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "/%0d%0aLocation:https://evil.test",
            "https://app.test:8443/",
            "http://app.test/",
            "%252f%252fevil.test",
            "",
            "evil.test",
            "?x",
            "#x",
            "/a/../../b"
        )]
        text: &str,
    ) {
        assert_eq!(parse(text), Err(Elsewhere));
    }

    #[rstest]
    #[case("/.vestibule")]
    #[case("/.vestibule/sign-in?return_to=/")]
    #[case("/%2evestibule/sign-in")]
    #[case("/.VESTIBULE/callback")]
    #[case("https://app.test/.vestibule/sign-out")]
    fn never_returns_to_an_own_endpoint(#[case] text: &str) {
        assert_eq!(parse(text), Err(Elsewhere));
    }

    #[test]
    fn a_target_beyond_the_limit_is_none() {
        assert_eq!(parse(&format!("/{}", "a".repeat(64 * 1024))), Err(Elsewhere));
    }

    proptest! {
        #[test]
        fn every_reader_stays_on_a_plain_path(rest in "[a-zA-Z0-9._~?&=+%/-]{0,40}") {
            let target = format!("/{rest}");
            prop_assume!(!target.starts_with("//"));
            prop_assert!(stays(&target, &origin()));
        }

        #[test]
        fn whatever_is_kept_stays_on_the_origin(text in "[/\\\\a-z@:.%?#&=0-9 \\t\\n\u{80}-\u{ff}\u{ff0f}]{0,60}") {
            if let Ok(target) = parse(&text) {
                let base = Url::parse("https://app.test").unwrap();
                let read = base.join(target.as_str()).unwrap();
                prop_assert_eq!(read.origin(), base.origin());
                prop_assert!(target.as_str().is_ascii());
                prop_assert!(stays(target.as_str(), &origin()));
                prop_assert_eq!(parse(target.as_str()).unwrap(), target, "reading it again changes nothing");
            }
        }
    }

    #[test]
    fn a_target_just_within_the_limit_is_kept_and_one_byte_more_is_not() {
        let longest = format!("/{}", "a".repeat(MAX - 1));
        assert_eq!(parse(&longest).unwrap().as_str(), longest);
        assert_eq!(parse(&format!("{longest}a")), Err(Elsewhere));
        // What is kept counts: six bytes for each of these letters.
        assert_eq!(parse(&format!("/{}", "ü".repeat(MAX / 4))), Err(Elsewhere));
    }

    #[rstest]
    #[case::a_path("/a?b#c", true)]
    #[case::this_origin_in_full("https://app.test/a", true)]
    #[case::another_host("//evil.test", false)]
    #[case::another_host_by_a_backslash("/\\evil.test", false)]
    #[case::another_scheme("http://app.test/", false)]
    #[case::a_user("https://kim@app.test/", false)]
    #[case::a_password("https://:x@app.test/", false)]
    fn sees_where_a_browser_would_go(#[case] target: &str, #[case] here: bool) {
        assert_eq!(stays(target, &origin()), here);
    }
}
