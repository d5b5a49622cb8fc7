//! Signing out: who may end a session, and the way over the provider and back.

use http::header::{ACCEPT, ORIGIN, REFERER};
use http::{HeaderMap, Method};
use serde::{Deserialize, Serialize};

use super::attempt::LIFETIME;
use super::return_to::ReturnTo;
use crate::clock::Timestamp;
use crate::identity::ProviderName;
use crate::route::origin::Origin;
use crate::seal::{Binding, Keyring, Purpose};

/// Whether a request to sign out was meant by the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// It was: the session ends.
    Meant,
    /// Another site may have made the browser ask: a page with one button, nothing ends.
    Unsure,
    /// Another site made the browser ask: 403.
    Foreign,
}

/// Judges a sign-out request. A GET counts when the browser says that it came from this origin or
/// from the person (`Sec-Fetch-Site`), or, without that word, when the Referer is of this origin; but not
/// when it is for an image or a frame, which whoever writes on a page may put there: by `Sec-Fetch-Dest`, where
/// a frame in which the person has clicked (`Sec-Fetch-User`) counts again, or by what it accepts. A POST
/// needs a matching Origin.
#[must_use]
pub fn intent(method: &Method, headers: &HeaderMap, origin: &Origin) -> Intent {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let home = origin.to_string();
    if method == Method::POST {
        return match text(ORIGIN.as_str()) {
            Some(from) if from == home => Intent::Meant,
            _ => Intent::Foreign,
        };
    }
    let meant = match text("sec-fetch-site") {
        Some(site) => site == "same-origin" || site == "none",
        None => text(REFERER.as_str())
            .and_then(|referer| referer.strip_prefix(home.as_str()))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
    };
    let chosen = match text("sec-fetch-dest") {
        Some("document" | "empty") => true,
        Some("iframe" | "frame" | "fencedframe") => text("sec-fetch-user") == Some("?1"),
        Some(_) => false,
        None => text(ACCEPT.as_str()).is_none_or(|accept| accept == "*/*" || accept.contains("text/html")),
    };
    if meant && chosen { Intent::Meant } else { Intent::Unsure }
}

/// What is left of a sign-out while the browser is at a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Onward {
    /// Where it ends; a page of ours with none.
    pub return_to: Option<ReturnTo>,
    /// The providers that are still to be visited, the next one first.
    pub stops: Vec<Stop>,
}

/// A provider at which somebody is still signed in. Its ID token is not kept for it: a `state` has its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The provider.
    #[serde(rename = "p")]
    pub provider: ProviderName,
    /// `sub`, for a `logout_hint`.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Sealed {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    n: Vec<Stop>,
    t: Timestamp,
}

/// Seals what is left of the sign-out, as the provider's `state`
/// ([RP-Initiated Logout 1.0 §2](https://openid.net/specs/openid-connect-rpinitiated-1_0.html#RPLogout)).
#[must_use]
pub fn seal_state(onward: &Onward, origin: &Origin, keyring: &Keyring, now: Timestamp) -> String {
    let return_to = onward.return_to.as_ref().map(|target| target.as_str().to_owned());
    let sealed = Sealed { r: return_to, n: onward.stops.clone(), t: now };
    keyring.seal(binding(&origin.to_string()), &serde_json::to_vec(&sealed).unwrap_or_default())
}

/// Opens a `state` that came back; nothing is trusted for anything when it doesn't open. One that is older than
/// a login may be, out of a browser's history, leads to no provider any more.
#[must_use]
pub fn open_state(
    text: &str,
    origin: &Origin,
    own: &[&str],
    keyring: &Keyring,
    now: Timestamp,
) -> Option<Onward> {
    let plain = keyring.open(binding(&origin.to_string()), text).ok()?;
    let sealed: Sealed = serde_json::from_slice(&plain).ok()?;
    let return_to = sealed.r.and_then(|text| ReturnTo::parse(&text, origin, own).ok());
    let stops = if now.since(sealed.t) > LIFETIME { Vec::new() } else { sealed.n };
    Some(Onward { return_to, stops })
}

