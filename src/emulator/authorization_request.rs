//! What an application asks for at `/as/authorize`, read and checked.

use std::time::Duration;

use super::authorization_response::{ResponseMode, ReturnTarget};
use super::client::{Client, GrantType, ParRequirement};
use super::options::Options;
use super::parameters::Parameters;
use super::pkce::CodeChallenge;
use super::scope::Scope;
use super::sessions::Session;
use crate::clock::Timestamp;

/// A request that may be answered.
#[derive(Debug, Clone)]
pub(super) struct AuthorizationRequest {
    pub(super) client_id: String,
    /// Name of the application, for the page.
    pub(super) application: String,
    pub(super) target: ReturnTarget,
    pub(super) scope: Scope,
    pub(super) nonce: Option<String>,
    pub(super) prompt: Prompt,
    pub(super) max_age: Option<Duration>,
    /// The sign-on policy, and so `acr`.
    pub(super) policy: String,
    pub(super) login_hint: Option<String>,
    pub(super) code_challenge: Option<CodeChallenge>,
}

/// Whether the user is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prompt {
    /// When there is no session that will do. `consent` is the same: PingOne doesn't ask for it here.
    WhenNeeded,
    /// Always.
    Login,
    /// Never.
    None,
}

/// How a request comes in; applications may demand that it is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Front,
    Pushed,
}

/// A request that can't be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rejection {
    /// `response_mode=pi.flow`, which isn't emulated.
    PiFlow,
    /// Client or redirect URI can't be trusted: nothing may be sent there.
    Untrusted { code: &'static str, message: String },
    /// The application is told.
    Returned { target: ReturnTarget, error: &'static str, description: String },
}

impl AuthorizationRequest {
    /// Reads the parameters of a request.
    pub(super) fn read(
        options: &Options,
        parameters: &Parameters,
        channel: Channel,
    ) -> Result<Self, Rejection> {
        let client = client(options, parameters)?;
        if parameters.get("response_mode") == Some("pi.flow") {
            return Err(Rejection::PiFlow);
        }
        let target = target(client, parameters)?;
        match Self::details(options, client, parameters, channel, target.clone()) {
            Ok(request) => Ok(request),
            Err((error, description)) => Err(Rejection::Returned { target, error, description }),
        }
    }

    fn details(
        options: &Options,
        client: &Client,
        parameters: &Parameters,
        channel: Channel,
        target: ReturnTarget,
    ) -> Result<Self, (&'static str, String)> {
        let invalid = |description: &str| ("invalid_request", description.to_owned());
        if parameters.get("response_mode").is_some_and(|mode| ResponseMode::parse(mode).is_none()) {
            return Err(invalid("response_mode is not supported"));
        }
        if client.par_requirement == ParRequirement::Required && channel == Channel::Front {
            return Err(invalid("Pushed authorization request is required"));
        }
        if parameters.get("request").is_some() {
            return Err(("request_not_supported", "Signed requests are not emulated".to_owned()));
        }
        match parameters.get("response_type") {
            Some("code") if client.allows(GrantType::AuthorizationCode) => {}
            Some("code") => {
                return Err(("unauthorized_client", "Grant type is not allowed".to_owned()));
            }
            Some(_) => {
                return Err(("unsupported_response_type", "Response type is not allowed".to_owned()));
            }
            None => return Err(invalid("response_type is required")),
        }
        let scope = Scope::parse(parameters.get("scope").unwrap_or_default());
        let scope = scope
            .granted(options, client)
            .ok_or_else(|| ("invalid_scope", "At least one scope is not allowed".to_owned()))?;
        if parameters.get("nonce").is_some_and(|nonce| nonce.len() > 1024) {
            return Err(invalid("nonce is too long"));
        }
        let max_age = match parameters.get("max_age").map(str::parse) {
            None => None,
            Some(Ok(seconds)) => Some(Duration::from_secs(seconds)),
            Some(Err(_)) => return Err(invalid("max_age is not a number of seconds")),
        };
        Ok(Self {
            client_id: client.id.clone(),
            application: client.name.clone(),
            target,
            scope,
            nonce: parameters.get("nonce").map(str::to_owned),
            prompt: Prompt::read(parameters).map_err(invalid)?,
            max_age,
            policy: policy(options, parameters.get("acr_values").unwrap_or_default()),
            login_hint: parameters.get("login_hint").map(|hint| hint.chars().take(256).collect()),
            code_challenge: CodeChallenge::read(parameters, client.pkce_enforcement).map_err(invalid)?,
        })
    }

    /// Whether a session answers the request without asking anyone.
    pub(super) fn is_satisfied_by(&self, session: &Session, now: Timestamp) -> bool {
        let fresh = self.max_age.is_none_or(|max_age| now.since(session.auth_time) <= max_age);
        let policy = session.policies.contains(&self.policy);
        self.prompt != Prompt::Login && fresh && policy
    }
}

impl Prompt {
    /// Reads `prompt`; the error is the description.
    pub(super) fn read(parameters: &Parameters) -> Result<Self, &'static str> {
        let Some(text) = parameters.get("prompt") else { return Ok(Self::WhenNeeded) };
        let prompts: Vec<&str> = text.split(' ').filter(|prompt| !prompt.is_empty()).collect();
        if !prompts.iter().all(|prompt| ["none", "login", "consent"].contains(prompt)) {
            return Err("prompt is not supported");
        }
        // OpenID Connect Core 1.0 §3.1.2.1: `none` with any other value is an error.
        match (prompts.contains(&"none"), prompts.contains(&"login")) {
            (true, _) if prompts.len() > 1 => Err("prompt none stands alone"),
            (true, _) => Ok(Self::None),
            (false, true) => Ok(Self::Login),
            (false, false) => Ok(Self::WhenNeeded),
        }
    }
}

