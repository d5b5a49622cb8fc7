//! Reading a path: what is refused on every route, and what a prefix covers.
//!
//! Nothing here changes a path. Services behind us decode, fold and merge as they like; so what
//! cannot be read in one way is refused, or read in every way ([`readings`]).

use percent_encoding::percent_decode_str;

use super::EncodedSlash;
pub use super::reading::readings;

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
        refuse_malformed(path)?;
        let path = if exact { path } else { without_trailing_slashes(path) };
        Ok(Self { path: path.to_owned(), exact })
    }

    /// Whether it covers `path`.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        if self.exact { self.path == path } else { lies_under(path, &self.path) }
    }

    /// As written, without a trailing slash; a single path keeps the one it has.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// Whether it covers a single path only.
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.exact
    }
}

/// `/a/` as `/a`; the root stays `/`.
pub(super) fn without_trailing_slashes(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { "/" } else { trimmed }
}

/// Whether `path` is `prefix` or lies below it, by whole segments.
pub(super) fn lies_under(path: &str, prefix: &str) -> bool {
    prefix == "/" || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Refuses what is refused on every route: control bytes, bytes from 0x80, `\`, `%00`, `%5c`, dot
/// segments in any spelling and any reading, `..;`, a `%` without two hex digits, invalid UTF-8 or
/// control bytes once decoded.
///
/// "Once decoded" means decoded once and twice. A segment of nothing but dots and blanks counts as
/// a dot segment, since services that cut trailing dots and blanks don't agree on what it leaves.
/// `*`, absolute URIs and raw `?`, `#` and blanks are no paths.
///
/// # Errors
/// [`Refused::Malformed`].
pub fn refuse_malformed(path: &str) -> Result<(), Refused> {
    let graphic = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'?' | b'#');
    if !path.starts_with('/') || !path.bytes().all(graphic) || has_dot_segment(path) {
        return Err(Refused::Malformed);
    }
    if !path.contains('%') {
        return Ok(());
    }
    if !path.split('%').skip(1).all(begins_with_two_hex_digits) {
        return Err(Refused::Malformed);
    }
    let once = percent_decode_str(path).decode_utf8().map_err(|_| Refused::Malformed)?;
    refuse_decoded(&once)?;
    let twice = percent_decode_str(&once).decode_utf8().map_err(|_| Refused::Malformed)?;
    refuse_decoded(&twice)
}

