//! YAML text to a tree that knows where everything stands. The only file that names the YAML crate.
//!
//! The crate's own limits on depth, size and aliases hold. Keys written twice are kept once and
//! reported, so that they are one fault among the others.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use super::key::{KeyPath, Position, Step};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Nothing after the colon.
    Null,
    /// `true` or `false`; `yes` is text.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Another number.
    Fraction(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
    /// Reported already; to be read as if it weren't there.
    Pruned,
}

/// A key and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) name_at: Position,
    pub(crate) value: Node,
}

/// A key that was written again.
#[derive(Debug)]
pub(crate) struct Duplicate {
    pub(crate) path: KeyPath,
    pub(crate) at: Position,
    pub(crate) first: Position,
}

/// The text is not YAML.
#[derive(Debug)]
pub(crate) struct NotYaml {
    pub(crate) at: Position,
    pub(crate) why: String,
}

/// Reads one YAML document.
///
/// # Errors
/// [`NotYaml`] with the position where reading ended.
pub(crate) fn parse(text: &str) -> Result<(Node, Vec<Duplicate>), NotYaml> {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
    };
    let mut root: Node = serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options)
        .map(Node::from)
        .map_err(|error| not_yaml(&error))?;
    if matches!(root.kind, Kind::Null) {
        root.kind = Kind::Map(Vec::new());
    }
    let mut duplicates = Vec::new();
    root.drop_duplicates(&KeyPath::root(), &mut duplicates);
    Ok((root, duplicates))
}

fn not_yaml(error: &serde_saphyr::Error) -> NotYaml {
    let at = error
        .location()
        .map_or(Position::START, |place| Position { line: place.line(), column: place.column() });
    let text = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
    // The position stands in front of the line already.
    let why = text.split(" at line ").next().unwrap_or_default().to_owned();
    NotYaml { at, why }
}

impl Node {
    /// The value at a path, if it is there.
    pub(crate) fn find(&self, path: &KeyPath) -> Option<&Self> {
        path.steps().iter().try_fold(self, |node, step| node.child(step))
    }

    /// Where the value at a path stands, or the nearest one above it.
    pub(crate) fn locate(&self, path: &KeyPath) -> Position {
        let mut node = self;
        for step in path.steps() {
            match node.child(step) {
                Some(child) => node = child,
                None => break,
            }
        }
        node.at
    }

    /// Where the key at a path stands; for a list item, where the item stands.
    pub(crate) fn locate_key(&self, path: &KeyPath) -> Option<Position> {
        let (last, above) = path.steps().split_last()?;
        let parent = above.iter().try_fold(self, |node, step| node.child(step))?;
        match (last, &parent.kind) {
            (Step::Key(name), Kind::Map(entries)) => {
                entries.iter().find(|entry| entry.name == *name).map(|entry| entry.name_at)
            }
            _ => parent.child(last).map(|node| node.at),
        }
    }

    /// Names of the keys, also of those reported already.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let entries = if let Kind::Map(entries) = &self.kind { entries.as_slice() } else { &[] };
        entries.iter().map(|entry| entry.name.as_str())
    }

    /// Takes the value at a path out of further reading; tells whether there was one.
    pub(crate) fn prune(&mut self, path: &KeyPath) -> bool {
        let mut node = self;
        for step in path.steps() {
            let child = match (step, &mut node.kind) {
                (Step::Key(name), Kind::Map(entries)) => {
                    entries.iter_mut().find(|entry| entry.name == *name).map(|entry| &mut entry.value)
                }
                (Step::Item(index), Kind::List(items)) => items.get_mut(*index),
                _ => None,
            };
            let Some(child) = child else { return false };
            node = child;
        }
        !matches!(std::mem::replace(&mut node.kind, Kind::Pruned), Kind::Pruned)
    }

    fn child(&self, step: &Step) -> Option<&Self> {
        match (step, &self.kind) {
            (Step::Key(name), Kind::Map(entries)) => {
                entries.iter().find(|entry| entry.name == *name).map(|entry| &entry.value)
            }
            (Step::Item(index), Kind::List(items)) => items.get(*index),
            _ => None,
        }
    }

    fn drop_duplicates(&mut self, path: &KeyPath, found: &mut Vec<Duplicate>) {
        match &mut self.kind {
            Kind::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    item.drop_duplicates(&path.item(index), found);
                }
            }
            Kind::Map(entries) => {
                let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
                for mut entry in entries.drain(..) {
                    let here = path.key(&entry.name);
                    if let Some(first) = kept.iter().find(|other| other.name == entry.name) {
                        found.push(Duplicate { path: here, at: entry.name_at, first: first.name_at });
                    } else {
                        entry.value.drop_duplicates(&here, found);
                        kept.push(entry);
                    }
                }
                *entries = kept;
            }
            _ => {}
        }
    }
}