fn untrusted(code: &'static str, message: &str) -> Rejection {
    Rejection::Untrusted { code, message: message.to_owned() }
}

fn client<'o>(options: &'o Options, parameters: &Parameters) -> Result<&'o Client, Rejection> {
    let id =
        parameters.get("client_id").ok_or_else(|| untrusted("INVALID_REQUEST", "client_id is required"))?;
    let client = options.clients.iter().find(|client| client.id == id);
    client.ok_or_else(|| untrusted("NOT_FOUND", "The requested client_id is unknown in this environment"))
}

fn target(client: &Client, parameters: &Parameters) -> Result<ReturnTarget, Rejection> {
    let redirect_uri = parameters
        .get("redirect_uri")
        .ok_or_else(|| untrusted("INVALID_REQUEST", "redirect_uri is required"))?;
    if !client.redirect_uris.allow(redirect_uri) {
        return Err(untrusted("INVALID_REQUEST", "redirect_uri is not registered for the application"));
    }
    Ok(ReturnTarget {
        redirect_uri: redirect_uri.to_owned(),
        // An unknown one is refused later, in the default mode of the response type.
        response_mode: parameters
            .get("response_mode")
            .and_then(ResponseMode::parse)
            .unwrap_or(ResponseMode::Query),
        state: parameters.get("state").map(str::to_owned),
    })
}

