//! What can go wrong with an answer on its way, whatever is in it: one name each.

use std::io::Write;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Endpoint, State};
use crate::support::message::{Request, value};

/// A mishap of one endpoint: what becomes of its good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Nothing comes for longer than anybody waits.
    Slow,
    /// It comes byte by byte, for longer than anybody waits.
    Drips,
    /// Another status, and no JSON.
    Status(u16),
    /// Another status with this `Retry-After`.
    Later(u16, &'static str),
    /// 302 to where the good answer isn't needed from.
    Redirect,
    /// A page.
    Html,
    /// The good answer under this content type.
    ContentType(&'static str),
    /// Half of the JSON, announced as if it were all.
    Truncated,
    /// The connection ends before as much has come as was announced.
    CutOff,
    /// Less is announced than comes.
    AnnouncedShorter,
    /// Two megabytes, announced.
    Huge,
    /// Chunks without end.
    Endless,
    /// A hundred thousand arrays in each other.
    Deep,
    /// A member twice.
    Doubled,
    /// In UTF-16.
    Utf16,
    /// Behind a byte order mark.
    ByteOrderMark,
    /// With something behind the JSON.
    Trailing,
    /// These bytes alone.
    Bytes(&'static str),
    /// Packed, which nobody has asked for.
    Gzip,
    /// The connection is closed instead.
    Closes,
    /// The good answer, in which this member has become this JSON, or is gone where that is empty. `ISSUER` in it
    /// is the provider's own address, `AUTHORITY` the same without its scheme.
    Member(&'static str, &'static str),
    /// This status and this JSON.
    Says(u16, &'static str),
    /// This status, and that it is to be had at this address, in which `ISSUER` is the provider's own.
    Leads(u16, &'static str),
    /// The good answer, made this long by blanks behind it.
    Padded(usize),
    /// The good answer with something in it that makes it so many levels deep.
    Levels(usize),
    /// A gibibyte, announced.
    Gibibyte,
    /// 500 so many times, then the good answer again.
    Hiccups(usize),
    /// This status, and JSON that repeats all that was sent.
    Echoes(u16),
}

/// `{}` as gzip packs it: who unpacked it would have an object to read.
const PACKED: [u8; 22] =
    [0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0x02, 0x03, 0xab, 0xae, 0x05, 0, 0x43, 0xbf, 0xa6, 0xa3, 0x02, 0, 0, 0];

/// The type of what is JSON.
const JSON: &str = "Content-Type: application/json\r\n";
/// More than anybody reads, and not for ever if somebody does: together a gibibyte.
const PIECES: usize = 16_384;
/// Bytes of each.
const PIECE: usize = 0x10000;

impl Mishap {
    /// Sends what becomes of a good answer. Whether the connection goes on.
    pub(super) fn send(self, out: &mut impl Write, good: &[u8], elsewhere: &str) -> bool {
        let head_ends = good.windows(4).position(|four| four == b"\r\n\r\n").map_or(good.len(), |at| at + 4);
        let body = good.get(head_ends..).unwrap_or_default();
        if let Some(spoilt) = self.whole(body, elsewhere) {
            return out.write_all(&spoilt).is_ok();
        }
        match self {
            // It was spoilt where it was made.
            Self::Echoes(_) => return out.write_all(good).is_ok(),
            Self::Slow => thread::sleep(Duration::from_secs(6)),
            Self::Drips => {
                for byte in good {
                    thread::sleep(Duration::from_millis(50));
                    if out.write_all(std::slice::from_ref(byte)).is_err() {
                        break;
                    }
                }
            }
            Self::Endless => {
                let piece = format!("{PIECE:x}\r\n{}\r\n", " ".repeat(PIECE));
                pour(out, "Transfer-Encoding: chunked", &piece);
            }
            Self::Gibibyte => {
                pour(out, &format!("Content-Length: {}", PIECE * PIECES), &" ".repeat(PIECE));
            }
            Self::CutOff => drop(out.write_all(&reply(200, JSON, body.len() + 100, body))),
            Self::AnnouncedShorter => drop(out.write_all(&reply(200, JSON, body.len() / 2, body))),
            _ => {}
        }
        false
    }

    /// The one answer that comes instead; none where it is no whole one, or the connection ends with it.
    fn whole(self, body: &[u8], elsewhere: &str) -> Option<Vec<u8>> {
        let json = |body: &[u8]| reply(200, JSON, body.len(), body);
        let text = || String::from_utf8_lossy(body).into_owned();
        let issuer = elsewhere.strip_suffix("/planted").unwrap_or(elsewhere);
        Some(match self {
            Self::Status(status) => reply(status, "Content-Type: text/plain\r\n", 4, b"oops"),
            Self::Hiccups(_) => reply(500, "Content-Type: text/plain\r\n", 4, b"oops"),
            Self::Later(status, when) => {
                reply(status, &format!("Content-Type: text/plain\r\nRetry-After: {when}\r\n"), 4, b"oops")
            }
            Self::Redirect => reply(302, &format!("Location: {elsewhere}\r\n"), 0, b""),
            Self::Leads(status, to) => {
                reply(status, &format!("Location: {}\r\n", to.replace("ISSUER", issuer)), 0, b"")
            }
            Self::Html => reply(200, "Content-Type: text/html\r\n", 22, b"<html>It works!</html>"),
            Self::ContentType(other) => reply(200, &format!("Content-Type: {other}\r\n"), body.len(), body),
            Self::Truncated => json(body.get(..body.len() / 2).unwrap_or_default()),
            Self::Huge => json(&[b"{\"padding\":\"".as_slice(), &vec![b'x'; 2 << 20], b"\"}"].concat()),
            Self::Padded(length) => {
                let mut padded = body.to_vec();
                padded.resize(length, b' ');
                json(&padded)
            }
            Self::Deep => {
                json(format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)).as_bytes())
            }
            Self::Levels(levels) => {
                // The answer itself is one of them.
                let lists = levels.saturating_sub(1);
                json(&with_member(body, "levels", &("[".repeat(lists) + &"]".repeat(lists))))
            }
            Self::Doubled => {
                let text = text();
                let rest = text.strip_prefix('{').unwrap_or_default();
                let first = rest.split_once(':').map_or("", |(name, _)| name);
                json(format!("{{{first}:\"another\",{rest}").as_bytes())
            }
            Self::Member(name, said) => {
                let authority = issuer.split_once("://").map_or(issuer, |(_, authority)| authority);
                let said = said.replace("ISSUER", issuer).replace("AUTHORITY", authority);
                json(&with_member(body, name, &said))
            }
            Self::Utf16 => {
                let wide: Vec<u8> = text().encode_utf16().flat_map(u16::to_le_bytes).collect();
                json(&[b"\xff\xfe".as_slice(), &wide].concat())
            }
            Self::ByteOrderMark => json(&["\u{feff}".as_bytes(), body].concat()),
            Self::Trailing => json(&[body, b"{}"].concat()),
            Self::Bytes(bytes) => json(bytes.as_bytes()),
            Self::Says(status, said) => reply(status, JSON, said.len(), said.as_bytes()),
            Self::Gzip => reply(200, &format!("{JSON}Content-Encoding: gzip\r\n"), PACKED.len(), &PACKED),
            _ => return None,
        })
    }
}

/// What happens before anybody answers: a hiccup is one of fewer, and who repeats what was sent says nothing else.
pub(super) fn beforehand(request: &Request, endpoint: Endpoint, state: &mut State) -> Option<Vec<u8>> {
    match state.mishap {
        Some((at, Mishap::Hiccups(left))) if at == endpoint => {
            state.mishap = left.checked_sub(1).map(|fewer| (at, Mishap::Hiccups(fewer)));
            None
        }
        Some((at, Mishap::Echoes(status))) if at == endpoint => Some(echo(request, status, state)),
        _ => None,
    }
}

/// An error that repeats what was sent, as the messages of careless servers do.
fn echo(request: &Request, status: u16, state: &mut State) -> Vec<u8> {
    let credentials = request.fields.text("authorization");
    let verifier = value(&request.form(), "code_verifier").to_owned();
    let sent = format!("{credentials} {verifier} {}", String::from_utf8_lossy(&request.body));
    let credentials = credentials.split(' ').next_back().unwrap_or_default().to_owned();
    state.secrets.extend([credentials, verifier].into_iter().filter(|secret| !secret.is_empty()));
    let said = json!({ "error": sent, "error_description": sent, "error_uri": sent, "message": sent });
    let said = said.to_string();
    reply(status, JSON, said.len(), said.as_bytes())
}

/// A document with this member as this JSON, or without it.
fn with_member(document: &[u8], name: &str, json: &str) -> Vec<u8> {
    let mut document: Value = serde_json::from_slice(document).unwrap_or_default();
    if let Some(members) = document.as_object_mut() {
        if json.is_empty() {
            members.shift_remove(name);
        } else {
            let value = serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"));
            members.insert(name.to_owned(), value);
        }
    }
    document.to_string().into_bytes()
}

/// A good head with this line in it, and this for as long as anybody reads.
fn pour(out: &mut impl Write, framing: &str, piece: &str) {
    let head = format!("HTTP/1.1 200 OK\r\n{JSON}{framing}\r\n\r\n");
    let mut sent = out.write_all(head.as_bytes());
    for _ in 0..PIECES {
        if sent.is_err() {
            return;
        }
        sent = out.write_all(piece.as_bytes());
    }
}

fn reply(status: u16, head: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\n{head}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

#[cfg(test)]
mod tests {
    use super::super::Provider;
    use super::*;
    use crate::support::browser::Browser;

    fn body(mishap: Mishap) -> String {
        let mut out = Vec::new();
        let good = b"HTTP/1.1 200 OK\r\n\r\n{\"issuer\":\"here\",\"n\":1}";
        mishap.send(&mut out, good, "http://127.0.0.1:9/planted");
        let text = String::from_utf8(out).unwrap();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    #[test]
    fn a_member_is_changed_or_added_or_gone() {
        let changed = body(Mishap::Member("issuer", r#""ISSUER/x""#));
        assert_eq!(changed, r#"{"issuer":"http://127.0.0.1:9/x","n":1}"#);
        let added = body(Mishap::Member("new", r#"["AUTHORITY"]"#));
        assert_eq!(added, r#"{"issuer":"here","n":1,"new":["127.0.0.1:9"]}"#);
        assert_eq!(body(Mishap::Member("n", "")), r#"{"issuer":"here"}"#);
    }

    #[test]
    fn sizes_and_levels_are_exact() {
        assert_eq!(body(Mishap::Padded(100)).len(), 100);
        assert_eq!(body(Mishap::Levels(4)), r#"{"issuer":"here","n":1,"levels":[[[]]]}"#);
    }

    #[test]
    fn a_hiccup_passes() {
        let provider = Provider::start();
        provider.spoil(Some((Endpoint::Jwks, Mishap::Hiccups(2))));
        let ask = || Browser::new().open(&format!("{}/jwks", provider.issuer())).status;
        assert_eq!([ask(), ask(), ask(), ask()], [500, 500, 200, 200]);
    }
}
