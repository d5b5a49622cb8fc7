//! What an upstream learns of an identity: claims as header values.
//!
//! The mapping decides the form, never the JSON type found. Bytes outside 0x20-0x7E and `%` are
//! percent-encoded, in members of a list `,` too, and blanks at either end of a value or member: so
//! two different values never look the same, and none can end a header.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue};
use serde_json::{Number, Value};

use super::{ClaimPath, Identity};

/// `identity.headers` of a route, resolved, in the order of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderMapping {
    /// Header, claim and form.
    pub headers: Vec<MappedHeader>,
    /// `identity.max_bytes`: names and values together.
    pub max_bytes: usize,
}

/// One mapped header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedHeader {
    /// The header.
    pub name: HeaderName,
    /// The claim.
    pub claim: ClaimPath,
    /// How its value is written.
    pub form: Form,
}

/// How a claim becomes a header value (`as`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// String, number or boolean as text.
    Text,
    /// Strings, numbers and booleans joined by `,`; one alone is a list of one.
    List,
    /// The JSON of the claim.
    Json,
    /// base64url of the text, or of the JSON of anything else.
    Base64url,
}

/// Why an identity can't be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The claim has a shape that the form can't write: 500 `claim_shape`.
    #[error("claim_shape")]
    ClaimShape {
        /// The claim.
        claim: ClaimPath,
    },
    /// Over `max_bytes`: 403 `identity_too_large`, never cut.
    #[error("identity_too_large")]
    TooLarge {
        /// What it would take.
        bytes: usize,
    },
}

/// Headers ready to send, rendered once per session and mapping: names as they go out (lower case),
/// so that none is copied for a request.
pub type Rendered = Vec<(HeaderName, HeaderValue)>;

impl Form {
    /// The form a claim has when the mapping names none: `list` for groups, roles, scope, amr and
    /// entitlements, else `text`.
    #[must_use]
    pub fn default_for(claim: &ClaimPath) -> Self {
        match claim.as_str().rsplit('.').next() {
            Some("groups" | "roles" | "scope" | "amr" | "entitlements") => Self::List,
            _ => Self::Text,
        }
    }

    /// The header value of a claim; `None` where it is empty.
    fn write(self, value: &Value) -> Result<Option<String>, WrongShape> {
        if is_empty(value) {
            return Ok(None);
        }
        let mut written = String::new();
        match self {
            Self::Text => encode(&scalar(value)?, Comma::Plain, &mut written),
            Self::List => write_list(value, &mut written)?,
            Self::Json => encode(&value.to_string(), Comma::Plain, &mut written),
            Self::Base64url => {
                let text = match value {
                    Value::Array(_) | Value::Object(_) => value.to_string(),
                    one => scalar(one)?,
                };
                URL_SAFE_NO_PAD.encode_string(text, &mut written);
            }
        }
        Ok((!written.is_empty()).then_some(written))
    }
}

/// The claim isn't of a kind that the form can write.
#[derive(Debug, PartialEq, Eq)]
struct WrongShape;

/// Null and whatever has nothing in it: an upstream can't tell it from an absent claim.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(members) => members.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn scalar(value: &Value) -> Result<String, WrongShape> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) if is_exact(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Number(_) | Value::Null | Value::Array(_) | Value::Object(_) => Err(WrongShape),
    }
}

/// Whether a number stands as the provider wrote it. One that no 64-bit integer holds was rounded when it
/// was read ([RFC 8259 §6](https://www.rfc-editor.org/rfc/rfc8259#section-6)), and two people's could look alike.
fn is_exact(number: &Number) -> bool {
    const ROUNDED_FROM: f64 = 9_007_199_254_740_992.0;
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.abs() < ROUNDED_FROM)
}

/// Members joined by `,`; null and empty ones are left out, since nothing would stand for them.
fn write_list(value: &Value, written: &mut String) -> Result<(), WrongShape> {
    let members = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    for member in members {
        if matches!(member, Value::Null) || member.as_str().is_some_and(str::is_empty) {
            continue;
        }
        let text = scalar(member)?;
        if !written.is_empty() {
            written.push(',');
        }
        encode(&text, Comma::Encoded, written);
    }
    Ok(())
}

/// What becomes of a comma in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comma {
    /// It stands for itself.
    Plain,
    /// It is encoded, since commas stand between members.
    Encoded,
}

