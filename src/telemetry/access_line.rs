//! One line of the access log: JSON for machines, or text for people.
//!
//! Host, path, method and claims are other people's text: each is bounded, and control characters
//! (C0, DEL, C1, line separators) are escaped, so that a line stays one line and a terminal that
//! shows it stays itself.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use http::{StatusCode, Version};
use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::Formatter;

use super::access_log::Entry;
use super::labels::Decision;
use super::line_queue::LineOver;
use super::{LogFormat, address};
use crate::clock::Timestamp;
use crate::identity::ClaimPath;

const MAX_HOST: usize = 255;
const MAX_PATH: usize = 2048;
const MAX_METHOD: usize = 32;
const MAX_CLAIM: usize = 256;

/// Lines for which there stays room.
const KEPT_LINES: usize = 2048;

/// What lines are to say, put by until there is time to write them: a request pays for copying what
/// it alone knows, and whoever writes many lines at once has the code for it at hand.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    lines: Vec<Facts>,
    /// The claims of all lines, as many as each says.
    claims: Vec<Claim>,
    /// The texts of all lines, one after another: each line's own, then its claims' values.
    texts: String,
}

/// A claim that an identity has.
#[derive(Debug, Clone, Copy)]
struct Claim {
    /// Its place in the configuration.
    index: usize,
    /// Bytes of its value.
    length: usize,
}

/// One line, but for its texts.
#[derive(Debug, Clone, Copy)]
struct Facts {
    time: Timestamp,
    client: Option<IpAddr>,
    protocol: Version,
    status: Option<StatusCode>,
    decision: Decision,
    reason: &'static str,
    upstream: Option<SocketAddr>,
    total: Milliseconds,
    upstream_time: Option<Milliseconds>,
    bytes_out: u64,
    /// Bytes of request id, method, host, path, route and provider.
    lengths: [usize; 6],
    claims: usize,
}

impl Unwritten {
    /// Bytes that it holds.
    pub(super) const fn bytes(&self) -> usize {
        self.texts.len() + self.lines.len() * size_of::<Facts>() + self.claims.len() * size_of::<Claim>()
    }

    /// Takes up what the line of `entry` is to say, and which of `claims` the identity has.
    pub(super) fn put(&mut self, entry: &Entry<'_>, client: Option<IpAddr>, claims: &[ClaimPath]) {
        // Whoever calls us cuts the query; this is what keeps codes and tokens out if one doesn't.
        let end = memchr::memchr2(b'?', b'#', entry.path.as_bytes());
        let path = end.map_or(entry.path, |end| entry.path.get(..end).unwrap_or_default());
        let texts = [
            entry.request_id.as_str(),
            bounded(entry.method.as_str(), MAX_METHOD),
            bounded(entry.host, MAX_HOST),
            bounded(path, MAX_PATH),
            entry.route.unwrap_or_default(),
            entry.identity.map(|identity| identity.provider.as_str()).unwrap_or_default(),
        ];
        for text in texts {
            self.texts.push_str(text);
        }
        let known = self.claims.len();
        let identities = entry.identity.into_iter();
        for (identity, (index, path)) in
            identities.flat_map(|it| claims.iter().enumerate().map(move |c| (it, c)))
        {
            let Some(value) = identity.claims.get(path) else { continue };
            let length = self.put_value(value);
            self.claims.push(Claim { index, length });
        }
        self.lines.push(Facts {
            time: entry.time,
            client,
            protocol: entry.protocol,
            status: entry.status,
            decision: entry.decision,
            reason: entry.reason,
            upstream: entry.upstream,
            total: Milliseconds::of(entry.total),
            upstream_time: entry.upstream_time.map(Milliseconds::of),
            bytes_out: entry.bytes_out,
            lengths: texts.map(str::len),
            claims: self.claims.len() - known,
        });
    }

    fn put_value(&mut self, value: &Value) -> usize {
        let before = self.texts.len();
        let mut text = Cut { text: &mut self.texts, left: MAX_CLAIM };
        // It ends with an error where it is cut: of a long list no more is written out than that.
        let _ = match value {
            Value::String(value) => text.write_str(value),
            other => write!(text, "{other}"),
        };
        self.texts.len() - before
    }

