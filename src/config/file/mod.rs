//! The file's shape: every key of the configuration, as it is written.
//!
//! No logic is here. Every key is optional for serde, so that a missing one doesn't hide other
//! faults; `resolve` knows which are required. The comments become the schema's descriptions.

#![expect(dead_code, reason = "keys of features that aren't built yet are read only to be refused")]

pub(crate) mod listener;
pub(crate) mod provider;
pub(crate) mod route;
pub(crate) mod session;

use schemars::JsonSchema;
use serde::Deserialize;

use super::values::{Count, Later, List, Named, Network, Period, Size};
use listener::{Admin, Listener};
use provider::Provider;
use route::Route;
use session::Sessions;

/// The configuration of Vestibule.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// What browsers type: scheme, host, port. The only source of redirect URIs, cookies and outward
    /// URLs; a request for another host is refused with 421.
    #[schemars(required)]
    pub(crate) origins: Option<List<String>>,
    /// Allows http origins and issuers beyond loopback, and warns at every start. Default: false.
    pub(crate) danger_plain_http: Option<bool>,
    /// Networks (CIDR) whose X-Forwarded-For, -Proto and -Host count. Default: none.
    pub(crate) trusted_proxies: Option<List<Network>>,
    /// Where the gateway listens.
    #[schemars(required)]
    pub(crate) listeners: Option<List<Listener>>,
    /// Health, readiness and metrics, on a listener of their own.
    pub(crate) admin: Option<Admin>,
    /// The gateway's own paths.
    pub(crate) endpoints: Option<Endpoints>,
    /// (later) Verdicts for other proxies.
    pub(crate) forward_auth: Option<Later>,
    /// Worker threads: a number, or auto for the number of cores. Default: auto.
    pub(crate) threads: Option<Count>,
    /// HTTP/2 towards clients.
    pub(crate) http2: Option<Http2>,
    /// How the gateway stops.
    pub(crate) shutdown: Option<Shutdown>,
    /// Limits of requests and connections.
    pub(crate) limits: Option<Limits>,
    /// What is logged.
    pub(crate) log: Option<Log>,
    /// The pages people see.
    pub(crate) pages: Option<Pages>,
    /// OpenID providers by a name of your own (1 to 32 of a-z, 0-9, _ and -).
    pub(crate) providers: Option<Named<Provider>>,
    /// Where signed-in browsers are remembered, and for how long.
    pub(crate) sessions: Option<Sessions>,
    /// (later) Signed assertions for upstreams.
    pub(crate) assertions: Option<Later>,
    /// What is served: the most specific host and the longest path win, and nothing else is served.
    #[schemars(required)]
    pub(crate) routes: Option<List<Route>>,
}

/// The gateway's own paths.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoints {
    /// Prefix of all own paths. Default: /.vestibule.
    pub(crate) prefix: Option<String>,
    /// Where providers send people back to; any path, for an existing registration. Default: PREFIX/callback.
    pub(crate) callback: Option<String>,
    /// (later) Paths of another gateway that keep working. Default: none.
    pub(crate) aliases: Option<Aliases>,
}

/// Whose paths keep working.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Aliases {
    /// Nobody else's.
    None,
    /// (later)
    Oauth2Proxy,
}

/// HTTP/2 towards clients.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Http2 {
    /// Concurrent streams of one connection. Default: 100.
    pub(crate) streams: Option<u64>,
    /// How long a connection may be without a stream. Default: 5m.
    pub(crate) idle: Option<Period>,
}

/// How the gateway stops.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shutdown {
    /// Not ready any more, but still accepting. Default: 5s.
    pub(crate) delay: Option<Period>,
    /// The most that running requests get after that. Default: 20s.
    pub(crate) grace: Option<Period>,
}

/// Limits of requests and connections.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limits {
    /// The request's head.
    pub(crate) head: Option<HeadLimits>,
    /// Length of the request target; 414 above. Default: 16KiB.
    pub(crate) target: Option<Size>,
    /// Length of a request body; 413 above. Default: 100MiB. Own endpoints take 64KiB.
    pub(crate) body: Option<Size>,
    /// The slowest request body; 408 below.
    pub(crate) body_rate: Option<BodyRate>,
    /// How long a kept connection may wait for the next request. Default: 75s.
    pub(crate) idle: Option<Period>,
    /// How long a client may refuse to read. Default: 30s.
    pub(crate) write: Option<Period>,
    /// Connections; further ones are closed at accept.
    pub(crate) connections: Option<ConnectionLimits>,
}

/// How many connections may be open.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConnectionLimits {
    /// Of all listeners together. Default: 20000.
    pub(crate) total: Option<u64>,
    /// Of one client address, or one /64 network over IPv6; trusted proxies aren't held to it. Default: 500.
    pub(crate) per_address: Option<u64>,
}

/// The request's head.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeadLimits {
    /// All of it; 431 above. Default: 64KiB.
    pub(crate) size: Option<Size>,
    /// Header lines; 431 above. Default: 100.
    pub(crate) fields: Option<u64>,
    /// How long it may take from its first byte to its last. Default: 10s.
    pub(crate) time: Option<Period>,
}

/// The slowest request body.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BodyRate {
    /// Bytes a second, on average. Default: 1KiB.
    pub(crate) min: Option<Size>,
    /// How long a body may be waited for before that counts. Default: 10s.
    pub(crate) after: Option<Period>,
}

/// What is logged. Logs go to stderr, the access log to stdout.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    /// Default: json.
    pub(crate) format: Option<LogFormat>,
    /// error, warn, info, debug, trace, off, or what RUST_LOG takes; the environment's RUST_LOG wins.
    /// Default: info.
    pub(crate) level: Option<String>,
    /// One line a request.
    pub(crate) access: Option<AccessLog>,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// One line a request.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessLog {
    /// Default: stdout.
    pub(crate) output: Option<AccessOutput>,
    /// Claims of the identity to write. Default: [sub].
    pub(crate) claims: Option<List<String>>,
    /// Default: full.
    pub(crate) client_address: Option<ClientAddress>,
}

/// Where the access log goes.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccessOutput {
    /// Standard output.
    Stdout,
    /// Nowhere.
    Off,
}

/// How much of a client's address is written.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientAddress {
    /// All of it.
    Full,
    /// Without the last byte (IPv4) or the last 80 bits (IPv6).
    Truncated,
}

/// The pages people see.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pages {
    /// A folder of templates in the place of ours; what isn't in it stays as it is.
    pub(crate) directory: Option<String>,
    /// Those that pages are shown in, of en and de. Default: [en]. The first serves who wishes none of them.
    pub(crate) languages: Option<List<String>>,
    /// Where a page sends people who are stuck: an http(s) or mailto address.
    pub(crate) support: Option<String>,
}

/// A secret: exactly one of the three keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secret {
    /// A file that others can't read; a trailing newline is cut. Relative to the configuration's folder.
    pub(crate) file: Option<String>,
    /// A variable of the environment.
    pub(crate) env: Option<String>,
    /// The secret itself; warned about.
    #[serde(default, deserialize_with = "sealed")]
    #[schemars(with = "Option<String>")]
    pub(crate) value: Option<secrecy::SecretString>,
}

/// Takes the text of a secret without ever showing it.
fn sealed<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<secrecy::SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(secrecy::SecretString::from))
}
