//! A cookie jar that honours `Set-Cookie` as a browser does
//! ([RFC 6265bis](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis)).
//!
//! Strict where browsers differ: a `Secure` cookie over plain http is refused even on `localhost`.

use std::time::Duration;

use url::Url;
use vestibule::clock::Stopwatch;

/// When a cookie goes with a request from another site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SameSite {
    /// Never.
    Strict,
    /// With top-level navigations by a safe method (also when unsaid).
    Lax,
    /// Always.
    None,
}

/// One cookie in the jar.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) value: String,
    host: String,
    host_only: bool,
    path: String,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
    expires: Option<(Stopwatch, Duration)>,
}

/// What a request is, as far as cookies care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    /// From our own site, or typed.
    SameSite,
    /// From another site, a top-level navigation by a safe method.
    CrossSiteNavigation,
    /// Anything else from another site.
    CrossSite,
}

/// The jar.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jar(Vec<Stored>);

impl Jar {
    /// Takes one `Set-Cookie` from a response of `url`, as a browser would.
    pub(crate) fn take(&mut self, url: &Url, line: &str) {
        let Some(cookie) = parse(url, line) else { return };
        let same = |c: &Stored| (&c.name, &c.host, &c.path) == (&cookie.name, &cookie.host, &cookie.path);
        self.0.retain(|c| !same(c));
        if cookie.expires.is_none_or(|(_, age)| !age.is_zero()) {
            self.0.push(cookie);
        }
    }

