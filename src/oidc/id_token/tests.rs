//! One named case per check.

use aws_lc_rs::signature::RSA_PSS_SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::super::jwks;
use super::super::testing::{self, ISSUER, NOW, SigningKey};
use super::*;

const ALGORITHMS: [SigningAlgorithm; 4] =
    [SigningAlgorithm::Rs256, SigningAlgorithm::Ps256, SigningAlgorithm::Es256, SigningAlgorithm::EdDsa];

fn rules() -> Rules<'static> {
    Rules {
        issuer: ISSUER,
        client_id: "app",
        algorithms: &ALGORITHMS,
        clock_skew: Duration::from_mins(1),
        nonce: "n-1",
        access_token: "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y",
        now: NOW,
    }
}

fn keys(keys: &[(&SigningKey, &str)]) -> KeySet {
    let keys: Vec<_> = keys.iter().map(|(key, kid)| key.jwk(kid)).collect();
    jwks::process(&testing::json(&json!({ "keys": keys }))).unwrap()
}

fn validate(token: &str, keys: &KeySet) -> Result<ValidatedIdToken, Rejected> {
    Candidate::examine(token, &rules())?.verify(keys, &rules())
}

/// Signs with the one key of the provider and validates.
fn validate_claims(claims: &str) -> Result<ValidatedIdToken, Rejected> {
    let key = SigningKey::rsa();
    validate(&key.sign(&json!({ "alg": "RS256", "kid": "k" }), claims), &keys(&[(key, "k")]))
}

fn validate_with(name: &str, value: Value) -> Result<ValidatedIdToken, Rejected> {
    let mut claims = testing::claims();
    claims[name] = value;
    validate_claims(&claims.to_string())
}

fn validate_header(header: &Value) -> Result<ValidatedIdToken, Rejected> {
    let key = SigningKey::rsa();
    validate(&key.sign(header, &testing::claims().to_string()), &keys(&[(key, "k")]))
}

fn seconds(after_now: i64) -> Value {
    json!(NOW.as_secs().checked_add_signed(after_now).unwrap())
}

#[rstest]
#[case::rs256(SigningKey::rsa(), "RS256")]
#[case::ps256(SigningKey::rsa(), "PS256")]
#[case::es256(SigningKey::es256(), "ES256")]
#[case::eddsa(SigningKey::ed25519(), "EdDSA")]
fn accepts_a_good_token_signed_with(#[case] key: &SigningKey, #[case] algorithm: &str) {
    let mut claims = testing::claims();
    claims["sid"] = json!("s-1");
    claims["auth_time"] = seconds(-30);
    claims["groups"] = json!(["staff", "admins"]);
    let token = key.sign(&json!({ "alg": algorithm, "kid": "k", "typ": "JWT" }), &claims.to_string());
    let validated = validate(&token, &keys(&[(key, "k")])).unwrap();
    assert_eq!(validated.sub(), "ann");
    assert_eq!(validated.sid(), Some("s-1"));
    assert_eq!(validated.auth_time(), Some(Timestamp::from_secs(NOW.as_secs() - 30)));
    assert_eq!(Value::Object(validated.claims().members().clone()), claims);
}

