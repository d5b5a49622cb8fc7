//! What a userinfo endpoint answers: an object about the person who signed in, or nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_fuzz::provider::{Says, members, provider, run};

fuzz_target!(|bytes: &[u8]| {
    let provider = provider(Says { userinfo: bytes.to_vec(), ..Says::default() });
    let Ok(claims) = run(provider.userinfo(&"a-1".to_owned().into(), "ada")) else { return };
    let said = members(bytes).expect("an object");
    assert_eq!(said.get("sub").and_then(|sub| sub.as_str()), Some("ada"));
    assert_eq!(claims.members(), &said, "nothing is lost and nothing added");
    assert!(run(provider.userinfo(&"a-1".to_owned().into(), "bob")).is_err(), "about somebody else");
});
