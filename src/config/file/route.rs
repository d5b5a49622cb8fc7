//! `routes`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::values::{Later, LaterUnlessFalse, List, Named, Period, Scalar, Short, Size};

/// What is served at one place.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// A name of your own, in logs and metrics; unique.
    #[schemars(required)]
    pub(crate) id: Option<String>,
    /// Which requests. Default: every one.
    #[serde(rename = "match")]
    pub(crate) matches: Option<Match>,
    /// public, or how the route learns who is asking.
    #[schemars(required)]
    pub(crate) auth: Option<Short<Auth>>,
    /// How a request without identity is answered. Default: auto.
    pub(crate) challenge: Option<Challenge>,
    /// Further parameters of the authorization request, over the provider's.
    pub(crate) authorize: Option<Named<Scalar>>,
    /// Who may pass: all entries must hold. Default: everybody who is signed in.
    pub(crate) require: Option<List<Requirement>>,
    /// Limits of sessions on this route.
    pub(crate) session: Option<RouteSession>,
    /// (later) Sends a request again after sign-in. Default: false.
    pub(crate) replay: Option<LaterUnlessFalse>,
    /// (later) Requests from pages of other origins.
    pub(crate) cors: Option<Later>,
    /// Limits of requests on this route.
    pub(crate) limits: Option<RouteLimits>,
    /// Whether %2f may stand in the path. Default: refuse.
    pub(crate) encoded_slash: Option<EncodedSlash>,
    /// Passes the client's Authorization header on. Default: false; public routes always do.
    pub(crate) forward_authorization: Option<bool>,
    /// Headers set on and removed from the request.
    pub(crate) request_headers: Option<HeaderEdits>,
    /// Headers set on and removed from the response.
    pub(crate) response_headers: Option<HeaderEdits>,
    /// Whether shared caches may keep responses. Default: private.
    pub(crate) cache: Option<Cache>,
    /// WebSockets.
    pub(crate) websocket: Option<WebSocket>,
    /// What the upstream learns of the person.
    pub(crate) identity: Option<RouteIdentity>,
    /// The service behind: a URL, or keys.
    #[schemars(required)]
    pub(crate) upstream: Option<Short<Upstream>>,
}

/// Which requests.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Match {
    /// Host of one of the origins. Default: each of them.
    pub(crate) host: Option<String>,
    /// Path and everything beneath it, by whole segments. Default: /.
    pub(crate) path: Option<String>,
    /// Methods; GET brings HEAD. Default: all.
    pub(crate) methods: Option<List<String>>,
    /// The path alone, nothing beneath. Default: false.
    pub(crate) exact: Option<bool>,
    /// Any Host header, for load-balancer probes; public exact routes only. Default: false.
    pub(crate) any_host: Option<bool>,
}

/// How the route learns who is asking.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Auth {
    /// The provider whose session counts.
    pub(crate) session: Option<String>,
    /// (later) Access tokens.
    pub(crate) bearer: Option<Later>,
    /// With false, requests without identity pass, and carry none. Default: true.
    pub(crate) required: Option<bool>,
}

/// How a request without identity is answered.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Challenge {
    /// By the kind of client.
    Auto,
    /// Every GET is redirected.
    Redirect,
    /// 401, never a redirect.
    Unauthorized,
}

/// One entry of `require`: different keys must all hold, in each list any one value.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Requirement {
    /// Any of these groups.
    pub(crate) groups: Option<List<String>>,
    /// Any of these verified e-mail addresses.
    pub(crate) emails: Option<List<String>>,
    /// Any of these domains of a verified e-mail address.
    pub(crate) domains: Option<List<String>>,
    /// (later)
    pub(crate) scopes: Option<Later>,
    /// (later)
    pub(crate) acr: Option<Later>,
    /// (later)
    pub(crate) max_age: Option<Later>,
    /// (later)
    pub(crate) claims: Option<Later>,
    /// (later)
    pub(crate) addresses: Option<Later>,
    /// (later)
    pub(crate) cel: Option<Later>,
    /// (later)
    pub(crate) methods: Option<Later>,
}

/// Limits of sessions on one route.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteSession {
    /// Shorter than sessions.idle_timeout.
    pub(crate) idle_timeout: Option<Period>,
    /// (later) Paths that don't keep a session alive.
    pub(crate) idle_exempt: Option<Later>,
}

