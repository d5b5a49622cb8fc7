//! What a token endpoint answers: either refused, or tokens that stand there as text and can be sent on.

#![no_main]

use libfuzzer_sys::fuzz_target;
use secrecy::ExposeSecret as _;
use vestibule_fuzz::provider::{Says, code, members, provider, run};

fuzz_target!(|bytes: &[u8]| {
    let code = code();
    let provider = provider(Says { tokens: bytes.to_vec(), ..Says::default() });
    let exchanged =
        provider.exchange(&code, "v43-characters-long-and-not-one-character-less", "https://app.test/cb");
    let Ok(tokens) = run(exchanged) else { return };
    let said = members(bytes).expect("an object");
    let text = |name: &str| said.get(name).and_then(|value| value.as_str());
    assert!(text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")));
    assert_eq!(text("access_token"), Some(tokens.access_token.expose_secret()));
    assert_eq!(text("id_token"), Some(tokens.id_token.expose_secret()));
    assert_eq!(text("refresh_token"), tokens.refresh_token.as_ref().map(|token| token.expose_secret()));
    let sent_on = [Some(&tokens.access_token), Some(&tokens.id_token), tokens.refresh_token.as_ref()];
    for token in sent_on.into_iter().flatten() {
        let token = token.expose_secret();
        assert!(!token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()), "{token:?}");
    }
    let lifetime = said.get("expires_in").and_then(serde_json::Value::as_u64);
    assert_eq!(tokens.expires_in.map(|lifetime| lifetime.as_secs()), lifetime);
    let shown = format!("{tokens:?}");
    assert!(!shown.contains(tokens.id_token.expose_secret()), "{shown}");
});
