//! As much of the WebSocket protocol ([RFC 6455](https://www.rfc-editor.org/rfc/rfc6455)) as an
//! echo needs: the handshake and short text frames.

use std::io::{self, BufRead, Write};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::message::Request;

/// The key of the example in RFC 6455 §1.3.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The `Sec-WebSocket-Accept` for a key.
pub(crate) fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// A client's request for a WebSocket at `path`, with further header lines (each ended by CRLF).
pub(crate) fn request(host: &str, path: &str, more: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{more}\r\n"
    )
}

/// A client's masked text frame.
pub(crate) fn frame(text: &str) -> Vec<u8> {
    let mask = [7, 11, 13, 17];
    let mut bytes = vec![0x81, 0x80 | u8::try_from(text.len()).expect("a short text")];
    bytes.extend_from_slice(&mask);
    bytes.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A server's text frame.
pub(crate) fn answer(text: &str) -> Vec<u8> {
    let mut bytes = vec![0x81, u8::try_from(text.len()).expect("a short text")];
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// Shakes hands and sends text frames back until the client closes.
pub(crate) fn serve(request: &Request, reader: &mut impl BufRead, out: &mut impl Write) -> io::Result<()> {
    let accept = accept(request.fields.text("sec-websocket-key"));
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    out.write_all(head.as_bytes())?;
    loop {
        let mut start = [0; 6];
        reader.read_exact(&mut start)?;
        let [kind, length, mask @ ..] = start;
        let mut text = vec![0; usize::from(length & 0x7f)];
        reader.read_exact(&mut text)?;
        for (byte, mask) in text.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        out.write_all(&[kind, length & 0x7f])?;
        out.write_all(&text)?;
        if kind & 0x0f == 8 {
            return Ok(());
        }
    }
}
