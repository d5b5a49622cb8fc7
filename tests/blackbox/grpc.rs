//! gRPC through the gateway, between a client and a server of somebody else's making.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::grpc::{GrpcServer, call};
use crate::support::http2_client::{TlsSite, certificate};
use crate::support::http2_upstream::{Act, Http2Upstream};
use crate::support::listener::free_port;

/// A site with a route for each service, an upstream behind them, and the certificate in a file.
struct House {
    site: TlsSite,
    server: GrpcServer,
    folder: tempfile::TempDir,
}

impl House {
    fn open() -> Self {
        let server = GrpcServer::plain();
        let upstream = json!({ "servers": [format!("http://127.0.0.1:{}", server.port)], "protocol": "h2c" });
        Self::around(server, &upstream)
    }

    fn around(server: GrpcServer, upstream: &Value) -> Self {
        let with = |key: &str, value: Value| {
            let mut upstream = upstream.clone();
            upstream[key] = value;
            upstream
        };
        let service = |id: &str, auth: Value, upstream: Value| json!({ "id": id, "match": { "path": format!("/{id}.Probe") }, "auth": auth, "upstream": upstream });
        let mut directors = service("directors", json!({ "session": "idp" }), upstream.clone());
        directors["require"] = json!([{ "groups": ["directors"] }]);
        let mut small = service("small", json!("public"), upstream.clone());
        small["limits"] = json!({ "body": "64KiB" });
        let slow = with("timeouts", json!({ "stream_idle": "1s" }));
        let down = json!({ "servers": [format!("http://127.0.0.1:{}", free_port())], "protocol": "h2c" });
        // Silence of streams is longer than that of answers.
        let patient = with("timeouts", json!({ "first_byte": "1s", "between_bytes": "1s" }));
        let site = TlsSite::with(|config, _| {
            config
                .route(service("anyone", json!("public"), patient.clone()))
                .route(service("mine", json!({ "session": "idp" }), patient))
                .route(directors)
                .route(small)
                .route(service("slow", json!("public"), slow))
                .route(service("down", json!("public"), down))
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &site.certificate).unwrap();
        Self { site, server, folder }
    }

    fn call(&self, service: &str, cookie: &str, name: &str, argument: &str) -> Value {
        let authority = self.folder.path().join("ca.pem").display().to_string();
        call(self.site.site.gateway.port(), &authority, [service, cookie, name, argument])
    }
}

#[rstest]
#[case::public("anyone.Probe")]
#[case::protected("mine.Probe")]
fn every_kind_of_call_works(#[case] service: &str) {
    let house = House::open();
    let cookie = house.site.cookie.clone();

    let echo = house.call(service, &cookie, "echo", "hello");
    assert_eq!(echo["code"], 0, "{echo}");
    let said: Value = serde_json::from_str(echo["messages"][0].as_str().unwrap()).unwrap();
    assert_eq!(said["message"], "hello");
    assert_eq!(said["host"], json!(house.site.site.gateway.host()));
    let user = &said["metadata"]["x-forwarded-user"];
    assert_eq!(*user, if service == "mine.Probe" { json!("ada") } else { Value::Null }, "{said}");
    assert_eq!(said["metadata"]["cookie"], Value::Null, "our cookie stays here: {said}");
    assert_eq!(echo["trailing"]["x-trailing"], json!(["after the answer"]));
    assert_eq!(echo["trailing"]["x-trailing-bin"], json!(["\u{0}\u{ff}\u{1}"]));

    let fail = house.call(service, &cookie, "fail", "");
    assert_eq!((&fail["code"], &fail["details"]), (&json!(5), &json!("nicht gefunden: 100 % – ende")));
    assert_eq!(fail["trailing"]["grpc-status-details-bin"], json!(["every detail"]));

    let count = house.call(service, &cookie, "count", "40");
    let expected: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    assert_eq!((&count["code"], &count["messages"]), (&json!(0), &json!(expected)));
    assert_eq!(count["trailing"]["x-trailing"], json!(["counted"]));

    let collect = house.call(service, &cookie, "collect", "1048576");
    assert_eq!((&collect["code"], &collect["messages"]), (&json!(0), &json!(["1048576"])));

    let chat = house.call(service, &cookie, "chat", "one two three");
    assert_eq!((&chat["code"], &chat["messages"]), (&json!(0), &json!(["ONE", "TWO", "THREE"])), "{chat}");
}

#[test]
fn cancelling_and_deadlines_reach_the_server() {
    let house = House::open();
    let cancel = house.call("anyone.Probe", "", "cancel", "");
    assert_eq!(
        (&cancel["code"], cancel["messages"].as_array().map(Vec::len)),
        (&json!(1), Some(3)),
        "{cancel}"
    );
    let deadline = house.call("anyone.Probe", "", "deadline", "");
    assert_eq!(deadline["code"], 4, "{deadline}");
    eventually("both calls to be cancelled at the server", || {
        (house.call("anyone.Probe", "", "cancelled", "")["messages"] == json!(["2"])).then_some(())
    });
}

#[rstest]
#[case::nobody_is_signed_in("mine.Probe", None, "echo", "", 16, "sign_in_required")]
#[case::a_session_that_is_none(
    "mine.Probe",
    Some("__Host-vestibule=garbage"),
    "echo",
    "",
    16,
    "sign_in_required"
)]
#[case::no_such_service("elsewhere.Probe", None, "echo", "", 16, "sign_in_required")]
#[case::the_upstream_is_down("down.Probe", None, "echo", "", 14, "bad_gateway")]
#[case::the_upstream_is_slow("slow.Probe", None, "hang", "", 4, "gateway_timeout")]
#[case::too_large("small.Probe", None, "collect", "200000", 8, "body_too_large")]
fn a_refusal_is_a_grpc_status(
    #[case] service: &str,
    #[case] cookie: Option<&str>,
    #[case] name: &str,
    #[case] argument: &str,
    #[case] code: u16,
    #[case] reason: &str,
) {
    let house = House::open();
    let refused = house.call(service, cookie.unwrap_or_default(), name, argument);
    assert_eq!(refused["code"], code, "{refused}");
    let details = refused["details"].as_str().unwrap();
    assert!(details.starts_with(&format!("{reason}: ")) && details.ends_with('.'), "{details}");
    assert_eq!(refused["messages"], json!([]));
}