#[rstest]
#[case::an_issuer_with_a_slash("iss", json!("https://idp.example.com/as/"), Rejected::IdTokenIssuer)]
#[case::another_issuer("iss", json!("https://evil.example"), Rejected::IdTokenIssuer)]
#[case::no_issuer("iss", Value::Null, Rejected::IdTokenIssuer)]
#[case::another_client("aud", json!("other"), Rejected::IdTokenAudience)]
#[case::another_client_in_a_list("aud", json!(["other"]), Rejected::IdTokenAudience)]
#[case::an_extra_audience("aud", json!(["app", "other"]), Rejected::IdTokenAudience)]
#[case::an_empty_audience("aud", json!([]), Rejected::IdTokenAudience)]
#[case::no_audience("aud", Value::Null, Rejected::IdTokenAudience)]
#[case::an_audience_of_numbers("aud", json!(["app", 1]), Rejected::IdTokenAudience)]
#[case::another_authorized_party("azp", json!("other"), Rejected::IdTokenAuthorizedParty)]
#[case::an_authorized_party_of_null("azp", Value::Null, Rejected::IdTokenAuthorizedParty)]
#[case::expired_61_seconds_ago("exp", seconds(-61), Rejected::IdTokenExpired)]
#[case::expired_60_seconds_ago("exp", seconds(-60), Rejected::IdTokenExpired)]
#[case::expired_at_the_epoch("exp", json!(0), Rejected::IdTokenExpired)]
#[case::no_expiry("exp", Value::Null, Rejected::IdTokenExpiry)]
#[case::an_expiry_in_words("exp", json!("1800003600"), Rejected::IdTokenExpiry)]
#[case::a_negative_expiry("exp", json!(-1), Rejected::IdTokenExpiry)]
#[case::an_expiry_beyond_calendars("exp", json!(1e300), Rejected::IdTokenExpiry)]
#[case::an_expiry_of_the_largest_number("exp", json!(u64::MAX), Rejected::IdTokenExpiry)]
#[case::issued_in_61_seconds("iat", seconds(61), Rejected::IdTokenIssuedAt)]
#[case::issued_over_an_hour_ago("iat", seconds(-3661), Rejected::IdTokenIssuedAt)]
#[case::issued_in_words("iat", json!("1800000000"), Rejected::IdTokenIssuedAt)]
#[case::no_time_of_issue("iat", Value::Null, Rejected::IdTokenIssuedAt)]
#[case::not_valid_for_61_seconds("nbf", seconds(61), Rejected::IdTokenNotYetValid)]
#[case::not_before_in_words("nbf", json!("0"), Rejected::IdTokenNotYetValid)]
#[case::another_nonce("nonce", json!("n-2"), Rejected::IdTokenNonce)]
#[case::a_longer_nonce("nonce", json!("n-11"), Rejected::IdTokenNonce)]
#[case::no_nonce("nonce", Value::Null, Rejected::IdTokenNonce)]
#[case::a_list_of_nonces("nonce", json!(["n-1"]), Rejected::IdTokenNonce)]
#[case::no_sub("sub", Value::Null, Rejected::IdTokenSubject)]
#[case::an_empty_sub("sub", json!(""), Rejected::IdTokenSubject)]
#[case::a_sub_of_256("sub", json!("a".repeat(256)), Rejected::IdTokenSubject)]
#[case::a_sub_beyond_ascii("sub", json!("änn"), Rejected::IdTokenSubject)]
#[case::a_sub_of_two_lines("sub", json!("a\nb"), Rejected::IdTokenSubject)]
#[case::a_sub_that_is_a_number("sub", json!(1), Rejected::IdTokenSubject)]
#[case::another_access_token("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"), Rejected::IdTokenAccessTokenHash)]
#[case::an_empty_at_hash("at_hash", json!(""), Rejected::IdTokenAccessTokenHash)]
#[case::an_at_hash_of_null("at_hash", Value::Null, Rejected::IdTokenMalformed)]
#[case::a_sid_that_is_a_number("sid", json!(1), Rejected::IdTokenMalformed)]
#[case::an_auth_time_in_words("auth_time", json!("noon"), Rejected::IdTokenMalformed)]
fn rejects(#[case] claim: &str, #[case] value: Value, #[case] why: Rejected) {
    assert_eq!(validate_with(claim, value).unwrap_err(), why);
}

#[rstest]
#[case::an_issuer("iss", Rejected::IdTokenIssuer)]
#[case::an_audience("aud", Rejected::IdTokenAudience)]
#[case::an_expiry("exp", Rejected::IdTokenExpiry)]
#[case::a_time_of_issue("iat", Rejected::IdTokenIssuedAt)]
#[case::a_nonce("nonce", Rejected::IdTokenNonce)]
#[case::a_sub("sub", Rejected::IdTokenSubject)]
fn rejects_a_token_without(#[case] claim: &str, #[case] why: Rejected) {
    let mut claims = testing::claims();
    claims.as_object_mut().unwrap().remove(claim);
    assert_eq!(validate_claims(&claims.to_string()).unwrap_err(), why);
}