/// The first policy of `acr_values` that the environment has, else its default.
fn policy(options: &Options, acr_values: &str) -> String {
    let known = |name: &&str| options.sign_on_policies.iter().any(|policy| policy == name);
    let wanted = acr_values.split(' ').find(known);
    wanted.map(str::to_owned).or_else(|| options.sign_on_policies.first().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::emulator::client::PkceEnforcement;
    use crate::emulator::redirects::Redirects;

    const REQUEST: &str = "client_id=app&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb&response_type=code&scope=openid&state=s";

    fn options() -> Options {
        let app = Client {
            redirect_uris: Redirects::Exact(vec!["https://app.example.com/cb".to_owned()]),
            pkce_enforcement: PkceEnforcement::Optional,
            ..Client::confidential("app", "secret")
        };
        Options { clients: vec![app], ..Options::demo() }
    }

    fn read(options: &Options, more: &str) -> Result<AuthorizationRequest, Rejection> {
        let parameters = Parameters::parse(format!("{REQUEST}{more}").as_bytes()).unwrap();
        AuthorizationRequest::read(options, &parameters, Channel::Front)
    }

    #[rstest]
    #[case::unknown_mode("state=s", "state=s&response_mode=carrier_pigeon", "invalid_request")]
    #[case::unknown_scope("scope=openid", "scope=openid+everything", "invalid_scope")]
    #[case::none_and_login("state=s", "state=s&prompt=none+login", "invalid_request")]
    #[case::unknown_prompt("state=s", "state=s&prompt=please", "invalid_request")]
    #[case::max_age("state=s", "state=s&max_age=-1", "invalid_request")]
    #[case::signed("state=s", "state=s&request=e30.e30.", "request_not_supported")]
    #[case::challenge("state=s", "state=s&code_challenge=short", "invalid_request")]
    #[case::hybrid("type=code", "type=code+id_token", "unsupported_response_type")]
    #[case::no_type("response_type=code&", "", "invalid_request")]
    fn tells_the_application(#[case] from: &str, #[case] to: &str, #[case] expected: &str) {
        let parameters = Parameters::parse(REQUEST.replace(from, to).as_bytes()).unwrap();
        match AuthorizationRequest::read(&options(), &parameters, Channel::Front) {
            Err(Rejection::Returned { error, target, .. }) => {
                assert_eq!(error, expected);
                assert_eq!(target.state.as_deref(), Some("s"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[rstest]
    #[case::no_client("redirect_uri=https://app.example.com/cb&response_type=code")]
    #[case::unknown_client("client_id=b&redirect_uri=https://app.example.com/cb&response_type=code")]
    #[case::no_redirect_uri("client_id=app&response_type=code")]
    #[case::another_redirect_uri("client_id=app&redirect_uri=https://evil.example/cb&response_type=code")]
    fn never_returns_where_it_does_not_trust(#[case] query: &str) {
        let parameters = Parameters::parse(query.as_bytes()).unwrap();
        let read = AuthorizationRequest::read(&options(), &parameters, Channel::Front);
        assert!(matches!(read, Err(Rejection::Untrusted { .. })), "{read:?}");
    }

    #[test]
    fn pi_flow_is_refused_by_name() {
        assert!(matches!(read(&options(), "&response_mode=pi.flow"), Err(Rejection::PiFlow)));
    }

    #[test]
    fn where_pushing_is_required_the_front_channel_is_refused() {
        let mut options = options();
        options.clients[0].par_requirement = ParRequirement::Required;
        assert!(matches!(read(&options, ""), Err(Rejection::Returned { error: "invalid_request", .. })));
        let parameters = Parameters::parse(REQUEST.as_bytes()).unwrap();
        assert!(AuthorizationRequest::read(&options, &parameters, Channel::Pushed).is_ok());
    }

    #[rstest]
    #[case::none("", "Single_Factor")]
    #[case::unavailable("&acr_values=Multi_Factor", "Single_Factor")]
    #[case::in_order_of_preference("&acr_values=Multi_Factor+Step_Up+Single_Factor", "Step_Up")]
    fn chooses_the_policy(#[case] more: &str, #[case] expected: &str) {
        let mut options = options();
        options.sign_on_policies.push("Step_Up".to_owned());
        assert_eq!(read(&options, more).map(|request| request.policy), Ok(expected.to_owned()));
    }

    #[rstest]
    #[case::young("&max_age=60", 60, true)]
    #[case::old("&max_age=60", 61, false)]
    #[case::any_age("", 100_000, true)]
    #[case::asked_for("&prompt=login", 0, false)]
    #[case::consent_is_not_asked_for("&prompt=consent", 0, true)]
    #[case::another_policy("&acr_values=Step_Up", 0, false)]
    fn a_session_satisfies_or_not(#[case] more: &str, #[case] age: u64, #[case] expected: bool) {
        let mut options = options();
        options.sign_on_policies.push("Step_Up".to_owned());
        let request = read(&options, more).unwrap();
        let auth_time = Timestamp::from_secs(1_800_000_000);
        let session = Session {
            st: "st".to_owned(),
            sid: "sid".to_owned(),
            sub: "ada".to_owned(),
            auth_time,
            policies: vec!["Single_Factor".to_owned()],
        };
        assert_eq!(request.is_satisfied_by(&session, auth_time.plus(Duration::from_secs(age))), expected);
    }
}
