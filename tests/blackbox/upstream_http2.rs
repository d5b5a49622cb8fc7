//! Upstreams over HTTP/2: the same decisions and the same headers, trailers, faults, shared connections.

use std::time::Duration;

use h2::Reason;
use http::{HeaderMap, HeaderValue};
use rstest::rstest;
use serde_json::{Value, json};
use vestibule::clock::Stopwatch;

use crate::support::config::Config;
use crate::support::eventually;
use crate::support::http2_client::{Answer, TlsSite, certificate};
use crate::support::http2_upstream::{Act, Http2Upstream};
use crate::support::message::Ending;
use crate::support::raw::{Closed, Raw, exchange};
use crate::support::site::Site;
use crate::support::websocket;

/// Routes to an HTTP/2 upstream: `/h2` for anyone, `/mine` behind a session.
fn routes(upstream: &Http2Upstream, more: &Value) -> Vec<Value> {
    [("h2", "/h2", json!("public")), ("mine", "/mine", json!({ "session": "idp" }))]
        .into_iter()
        .map(|(id, path, auth)| {
            let mut service = json!({ "servers": [upstream.url()], "protocol": "h2c" });
            for (key, value) in more.as_object().into_iter().flatten() {
                service[key] = value.clone();
            }
            json!({ "id": id, "match": { "path": path }, "auth": auth, "upstream": service })
        })
        .collect()
}

/// A plain site in front of it.
fn site(upstream: &Http2Upstream, more: &Value) -> Site {
    Site::with(|config, _| routes(upstream, more).into_iter().fold(config, Config::route))
}

/// A TLS site in front of it: HTTP/2 on both sides.
fn tls_site(upstream: &Http2Upstream, more: &Value) -> TlsSite {
    TlsSite::with(|config, _| routes(upstream, more).into_iter().fold(config, Config::route))
}

#[test]
fn an_upstream_over_h2c_sees_the_same_request() {
    let upstream = Http2Upstream::plain();
    let site = site(&upstream, &json!({}));
    let session = site.session_line(&site.signed_in());
    let lines = format!(
        "{session}Cookie: b=2\r\nX-Forwarded-User: mallory\r\nx_forwarded_user: mallory\r\nX-Forwarded-For: 6.6.6.6\r\n\
         Connection: x-own, close\r\nX-Own: 1\r\nTE: trailers\r\nKeep-Alive: timeout=5\r\nProxy-Authorization: Basic eA==\r\n\
         Content-Length: 5\r\n"
    );
    let request =
        format!("POST /mine/a%20b?x=1 HTTP/1.1\r\nHost: {}\r\n{lines}\r\nhello", site.gateway.host());
    let response = Raw::connect(site.gateway.port()).send(request).response().unwrap();
    assert_eq!((response.status, response.text().as_str()), (200, "hello"), "{}", response.everything());
    let seen = upstream.only("/mine/a%20b");
    assert_eq!(seen.head.uri.query(), Some("x=1"));
    assert_eq!((seen.authority(), seen.all("host").len()), (site.gateway.host().as_str(), 0));
    assert_eq!(seen.head.uri.scheme_str(), Some("http"));
    assert_eq!(seen.all("x-forwarded-user"), ["ada"]);
    assert_eq!(seen.all("cookie"), ["b=2"]);
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.body, b"hello");
    let everything = format!("{:?}", seen.head);
    assert!(!everything.contains("mallory") && !everything.contains("vestibule="), "{everything}");
    for gone in ["connection", "keep-alive", "te", "proxy-authorization", "x-own", "transfer-encoding"] {
        assert!(seen.all(gone).is_empty(), "{gone} in {everything}");
    }
}

