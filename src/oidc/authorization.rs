//! The authorization request
//! ([Core §3.1.2.1](https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest)).

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::form_urlencoded;

use super::discovery::Metadata;
use super::{Config, ResponseMode};

/// Parameters that protect a login; configuration and callers can't set them.
const RESERVED: [&str; 11] = [
    "response_type",
    "response_mode",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
];

/// Whether an authorization request parameter is ours alone to set.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    RESERVED.contains(&name)
}

/// What differs from login to login.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizationParams<'a> {
    /// `redirect_uri`: absolute, of the origin that the login is for.
    pub redirect_uri: &'a str,
    /// `state`.
    pub state: &'a str,
    /// `nonce`.
    pub nonce: &'a str,
    /// `code_challenge`, from [`code_challenge`].
    pub code_challenge: &'a str,
    /// `login_hint`.
    pub login_hint: Option<&'a str>,
    /// `prompt`; over what provider and route say.
    pub prompt: Option<&'a str>,
    /// The route's `authorize`; over what the provider says. Reserved names are left out.
    pub extra: &'a [(String, String)],
}

/// A request to send the browser away with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizationRequest {
    /// Where to send it: ASCII, every value percent-encoded.
    pub url: String,
}

/// `BASE64URL(SHA256(code_verifier))`: the only method we use
/// ([RFC 7636 §4.2](https://www.rfc-editor.org/rfc/rfc7636#section-4.2)).
#[must_use]
pub fn code_challenge(code_verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, code_verifier.as_bytes()))
}

/// Builds the request. PKCE, `state` and `nonce` are in every one.
pub(super) fn request(
    config: &Config,
    metadata: &Metadata,
    params: &AuthorizationParams<'_>,
) -> AuthorizationRequest {
    let mut further: Vec<(&str, &str)> = Vec::new();
    let configured = config.authorize.iter().chain(params.extra).map(|(n, v)| (n.as_str(), v.as_str()));
    let given = [("login_hint", params.login_hint), ("prompt", params.prompt)];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (name, value) in configured.filter(|(name, _)| !is_reserved(name)).chain(given) {
        // The later one counts: a parameter may occur once (RFC 6749 §3.1).
        further.retain(|(earlier, _)| *earlier != name);
        further.push((name, value));
    }

    let endpoint = &metadata.authorization_endpoint;
    // An endpoint has no fragment (RFC 6749 §3.1); one that has keeps it behind the query.
    let (address, fragment) = match endpoint.as_str().split_once('#') {
        Some((address, fragment)) => (address, Some(fragment)),
        None => (endpoint.as_str(), None),
    };
    let before = match endpoint.query() {
        None => "?",
        Some("") => "",
        Some(_) => "&",
    };
    let mut url = String::with_capacity(address.len() + 512 + params.state.len());
    url.push_str(address);
    url.push_str(before);
    url.push_str("response_type=code");
    append(&mut url, "client_id", &config.client_id);
    append(&mut url, "redirect_uri", params.redirect_uri);
    append(&mut url, "scope", &config.scopes.join(" "));
    append(&mut url, "state", params.state);
    append(&mut url, "nonce", params.nonce);
    append(&mut url, "code_challenge", params.code_challenge);
    url.push_str("&code_challenge_method=S256");
    if config.response_mode == ResponseMode::FormPost {
        url.push_str("&response_mode=form_post");
    }
    for (name, value) in further {
        append(&mut url, name, value);
    }
    if let Some(fragment) = fragment {
        url.push('#');
        url.push_str(fragment);
    }
    AuthorizationRequest { url }
}

/// Appends a parameter behind others.
fn append(url: &mut String, name: &str, value: &str) {
    for (sign, text) in [('&', name), ('=', value)] {
        url.push(sign);
        // Most of it is base64url. Without leaving off at the first other byte, many are looked at as one.
        if text.bytes().fold(true, |all, byte| all & stands_for_itself(byte)) {
            url.push_str(text);
        } else {
            url.extend(form_urlencoded::byte_serialize(text.as_bytes()));
        }
    }
}

