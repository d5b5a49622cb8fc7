//! The explanation as text: a word in front, what there is to say of it behind.

use std::fmt::Write as _;
use std::sync::Arc;

use super::question::Question;
use crate::edge::rehearsal::{End, Rehearsal};
use crate::gateway::{Gateway, ServedOrigin};
use crate::identity::Identity;
use crate::policy::Clause;
use crate::reply::Transport;
use crate::route::origin::Scheme;
use crate::route::upstream::Protocol;
use crate::route::{Auth, Methods, Required, Route, path};
use crate::telemetry::labels::Decision;

/// Text so far.
pub(super) struct Told(String);

impl Told {
    /// The request and the origin that it names.
    pub(super) fn new(question: &Question, origin: Option<&Arc<ServedOrigin>>) -> Self {
        let mut told = Self(String::new());
        told.line("request", &format!("{} {}", question.method, question.url));
        match origin {
            Some(origin) => {
                told.line("origin", &origin.text);
                if origin.origin.scheme == Scheme::Https && question.transport == Transport::Plain {
                    told.more("asked without TLS: as a proxy does that has ended it");
                }
            }
            None => told.line("origin", "none: `origins` doesn't name this host"),
        }
        told
    }

    pub(super) fn text(self) -> String {
        self.0
    }

    fn line(&mut self, word: &str, text: &str) {
        // Writing to memory can't fail.
        let _ = writeln!(self.0, "{word:<10} {text}");
    }

    fn more(&mut self, text: &str) {
        self.line("", text);
    }

    fn header(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if let Some(text) = worth_telling(&name.to_ascii_lowercase(), value.trim()) {
            self.more(&text);
        }
    }

    /// One of ours, which isn't asked.
    pub(super) fn own_endpoint(&mut self, name: &str) {
        self.line(
            "answer",
            &format!("by the gateway itself: its endpoint `{name}`, which no route and no rule concerns"),
        );
    }

    /// How else a service could read the path.
    pub(super) fn readings(&mut self, gateway: &Gateway, question: &Question) {
        self.line("path", &question.path);
        let Some(origin) = gateway.origins.named_by(&question.authority) else { return };
        if path::refuse_malformed(&question.path).is_err() {
            self.more("malformed: refused on every route");
            return;
        }
        let host = &origin.origin.host;
        for other in gateway.routes.other_readings(host, &question.path, &question.method) {
            let route =
                other.route.map_or_else(|| "no route".to_owned(), |route| format!("route {}", route.id));
            self.more(&format!("could be read as {}: {route}", other.path));
        }
    }

    /// The route, and what it asks for.
    pub(super) fn route(&mut self, route: &Route) {
        let reach = if route.path.is_exact() { "alone" } else { "and below" };
        let mut text = format!("{}: {} {reach}", route.id, route.path.as_str());
        if let Some(host) = &route.host {
            let _ = write!(text, ", host {host}");
        }
        if let Methods::Only(methods) = &route.methods {
            let methods: Vec<_> = methods.iter().map(http::Method::as_str).collect();
            let _ = write!(text, ", {}", methods.join(" "));
        }
        self.line("route", &text);
        match &route.auth {
            Auth::Public => self.line("auth", "public: nobody is asked, nobody is named"),
            Auth::Session { provider, required: Required::Yes } => {
                self.line("auth", &format!("a session of {provider}"));
            }
            Auth::Session { provider, required: Required::Optional } => {
                self.line("auth", &format!("a session of {provider}, if there is one"));
            }
        }
    }

    /// Who asks, and what the rules say to that.
    pub(super) fn identity(
        &mut self,
        question: &Question,
        route: Option<&Arc<Route>>,
        somebody: Option<&Identity>,
    ) {
        let Some(identity) = somebody else {
            let text = if question.claims.is_some() {
                "nobody: the claims count for nothing here"
            } else {
                "nobody"
            };
            self.line("identity", text);
            return;
        };
        let sub =
            identity.sub().map_or_else(|| "somebody without `sub`".to_owned(), |sub| format!("sub {sub}"));
        self.line("identity", &format!("{sub}, of {}", identity.provider));
        let Some(route) = route else { return };
        let mut word = "rules";
        for (index, entry) in route.require.entries.iter().enumerate() {
            for clause in entry.clauses(identity) {
                self.line(word, &rule(index, &clause));
                word = "";
            }
        }
        if word == "rules" {
            self.line(word, "none: whoever is signed in may pass");
        }
    }

    /// What becomes of it. Values of cookies are nobody's business.
    pub(super) fn answer(&mut self, whom: &str, rehearsal: &Rehearsal) {
        let word = format!("answer{whom}");
        match &rehearsal.end {
            End::Unread => self.line(&word, "400: no request can be read in this"),
            End::Answered(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                let head = text.split("\r\n\r\n").next().unwrap_or_default();
                let mut lines = head.split("\r\n");
                let status = lines.next().and_then(|line| line.get(9..12)).unwrap_or("500");
                self.line(&word, &format!("{status} {}, {}", rehearsal.reason, rehearsal.decision.as_str()));
                for line in lines {
                    self.header(line);
                }
                if status == "302" && rehearsal.decision == Decision::Challenged {
                    self.more("(with the provider's metadata at hand, to the provider at once)");
                }
            }
            End::Forwarded(head) => {
                self.line(&word, "forwarded");
                if let Some(route) = &rehearsal.route {
                    self.line("upstream", &upstream(route));
                }
                let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
                self.more(&format!("{} {target}", head.method));
                for (name, value) in &head.headers {
                    self.header(&format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
                }
            }
        }
    }
}

/// A header as it is worth telling: nothing that is another one each time or says how long the body is,
/// and of a cookie of ours its name alone.
fn worth_telling(name: &str, value: &str) -> Option<String> {
    match name {
        "connection" | "content-length" | "date" => None,
        "x-request-id" => Some(format!("{name}: …")),
        "set-cookie" => {
            let (cookie, rest) = value.split_once('=').unwrap_or((value, ""));
            let attributes = rest.split_once(';').map_or("", |(_, attributes)| attributes);
            Some(format!("{name}: {cookie}=…;{attributes}"))
        }
        _ => Some(format!("{name}: {value}")),
    }
}

fn rule(index: usize, clause: &Clause<'_>) -> String {
    let verdict = if clause.holds { "holds" } else { "fails" };
    format!("{}. {}: any of {}: {verdict}", index + 1, clause.key, clause.any_of.join(", "))
}

fn upstream(route: &Route) -> String {
    let upstream = &route.upstream;
    let scheme = if upstream.tls.is_some() { "https" } else { "http" };
    let spoken = match upstream.protocol {
        Protocol::Http1 => "",
        Protocol::H2 | Protocol::H2c => ", HTTP/2",
    };
    format!("{scheme}://{}:{}{spoken}", upstream.server.host, upstream.server.port)
}