#[rstest]
#[case::expired_59_seconds_ago("exp", seconds(-59))]
#[case::an_expiry_with_fractions("exp", json!(1_800_000_000.5))]
#[case::issued_in_60_seconds("iat", seconds(60))]
#[case::issued_an_hour_and_60_seconds_ago("iat", seconds(-3660))]
#[case::valid_in_60_seconds("nbf", seconds(60))]
#[case::our_audience_in_a_list("aud", json!(["app"]))]
#[case::ourselves_as_authorized_party("azp", json!("app"))]
#[case::a_sub_of_255("sub", json!("a".repeat(255)))]
#[case::the_at_hash_of_our_access_token("at_hash", json!("77QmUPtjPfzWtF2AnpK9RQ"))]
#[case::aggregated_claims("_claim_sources", json!({ "src1": { "endpoint": "https://evil.example" } }))]
fn accepts(#[case] claim: &str, #[case] value: Value) {
    validate_with(claim, value).unwrap();
}

#[rstest]
#[case::a_name_that_is_a_number("preferred_username", json!(4711))]
#[case::a_name_in_parts("preferred_username", json!({ "first": "ada" }))]
#[case::an_address_in_one_line("address", json!("1 Main Street"))]
#[case::a_boolean_as_text("email_verified", json!("true"))]
#[case::a_boolean_in_other_words("email_verified", json!("yes"))]
#[case::a_boolean_as_a_number("phone_number_verified", json!(1))]
#[case::a_date_as_text("updated_at", json!("2026-01-01T00:00:00Z"))]
#[case::a_date_in_words("updated_at", json!("yesterday"))]
#[case::an_address_of_a_list("email", json!(["ann@example.com"]))]
#[case::a_locale_that_is_none("locale", json!(1))]
#[case::a_picture_that_is_no_address("picture", json!(false))]
#[case::one_authentication_method("amr", json!("pwd"))]
#[case::a_level_that_is_a_number("acr", json!(1))]
#[case::null("name", Value::Null)]
#[case::a_name_in_no_language("name#", json!("ann"))]
fn keeps_whatever_else_is_said_of_a_person(#[case] claim: &str, #[case] value: Value) {
    let validated = validate_with(claim, value.clone()).unwrap();
    assert_eq!(validated.claims().members().get(claim), Some(&value));
}

#[rstest]
#[case::sub(r#""sub":"mallory""#)]
#[case::nonce(r#""nonce":"n-1""#)]
#[case::something_within(r#""address":{"country":"NL","country":"BE"}"#)]
fn rejects_a_repeated_member(#[case] member: &str) {
    let claims = testing::claims().to_string().replacen('{', &format!("{{{member},"), 1);
    assert_eq!(validate_claims(&claims).unwrap_err(), Rejected::IdTokenMalformed);
}

