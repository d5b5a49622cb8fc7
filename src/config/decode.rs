//! The tree to the file's types, fault by fault.
//!
//! serde stops at the first fault. So each fault is recorded with its key and position, the value
//! is pruned, and the rest is read again: twelve faults are told at once, and none of them is there
//! because of another.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use super::key::{KeyPath, Position};
use super::nearest::{nearest, suggestion};
use super::tree::{Entry, Kind, Node};

/// One fault of shape: where, why, what to write.
#[derive(Debug)]
pub(crate) struct Misfit {
    pub(crate) path: KeyPath,
    pub(crate) at: Position,
    /// The key that was probably meant, if the key isn't known.
    pub(crate) meant: Option<KeyPath>,
    pub(crate) why: String,
    pub(crate) what_to_write: String,
}

/// Reads the tree; what doesn't fit is pruned from it and told.
pub(crate) fn decode<T: DeserializeOwned + Default>(tree: &mut Node) -> (T, Vec<Misfit>) {
    let mut misfits = Vec::new();
    loop {
        match T::deserialize(Reader { node: tree, path: KeyPath::root() }) {
            Ok(value) => return (value, misfits),
            Err(error) => {
                let misfit = error.into_misfit();
                let again = tree.prune(&misfit.path);
                misfits.push(misfit);
                if !again {
                    return (T::default(), misfits);
                }
            }
        }
    }
}

/// An error text that carries what to write; for `Deserialize` of the file's own value types.
pub(crate) fn told<E: de::Error>(why: &str, what_to_write: &str) -> E {
    E::custom(format_args!("{why}\n{what_to_write}"))
}

/// Why a value doesn't fit, and where it stands once that is known.
#[derive(Debug)]
struct Error {
    at: Option<(KeyPath, Position)>,
    meant: Option<&'static str>,
    why: String,
    what_to_write: String,
}

impl Error {
    fn new(why: impl Into<String>, what_to_write: impl Into<String>) -> Self {
        Self { at: None, meant: None, why: why.into(), what_to_write: what_to_write.into() }
    }

    /// Places the error; the innermost place stands.
    fn at(mut self, path: &KeyPath, at: Position) -> Self {
        self.at.get_or_insert_with(|| (path.clone(), at));
        self
    }

    fn into_misfit(self) -> Misfit {
        let (path, at) = self.at.unwrap_or((KeyPath::root(), Position::START));
        let meant = self.meant.map(|name| path.parent().key(name));
        Misfit { path, at, meant, why: self.why, what_to_write: self.what_to_write }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        let text = message.to_string();
        let (why, what_to_write) = text.split_once('\n').unwrap_or((&text, "another value"));
        Self::new(why, what_to_write)
    }

    // What was found is never repeated: it may be a secret in the wrong place.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expects {expected}, but this is {}", name_of(&found)), expected.to_string())
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!("expects {expected}"), expected.to_string())
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self::new(format!("unknown value `{found}`"), suggestion(found, known))
    }

    fn unknown_field(found: &str, known: &'static [&'static str]) -> Self {
        let meant = nearest(found, known.iter().copied());
        Self { meant, ..Self::new(format!("unknown key `{found}`"), suggestion(found, known)) }
    }
}

fn name_of(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a map of keys",
        Unexpected::Unit => "nothing",
        _ => "text",
    }
}

/// Reads one node.
struct Reader<'t> {
    node: &'t Node,
    path: KeyPath,
}

