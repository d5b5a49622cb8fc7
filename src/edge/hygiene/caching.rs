//! Answers for one person stay out of caches that many share.

use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What replaces the caching headers of a protected response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateCaching {
    /// `Cache-Control`, as one field.
    pub cache_control: HeaderValue,
    /// `Vary`, as one field.
    pub vary: HeaderValue,
}

impl PrivateCaching {
    /// Whether a field speaks to shared caches alone and would override `Cache-Control` there
    /// ([RFC 9213](https://www.rfc-editor.org/rfc/rfc9213) and its kin). It must be removed.
    #[must_use]
    pub fn removes(name: &HeaderName) -> bool {
        let name = name.as_str();
        name.ends_with("-cache-control")
            || matches!(name, "surrogate-control" | "x-accel-expires" | "edge-control")
    }
}

/// The caching headers of a protected response: `Cache-Control` loses `public` and `s-maxage` and
/// gains `private` ([RFC 9111 §5.2.2.7](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.7)),
/// everything else in it stays; `Vary` gains `Cookie` and `Authorization`.
#[must_use]
pub fn private_cache_control(headers: &HeaderMap) -> PrivateCaching {
    PrivateCaching { cache_control: cache_control(headers), vary: vary(headers) }
}

fn cache_control(headers: &HeaderMap) -> HeaderValue {
    if !headers.contains_key(CACHE_CONTROL) {
        return HeaderValue::from_static("private");
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    for directive in headers.get_all(CACHE_CONTROL).iter().flat_map(|value| members(value.as_bytes())) {
        let name = directive.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii();
        // `private="name"` keeps one header from caches and leaves them the rest.
        let goes =
            ["public", "s-maxage", "private"].iter().any(|gone| name.eq_ignore_ascii_case(gone.as_bytes()));
        if !goes {
            kept.push(directive);
        }
    }
    kept.insert(0, b"private");
    joined(&kept).unwrap_or(HeaderValue::from_static("private"))
}

fn vary(headers: &HeaderMap) -> HeaderValue {
    if !headers.contains_key(VARY) {
        return HeaderValue::from_static("Cookie, Authorization");
    }
    let mut names: Vec<&[u8]> =
        headers.get_all(VARY).iter().flat_map(|value| members(value.as_bytes())).collect();
    if names.contains(&&b"*"[..]) {
        return HeaderValue::from_static("*");
    }
    for needed in [COOKIE, AUTHORIZATION] {
        if !names.iter().any(|name| name.eq_ignore_ascii_case(needed.as_str().as_bytes())) {
            names.push(if needed == COOKIE { b"Cookie" } else { b"Authorization" });
        }
    }
    joined(&names).unwrap_or(HeaderValue::from_static("*"))
}

fn joined(members: &[&[u8]]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(&members.join(&b", "[..])).ok()
}

/// The members of a comma-separated list; commas within quotes are part of a member. A quote that is
/// never closed makes the rest one member.
fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    let parts = list.split(move |&byte| {
        let was_escaped = std::mem::take(&mut escaped);
        match byte {
            b'\\' if quoted && !was_escaped => escaped = true,
            b'"' if !was_escaped => quoted = !quoted,
            _ => return byte == b',' && !quoted,
        }
        false
    });
    parts.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn head(name: &HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[rstest]
    #[case::absent(&[], "private")]
    #[case::public(&["public, max-age=60"], "private, max-age=60")]
    #[case::public_in_another_case(&["Public, S-MaxAge=60, max-age=5"], "private, max-age=5")]
    #[case::private(&["private, max-age=5"], "private, max-age=5")]
    #[case::private_for_one_header(&["private=\"Set-Cookie, X\", max-age=5"], "private, max-age=5")]
    #[case::no_store(&["no-store"], "private, no-store")]
    #[case::quoted(&["no-cache=\"public, s-maxage\", public"], "private, no-cache=\"public, s-maxage\"")]
    #[case::escaped_quote(&[r#"x="a\",public", public"#], r#"private, x="a\",public""#)]
    #[case::fields(&["public", "max-age=5, s-maxage=7"], "private, max-age=5")]
    #[case::blanks(&[" public ,, s-maxage = 7 , immutable"], "private, immutable")]
    #[case::other_names(&["publicity, s-maxage2"], "private, publicity, s-maxage2")]
    fn a_protected_answer_is_private(#[case] values: &[&str], #[case] sent: &str) {
        assert_eq!(private_cache_control(&head(&CACHE_CONTROL, values)).cache_control, sent);
    }

    #[rstest]
    #[case::absent(&[], "Cookie, Authorization")]
    #[case::other(&["Accept-Encoding"], "Accept-Encoding, Cookie, Authorization")]
    #[case::cookie(&["cookie"], "cookie, Authorization")]
    #[case::both(&["Authorization, COOKIE, Origin"], "Authorization, COOKIE, Origin")]
    #[case::fields(&["Origin", "Cookie"], "Origin, Cookie, Authorization")]
    #[case::all(&["Origin, *"], "*")]
    fn it_varies_by_who_asks(#[case] values: &[&str], #[case] sent: &str) {
        assert_eq!(private_cache_control(&head(&VARY, values)).vary, sent);
    }

    proptest! {
        #[test]
        fn no_unquoted_public_is_left(value in "(public|s-maxage=1|private|max-age=2|=|,| |\"|\\\\){0,8}") {
            let sent = private_cache_control(&head(&CACHE_CONTROL, &[&value])).cache_control;
            let directives: Vec<_> = members(sent.as_bytes()).collect();
            prop_assert_eq!(directives[0], b"private");
            prop_assert!(!directives.contains(&&b"public"[..]));
        }
    }
}
