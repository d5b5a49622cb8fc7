//! Upstreams over TLS: whom they are trusted by, and that connections never mix trust.

use serde_json::{Value, json};

use crate::support::http2_client::certificate;
use crate::support::http2_upstream::Http2Upstream;
use crate::support::site::Site;

/// A site with a route per name, protocol and `tls` to this upstream.
fn site(upstream: &Http2Upstream, authorities: &[(&str, &str)], ways: &[(&str, &str, Value)]) -> Site {
    Site::with(|mut config, _| {
        for (name, certificate) in authorities {
            config.file(name, certificate);
        }
        for (id, protocol, tls) in ways {
            let mut tls = tls.clone();
            if let Some(ca) = tls.get("ca").and_then(Value::as_str).map(|name| config.path(name)) {
                tls["ca"] = json!(ca);
            }
            config = config.route(json!({
                "id": id, "match": { "path": format!("/{id}") }, "auth": "public",
                "upstream": { "servers": [upstream.url()], "protocol": protocol, "tls": tls },
            }));
        }
        config
    })
}

#[test]
fn an_own_authority_and_the_name_are_checked() {
    let (right, key) = certificate(&["app.internal"]);
    let (other, _) = certificate(&["app.internal"]);
    let upstream = Http2Upstream::tls(&right, &key, &["h2"]);
    let site = site(
        &upstream,
        &[("right.pem", &right), ("other.pem", &other)],
        &[
            ("right", "h2", json!({ "ca": "right.pem", "server_name": "app.internal" })),
            ("other", "h2", json!({ "ca": "other.pem", "server_name": "app.internal" })),
            ("system", "h2", json!({ "server_name": "app.internal" })),
            ("name", "h2", json!({ "ca": "right.pem", "server_name": "other.internal" })),
        ],
    );
    // The right one first and between the others, so that its connection is there to be misused.
    for _ in 0..3 {
        assert_eq!(site.gateway.ask("GET /right/x", "").status, 200, "{}", site.gateway.logs());
        for wrong in ["other", "system", "name"] {
            assert_eq!(site.gateway.ask(&format!("GET /{wrong}/x"), "").status, 502, "{wrong}");
        }
    }
    assert_eq!(upstream.requests_to("/right/x").len(), 3);
    let on: Vec<_> = upstream.requests_to("/right/x").iter().map(|seen| seen.connection).collect();
    assert!(on.iter().all(|connection| *connection == on[0]), "the connection was warm: {on:?}");
    for wrong in ["other", "system", "name"] {
        assert!(upstream.requests_to(&format!("/{wrong}/x")).is_empty());
    }
    assert!(site.gateway.logs().contains("kind=\"tls\""), "{}", site.gateway.logs());
}

#[test]
fn routes_of_the_same_trust_share_connections() {
    let (right, key) = certificate(&["app.internal"]);
    let upstream = Http2Upstream::tls(&right, &key, &["h2"]);
    let trust = json!({ "ca": "right.pem", "server_name": "app.internal" });
    let site =
        site(&upstream, &[("right.pem", &right)], &[("one", "h2", trust.clone()), ("two", "h2", trust)]);
    for path in ["/one/x", "/two/x", "/one/x", "/two/x"] {
        assert_eq!(site.gateway.ask(&format!("GET {path}"), "").status, 200);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn another_protocol_never_takes_over_a_connection() {
    let (right, key) = certificate(&["app.internal"]);
    let upstream = Http2Upstream::tls(&right, &key, &["h2"]);
    let trust = json!({ "ca": "right.pem", "server_name": "app.internal" });
    let site =
        site(&upstream, &[("right.pem", &right)], &[("new", "h2", trust.clone()), ("old", "http1", trust)]);
    assert_eq!(site.gateway.ask("GET /new/x", "").status, 200);
    // HTTP/1.1 is all that is offered there, and the upstream agrees to h2 alone.
    assert_eq!(site.gateway.ask("GET /old/x", "").status, 502);
    assert_eq!(site.gateway.ask("GET /new/x", "").status, 200);
    assert!(upstream.requests_to("/old/x").is_empty());
}
