//! The ways in which a service could read a well-formed path.
//!
//! A service behind us may decode once more than we do, cut path parameters, cut trailing blanks
//! and dots, merge slashes or ignore case. The path as received decides; the other readings are
//! computed to see whether they would decide the same.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// One way to read a path: how often it is decoded, and what is done to it then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    decoded: Decoded,
    change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decoded {
    Never,
    Once,
    Twice,
}

/// What a service may do to a path after decoding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    /// All from a decoded `?` or `#` is cut.
    QueryCut,
    /// `;…` is cut from every segment.
    ParametersCut,
    /// Blanks and dots at the end of every segment are cut.
    TrailingCut,
    /// `//` becomes `/`.
    SlashesMerged,
    /// ASCII letters become lower case.
    CaseFolded,
    /// Everything but folding, as on a file system that knows case.
    AllButCase,
    /// Everything.
    All,
}

const CHANGES: [Change; 8] = [
    Change::Nothing,
    Change::QueryCut,
    Change::ParametersCut,
    Change::TrailingCut,
    Change::SlashesMerged,
    Change::CaseFolded,
    Change::AllButCase,
    Change::All,
];

impl Reading {
    /// As received.
    pub(super) const AS_RECEIVED: Self = Self { decoded: Decoded::Never, change: Change::Nothing };

    /// All readings, the path as received first.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        [Decoded::Never, Decoded::Once, Decoded::Twice]
            .into_iter()
            .flat_map(|decoded| CHANGES.into_iter().map(move |change| Self { decoded, change }))
    }

    /// The path in this reading; nothing is allocated where it is the path as received.
    pub(super) fn read(self, path: &str) -> Cow<'_, str> {
        match self.decoded {
            Decoded::Never => self.change.apply(Cow::Borrowed(path)),
            Decoded::Once => self.change.apply(decode(Cow::Borrowed(path))),
            Decoded::Twice => self.change.apply(decode(decode(Cow::Borrowed(path)))),
        }
    }
}

impl Change {
    fn apply(self, path: Cow<'_, str>) -> Cow<'_, str> {
        match self {
            Self::Nothing => path,
            Self::QueryCut => then(path, cut_query),
            Self::ParametersCut => then(path, cut_parameters),
            Self::TrailingCut => then(path, cut_trailing),
            Self::SlashesMerged => then(path, merge_slashes),
            Self::CaseFolded => then(path, fold_case),
            Self::AllButCase => {
                then(then(then(then(path, cut_query), cut_parameters), cut_trailing), merge_slashes)
            }
            Self::All => then(Self::AllButCase.apply(path), fold_case),
        }
    }
}

/// The other ways in which a service could read a well-formed path: decoded once and twice, with
/// parameters cut, trailing blanks and dots cut, slashes merged, case folded, and all together.
/// The path as received is the first and is always there. Without any byte that could make a
/// difference, it is the only one.
pub fn readings(path: &str) -> impl Iterator<Item = Cow<'_, str>> {
    let others = if is_plain(path) { Vec::new() } else { other_readings(path) };
    std::iter::once(Cow::Borrowed(path)).chain(others)
}

/// Every reading that differs from the path as received, each once.
pub(super) fn other_readings(path: &str) -> Vec<Cow<'_, str>> {
    let mut others: Vec<Cow<'_, str>> = Vec::new();
    let once = decode(Cow::Borrowed(path));
    let twice = decode(once.clone());
    for decoded in [Cow::Borrowed(path), once, twice] {
        for change in CHANGES {
            let reading = change.apply(decoded.clone());
            if reading != path && !others.contains(&reading) {
                others.push(reading);
            }
        }
    }
    others
}

/// Whether a path is made only of what no reading changes.
pub(super) fn is_plain(path: &str) -> bool {
    let mut before = b'a';
    for byte in path.bytes() {
        let changes = match byte {
            b'/' => matches!(before, b'/' | b'.'),
            b'A'..=b'Z' | b'%' | b';' | b'?' | b'#' | b' ' | b'\t' => true,
            _ => false,
        };
        if changes {
            return false;
        }
        before = byte;
    }
    before != b'.'
}

fn then(path: Cow<'_, str>, change: fn(&str) -> Cow<'_, str>) -> Cow<'_, str> {
    match path {
        Cow::Borrowed(text) => change(text),
        Cow::Owned(text) => Cow::Owned(change(&text).into_owned()),
    }
}

pub(super) fn decode(path: Cow<'_, str>) -> Cow<'_, str> {
    // Only paths that decode to UTF-8 come here; the others are refused before.
    then(path, |text| percent_decode_str(text).decode_utf8_lossy())
}

fn cut_query(path: &str) -> Cow<'_, str> {
    Cow::Borrowed(path.split(['?', '#']).next().unwrap_or_default())
}