#[test]
fn a_denied_call_is_permission_denied() {
    let house = House::open();
    let denied = house.call("directors.Probe", &house.site.cookie, "echo", "");
    assert_eq!(denied["code"], 7, "{denied}");
    drop(house.server);
}

#[test]
fn a_server_over_tls_is_spoken_to_in_http2() {
    let (certificate, key) = certificate(&["grpc.internal"]);
    let folder = tempfile::tempdir().unwrap();
    let (at, key_at) = (folder.path().join("grpc.pem"), folder.path().join("grpc.key"));
    std::fs::write(&at, certificate).unwrap();
    std::fs::write(&key_at, key).unwrap();
    let server = GrpcServer::tls(&key_at, &at);
    let upstream = json!({
        "servers": [format!("https://127.0.0.1:{}", server.port)], "protocol": "h2",
        "tls": { "ca": at.display().to_string(), "server_name": "grpc.internal" },
    });
    let house = House::around(server, &upstream);
    let echo = house.call("mine.Probe", &house.site.cookie, "echo", "hello");
    assert_eq!(echo["code"], 0, "{echo}\n{}", house.site.site.gateway.logs());
}

/// One HEADERS frame, which ends the stream: what the protocol calls Trailers-Only.
#[test]
fn a_refusal_is_trailers_only() {
    let site = TlsSite::with(|config, _| config);
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let answer = site.client.send(site.request("POST", "/mine.Probe/Echo", &headers), &[b"\0\0\0\0\0"]);
    assert_eq!((answer.status, answer.end), (200, Ok(())));
    assert_eq!(answer.header("content-type"), "application/grpc");
    assert_eq!(answer.header("grpc-status"), "16");
    assert!(answer.header("grpc-message").starts_with("sign_in_required: "), "{:?}", answer.headers);
    assert!(answer.body.is_empty() && answer.trailers.is_none());
    site.site.upstream.saw_nothing();
}

/// The same from an upstream passes as it is.
#[test]
fn a_trailers_only_answer_of_the_server_passes() {
    let upstream = Http2Upstream::plain();
    upstream.at(
        "/anyone.Probe/Echo",
        Act::Says(200, &[("content-type", "application/grpc"), ("grpc-status", "12")], b""),
    );
    let site = TlsSite::with(|config, _| {
        config.route(json!({
            "id": "anyone", "match": { "path": "/anyone.Probe" }, "auth": "public",
            "upstream": { "servers": [upstream.url()], "protocol": "h2c" },
        }))
    });
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let answer = site.client.send(site.request("POST", "/anyone.Probe/Echo", &headers), &[b"\0\0\0\0\0"]);
    assert_eq!((answer.status, answer.end, answer.header("grpc-status")), (200, Ok(()), "12"), "{answer:?}");
    assert!(answer.body.is_empty());
}
