//! One line of the access log: JSON for machines, or text for people.
//!
//! Host, path, method and claims are other people's text: each is bounded, and control characters
//! (C0, DEL, C1, line separators) are escaped, so that a line stays one line and a terminal that
//! shows it stays itself.

use std::fmt::{self, Write as _};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::Value;
use serde_json::ser::Formatter;

use super::LogFormat;
use super::access_log::Entry;
use crate::identity::{ClaimPath, Identity};

const MAX_HOST: usize = 255;
const MAX_PATH: usize = 2048;
const MAX_METHOD: usize = 32;
const MAX_CLAIM: usize = 256;

/// Appends the line of `entry` with its line feed.
pub(super) fn write(
    line: &mut Vec<u8>,
    format: LogFormat,
    entry: &Entry<'_>,
    client: Option<IpAddr>,
    claims: &[ClaimPath],
) {
    let record = Record::of(entry, client, claims);
    match format {
        LogFormat::Json => {
            let mut serializer = serde_json::Serializer::with_formatter(&mut *line, OneLine);
            // Writing to memory can't fail, and a record has nothing that JSON can't say.
            let _ = record.serialize(&mut serializer);
        }
        LogFormat::Text => {
            let mut text = Text(line);
            let _ = record.write_text(&mut text);
        }
    }
    line.push(b'\n');
}

#[derive(Serialize)]
struct Record<'a> {
    time: String,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    protocol: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    decision: &'static str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "Shown::is_empty")]
    identity: Shown<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<std::net::SocketAddr>,
    total_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_ms: Option<f64>,
    bytes_out: u64,
}

impl<'a> Record<'a> {
    fn of(entry: &Entry<'a>, client: Option<IpAddr>, claims: &'a [ClaimPath]) -> Self {
        // Whoever calls us cuts the query; this is what keeps codes and tokens out if one doesn't.
        let path = entry.path.split(['?', '#']).next().unwrap_or_default();
        Self {
            time: rfc_3339(entry.time.as_millis()),
            request_id: entry.request_id.as_str(),
            client,
            method: bounded(entry.method.as_str(), MAX_METHOD),
            host: bounded(entry.host, MAX_HOST),
            path: bounded(path, MAX_PATH),
            protocol: match entry.protocol {
                http::Version::HTTP_10 => "HTTP/1.0",
                http::Version::HTTP_11 => "HTTP/1.1",
                http::Version::HTTP_2 => "HTTP/2",
                _ => "other",
            },
            status: entry.status.map(|status| status.as_u16()),
            route: entry.route,
            decision: entry.decision.as_str(),
            reason: entry.reason,
            provider: entry.identity.map(|identity| identity.provider.as_str()),
            identity: Shown { identity: entry.identity, claims },
            upstream: entry.upstream,
            total_ms: milliseconds(entry.total),
            upstream_ms: entry.upstream_time.map(milliseconds),
            bytes_out: entry.bytes_out,
        }
    }

    fn write_text(&self, out: &mut Text<'_>) -> fmt::Result {
        write!(out, "{} {} ", self.time, self.decision)?;
        match self.status {
            Some(status) => write!(out, "{status} ")?,
            None => out.write_str("- ")?,
        }
        write!(out, "{} {}{} ", OneWord(self.method), OneWord(self.host), OneWord(self.path))?;
        write!(out, "{} reason={}", self.protocol, self.reason)?;
        write_field(out, "client", self.client)?;
        write_field(out, "route", self.route)?;
        write_field(out, "provider", self.provider)?;
        for (name, value) in self.identity.pairs() {
            write!(out, " {name}={:?}", bounded(&value, MAX_CLAIM))?;
        }
        write_field(out, "upstream", self.upstream)?;
        write!(out, " total_ms={}", self.total_ms)?;
        write_field(out, "upstream_ms", self.upstream_ms)?;
        write!(out, " bytes_out={} request_id={}", self.bytes_out, self.request_id)
    }
}

/// Text whose blanks are written as `%20`, so that it can't pass for further fields of the line.
struct OneWord<'a>(&'a str);

impl fmt::Display for OneWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.split(char::is_whitespace).enumerate().try_for_each(|(index, part)| {
            let blank = if index == 0 { "" } else { "%20" };
            write!(f, "{blank}{part}")
        })
    }
}

fn write_field(out: &mut Text<'_>, name: &str, value: Option<impl fmt::Display>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(out, " {name}={value}"))
}

/// The claims of an identity that the configuration wants written.
struct Shown<'a> {
    identity: Option<&'a Identity>,
    claims: &'a [ClaimPath],
}

impl Shown<'_> {
    fn pairs(&self) -> impl Iterator<Item = (&str, std::borrow::Cow<'_, str>)> {
        let values = self.identity.into_iter().flat_map(|identity| {
            self.claims.iter().filter_map(|path| Some((path.as_str(), identity.claims.get(path)?)))
        });
        values.map(|(name, value)| match value {
            Value::String(text) => (name, text.as_str().into()),
            other => (name, other.to_string().into()),
        })
    }

    fn is_empty(&self) -> bool {
        self.pairs().next().is_none()
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (name, value) in self.pairs() {
            map.serialize_entry(name, bounded(&value, MAX_CLAIM))?;
        }
        map.end()
    }
}

