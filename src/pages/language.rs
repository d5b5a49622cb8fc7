//! The languages that pages are written in, and which of them a person reads.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

/// More ranges than any browser sends; what follows is not looked at.
const RANGES: usize = 32;

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// German.
    De,
}

impl Language {
    /// Every language.
    pub const ALL: &'static [Self] = &[Self::En, Self::De];

    /// Its tag ([RFC 5646](https://www.rfc-editor.org/rfc/rfc5646)).
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }

    /// The language of a tag, if there is one.
    #[must_use]
    pub fn of_tag(tag: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|language| language.tag() == tag)
    }

    /// What the browser likes best of `offered`, by `Accept-Language`
    /// ([RFC 9110 §12.5.4](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.4)): the greatest quality, then
    /// what it names first. A region is no matter: `de-AT` is `de`. Without a wish, the first that is offered.
    pub(super) fn preferred(headers: &HeaderMap, offered: &[Self]) -> Self {
        let first = offered.first().copied().unwrap_or_default();
        let wishes = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<_> =
            wishes.flat_map(|value| value.split(',')).take(RANGES).filter_map(range).collect();
        // Of its own ranges the best, then the first; else what is said of all others.
        let best_of = |fits: &dyn Fn(&str) -> bool| {
            let fitting = ranges.iter().enumerate().filter(|(_, (range, _))| fits(range));
            let best = fitting.max_by_key(|&(at, &(_, quality))| (quality, std::cmp::Reverse(at)));
            best.map(|(at, &(_, quality))| (quality, at))
        };
        let candidates = offered.iter().rev().filter_map(|&language| {
            let own = |range: &str| primary(range).eq_ignore_ascii_case(language.tag());
            let (quality, at) = best_of(&own).or_else(|| best_of(&|range| range == "*"))?;
            (quality > 0).then_some((language, quality, at))
        });
        // `max_by_key` takes the last of equals, which is the first that is offered.
        let best = candidates.max_by_key(|&(_, quality, at)| (quality, std::cmp::Reverse(at)));
        best.map_or(first, |(language, ..)| language)
    }
}

fn primary(range: &str) -> &str {
    range.split('-').next().unwrap_or_default()
}

/// A language range and its quality in thousandths; what can't be read is no wish.
fn range(written: &str) -> Option<(&str, u16)> {
    let (range, parameters) = written.split_once(';').unwrap_or((written, ""));
    let range = range.trim();
    let quality = match parameters.trim() {
        "" => 1000,
        parameters => thousandths(parameters.strip_prefix("q=").or(parameters.strip_prefix("Q="))?)?,
    };
    (!range.is_empty()).then_some((range, quality))
}

/// `0` to `1` with three digits at most
/// ([RFC 9110 §12.4.2](https://www.rfc-editor.org/rfc/rfc9110#section-12.4.2)).
fn thousandths(written: &str) -> Option<u16> {
    let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let fraction: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(fraction),
        "1" if fraction == 0 => Some(1000),
        _ => None,
    }
}

/// The same words in each language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text {
    en: &'static str,
    de: &'static str,
}

impl Text {
    pub(super) const fn new(en: &'static str, de: &'static str) -> Self {
        Self { en, de }
    }

    /// In English: what programs and logs get.
    #[must_use]
    pub const fn english(self) -> &'static str {
        self.en
    }

    /// In this language.
    #[must_use]
    pub const fn written(self, language: Language) -> &'static str {
        match language {
            Language::En => self.en,
            Language::De => self.de,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn preferred(lines: &[&str], offered: &[Language]) -> Language {
        let values = lines.iter().map(|line| (ACCEPT_LANGUAGE, HeaderValue::from_str(line).unwrap()));
        Language::preferred(&values.collect(), offered)
    }

    #[rstest]
    #[case::nothing_said(&[], Language::En)]
    #[case::empty(&[""], Language::En)]
    #[case::german(&["de"], Language::De)]
    #[case::of_austria(&["de-AT,de;q=0.9"], Language::De)]
    #[case::in_capitals(&["DE-ch"], Language::De)]
    #[case::french_then_german(&["fr,de;q=0.5"], Language::De)]
    #[case::english_first(&["en-GB,en;q=0.9,de;q=0.8"], Language::En)]
    #[case::german_first(&["de,en;q=0.9"], Language::De)]
    #[case::equals_by_their_order(&["de,en"], Language::De)]
    #[case::equals_by_their_order_again(&["en;q=0.5,de;q=0.5"], Language::En)]
    #[case::quality_beats_order(&["en;q=0.1,de;q=0.2"], Language::De)]
    #[case::the_best_of_its_ranges(&["de-CH;q=0.1,de;q=0.9,en;q=0.5"], Language::De)]
    #[case::one_region_refused(&["en-US;q=0,en,de;q=0.1"], Language::En)]
    #[case::two_lines(&["fr", "de"], Language::De)]
    #[case::anything(&["*"], Language::En)]
    #[case::anything_but_english(&["en;q=0,*"], Language::De)]
    #[case::anything_but_german(&["de;q=0, *;q=0.1"], Language::En)]
    #[case::neither(&["en;q=0,de;q=0"], Language::En)]
    #[case::one_that_begins_alike(&["den"], Language::En)]
    #[case::blanks(&[" de ; q=0.9 , fr"], Language::De)]
    #[case::no_quality(&["de;q=2"], Language::En)]
    #[case::no_number(&["de;q=x"], Language::En)]
    #[case::too_exact(&["de;q=0.9999"], Language::En)]
    #[case::another_parameter(&["de;level=1"], Language::En)]
    #[case::beyond_what_is_read(&["a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,de"], Language::En)]
    fn prefers(#[case] lines: &[&str], #[case] expected: Language) {
        assert_eq!(preferred(lines, Language::ALL), expected);
    }

    #[rstest]
    #[case::nothing_said(&[])]
    #[case::not_offered(&["en"])]
    #[case::refused(&["de;q=0"])]
    fn the_first_offered_serves_where_no_wish_can(#[case] lines: &[&str]) {
        assert_eq!(preferred(lines, &[Language::De]), Language::De);
    }

    #[test]
    fn a_tag_names_its_language() {
        for &language in Language::ALL {
            assert_eq!(Language::of_tag(language.tag()), Some(language));
        }
        assert_eq!(Language::of_tag("nl"), None);
    }

    proptest! {
        #[test]
        fn whatever_is_said_a_language_comes_of_it(value in "[ -~]{0,200}") {
            let chosen = preferred(&[&value], &[Language::De, Language::En]);
            prop_assert!(Language::ALL.contains(&chosen));
        }
    }
}
