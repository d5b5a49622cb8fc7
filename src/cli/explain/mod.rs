//! `vestibule explain`: what becomes of a request, and why. Nothing is sent anywhere.

mod question;
mod told;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::{FAULTY, complain, print};
use crate::config::{Config, Source, load};
use crate::edge::Edge;
use crate::edge::rehearsal::Rehearsal;
use crate::gateway::{Gateway, ServedOrigin};
use crate::route::path::refuse_malformed;
use crate::route::table::Found;
use crate::route::{Auth, Route};
use crate::server;
use crate::session::{Live, Session, StoreKind};
use crate::telemetry::labels::Decision;
use crate::telemetry::{AccessLog, AccessOutput};
use question::Question;

pub(super) use question::Asked;

/// What makes a request a browser's that opens a page.
const BROWSER: &str = "Accept: text/html\r\n";

/// The parts that answer.
struct House {
    edge: Edge,
    gateway: Arc<Gateway>,
}

/// Somebody who is signed in for this request alone.
struct SignedIn {
    live: Arc<Live>,
    /// The line that carries their session.
    line: String,
}

/// Explains one request.
pub(super) fn explain(file: PathBuf, asked: &Asked) -> ExitCode {
    let question = match Question::of(asked) {
        Ok(question) => question,
        Err(why) => return wrong(&why),
    };
    let loaded = load(&Source::File(file));
    let Some(config) = loaded.config else {
        for fault in &loaded.faults {
            complain(fault);
        }
        return ExitCode::from(FAULTY);
    };
    let explained = house(config).and_then(|house| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(|error| error.to_string())?.block_on(house.explain(&question))
    });
    match explained {
        Ok(text) => print(text.trim_end()),
        Err(why) => {
            complain(&why);
            ExitCode::FAILURE
        }
    }
}

fn wrong(why: &dyn std::fmt::Display) -> ExitCode {
    complain(why);
    ExitCode::from(FAULTY)
}

/// The gateway as it would serve, but for its sessions, which are none, and its log.
fn house(mut config: Config) -> Result<House, String> {
    config.sessions.store = StoreKind::Memory;
    config.log.access = AccessOutput::Off;
    let gateway = server::gateway(&mut config).map_err(|error| format!("failed to {error}"))?;
    let log = Arc::new(AccessLog::new(&config.log));
    let edge = Edge::new(Arc::clone(&gateway), config.limits, config.trusted_proxies, log, Arc::default());
    Ok(House { edge, gateway })
}

impl House {
    async fn explain(&self, question: &Question) -> Result<String, String> {
        let origin = self.gateway.origins.named_by(&question.authority);
        let own = origin.and_then(|_| self.gateway.own_endpoint(&question.path));
        let mut told = told::Told::new(question, origin);
        if let Some(name) = own {
            told.own_endpoint(name);
            return Ok(told.text());
        }
        told.readings(&self.gateway, question);
        let found = self.route(origin, question);
        let route = found.as_ref();
        if let Some(route) = route {
            told.route(route);
        }
        let somebody = match (&question.claims, origin, route) {
            (Some(_), Some(origin), Some(route)) => self.sign_in(question, origin, route).await?,
            _ => None,
        };
        told.identity(question, route, somebody.as_ref().map(|somebody| somebody.live.identity()));
        let line = somebody.as_ref().map_or("", |somebody| &somebody.line);
        let rehearsal = self.rehearse(question, line).await;
        if rehearsal.decision == Decision::Challenged && !question.says_who_asks() {
            let browser = self.rehearse(question, &format!("{line}{BROWSER}")).await;
            told.answer(" to a browser", &browser);
            told.answer(" to a program", &rehearsal);
        } else {
            told.answer("", &rehearsal);
        }
        Ok(told.text())
    }

    async fn rehearse(&self, question: &Question, lines: &str) -> Rehearsal {
        self.edge.rehearse(&question.head(lines), question.peer, question.transport).await
    }

    fn route(&self, origin: Option<&Arc<ServedOrigin>>, question: &Question) -> Option<Arc<Route>> {
        let (routes, method) = (&self.gateway.routes, &question.method);
        if refuse_malformed(&question.path).is_err() {
            return None;
        }
        let Some(origin) = origin else { return routes.find_any_host(&question.path, method) };
        match routes.find(&origin.origin.host, &question.path, method) {
            Ok(Found::Route(route)) => Some(route),
            Ok(Found::MethodNotAllowed(_) | Found::Nothing) | Err(_) => None,
        }
    }

    /// A session with the claims of the question, as the route's provider would have made one.
    async fn sign_in(
        &self,
        question: &Question,
        origin: &ServedOrigin,
        route: &Route,
    ) -> Result<Option<SignedIn>, String> {
        let (Auth::Session { provider, .. }, Some(claims)) = (&route.auth, &question.claims) else {
            return Ok(None);
        };
        let Some(sign_in) = origin.sign_in(provider) else { return Ok(None) };
        let (scope, now) = (&sign_in.scope, self.gateway.clock.now());
        let session = Session {
            origin: scope.origin.clone(),
            provider: provider.clone(),
            claims: claims.clone(),
            id_token: None,
            replaces: None,
            created_at: now,
            last_seen: now,
        };
        let store = &self.gateway.store;
        let presented = store.create(scope, session).await.map_err(|error| format!("failed to {error}"))?;
        let live = store.load(scope, &presented).await.map_err(|error| format!("failed to {error}"))?;
        Ok(live.map(|live| SignedIn { live, line: format!("Cookie: {}={presented}\r\n", scope.cookie) }))
    }
}
