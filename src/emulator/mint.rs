//! Access tokens and ID tokens, with PingOne's claims in PingOne's order.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::addresses::Shape;
use super::environment::Environment;
use super::faults::{AccessTokenTyp, AuthTime};
use super::grants::{AccessToken, Grant, Subject};
use super::keys::KeyFailed;
use super::scope::Scope;
use crate::clock::Timestamp;
use crate::seal::sha256;

/// Signs an access token for `scope` and remembers it.
pub(super) fn access_token(
    environment: &Environment,
    shape: Shape,
    grant: &Arc<Grant>,
    scope: Scope,
    now: Timestamp,
) -> Result<String, KeyFailed> {
    let options = &environment.options;
    let issuer = environment.addresses.issuer(shape);
    let audiences = scope.audiences(options);
    let lifetime = options.access_token_lifetime;

    let mut claims = Map::new();
    let mut add = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    add("client_id", json!(grant.client_id));
    add("iss", json!(issuer));
    add("iat", json!(now.as_secs()));
    add("exp", json!(now.plus(lifetime).as_secs()));
    add("aud", json!(audiences));
    if !scope.is_empty() {
        add("scope", json!(scope.to_string()));
    }
    // Client credentials have none of these four.
    if let Some(subject) = &grant.subject {
        add("sub", json!(subject.sub));
        add("sid", json!(subject.sid));
        add("acr", json!(subject.acr));
        add("auth_time", auth_time(environment, subject));
    }
    if audiences.contains(&options.region.api_audience()) {
        add("env", json!(options.environment));
        add("org", json!(options.organization));
    }
    let typ = match environment.faults.access_token_typ() {
        AccessTokenTyp::AtJwt => Some("at+jwt"),
        AccessTokenTyp::Absent => None,
    };
    let text = environment.keys.sign(typ, &claims)?;
    let token = AccessToken::new(Arc::clone(grant), scope, audiences, issuer, (now, lifetime));
    environment.tokens.record(&text, token);
    Ok(text)
}

/// What an ID token is about beside its user.
#[derive(Debug, Clone, Copy)]
pub(super) struct IdTokenFor<'a> {
    pub(super) client_id: &'a str,
    pub(super) scope: &'a Scope,
    /// The request's; copied unchanged.
    pub(super) nonce: Option<&'a str>,
    /// The token that comes along.
    pub(super) access_token: &'a str,
}

/// Signs an ID token. In the code flow it carries the user's claims itself.
pub(super) fn id_token(
    environment: &Environment,
    shape: Shape,
    subject: &Subject,
    about: IdTokenFor<'_>,
    now: Timestamp,
) -> Result<String, KeyFailed> {
    let options = &environment.options;
    let mut claims = Map::new();
    let mut add = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    add("iss", json!(environment.addresses.issuer(shape)));
    add("sub", json!(subject.sub));
    add("aud", json!(about.client_id));
    add("iat", json!(now.as_secs()));
    add("exp", json!(now.plus(options.id_token_lifetime).as_secs()));
    add("acr", json!(subject.acr));
    add("amr", json!(["pwd"]));
    add("auth_time", auth_time(environment, subject));
    add("at_hash", json!(at_hash(about.access_token)));
    add("sid", json!(subject.sid));
    if let Some(nonce) = about.nonce {
        add("nonce", json!(nonce));
    }
    add("env", json!(options.environment));
    add("org", json!(options.organization));
    add("p1.region", json!(options.region.code()));
    if let Some(user) = environment.user(&subject.sub) {
        user.describe(about.scope, environment.started_at, &mut claims);
    }
    environment.keys.sign(None, &claims)
}

/// The left half of the access token's hash
/// ([OpenID Connect Core 1.0 §3.1.3.6](https://openid.net/specs/openid-connect-core-1_0.html#CodeIDToken)).
fn at_hash(access_token: &str) -> String {
    let hash = sha256(access_token.as_bytes());
    let (left, _) = hash.split_at(hash.len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

fn auth_time(environment: &Environment, subject: &Subject) -> Value {
    let seconds = subject.auth_time.as_secs();
    match environment.faults.auth_time() {
        AuthTime::Seconds => json!(seconds),
        AuthTime::DividedByThousand => json!(seconds / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::client::Resource;
    use crate::emulator::options::Options;
    use crate::emulator::tests::environment;
    use crate::emulator::user::User;

    const NOW: Timestamp = Timestamp::from_secs(1_719_859_270);

    fn subject() -> Subject {
        Subject {
            sub: User::ada().sub,
            sid: "s-1".to_owned(),
            auth_time: NOW,
            acr: "Single_Factor".to_owned(),
        }
    }

    fn access_claims(options: Options, subject: Option<Subject>, scope: &str) -> Map<String, Value> {
        let environment = environment(options);
        let scope = Scope::parse(scope);
        let grant = Arc::new(Grant::new("app", subject, scope.clone(), NOW));
        let text = access_token(&environment, Shape::CustomDomain, &grant, scope, NOW).unwrap();
        assert!(environment.tokens.access(&text, NOW).is_some());
        environment.keys.verify(&text).unwrap()
    }

    #[test]
    fn an_access_token_of_a_client_has_no_user() {
        let claims = access_claims(Options::demo(), None, "");
        for absent in ["sub", "sid", "acr", "auth_time", "scope"] {
            assert!(!claims.contains_key(absent), "{absent}");
        }
        assert_eq!(claims["aud"], json!(["https://api.pingone.com"]));
        assert_eq!(claims["env"], json!(Options::demo().environment));
    }

    #[test]
    fn an_access_token_of_a_custom_resource_names_it_alone() {
        let orders = Resource {
            id: "orders".to_owned(),
            secret: "s".into(),
            audience: "orders-api".to_owned(),
            scopes: vec!["orders:read".to_owned()],
        };
        let options = Options { resources: vec![orders], ..Options::demo() };
        let claims = access_claims(options, Some(subject()), "openid orders:read");
        assert_eq!(claims["aud"], json!(["orders-api"]));
        assert_eq!(claims["sub"], json!(User::ada().sub));
        assert!(!claims.contains_key("env"));
    }

    #[test]
    fn at_hash_is_the_left_half() {
        // OpenID Connect Core 1.0 Appendix A.3.
        assert_eq!(at_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    }

    #[test]
    fn the_switches_hold_from_the_next_token_on() {
        let environment = environment(Options::demo());
        let scope = Scope::parse("openid");
        let about = IdTokenFor { client_id: "app", scope: &scope, nonce: Some("n"), access_token: "at" };
        let mint = || {
            let text = id_token(&environment, Shape::Environment, &subject(), about, NOW).unwrap();
            environment.keys.verify(&text).unwrap()
        };
        assert_eq!(mint()["auth_time"], json!(1_719_859_270));
        environment.faults.set_auth_time(AuthTime::DividedByThousand);
        assert_eq!(mint()["auth_time"], json!(1_719_859));
        assert_eq!(mint()["nonce"], json!("n"));
        assert_eq!(mint()["aud"], json!("app"));
    }
}