/// A value as the crate hands it over, its parts with their places.
enum Raw {
    Null,
    Bool(bool),
    Integer(i128),
    Fraction(f64),
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn position<T>(spanned: &Spanned<T>) -> Position {
    // An alias is reported where it is used.
    Position { line: spanned.referenced.line().max(1), column: spanned.referenced.column().max(1) }
}

impl From<Spanned<Raw>> for Node {
    fn from(raw: Spanned<Raw>) -> Self {
        let at = position(&raw);
        let kind = match raw.value {
            Raw::Null => Kind::Null,
            Raw::Bool(value) => Kind::Bool(value),
            Raw::Integer(value) => Kind::Integer(value),
            Raw::Fraction(value) => Kind::Fraction(value),
            Raw::Text(text) => Kind::Text(text),
            Raw::List(items) => Kind::List(items.into_iter().map(Self::from).collect()),
            Raw::Map(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|(name, value)| Entry {
                        name_at: position(&name),
                        name: name.value,
                        value: value.into(),
                    })
                    .collect(),
            ),
        };
        Self { at, kind }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Fraction(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[test]
    fn knows_where_everything_stands() {
        let (tree, _) = parse("a: 1\nlist:\n  - x\n  - b: { c: yes }\n").unwrap();
        let c = KeyPath::root().key("list").item(1).key("b").key("c");
        assert_eq!(tree.locate(&c), Position { line: 4, column: 13 });
        assert_eq!(tree.locate_key(&c), Some(Position { line: 4, column: 10 }));
        assert!(matches!(&tree.find(&c).unwrap().kind, Kind::Text(text) if text == "yes"));
    }

    #[test]
    fn keeps_the_first_of_two_equal_keys_and_reports_the_second() {
        let (tree, duplicates) = parse("a: 1\nb: { c: 1, c: 2 }\na: 2\n").unwrap();
        let told: Vec<_> = duplicates.iter().map(|found| (found.path.to_string(), found.at.line)).collect();
        assert_eq!(told, [("b.c".to_owned(), 2), ("a".to_owned(), 3)]);
        assert!(matches!(tree.find(&KeyPath::root().key("a")).unwrap().kind, Kind::Integer(1)));
    }

    #[rstest]
    #[case::open_list("a: [1\nb: 2", 2)]
    #[case::two_documents("a: 1\n---\nb: 2", 3)]
    #[case::key_that_is_a_list("a: 1\n? [b, c]\n: 1", 2)]
    fn tells_where_reading_ended(#[case] text: &str, #[case] line: u64) {
        assert_eq!(parse(text).unwrap_err().at.line, line);
    }

    #[test]
    fn refuses_a_bomb_of_aliases() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = n - 1;
            let items = vec![format!("*a{before}"); 10].join(", ");
            text = format!("{text}a{n}: &a{n} [{items}]\n");
        }
        assert!(parse(&text).is_err());
    }

    proptest! {
        #[test]
        fn never_panics_on_any_text(text in "[-a-c:\\[\\]{}&*!|>'\"#%@` \n\t0-9~?,]{0,80}") {
            let _ = parse(&text);
        }
    }
}