#[test]
fn from_http2_to_http2_nothing_spoofed_passes_and_te_stays() {
    let upstream = Http2Upstream::plain();
    let house = tls_site(&upstream, &json!({}));
    let headers = [
        ("cookie", "a=1"),
        ("cookie", house.cookie.as_str()),
        ("cookie", "b=2; c=3"),
        ("te", "trailers"),
        ("trailer", "x-any"),
        ("proxy-authorization", "Basic eA=="),
        ("http2-settings", "AAMAAABk"),
        ("x-forwarded-user", "mallory"),
        ("x_forwarded-email", "mallory@example.com"),
        ("x-forwarded-host", "evil.test"),
        ("x-real-ip", "6.6.6.6"),
        ("grpc-timeout", "10S"),
    ];
    let answer = house.client.send(house.request("POST", "/mine/x", &headers), &[b"one", b"two"]);
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"onetwo".as_slice()), "{answer:?}");
    let seen = upstream.only("/mine/x");
    assert_eq!(seen.all("cookie"), ["a=1; b=2; c=3"]);
    assert_eq!(seen.all("te"), ["trailers"]);
    assert_eq!(seen.all("x-forwarded-user"), ["ada"]);
    assert_eq!(seen.all("grpc-timeout"), ["10S"]);
    assert_eq!(seen.authority(), house.site.gateway.host());
    let everything = format!("{:?}", seen.head);
    for gone in [
        "mallory",
        "evil.test",
        "6.6.6.6",
        "__Host-vestibule",
        "proxy-authorization",
        "http2-settings",
        "\"trailer\"",
    ] {
        assert!(!everything.contains(gone), "{gone} in {everything}");
    }
}

#[rstest]
#[case::preserved("preserve", None)]
#[case::the_server("server", Some("127.0.0.1:PORT"))]
#[case::a_name("wiki.internal", Some("wiki.internal"))]
fn the_authority_is_the_host_it_is_meant_to_be(#[case] host: &str, #[case] expected: Option<&str>) {
    let upstream = Http2Upstream::plain();
    let house = tls_site(&upstream, &json!({ "host": host, "strip_prefix": "/h2" }));
    assert_eq!(house.client.send(house.request("GET", "/h2/page?x=1", &[]), &[]).status, 200);
    let seen = upstream.only("/page");
    let port = upstream.url().rsplit(':').next().unwrap().to_owned();
    let expected = expected.map_or(house.site.gateway.host(), |expected| expected.replace("PORT", &port));
    assert_eq!(seen.authority(), expected);
    assert!(seen.all("host").is_empty());
}

#[test]
fn nobody_passes_without_a_session() {
    let upstream = Http2Upstream::plain();
    let house = tls_site(&upstream, &json!({}));
    for headers in [&[][..], &[("x-forwarded-user", "root")], &[("cookie", "__Host-vestibule=garbage")]] {
        assert_eq!(house.client.send(house.request("GET", "/mine/x", headers), &[]).status, 401);
    }
    assert!(upstream.requests_to("/mine/x").is_empty());
}

#[test]
fn response_trailers_pass_between_http2_and_http2() {
    let upstream = Http2Upstream::plain();
    let house = tls_site(&upstream, &json!({}));
    let answer = house.client.send(house.request("POST", "/h2/x", &[("te", "trailers")]), &[b"body"]);
    assert_eq!((answer.status, answer.body.as_slice(), answer.end), (200, b"body".as_slice(), Ok(())));
    let trailers = answer.trailers.unwrap();
    assert_eq!(trailers.get("x-checksum"), Some(&HeaderValue::from_static("right")));
    assert_eq!(trailers.len(), 2);
}

#[test]
fn response_trailers_are_dropped_for_http1() {
    let upstream = Http2Upstream::plain();
    let site = site(&upstream, &json!({}));
    let mut raw = Raw::connect(site.gateway.port());
    for _ in 0..2 {
        let head =
            format!("POST /h2/x HTTP/1.1\r\nHost: {}\r\nContent-Length: 4\r\n\r\nbody", site.gateway.host());
        let response = raw.send(head).response().unwrap();
        assert_eq!((response.text().as_str(), response.ending), ("body", Ending::Complete));
        assert!(!response.everything().contains("checksum"));
    }
}