#[test]
fn rejects_claims_nested_too_deep() {
    let claims = testing::claims().to_string();
    let deep = format!(r#"{{"x":{}{},"#, "[".repeat(64), "]".repeat(64));
    assert_eq!(validate_claims(&claims.replacen('{', &deep, 1)).unwrap_err(), Rejected::IdTokenMalformed);
}

#[test]
fn rejects_a_token_that_is_too_long() {
    let why = validate_with("groups", json!("g".repeat(70_000))).unwrap_err();
    assert_eq!(why, Rejected::IdTokenTooLong);
}

#[rstest]
#[case::alg_none(json!({ "alg": "none", "kid": "k" }), Rejected::IdTokenAlgorithm)]
#[case::alg_none_in_capitals(json!({ "alg": "NONE", "kid": "k" }), Rejected::IdTokenAlgorithm)]
#[case::hs256(json!({ "alg": "HS256", "kid": "k" }), Rejected::IdTokenAlgorithm)]
#[case::an_algorithm_not_configured(json!({ "alg": "RS512", "kid": "k" }), Rejected::IdTokenAlgorithm)]
#[case::no_algorithm(json!({ "kid": "k" }), Rejected::IdTokenMalformed)]
#[case::an_algorithm_that_is_a_number(json!({ "alg": 256, "kid": "k" }), Rejected::IdTokenMalformed)]
#[case::critical_parameters(json!({ "alg": "RS256", "kid": "k", "crit": ["exp"], "exp": 1 }), Rejected::IdTokenCritical)]
#[case::empty_critical_parameters(json!({ "alg": "RS256", "kid": "k", "crit": [] }), Rejected::IdTokenCritical)]
#[case::an_access_token(json!({ "alg": "RS256", "kid": "k", "typ": "at+jwt" }), Rejected::IdTokenType)]
#[case::a_logout_token(json!({ "alg": "RS256", "kid": "k", "typ": "logout+jwt" }), Rejected::IdTokenType)]
#[case::a_type_that_is_a_list(json!({ "alg": "RS256", "kid": "k", "typ": ["JWT"] }), Rejected::IdTokenType)]
#[case::a_token_in_a_token(json!({ "alg": "RS256", "kid": "k", "cty": "JWT" }), Rejected::IdTokenType)]
#[case::a_kid_that_is_a_number(json!({ "alg": "RS256", "kid": 1 }), Rejected::IdTokenMalformed)]
#[case::an_unknown_kid(json!({ "alg": "RS256", "kid": "other" }), Rejected::IdTokenKeyUnknown)]
#[case::the_key_of_another_algorithm(json!({ "alg": "ES256", "kid": "k" }), Rejected::IdTokenKeyUnknown)]
fn rejects_the_header(#[case] header: Value, #[case] why: Rejected) {
    assert_eq!(validate_header(&header).unwrap_err(), why);
}

#[test]
fn rejects_a_header_that_repeats_a_member() {
    let token =
        SigningKey::rsa().sign(&json!({ "alg": "RS256", "kid": "k" }), &testing::claims().to_string());
    let (_, rest) = token.split_once('.').unwrap();
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"k","alg":"RS256"}"#);
    let why = Candidate::examine(&format!("{header}.{rest}"), &rules()).err();
    assert_eq!(why, Some(Rejected::IdTokenMalformed));
}

#[test]
fn accepts_a_token_without_kid_when_one_key_fits() {
    let (rsa, curve) = (SigningKey::rsa(), SigningKey::es256());
    let token = rsa.sign(&json!({ "alg": "RS256" }), &testing::claims().to_string());
    assert!(validate(&token, &keys(&[(rsa, "a"), (curve, "b")])).is_ok());
    let ambiguous = validate(&token, &keys(&[(rsa, "a"), (SigningKey::other_rsa(), "b")])).unwrap_err();
    assert_eq!(ambiguous, Rejected::IdTokenKeyAmbiguous);
}

#[rstest]
#[case::as_a_jwk(Value::Object(SigningKey::rsa().jwk("k")).to_string().into_bytes())]
#[case::as_a_modulus(URL_SAFE_NO_PAD.decode(SigningKey::rsa().jwk("k")["n"].as_str().unwrap()).unwrap())]
#[case::as_encoded_modulus(SigningKey::rsa().jwk("k")["n"].as_str().unwrap().as_bytes().to_vec())]
fn rejects_hs256_signed_with_the_public_key(#[case] secret: Vec<u8>) {
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"k"}"#),
        URL_SAFE_NO_PAD.encode(testing::claims().to_string())
    );
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
    let mac = URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes()));
    let why = validate(&format!("{signed}.{mac}"), &keys(&[(SigningKey::rsa(), "k")])).unwrap_err();
    assert_eq!(why, Rejected::IdTokenAlgorithm);
}

