//! Reading a path: what is refused on every route, and the readings that must agree.

use std::borrow::Cow;

use super::EncodedSlash;

/// A prefix of whole segments, as written in `match.path`: `/healthz` covers `/healthz` and
/// `/healthz/x`, never `/healthzz`. `/static/` covers the same as `/static`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPrefix {
    path: String,
    exact: bool,
}

/// Why a path is not served at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Bytes, escapes or dot segments that two parsers could read differently.
    #[error("malformed_path")]
    Malformed,
    /// `%2f` on a route that doesn't allow it.
    #[error("encoded_slash")]
    EncodedSlash,
    /// Two readings of it would choose routes that differ in what they ask for.
    #[error("ambiguous_path")]
    Ambiguous,
}

impl PathPrefix {
    /// A prefix (`exact: false`) or a single path.
    ///
    /// # Errors
    /// [`Refused::Malformed`] for what no request could carry.
    pub fn new(path: &str, exact: bool) -> Result<Self, Refused> {
        let _ = (path, exact);
        unimplemented!()
    }

    /// Whether it covers `path`.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        let _ = (path, &self.path, self.exact);
        unimplemented!()
    }

    /// As written, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.path
    }
}

/// Refuses what is refused on every route: control bytes, bytes from 0x80, `\`, `%00`, `%5c`, dot
/// segments in any spelling and any reading, `..;`, a `%` without two hex digits, invalid UTF-8 or
/// control bytes once decoded.
///
/// # Errors
/// [`Refused::Malformed`].
pub fn refuse_malformed(path: &str) -> Result<(), Refused> {
    let _ = path;
    unimplemented!()
}

/// Whether the path has an encoded slash in any reading.
///
/// # Errors
/// [`Refused::EncodedSlash`] where the route doesn't allow it.
pub fn check_encoded_slash(path: &str, rule: EncodedSlash) -> Result<(), Refused> {
    let _ = (path, rule);
    unimplemented!()
}

/// The other ways in which a service could read a well-formed path: decoded once and twice, with
/// parameters cut, trailing blanks and dots cut, slashes merged, case folded, and all together.
/// The path as received is the first and is always there. Without any byte that could make a
/// difference, it is the only one.
pub fn readings(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    std::iter::once(Cow::Borrowed(path))
}
