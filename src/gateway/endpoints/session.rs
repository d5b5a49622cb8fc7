//! `/session`: who is signed in, for applications in the browser. No token is ever in it.

use std::sync::Arc;

use http::header::X_CONTENT_TYPE_OPTIONS;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::super::{Authentication, Gateway, Inbound, ServedOrigin};
use super::parameters::Parameters;
use crate::identity::ProviderName;
use crate::pages::{self, Problem, problem_json};
use crate::reply::Reply;

impl Gateway {
    pub(super) async fn session(&self, inbound: &Inbound<'_>, origin: &Arc<ServedOrigin>) -> Reply {
        let asked = Parameters::of(inbound).ok();
        let asked = asked.as_ref().and_then(|parameters| parameters.one("provider"));
        let asked = asked.and_then(|name| ProviderName::parse(name).ok());
        for sign_in in &origin.sign_ins {
            if asked.as_ref().is_some_and(|asked| *asked != sign_in.scope.provider) {
                continue;
            }
            match self.authenticate(&inbound.parts.headers, &sign_in.scope, None).await {
                Authentication::Identified(live) => {
                    let session = live.session();
                    let idle_ends = live.last_seen().plus(self.limits.idle);
                    let absolute_ends = session.created_at.plus(self.limits.absolute);
                    let body = json!({
                        "sub": live.identity().sub(),
                        "provider": session.provider,
                        "issuer": sign_in.provider.config().issuer,
                        "claims": session.claims,
                        "signed_in_at": session.created_at.as_secs(),
                        "idle_ends_at": idle_ends.as_secs(),
                        "ends_at": absolute_ends.as_secs(),
                    });
                    return Reply::with_body(StatusCode::OK, "application/json", body.to_string(), "session")
                        .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                }
                Authentication::Unknowable => {
                    return self.problem(inbound.parts, inbound.request_id, Problem::Unavailable);
                }
                Authentication::Anonymous | Authentication::Rejected(_) => {}
            }
        }
        let path = self.pages.sign_in_address(pages::SignIn::of(asked.as_ref(), None));
        problem_json(Problem::SignInRequired, inbound.request_id, Some(&format!("{}{path}", origin.text)))
    }
}
