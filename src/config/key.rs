//! Where a value stands: its path of keys, and its line and column.

use std::fmt;

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Position {
    /// The first character of a file.
    pub(crate) const START: Self = Self { line: 1, column: 1 };
}

/// The path of a value: `routes[1].upstream.tls.server_name`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyPath(Vec<Step>);

/// One step into a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Into a map.
    Key(String),
    /// Into a list.
    Item(usize),
}

impl KeyPath {
    /// The whole file.
    pub(crate) fn root() -> Self {
        Self::default()
    }

    /// The value of a key beneath.
    pub(crate) fn key(&self, name: &str) -> Self {
        self.with(Step::Key(name.to_owned()))
    }

    /// An item of the list.
    pub(crate) fn item(&self, index: usize) -> Self {
        self.with(Step::Item(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The value that this one stands in.
    pub(crate) fn parent(&self) -> Self {
        let above = self.0.split_last().map_or(&[][..], |(_, above)| above);
        Self(above.to_vec())
    }

    /// From the root down.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Whether `other` is this value or lies within it.
    pub(crate) fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The last key, for a text that says how to write it.
    pub(crate) fn last_key(&self) -> Option<&str> {
        match self.0.last()? {
            Step::Key(name) => Some(name),
            Step::Item(_) => None,
        }
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(index) => write!(f, "[{index}]")?,
                Step::Key(name) if depth == 0 => f.write_str(name)?,
                Step::Key(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_a_path_as_an_operator_would() {
        let path = KeyPath::root().key("routes").item(1).key("upstream").key("tls");
        assert_eq!(path.to_string(), "routes[1].upstream.tls");
    }

    #[test]
    fn holds_itself_and_what_lies_beneath() {
        let route = KeyPath::root().key("routes").item(1);
        assert!(route.holds(&route));
        assert!(route.holds(&route.key("id")));
        assert!(!route.holds(&KeyPath::root().key("routes").item(10)));
        assert!(!route.key("id").holds(&route));
    }
}
