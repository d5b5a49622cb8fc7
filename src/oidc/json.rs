//! JSON as strict as a protocol needs it.
//!
//! Two parsers that take different members of `{"sub":"a","sub":"b"}` are two opinions on who is
//! asking, so objects with a repeated member are refused
//! ([RFC 8259 §4](https://www.rfc-editor.org/rfc/rfc8259#section-4): names should be unique,
//! software that meets others is unpredictable; [RFC 7519 §4](https://www.rfc-editor.org/rfc/rfc7519#section-4)
//! lets us reject them). Depth is bounded, since each level costs stack.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting of objects and arrays that is read.
pub const MAX_DEPTH: usize = 64;

/// Why bytes are not the JSON we read. What they hold is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    /// Not JSON in UTF-8, or more than one document.
    #[error("it is not one JSON document (line {line}, column {column})")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// An object names a member twice.
    #[error("an object names a member twice")]
    Repeated,
    /// Over [`MAX_DEPTH`].
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    Deep,
    /// Good JSON, but no object.
    #[error("it is not an object")]
    NotAnObject,
}

/// Reads one document.
///
/// # Errors
/// [`NotJson`] for anything but one good document.
pub fn parse(bytes: &[u8]) -> Result<Value, NotJson> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut deserializer).map_err(|error| fault(&error))?;
    deserializer.end().map_err(|error| fault(&error))?;
    Ok(value)
}

/// Reads one document that is an object.
///
/// # Errors
/// [`NotJson`] for anything but one good object.
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, NotJson> {
    match parse(bytes)? {
        Value::Object(members) => Ok(members),
        _ => Err(NotJson::NotAnObject),
    }
}

const REPEATED: &str = "repeated member";
const DEEP: &str = "too deep";

fn fault(error: &serde_json::Error) -> NotJson {
    // serde_json has no way to carry a typed error through a visitor.
    if error.is_data() {
        let text = error.to_string();
        if text.starts_with(REPEATED) {
            return NotJson::Repeated;
        }
        if text.starts_with(DEEP) {
            return NotJson::Deep;
        }
    }
    NotJson::Syntax { line: error.line(), column: error.column() }
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn inside<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(DEEP));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let member = self.inside()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(member)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let member = self.inside()?;
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(REPEATED));
            }
            let value = object.next_value_seed(member)?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
    }

    #[rstest]
    #[case::at_the_top(r#"{"a":1,"a":1}"#)]
    #[case::further_down(r#"{"x":[{"a":1,"b":2,"a":3}]}"#)]
    #[case::spelled_differently(r#"{"sub":"x","su\u0062":"y"}"#)]
    fn refuses_a_member_named_twice(#[case] text: &str) {
        assert_eq!(parse(text.as_bytes()), Err(NotJson::Repeated));
    }

    #[test]
    fn refuses_what_is_nested_too_deep() {
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(parse(nested(MAX_DEPTH + 1).as_bytes()), Err(NotJson::Deep));
        assert_eq!(parse(nested(100_000).as_bytes()), Err(NotJson::Deep));
        assert_eq!(parse("[".repeat(100_000).as_bytes()), Err(NotJson::Deep));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(65), "}".repeat(65));
        assert_eq!(parse(objects.as_bytes()), Err(NotJson::Deep));
    }

    #[rstest]
    #[case::html(b"<!doctype html><title>Sign in</title>")]
    #[case::cut_short(br#"{"issuer":"https://"#)]
    #[case::two_documents(b"{}{}")]
    #[case::empty(b"")]
    #[case::utf_16(b"\xff\xfe{\0}\0")]
    #[case::a_byte_order_mark(b"\xef\xbb\xbf{}")]
    #[case::a_lone_surrogate(br#""\ud800""#)]
    #[case::a_number_beyond_numbers(b"1e999")]
    fn refuses_what_is_not_one_document(#[case] bytes: &[u8]) {
        assert!(matches!(parse(bytes), Err(NotJson::Syntax { .. })), "{:?}", parse(bytes));
    }

    #[test]
    fn refuses_a_list_where_an_object_belongs() {
        assert_eq!(parse_object(b"[]"), Err(NotJson::NotAnObject));
    }

    proptest! {
        #[test]
        fn reads_what_serde_reads(text in r#"[\[\]{}:,"a-c0-9 .-]{0,60}"#) {
            let lax: Result<Value, _> = serde_json::from_str(&text);
            match parse(text.as_bytes()) {
                Ok(value) => prop_assert_eq!(value, lax.unwrap()),
                Err(NotJson::Repeated) => {}
                Err(_) => prop_assert!(lax.is_err()),
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
