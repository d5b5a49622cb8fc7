//! Our own endpoints' prefix, and paths that a service could read as lying under it.

use std::borrow::Cow;

use super::path::{Refused, lies_under, without_trailing_slashes};
use super::reading::{self, Reading};

/// `endpoints.prefix` in every reading.
#[derive(Debug)]
pub(super) struct OwnPrefix {
    prefix: String,
    /// The prefix as each reading has it; empty where they all have it as written.
    views: Vec<(Reading, String)>,
}

impl OwnPrefix {
    pub(super) fn new(prefix: &str) -> Self {
        let prefix = without_trailing_slashes(prefix).to_owned();
        let view = |reading: Reading| {
            let path = reading.read(&prefix);
            (reading, without_trailing_slashes(&path).to_owned())
        };
        let views = if reading::is_plain(&prefix) { Vec::new() } else { Reading::all().map(view).collect() };
        Self { prefix, views }
    }

    /// Whether the path lies under the prefix as received.
    pub(super) fn holds(&self, path: &str) -> bool {
        lies_under(path, &self.prefix)
    }

    /// Refuses a path that lies under the prefix in one reading and not in another.
    pub(super) fn refuse_ambiguous(&self, path: &str) -> Result<(), Refused> {
        if self.is_ambiguous(path) { Err(Refused::Ambiguous) } else { Ok(()) }
    }

    fn is_ambiguous(&self, path: &str) -> bool {
        if !self.views.is_empty() {
            let held = self.holds(path);
            return self.views.iter().any(|(reading, view)| lies_under(&reading.read(path), view) != held);
        }
        // No reading changes the prefix, so none moves a path out of it; some could move one in.
        if reading::is_plain(path) || self.holds(path) || !self.is_mentioned(path) {
            return false;
        }
        reading::other_readings(path).iter().any(|path| lies_under(path, &self.prefix))
    }

    /// Whether the first segment of the prefix stands anywhere in the path, decoded or not, in any
    /// case. Readings only cut segments short, so without it none of them leads here.
    fn is_mentioned(&self, path: &str) -> bool {
        let name = self.prefix.split('/').nth(1).unwrap_or_default().as_bytes();
        let within = |path: &str| {
            name.is_empty() || path.as_bytes().windows(name.len()).any(|part| part.eq_ignore_ascii_case(name))
        };
        let once = reading::decode(Cow::Borrowed(path));
        within(path) || within(&once) || within(&reading::decode(Cow::Borrowed(&once)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::itself("/.vestibule", Ok(true))]
    #[case::below("/.vestibule/sign-in", Ok(true))]
    #[case::below_with_escapes("/.vestibule/a%20B;c//", Ok(true))]
    #[case::longer("/.vestibules", Ok(false))]
    #[case::elsewhere("/x/.vestibule", Ok(false))]
    #[case::elsewhere_escaped("/x/%2evestibule", Ok(false))]
    #[case::elsewhere_in_another_case("/X/.VESTIBULE", Ok(false))]
    #[case::case("/.Vestibule/sign-in", Err(Refused::Ambiguous))]
    #[case::escaped("/%2evestibule/sign-in", Err(Refused::Ambiguous))]
    #[case::escaped_twice("/%252evestibule/sign-in", Err(Refused::Ambiguous))]
    #[case::escaped_all("/%2e%76%65%73%74%69%62%75%6C%65", Err(Refused::Ambiguous))]
    #[case::slashes("//.vestibule", Err(Refused::Ambiguous))]
    #[case::parameter("/.vestibule;x/sign-in", Err(Refused::Ambiguous))]
    #[case::parameter_before("/;x/.vestibule", Err(Refused::Ambiguous))]
    #[case::blank("/.vestibule%20/sign-in", Err(Refused::Ambiguous))]
    #[case::dot("/.vestibule./sign-in", Err(Refused::Ambiguous))]
    #[case::encoded_slash("/.vestibule%2fsign-in", Err(Refused::Ambiguous))]
    fn is_owned(#[case] path: &str, #[case] owned: Result<bool, Refused>) {
        let own = OwnPrefix::new("/.vestibule/");
        assert_eq!(own.refuse_ambiguous(path).map(|()| own.holds(path)), owned);
    }

    #[rstest]
    #[case("/Auth/x", true)]
    #[case("/auth/x", false)]
    fn a_prefix_in_upper_case_is_compared_folded(#[case] path: &str, #[case] held: bool) {
        let own = OwnPrefix::new("/Auth");
        assert_eq!(own.holds(path), held);
        assert_eq!(own.refuse_ambiguous(path).is_ok(), held);
    }

    proptest! {
        #[test]
        fn the_short_way_finds_what_all_readings_find(path in super::super::path::tests::tricky_path()) {
            for prefix in ["/a", "/x", "/admin", "/a/x"] {
                let own = OwnPrefix::new(prefix);
                let readings = || reading::readings(&path).map(|path| lies_under(&path, prefix));
                let differ = readings().any(|held| held) && !readings().all(|held| held);
                if super::super::path::refuse_malformed(&path).is_ok() {
                    prop_assert_eq!(own.refuse_ambiguous(&path).is_err(), differ, "{} {}", path, prefix);
                }
            }
        }
    }
}