/// Bytes that `application/x-www-form-urlencoded` leaves as they are, but for a few that are rare.
const fn stands_for_itself(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let digit = byte.wrapping_sub(b'0') < 10;
    letter || digit || byte == b'-' || byte == b'_' || byte == b'.'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::super::testing;
    use super::*;

    #[test]
    fn what_stands_for_itself_is_what_a_form_leaves_but_for_the_star() {
        for byte in u8::MIN..=u8::MAX {
            let written: String = form_urlencoded::byte_serialize(&[byte]).collect();
            let left = written.as_bytes() == [byte] && byte != b'*';
            assert_eq!(stands_for_itself(byte), left, "{byte:#04x}");
        }
    }

    fn params(extra: &[(String, String)]) -> AuthorizationParams<'_> {
        AuthorizationParams {
            redirect_uri: "https://app.example.com/.vestibule/callback",
            state: "s&=",
            nonce: "n",
            code_challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            login_hint: None,
            prompt: None,
            extra,
        }
    }

    fn values(url: &str, name: &str) -> Vec<String> {
        Url::parse(url)
            .unwrap()
            .query_pairs()
            .filter(|(n, _)| n == name)
            .map(|(_, value)| value.into_owned())
            .collect()
    }

    #[test]
    fn computes_the_challenge_of_rfc_7636_appendix_b() {
        let challenge = code_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn asks_for_a_code_with_pkce_state_and_nonce() {
        let built = request(&testing::config(), &testing::read_metadata(), &params(&[]));
        assert_eq!(
            built.url.as_str(),
            "https://idp.example.com/as/authorize?response_type=code&client_id=app\
             &redirect_uri=https%3A%2F%2Fapp.example.com%2F.vestibule%2Fcallback&scope=openid+profile\
             &state=s%26%3D&nonce=n&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM\
             &code_challenge_method=S256"
        );
    }

    #[test]
    fn sends_s256_even_where_the_metadata_does_not_offer_it() {
        let mut metadata = testing::read_metadata();
        metadata.code_challenge_methods_supported.clear();
        let built = request(&testing::config(), &metadata, &params(&[]));
        assert_eq!(values(&built.url, "code_challenge_method"), ["S256"]);
    }

    #[test]
    fn asks_for_form_post_where_it_is_configured() {
        let config = Config { response_mode: ResponseMode::FormPost, ..testing::config() };
        let built = request(&config, &testing::read_metadata(), &params(&[]));
        assert_eq!(values(&built.url, "response_mode"), ["form_post"]);
    }

    #[test]
    fn the_route_wins_over_the_provider_and_the_caller_over_both() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let authorize = vec![pair("prompt", "consent"), pair("ui_locales", "nl"), pair("acr_values", "low")];
        let config = Config { authorize, ..testing::config() };
        let route = [pair("prompt", "select_account"), pair("acr_values", "high")];
        let metadata = testing::read_metadata();
        let by_route = request(&config, &metadata, &params(&route)).url;
        assert_eq!(values(&by_route, "prompt"), ["select_account"]);
        assert_eq!(values(&by_route, "acr_values"), ["high"]);
        assert_eq!(values(&by_route, "ui_locales"), ["nl"]);
        let asked = AuthorizationParams { prompt: Some("login"), login_hint: Some("a@b"), ..params(&route) };
        let by_caller = request(&config, &metadata, &asked).url;
        assert_eq!(values(&by_caller, "prompt"), ["login"]);
        assert_eq!(values(&by_caller, "login_hint"), ["a@b"]);
    }

    #[test]
    fn no_configuration_can_replace_what_protects_a_login() {
        let extra: Vec<_> = RESERVED.iter().map(|name| ((*name).to_owned(), "evil".to_owned())).collect();
        let config = Config { authorize: extra.clone(), ..testing::config() };
        let built = request(&config, &testing::read_metadata(), &params(&extra));
        assert!(!built.url.as_str().contains("evil"), "{}", built.url);
    }

    #[test]
    fn keeps_the_query_of_the_endpoint() {
        let mut metadata = testing::read_metadata();
        metadata.authorization_endpoint.set_query(Some("tenant=1"));
        let built = request(&testing::config(), &metadata, &params(&[]));
        let built = Url::parse(&built.url).unwrap();
        assert!(built.query().unwrap().starts_with("tenant=1&response_type=code&"));
    }

    proptest! {
        #[test]
        fn parameters_are_written_as_a_form_has_them(
            endpoint in "(\\?([u-z]=1)?)?(#[a-z]?)?",
            state in "[A-Za-z0-9_-]{0,20}|\\PC{0,20}",
            extra in proptest::collection::vec(("[a-f]\\PC{0,5}", "\\PC{0,8}"), 0..3),
        ) {
            let mut metadata = testing::read_metadata();
            metadata.authorization_endpoint = metadata.authorization_endpoint.join(&endpoint).unwrap();
            let params = AuthorizationParams { state: &state, ..params(&extra) };
            let built = request(&testing::config(), &metadata, &params);
            let mut plain = metadata.authorization_endpoint.clone();
            let pairs: Vec<_> = Url::parse(&built.url).unwrap().query_pairs().into_owned().collect();
            let own = metadata.authorization_endpoint.query_pairs().count();
            plain.query_pairs_mut().extend_pairs(&pairs[own..]);
            prop_assert_eq!(&built.url, plain.as_str());
            prop_assert_eq!(values(&built.url, "state"), [state]);
            let last = extra.iter().rev().find(|(name, _)| extra[0].0 == *name);
            if let Some((name, value)) = last {
                prop_assert_eq!(&values(&built.url, name), std::slice::from_ref(value));
            }
        }
    }
}