#[rstest]
#[case::for_encryption("use", json!("enc"))]
#[case::for_something_unknown("use", json!("tls"))]
#[case::for_another_algorithm("alg", json!("RS512"))]
#[case::for_the_other_padding("alg", json!("PS256"))]
#[case::for_another_key_type("alg", json!("ES256"))]
#[case::for_key_wrapping("alg", json!("RSA-OAEP"))]
#[case::for_signing_alone("key_ops", json!(["sign"]))]
#[case::under_another_kid("kid", json!("other"))]
#[case::with_an_exponent_of_one("e", json!("AQ"))]
fn rejects_a_good_signature_by_a_key(#[case] member: &str, #[case] value: Value) {
    let key = SigningKey::rsa();
    let mut jwk = key.jwk("k");
    jwk.insert(member.to_owned(), value);
    // The other key makes it a set that is usable for something.
    let set = json!({ "keys": [jwk, SigningKey::es256().jwk("e")] });
    let set = jwks::process(&testing::json(&set)).unwrap();
    let token = key.sign(&json!({ "alg": "RS256", "kid": "k" }), &testing::claims().to_string());
    assert_eq!(validate(&token, &set).unwrap_err(), Rejected::IdTokenKeyUnknown);
}

#[test]
fn rejects_the_signature_of_another_algorithm_of_the_same_key() {
    let key = SigningKey::rsa();
    let claims = testing::claims().to_string();
    let said = key.sign(&json!({ "alg": "RS256", "kid": "k" }), &claims);
    let (signing_input, _) = said.rsplit_once('.').unwrap();
    let done = key.sign_as(&RSA_PSS_SHA256, signing_input);
    let why = validate(&format!("{signing_input}.{done}"), &keys(&[(key, "k")])).unwrap_err();
    assert_eq!(why, Rejected::IdTokenSignature);
}

#[rstest]
#[case::padded(|signature: &str| format!("{signature}=="), Rejected::IdTokenMalformed)]
#[case::in_the_other_alphabet(|signature: &str| format!("+/{signature}"), Rejected::IdTokenMalformed)]
#[case::with_a_blank(|signature: &str| format!("{signature} "), Rejected::IdTokenMalformed)]
#[case::empty(|_: &str| String::new(), Rejected::IdTokenSignature)]
#[case::longer(|signature: &str| format!("AAAA{signature}"), Rejected::IdTokenSignature)]
fn rejects_another_spelling_of_the_signature(
    #[case] respell: impl FnOnce(&str) -> String,
    #[case] why: Rejected,
) {
    let key = SigningKey::rsa();
    let token = key.sign(&json!({ "alg": "RS256", "kid": "k" }), &testing::claims().to_string());
    let (signing_input, signature) = token.rsplit_once('.').unwrap();
    let respelled = format!("{signing_input}.{}", respell(signature));
    assert_eq!(validate(&respelled, &keys(&[(key, "k")])).unwrap_err(), why);
}

#[rstest]
#[case::claims(1)]
#[case::header(0)]
fn rejects_other_bytes_than_were_signed(#[case] part: usize) {
    let key = SigningKey::rsa();
    let token = key.sign(&json!({ "alg": "RS256", "kid": "k" }), &testing::claims().to_string());
    let mut parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    // Same JSON, one more blank.
    let json = String::from_utf8(URL_SAFE_NO_PAD.decode(&parts[part]).unwrap()).unwrap();
    parts[part] = URL_SAFE_NO_PAD.encode(format!("{json} "));
    let why = validate(&parts.join("."), &keys(&[(key, "k")])).unwrap_err();
    assert_eq!(why, Rejected::IdTokenSignature);
}

#[test]
fn ignores_keys_that_come_with_the_token() {
    let attacker = SigningKey::other_rsa();
    let header = json!({
        "alg": "RS256", "kid": "k", "jwk": attacker.jwk("k"),
        "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x5u", "x5c": ["AA=="],
    });
    let forged = attacker.sign(&header, &testing::claims().to_string());
    assert_eq!(
        validate(&forged, &keys(&[(SigningKey::rsa(), "k")])).unwrap_err(),
        Rejected::IdTokenSignature
    );
    let honest = SigningKey::rsa().sign(&header, &testing::claims().to_string());
    assert!(validate(&honest, &keys(&[(SigningKey::rsa(), "k")])).is_ok());
}

