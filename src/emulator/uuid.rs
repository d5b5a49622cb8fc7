//! Random UUIDs: PingOne's form for codes, cookies, flows and key ids.

use std::fmt::Write as _;

use crate::seal::fill_random;

/// A UUID of version 4 ([RFC 9562 §5.4](https://www.rfc-editor.org/rfc/rfc9562#section-5.4)): 122
/// random bits, too many to guess.
pub(super) fn random() -> String {
    let mut bytes = [0; 16];
    fill_random(&mut bytes);
    let number = u128::from_be_bytes(bytes);
    // The version's four bits and the variant's two stand at fixed places.
    let number = number & !(0xf << 76) & !(0b11 << 62) | (0x4 << 76) | (0b10 << 62);
    let mut text = String::with_capacity(36);
    for (at, digit) in format!("{number:032x}").char_indices() {
        let dash = if matches!(at, 8 | 12 | 16 | 20) { "-" } else { "" };
        // Writing to a string can't fail.
        let _ = write!(text, "{dash}{digit}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_form_of_version_4() {
        for _ in 0..64 {
            let uuid = random();
            let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12], "{uuid}");
            assert_eq!(uuid.as_bytes()[14], b'4', "{uuid}");
            assert!(matches!(uuid.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{uuid}");
        }
    }

    #[test]
    fn never_comes_twice() {
        assert_ne!(random(), random());
    }
}