fn binding(origin: &str) -> Binding<'_> {
    Binding { purpose: Purpose::SignOut, name: "state", origin }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use rstest::rstest;

    use super::*;
    use crate::seal::MasterKey;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (http::HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[rstest]
    #[case::link_on_a_page(Method::GET, &[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "document")], Intent::Meant)]
    #[case::typed(Method::GET, &[("sec-fetch-site", "none"), ("sec-fetch-dest", "document")], Intent::Meant)]
    #[case::script_of_a_page(Method::GET, &[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "empty")], Intent::Meant)]
    #[case::image_on_a_page(Method::GET, &[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "image")], Intent::Unsure)]
    #[case::frame_on_a_page(Method::GET, &[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "iframe")], Intent::Unsure)]
    #[case::link_in_a_frame(Method::GET, &[("sec-fetch-site", "same-origin"), ("sec-fetch-dest", "iframe"), ("sec-fetch-user", "?1")], Intent::Meant)]
    #[case::link_in_a_foreign_frame(Method::GET, &[("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "iframe"), ("sec-fetch-user", "?1")], Intent::Unsure)]
    #[case::another_site(Method::GET, &[("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "document")], Intent::Unsure)]
    #[case::a_sibling_site(Method::GET, &[("sec-fetch-site", "same-site"), ("sec-fetch-dest", "document")], Intent::Unsure)]
    #[case::old_browser_own_page(Method::GET, &[("referer", "https://app.test/page"), ("accept", "text/html,*/*")], Intent::Meant)]
    #[case::old_browser_script(Method::GET, &[("referer", "https://app.test/page"), ("accept", "*/*")], Intent::Meant)]
    #[case::nothing_but_the_site(Method::GET, &[("sec-fetch-site", "same-origin")], Intent::Meant)]
    #[case::old_browser_image(Method::GET, &[("referer", "https://app.test/page"), ("accept", "image/png,*/*")], Intent::Unsure)]
    #[case::old_browser_other_page(Method::GET, &[("referer", "https://app.test.evil/"), ("accept", "text/html")], Intent::Unsure)]
    #[case::nothing_said(Method::GET, &[], Intent::Unsure)]
    #[case::the_word_beats_the_referer(Method::GET, &[("sec-fetch-site", "cross-site"), ("referer", "https://app.test/"), ("accept", "text/html")], Intent::Unsure)]
    #[case::post_of_this_origin(Method::POST, &[("origin", "https://app.test")], Intent::Meant)]
    #[case::post_of_another(Method::POST, &[("origin", "https://evil.test")], Intent::Foreign)]
    #[case::post_of_an_opaque_origin(Method::POST, &[("origin", "null")], Intent::Foreign)]
    #[case::post_without_origin(Method::POST, &[("sec-fetch-site", "same-origin")], Intent::Foreign)]
    fn judges(
        #[case] method: Method,
        #[case] pairs: &[(&'static str, &'static str)],
        #[case] expected: Intent,
    ) {
        let origin = Origin::parse("https://app.test").unwrap();
        assert_eq!(intent(&method, &headers(pairs), &origin), expected);
    }

    #[test]
    fn a_state_leads_on_at_its_own_origin_alone_and_to_no_own_endpoint() {
        let keyring = Keyring::new(&[MasterKey::random()]).unwrap();
        let (origin, now) = (Origin::parse("https://app.test").unwrap(), Timestamp::from_secs(1_800_000_000));
        let target = ReturnTo::parse("/bye?x=1", &origin, &[]).unwrap();
        let stop = |provider: &str, sub: Option<&str>| Stop {
            provider: ProviderName::parse(provider).unwrap(),
            sub: sub.map(str::to_owned),
        };
        let onward = Onward {
            return_to: Some(target),
            stops: vec![stop("partners", Some("ann")), stop("guests", None)],
        };
        let sealed = seal_state(&onward, &origin, &keyring, now);
        let open =
            |own: &[&str], after: Duration| open_state(&sealed, &origin, own, &keyring, now.plus(after));
        assert_eq!(open(&["/.vestibule"], LIFETIME), Some(onward.clone()));
        let nowhere = Onward { return_to: None, ..onward.clone() };
        assert_eq!(open(&["/bye"], Duration::ZERO), Some(nowhere));
        let late = Onward { stops: Vec::new(), ..onward };
        assert_eq!(open(&[], LIFETIME + Duration::from_millis(1)), Some(late));
        let there = Origin::parse("https://other.test").unwrap();
        assert_eq!(open_state(&sealed, &there, &[], &keyring, now), None);
        let nothing = Onward::default();
        let sealed = seal_state(&nothing, &origin, &keyring, now);
        assert_eq!(open_state(&sealed, &origin, &[], &keyring, now), Some(nothing));
    }
}
