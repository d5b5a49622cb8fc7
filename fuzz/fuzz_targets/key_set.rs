//! Keys of a provider: at most as many as are said, none that is a secret, and the one ID token that is
//! honest passes with none but the key that signed it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use vestibule::oidc::{Budget, SigningAlgorithm};
use vestibule_fuzz::provider::{KEYS, NONCE, Says, code, members, provider, run};

fuzz_target!(|bytes: &[u8]| {
    let provider = provider(Says { keys: bytes.to_vec(), ..Says::default() });
    let said = members(bytes).and_then(|mut said| said.remove("keys"));
    let said = said.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
    let fetched = run(provider.keys_for(None, SigningAlgorithm::Rs256, Budget::Login));
    if let Ok(keys) = &fetched {
        let usable = said.iter().filter(|key| key.get("kty").and_then(Value::as_str) != Some("oct")).count();
        assert!(keys.count() <= usable, "{} of {usable}", keys.count());
    }
    let passes = run(async {
        let tokens = provider.exchange(&code(), "v".repeat(43).as_str(), "https://app.test/cb").await.ok()?;
        provider.validate_id_token(&tokens, NONCE).await.ok()
    });
    if passes.is_some() {
        let honest: Value = serde_json::from_str(KEYS).expect("it is JSON");
        let modulus = honest.pointer("/keys/0/n").and_then(Value::as_str).expect("it has a modulus");
        let has = said.iter().filter_map(|key| key.get("n")?.as_str()).any(|n| n == modulus);
        assert!(has, "passed with another key");
    }
});