    /// Appends every line with its line feed, says so each time, and forgets them. `names` are the claims
    /// that it was given.
    pub(super) fn write(
        &mut self,
        format: LogFormat,
        names: &[ClaimPath],
        out: &mut Vec<u8>,
        line_over: &mut LineOver<'_>,
    ) {
        let (mut texts, mut claims) = (self.texts.as_str(), self.claims.as_slice());
        for facts in self.lines.drain(..) {
            let record = Record::of(facts, &mut texts);
            let (of_line, others) = claims.split_at_checked(facts.claims).unwrap_or_default();
            claims = others;
            let identity = of_line.iter().filter_map(|claim| {
                Some((names.get(claim.index)?.as_str(), taken(&mut texts, claim.length)))
            });
            match format {
                LogFormat::Json => record.write_json(&mut Json(out), identity),
                // Writing to memory can't fail.
                LogFormat::Text => drop(record.write_text(&mut Text(out), identity)),
            }
            out.push(b'\n');
            line_over(out);
        }
        self.claims.clear();
        self.texts.clear();
        // What has grown larger in a rush is given back.
        self.lines.shrink_to(KEPT_LINES);
        self.claims.shrink_to(KEPT_LINES);
        self.texts.shrink_to(KEPT_LINES * MAX_HOST);
    }
}

/// Text that takes no more than so many bytes.
struct Cut<'a> {
    text: &'a mut String,
    left: usize,
}

impl fmt::Write for Cut<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = bounded(text, self.left);
        self.text.push_str(taken);
        self.left -= taken.len();
        if taken.len() == text.len() {
            return Ok(());
        }
        self.left = 0;
        Err(fmt::Error)
    }
}

/// Takes so many bytes off the front of `texts`.
fn taken<'a>(texts: &mut &'a str, length: usize) -> &'a str {
    let (text, rest) = texts.split_at_checked(length).unwrap_or_default();
    *texts = rest;
    text
}

struct Record<'a> {
    facts: Facts,
    request_id: &'a str,
    method: &'a str,
    host: &'a str,
    path: &'a str,
    /// Empty where there is none, as is the provider.
    route: &'a str,
    provider: &'a str,
}

impl<'a> Record<'a> {
    fn of(facts: Facts, texts: &mut &'a str) -> Self {
        let [request_id, method, host, path, route, provider] =
            facts.lengths.map(|length| taken(texts, length));
        Self { facts, request_id, method, host, path, route, provider }
    }

