//! Cookies on their way through: ours stay here, all others keep order and bytes.
//!
//! A `Cookie` field is not parsed and written again, since upstreams have their own ideas of it. It
//! is cut at `;` ([RFC 6265 §4.2.1](https://www.rfc-editor.org/rfc/rfc6265#section-4.2.1)), our parts
//! are left out and the rest goes on as it came. Over HTTP/2 it may come in several fields
//! ([RFC 9113 §8.2.3](https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3)), which become one.

use http::HeaderValue;
use memchr::memchr;

/// The `Cookie` field to send on: all fields joined by `; `, without the cookies whose name `is_own`.
/// `None` when nothing is left.
pub fn without_own_cookies<'a>(
    fields: impl IntoIterator<Item = &'a HeaderValue>,
    is_own: impl Fn(&str) -> bool,
) -> Option<HeaderValue> {
    let is_ours = |part: &&[u8]| is_own(&String::from_utf8_lossy(name_and_value(part).0));
    let mut fields = fields.into_iter().peekable();
    let mut kept = Vec::new();
    while let Some(field) = fields.next() {
        let ours = parts(field).any(|part| is_ours(&part));
        if !ours && kept.is_empty() && fields.peek().is_none() {
            // The usual case: one field and nothing of ours in it.
            return (!is_blank(field.as_bytes())).then(|| sensitive(field.clone()));
        }
        let mut rest = Vec::with_capacity(field.len());
        for part in parts(field).filter(|part| !is_ours(part)) {
            if !rest.is_empty() {
                rest.push(b';');
            }
            // The blank in front of a part belongs to the `;` before it.
            rest.extend_from_slice(if rest.is_empty() && ours { part.trim_ascii_start() } else { part });
        }
        if is_blank(&rest) {
            continue;
        }
        if !kept.is_empty() {
            kept.extend_from_slice(b"; ");
        }
        kept.extend_from_slice(&rest);
    }
    if kept.is_empty() {
        return None;
    }
    HeaderValue::from_bytes(&kept).ok().map(sensitive)
}

/// Whether a `Set-Cookie` of an upstream sets a cookie whose name `is_own`.
#[must_use]
pub fn is_own_set_cookie(value: &HeaderValue, is_own: impl Fn(&str) -> bool) -> bool {
    let first = parts(value).next().unwrap_or_default();
    // A browser stores `=name=value` without a name and sends it as `name=value`.
    let start = first.iter().position(|&byte| byte != b'=' && !byte.is_ascii_whitespace());
    let first = start.and_then(|start| first.get(start..)).unwrap_or_default();
    is_own(&String::from_utf8_lossy(name_and_value(first).0))
}

/// What stands between semicolons. Sealed sessions are long, so they are searched for, not walked.
fn parts(field: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(field.as_bytes());
    std::iter::from_fn(move || {
        let text = rest?;
        match memchr(b';', text).and_then(|end| text.split_at_checked(end)) {
            Some((part, more)) => {
                rest = more.split_first().map(|(_, more)| more);
                Some(part)
            }
            None => rest.take(),
        }
    })
}

/// A part without `=` is all name: some servers take it for one.
fn name_and_value(part: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr(b'=', part).unwrap_or(part.len());
    let (name, value) = part.split_at_checked(end).unwrap_or((part, &[]));
    (name.trim_ascii(), value.strip_prefix(b"=").unwrap_or(value).trim_ascii())
}

fn is_blank(bytes: &[u8]) -> bool {
    bytes.trim_ascii().is_empty()
}

fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn is_own(name: &str) -> bool {
        name.starts_with("__Host-vestibule")
    }

    fn values(fields: &[&str]) -> Vec<HeaderValue> {
        fields.iter().map(|field| HeaderValue::from_bytes(field.as_bytes()).unwrap()).collect()
    }

    fn sent_on(fields: &[&str]) -> Option<String> {
        let sent = without_own_cookies(&values(fields), is_own)?;
        Some(String::from_utf8(sent.as_bytes().to_vec()).unwrap())
    }

    #[rstest]
    #[case::none(&[], None)]
    #[case::others(&["a=1; b=2"], Some("a=1; b=2"))]
    #[case::ours(&["__Host-vestibule=x"], None)]
    #[case::ours_first(&["__Host-vestibule=x; a=1; b=2"], Some("a=1; b=2"))]
    #[case::ours_between(&["a=1; __Host-vestibule=x; b=2"], Some("a=1; b=2"))]
    #[case::ours_last(&["a=1; b=2; __Host-vestibule=x"], Some("a=1; b=2"))]
    #[case::ours_without_blanks(&["a=1;__Host-vestibule=x;b=2"], Some("a=1;b=2"))]
    #[case::chunks_and_logins(
        &["__Host-vestibule=x; __Host-vestibule.1=y; a=1; __Host-vestibule-login-7=z"],
        Some("a=1"),
    )]
    #[case::twice(&["__Host-vestibule=x; __Host-vestibule=y; a=1"], Some("a=1"))]
    #[case::without_value(&["__Host-vestibule; a=1"], Some("a=1"))]
    #[case::blank_before_the_sign(&["__Host-vestibule =x; a=1"], Some("a=1"))]
    #[case::fields(&["a=1", "b=2; c=3"], Some("a=1; b=2; c=3"))]
    #[case::fields_and_ours(&["a=1", "__Host-vestibule=x", "b=2"], Some("a=1; b=2"))]
    #[case::fields_of_ours(&["__Host-vestibule=x", "__Host-vestibule.1=x"], None)]
    #[case::odd(&[";;a;; =b;c=\"d\";;"], Some(";;a;; =b;c=\"d\";;"))]
    #[case::quotes(&["a=\"x; __Host-vestibule=y\"; b=2"], Some("a=\"x; b=2"))]
    #[case::same_name_twice(&["a=1; a=2"], Some("a=1; a=2"))]
    #[case::equals_in_value(&["a=b=c; d"], Some("a=b=c; d"))]
    #[case::beyond_ascii(&["a=ë; __Host-vestibule=x"], Some("a=ë"))]
    #[case::blank(&["  "], None)]
    #[case::value_with_our_name(&["a=__Host-vestibule"], Some("a=__Host-vestibule"))]
    fn our_cookies_stay_and_the_others_keep_order_and_bytes(
        #[case] fields: &[&str],
        #[case] sent: Option<&str>,
    ) {
        assert_eq!(sent_on(fields).as_deref(), sent);
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        let field = HeaderValue::from_bytes(b"\xff\xfe=1; __Host-vestibule=x; b=\x80").unwrap();
        let sent = without_own_cookies([&field], is_own).unwrap();
        assert_eq!(sent.as_bytes(), b"\xff\xfe=1; b=\x80");
    }

    #[test]
    fn a_name_of_ours_that_is_no_text_stays_too() {
        let field = HeaderValue::from_bytes(b"__Host-vestibule-login-\xff=x; b=2").unwrap();
        assert_eq!(without_own_cookies([&field], is_own).unwrap(), "b=2");
        assert!(is_own_set_cookie(&field, is_own));
    }

    #[rstest]
    #[case("__Host-vestibule=x; Path=/", true)]
    #[case(" __Host-vestibule = x", true)]
    #[case("__Host-vestibule", true)]
    #[case("=__Host-vestibule=x", true)]
    #[case(" = __Host-vestibule=x", true)]
    #[case("__Host-vestibule-workforce=; Max-Age=0", true)]
    #[case("a=1; __Host-vestibule=x", false)]
    #[case("a=__Host-vestibule", false)]
    #[case("JSESSIONID=1; Path=/", false)]
    #[case("", false)]
    #[case(";", false)]
    fn knows_an_upstreams_attempt_at_our_cookies(#[case] value: &'static str, #[case] ours: bool) {
        assert_eq!(is_own_set_cookie(&HeaderValue::from_static(value), is_own), ours);
    }

    proptest! {
        #[test]
        fn nothing_of_ours_is_ever_sent_on(parts in proptest::collection::vec("[ ;=,\"a]{0,4}(__Host-vestibule=secret)?", 0..8)) {
            let fields: Vec<&str> = parts.iter().map(String::as_str).collect();
            let sent = without_own_cookies(&values(&fields), is_own);
            let sent = sent.as_ref().map_or("", |sent| sent.to_str().unwrap());
            prop_assert!(sent.split(';').all(|part| part.split('=').next().unwrap().trim() != "__Host-vestibule"));
        }

        #[test]
        fn other_cookies_keep_order_and_bytes(
            others in proptest::collection::vec("[a-z]{1,3}=[a-z=\", ]{0,4}[a-z]", 1..6),
            at in 0usize..6,
        ) {
            let mut all = others.clone();
            all.insert(at.min(others.len()), "__Host-vestibule=secret".into());
            prop_assert_eq!(sent_on(&[&all.join("; ")]), Some(others.join("; ")));
            let fields: Vec<&str> = all.iter().map(String::as_str).collect();
            prop_assert_eq!(sent_on(&fields), Some(others.join("; ")));
        }

        #[test]
        fn without_ours_nothing_changes(field in "[ -~]{0,40}") {
            prop_assume!(!field.trim().is_empty());
            prop_assert_eq!(sent_on(&[&field]), Some(field));
        }
    }
}
