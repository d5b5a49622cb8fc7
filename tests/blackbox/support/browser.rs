//! A browser without a window: one cookie jar, `Sec-Fetch-*` headers, redirects step by step, and
//! never a connection beyond this machine.

use std::io::{BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use url::Url;

use super::cookies::{self, Context, Jar};
use super::html::{self, Form};
use super::message::{Response, read_response};

/// Someone who can sign in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
}

/// In the groups `staff` and `finance`.
pub(crate) const ADA: User = User { name: "ada", password: "lovelace-1843" };
/// In the group `staff`.
pub(crate) const GRACE: User = User { name: "grace", password: "hopper-1952" };

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A top-level navigation.
    Navigation,
    /// A script's `fetch`.
    Fetch,
}

/// One request to send.
#[derive(Debug, Clone)]
pub(crate) struct Errand {
    method: String,
    url: Url,
    form: Option<String>,
    /// The page that caused it; none when a person typed the address.
    initiator: Option<Url>,
    purpose: Purpose,
    headers: Vec<(String, String)>,
}

impl Errand {
    /// A GET of a typed address.
    pub(crate) fn typed(url: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            url: Url::parse(url).unwrap_or_else(|e| panic!("{url:?} should be an address: {e}")),
            form: None,
            initiator: None,
            purpose: Purpose::Navigation,
            headers: Vec::new(),
        }
    }

    /// A `fetch` by a script of the same origin.
    pub(crate) fn fetch(url: &str) -> Self {
        let mut errand = Self::typed(url);
        errand.initiator = Some(errand.url.clone());
        errand.purpose = Purpose::Fetch;
        errand
    }

    /// A form posted by the page at `from`.
    pub(crate) fn post(url: &str, body: &str, from: &str) -> Self {
        let mut errand = Self::typed(url).from(from);
        errand.method = "POST".to_owned();
        errand.form = Some(body.to_owned());
        errand
    }

    /// Caused by the page at `from`.
    pub(crate) fn from(mut self, from: &str) -> Self {
        self.initiator = Some(Url::parse(from).expect("an address"));
        self
    }

    /// With a further header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn site(&self) -> &'static str {
        let Some(from) = &self.initiator else { return "none" };
        if from.origin() == self.url.origin() {
            "same-origin"
        } else if (from.host_str(), from.scheme()) == (self.url.host_str(), self.url.scheme()) {
            "same-site"
        } else {
            "cross-site"
        }
    }

    fn context(&self) -> Context {
        let safe = matches!(self.method.as_str(), "GET" | "HEAD");
        match self.site() {
            "cross-site" if safe && self.purpose == Purpose::Navigation => Context::CrossSiteNavigation,
            "cross-site" => Context::CrossSite,
            _ => Context::SameSite,
        }
    }
}

/// Where a walk ended.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) response: Response,
    /// The addresses on the way, the last one among them.
    pub(crate) trail: Vec<Url>,
}

impl Page {
    /// Its status.
    pub(crate) const fn status(&self) -> u16 {
        self.response.status
    }

    /// Its path and query.
    pub(crate) fn target(&self) -> String {
        let query = self.url.query().map(|q| format!("?{q}")).unwrap_or_default();
        self.url.path().to_owned() + &query
    }
}

/// The browser. Clones share the jar, as tabs do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    jar: Arc<Mutex<Jar>>,
    /// Every `Set-Cookie` it was ever sent, taken or not.
    told: Arc<Mutex<Vec<String>>>,
    tls: Option<Arc<rustls::ClientConfig>>,
    /// Keeps no cookie, whoever sends it.
    refuses_cookies: bool,
    /// Where redirects are followed no further.
    stops_before: Option<String>,
}

impl Browser {
    /// A fresh profile.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A fresh profile in which cookies are switched off.
    pub(crate) fn refusing_cookies() -> Self {
        Self { refuses_cookies: true, ..Self::default() }
    }