impl Reader<'_> {
    /// The fault of a node that isn't what was expected.
    fn unexpected(&self, expected: &str, what_to_write: impl Into<String>) -> Error {
        let found = match &self.node.kind {
            Kind::Null => return self.nothing(),
            Kind::Bool(_) => "true or false",
            Kind::Integer(_) | Kind::Fraction(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map of keys",
            Kind::Pruned => "faulty",
        };
        Error::new(format!("expects {expected}, but this is {found}"), what_to_write)
            .at(&self.path, self.node.at)
    }

    fn nothing(&self) -> Error {
        Error::new("has no value", "a value, or leave the key out").at(&self.path, self.node.at)
    }

    fn placed<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        result.map_err(|error| error.at(&self.path, self.node.at))
    }

    fn text(&self) -> Result<&str, Error> {
        match &self.node.kind {
            Kind::Text(text) => Ok(text),
            Kind::Integer(_) | Kind::Fraction(_) | Kind::Bool(_) => {
                Err(self.unexpected("text", "the same in double quotes"))
            }
            _ => Err(self.unexpected("text", "text")),
        }
    }

    fn items<'de, V: Visitor<'de>>(&self, items: &[Node], visitor: V) -> Result<V::Value, Error> {
        self.placed(visitor.visit_seq(Items { items: items.iter().enumerate(), path: &self.path }))
    }

    fn entries<'de, V: Visitor<'de>>(&self, entries: &[Entry], visitor: V) -> Result<V::Value, Error> {
        let entries = Entries { rest: entries.iter(), path: &self.path, value: None };
        self.placed(visitor.visit_map(entries))
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let result = match &self.node.kind {
            Kind::Null => Err(self.nothing()),
            Kind::Bool(value) => visitor.visit_bool(*value),
            Kind::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => Err(self.unexpected("a number in reach", "a smaller number")),
            },
            Kind::Fraction(value) => visitor.visit_f64(*value),
            Kind::Text(text) => visitor.visit_str(text),
            Kind::List(items) => self.items(items, visitor),
            Kind::Map(entries) => self.entries(entries, visitor),
            Kind::Pruned => visitor.visit_unit(),
        };
        self.placed(result)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.node.kind {
            Kind::Pruned => visitor.visit_none(),
            // A key without a value is a fault: it might have been a rule whose lines got lost.
            Kind::Null => Err(self.nothing()),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::Bool(value) => self.placed(visitor.visit_bool(*value)),
            _ => Err(self.unexpected("true or false", "true or false, without quotes")),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let expected = "a whole number";
        match &self.node.kind {
            Kind::Integer(value) => match u64::try_from(*value) {
                Ok(value) => self.placed(visitor.visit_u64(value)),
                Err(_) => Err(Error::new("is out of reach", "a whole number from 0 up")),
            },
            _ => Err(self.unexpected(expected, expected)),
        }
        .map_err(|error| error.at(&self.path, self.node.at))
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let text = self.text()?;
        self.placed(visitor.visit_str(text))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::List(items) => self.items(items, visitor),
            Kind::Pruned => self.items(&[], visitor),
            Kind::Text(_) | Kind::Integer(_) | Kind::Bool(_) => {
                Err(self.unexpected("a list", "the value in brackets: […]"))
            }
            _ => Err(self.unexpected("a list", "[…]")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::Map(entries) => self.entries(entries, visitor),
            Kind::Pruned => self.entries(&[], visitor),
            _ => Err(self.unexpected("a map of keys", "{ name: value }")),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match &self.node.kind {
            Kind::Map(entries) => self.entries(entries, visitor),
            Kind::Pruned => self.entries(&[], visitor),
            _ => {
                let inner = format!("{{ {}: … }}", fields.first().copied().unwrap_or("name"));
                let write = self.path.last_key().map_or(inner.clone(), |key| format!("{key}: {inner}"));
                Err(self.unexpected(&format!("keys ({})", fields.join(", ")), write))
            }
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if let Kind::Text(text) = &self.node.kind {
            let text: StrDeserializer<'_, Error> = text.as_str().into_deserializer();
            self.placed(visitor.visit_enum(text))
        } else {
            let known = format!("one of {}", variants.join(", "));
            Err(self.unexpected(&known, known.clone()))
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char bytes byte_buf
        unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'t, 'p> {
    items: std::iter::Enumerate<std::slice::Iter<'t, Node>>,
    path: &'p KeyPath,
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some((index, node)) = self.items.next() else { return Ok(None) };
        let path = self.path.item(index);
        seed.deserialize(Reader { node, path: path.clone() })
            .map(Some)
            .map_err(|error| error.at(&path, node.at))
    }
}

struct Entries<'t, 'p> {
    rest: std::slice::Iter<'t, Entry>,
    path: &'p KeyPath,
    value: Option<&'t Entry>,
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(entry) = self.rest.find(|entry| !matches!(entry.value.kind, Kind::Pruned)) else {
            return Ok(None);
        };
        self.value = Some(entry);
        let name: StrDeserializer<'_, Error> = entry.name.as_str().into_deserializer();
        // A fault of the name stands at the name, and prunes name and value together.
        seed.deserialize(name).map(Some).map_err(|error| error.at(&self.path.key(&entry.name), entry.name_at))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some(entry) = self.value.take() else {
            return Err(Error::new("has no value", "a value").at(self.path, Position::START));
        };
        let path = self.path.key(&entry.name);
        // A fault of whatever value it has, such as a key that comes later, stands at the name.
        seed.deserialize(Reader { node: &entry.value, path: path.clone() })
            .map_err(|error| error.at(&path, entry.name_at))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::tree::parse;
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Shape {
        name: Option<String>,
        count: Option<u64>,
        list: Option<Vec<Option<Inner>>>,
        colour: Option<Colour>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        on: Option<bool>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Colour {
        Red,
        DarkBlue,
    }

    fn faults(text: &str) -> (Shape, Vec<String>) {
        let (mut tree, _) = parse(text).unwrap();
        let (shape, misfits) = decode(&mut tree);
        let told = misfits.iter().map(|it| {
            format!("{}:{} {}: {} | {}", it.at.line, it.at.column, it.path, it.why, it.what_to_write)
        });
        (shape, told.collect())
    }

    #[test]
    fn reads_what_fits() {
        let (shape, told) = faults("name: a\ncount: 3\nlist: [{ on: true }]\ncolour: dark_blue\n");
        assert!(told.is_empty(), "{told:?}");
        assert_eq!(shape.name.as_deref(), Some("a"));
        assert_eq!(shape.count, Some(3));
        assert_eq!(shape.list.unwrap()[0].as_ref().unwrap().on, Some(true));
        assert_eq!(shape.colour, Some(Colour::DarkBlue));
    }

    #[test]
    fn tells_every_fault_and_keeps_the_places_of_list_items() {
        let (shape, told) = faults(
            "nam: a\nname: 1\ncount: x\nlist:\n  - 5\n  - on: yes\n  - { on: true, of: 1 }\n  -\ncolour: re\n",
        );
        assert_eq!(
            told,
            [
                "1:1 nam: unknown key `nam` | name",
                "2:7 name: expects text, but this is a number | the same in double quotes",
                "3:8 count: expects a whole number, but this is text | a whole number",
                "5:5 list[0]: expects keys (on), but this is a number | { on: … }",
                "6:9 list[1].on: expects true or false, but this is text | true or false, without quotes",
                "7:17 list[2].of: unknown key `of` | on",
                "8:4 list[3]: has no value | a value, or leave the key out",
                "9:9 colour: unknown value `re` | red",
            ]
        );
        let list = shape.list.unwrap();
        assert!(list[0].is_none() && list[3].is_none());
        assert_eq!(list[2].as_ref().unwrap().on, Some(true));
    }

    #[test]
    fn a_file_that_is_no_map_is_one_fault() {
        let (_, told) = faults("- a\n- b\n");
        assert_eq!(told.len(), 1);
    }

    #[test]
    fn never_repeats_a_value_that_could_be_a_secret() {
        let (_, told) = faults("name: 4711\nlist: hunter2\ncolour: [hunter2]\n");
        assert_eq!(told.len(), 3);
        assert!(!told.concat().contains("4711") && !told.concat().contains("hunter2"));
    }
}
