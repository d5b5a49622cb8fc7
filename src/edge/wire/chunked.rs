//! The chunked transfer coding, read strictly
//! ([RFC 9112 §7.1](https://www.rfc-editor.org/rfc/rfc9112#section-7.1)).
//!
//! Pingora's reader takes an empty line for the last chunk, bare line feeds and more. Whatever two
//! servers could cut differently ends here, before Pingora sees it: no last chunk goes upstream.
//! Nothing is decoded and no byte is changed.

/// Longest extension of one chunk. Nobody uses any; without a bound it is a body that no limit counts.
const EXTENSION: u16 = 256;
/// Longest trailer section.
const TRAILERS: u16 = 8 * 1024;
/// Most trailer fields.
const TRAILER_FIELDS: u8 = 32;
/// Digits of a size that fits in 64 bits.
const SIZE_DIGITS: u8 = 16;

/// How far a chunked body has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunks {
    place: Place,
    /// Bytes and fields of the trailer section so far.
    trailers: (u16, u8),
}

/// What is expected next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Size { digits: u8, size: u64 },
    Extension { size: u64, length: u16 },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
}

/// What some bytes of a body are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// All of them belong to the body, and it goes on.
    Valid,
    /// The body ends behind this many.
    End(usize),
    /// Behind this many comes one that can't be.
    Fault(usize),
}

impl Chunks {
    /// Before the first chunk.
    pub(super) const fn new() -> Self {
        Self { place: Place::Size { digits: 0, size: 0 }, trailers: (0, 0) }
    }

    /// Reads on. Not to be asked again after an end or a fault.
    pub(super) fn check(&mut self, bytes: &[u8]) -> Checked {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if let Place::Data { left } = self.place {
                let here = bytes.len() - at;
                let skipped = usize::try_from(left).map_or(here, |left| left.min(here));
                let left = left - skipped as u64;
                self.place = if left == 0 { Place::DataCr } else { Place::Data { left } };
                at += skipped;
                continue;
            }
            if self.place == Place::EndLf && byte == b'\n' {
                return Checked::End(at + 1);
            }
            let Some(place) = self.after(byte) else { return Checked::Fault(at) };
            self.place = place;
            at += 1;
        }
        Checked::Valid
    }

    /// What is expected after this byte; nothing when it can't stand here.
    fn after(&mut self, byte: u8) -> Option<Place> {
        Some(match (self.place, byte) {
            (Place::Size { digits, size }, _) if byte.is_ascii_hexdigit() && digits < SIZE_DIGITS => {
                let digit = char::from(byte).to_digit(16)?;
                Place::Size { digits: digits + 1, size: size << 4 | u64::from(digit) }
            }
            (Place::Size { digits: 1.., size }, b';') => Place::Extension { size, length: 0 },
            (Place::Size { digits: 1.., size } | Place::Extension { size, .. }, b'\r') => {
                Place::SizeLf { size }
            }
            (Place::Extension { size, length }, _) if is_text(byte) && length < EXTENSION => {
                Place::Extension { size, length: length + 1 }
            }
            (Place::SizeLf { size: 0 } | Place::TrailerLf, b'\n') => Place::TrailerStart,
            (Place::SizeLf { size }, b'\n') => Place::Data { left: size },
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Size { digits: 0, size: 0 },
            (Place::TrailerStart, b'\r') => Place::EndLf,
            (Place::TrailerStart, _) if is_token(byte) && self.trailers.1 < TRAILER_FIELDS => {
                self.trailers.1 += 1;
                self.trailer(Place::TrailerName)?
            }
            (Place::TrailerName, _) if is_token(byte) => self.trailer(Place::TrailerName)?,
            (Place::TrailerName, b':') => self.trailer(Place::TrailerValue)?,
            (Place::TrailerValue, b'\r') => Place::TrailerLf,
            (Place::TrailerValue, _) if is_text(byte) => self.trailer(Place::TrailerValue)?,
            _ => return None,
        })
    }

    fn trailer(&mut self, place: Place) -> Option<Place> {
        self.trailers.0 += 1;
        (self.trailers.0 <= TRAILERS).then_some(place)
    }
}

