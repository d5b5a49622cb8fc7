//! The JSON Schema of the configuration, made from the types that read it.

use serde_json::{Map, Value};

/// JSON Schema 2020-12 of the configuration file, for `vestibule schema` and editors.
#[must_use]
pub fn schema() -> Value {
    let mut schema = schemars::schema_for!(super::file::File).to_value();
    tidy(&mut schema);
    let mut told = Map::new();
    if let Value::Object(mut members) = schema {
        members.insert("title".into(), "Vestibule configuration".into());
        // Readers look at the top for what this is.
        for name in ["$schema", "title", "description", "type", "required"] {
            told.extend(members.shift_remove(name).map(|member| (name.to_owned(), member)));
        }
        told.extend(members);
    }
    Value::Object(told)
}

/// schemars lets every optional key be null, though a key without a value is a fault here, and it
/// keeps the line ends of comments.
fn tidy(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if let Some(Value::Array(kinds)) = members.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [only] = kinds.as_slice() {
                    let only = only.clone();
                    members.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(values)) = members.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            if let Some(Value::Array(choices)) = members.get_mut("anyOf") {
                choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    members.remove("anyOf");
                    for (key, member) in only {
                        members.entry(key).or_insert(member);
                    }
                }
            }
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = text.replace('\n', " ");
            }
            members.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_its_dialect_and_every_key_at_the_top() {
        let schema = schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false);
        let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(
            keys,
            [
                "origins",
                "danger_plain_http",
                "trusted_proxies",
                "listeners",
                "admin",
                "endpoints",
                "forward_auth",
                "threads",
                "http2",
                "shutdown",
                "limits",
                "log",
                "pages",
                "providers",
                "sessions",
                "assertions",
                "routes"
            ]
        );
        assert_eq!(schema["required"], serde_json::json!(["origins", "listeners", "routes"]));
    }

    #[test]
    fn every_key_is_described_and_none_may_be_null() {
        fn check(value: &Value, path: &str) {
            if let Some(properties) = value.get("properties").and_then(Value::as_object) {
                for (name, property) in properties {
                    assert!(property.get("description").is_some(), "{path}.{name} has no description");
                }
            }
            assert!(value.get("type").is_none_or(|kind| kind != "null"), "{path} may be null");
            match value {
                Value::Object(members) => {
                    members.iter().for_each(|(name, v)| check(v, &format!("{path}.{name}")));
                }
                Value::Array(items) => items.iter().for_each(|v| check(v, path)),
                _ => {}
            }
        }
        check(&schema(), "");
        assert!(!schema().to_string().contains("null"));
    }
}
