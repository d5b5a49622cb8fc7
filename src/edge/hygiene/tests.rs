use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn head(fields: &[(&str, &str)]) -> HeaderMap {
    let field = |&(name, value): &(&str, &str)| {
        (HeaderName::try_from(name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    // `collect` would keep the last of a name alone.
    let mut headers = HeaderMap::new();
    for (name, value) in fields.iter().map(field) {
        headers.append(name, value);
    }
    headers
}

fn names() -> ManagedNames {
    ManagedNames::new([HeaderName::from_static("x-remote-user")])
}

fn judge(fields: &[(&str, &str)]) -> Result<(), Malformed> {
    refuse(Version::HTTP_11, &head(fields), &names())
}

#[rstest]
#[case::none(&[])]
#[case::length(&[("content-length", "0")])]
#[case::long(&[("content-length", "1099511627776")])]
#[case::chunked(&[("transfer-encoding", "chunked")])]
#[case::chunked_in_another_case(&[("transfer-encoding", " Chunked\t")])]
#[case::keep_alive(&[("connection", "keep-alive")])]
#[case::web_socket(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")])]
#[case::cleartext_http2(&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")])]
#[case::trailers(&[("connection", "TE, close"), ("te", "trailers")])]
#[case::empty_options(&[("connection", ", close,,")])]
#[case::own_header_nominated(&[("connection", "close, X-Custom")])]
#[case::tab(&[("x-custom", "a\tb")])]
#[case::beyond_ascii(&[("x-custom", "ë")])]
#[case::one_authorization(&[("authorization", "Bearer x")])]
#[case::cookies(&[("cookie", "a=1"), ("cookie", "b=2")])]
fn passes_an_ordinary_head(#[case] fields: &[(&str, &str)]) {
    assert_eq!(judge(fields), Ok(()));
}

#[rstest]
#[case::both(&[("content-length", "13"), ("transfer-encoding", "chunked")])]
#[case::lengths(&[("content-length", "5"), ("content-length", "6")])]
#[case::equal_lengths(&[("content-length", "5"), ("content-length", "5")])]
#[case::length_list(&[("content-length", "5, 5")])]
#[case::chunked_twice(&[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")])]
fn refuses_two_ends(#[case] fields: &[(&str, &str)]) {
    assert_eq!(judge(fields), Err(Malformed::Framing));
}

#[rstest]
#[case("+5")]
#[case("-0")]
#[case("0x5")]
#[case("1_0")]
#[case("5 5")]
#[case(" 5")]
#[case("")]
#[case("5.0")]
#[case("٥")]
#[case("99999999999999999999")]
fn refuses_a_length_that_is_not_a_number(#[case] value: &str) {
    assert_eq!(judge(&[("content-length", value)]), Err(Malformed::Framing));
}

#[rstest]
#[case("xchunked")]
#[case(",chunked")]
#[case("chunked,")]
#[case("chunked, chunked")]
#[case("gzip, chunked")]
#[case("chunked, gzip")]
#[case("identity")]
#[case("chunked;q=1")]
#[case("\u{a0}chunked")]
#[case("\"chunked\"")]
#[case("chunked chunked")]
#[case("")]
fn refuses_any_coding_but_chunked(#[case] value: &str) {
    assert_eq!(judge(&[("transfer-encoding", value)]), Err(Malformed::Framing));
}

#[test]
fn refuses_a_coding_in_http_1_0() {
    let chunked = head(&[("transfer-encoding", "chunked")]);
    assert_eq!(refuse(Version::HTTP_10, &chunked, &names()), Err(Malformed::Framing));
}

#[rstest]
#[case("connection", "close")]
#[case("transfer-encoding", "chunked")]
#[case("upgrade", "websocket")]
#[case("keep-alive", "timeout=5")]
#[case("proxy-connection", "keep-alive")]
#[case("te", "gzip")]
#[case("te", "trailers, gzip")]
#[case("content-length", "5, 6")]
fn refuses_what_http_2_has_no_place_for(#[case] name: &str, #[case] value: &str) {
    assert_eq!(refuse(Version::HTTP_2, &head(&[(name, value)]), &names()), Err(Malformed::Framing));
}

#[test]
fn passes_te_trailers_over_http_2() {
    let grpc = head(&[("te", "trailers"), ("content-length", "5")]);
    assert_eq!(refuse(Version::HTTP_2, &grpc, &names()), Ok(()));
}

#[rstest]
#[case("X-Forwarded-User")]
#[case("x_forwarded_user")]
#[case("X-Remote-User")]
#[case("x.remote.user")]
#[case("Cookie")]
#[case("Authorization")]
#[case("Proxy-Authorization")]
#[case("Host")]
#[case("Content-Length")]
#[case("Transfer-Encoding")]
#[case("Forwarded")]
#[case("X-Forwarded-For")]
#[case("X-Forwarded-Prefix")]
#[case("X-Real-IP")]
#[case("X-Vestibule-Assertion")]
#[case(":authority")]
#[case("\"X-Forwarded-User\"")]
#[case("a b")]
#[case("ë")]
#[case("a, b, c, d, e, f, g, h, i, j")]
fn refuses_the_nomination_of_a_header_that_counts(#[case] option: &str) {
    assert_eq!(judge(&[("connection", option)]), Err(Malformed::Nomination));
    let second = format!("close, {option}");
    assert_eq!(judge(&[("connection", "close"), ("connection", &second)]), Err(Malformed::Nomination));
}

#[test]
fn counts_control_bytes_but_the_tab() {
    // `HeaderValue` refuses these by itself, but Pingora makes its values without asking.
    let control: Vec<u8> = (0..=255).filter(|&byte| is_control(byte)).collect();
    let expected: Vec<u8> = (0..0x20).filter(|&byte| byte != b'\t').chain([0x7f]).collect();
    assert_eq!(control, expected);
}

#[test]
fn refuses_two_authorizations() {
    let fields = [("authorization", "Bearer x"), ("authorization", "Bearer x")];
    assert_eq!(judge(&fields), Err(Malformed::Authorization));
}

#[rstest]
#[case("POST / HTTP/1.1\r\nContent-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\n", false)]
#[case("POST / HTTP/1.1\r\ntransfer-encoding:chunked\r\nCONTENT-LENGTH:4\r\n\r\n", false)]
#[case("POST / HTTP/1.1\nContent-Length: 13\nTransfer-Encoding: chunked\n\n", false)]
#[case("POST / HTTP/1.1\r\nContent-Length : 13\r\nTransfer-Encoding: chunked\r\n\r\n", false)]
#[case("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: Content-Length: 5\r\n\r\n", true)]
#[case("POST / HTTP/1.1\r\nContent-Length: 13\r\n\r\n", true)]
#[case("", true)]
fn finds_both_framings_in_a_raw_head(#[case] raw: &str, #[case] passes: bool) {
    assert_eq!(refuse_raw_framing(raw.as_bytes()).is_ok(), passes);
}

#[rstest]
#[case::host("/x", &["app.test"], Ok("app.test"))]
#[case::host_and_port("/x", &["app.test:8443"], Ok("app.test"))]
#[case::authority("https://app.test/x", &[], Ok("app.test"))]
#[case::same("http://app.test/x", &["APP.test."], Ok("app.test"))]
#[case::missing("/x", &[], Err(Malformed::Host))]
#[case::two("/x", &["app.test", "app.test"], Err(Malformed::Host))]
#[case::empty("/x", &[""], Err(Malformed::Host))]
#[case::list("/x", &["a, b"], Err(Malformed::Host))]
#[case::path("/x", &["app.test/x"], Err(Malformed::Host))]
#[case::port("/x", &["app.test:99999"], Err(Malformed::Host))]
#[case::user("/x", &["evil@app.test"], Err(Malformed::Host))]
#[case::blank("/x", &["app.test "], Err(Malformed::Host))]
#[case::beyond_ascii("/x", &["äpp.test"], Err(Malformed::Host))]
#[case::absolute_and_other("http://other.test/admin", &["app.test"], Err(Malformed::Host))]
#[case::absolute_and_other_port("http://app.test:81/admin", &["app.test"], Err(Malformed::Host))]
#[case::absolute_with_user("http://evil@app.test/", &[], Err(Malformed::Host))]
#[case::absolute_and_two("http://app.test/", &["app.test", "app.test"], Err(Malformed::Host))]
fn reads_one_host_or_none(
    #[case] target: &str,
    #[case] hosts: &[&str],
    #[case] read: Result<&str, Malformed>,
) {
    let fields: Vec<_> = hosts.iter().map(|&host| ("host", host)).collect();
    let found = read_host(&target.parse().unwrap(), &head(&fields));
    assert_eq!(found.as_ref().map(|authority| authority.host.as_str()).map_err(|&e| e), read);
}

/// Every check in turn, whatever the head has.
fn refuse_plainly(version: Version, headers: &HeaderMap, names: &ManagedNames) -> Result<(), Malformed> {
    if headers.values().any(|value| value.as_bytes().iter().any(|&byte| is_control(byte))) {
        return Err(Malformed::Value);
    }
    refuse_framing(version, headers)?;
    refuse_nominations(headers, names)?;
    if headers.get_all(AUTHORIZATION).iter().count() > 1 { Err(Malformed::Authorization) } else { Ok(()) }
}

proptest! {
    #[test]
    fn no_header_escapes_a_check(
        version in proptest::sample::select(vec![Version::HTTP_10, Version::HTTP_11, Version::HTTP_2]),
        fields in proptest::collection::vec(
            (
                proptest::sample::select(vec![
                    "content-length", "transfer-encoding", "connection", "authorization", "te", "upgrade",
                    "keep-alive", "cookie", "x-custom",
                ]),
                proptest::sample::select(vec!["", "5", "5, 5", "chunked", "close", "x-forwarded-user", "cookie", "trailers", "a\tb"]),
            ),
            0..5,
        ),
    ) {
        let headers = head(&fields);
        prop_assert_eq!(refuse(version, &headers, &names()), refuse_plainly(version, &headers, &names()));
    }

    #[test]
    fn a_head_that_passes_has_one_framing(
        lengths in proptest::collection::vec("[0-9+ ,]{0,3}", 0..3),
        codings in proptest::collection::vec("(chunked|gzip|,| ){0,3}", 0..3),
    ) {
        let lengths = lengths.iter().map(|value| ("content-length", value.as_str()));
        let codings = codings.iter().map(|value| ("transfer-encoding", value.as_str()));
        let fields: Vec<_> = lengths.chain(codings).collect();
        if judge(&fields).is_ok() {
            prop_assert!(fields.len() <= 1);
            for (name, value) in fields {
                let digits = value.bytes().all(|byte| byte.is_ascii_digit());
                let one_way = if name == "content-length" { digits } else { value.trim() == "chunked" };
                prop_assert!(one_way);
            }
        }
    }
}