fn begins_with_two_hex_digits(text: &str) -> bool {
    matches!(text.as_bytes(), [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

fn refuse_decoded(path: &str) -> Result<(), Refused> {
    let dangerous = |c: char| c.is_control() || c == '\\';
    if path.contains(dangerous) || has_dot_segment(path) {
        return Err(Refused::Malformed);
    }
    Ok(())
}

/// Whether a segment is nothing but dots and blanks, parameters and all from a `?` or `#` aside.
fn has_dot_segment(path: &str) -> bool {
    // Most paths have no dot in any spelling, and few a segment that begins with a dot or blank.
    if memchr::memchr2(b'.', b'%', path.as_bytes()).is_none() {
        return false;
    }
    path.split('/').any(|segment| {
        let segment = segment.split([';', '?', '#']).next().unwrap_or_default();
        segment.starts_with(['.', ' ', '\t', '%']) && is_dots_and_blanks(segment)
    })
}

fn is_dots_and_blanks(mut segment: &str) -> bool {
    let mut dots = false;
    while let Some((taken, dot)) = dot_or_blank(segment) {
        dots |= dot;
        segment = segment.get(taken..).unwrap_or_default();
    }
    dots && segment.is_empty()
}

/// The dot or blank, in any spelling, that the text begins with: its length, and whether a dot.
fn dot_or_blank(text: &str) -> Option<(usize, bool)> {
    match text.as_bytes() {
        [b'.', ..] => Some((1, true)),
        [b' ' | b'\t', ..] => Some((1, false)),
        [b'%', b'2', b'e' | b'E', ..] => Some((3, true)),
        [b'%', b'2', b'0', ..] | [b'%', b'0', b'9', ..] => Some((3, false)),
        _ => None,
    }
}

/// Whether the path has an encoded slash in any reading.
///
/// # Errors
/// [`Refused::EncodedSlash`] where the route doesn't allow it.
pub fn check_encoded_slash(path: &str, rule: EncodedSlash) -> Result<(), Refused> {
    if rule == EncodedSlash::Refuse && has_encoded_slash(path) {
        return Err(Refused::EncodedSlash);
    }
    Ok(())
}

/// Whether `%2f` stands in the path as received, decoded once or decoded twice.
pub(super) fn has_encoded_slash(path: &str) -> bool {
    let has =
        |path: &str| path.split('%').skip(1).any(|rest| rest.starts_with("2f") || rest.starts_with("2F"));
    if !path.contains('%') {
        return false;
    }
    let once = percent_decode_str(path).decode_utf8_lossy();
    has(path) || has(&once) || has(&percent_decode_str(&once).decode_utf8_lossy())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::parent("/public/../admin")]
    #[case::parent_encoded("/public/%2e%2e/admin")]
    #[case::parent_upper_case("/public/%2E%2E/admin")]
    #[case::parent_half_encoded("/public/.%2e/admin")]
    #[case::parents("/public/x/%2e%2e/%2e%2e/admin")]
    #[case::here("/./admin")]
    #[case::here_last("/admin/.")]
    #[case::parent_last("/admin/..")]
    #[case::parent_twice_encoded("/public/%252e%252e/admin")]
    #[case::parent_thrice_encoded("/public/%25252e%25252e/admin")]
    #[case::hex_digits_encoded("/public/%25%32%65./admin")]
    #[case::encoded_slash_before("/public/..%2fadmin")]
    #[case::encoded_slash_all("/public/%2e%2e%2fadmin")]
    #[case::encoded_slash_behind("/admin/..%2fpublic")]
    #[case::encoded_slash_twice("/public%252f..%252fadmin")]
    #[case::parameter("/public/..;/admin")]
    #[case::parameter_named("/public/..;x=1/admin")]
    #[case::parameter_encoded("/public/..%3bx/admin")]
    #[case::parameter_and_parent("/public/;/../admin")]
    #[case::query_encoded("/public/..%3fx")]
    #[case::fragment_encoded("/public/..%23x")]
    #[case::parent_and_blank("/public/..%20/admin")]
    #[case::blank_and_parent("/public/%20../admin")]
    #[case::three_dots("/public/.../admin")]
    #[case::back_slashes("/public\\..\\admin")]
    #[case::back_slash("/public/a\\b")]
    #[case::back_slash_encoded("/public/%5c..%5cadmin")]
    #[case::back_slash_upper_case("/public/a%5Cb")]
    #[case::back_slash_twice_encoded("/public/a%255cb")]
    #[case::unicode_escape("/%u0061dmin")]
    #[case::percent_last("/admin%")]
    #[case::percent_and_one_digit("/admin%2")]
    #[case::percent_and_no_digits("/admin%zz")]
    #[case::full_width("/ａdmin")]
    #[case::tab_encoded("/admin%09")]
    #[case::nul_encoded("/admin%00")]
    #[case::nul_twice_encoded("/admin%2500")]
    #[case::line_feed_encoded("/admin%0a")]
    #[case::return_encoded("/admin%0d%0aX:%20y")]
    #[case::delete_encoded("/admin%7f")]
    #[case::nul_after_parent("/public/..%00/admin")]
    #[case::over_long_slash("/%c0%afadmin")]
    #[case::over_long_dots("/%c0%ae%c0%ae/admin")]
    #[case::over_long_twice_encoded("/%25c0%25ae%25c0%25ae/admin")]
    #[case::surrogate("/%ed%a0%80")]
    #[case::cut_utf8("/caf%c3")]
    #[case::raw_blank("/admin x")]
    #[case::raw_control("/admin\u{1}")]
    #[case::raw_delete("/admin\u{7f}")]
    #[case::query("/admin?/public")]
    #[case::fragment("/admin#/public")]
    #[case::asterisk("*")]
    #[case::empty("")]
    #[case::relative("admin")]
    #[case::absolute("http:/admin")]
    #[case::absolute_uri("http://app.test/admin")]
    fn refuses_what_two_parsers_could_read_differently(#[case] path: &str) {
        assert_eq!(refuse_malformed(path), Err(Refused::Malformed));
    }

    #[rstest]
    #[case::root("/")]
    #[case::file("/static/app.js")]
    #[case::dots_inside("/compare/v1..v2/a...b")]
    #[case::dot_in_front("/.well-known/openid-configuration")]
    #[case::dots_in_front("/..foo/...bar")]
    #[case::dot_behind("/foo./bar..")]
    #[case::utf8("/caf%C3%A9")]
    #[case::blank("/my%20file")]
    #[case::blank_last("/admin%20")]
    #[case::percent_sign("/100%25")]
    #[case::percent_sign_and_text("/100%25-sure")]
    #[case::parameter("/a;jsessionid=1/b")]
    #[case::matrix("/;a/b")]
    #[case::two_slashes("//x///y")]
    #[case::encoded_slash("/a%2fb")]
    #[case::question_mark("/admin%3f/public")]
    #[case::sub_delimiters("/!$&'()*+,=:@~-_")]
    #[case::escaped_letters("/%61dmin")]
    #[case::twice_escaped_letters("/%2561dmin")]
    fn passes_what_services_really_have(#[case] path: &str) {
        assert_eq!(refuse_malformed(path), Ok(()));
    }

    #[test]
    fn long_paths_are_read_like_short_ones() {
        let long = format!("/{}", "a%20".repeat(16 * 1024));
        assert_eq!(refuse_malformed(&long), Ok(()));
        assert_eq!(refuse_malformed(&format!("{long}/..")), Err(Refused::Malformed));
    }

    #[rstest]
    #[case("/a%2fb", true)]
    #[case("/a%2Fb", true)]
    #[case("/a%252fb", true)]
    #[case("/a%25252Fb", true)]
    #[case("/a%25%32%66b", true)]
    #[case("/a/b", false)]
    #[case("/a%20b", false)]
    #[case("/a%252", false)]
    #[case("/a%25b", false)]
    fn finds_an_encoded_slash_in_every_reading(#[case] path: &str, #[case] there: bool) {
        assert_eq!(check_encoded_slash(path, EncodedSlash::Refuse).is_err(), there);
        assert_eq!(check_encoded_slash(path, EncodedSlash::Allow), Ok(()));
    }

    #[rstest]
    #[case("/healthz", false, "/healthz", true)]
    #[case("/healthz", false, "/healthz/", true)]
    #[case("/healthz", false, "/healthz/x", true)]
    #[case("/healthz", false, "/healthzz", false)]
    #[case("/healthz", false, "/healthz;x", false)]
    #[case("/healthz", false, "/health", false)]
    #[case("/healthz", false, "/", false)]
    #[case("/static/", false, "/static", true)]
    #[case("/static/", false, "/static/x", true)]
    #[case("/", false, "/", true)]
    #[case("/", false, "/anything", true)]
    #[case("/", false, "//", true)]
    #[case("/healthz", true, "/healthz", true)]
    #[case("/healthz", true, "/healthz/", false)]
    #[case("/healthz", true, "/healthz/x", false)]
    #[case("/", true, "/", true)]
    #[case("/", true, "/x", false)]
    fn a_prefix_covers_whole_segments(
        #[case] prefix: &str,
        #[case] exact: bool,
        #[case] path: &str,
        #[case] covered: bool,
    ) {
        assert_eq!(PathPrefix::new(prefix, exact).unwrap().covers(path), covered);
    }

    #[rstest]
    #[case("")]
    #[case("static")]
    #[case("/a/../b")]
    #[case("/a?b")]
    #[case("/café")]
    fn refuses_a_prefix_no_request_could_carry(#[case] prefix: &str) {
        assert_eq!(PathPrefix::new(prefix, false), Err(Refused::Malformed));
    }

    #[test]
    fn a_prefix_is_written_without_its_trailing_slash() {
        assert_eq!(PathPrefix::new("/static/", false).unwrap().as_str(), "/static");
        assert_eq!(PathPrefix::new("/", false).unwrap().as_str(), "/");
        assert_eq!(PathPrefix::new("/x/", true).unwrap().as_str(), "/x/");
    }

    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b';');

    /// Paths as attackers write them: the bytes that readings differ on, in every spelling.
    pub(in crate::route) fn tricky_path() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("/"),
            Just("."),
            Just("%2e"),
            Just("%252E"),
            Just("%25"),
            Just("2e"),
            Just("%2f"),
            Just("%252f"),
            Just(";"),
            Just("%3b"),
            Just("%20"),
            Just("%2520"),
            Just("%3f"),
            Just("%5c"),
            Just("%"),
            Just("A"),
            Just("a"),
            Just("%61"),
            Just("%2561"),
            Just("%41"),
            Just("dmin"),
            Just("x"),
            Just("%c3%a9"),
            Just("%c0"),
            Just("%u0061"),
        ];
        proptest::collection::vec(piece, 0..10).prop_map(|pieces| format!("/{}", pieces.concat()))
    }

    proptest! {
        #[test]
        fn an_accepted_path_has_no_dot_segment_in_any_reading(path in tricky_path()) {
            if refuse_malformed(&path).is_ok() {
                for reading in readings(&path) {
                    for segment in reading.split('/') {
                        let head = segment.split(';').next().unwrap_or_default();
                        prop_assert!(!matches!(head, "." | ".."), "{path} reads as {reading}");
                        prop_assert!(!segment.contains(['\\', '\0']));
                    }
                }
            }
        }

        #[test]
        fn what_is_accepted_once_is_accepted_in_its_decoded_reading(path in tricky_path()) {
            // What we accept never turns into something worse by being decoded and encoded again.
            if refuse_malformed(&path).is_ok() {
                let decoded = percent_decode_str(&path).decode_utf8().unwrap();
                let again = percent_encoding::utf8_percent_encode(&decoded, KEPT).to_string();
                prop_assert_eq!(refuse_malformed(&again), Ok(()));
            }
        }

        #[test]
        fn no_input_panics(path in ".*") {
            let _ = refuse_malformed(&path);
            let _ = check_encoded_slash(&path, EncodedSlash::Refuse);
            let _ = readings(&path).count();
        }
    }
}