#[test]
fn request_trailers_are_dropped_and_harm_nothing() {
    let upstream = Http2Upstream::plain();
    let house = tls_site(&upstream, &json!({}));
    let mut trailers = HeaderMap::new();
    trailers.insert("x-forwarded-user", HeaderValue::from_static("mallory"));
    for path in ["/h2/x", "/public/x"] {
        let answer =
            house.client.exchange(house.request("POST", path, &[]), &[b"body"], Some(trailers.clone()));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    let seen = upstream.only("/h2/x");
    assert!(seen.complete && seen.body == b"body");
    assert!(!format!("{:?}", seen.head).contains("mallory"));
    assert!(house.site.upstream.only("/public/x").request.complete);
    assert!(!house.site.upstream.bytes().contains("mallory"));
}

#[test]
fn a_body_streams_both_ways_at_once() {
    let upstream = Http2Upstream::plain();
    upstream.at("/h2/stream", Act::StreamsBack);
    let house = tls_site(&upstream, &json!({}));
    let request = house.request("POST", "/h2/stream", &[]);
    house.client.runtime.block_on(async {
        let mut sender = house.client.sender.clone().ready().await.unwrap();
        let (response, mut out) = sender.send_request(request, false).unwrap();
        let mut body = response.await.unwrap().into_body();
        for word in ["one", "two", "three"] {
            out.send_data(word.into(), false).unwrap();
            let back =
                tokio::time::timeout(Duration::from_secs(10), body.data()).await.expect("it comes back");
            assert_eq!(back.unwrap().unwrap(), word);
            let _ = body.flow_control().release_capacity(word.len());
        }
        out.send_data("".into(), true).unwrap();
        assert!(body.data().await.is_none());
        assert_eq!(body.trailers().await.unwrap().unwrap()["x-checksum"], "streamed");
    });
}

#[test]
fn large_bodies_arrive_whole_over_http2() {
    let upstream = Http2Upstream::plain();
    let house = tls_site(&upstream, &json!({}));
    let piece = vec![b'x'; 256 * 1024];
    let pieces: Vec<&[u8]> = std::iter::repeat_n(piece.as_slice(), 12).collect();
    let answer = house.client.send(house.request("POST", "/h2/large", &[]), &pieces);
    assert_eq!((answer.status, answer.body.len(), answer.end), (200, 12 * piece.len(), Ok(())));
    assert_eq!(upstream.only("/h2/large").body.len(), 12 * piece.len());
}

#[test]
fn many_requests_share_a_connection() {
    let upstream = Http2Upstream::plain();
    let house = tls_site(&upstream, &json!({}));
    // Whoever comes at the same time as the first opens a connection, too.
    assert_eq!(house.client.send(house.request("GET", "/h2/first", &[]), &[]).status, 200);
    house.client.runtime.block_on(async {
        let asked =
            (0..60).map(|turn| {
                let person = if turn % 2 == 0 { "/mine" } else { "/h2" };
                let request = house.request("GET", &format!("{person}/{turn}"), &[("cookie", &house.cookie)]);
                let mut sender = house.client.sender.clone();
                async move {
                    crate::support::http2_client::read(sender.send_request(request, true).unwrap().0).await
                }
            });
        let answers: Vec<Answer> = futures_util::future::join_all(asked).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
    });
    for turn in 0..60 {
        let path = if turn % 2 == 0 { format!("/mine/{turn}") } else { format!("/h2/{turn}") };
        let named = upstream.only(&path).all("x-forwarded-user").len();
        assert_eq!(named, usize::from(turn % 2 == 0), "{path}");
    }
    // On a busy machine some come before the first answer is read, and open their own.
    assert!(upstream.connections() < 20, "{} connections", upstream.connections());
}

#[rstest]
#[case::stalls(Act::StallsMidBody)]
#[case::resets(Act::ResetsMidBody)]
#[case::ends_short(Act::EndsShort)]
fn a_truncated_answer_is_never_whole(#[case] act: Act) {
    let upstream = Http2Upstream::plain();
    upstream.at("/h2/cut", act);
    let times = json!({ "timeouts": { "first_byte": "1s", "between_bytes": "1s" } });
    let house = tls_site(&upstream, &times);
    let answer = house.client.send(house.request("GET", "/h2/cut", &[]), &[]);
    assert!(answer.status >= 500 || answer.end.is_err(), "{answer:?}");
    // The connection to us serves on.
    assert_eq!(house.client.send(house.request("GET", "/public/x", &[]), &[]).status, 200);

    let plain = site(&upstream, &times);
    let head = format!("GET /h2/cut HTTP/1.1\r\nHost: {}\r\n\r\n", plain.gateway.host());
    if let Some(response) = Raw::connect(plain.gateway.port()).send(head).response() {
        assert!(response.status >= 500 || response.ending == Ending::Cut, "{response:?}");
    }
    assert_eq!(plain.gateway.ask("GET /h2/canary", "").status, 200);
}

#[test]
fn a_time_out_of_one_request_leaves_the_others_alone() {
    let upstream = Http2Upstream::plain();
    upstream.at("/h2/never", Act::NeverAnswers);
    upstream.at("/h2/stream", Act::StreamsBack);
    let house = tls_site(&upstream, &json!({ "timeouts": { "first_byte": "1s", "between_bytes": "2s" } }));
    // gRPC, so that it may be silent for longer than the others.
    let stream = house.request("POST", "/h2/stream", &[("content-type", "application/grpc")]);
    house.client.runtime.block_on(async {
        let mut sender = house.client.sender.clone().ready().await.unwrap();
        let (response, mut out) = sender.send_request(stream, false).unwrap();
        let mut body = response.await.unwrap().into_body();
        let never = house.request("GET", "/h2/never", &[]);
        let since = Stopwatch::start();
        let timed_out = crate::support::http2_client::read(sender.send_request(never, true).unwrap().0).await;
        assert_eq!(timed_out.status, 504, "{timed_out:?}");
        // The longer of both limits holds.
        assert!(since.elapsed() >= Duration::from_secs(2));
        out.send_data("still here".into(), true).unwrap();
        assert_eq!(body.data().await.unwrap().unwrap(), "still here");
    });
    let never = eventually("a reset of the stream that timed out", || {
        upstream.requests_to("/h2/never").pop().filter(|seen| seen.reset.is_some())
    });
    assert_eq!(never.reset, Some(Reason::CANCEL));
    let on = |path: &str| upstream.requests_to(path)[0].connection;
    assert_eq!(on("/h2/never"), on("/h2/stream"), "the test is about a shared connection");
}

#[test]
fn an_upstream_that_never_reads_ends_in_time() {
    let upstream = Http2Upstream::plain();
    upstream.at("/h2/deaf", Act::NeverReads);
    let site = site(&upstream, &json!({ "timeouts": { "first_byte": "1s", "between_bytes": "1s" } }));
    let head =
        format!("POST /h2/deaf HTTP/1.1\r\nHost: {}\r\nContent-Length: 1000000\r\n\r\n", site.gateway.host());
    let mut raw = Raw::connect(site.gateway.port());
    let since = Stopwatch::start();
    let response = raw.send(head).send(vec![b'x'; 1_000_000]).response().unwrap();
    assert!(matches!(response.status, 502 | 504), "{}", response.everything());
    assert!(since.elapsed() < Duration::from_secs(10));
}

#[test]
fn an_early_413_reaches_the_client() {
    let upstream = Http2Upstream::plain();
    upstream.at("/h2/early", Act::Early413);
    let house = tls_site(&upstream, &json!({}));
    let piece = vec![b'x'; 200_000];
    let answer = house.client.send(house.request("POST", "/h2/early", &[]), &[&piece, &piece]);
    assert_eq!(answer.status, 413, "{answer:?}");
    assert_eq!(house.client.send(house.request("GET", "/h2/canary", &[]), &[]).status, 200);
}

#[test]
fn a_refused_stream_is_sent_again_whatever_the_method() {
    let upstream = Http2Upstream::plain();
    upstream.at("/h2/refused", Act::RefusesFirst);
    let house = tls_site(&upstream, &json!({}));
    let answer = house.client.send(house.request("POST", "/h2/refused", &[]), &[b"body"]);
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"body".as_slice()), "{answer:?}");
    assert_eq!(upstream.only("/h2/refused").body, b"body");
}

