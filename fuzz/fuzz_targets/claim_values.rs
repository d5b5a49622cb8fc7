//! Claims as header values: always legal, read back as what they were, and never two alike.

#![no_main]

use std::sync::Arc;

use http::HeaderName;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use vestibule::identity::headers::{Form, HeaderMapping, MappedHeader, Unsendable};
use vestibule::identity::{ClaimNames, ClaimPath, Claims, Identity, ProviderName};

const LIMIT: usize = 8 * 1024;

fuzz_target!(|bytes: &[u8]| {
    let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(bytes) else { return };
    let claim = members.get("c").cloned();
    let identity = Identity {
        provider: ProviderName::parse("idp").expect("a name"),
        names: Arc::new(ClaimNames::default()),
        claims: Claims::new(members),
    };
    for form in [Form::Text, Form::List, Form::Json, Form::Base64url] {
        let mapping = HeaderMapping {
            headers: vec![MappedHeader {
                name: HeaderName::from_static("x-c"),
                claim: ClaimPath::new("c"),
                form,
            }],
            max_bytes: LIMIT,
        };
        let rendered = match mapping.render(&identity) {
            Ok(rendered) => rendered,
            Err(Unsendable::TooLarge { bytes }) => {
                assert!(bytes > LIMIT);
                continue;
            }
            Err(Unsendable::ClaimShape { .. }) => {
                let plain = match &claim {
                    Some(Value::Number(number)) => number.is_i64() || number.is_u64(),
                    claim => matches!(claim, Some(Value::String(_) | Value::Bool(_))),
                };
                assert!(!plain, "{claim:?} has every form");
                continue;
            }
        };
        let Some((name, value)) = rendered.first() else { continue };
        let text = value.to_str().expect("visible ASCII and blanks");
        assert!(rendered.len() == 1 && name == "x-c" && !text.is_empty() && text.trim() == text, "{text:?}");
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?}");
        assert!(name.as_str().len() + text.len() <= LIMIT);
        reads_back(form, text, claim.as_ref().expect("there is something to send"));
    }
});

fn reads_back(form: Form, text: &str, claim: &Value) {
    match (form, claim) {
        (Form::Text, Value::String(said)) => assert_eq!(&decoded(text), said),
        (Form::Text, said) => assert_eq!(text, said.to_string()),
        (Form::Json, said) => {
            assert_eq!(serde_json::from_str::<Value>(&decoded(text)).ok().as_ref(), Some(said))
        }
        (Form::List, Value::Array(said)) => {
            let read: Vec<String> = text.split(',').map(decoded).collect();
            // An absent member isn't there.
            let said = said.iter().filter(|member| !member.is_null());
            let said: Vec<String> = said.map(plain).filter(|member| !member.is_empty()).collect();
            assert_eq!(read, said);
        }
        (Form::List, said) => assert_eq!(decoded(text), plain(said)),
        (Form::Base64url, _) => {
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Percent-decoding, as a service behind the gateway would do it.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, more @ ..] = rest {
        let escape =
            more.get(..2).filter(|_| *byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = &more[2..];
            }
            None => {
                bytes.push(*byte);
                rest = more;
            }
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}