/// The longest start of `text` with at most `max` bytes.
fn bounded(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

/// Milliseconds to three places.
fn milliseconds(duration: Duration) -> f64 {
    let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(micros) / 1000.0
}

fn rfc_3339(millis: u64) -> String {
    let time = i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    format!("{:.3}", time.unwrap_or_default())
}

/// Whether a character could end a line or steer a terminal.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON that also escapes what `serde_json` leaves: DEL, C1, line separators, direction marks.
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        // Nearly every text is printable ASCII: looked at as bytes, all at once.
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return out.write_all(text.as_bytes());
        }
        let mut rest = text;
        while let Some(at) = rest.find(steers) {
            let (before, from) = rest.split_at(at);
            let mut chars = from.chars();
            out.write_all(before.as_bytes())?;
            write!(out, "\\u{:04x}", chars.next().map_or(0, u32::from))?;
            rest = chars.as_str();
        }
        out.write_all(rest.as_bytes())
    }
}

/// Text in which the same characters are escaped as in Rust's literals.
struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if steers(c) {
                c.escape_unicode().for_each(|c| self.push(c));
            } else {
                self.push(c);
            }
        }
        Ok(())
    }
}

impl Text<'_> {
    fn push(&mut self, c: char) {
        self.0.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderValue, Method, StatusCode, Version};
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;
    use crate::identity::{Claims, ProviderName};
    use crate::telemetry::labels::Decision;
    use crate::telemetry::{RequestId, Sender};

    fn identity() -> Identity {
        let claims = serde_json::json!({
            "sub": "7f3a", "email": "ada@example.com", "groups": ["staff", "ops"], "long": "é".repeat(400),
        });
        Identity {
            provider: ProviderName::parse("workforce").unwrap(),
            names: Arc::default(),
            claims: Claims::new(claims.as_object().unwrap().clone()),
        }
    }

    fn lines(format: LogFormat, host: &str, path: &str, claims: &[&str]) -> String {
        let identity = identity();
        let id = RequestId::of(Some(&HeaderValue::from_static("req-1")), Sender::TrustedProxy);
        let entry = Entry {
            time: Timestamp::from_millis(1_795_000_000_123),
            request_id: &id,
            client: None,
            method: &Method::POST,
            host,
            path,
            protocol: Version::HTTP_2,
            status: Some(StatusCode::OK),
            route: Some("app"),
            decision: Decision::Forwarded,
            reason: "forwarded",
            identity: Some(&identity),
            upstream: Some("10.0.0.21:8443".parse().unwrap()),
            total: Duration::from_micros(12_345),
            upstream_time: Some(Duration::from_millis(11)),
            bytes_out: 512,
        };
        let claims: Vec<_> = claims.iter().map(|name| ClaimPath::new(name)).collect();
        let mut line = Vec::new();
        write(&mut line, format, &entry, Some(IpAddr::from([203, 0, 113, 77])), &claims);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_json_line_says_who_asked_what_and_what_became_of_it() {
        insta::assert_snapshot!(
            "access_line_json",
            lines(LogFormat::Json, "app.example.com", "/reports", &["sub", "groups", "absent"])
        );
    }

    #[test]
    fn a_text_line_says_the_same() {
        insta::assert_snapshot!(
            "access_line_text",
            lines(LogFormat::Text, "app.example.com", "/reports", &["sub", "groups", "absent"])
        );
    }

    #[test]
    fn a_query_never_reaches_the_log() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let line = lines(format, "app.example.com", "/callback?code=secret&state=x", &[]);
            assert!(line.contains("/callback") && !line.contains("secret"), "{line}");
        }
    }

    #[test]
    fn a_blank_never_makes_a_further_field() {
        let line = lines(LogFormat::Text, "evil reason=forwarded", "/a b", &[]);
        assert_eq!(line.matches(" reason=").count(), 1, "{line}");
        assert!(line.contains("evil%20reason=forwarded/a%20b"), "{line}");
    }

    #[test]
    fn a_claim_is_cut_between_characters() {
        let line = lines(LogFormat::Json, "h", "/", &["long"]);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["identity"]["long"].as_str().unwrap().len(), 256);
    }

    #[test]
    fn only_claims_that_are_configured_are_written() {
        let line = lines(LogFormat::Json, "h", "/", &["sub"]);
        assert!(line.contains("7f3a") && !line.contains("ada@example.com"));
    }

    proptest! {
        #[test]
        fn hostile_text_never_makes_a_second_line(host in any::<String>(), path in any::<String>()) {
            for format in [LogFormat::Json, LogFormat::Text] {
                let line = lines(format, &host, &path, &["sub"]);
                let line = line.strip_suffix('\n').unwrap();
                prop_assert!(!line.chars().any(steers), "{:?}", line);
            }
        }

        #[test]
        fn json_says_exactly_what_it_was_told(path in "[^?#]{0,200}") {
            let line = lines(LogFormat::Json, "h", &path, &[]);
            let value: Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(value["path"].as_str().unwrap(), path.as_str());
        }
    }
}