#[rstest]
#[case::broken(Reason::INTERNAL_ERROR)]
#[case::cancelled(Reason::CANCEL)]
#[case::asks_for_http1(Reason::HTTP_1_1_REQUIRED)]
fn a_stream_reset_without_an_answer_is_502_and_never_repeated(#[case] reason: Reason) {
    let upstream = Http2Upstream::plain();
    upstream.at("/h2/reset", Act::Resets(reason));
    let site = site(&upstream, &json!({}));
    for method in ["GET", "POST"] {
        let response = site.gateway.ask(&format!("{method} /h2/reset"), "Content-Length: 0\r\n");
        assert_eq!(response.status, 502, "{}", response.everything());
    }
    assert_eq!(upstream.requests_to("/h2/reset").len(), 2);
    // Never in HTTP/1 either, which the upstream would have counted as another connection.
    assert_eq!(site.gateway.ask("GET /h2/canary", "").status, 200);
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_connection_that_is_going_away_gets_no_further_request() {
    let upstream = Http2Upstream::plain();
    upstream.at("/h2/bye", Act::GoesAway);
    let site = site(&upstream, &json!({}));
    for _ in 0..5 {
        let response = site.gateway.ask("POST /h2/bye", "Content-Length: 0\r\n");
        assert_eq!(response.status, 204, "{}\n{}", response.everything(), site.gateway.logs());
    }
    assert_eq!(upstream.requests_to("/h2/bye").len(), 5);
}

#[test]
fn a_client_that_leaves_cancels_its_stream() {
    let upstream = Http2Upstream::plain();
    upstream.at("/h2/never", Act::NeverAnswers);
    let site = site(&upstream, &json!({}));
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(format!("GET /h2/never HTTP/1.1\r\nHost: {}\r\n\r\n", site.gateway.host()));
    eventually("the request", || upstream.requests_to("/h2/never").pop().filter(|seen| seen.complete));
    drop(raw);
    let seen =
        eventually("a reset", || upstream.requests_to("/h2/never").pop().filter(|seen| seen.reset.is_some()));
    assert_eq!(seen.reset, Some(Reason::CANCEL));
}

#[test]
fn a_flood_of_announcements_harms_nothing() {
    let upstream = Http2Upstream::plain();
    upstream.at("/h2/flood", Act::Announces(20_000));
    let site = site(&upstream, &json!({}));
    assert_eq!(site.gateway.ask("GET /h2/flood", "").status, 204);
}

#[test]
fn a_websocket_needs_http1() {
    let upstream = Http2Upstream::plain();
    let site = site(&upstream, &json!({}));
    let request = websocket::request(&site.gateway.host(), "/h2/socket", "");
    let answers = exchange(site.gateway.port(), request);
    assert_eq!(answers.status(), 501, "{answers:?}");
    assert_eq!(
        answers.responses[0].json()["type"],
        "tag:vestibule,2026:no_websocket",
        "{}",
        answers.responses[0].text()
    );
    assert_eq!(answers.closed, Closed::Yes);
    // Who may not pass is told that first.
    let anonymous =
        exchange(site.gateway.port(), websocket::request(&site.gateway.host(), "/mine/socket", ""));
    assert_eq!(anonymous.status(), 401);
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn a_body_that_waits_for_100_is_asked_for() {
    let upstream = Http2Upstream::plain();
    let site = site(&upstream, &json!({}));
    let mut raw = Raw::connect(site.gateway.port());
    raw.send(format!(
        "POST /h2/expects HTTP/1.1\r\nHost: {}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
        site.gateway.host()
    ));
    assert_eq!(raw.bytes(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    let response = raw.send("body").response().unwrap();
    assert_eq!((response.status, response.text().as_str()), (200, "body"));
    assert!(upstream.only("/h2/expects").all("expect").is_empty());
}

#[test]
fn an_upstream_that_speaks_http1_alone_is_502() {
    // The other upstream of the site speaks HTTP/1 only.
    let site = Site::with(|config, upstream| {
        config.route(json!({
            "id": "old", "match": { "path": "/old" }, "auth": "public",
            "upstream": { "servers": [upstream.url()], "protocol": "h2c" },
        }))
    });
    let response = site.gateway.ask("GET /old", "");
    assert_eq!(response.status, 502, "{}", response.everything());
    assert!(site.upstream.requests().iter().all(|seen| !seen.request.target.contains("old")));
}

#[rstest]
#[case::without_alpn(&[])]
#[case::with_another(&["http/1.1"])]
fn an_upstream_that_does_not_agree_to_http2_is_502(#[case] protocols: &[&str]) {
    let (certificate, key) = certificate(&["app.internal"]);
    let upstream = Http2Upstream::tls(&certificate, &key, protocols);
    let site = Site::with(|config, _| {
        config.file("ca.pem", &certificate);
        let ca = config.path("ca.pem");
        config.route(json!({
            "id": "old", "match": { "path": "/old" }, "auth": "public",
            "upstream": { "servers": [upstream.url()], "protocol": "h2",
                "tls": { "ca": ca, "server_name": "app.internal" } },
        }))
    });
    for _ in 0..2 {
        assert_eq!(site.gateway.ask("GET /old", "").status, 502);
    }
    assert!(upstream.requests_to("/old").is_empty());
    let kind = if protocols.is_empty() { "UpstreamWithoutHttp2" } else { "kind=\"tls\"" };
    assert!(site.gateway.logs().contains(kind), "{}", site.gateway.logs());
}