    /// A fresh profile that trusts this certificate (PEM).
    pub(crate) fn trusting(certificate: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut roots = rustls::RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a PEM certificate");
        roots.add(certificate).expect("a certificate that can be trusted");
        let tls = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self { tls: Some(Arc::new(tls)), ..Self::default() }
    }

    /// The same profile, in a tab whose redirects are followed up to an address that begins like this.
    pub(crate) fn stopping_before(&self, address: &str) -> Self {
        Self { stops_before: Some(address.to_owned()), ..self.clone() }
    }

    /// The cookies.
    pub(crate) fn jar(&self) -> MutexGuard<'_, Jar> {
        self.jar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a cookie that `url` sees.
    pub(crate) fn cookie(&self, url: &str, name: &str) -> Option<String> {
        let url = Url::parse(url).expect("an address");
        self.jar().seen_by(&url).iter().find(|c| c.name == name).map(|c| c.value.clone())
    }

    /// The names of the cookies that `url` sees.
    pub(crate) fn cookie_names(&self, url: &str) -> Vec<String> {
        let url = Url::parse(url).expect("an address");
        self.jar().seen_by(&url).iter().map(|c| c.name.clone()).collect()
    }

    /// The names and values of all cookies that it was ever told to set.
    pub(crate) fn told(&self) -> Vec<(String, String)> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = |line: &String| {
            let (name, value) = line.split(';').next()?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        told.iter().filter_map(pair).collect()
    }

    /// Sends one request, keeps the cookies of its answer, follows nothing.
    pub(crate) fn send(&self, errand: &Errand) -> Response {
        let bytes = self.bytes(errand);
        let stream = connect(&errand.url);
        let response = match (errand.url.scheme(), &self.tls) {
            ("https", Some(tls)) => {
                let name = ServerName::try_from(errand.url.host_str().unwrap_or_default().to_owned());
                let connection = rustls::ClientConnection::new(Arc::clone(tls), name.expect("a server name"));
                let stream = rustls::StreamOwned::new(connection.expect("a TLS client"), stream);
                talk(stream, &bytes, &errand.method)
            }
            ("http", _) => talk(stream, &bytes, &errand.method),
            (scheme, _) => panic!("can't speak {scheme}"),
        };
        let (mut jar, mut told) = (self.jar(), self.told.lock().unwrap_or_else(PoisonError::into_inner));
        for line in response.fields.all("set-cookie") {
            cookies::is_as_ours_must_be(&errand.url, line);
            if !self.refuses_cookies {
                jar.take(&errand.url, line);
            }
            told.push(line.to_owned());
        }
        drop((jar, told));
        response
    }

