//! Session cookies: one name, chunks where the value is long, and what a request presents.
//!
//! A value that fits one cookie stands as it is. A longer one is cut; the first chunk begins with
//! the number of chunks and `~` (no character of base64url), the further ones are named `.1`, `.2` ….

use std::borrow::Cow;

use cookie::SameSite;
use http::HeaderMap;
use http::header::COOKIE;
use memchr::memchr;

use super::Scope;
use crate::reply::{OwedCookies, SetCookie};

/// A browser keeps at most 4,096 bytes of name and value
/// ([RFC 6265bis §5.6](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-5.6)).
const CHUNK: usize = 3_800;
/// More chunks than any allowed size needs.
const MAX_CHUNKS: usize = 8;
/// Values of one name that are looked at; more are a flood.
const MAX_CANDIDATES: usize = 4;

/// All `name=value` pairs of the request, over every Cookie field, in order. What isn't a pair is
/// passed over.
pub fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|field| std::str::from_utf8(field.as_bytes()).ok())
        .flat_map(|field| cut_at(field, b';'))
        .filter_map(|pair| {
            let pair = pair.trim_matches([' ', '\t']);
            let (name, value) = pair.split_at_checked(memchr(b'=', pair.as_bytes())?)?;
            Some((name, value.get(1..)?))
        })
}

/// What stands between the signs. Sealed sessions are long, so they are searched for, not walked.
fn cut_at(text: &str, sign: u8) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((part, more)) = memchr(sign, text.as_bytes()).and_then(|at| text.split_at_checked(at))
        else {
            return rest.take();
        };
        rest = more.get(1..);
        Some(part)
    })
}

/// What a request presents under one scope's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented<'a> {
    /// Nothing.
    Nothing,
    /// Values, each whole. Several are a sign of tossing: none counts unless exactly one is good.
    Values(Vec<Cow<'a, str>>),
    /// Chunks that don't belong together.
    Broken,
}

/// Reads the session cookie of `scope`.
#[must_use]
pub fn presented<'a>(headers: &'a HeaderMap, scope: &Scope) -> Presented<'a> {
    let mut firsts: Vec<&str> = Vec::new();
    for (name, value) in pairs(headers) {
        if name == scope.cookie && !firsts.contains(&value) {
            firsts.push(value);
        }
    }
    match firsts.as_slice() {
        [] => Presented::Nothing,
        [one] => match assemble(headers, scope, one) {
            Some(value) => Presented::Values(vec![value]),
            None => Presented::Broken,
        },
        many if many.len() > MAX_CANDIDATES => Presented::Broken,
        many => Presented::Values(many.iter().filter_map(|first| assemble(headers, scope, first)).collect()),
    }
}

fn assemble<'a>(headers: &'a HeaderMap, scope: &Scope, first: &'a str) -> Option<Cow<'a, str>> {
    let Some((count, head)) = memchr(b'~', first.as_bytes()).and_then(|at| first.split_at_checked(at)) else {
        return Some(Cow::Borrowed(first));
    };
    let head = head.get(1..).unwrap_or_default();
    // One digit from 2 to 8 and nothing else.
    let count = match count.as_bytes() {
        [digit @ b'2'..=b'8'] => usize::from(digit - b'0'),
        _ => return None,
    };
    let mut value = head.to_owned();
    for index in 1..count {
        let name = chunk_name(scope, index);
        let mut found = pairs(headers).filter(|(known, _)| *known == name).map(|(_, value)| value);
        let chunk = found.next()?;
        if found.any(|other| other != chunk) {
            return None;
        }
        value.push_str(chunk);
    }
    Some(Cow::Owned(value))
}

fn chunk_name(scope: &Scope, index: usize) -> String {
    format!("{}.{index}", scope.cookie)
}

