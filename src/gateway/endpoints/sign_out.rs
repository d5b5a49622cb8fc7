//! `/sign-out` and `/signed-out`: store, cookie, provider, and back.

use std::sync::Arc;

use http::{Method, StatusCode};

use super::super::client_kind::loads_ahead;
use super::super::{Gateway, Inbound, ServedOrigin};
use super::parameters::Parameters;
use super::sign_in::location;
use crate::login::return_to::ReturnTo;
use crate::login::sign_out::{self, Intent, Onward, Stop};
use crate::login::{SignIn, loop_guard};
use crate::oidc::SignOut;
use crate::pages::{Page, Problem};
use crate::reply::{OwedCookies, Reply};
use crate::route::Auth;
use crate::route::table::Found;
use crate::session::cookie::Presented;
use crate::session::{Ending, Error, Live, cookie};
use crate::telemetry::labels::SessionEnd;

impl Gateway {
    /// Ends the browser's sessions at this origin, and with them those that share the provider's.
    /// A provider that is down never keeps one.
    pub(super) async fn sign_out(&self, inbound: &Inbound<'_>, origin: &Arc<ServedOrigin>) -> Reply {
        let Ok(parameters) = Parameters::of(inbound) else {
            return self.problem(inbound.parts, inbound.request_id, Problem::BadRequest);
        };
        let wanted = parameters
            .one("return_to")
            .and_then(|text| ReturnTo::parse(text, &origin.origin, &self.own_paths()).ok());
        let headers = &inbound.parts.headers;
        match sign_out::intent(&inbound.parts.method, headers, &origin.origin) {
            Intent::Meant if !loads_ahead(headers) => {}
            Intent::Meant | Intent::Unsure => {
                let return_to = wanted.as_ref().map(ReturnTo::as_str);
                return self.show(inbound, &Page::SignOut(return_to));
            }
            Intent::Foreign => {
                return self.problem(inbound.parts, inbound.request_id, Problem::ForeignOrigin);
            }
        }
        let mut cookies = OwedCookies::none();
        let mut ended: Vec<(&Arc<SignIn>, Arc<Live>)> = Vec::new();
        for sign_in in &origin.sign_ins {
            let presented = cookie::presented(&inbound.parts.headers, &sign_in.scope);
            if presented == Presented::Nothing {
                continue;
            }
            // Of several cookies of the name none counts as a session; all of them end.
            let values = if let Presented::Values(values) = presented { values } else { Vec::new() };
            let mut first = None;
            for value in values {
                let found = match self.store.load(&sign_in.scope, &value).await {
                    Ok(Some(live)) => self.end(&live).await.map(|()| Some(live)),
                    Ok(None) => Ok(None),
                    Err(error) => Err(error),
                };
                match found {
                    Ok(Some(live)) => {
                        first.get_or_insert(live);
                    }
                    Ok(None) => {}
                    // The cookie stays too: a sign-out that didn't happen must not look done.
                    Err(_) => return self.problem(inbound.parts, inbound.request_id, Problem::Unavailable),
                }
            }
            ended.extend(first.map(|live| (sign_in, live)));
            cookies.extend(cookie::clear(&inbound.parts.headers, &sign_in.scope));
            cookies.extend(loop_guard::forget(sign_in, &inbound.parts.headers));
        }
        let to = self.leave(origin, &ended, wanted);
        Reply::redirect(StatusCode::SEE_OTHER, location(&to), "signed_out").cookies(cookies)
    }

    async fn end(&self, live: &Live) -> Result<(), Error> {
        let now = self.clock.now();
        self.store.end(live, Ending::AtOnce, now).await?;
        let session = live.session();
        if let Some(replaced) = &session.replaces {
            self.store.end_known(replaced, Ending::AtOnce, now).await?;
        }
        if let Some(sid) = session.sid() {
            self.store.end_by_sid(&session.provider, sid, now).await?;
        }
        self.metrics.sign_out();
        self.metrics.session_ended(SessionEnd::SignedOut);
        Ok(())
    }