fn encode(text: &str, comma: Comma, written: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX.get(usize::from(nibble)).map_or('0', |&digit| char::from(digit));
    let blanks_before = text.len() - text.trim_start_matches(' ').len();
    let blanks_from = text.trim_end_matches(' ').len();
    for (index, byte) in text.bytes().enumerate() {
        let inside = index >= blanks_before && index < blanks_from;
        let plain = match byte {
            b' ' => inside,
            b'%' => false,
            b',' => comma == Comma::Plain,
            other => other.is_ascii_graphic(),
        };
        if plain {
            written.push(char::from(byte));
        } else {
            written.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

impl HeaderMapping {
    /// The default mapping: `X-Forwarded-User` (sub), `-Email`, `-Preferred-Username`, `-Groups`.
    #[must_use]
    pub fn standard(names: &super::ClaimNames, max_bytes: usize) -> Self {
        let header = |name, claim: &ClaimPath, form| MappedHeader {
            name: HeaderName::from_static(name),
            claim: claim.clone(),
            form,
        };
        let headers = vec![
            header("x-forwarded-user", &ClaimPath::new("sub"), Form::Text),
            header("x-forwarded-email", &names.email, Form::Text),
            header("x-forwarded-preferred-username", &ClaimPath::new("preferred_username"), Form::Text),
            header("x-forwarded-groups", &names.groups, Form::List),
        ];
        Self { headers, max_bytes }
    }

    /// Renders the headers for one identity. Absent, null and empty claims give no header.
    ///
    /// # Errors
    /// [`Unsendable`].
    pub fn render(&self, identity: &Identity) -> Result<Rendered, Unsendable> {
        let mut rendered = Rendered::with_capacity(self.headers.len());
        let mut bytes: usize = 0;
        for MappedHeader { name, claim, form } in &self.headers {
            let Some(value) = identity.claims.get(claim) else { continue };
            let misshapen = || Unsendable::ClaimShape { claim: claim.clone() };
            let Some(value) = form.write(value).map_err(|WrongShape| misshapen())? else { continue };
            bytes = bytes.saturating_add(name.as_str().len()).saturating_add(value.len());
            // Encoding leaves nothing that a header couldn't carry.
            let value = HeaderValue::try_from(value).map_err(|_| misshapen())?;
            rendered.push((name.clone(), value));
        }
        if bytes > self.max_bytes {
            return Err(Unsendable::TooLarge { bytes });
        }
        Ok(rendered)
    }
}

#[cfg(test)]
mod tests {
    use percent_encoding::percent_decode_str;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::super::ClaimNames;
    use super::super::tests::identity;
    use super::*;

    fn one(form: Form, value: &Value) -> Result<Option<String>, Unsendable> {
        let header = MappedHeader { name: HeaderName::from_static("x-a"), claim: ClaimPath::new("a"), form };
        let mapping = HeaderMapping { headers: vec![header], max_bytes: 8192 };
        let rendered = mapping.render(&identity(&json!({ "a": value })))?;
        Ok(rendered.first().map(|(_, value)| value.to_str().unwrap().to_owned()))
    }

    #[rstest]
    #[case::text(Form::Text, json!("kim"), "kim")]
    #[case::number(Form::Text, json!(4711), "4711")]
    #[case::fraction(Form::Text, json!(1.5), "1.5")]
    #[case::largest_number(Form::Text, json!(u64::MAX), "18446744073709551615")]
    #[case::truth(Form::Text, json!(true), "true")]
    #[case::falsehood(Form::Text, json!(false), "false")]
    #[case::beyond_ascii(Form::Text, json!("Zoë 🦀"), "Zo%C3%AB %F0%9F%A6%80")]
    #[case::percent(Form::Text, json!("100%25"), "100%2525")]
    #[case::line_break(Form::Text, json!("a\r\nX-Admin: 1"), "a%0D%0AX-Admin: 1")]
    #[case::nul_and_tab(Form::Text, json!("a\0\tb\u{7f}"), "a%00%09b%7F")]
    #[case::blanks(Form::Text, json!("  a  b "), "%20%20a  b%20")]
    #[case::only_blanks(Form::Text, json!("  "), "%20%20")]
    #[case::comma(Form::Text, json!("a,b"), "a,b")]
    #[case::list(Form::List, json!(["staff", "a,b", 7, true]), "staff,a%2Cb,7,true")]
    #[case::list_of_one(Form::List, json!("staff"), "staff")]
    #[case::one_scope_string(Form::List, json!("orders:read orders:write"), "orders:read orders:write")]
    #[case::comma_in_one(Form::List, json!("a,b"), "a%2Cb")]
    #[case::blanks_in_members(Form::List, json!([" a ", "b c"]), "%20a%20,b c")]
    #[case::empty_members(Form::List, json!(["a", "", null, "b"]), "a,b")]
    #[case::number_as_list(Form::List, json!(7), "7")]
    #[case::json(Form::Json, json!({"a": [1, "ë, %"]}), r#"{"a":[1,"%C3%AB, %25"]}"#)]
    #[case::json_text(Form::Json, json!("kim"), r#""kim""#)]
    #[case::base64url_text(Form::Base64url, json!("Zoë?"), "Wm_Dqz8")]
    #[case::base64url_number(Form::Base64url, json!(4711), "NDcxMQ")]
    #[case::base64url_json(Form::Base64url, json!({"a": 1}), "eyJhIjoxfQ")]
    fn writes(#[case] form: Form, #[case] value: Value, #[case] header: &str) {
        assert_eq!(one(form, &value), Ok(Some(header.to_owned())));
    }

    #[rstest]
    fn nothing_is_sent_for_nothing(
        #[values(Form::Text, Form::List, Form::Json, Form::Base64url)] form: Form,
        #[values(json!(null), json!(""), json!([]), json!({}))] value: Value,
    ) {
        assert_eq!(one(form, &value), Ok(None));
    }

    #[test]
    fn a_list_of_empty_members_is_empty() {
        assert_eq!(one(Form::List, &json!(["", null])), Ok(None));
    }

    #[rstest]
    #[case::array_as_text(Form::Text, json!(["kim"]))]
    #[case::object_as_text(Form::Text, json!({"a": 1}))]
    #[case::object_as_list(Form::List, json!({"a": 1}))]
    #[case::list_in_list(Form::List, json!(["a", ["b"]]))]
    #[case::empty_list_in_list(Form::List, json!(["a", []]))]
    #[case::object_in_list(Form::List, json!(["a", {"b": 1}]))]
    #[case::rounded_as_text(Form::Text, json!(18_446_744_073_709_551_616.0))]
    #[case::rounded_in_list(Form::List, json!([1, 1e22]))]
    #[case::rounded_as_base64url(Form::Base64url, json!(-1e16))]
    fn another_shape_is_not_sent(#[case] form: Form, #[case] value: Value) {
        assert_eq!(one(form, &value), Err(Unsendable::ClaimShape { claim: ClaimPath::new("a") }));
    }

    #[rstest]
    #[case("groups", Form::List)]
    #[case("realm_access.roles", Form::List)]
    #[case("scope", Form::List)]
    #[case("amr", Form::List)]
    #[case("p1.entitlements", Form::List)]
    #[case("sub", Form::Text)]
    #[case("groups.first", Form::Text)]
    #[case("mygroups", Form::Text)]
    fn some_claims_are_lists(#[case] claim: &str, #[case] form: Form) {
        assert_eq!(Form::default_for(&ClaimPath::new(claim)), form);
    }

    #[test]
    fn the_default_headers_follow_the_providers_claim_names() {
        let names = ClaimNames {
            groups: ClaimPath::new("p1.memberOf"),
            email: ClaimPath::new("mail"),
            ..ClaimNames::default()
        };
        let kim = identity(&json!({
            "sub": "7", "mail": "kim@example.com", "email": "no", "preferred_username": "kim",
            "p1": {"memberOf": ["staff", "it"]}, "groups": ["no"],
        }));
        let rendered = HeaderMapping::standard(&names, 8192).render(&kim).unwrap();
        let rendered: Vec<_> = rendered.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(
            rendered,
            [
                ("x-forwarded-user", "7"),
                ("x-forwarded-email", "kim@example.com"),
                ("x-forwarded-preferred-username", "kim"),
                ("x-forwarded-groups", "staff,it"),
            ]
        );
    }

    #[test]
    fn too_much_is_refused_and_never_cut() {
        let kim = identity(&json!({ "sub": "7", "groups": ["a".repeat(100), "b".repeat(100)] }));
        let mapping = |max_bytes| HeaderMapping::standard(&ClaimNames::default(), max_bytes);
        let bytes = "x-forwarded-user".len() + 1 + "x-forwarded-groups".len() + 201;
        assert_eq!(mapping(bytes).render(&kim).unwrap().len(), 2);
        assert_eq!(mapping(bytes - 1).render(&kim), Err(Unsendable::TooLarge { bytes }));
    }

    fn undo_list(header: &str) -> Vec<String> {
        let undo = |member| percent_decode_str(member).decode_utf8().unwrap().into_owned();
        header.split(',').map(undo).collect()
    }

    proptest! {
        #[test]
        fn text_comes_back_from_a_legal_header(text in "\\PC*|[ %,\r\n\0a-cë]{0,12}") {
            let written = one(Form::Text, &json!(text)).unwrap().unwrap_or_default();
            prop_assert!(written.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
            prop_assert_eq!(written.trim(), &written);
            prop_assert_eq!(percent_decode_str(&written).decode_utf8().unwrap(), text);
        }

        #[test]
        fn lists_come_back_from_a_legal_header(list in proptest::collection::vec("[ %,\r\n\0a-cë]{1,6}", 1..5)) {
            let written = one(Form::List, &json!(list)).unwrap().unwrap();
            prop_assert!(written.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
            prop_assert_eq!(written.trim(), &written);
            prop_assert_eq!(undo_list(&written), list);
        }

        #[test]
        fn different_texts_have_different_headers(one_text in "[ %,2C0a]{0,5}", other in "[ %,2C0a]{0,5}") {
            prop_assume!(one_text != other);
            let written = |text: &str| one(Form::Text, &json!(text)).unwrap();
            prop_assert_ne!(written(&one_text), written(&other));
        }

        #[test]
        fn json_comes_back_from_a_legal_header(text in ".*", number: i64, truth: bool) {
            let value = json!({ text.clone(): [number, truth, null, {"a": text}] });
            let written = one(Form::Json, &value).unwrap().unwrap();
            prop_assert!(written.bytes().all(|byte| (0x20..=0x7e).contains(&byte)));
            let undone = percent_decode_str(&written).decode_utf8().unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&undone).unwrap(), value);
        }
    }
}
