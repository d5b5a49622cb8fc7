//! What can go wrong with an answer on its way, whatever is in it: one name each.

use std::io::Write;
use std::thread;
use std::time::Duration;

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
}

/// `{}` as gzip packs it: who unpacked it would have an object to read.
const PACKED: [u8; 22] =
    [0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0x02, 0x03, 0xab, 0xae, 0x05, 0, 0x43, 0xbf, 0xa6, 0xa3, 0x02, 0, 0, 0];

impl Mishap {
    /// Sends what becomes of a good answer. Whether the connection goes on.
    pub(super) fn send(self, out: &mut impl Write, good: &[u8], elsewhere: &str) -> bool {
        let head_ends = good.windows(4).position(|four| four == b"\r\n\r\n").map_or(good.len(), |at| at + 4);
        let body = good.get(head_ends..).unwrap_or_default();
        let json = |body: &[u8]| reply(200, "Content-Type: application/json\r\n", body.len(), body);
        let spoilt = match self {
            Self::Slow => {
                thread::sleep(Duration::from_secs(6));
                return false;
            }
            Self::Drips => {
                for byte in good {
                    thread::sleep(Duration::from_millis(50));
                    if out.write_all(std::slice::from_ref(byte)).is_err() {
                        break;
                    }
                }
                return false;
            }
            Self::Closes => return false,
            Self::Endless => {
                let head =
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
                let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
                let _ = out.write_all(head.as_bytes());
                // More than anybody reads, and not for ever if somebody does.
                for _ in 0..16_384 {
                    if out.write_all(chunk.as_bytes()).is_err() {
                        break;
                    }
                }
                return false;
            }
            Self::Status(status) => reply(status, "Content-Type: text/plain\r\n", 4, b"oops"),
            Self::Later(status, when) => {
                reply(status, &format!("Content-Type: text/plain\r\nRetry-After: {when}\r\n"), 4, b"oops")
            }
            Self::Redirect => reply(302, &format!("Location: {elsewhere}\r\n"), 0, b""),
            Self::Html => reply(200, "Content-Type: text/html\r\n", 22, b"<html>It works!</html>"),
            Self::ContentType(other) => reply(200, &format!("Content-Type: {other}\r\n"), body.len(), body),
            Self::Truncated => json(body.get(..body.len() / 2).unwrap_or_default()),
            Self::CutOff => {
                let head = "Content-Type: application/json\r\n";
                let _ = out.write_all(&reply(200, head, body.len() + 100, body));
                return false;
            }
            Self::AnnouncedShorter => {
                let head = "Content-Type: application/json\r\n";
                let _ = out.write_all(&reply(200, head, body.len() / 2, body));
                return false;
            }
            Self::Huge => json(&[b"{\"padding\":\"".as_slice(), &vec![b'x'; 2 << 20], b"\"}"].concat()),
            Self::Deep => {
                json(format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)).as_bytes())
            }
            Self::Doubled => {
                let text = String::from_utf8_lossy(body).into_owned();
                let rest = text.strip_prefix('{').unwrap_or_default();
                let first = rest.split_once(':').map_or("", |(name, _)| name);
                json(format!("{{{first}:\"another\",{rest}").as_bytes())
            }
            Self::Utf16 => {
                let text = String::from_utf8_lossy(body).into_owned();
                let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
                json(&[b"\xff\xfe".as_slice(), &wide].concat())
            }
            Self::ByteOrderMark => json(&["\u{feff}".as_bytes(), body].concat()),
            Self::Trailing => json(&[body, b"{}"].concat()),
            Self::Bytes(bytes) => json(bytes.as_bytes()),
            Self::Gzip => {
                let head = "Content-Type: application/json\r\nContent-Encoding: gzip\r\n";
                reply(200, head, PACKED.len(), &PACKED)
            }
        };
        out.write_all(&spoilt).is_ok()
    }
}

fn reply(status: u16, head: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\n{head}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
