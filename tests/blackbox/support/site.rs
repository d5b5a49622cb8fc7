//! A provider, an upstream and a gateway between them.

use serde_json::json;

use super::browser::{Browser, Errand, Page};
use super::config::Config;
use super::gateway::Gateway;
use super::provider::{Fault, Provider};
use super::upstream::Upstream;

/// The name of the session cookie on loopback http, with one provider.
pub(crate) const SESSION: &str = "vestibule";
/// What the name of a login's cookie begins with there.
pub(crate) const LOGIN: &str = "vestibule-login-";

/// Whether a cookie of this name holds a session, or a chunk of one.
pub(crate) fn holds_session(name: &str) -> bool {
    let Some(rest) = name.trim_start_matches("__Host-").strip_prefix(SESSION) else { return false };
    let (provider, chunk) = rest.split_once('.').unwrap_or((rest, "1"));
    let of_a_provider = provider.starts_with('-') && !provider.starts_with("-login-");
    (provider.is_empty() || of_a_provider) && chunk.bytes().all(|byte| byte.is_ascii_digit())
}

/// How the provider is asked to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// In the address of a redirect.
    Query,
    /// By a form that is posted, to a gateway that speaks TLS.
    FormPost,
}

/// A certificate for localhost and its key, PEM.
pub(crate) fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

/// Asserts that this browser was never told to keep a session, whatever became of it.
#[track_caller]
pub(crate) fn never_given_a_session(browser: &Browser) {
    let told = browser.told();
    let session = told.iter().find(|(name, value)| holds_session(name) && !value.is_empty());
    assert_eq!(session, None, "no session should have been made");
}

/// All that a test of the gateway needs. The gateway goes first when dropped.
pub(crate) struct Site {
    pub(crate) gateway: Gateway,
    pub(crate) provider: Provider,
    pub(crate) upstream: Upstream,
}

impl Site {
    /// With the ordinary configuration.
    pub(crate) fn start() -> Self {
        Self::with(|config, _| config)
    }

    /// With an edited configuration; the upstream is there to be named.
    pub(crate) fn with(edit: impl FnOnce(Config, &Upstream) -> Config) -> Self {
        Self::around(Provider::start(), edit)
    }

    /// With a provider that makes this mistake from the start.
    pub(crate) fn faulty(fault: Fault, edit: impl FnOnce(Config, &Upstream) -> Config) -> Self {
        Self::around(Provider::with(fault), edit)
    }

    /// The same, asked to answer like this; and a browser that trusts the gateway. The access log is JSON.
    pub(crate) fn answering(
        mode: Mode,
        fault: Fault,
        edit: impl FnOnce(Config, &Upstream) -> Config,
    ) -> (Self, Browser) {
        let (certificate, key) = certificate();
        let site = Self::faulty(fault, |config, upstream| {
            let config = edit(config, upstream).set("/log/format", json!("json"));
            match mode {
                Mode::Query => config,
                Mode::FormPost => {
                    config.tls(&certificate, &key).set("/providers/idp/response_mode", json!("form_post"))
                }
            }
        });
        let browser = match mode {
            Mode::Query => Browser::new(),
            Mode::FormPost => Browser::trusting(&certificate),
        };
        (site, browser)
    }

    /// Around a provider that is there already.
    pub(crate) fn around(provider: Provider, edit: impl FnOnce(Config, &Upstream) -> Config) -> Self {
        Self::in_environment(provider, Vec::new(), edit)
    }

    /// The same, the gateway with more in its environment.
    pub(crate) fn in_environment(
        provider: Provider,
        environment: Vec<(String, String)>,
        edit: impl FnOnce(Config, &Upstream) -> Config,
    ) -> Self {
        let upstream = Upstream::start();
        let config = edit(Config::new(&provider.entry(), &upstream), &upstream);
        Self { gateway: Gateway::start_in(config, environment), provider, upstream }
    }

    /// An address at the gateway.
    pub(crate) fn url(&self, target: &str) -> String {
        self.gateway.url(target)
    }

    /// A browser that has signed in, and an upstream that has forgotten how.
    #[track_caller]
    pub(crate) fn signed_in(&self) -> Browser {
        let browser = Browser::new();
        self.sign_in(&browser);
        browser
    }

    /// Signs a browser in; the upstream forgets how.
    #[track_caller]
    pub(crate) fn sign_in(&self, browser: &Browser) {
        let page = browser.visit(&self.url("/signed-in"));
        assert_eq!(page.status(), 200, "{}\n{}", page.response.everything(), self.gateway.logs());
        assert_eq!(self.upstream.last("/signed-in").header("x-forwarded-user"), Some("ada"));
        self.upstream.forget();
    }

    /// The session cookie as a `Cookie` header line.
    #[track_caller]
    pub(crate) fn session_line(&self, browser: &Browser) -> String {
        let value = browser.cookie(&self.url("/"), SESSION).expect("a session cookie");
        format!("Cookie: {SESSION}={value}\r\n")
    }

    /// Whether the session of this cookie line still opens a page.
    #[track_caller]
    pub(crate) fn is_alive(&self, session: &str) -> bool {
        self.upstream.forget();
        let status = self.gateway.ask("GET /private", session).status;
        assert_eq!(self.upstream.requests().len(), usize::from(status == 200));
        assert!(matches!(status, 200 | 401), "{status}");
        status == 200
    }

    /// Starts a login and stops at the callback: the address that the provider leads back to.
    #[track_caller]
    pub(crate) fn callback(&self, browser: &Browser, target: &str) -> String {
        let challenge = browser.open(&self.url(target));
        assert_eq!(challenge.status, 302, "{}", challenge.everything());
        let back = browser.open(challenge.location());
        assert_eq!(back.status, 302, "{}", back.everything());
        back.location().to_owned()
    }

    /// Opens a page as a typed address would, following nothing.
    pub(crate) fn open(&self, browser: &Browser, target: &str) -> super::message::Response {
        browser.send(&Errand::typed(&self.url(target)))
    }

    /// Opens a page and follows redirects.
    pub(crate) fn visit(&self, browser: &Browser, target: &str) -> Page {
        browser.visit(&self.url(target))
    }

    /// Follows a link of another site: no request of this walk is of our own site.
    pub(crate) fn arrive(&self, browser: &Browser, target: &str) -> Page {
        let mut page = browser.walk(Errand::typed(&self.url(target)).from("https://elsewhere.test/"));
        while let Some(next) = browser.run_script(&page) {
            page = next;
        }
        page
    }

    /// Why this answer was given: path and reason, by its line in the access log (JSON).
    #[track_caller]
    pub(crate) fn reason(&self, answer: &super::message::Response) -> (String, String) {
        self.gateway.reason(answer)
    }

    /// Asserts the reason of an answer of the callback.
    #[track_caller]
    pub(crate) fn refused_at_callback(&self, answer: &super::message::Response, reason: &str) {
        let expected = ("/.vestibule/callback".to_owned(), reason.to_owned());
        assert_eq!(self.reason(answer), expected, "{}\n{}", answer.everything(), self.gateway.logs());
    }

    /// Asserts that this browser holds no session cookie of any name.
    #[track_caller]
    pub(crate) fn has_no_session(&self, browser: &Browser) {
        let names = browser.cookie_names(&self.url("/"));
        let session = names.iter().find(|name| holds_session(name));
        assert_eq!(session, None, "there should be no session");
    }
}
