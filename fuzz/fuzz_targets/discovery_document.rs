//! Metadata of a provider: taken only for the issuer that was asked, with endpoints that TLS protects.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_fuzz::provider::{ISSUER, Says, members, provider, run};

fuzz_target!(|bytes: &[u8]| {
    let provider = provider(Says { metadata: bytes.to_vec(), ..Says::default() });
    let Ok(metadata) = run(provider.ready()) else { return };
    let said = members(bytes).expect("an object");
    let text = |name: &str| said.get(name).and_then(|value| value.as_str());
    assert_eq!(text("issuer"), Some(ISSUER));
    assert_eq!(metadata.issuer, ISSUER);
    let required = [
        ("authorization_endpoint", &metadata.authorization_endpoint),
        ("token_endpoint", &metadata.token_endpoint),
        ("jwks_uri", &metadata.jwks_uri),
    ];
    let optional = [
        ("userinfo_endpoint", &metadata.userinfo_endpoint),
        ("end_session_endpoint", &metadata.end_session_endpoint),
    ];
    let optional = optional.into_iter().filter_map(|(name, url)| Some((name, url.as_ref()?)));
    for (name, url) in required.into_iter().chain(optional) {
        let said = text(name).expect("it is said");
        assert_eq!(url::Url::parse(said).as_ref(), Ok(url), "{name}");
        assert_eq!(url.scheme(), "https", "{name}: {url}");
        assert!(url.host_str().is_some() && url.fragment().is_none(), "{name}: {url}");
        assert!(url.username().is_empty() && url.password().is_none(), "{name}: {url}");
    }
});