    fn bytes(&self, errand: &Errand) -> Vec<u8> {
        let url = &errand.url;
        let query = url.query().map(|q| format!("?{q}")).unwrap_or_default();
        let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let (mode, dest, accept) = match errand.purpose {
            Purpose::Navigation => ("navigate", "document", "text/html,application/xhtml+xml,*/*;q=0.8"),
            Purpose::Fetch => ("cors", "empty", "*/*"),
        };
        let mut head = format!("{} {}{query} HTTP/1.1\r\nHost: {authority}\r\n", errand.method, url.path());
        let mut line = |name: &str, value: &str| {
            if !errand.headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name)) {
                head.extend([name, ": ", value, "\r\n"]);
            }
        };
        line("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) blackbox");
        line("Accept", accept);
        line("Sec-Fetch-Site", errand.site());
        line("Sec-Fetch-Mode", mode);
        line("Sec-Fetch-Dest", dest);
        if let Some(cookies) = self.jar().header(url, errand.context()) {
            line("Cookie", &cookies);
        }
        if let (Some(from), true) = (&errand.initiator, errand.method != "GET") {
            line("Origin", &from.origin().ascii_serialization());
        }
        if let Some(form) = &errand.form {
            line("Content-Type", "application/x-www-form-urlencoded");
            line("Content-Length", &form.len().to_string());
        }
        for (name, value) in &errand.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        head.push_str(errand.form.as_deref().unwrap_or_default());
        head.into_bytes()
    }

    /// A GET of a typed address, following nothing.
    pub(crate) fn open(&self, url: &str) -> Response {
        self.send(&Errand::typed(url))
    }

    /// Sends a request and follows redirects to their end, or up to where this tab stops: then the page is the
    /// last redirect, and its address the one that it leads to.
    pub(crate) fn walk(&self, errand: Errand) -> Page {
        let (mut errand, mut trail) = (errand, Vec::new());
        loop {
            let response = self.send(&errand);
            trail.push(errand.url.clone());
            assert!(trail.len() <= 20, "too many redirects: {trail:?}");
            if !matches!(response.status, 301 | 302 | 303 | 307 | 308) {
                return Page { url: errand.url, response, trail };
            }
            errand = next(errand, &response);
            if self.stops_before.as_deref().is_some_and(|end| errand.url.as_str().starts_with(end)) {
                return Page { url: errand.url, response, trail };
            }
        }
    }

    /// Opens a typed address and follows redirects to their end.
    pub(crate) fn visit(&self, url: &str) -> Page {
        self.walk(Errand::typed(url))
    }

    /// Submits a form of a page and follows redirects to their end.
    pub(crate) fn submit(&self, page: &Page, form: &Form) -> Page {
        let url = page.url.join(&form.action).expect("an action");
        let walked = if form.method == "POST" {
            self.walk(Errand::post(url.as_str(), &form.encoded(), page.url.as_str()))
        } else {
            let mut url = url;
            url.set_query(Some(&form.encoded()));
            self.walk(Errand::typed(url.as_str()).from(page.url.as_str()))
        };
        Page { trail: [page.trail.clone(), walked.trail].concat(), ..walked }
    }

    /// Opens an address and does what a person does to get in: fills in the provider's sign-on
    /// page, presses what has to be pressed, until neither is asked any more.
    pub(crate) fn sign_in(&self, url: &str, user: User) -> Page {
        let mut page = self.visit(url);
        let mut asked = 0;
        for _ in 0..8 {
            let forms = html::forms(&page.response.text());
            if let Some(mut form) = forms.iter().find(|f| f.has("username") && f.has("password")).cloned() {
                asked += 1;
                assert_eq!(asked, 1, "the provider refused {}: {}", user.name, page.response.text());
                form.fill("username", user.name);
                form.fill("password", user.password);
                page = self.submit(&page, &form);
            } else if let Some(next) = self.run_script(&page) {
                page = next;
            } else {
                break;
            }
        }
        page
    }

    /// Submits the form of a page whose script does nothing else; none for every other page.
    pub(crate) fn run_script(&self, page: &Page) -> Option<Page> {
        let text = page.response.text();
        let form = html::forms(&text).into_iter().find(Form::is_hidden)?;
        text.contains("submit()").then(|| self.submit(page, &form.without_buttons()))
    }
}

/// The step after a redirect: 303 always, and 301 and 302 after POST, go on with GET.
fn next(errand: Errand, response: &Response) -> Errand {
    let url = errand.url.join(response.location());
    let url = url.unwrap_or_else(|e| panic!("can't follow {:?}: {e}", response.location()));
    let keeps = matches!(response.status, 307 | 308) || errand.method == "GET";
    let (method, form) = if keeps { (errand.method, errand.form) } else { ("GET".to_owned(), None) };
    Errand { method, url, form, ..errand }
}

fn connect(url: &Url) -> TcpStream {
    let host = url.host_str().unwrap_or_default();
    assert!(matches!(host, "127.0.0.1" | "localhost"), "led away from this machine: {url}");
    let port = url.port_or_known_default().expect("a port");
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    let stream = stream.unwrap_or_else(|e| panic!("{url} should answer: {e}"));
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out can be set");
    stream
}

fn talk(mut stream: impl Read + Write, bytes: &[u8], method: &str) -> Response {
    stream.write_all(bytes).and_then(|()| stream.flush()).expect("the request can be sent");
    let response = read_response(&mut BufReader::new(stream), method);
    response.expect("a readable answer").expect("an answer")
}