/// Gives the browser a session, and clears chunks that a longer one has left.
pub fn issue(headers: &HeaderMap, scope: &Scope, value: &str) -> OwedCookies {
    let mut owed = OwedCookies::none();
    let chunks: Vec<&str> = if value.len() <= CHUNK { vec![value] } else { cut(value) };
    let count = chunks.len();
    for (index, chunk) in chunks.into_iter().enumerate() {
        let set = match index {
            0 if count == 1 => set(scope, &scope.cookie, chunk),
            0 => set(scope, &scope.cookie, &format!("{count}~{chunk}")),
            _ => set(scope, &chunk_name(scope, index), chunk),
        };
        owed.owe(&set);
    }
    clear_chunks(headers, scope, count, &mut owed);
    owed
}

/// Takes the session from the browser.
pub fn clear(headers: &HeaderMap, scope: &Scope) -> OwedCookies {
    let mut owed = OwedCookies::none();
    owed.owe(&clearing(scope, &scope.cookie));
    clear_chunks(headers, scope, 1, &mut owed);
    owed
}

fn clear_chunks(headers: &HeaderMap, scope: &Scope, from: usize, owed: &mut OwedCookies) {
    for index in from..MAX_CHUNKS {
        let name = chunk_name(scope, index);
        if pairs(headers).any(|(known, _)| known == name) {
            owed.owe(&clearing(scope, &name));
        }
    }
}

fn cut(value: &str) -> Vec<&str> {
    // Sealed values are ASCII, so every index is a boundary.
    value.as_bytes().chunks(CHUNK).filter_map(|chunk| std::str::from_utf8(chunk).ok()).collect()
}

fn set(scope: &Scope, name: &str, value: &str) -> SetCookie {
    SetCookie::new(name, value, scope.transport, SameSite::Lax).partitioned(scope.partitioned)
}

/// What takes one cookie of the session's from the browser.
#[must_use]
pub fn clearing(scope: &Scope, name: &str) -> SetCookie {
    SetCookie::clear(name, scope.transport, SameSite::Lax).partitioned(scope.partitioned)
}