#[rstest]
#[case::rs256(SigningKey::rsa(), "RS256")]
#[case::es256(SigningKey::es256(), "ES256")]
#[case::eddsa(SigningKey::ed25519(), "EdDSA")]
fn rejects_a_broken_signature(#[case] key: &SigningKey, #[case] algorithm: &str) {
    let token = key.sign(&json!({ "alg": algorithm, "kid": "k" }), &testing::claims().to_string());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bytes[7] ^= 1;
    let keys = keys(&[(key, "k")]);
    let flipped = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&bytes));
    assert_eq!(validate(&flipped, &keys).unwrap_err(), Rejected::IdTokenSignature);
    let cut = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&bytes[..bytes.len() - 1]));
    assert_eq!(validate(&cut, &keys).unwrap_err(), Rejected::IdTokenSignature);
    assert_eq!(validate(&format!("{signed}."), &keys).unwrap_err(), Rejected::IdTokenSignature);
}

#[test]
fn rejects_any_nonce_when_the_login_has_none() {
    let key = SigningKey::rsa();
    let mut claims = testing::claims();
    claims["nonce"] = json!("");
    let token = key.sign(&json!({ "alg": "RS256", "kid": "k" }), &claims.to_string());
    let why = Candidate::examine(&token, &Rules { nonce: "", ..rules() }).err();
    assert_eq!(why, Some(Rejected::IdTokenNonce));
}

#[rstest]
#[case::just_recent_enough(-360, Ok(()))]
#[case::too_long_ago(-361, Err(Rejected::IdTokenAuthTime))]
#[case::by_a_clock_that_is_ahead(60, Ok(()))]
#[case::in_the_future(61, Err(Rejected::IdTokenAuthTime))]
fn compares_auth_time_with_max_age(#[case] at: i64, #[case] expected: Result<(), Rejected>) {
    let validated = validate_with("auth_time", seconds(at)).unwrap();
    let outcome = validated.check_max_age(Duration::from_mins(5), Duration::from_mins(1), NOW);
    assert_eq!(outcome, expected);
}

#[test]
fn max_age_needs_an_auth_time() {
    let validated = validate_claims(&testing::claims().to_string()).unwrap();
    let outcome = validated.check_max_age(Duration::from_mins(5), Duration::from_mins(1), NOW);
    assert_eq!(outcome, Err(Rejected::IdTokenAuthTime));
}

proptest! {
    #[test]
    fn never_panics_on_any_text(token in "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,80}\\.[A-Za-z0-9_-]{0,20}|\\PC{0,60}") {
        prop_assert!(Candidate::examine(&token, &rules()).is_err());
    }

    #[test]
    fn never_panics_on_odd_headers_and_claims(
        header in r#"\{"alg":"(RS256|ES256|EdDSA|none)"(,"kid":("k"|1|null))?(,"(typ|crit|cty)":("JWT"|1|\[\]))?\}"#,
        claim in "iss|aud|sub|exp|iat|nbf|nonce|azp|at_hash|auth_time|amr|address|locale|updated_at|zoneinfo",
        value in r#"null|true|-?[1-9][0-9]{0,24}|[0-9]\.[0-9]e[0-9]{1,2}|"[a-z:/]{0,9}"|\[\]|\["app",1\]|\{"a":1\}"#,
        signature in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut claims = testing::claims();
        claims[claim] = serde_json::from_str(&value).unwrap();
        let token = [header, claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let token = format!("{token}.{}", URL_SAFE_NO_PAD.encode(signature));
        let keys = keys(&[(SigningKey::rsa(), "k"), (SigningKey::es256(), "k"), (SigningKey::ed25519(), "k")]);
        prop_assert!(validate(&token, &keys).is_err());
    }
}
