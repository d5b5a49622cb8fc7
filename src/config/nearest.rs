//! The known name that somebody meant.

/// The known name nearest to `written`, if one is near enough to be a slip of the finger.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let written = plain(written);
    // One slip in three characters; more would suggest names that have nothing to do with it.
    let furthest = (written.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&written, &plain(name)), name))
        .filter(|(distance, _)| *distance <= furthest)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// What to write for a name that isn't known: the nearest one, or all of them.
pub(crate) fn suggestion(written: &str, known: &[&str]) -> String {
    match nearest(written, known.iter().copied()) {
        Some(name) => name.to_owned(),
        None if known.is_empty() => "nothing: no key is known here".to_owned(),
        None => format!("one of {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const KNOWN: [&str; 4] = ["client_id", "client_secret", "issuer", "scopes"];

    #[rstest]
    #[case::letters_swapped("isseur", Some("issuer"))]
    #[case::dash_for_underscore("client-id", Some("client_id"))]
    #[case::upper_case("Scopes", Some("scopes"))]
    #[case::letter_lost("client_secrt", Some("client_secret"))]
    #[case::another_word("groups", None)]
    #[case::empty("", None)]
    fn finds_what_was_meant(#[case] written: &str, #[case] meant: Option<&str>) {
        assert_eq!(nearest(written, KNOWN), meant);
    }
}