/// Whether a cookie of this name is one of this scope's.
#[must_use]
pub fn is_own(name: &str, scope: &Scope) -> bool {
    name.strip_prefix(scope.cookie.as_str()).is_some_and(|rest| {
        rest.is_empty() || rest.strip_prefix('.').is_some_and(|n| n.parse::<u8>().is_ok())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::identity::{ClaimNames, ProviderName};
    use crate::reply::Transport;

    fn scope() -> Scope {
        Scope {
            cookie: "__Host-vestibule".into(),
            origin: "https://app.example.com".into(),
            provider: ProviderName::parse("idp").unwrap(),
            names: Arc::new(ClaimNames::default()),
            transport: Transport::Tls,
            partitioned: false,
        }
    }

    fn request(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|field| (COOKIE, HeaderValue::from_str(field).unwrap())).collect()
    }

    /// What a browser sends after these `Set-Cookie`s.
    fn echoed(owed: &OwedCookies) -> HeaderMap {
        let pairs: Vec<String> = owed
            .values()
            .map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned())
            .collect();
        request(&[&pairs.join("; ")])
    }

    #[test]
    fn a_short_value_is_one_cookie_bound_to_the_host() {
        let owed = issue(&HeaderMap::new(), &scope(), "abc");
        let values: Vec<_> = owed.values().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(values, ["__Host-vestibule=abc; HttpOnly; SameSite=Lax; Secure; Path=/"]);
    }

    #[test]
    fn a_clearing_cookie_has_the_attributes_it_was_set_with() {
        let owed = clear(&HeaderMap::new(), &scope());
        let values: Vec<_> = owed.values().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(values, ["__Host-vestibule=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0"]);
    }

    #[test]
    fn chunks_left_by_a_longer_session_are_cleared() {
        let before = request(&["__Host-vestibule=2~a; __Host-vestibule.1=b"]);
        let owed = issue(&before, &scope(), "short");
        assert!(owed.values().any(|value| value.to_str().unwrap().starts_with("__Host-vestibule.1=;")));
    }

    fn names(owed: &OwedCookies) -> Vec<&str> {
        owed.values().map(|value| value.to_str().unwrap().split('=').next().unwrap()).collect()
    }

    #[test]
    fn the_chunks_that_a_browser_still_has_are_cleared_and_no_others() {
        let before = request(&["a=1; __Host-vestibule=3~a; __Host-vestibule.1=b; __Host-vestibule.2=c"]);
        let all = ["__Host-vestibule", "__Host-vestibule.1", "__Host-vestibule.2"];
        assert_eq!(names(&issue(&before, &scope(), "short")), all);
        assert_eq!(names(&issue(&before, &scope(), &"x".repeat(CHUNK + 1))), all);
        assert_eq!(names(&clear(&before, &scope())), all);
        let one = request(&["a=1; __Host-vestibule=x"]);
        assert_eq!(names(&clear(&one, &scope())), ["__Host-vestibule"]);
    }

    #[test]
    fn every_cookie_of_a_session_is_kept_apart_where_the_scope_says_so() {
        let before = request(&["__Host-vestibule=3~a; __Host-vestibule.1=b; __Host-vestibule.2=c"]);
        let apart = Scope { partitioned: true, ..scope() };
        for owed in [issue(&before, &apart, &"x".repeat(CHUNK + 1)), clear(&before, &apart)] {
            assert_eq!(names(&owed).len(), 3);
            assert!(owed.values().all(|value| value.to_str().unwrap().contains("Partitioned")));
        }
    }

    #[test]
    fn more_than_four_values_of_the_name_are_a_flood() {
        let values = |count: u8| {
            (0..count).map(|value| format!("__Host-vestibule={value}")).collect::<Vec<_>>().join("; ")
        };
        let four = vec!["0".into(), "1".into(), "2".into(), "3".into()];
        assert_eq!(presented(&request(&[&values(4)]), &scope()), Presented::Values(four));
        assert_eq!(presented(&request(&[&values(5)]), &scope()), Presented::Broken);
    }

    #[test]
    fn splits_over_several_cookie_fields() {
        let headers = request(&["a=1", "__Host-vestibule=x", "b=2"]);
        assert_eq!(presented(&headers, &scope()), Presented::Values(vec!["x".into()]));
    }

    #[test]
    fn two_values_of_the_name_are_both_candidates() {
        let headers = request(&["__Host-vestibule=x; __Host-vestibule=y"]);
        assert_eq!(presented(&headers, &scope()), Presented::Values(vec!["x".into(), "y".into()]));
    }

    #[test]
    fn a_wrong_chunk_count_is_broken_and_costs_nothing() {
        for count in ["1", "0", "9", "999999", "-2", "2 ", ""] {
            let headers = request(&[&format!("__Host-vestibule={count}~a; __Host-vestibule.1=b")]);
            assert_eq!(presented(&headers, &scope()), Presented::Broken, "{count}");
        }
        let missing = request(&["__Host-vestibule=3~a; __Host-vestibule.1=b"]);
        assert_eq!(presented(&missing, &scope()), Presented::Broken);
        let doubled = request(&["__Host-vestibule=2~a; __Host-vestibule.1=b; __Host-vestibule.1=c"]);
        assert_eq!(presented(&doubled, &scope()), Presented::Broken);
    }

    #[test]
    fn the_own_names_are_the_cookie_and_its_chunks() {
        for own in ["__Host-vestibule", "__Host-vestibule.1", "__Host-vestibule.7"] {
            assert!(is_own(own, &scope()), "{own}");
        }
        for other in ["__Host-vestibule2", "__Host-vestibule.x", "vestibule", "__Host-vestibule-b"] {
            assert!(!is_own(other, &scope()), "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_issued_is_what_is_presented(length in 1_usize..12_000) {
            let value: String = (0..length).map(|i| char::from(b'a' + u8::try_from(i % 26).unwrap())).collect();
            let owed = issue(&HeaderMap::new(), &scope(), &value);
            let headers = echoed(&owed);
            prop_assert_eq!(presented(&headers, &scope()), Presented::Values(vec![value.into()]));
            for cookie in owed.values() {
                let pair = cookie.to_str().unwrap().split(';').next().unwrap();
                prop_assert!(pair.len() <= 4096);
            }
        }

        #[test]
        fn any_cookie_header_is_read_without_panic(field in "[ -~]{0,200}") {
            let headers = request(&[&field]);
            let _ = presented(&headers, &scope());
        }
    }
}