fn cut_parameters(path: &str) -> Cow<'_, str> {
    if !path.contains(';') {
        return Cow::Borrowed(path);
    }
    each_segment(path, |segment| segment.split(';').next().unwrap_or_default())
}

fn cut_trailing(path: &str) -> Cow<'_, str> {
    if path.split('/').all(|segment| without_trailing(segment).len() == segment.len()) {
        return Cow::Borrowed(path);
    }
    each_segment(path, without_trailing)
}

fn without_trailing(mut segment: &str) -> &str {
    loop {
        let trimmed = segment.trim_end_matches(['.', ' ', '\t']);
        let trimmed = trimmed.strip_suffix("%20").or_else(|| trimmed.strip_suffix("%09")).unwrap_or(trimmed);
        if trimmed.len() == segment.len() {
            return segment;
        }
        segment = trimmed;
    }
}

fn each_segment<'a>(path: &'a str, keep: impl Fn(&'a str) -> &'a str) -> Cow<'a, str> {
    let mut read = String::with_capacity(path.len());
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            read.push('/');
        }
        read.push_str(keep(segment));
    }
    Cow::Owned(read)
}

fn merge_slashes(path: &str) -> Cow<'_, str> {
    if !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut merged = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !merged.ends_with('/') {
            merged.push(c);
        }
    }
    Cow::Owned(merged)
}

fn fold_case(path: &str) -> Cow<'_, str> {
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(path.to_ascii_lowercase())
    } else {
        Cow::Borrowed(path)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::case("/ADMIN", "/admin")]
    #[case::escaped("/%61dmin", "/admin")]
    #[case::escaped_twice("/%2561dmin", "/admin")]
    #[case::parameter("/admin;x=1", "/admin")]
    #[case::parameter_encoded("/admin%3bx", "/admin")]
    #[case::empty_parameter("/;/admin", "//admin")]
    #[case::empty_parameter_merged("/;/admin", "/admin")]
    #[case::slashes("//admin", "/admin")]
    #[case::slashes_inside("/a///b//c", "/a/b/c")]
    #[case::blank("/admin%20", "/admin")]
    #[case::blank_twice_encoded("/admin%2520", "/admin")]
    #[case::blank_inside("/admin%20/x", "/admin/x")]
    #[case::blank_and_dots("/admin.%20.", "/admin")]
    #[case::dots("/admin../x", "/admin/x")]
    #[case::question_mark("/admin%3f/public", "/admin")]
    #[case::hash("/admin%23/public", "/admin")]
    #[case::encoded_slash("/admin%2fx", "/admin/x")]
    #[case::together("/;v=1//%41dmin%20;x/Y", "/admin/y")]
    #[case::together_but_case("/;v=1//%41dmin%20;x/Y", "/Admin/Y")]
    fn a_service_could_read(#[case] path: &str, #[case] read: &str) {
        assert!(readings(path).any(|reading| reading == read), "{:?}", readings(path).collect::<Vec<_>>());
    }

    #[rstest]
    #[case("/")]
    #[case("/static/app.min.js")]
    #[case("/.well-known/x/")]
    #[case("/a-b_c~d/1+2=3:@!$&'()*,")]
    fn a_plain_path_has_one_reading(#[case] path: &str) {
        assert!(is_plain(path));
        assert_eq!(readings(path).collect::<Vec<_>>(), [path]);
    }

    #[test]
    fn the_path_as_received_comes_first() {
        assert_eq!(readings("/%41;x").next().as_deref(), Some("/%41;x"));
    }

    proptest! {
        #[test]
        fn the_fast_way_finds_what_the_slow_way_finds(path in super::super::path::tests::tricky_path()) {
            let slow: Vec<_> = std::iter::once(Cow::Borrowed(&*path)).chain(other_readings(&path)).collect();
            prop_assert_eq!(readings(&path).collect::<Vec<_>>(), slow);
        }

        #[test]
        fn a_plain_path_is_changed_by_no_reading(path in "/[a-cA-C./;%20?-]{0,12}") {
            if is_plain(&path) {
                prop_assert_eq!(other_readings(&path), Vec::<String>::new());
            }
        }

        #[test]
        fn readings_of_one_and_of_all_agree(path in super::super::path::tests::tricky_path()) {
            let together: Vec<_> = readings(&path).collect();
            for reading in Reading::all() {
                prop_assert!(together.contains(&reading.read(&path)), "{reading:?}");
            }
        }
    }
}
