//! How services read paths: a naive normaliser that does in every combination what one of them does.

use std::collections::BTreeSet;

/// Two hex digits after every `%`, which become a byte.
pub fn decoded(path: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(&byte) = path.get(at) {
        let digits = path.get(at + 1..at + 3).and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(value) if byte == b'%' => {
                bytes.push(value);
                at += 3;
            }
            _ => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    bytes
}

/// Whether the design refuses the path on every route.
pub fn is_refused(path: &str) -> bool {
    let raw = path.as_bytes();
    let unwritable = |byte: &u8| !byte.is_ascii_graphic() || b"\\?#".contains(byte);
    let bad_escape = |at: usize| {
        let digit = |at: usize| raw.get(at).is_some_and(u8::is_ascii_hexdigit);
        raw.get(at) == Some(&b'%') && !(digit(at + 1) && digit(at + 2))
    };
    if raw.first() != Some(&b'/') || raw.iter().any(unwritable) || (0..raw.len()).any(bad_escape) {
        return true;
    }
    let once = decoded(raw);
    let twice = decoded(&once);
    [raw, &once, &twice].into_iter().any(|reading| {
        let Ok(text) = std::str::from_utf8(reading) else { return true };
        let controls = text.chars().any(|c| c.is_control() || c == '\\');
        controls || text.split('/').any(is_dot_segment)
    })
}

/// A segment of dots and blanks with a dot among them, once what follows `;`, `?` or `#` is cut and
/// the escapes of dots and blanks are read.
fn is_dot_segment(segment: &str) -> bool {
    let head: String = segment.chars().take_while(|c| !";?#".contains(*c)).collect();
    let head = head.replace("%2e", ".").replace("%2E", ".").replace("%20", " ").replace("%09", "\t");
    head.contains('.') && head.chars().all(|c| matches!(c, '.' | ' ' | '\t'))
}

/// What a service may do to a path, one step each.
const STEPS: [fn(&str) -> String; 5] = [cut_query, cut_parameters, cut_trailing, merge_slashes, fold_case];

/// One way to read a path: how often it is decoded, and which steps are taken then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    decoded: usize,
    steps: u32,
}

impl Reading {
    /// Those that the design names: decoded never, once and twice; each as it is, with one step taken,
    /// with all but folding, and with all.
    pub fn named() -> impl Iterator<Item = Self> {
        let alone = (0..STEPS.len()).map(|step| 1 << step);
        Self::with(alone.chain([0, 0b0_1111, 0b1_1111]))
    }

    /// Every combination of steps, in the one order.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::with(0..1 << STEPS.len())
    }

    fn with(steps: impl Iterator<Item = u32> + Clone) -> impl Iterator<Item = Self> {
        (0..3).flat_map(move |decoded| steps.clone().map(move |steps| Self { decoded, steps }))
    }

    /// The path, so read.
    pub fn of(self, path: &str) -> String {
        let bytes = (0..self.decoded).fold(path.as_bytes().to_vec(), |bytes, _| decoded(&bytes));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let taken = (0..).zip(STEPS).filter(|(step, _)| self.steps & (1 << step) != 0);
        taken.fold(text, |text, (_, step)| step(&text))
    }
}

/// The path in the readings that the design names.
pub fn readings(path: &str) -> BTreeSet<String> {
    Reading::named().map(|reading| reading.of(path)).collect()
}

/// The path in every combination of steps.
pub fn all_readings(path: &str) -> BTreeSet<String> {
    Reading::all().map(|reading| reading.of(path)).collect()
}

fn cut_query(path: &str) -> String {
    path.chars().take_while(|c| !matches!(c, '?' | '#')).collect()
}

fn cut_parameters(path: &str) -> String {
    let segments: Vec<_> = path.split('/').map(|segment| segment.split(';').next().unwrap_or("")).collect();
    segments.join("/")
}

fn cut_trailing(path: &str) -> String {
    let cut = |segment: &str| {
        let mut segment = segment.to_owned();
        while let Some(shorter) =
            [".", " ", "\t", "%20", "%09"].into_iter().find_map(|end| segment.strip_suffix(end))
        {
            segment = shorter.to_owned();
        }
        segment
    };
    path.split('/').map(cut).collect::<Vec<_>>().join("/")
}

fn merge_slashes(path: &str) -> String {
    let mut merged = path.to_owned();
    while merged.contains("//") {
        merged = merged.replace("//", "/");
    }
    merged
}

fn fold_case(path: &str) -> String {
    path.to_ascii_lowercase()
}

/// Whether `path` is `prefix` or lies below it, segment by segment.
pub fn lies_under(path: &str, prefix: &str) -> bool {
    let wanted: Vec<_> = prefix.trim_end_matches('/').split('/').collect();
    let segments: Vec<_> = path.split('/').collect();
    prefix.trim_end_matches('/').is_empty() || segments.get(..wanted.len()) == Some(&*wanted)
}