    /// Where the browser goes now that its sessions are gone: over the providers that have a sign-out
    /// ([RP-Initiated Logout 1.0](https://openid.net/specs/openid-connect-rpinitiated-1_0.html)), one after
    /// the other.
    fn leave(
        &self,
        origin: &ServedOrigin,
        ended: &[(&Arc<SignIn>, Arc<Live>)],
        wanted: Option<ReturnTo>,
    ) -> String {
        let target = || ended.iter().find_map(|(sign_in, _)| self.after_sign_out(origin, sign_in));
        let stops = ended.iter().map(|(sign_in, live)| Stop {
            provider: sign_in.scope.provider.clone(),
            sub: live.identity().sub().map(str::to_owned),
        });
        let onward = Onward { return_to: wanted.or_else(target), stops: stops.collect() };
        self.go_on(origin, onward, |stop| {
            let of = ended.iter().find(|(sign_in, _)| sign_in.scope.provider == stop.provider);
            of.and_then(|(_, live)| live.session().id_token.as_deref())
        })
    }

    /// The next provider's sign-out, or the end of the way.
    fn go_on<'a>(
        &self,
        origin: &ServedOrigin,
        mut onward: Onward,
        id_token_hint: impl Fn(&Stop) -> Option<&'a str>,
    ) -> String {
        while !onward.stops.is_empty() {
            let stop = onward.stops.remove(0);
            let Some(sign_in) = origin.sign_in(&stop.provider) else { continue };
            let (provider, Some(metadata)) = (&sign_in.provider, sign_in.provider.metadata()) else {
                continue;
            };
            if provider.config().sign_out == SignOut::Local {
                continue;
            }
            let state = sign_out::seal_state(&onward, &origin.origin, &self.keyring, self.clock.now());
            let back = format!("{}{}", origin.text, self.signed_out_address());
            let hint = id_token_hint(&stop);
            let logout_hint = if hint.is_none() { stop.sub.as_deref() } else { None };
            if let Some(url) = provider.end_session_url(&metadata, hint, logout_hint, &back, &state) {
                return url.into();
            }
        }
        onward.return_to.map_or_else(|| self.signed_out_address(), |target| target.as_str().to_owned())
    }

    /// `after_sign_out`. The front page it is by default would sign the person in again at once where
    /// it is protected: then there is nowhere to go on to, and a page says that they are signed out.
    fn after_sign_out(&self, origin: &ServedOrigin, sign_in: &SignIn) -> Option<ReturnTo> {
        let path = &sign_in.provider.config().after_sign_out;
        let target = ReturnTo::parse(path, &origin.origin, &self.own_paths()).ok()?;
        let is_public = || match self.routes.find(&origin.origin.host, "/", &Method::GET) {
            Ok(Found::Route(route)) => route.auth == Auth::Public,
            _ => false,
        };
        (target.as_str() != "/" || is_public()).then_some(target)
    }

    fn signed_out_address(&self) -> String {
        format!("{}/signed-out", self.paths.prefix)
    }

    /// Where a provider returns to: on to the next one, or to the end. A `state` that isn't ours is trusted
    /// for nothing: the sign-out stands, and a page says so.
    pub(super) fn signed_out(&self, inbound: &Inbound<'_>, origin: &Arc<ServedOrigin>) -> Reply {
        let onward = Parameters::of(inbound).ok().and_then(|parameters| {
            let (state, own) = (parameters.one("state")?, self.own_paths());
            sign_out::open_state(state, &origin.origin, &own, &self.keyring, self.clock.now())
        });
        match onward {
            Some(onward) if onward != Onward::default() => {
                let to = self.go_on(origin, onward, |_| None);
                Reply::redirect(StatusCode::SEE_OTHER, location(&to), "signed_out")
            }
            _ => self.show(inbound, &Page::SignedOut(Some("/"))),
        }
    }
}