/// Limits of requests on one route.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteLimits {
    /// Length of a request body, over the general limit.
    pub(crate) body: Option<Size>,
}

/// Whether %2f may stand in the path.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EncodedSlash {
    /// 400.
    Refuse,
    /// It passes as it is.
    Allow,
}

/// Headers set and removed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeaderEdits {
    /// Header: value; earlier values go.
    pub(crate) set: Option<Named<Scalar>>,
    /// Names.
    pub(crate) remove: Option<List<String>>,
}

/// Whether shared caches may keep responses.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cache {
    /// They may not.
    Private,
    /// As the upstream says.
    Upstream,
}

/// WebSockets.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebSocket {
    /// Origins beside the route's own that may open one. Default: none.
    pub(crate) origins: Option<List<String>>,
}

/// What the upstream learns of the person.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RouteIdentity {
    /// Header: claim (dots reach inside), or { claim, as }. {} for none. Default: X-Forwarded-User (sub),
    /// X-Forwarded-Email, X-Forwarded-Preferred-Username, X-Forwarded-Groups.
    pub(crate) headers: Option<Named<Short<MappedClaim>>>,
    /// Names and values together; 403 above. Default: 8KiB.
    pub(crate) max_bytes: Option<Size>,
    /// (later) The caller's token.
    pub(crate) access_token: Option<Later>,
    /// (later) A signed assertion.
    pub(crate) assertion: Option<Later>,
}

/// A claim and its form.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MappedClaim {
    /// The claim; dots reach inside.
    #[schemars(required)]
    pub(crate) claim: Option<String>,
    /// Default: list for groups, roles, scope, amr and entitlements, else text.
    #[serde(rename = "as")]
    pub(crate) form: Option<Form>,
}

/// How a claim becomes a header value.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    /// String, number or boolean.
    Text,
    /// Joined by commas.
    List,
    /// The JSON of the claim.
    Json,
    /// base64url of the text, or of the JSON of anything else.
    Base64url,
}

/// The service behind.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    /// Its URL: scheme, host and port. (several come later)
    #[schemars(required)]
    pub(crate) servers: Option<List<String>>,
    /// (later) How one of several is chosen. Default: round_robin.
    pub(crate) balance: Option<Balance>,
    /// What it sees as Host: preserve, server, or a name. Default: preserve.
    pub(crate) host: Option<String>,
    /// Default: http1.
    pub(crate) protocol: Option<Protocol>,
    /// Whole segments cut from the path once everything is decided.
    pub(crate) strip_prefix: Option<String>,
    /// Limits of each exchange.
    pub(crate) timeouts: Option<UpstreamTimeouts>,
    /// What is tried again.
    pub(crate) retries: Option<Retries>,
    /// Whom to trust, for an https URL.
    pub(crate) tls: Option<UpstreamTls>,
    /// (later)
    pub(crate) health_check: Option<Later>,
}

/// How one of several servers is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Balance {
    /// In turn.
    RoundRobin,
}

/// What is spoken with the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Protocol {
    /// HTTP/1.1. WebSockets need it.
    Http1,
    /// HTTP/2 over TLS; gRPC needs it, or h2c.
    H2,
    /// HTTP/2 without TLS.
    H2c,
}

/// Limits of each exchange with the upstream.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamTimeouts {
    /// Default: 2s.
    pub(crate) connect: Option<Period>,
    /// Until the response's first byte. Default: 60s.
    pub(crate) first_byte: Option<Period>,
    /// Between bytes of the response. Default: 60s.
    pub(crate) between_bytes: Option<Period>,
    /// The same for WebSockets and event streams. Default: 1h.
    pub(crate) stream_idle: Option<Period>,
    /// How long an idle connection is kept. Default: 30s.
    pub(crate) keep_alive: Option<Period>,
}

/// What is tried again.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Retries {
    /// Further attempts to connect. Default: 2.
    pub(crate) connect: Option<u64>,
    /// Further attempts when a kept connection turns out dead. Default: 1.
    pub(crate) stale_connection: Option<u64>,
}

/// Whom to trust over TLS.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpstreamTls {
    /// PEM file of certificates trusted instead of the system's.
    pub(crate) ca: Option<String>,
    /// The name that the certificate must carry. Default: the URL's host name.
    pub(crate) server_name: Option<String>,
    /// (later) Our own certificate.
    pub(crate) client: Option<Later>,
}