/// What may stand in a field value ([RFC 9110 §5.5](https://www.rfc-editor.org/rfc/rfc9110#section-5.5)).
const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// `tchar` of [RFC 9110 §5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one("5\r\nhello\r\n0\r\n\r\n")]
    #[case::none("0\r\n\r\n")]
    #[case::several_zeros("000\r\n\r\n")]
    #[case::sixteen_digits("0000000000000005\r\nhello\r\n0\r\n\r\n")]
    #[case::upper_case("A\r\n0123456789\r\n0\r\n\r\n")]
    #[case::extension("5;a=b;c=\"d e\"\r\nhello\r\n0;last\r\n\r\n")]
    #[case::trailers("0\r\nX-Sum: 1\r\nEmpty:\r\n\r\n")]
    #[case::line_ends_as_data("4\r\n\r\n\r\n\r\n0\r\n\r\n")]
    fn takes_what_the_grammar_makes(#[case] body: &str) {
        let behind = format!("{body}GET /");
        assert_eq!(Chunks::new().check(behind.as_bytes()), Checked::End(body.len()));
    }

    #[rstest]
    #[case::hex_prefix("0x5\r\nhello\r\n0\r\n\r\n", 1)]
    #[case::plus("+5\r\nhello\r\n0\r\n\r\n", 0)]
    #[case::minus("-1\r\n", 0)]
    #[case::underscore("5_0\r\n", 1)]
    #[case::blank_before(" 5\r\nhello\r\n0\r\n\r\n", 0)]
    #[case::blank_behind("5 \r\nhello\r\n0\r\n\r\n", 1)]
    #[case::blank_before_an_extension("5 ;a\r\nhello", 1)]
    #[case::seventeen_digits("00000000000000005\r\nhello", 16)]
    #[case::empty("\r\nhello\r\n0\r\n\r\n", 0)]
    #[case::nothing_but_an_extension(";a\r\n\r\n", 0)]
    #[case::extension_ended_by_lf("5;\nhello\r\n0\r\n\r\n", 2)]
    #[case::extension_with_a_cr("5;a\rb\r\nhello", 4)]
    #[case::cr_before_the_extension("5\r\r;ABCD\r\nhello", 2)]
    #[case::extension_with_a_nul("5;a\0\r\nhello", 3)]
    #[case::bare_lf("5\nhello\n0\n\n", 1)]
    #[case::no_end_of_data("5\r\nhello0\r\n\r\n", 8)]
    #[case::data_ended_by_lf("5\r\nhello\n0\r\n\r\n", 8)]
    #[case::spill("5\r\nhello!!\r\n0\r\n\r\n", 8)]
    #[case::an_empty_line_more("5\r\nhello\r\n\r\n0\r\n\r\n", 10)]
    #[case::trailer_without_a_name("0\r\n: 1\r\n\r\n", 3)]
    #[case::trailer_without_a_colon("0\r\nX\r\n\r\n", 4)]
    #[case::folded_trailer("0\r\nX: 1\r\n 2\r\n\r\n", 9)]
    #[case::blank_before_the_colon("0\r\nX : 1\r\n\r\n", 4)]
    #[case::trailer_ended_by_lf("0\r\nX: 1\n\r\n", 7)]
    #[case::end_by_lf("0\r\n\n", 3)]
    #[case::end_by_cr_and_more("0\r\n\rX", 4)]
    fn finds_the_byte_that_can_not_be(#[case] body: &str, #[case] at: usize) {
        assert_eq!(Chunks::new().check(body.as_bytes()), Checked::Fault(at));
    }

    #[test]
    fn extensions_and_trailers_have_bounds() {
        let fault = |body: String| matches!(Chunks::new().check(body.as_bytes()), Checked::Fault(_));
        assert!(!fault(format!("1;{}\r\n", "e".repeat(256))));
        assert!(fault(format!("1;{}\r\n", "e".repeat(257))));
        assert!(!fault(format!("0\r\n{}\r\n", "X: 1\r\n".repeat(32))));
        assert!(fault(format!("0\r\n{}\r\n", "X: 1\r\n".repeat(33))));
        assert!(!fault(format!("0\r\nX:{}\r\n\r\n", "v".repeat(8190))));
        assert!(fault(format!("0\r\nX:{}\r\n\r\n", "v".repeat(8191))));
    }

    #[test]
    fn the_largest_size_is_data() {
        assert_eq!(Chunks::new().check(b"ffffffffffffffff\r\nabc"), Checked::Valid);
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_same_is_found(
            body in "(([0-9a-f]{1,3}|5|0)(;[a-z]{0,3})?(\r\n|\n)?[a-z\r\n]{0,9}){0,5}0\r\n(X: 1\r\n)?\r\n",
            cut in 1_usize..7,
        ) {
            let whole = Chunks::new().check(body.as_bytes());
            let (mut chunks, mut passed, mut found) = (Chunks::new(), 0, Checked::Valid);
            for piece in body.as_bytes().chunks(cut) {
                found = match chunks.check(piece) {
                    Checked::Valid => { passed += piece.len(); continue }
                    Checked::End(at) => Checked::End(passed + at),
                    Checked::Fault(at) => Checked::Fault(passed + at),
                };
                break;
            }
            prop_assert_eq!(found, whole);
        }

        #[test]
        fn takes_every_body_that_a_careful_client_writes(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        ) {
            let mut body = Vec::new();
            for part in &parts {
                body.extend_from_slice(format!("{:X}\r\n", part.len()).as_bytes());
                body.extend_from_slice(part);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(Chunks::new().check(&body), Checked::End(body.len()));
        }
    }
}
