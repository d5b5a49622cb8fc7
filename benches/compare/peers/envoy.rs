//! Envoy: one worker; as a plain proxy, and with its `oauth2` filter signed in at the same provider.
//!
//! `oauth2` alone only passes an access token on. With `jwt_authn` behind it, which checks the ID
//! token of its cookie, the upstream is told who is asking: that is the same work as ours.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::rc::Rc;

use serde_json::{Value, json};

use super::{Peer, Service, forwards, named, program};
use crate::Result;
use crate::cases::{Proof, Work};
use crate::child::free_port;
use crate::origin::Origin;
use crate::stage::Stage;
use crate::upstream::{NEED_TOKEN, NEED_USER};

const API: &str = "type.googleapis.com/envoy.extensions";

/// Forwards, plain and over TLS.
pub(super) fn plain(stage: &Stage) -> Result<Peer> {
    let (plain, secure) = (free_port()?, free_port()?);
    let listeners = json!([listener(plain, &[], None), listener(secure, &[], Some(transport(stage)))]);
    let (server, system) = start(stage, "plain", &listeners, &[plain, secure])?;
    let services = forwards(&system, &Origin::plain(plain), &stage.secure(secure));
    Ok(Peer { server, services })
}

/// Signs in, without and with a look at the ID token.
pub(super) fn oauth2(stage: &Stage) -> Result<Peer> {
    let (token, identity) = (free_port()?, free_port()?);
    let (signing, checking) = (filter_oauth2(stage, token)?, filter_oauth2(stage, identity)?);
    let listeners = json!([
        listener(token, &[signing], None),
        listener(identity, &[checking, filter_jwt_authn(stage)?], None),
    ]);
    let (server, system) = start(stage, "oauth2", &listeners, &[token, identity])?;
    let (token, identity) = (Origin::plain(token), Origin::plain(identity));
    let only = format!("{system} oauth2");
    let service = |system: &str, work, origin: &Origin, path, proof| Service {
        system: system.to_owned(),
        work,
        origin: origin.clone(),
        path,
        proof,
    };
    let (bearer, user) = (stage.sign_in(&token)?, stage.sign_in(&identity)?);
    let services = vec![
        service(&only, Work::SealedSession, &token, NEED_TOKEN, Proof::Token(Rc::clone(&bearer))),
        service(
            &format!("{only} + jwt_authn"),
            Work::SealedSession,
            &identity,
            NEED_USER,
            Proof::Identity(Rc::clone(&user)),
        ),
        service(&only, Work::Redirect, &token, NEED_USER, Proof::Redirect(stage.emulator.issuer())),
    ];
    Ok(Peer { server, services })
}

fn start(
    stage: &Stage,
    name: &str,
    listeners: &Value,
    at: &[SocketAddr],
) -> Result<(crate::child::Server, String)> {
    let envoy = program("envoy")?;
    let system = named("Envoy", Command::new(&envoy).arg("--version"))?;
    let secret = |name: &str, value: &str| json!({ "name": name, "generic_secret": { "secret": { "inline_string": value } } });
    let (_, client_secret) = stage.client()?;
    let configuration = json!({ "static_resources": {
        "listeners": listeners,
        "clusters": [cluster("behind", stage.behind), cluster("provider", provider(stage)?)],
        "secrets": [
            secret("token", client_secret),
            secret("hmac", "32 bytes of a key for this run.."),
        ],
    }});
    let file = stage.scratch().join(format!("envoy-{name}.json"));
    fs::write(&file, serde_json::to_vec_pretty(&configuration)?)?;
    let mut command = stage.pins.proxy(&envoy);
    command.args(["--concurrency", &stage.threads.to_string(), "-l", "warn", "--disable-hot-restart", "-c"]);
    Ok((stage.start(command.arg(&file), at, &format!("envoy-{name}"))?, system))
}

fn provider(stage: &Stage) -> Result<SocketAddr> {
    let issuer = url::Url::parse(&stage.emulator.issuer())?;
    Ok(*issuer.socket_addrs(|| None)?.first().ok_or("find the provider's address")?)
}