    /// The `Cookie` header for a request; none when there is nothing to send.
    pub(crate) fn header(&self, url: &Url, context: Context) -> Option<String> {
        let mut sent: Vec<_> = self.0.iter().filter(|c| c.goes_to(url, context)).collect();
        sent.sort_by_key(|c| std::cmp::Reverse(c.path.len()));
        let pairs: Vec<_> = sent.iter().map(|c| format!("{}={}", c.name, c.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The cookies that `url` can see.
    pub(crate) fn seen_by(&self, url: &Url) -> Vec<&Stored> {
        self.0.iter().filter(|c| c.goes_to(url, Context::SameSite)).collect()
    }

    /// Puts a cookie in by force, as a script of a sibling site or an attacker at hand would.
    pub(crate) fn plant(&mut self, url: &Url, name: &str, value: &str) {
        let host = url.host_str().unwrap_or_default().to_owned();
        self.0.retain(|c| c.name != name || c.host != host);
        self.0.push(Stored {
            name: name.to_owned(),
            value: value.to_owned(),
            host,
            host_only: true,
            path: "/".to_owned(),
            secure: false,
            http_only: true,
            same_site: SameSite::Lax,
            expires: None,
        });
    }

    /// Removes a cookie wherever it belongs.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|c| c.name != name);
    }
}

impl Stored {
    fn goes_to(&self, url: &Url, context: Context) -> bool {
        let host = url.host_str().unwrap_or_default();
        let path = url.path();
        let host_fits = host == self.host || (!self.host_only && host.ends_with(&format!(".{}", self.host)));
        let below = path.strip_prefix(&self.path);
        let path_fits =
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/'));
        let site_fits = match context {
            Context::SameSite => true,
            Context::CrossSiteNavigation => self.same_site != SameSite::Strict,
            Context::CrossSite => self.same_site == SameSite::None,
        };
        let alive = self.expires.is_none_or(|(since, age)| since.elapsed() < age);
        host_fits && path_fits && site_fits && alive && (!self.secure || is_trustworthy(url))
    }
}

/// Asserts that a cookie of the gateway has what each of them must have, in whatever answer it comes: kept
/// from scripts, for this host alone, over TLS where there is TLS. Those of others are passed over.
#[track_caller]
pub(crate) fn is_as_ours_must_be(url: &Url, line: &str) {
    let mut parts = line.split(';').map(str::trim);
    let (name, _) = parts.next().and_then(|pair| pair.split_once('=')).expect("a name");
    let bare = name.strip_prefix("__Host-").unwrap_or(name);
    if !bare.starts_with("vestibule") {
        return;
    }
    let attributes: Vec<_> = parts.collect();
    let has = |attribute: &str| attributes.contains(&attribute);
    let tls = url.scheme() == "https";
    // What a posted answer must find comes with a form of another site.
    let of_a_login = bare.starts_with("vestibule-login-") || bare.strip_suffix(".loop").is_some();
    let crosses = tls && of_a_login && has("SameSite=None");
    assert!(has("HttpOnly") && has("Path=/"), "{line}");
    assert!(has("SameSite=Lax") || crosses, "{line}");
    assert!(!attributes.iter().any(|attribute| attribute.starts_with("Domain")), "{line}");
    assert_eq!((tls, tls), (name.starts_with("__Host-"), has("Secure")), "{line}");
}

/// Whether `Secure` cookies go there. Browsers differ over loopback: the address is taken for trustworthy, as
/// Chromium does and providers count on; the name `localhost`, by which tests call the gateway, isn't.
fn is_trustworthy(url: &Url) -> bool {
    url.scheme() == "https" || url.host_str() == Some("127.0.0.1")
}

fn parse(url: &Url, line: &str) -> Option<Stored> {
    let mut parts = line.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let host = url.host_str()?.to_owned();
    let directory = url.path().rfind('/').filter(|at| *at > 0).map_or("/", |at| &url.path()[..at]);
    let mut cookie = Stored {
        name: name.trim().to_owned(),
        value: value.trim().to_owned(),
        host,
        host_only: true,
        path: directory.to_owned(),
        secure: false,
        http_only: false,
        same_site: SameSite::Lax,
        expires: None,
    };
    for part in parts {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key.to_ascii_lowercase().as_str() {
            "secure" => cookie.secure = true,
            "httponly" => cookie.http_only = true,
            "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
            "domain" if !value.is_empty() => {
                let domain = value.trim_start_matches('.').to_ascii_lowercase();
                if cookie.host != domain && !cookie.host.ends_with(&format!(".{domain}")) {
                    return None;
                }
                cookie.host = domain;
                cookie.host_only = false;
            }
            "max-age" => {
                let seconds: i64 = value.parse().ok()?;
                let age = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                cookie.expires = Some((Stopwatch::start(), age));
            }
            "expires" if value.contains("1970") && cookie.expires.is_none() => {
                cookie.expires = Some((Stopwatch::start(), Duration::ZERO));
            }
            "samesite" => {
                cookie.same_site = match value.to_ascii_lowercase().as_str() {
                    "none" => SameSite::None,
                    "strict" => SameSite::Strict,
                    _ => SameSite::Lax,
                }
            }
            _ => {}
        }
    }
    let host_prefix = cookie.name.to_ascii_lowercase().starts_with("__host-");
    let secure_prefix = cookie.name.to_ascii_lowercase().starts_with("__secure-");
    let host_bound = cookie.secure && cookie.host_only && cookie.path == "/";
    let refusals = [
        cookie.secure && !is_trustworthy(url),
        cookie.same_site == SameSite::None && !cookie.secure,
        secure_prefix && !cookie.secure,
        host_prefix && !host_bound,
        cookie.name.len() + cookie.value.len() > 4096,
    ];
    (!refusals.contains(&true)).then_some(cookie)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[rstest]
    #[case::host_prefix("https://a.test/", "__Host-s=1; Secure; Path=/", true)]
    #[case::host_prefix_without_secure("https://a.test/", "__Host-s=1; Path=/", false)]
    #[case::host_prefix_with_domain("https://a.test/", "__Host-s=1; Secure; Path=/; Domain=a.test", false)]
    #[case::host_prefix_deeper("https://a.test/x/", "__Host-s=1; Secure", false)]
    #[case::secure_on_plain_http("http://localhost/", "s=1; Secure", false)]
    #[case::secure_on_loopback("http://127.0.0.1/", "s=1; Secure", true)]
    #[case::none_without_secure("https://a.test/", "s=1; SameSite=None", false)]
    #[case::another_domain("https://a.test/", "s=1; Domain=b.test", false)]
    #[case::plain("http://localhost/", "s=1; Path=/; HttpOnly; SameSite=Lax", true)]
    fn keeps_what_a_browser_keeps(#[case] from: &str, #[case] line: &str, #[case] kept: bool) {
        let mut jar = Jar::default();
        jar.take(&url(from), line);
        assert_eq!(!jar.0.is_empty(), kept);
    }

    #[test]
    fn a_max_age_of_zero_removes_the_cookie_it_names() {
        let mut jar = Jar::default();
        let at = url("http://localhost/");
        jar.take(&at, "s=1; Path=/");
        jar.take(&at, "s=; Path=/other; Max-Age=0");
        assert_eq!(jar.header(&at, Context::SameSite).as_deref(), Some("s=1"));
        jar.take(&at, "s=; Path=/; Max-Age=0");
        assert_eq!(jar.header(&at, Context::SameSite), None);
    }

    #[test]
    fn a_lax_cookie_stays_behind_on_a_post_from_another_site() {
        let mut jar = Jar::default();
        let at = url("https://a.test/");
        jar.take(&at, "lax=1; Path=/; Secure; SameSite=Lax");
        jar.take(&at, "none=1; Path=/; Secure; SameSite=None");
        assert_eq!(jar.header(&at, Context::CrossSiteNavigation).as_deref(), Some("lax=1; none=1"));
        assert_eq!(jar.header(&at, Context::CrossSite).as_deref(), Some("none=1"));
    }

    #[test]
    fn a_cookie_of_one_host_is_not_sent_to_another() {
        let mut jar = Jar::default();
        jar.take(&url("http://127.0.0.1:1/"), "s=1; Path=/");
        assert_eq!(jar.header(&url("http://localhost:1/"), Context::SameSite), None);
        assert!(jar.header(&url("http://127.0.0.1:2/"), Context::SameSite).is_some(), "ports share cookies");
    }
}
