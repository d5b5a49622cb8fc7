//! Cookie fields, one a line: ours never go upstream, all others do, with order and bytes; what is
//! read as a session is stripped; what an upstream sets under our names is known.

#![no_main]

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use vestibule::edge::hygiene::cookies::{is_own_set_cookie, without_own_cookies};
use vestibule::session::Scope;
use vestibule::session::cookie::{Presented, clear, issue, pairs, presented};
use vestibule_fuzz::{cookies, served};

fuzz_target!(|bytes: &[u8]| {
    let origin = served::gateway().origins.iter().find(|origin| origin.text == "https://app.test");
    let origin = origin.expect("it is configured");
    let scope = &origin.sign_ins.first().expect("there is a provider").scope;
    let own = |name: &str| origin.owns_cookie(name);
    let fields: Vec<_> = bytes.split(|&byte| byte == b'\n').filter_map(field).collect();

    let sent = without_own_cookies(&fields, own);
    stripped(&fields, sent.as_ref(), own);

    let received = request(&fields);
    read(&received, scope);
    for (name, _) in pairs(&received).filter(|(name, _)| *name == scope.cookie) {
        assert!(own(name), "read and not stripped");
    }
    let upstream = request(sent.as_slice());
    assert_eq!(presented(&upstream, scope), Presented::Nothing);
    assert!(pairs(&upstream).all(|(name, _)| !own(name)));
    for field in &fields {
        let name = cookies::sent_back_as(field.as_bytes());
        assert!(!own(&name) || is_own_set_cookie(field, own), "an upstream may set {name}");
    }
});

fn field(line: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(line).ok()
}

fn request(fields: &[HeaderValue]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in fields {
        headers.append(COOKIE, field.clone());
    }
    headers
}

/// What goes upstream is what came, less our parts.
fn stripped(fields: &[HeaderValue], sent: Option<&HeaderValue>, own: impl Fn(&str) -> bool) {
    let came: Vec<&[u8]> = fields.iter().map(HeaderValue::as_bytes).collect();
    let kept: Vec<_> = cookies::parts(&came).into_iter().filter(|part| !own(&cookies::name(part))).collect();
    let went: Vec<&[u8]> = sent.iter().map(|sent| sent.as_bytes()).collect();
    assert_eq!(cookies::parts(&went), kept);
    let touched = fields.len() != 1 || kept.len() != cookies::parts(&came).len();
    assert!(touched || sent.is_none() || sent == fields.first(), "nothing of ours, and not the same bytes");
    if let Some(sent) = sent {
        assert!(sent.is_sensitive());
        let again = without_own_cookies([sent], own);
        assert_eq!(again.as_ref(), Some(sent), "stripping twice is stripping once");
    }
}

/// A session is read from pairs of its own name alone, and what is issued is what comes back.
fn read(received: &HeaderMap, scope: &Scope) {
    let named: Vec<&str> =
        pairs(received).filter(|(name, _)| *name == scope.cookie).map(|(_, value)| value).collect();
    let values = match presented(received, scope) {
        Presented::Nothing => return assert!(named.is_empty()),
        Presented::Broken => return assert!(!named.is_empty()),
        Presented::Values(values) => values,
    };
    assert!(values.len() <= named.len());
    for value in values {
        let whole = named.contains(&&*value);
        let chunked = named.iter().any(|first| {
            first.split_once('~').is_some_and(|(count, head)| count.len() == 1 && value.starts_with(head))
        });
        assert!(whole || chunked, "{value} was never sent");
        let sealed = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if sealed {
            comes_back(received, scope, &value);
        }
    }
    for cleared in clear(received, scope).values() {
        assert!(cleared.as_bytes().starts_with(scope.cookie.as_bytes()));
    }
}

/// A browser that kept every cookie of the request and takes what we set presents just that value.
fn comes_back(received: &HeaderMap, scope: &Scope, value: &str) {
    let owed = issue(received, scope, value);
    let set: Vec<(String, String)> = owed
        .values()
        .filter_map(|set| {
            let pair = set.to_str().ok()?.split(';').next()?;
            let (name, value) = pair.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect();
    let kept = pairs(received).filter(|(name, _)| set.iter().all(|(known, _)| known != name));
    let jar: Vec<String> = kept
        .map(|(name, value)| format!("{name}={value}"))
        .chain(
            set.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={value}")),
        )
        .collect();
    let Ok(field) = HeaderValue::try_from(jar.join("; ")) else { return };
    let expected =
        if value.is_empty() { Presented::Nothing } else { Presented::Values(vec![value.to_owned().into()]) };
    assert_eq!(presented(&request(&[field]), scope), expected);
}