fn address(of: SocketAddr) -> Value {
    json!({ "socket_address": { "address": of.ip().to_string(), "port_value": of.port() } })
}

fn cluster(name: &str, at: SocketAddr) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": { "thresholds": [
            { "max_connections": 4096, "max_pending_requests": 4096, "max_requests": 4096 },
        ]},
        "load_assignment": { "cluster_name": name, "endpoints": [
            { "lb_endpoints": [{ "endpoint": { "address": address(at) } }] },
        ]},
    })
}

fn listener(at: SocketAddr, filters: &[Value], transport: Option<Value>) -> Value {
    let router = filter("http.router", "http.router.v3.Router", json!({}));
    let filters: Vec<&Value> = filters.iter().chain([&router]).collect();
    let connections = filter(
        "network.http_connection_manager",
        "network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": format!("at_{}", at.port()),
            "generate_request_id": false,
            "http_filters": filters,
            "route_config": { "virtual_hosts": [{
                "name": "all",
                "domains": ["*"],
                "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "behind", "timeout": "0s" } }],
            }]},
        }),
    );
    let mut chain = json!({ "filters": [connections] });
    if let (Some(transport), Some(chain)) = (transport, chain.as_object_mut()) {
        chain.insert("transport_socket".to_owned(), transport);
    }
    json!({ "name": at.to_string(), "address": address(at), "filter_chains": [chain] })
}

/// A filter by its name and type, with its settings.
fn filter(name: &str, kind: &str, mut settings: Value) -> Value {
    if let Some(settings) = settings.as_object_mut() {
        settings.insert("@type".to_owned(), json!(format!("{API}.filters.{kind}")));
    }
    json!({ "name": format!("envoy.filters.{name}"), "typed_config": settings })
}

fn transport(stage: &Stage) -> Value {
    let certificate = &stage.certificate;
    json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": format!("{API}.transport_sockets.tls.v3.DownstreamTlsContext"),
            "disable_stateless_session_resumption": true,
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": { "tls_minimum_protocol_version": "TLSv1_3" },
                "tls_certificates": [{
                    "certificate_chain": { "filename": certificate.chain },
                    "private_key": { "filename": certificate.key },
                }],
            },
        },
    })
}

fn filter_oauth2(stage: &Stage, at: SocketAddr) -> Result<Value> {
    let (issuer, (client, _)) = (stage.emulator.issuer(), stage.client()?);
    let settings = json!({ "config": {
        "token_endpoint": { "cluster": "provider", "uri": format!("{issuer}/token"), "timeout": "10s" },
        "authorization_endpoint": format!("{issuer}/authorize"),
        "redirect_uri": format!("http://{at}/callback"),
        "redirect_path_matcher": { "path": { "exact": "/callback" } },
        "signout_path": { "path": { "exact": "/sign-out" } },
        "credentials": {
            "client_id": client.id,
            "token_secret": { "name": "token" },
            "hmac_secret": { "name": "hmac" },
        },
        "auth_scopes": ["openid", "profile", "email"],
        "auth_type": "BASIC_AUTH",
        "forward_bearer_token": true,
    }});
    Ok(filter("http.oauth2", "http.oauth2.v3.OAuth2", settings))
}

fn filter_jwt_authn(stage: &Stage) -> Result<Value> {
    let (issuer, (client, _)) = (stage.emulator.issuer(), stage.client()?);
    let settings = json!({
        "providers": { "local": {
            "issuer": issuer,
            "audiences": [client.id],
            "from_cookies": ["IdToken"],
            "claim_to_headers": [
                { "header_name": "x-forwarded-user", "claim_name": "sub" },
                { "header_name": "x-forwarded-email", "claim_name": "email" },
            ],
            "remote_jwks": {
                "http_uri": { "uri": format!("{issuer}/jwks"), "cluster": "provider", "timeout": "5s" },
                "cache_duration": "43200s",
            },
        }},
        "rules": [{ "match": { "prefix": "/" }, "requires": { "provider_name": "local" } }],
    });
    Ok(filter("http.jwt_authn", "http.jwt_authn.v3.JwtAuthentication", settings))
}
