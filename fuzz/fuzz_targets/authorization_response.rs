//! Authorization responses, as a query or a posted form has them: one state, and a code or an error,
//! each once, with nothing in them that could steer a terminal or end a header.

#![no_main]

use libfuzzer_sys::fuzz_target;
use url::form_urlencoded;
use vestibule::oidc::AuthorizationResponse;

fuzz_target!(|bytes: &[u8]| {
    let pairs: Vec<_> = form_urlencoded::parse(bytes).collect();
    let Ok(response) = AuthorizationResponse::parse(pairs.iter().cloned()) else { return };
    let all = |name: &str| -> Vec<&str> {
        pairs.iter().filter(|(found, _)| found == name).map(|(_, value)| &**value).collect()
    };
    assert_eq!(all("state"), [response.state()]);
    for name in ["iss", "error_description"] {
        assert!(all(name).len() <= 1, "{name} twice");
    }
    let legal = |text: &str| !text.is_empty() && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    assert!(legal(response.state()));
    match response.outcome() {
        Ok(code) => {
            assert_eq!((all("code"), all("error").len()), (vec![code.expose()], 0));
            assert!(legal(code.expose()));
            assert!(!format!("{code:?}").contains(code.expose()) || code.expose().len() < 8, "shown");
        }
        Err(error) => {
            assert_eq!((all("code").len(), all("error")), (0, vec![&*error.error]));
            assert!(legal(&error.error));
            if let Some(description) = &error.description {
                assert!(!description.is_empty() && !description.chars().any(char::is_control));
            }
        }
    }
});
