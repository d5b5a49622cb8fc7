//! ID tokens: of all texts there is one that passes, and it says what its signer said.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::json;
use vestibule_fuzz::provider::{CLIENT_ID, ID_TOKEN, ISSUER, NONCE, Says, code, provider, run};

fuzz_target!(|text: &str| {
    assert_eq!(subject(ID_TOKEN).as_deref(), Some("ada"), "the honest one");
    if let Some(sub) = subject(text) {
        // Without the key only what was signed can pass, bit for bit but for the end of its signature.
        let signed = |token: &str| token.rsplit_once('.').map(|(signed, _)| signed.to_owned());
        assert_eq!(signed(text), signed(ID_TOKEN), "forged: {text}");
        assert_eq!(sub, "ada");
    }
});

fn subject(id_token: &str) -> Option<String> {
    let tokens = json!({ "access_token": "a-1", "token_type": "Bearer", "id_token": id_token });
    let provider = provider(Says { tokens: tokens.to_string().into(), ..Says::default() });
    let validated = run(async {
        let verifier = "v43-characters-long-and-not-one-character-less";
        let tokens = provider.exchange(&code(), verifier, "https://app.test/cb").await.ok()?;
        assert!(provider.validate_id_token(&tokens, "another").await.is_err(), "for another login");
        provider.validate_id_token(&tokens, NONCE).await.ok()
    })?;
    assert_eq!(validated.claims().text("iss"), Some(ISSUER));
    assert_eq!(validated.claims().text("aud"), Some(CLIENT_ID));
    Some(validated.sub().to_owned())
}
