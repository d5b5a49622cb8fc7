//! `docs/reference/` is whole and true: every key, metric, label value, log field and problem stands
//! there, with the default that the code has, and nothing stands there that the code doesn't know.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::page::cells;

/// A row of a table whose first cell is code: the code, and the other cells.
type Row<'a> = (&'a str, Vec<&'a str>);

/// Every row that begins with code.
fn rows(page: &str) -> Vec<Row<'_>> {
    page.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Row<'_>> {
    let mut cells = cells(line)?.into_iter();
    let first = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    Some((first, cells.collect()))
}

/// What the schema says of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    description: String,
    comes_later: bool,
}

impl Key {
    /// The words behind `Default:`.
    fn default(&self) -> Option<&str> {
        let (_, rest) = self.description.split_once("Default: ")?;
        let end = [". ", "; "].into_iter().filter_map(|end| rest.find(end)).min().unwrap_or(rest.len());
        rest.get(..end).map(|default| default.strip_suffix('.').unwrap_or(default))
    }
}

/// Every key of a schema by its path: `routes[].match.host`, `providers.NAME.issuer`.
fn keys(schema: &Value) -> BTreeMap<String, Key> {
    let mut found = BTreeMap::new();
    collect(schema, schema, "", &mut found);
    found
}

fn collect(schema: &Value, node: &Value, path: &str, found: &mut BTreeMap<String, Key>) {
    let referred = node.get("$ref").and_then(Value::as_str);
    if let Some(part) = referred.and_then(|at| schema.pointer(at.trim_start_matches('#'))) {
        collect(schema, part, path, found);
    }
    for choice in ["anyOf", "oneOf"].iter().filter_map(|kind| node.get(kind)?.as_array()).flatten() {
        collect(schema, choice, path, found);
    }
    if let Some(items) = node.get("items") {
        collect(schema, items, &format!("{path}[]"), found);
    }
    if let Some(named) = node.get("additionalProperties").filter(|named| named.is_object()) {
        collect(schema, named, &format!("{path}.NAME"), found);
    }
    for (name, part) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let description = part.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
        let comes_later = part.get("not").is_some() || description.starts_with("(later)");
        found.insert(path.clone(), Key { description, comes_later });
        collect(schema, part, &path, found);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;
    use serde_json::json;
    use vestibule::config;
    use vestibule::pages::Problem;
    use vestibule::telemetry::labels::{
        CallOutcome, ConnectionEnd, Decision, LoginOutcome, ProviderCall, Refusal, SessionEnd,
        SessionRefusal, StatusClass, UpstreamError,
    };
    use vestibule::telemetry::metrics::TABLE;

    use super::*;
    use crate::page::{read, section};

    /// How the meaning of a key begins whose feature isn't built yet.
    const LATER: &str = "Comes later";

    fn named(rows: &[Row<'_>]) -> BTreeSet<String> {
        rows.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    #[test]
    fn every_key_is_described_and_no_other() {
        let page = read("docs/reference/configuration.md");
        let (described, known) = (named(&rows(&page)), keys(&config::schema()));
        let known: BTreeSet<_> = known.into_keys().collect();
        assert_eq!(known.difference(&described).collect::<Vec<_>>(), Vec::<&String>::new(), "not described");
        assert_eq!(described.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "not a key");
    }

    #[test]
    fn keys_are_described_as_the_code_has_them() {
        let page = read("docs/reference/configuration.md");
        let known = keys(&config::schema());
        for (name, cells) in rows(&page) {
            let (default, meaning) = (cells[0], cells[1]);
            let key = &known[name];
            assert_eq!(meaning.starts_with(LATER), key.comes_later, "{name}");
            if let Some(expected) = key.default().filter(|_| !key.comes_later) {
                assert_eq!(default.replace('`', ""), expected, "{name}");
            }
        }
    }

    #[test]
    fn every_metric_is_described_and_no_other() {
        let page = read("docs/reference/metrics.md");
        let described: Vec<_> =
            rows(&page).into_iter().filter(|(name, _)| name.starts_with("vestibule_")).collect();
        let expected: Vec<_> = TABLE
            .iter()
            .map(|metric| {
                let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
                (metric.name, vec![metric.kind.to_owned(), labels.join(", "), metric.help.to_owned()])
            })
            .collect();
        assert_eq!(described.len(), expected.len());
        for ((name, cells), (expected_name, expected_cells)) in described.iter().zip(&expected) {
            assert_eq!(name, expected_name);
            assert_eq!(cells, expected_cells, "{name}");
        }
    }

    #[rstest]
    #[case("vestibule_requests_total", &[Decision::TEXTS])]
    #[case("vestibule_responses_total", &[StatusClass::TEXTS])]
    #[case("vestibule_refused_total", &[Refusal::TEXTS])]
    #[case("vestibule_connections_closed_total", &[ConnectionEnd::TEXTS])]
    #[case("vestibule_upstream_errors_total", &[UpstreamError::TEXTS])]
    #[case("vestibule_logins_total", &[LoginOutcome::TEXTS])]
    #[case("vestibule_sessions_ended_total", &[SessionEnd::TEXTS])]
    #[case("vestibule_session_refused_total", &[SessionRefusal::TEXTS])]
    #[case("vestibule_provider_calls_total", &[ProviderCall::TEXTS, CallOutcome::TEXTS])]
    fn every_label_value_is_described(#[case] metric: &str, #[case] values: &[&[&str]]) {
        let page = read("docs/reference/metrics.md");
        let section = section(&page, &format!("### `{metric}`")).unwrap();
        let described = named(&rows(section));
        let expected: BTreeSet<_> = values.iter().copied().flatten().map(|text| (*text).to_owned()).collect();
        assert_eq!(described, expected);
    }

    #[test]
    fn every_field_of_the_access_log_is_described_and_no_other() {
        let page = read("docs/reference/metrics.md");
        let described = named(&rows(section(&page, "### Fields").unwrap()));
        let snapshot =
            read("src/telemetry/snapshots/vestibule__telemetry__access_line__tests__access_line_json.snap");
        let line = snapshot.lines().find(|line| line.starts_with('{')).unwrap();
        let fields: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
        assert_eq!(described, fields.into_keys().collect());
    }

    #[test]
    fn every_problem_is_described_with_its_status() {
        let page = read("docs/reference/error-pages.md");
        let described = rows(&page);
        for problem in Problem::ALL {
            let (_, cells) = described.iter().find(|(reason, _)| *reason == problem.reason()).unwrap();
            assert_eq!(cells[0], problem.status().as_str(), "{}", problem.reason());
        }
    }

    #[test]
    fn a_schema_is_read_with_all_its_branches() {
        let schema = json!({
            "properties": {
                "a": { "items": { "anyOf": [{ "type": "string" }, { "$ref": "#/$defs/A" }] } },
                "n": { "additionalProperties": { "properties": { "x": { "not": {} } } } },
            },
            "$defs": { "A": { "properties": { "b": { "description": "What. Default: /.b; or not." } } } },
        });
        let keys = keys(&schema);
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["a", "a[].b", "n", "n.NAME.x"]);
        assert_eq!(keys["a[].b"].default(), Some("/.b"));
        assert!(keys["n.NAME.x"].comes_later && !keys["n"].comes_later);
    }

    #[test]
    fn rows_begin_with_code() {
        let page = "| key | default |\n| --- | --- |\n| `a.b` | `1` | Says. |\n";
        assert_eq!(rows(page), [("a.b", vec!["`1`", "Says."])]);
    }
}
