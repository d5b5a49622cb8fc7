//! The opening of a WebSocket: whether one is asked for, and whether the upstream has agreed.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use http::header::{CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING, UPGRADE};
use pingora::http::{RequestHeader, ResponseHeader};

/// Appended to the client's key, so that only who knows the protocol can answer
/// ([RFC 6455 §4.2.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2)).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Whether the request can only be the opening of a WebSocket
/// ([RFC 6455 §4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)): GET, one `Upgrade`, no body.
pub(super) fn is_asked_for(request: &RequestHeader) -> bool {
    let mut upgrades = request.headers.get_all(UPGRADE).iter();
    let one = upgrades.next().is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let body =
        request.headers.contains_key(CONTENT_LENGTH) || request.headers.contains_key(TRANSFER_ENCODING);
    one && upgrades.next().is_none() && request.method == Method::GET && !body
}

/// Whether a 101 is the agreement of somebody who has read this very request. Anything else would make
/// a tunnel past every check out of a confused upstream.
pub(super) fn is_agreed_to(request: &RequestHeader, response: &ResponseHeader) -> bool {
    let mut keys = request.headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let (Some(key), None) = (keys.next(), keys.next()) else { return false };
    let accepted = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key.as_bytes(), GUID.as_bytes()].concat());
    let protocol = response.headers.get(UPGRADE).map(http::HeaderValue::as_bytes);
    let mut said = response.headers.get_all(SEC_WEBSOCKET_ACCEPT).iter();
    let expected = STANDARD.encode(accepted);
    let right = said.next().is_some_and(|said| said.as_bytes() == expected.as_bytes());
    is_asked_for(request)
        && protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        && right
        && said.next().is_none()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use rstest::rstest;

    use super::*;

    /// The example of RFC 6455 §1.3.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    fn request(method: &str, headers: &[(&'static str, &str)]) -> RequestHeader {
        let mut request = RequestHeader::build(method, b"/", None).unwrap();
        for (name, value) in headers {
            request.append_header(*name, *value).unwrap();
        }
        request
    }

    fn response(accepts: &[&str]) -> ResponseHeader {
        let mut response = ResponseHeader::build(StatusCode::SWITCHING_PROTOCOLS, None).unwrap();
        response.insert_header(UPGRADE, "WebSocket").unwrap();
        for accept in accepts {
            response.append_header(SEC_WEBSOCKET_ACCEPT, *accept).unwrap();
        }
        response
    }

    #[test]
    fn the_example_of_the_rfc_is_an_agreement() {
        let asked = request("GET", &[("upgrade", "websocket"), ("sec-websocket-key", KEY)]);
        assert!(is_agreed_to(&asked, &response(&[ACCEPT])));
    }

    #[rstest]
    #[case::nothing(&[])]
    #[case::of_another_key(&["kPLMBiTxaQ9kYGzzhZRbK+xOo="])]
    #[case::empty(&[""])]
    #[case::twice(&[ACCEPT, ACCEPT])]
    #[case::in_another_case(&["S3PPLMBITXAQ9KYGZZHZRBK+XOO="])]
    fn any_other_word_is_none(#[case] accepts: &[&str]) {
        let asked = request("GET", &[("upgrade", "websocket"), ("sec-websocket-key", KEY)]);
        assert!(!is_agreed_to(&asked, &response(accepts)));
    }

    #[rstest]
    #[case::no_key("GET", &[("upgrade", "websocket")])]
    #[case::two_keys("GET", &[("upgrade", "websocket"), ("sec-websocket-key", KEY), ("sec-websocket-key", KEY)])]
    #[case::no_upgrade("GET", &[("sec-websocket-key", KEY)])]
    #[case::with_a_body("GET", &[("upgrade", "websocket"), ("sec-websocket-key", KEY), ("content-length", "5")])]
    #[case::another_method("POST", &[("upgrade", "websocket"), ("sec-websocket-key", KEY)])]
    fn nobody_agrees_to_what_was_not_asked(#[case] method: &str, #[case] headers: &[(&'static str, &str)]) {
        assert!(!is_agreed_to(&request(method, headers), &response(&[ACCEPT])));
    }
}