    const fn protocol(&self) -> &'static str {
        match self.facts.protocol {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_11 => "HTTP/1.1",
            Version::HTTP_2 => "HTTP/2",
            _ => "other",
        }
    }

    /// One object. Written by hand: there is one for every request.
    fn write_json<'c>(&self, json: &mut Json<'_>, identity: impl Iterator<Item = (&'c str, &'c str)>) {
        let facts = &self.facts;
        json.own(r#"{"time":""#, Time::of(facts.time).as_str(), "\"");
        json.own(r#","request_id":""#, self.request_id, "\"");
        if let Some(client) = facts.client {
            json.raw(r#","client":""#);
            address::write_ip(json.0, client);
            json.raw("\"");
        }
        // A method is a token, and has nothing to escape.
        json.own(r#","method":""#, self.method, "\"");
        json.text(r#","host":"#, self.host);
        json.text(r#","path":"#, self.path);
        json.own(r#","protocol":""#, self.protocol(), "\"");
        if let Some(status) = facts.status {
            json.number(r#","status":"#, status.as_u16().into());
        }
        if !self.route.is_empty() {
            json.text(r#","route":"#, self.route);
        }
        json.own(r#","decision":""#, facts.decision.as_str(), "\"");
        json.own(r#","reason":""#, facts.reason, "\"");
        if !self.provider.is_empty() {
            json.text(r#","provider":"#, self.provider);
        }
        let mut separator = r#","identity":{"#;
        for (name, value) in identity {
            json.text(separator, name);
            json.text(":", value);
            separator = ",";
        }
        if separator == "," {
            json.raw("}");
        }
        if let Some(upstream) = facts.upstream {
            json.raw(r#","upstream":""#);
            address::write_socket(json.0, upstream);
            json.raw("\"");
        }
        json.milliseconds(r#","total_ms":"#, facts.total);
        if let Some(time) = facts.upstream_time {
            json.milliseconds(r#","upstream_ms":"#, time);
        }
        json.number(r#","bytes_out":"#, facts.bytes_out);
        json.raw("}");
    }

    fn write_text<'c>(
        &self,
        out: &mut Text<'_>,
        identity: impl Iterator<Item = (&'c str, &'c str)>,
    ) -> fmt::Result {
        let facts = &self.facts;
        write!(out, "{} {} ", Time::of(facts.time).as_str(), facts.decision.as_str())?;
        match facts.status {
            Some(status) => write!(out, "{} ", status.as_u16())?,
            None => out.write_str("- ")?,
        }
        write!(out, "{} {}{} ", OneWord(self.method), OneWord(self.host), OneWord(self.path))?;
        write!(out, "{} reason={}", self.protocol(), facts.reason)?;
        write_field(out, "client", facts.client)?;
        write_field(out, "route", Some(self.route).filter(|route| !route.is_empty()))?;
        write_field(out, "provider", Some(self.provider).filter(|provider| !provider.is_empty()))?;
        for (name, value) in identity {
            write!(out, " {name}={value:?}")?;
        }
        write_field(out, "upstream", facts.upstream)?;
        write!(out, " total_ms={}", facts.total.as_f64())?;
        write_field(out, "upstream_ms", facts.upstream_time.map(Milliseconds::as_f64))?;
        write!(out, " bytes_out={} request_id={}", facts.bytes_out, self.request_id)
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

/// The longest start of `text` with at most `max` bytes.
fn bounded(text: &str, max: usize) -> &str {
    text.get(..text.floor_char_boundary(max)).unwrap_or_default()
}

/// A duration in whole microseconds, written as milliseconds to three places at most.
#[derive(Debug, Clone, Copy)]
struct Milliseconds(u32);

impl Milliseconds {
    fn of(duration: Duration) -> Self {
        Self(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX))
    }

    fn as_f64(self) -> f64 {
        f64::from(self.0) / 1000.0
    }
}

/// A time as [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) has it, in milliseconds and UTC.
struct Time([u8; 24]);

thread_local! {
    /// The second that was written last, to its whole seconds: a line a second pays for the calendar.
    static SECOND: Cell<(u64, [u8; 19])> = const { Cell::new((0, *b"1970-01-01T00:00:00")) };
}

impl Time {
    fn of(time: Timestamp) -> Self {
        let second = time.as_secs();
        let mut known = SECOND.get();
        if known.0 != second {
            known = (second, whole_second(second));
            SECOND.set(known);
        }
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (place, byte) in text.iter_mut().zip(known.1) {
            *place = byte;
        }
        let digits = [(20, 100), (21, 10), (22, 1)];
        for (at, unit) in digits {
            if let Some(place) = text.get_mut(at) {
                *place = b'0' + u8::try_from(time.as_millis() / unit % 10).unwrap_or_default();
            }
        }
        Self(text)
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Nineteen characters, from the year to the second. A time that no calendar has is the epoch.
fn whole_second(second: u64) -> [u8; 19] {
    let time = i64::try_from(second).ok().and_then(|second| jiff::Timestamp::from_second(second).ok());
    let text = time.unwrap_or_default().to_string();
    text.as_bytes().first_chunk().copied().unwrap_or(*b"1970-01-01T00:00:00")
}

/// The members of one JSON object, appended to a line.
struct Json<'a>(&'a mut Vec<u8>);

impl Json<'_> {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Text of ours, in which nothing needs escaping.
    fn own(&mut self, before: &str, text: &str, after: &str) {
        self.raw(before);
        self.raw(text);
        self.raw(after);
    }

    /// Other people's text.
    fn text(&mut self, before: &str, text: &str) {
        self.raw(before);
        // Nearly every text is printable ASCII without a quote or back slash.
        let plain = |byte: u8| byte.wrapping_sub(b' ') < 0x5f && byte != b'"' && byte != b'\\';
        // Without leaving off at the first other byte, many are looked at as one.
        if text.bytes().fold(true, |all, byte| all & plain(byte)) {
            self.0.push(b'"');
            self.raw(text);
            self.0.push(b'"');
        } else {
            // Writing to memory can't fail.
            let _ = text.serialize(&mut serde_json::Serializer::with_formatter(&mut *self.0, OneLine));
        }
    }

    fn number(&mut self, before: &str, number: u64) {
        self.raw(before);
        address::write_number(self.0, number);
    }

    fn milliseconds(&mut self, before: &str, Milliseconds(micros): Milliseconds) {
        self.number(before, u64::from(micros / 1000));
        let rest = micros % 1000;
        let digits = [rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit.to_le_bytes()[0]);
        let shown = match digits {
            [_, b'0', b'0'] => 1,
            [_, _, b'0'] => 2,
            _ => 3,
        };
        self.0.push(b'.');
        self.0.extend(digits.into_iter().take(shown));
    }
}

/// Whether a character could end a line or steer a terminal.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON that also escapes what `serde_json` leaves: DEL, C1, line separators, direction marks.
struct OneLine;

impl Formatter for OneLine {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
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

    use http::{HeaderValue, Method};
    use proptest::prelude::*;

    use super::*;
    use crate::identity::{Claims, Identity, ProviderName};
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

    fn entry<'a>(
        id: &'a RequestId,
        host: &'a str,
        path: &'a str,
        identity: Option<&'a Identity>,
    ) -> Entry<'a> {
        Entry {
            time: Timestamp::from_millis(1_795_000_000_123),
            request_id: id,
            client: None,
            method: &Method::POST,
            host,
            path,
            protocol: Version::HTTP_2,
            status: Some(StatusCode::OK),
            route: Some("app"),
            decision: Decision::Forwarded,
            reason: "forwarded",
            identity,
            upstream: Some("10.0.0.21:8443".parse().unwrap()),
            total: Duration::from_micros(12_345),
            upstream_time: Some(Duration::from_millis(11)),
            bytes_out: 512,
        }
    }

    fn request_id() -> RequestId {
        RequestId::of(Some(&HeaderValue::from_static("req-1")), Sender::TrustedProxy)
    }

    fn lines(format: LogFormat, host: &str, path: &str, claims: &[&str]) -> String {
        let (identity, id) = (identity(), request_id());
        let entry = entry(&id, host, path, Some(&identity));
        let claims: Vec<_> = claims.iter().map(|name| ClaimPath::new(name)).collect();
        let (mut unwritten, mut line) = (Unwritten::default(), Vec::new());
        unwritten.put(&entry, Some(IpAddr::from([203, 0, 113, 77])), &claims);
        unwritten.write(format, &claims, &mut line, &mut |_| {});
        assert_eq!(unwritten.bytes(), 0);
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
    fn lines_that_wait_together_say_each_its_own() {
        let (identity, id) = (identity(), request_id());
        let claims = ["sub", "absent", "groups"].map(ClaimPath::new);
        let asked = [("/a", Some(&identity)), ("/b", None), ("/c/é", Some(&identity)), ("", None)];
        let (mut unwritten, mut out) = (Unwritten::default(), Vec::new());
        for (path, identity) in asked {
            unwritten.put(&entry(&id, "h", path, identity), None, &claims);
        }
        unwritten.write(LogFormat::Json, &claims, &mut out, &mut |_| {});
        let out = String::from_utf8(out).unwrap();
        assert_eq!(out.lines().count(), asked.len());
        for (line, (path, identity)) in out.lines().zip(asked) {
            let line: Value = serde_json::from_str(line).unwrap();
            let said = identity.map(|_| serde_json::json!({ "sub": "7f3a", "groups": r#"["staff","ops"]"# }));
            assert_eq!((line["path"].as_str(), line.get("identity")), (Some(path), said.as_ref()));
            assert_eq!(line["provider"].as_str(), identity.map(|_| "workforce"));
        }
    }

    #[test]
    fn of_a_long_list_no_more_is_put_by_than_is_written() {
        let claims = serde_json::json!({ "sub": "7f3a", "groups": vec!["é".repeat(9); 100_000] });
        let identity = Identity { claims: Claims::new(claims.as_object().unwrap().clone()), ..identity() };
        let mut unwritten = Unwritten::default();
        assert_eq!(unwritten.put_value(identity.claims.get(&ClaimPath::new("groups")).unwrap()), 256);
        assert_eq!(unwritten.texts.len(), 256);
    }

    #[test]
    fn only_claims_that_are_configured_are_written() {
        let line = lines(LogFormat::Json, "h", "/", &["sub"]);
        assert!(line.contains("7f3a") && !line.contains("ada@example.com"));
    }

    #[test]
    fn a_second_is_written_as_a_calendar_has_it() {
        for millis in [0, 1, 999, 1000, 951_782_399_999, 1_795_000_000_123, 253_402_207_200_000, u64::MAX] {
            let time = i64::try_from(millis).ok().and_then(|m| jiff::Timestamp::from_millisecond(m).ok());
            let Some(time) = time else { continue };
            assert_eq!(Time::of(Timestamp::from_millis(millis)).as_str(), format!("{time:.3}"));
        }
    }

    proptest! {
        #[test]
        fn milliseconds_are_written_as_a_number_of_json(micros: u32) {
            let time = Milliseconds(micros);
            let mut line = Vec::new();
            Json(&mut line).milliseconds("", time);
            prop_assert_eq!(String::from_utf8(line).unwrap(), serde_json::to_string(&time.as_f64()).unwrap());
        }

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
