//! As much of HTTP/1.1 as both ends here need: heads, and bodies of known length.

use std::io::{Error, ErrorKind, Result};

use memchr::memmem;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Largest head.
const HEAD: usize = 64 * 1024;

/// A request's or response's head.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// The first line.
    pub(crate) line: String,
    /// Names in lower case, and values, in order.
    pub(crate) fields: Vec<(String, String)>,
}

impl Head {
    /// The first value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        first(&self.fields, name)
    }

    /// A word of the first line.
    pub(crate) fn word(&self, index: usize) -> &str {
        self.line.split(' ').nth(index).unwrap_or_default()
    }

    /// The body's length; none when it isn't told.
    pub(crate) fn length(&self) -> Option<usize> {
        self.field("content-length").and_then(|text| text.parse().ok())
    }
}

/// The first value of a field.
pub(crate) fn first<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// One side of a connection, and what has been read ahead.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    inner: R,
    ahead: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Nothing is read yet.
    pub(crate) const fn new(inner: R) -> Self {
        Self { inner, ahead: Vec::new() }
    }

    /// The connection itself, to write to.
    pub(crate) const fn inner(&mut self) -> &mut R {
        &mut self.inner
    }

    /// The next head; none when the other side has closed between two messages.
    pub(crate) async fn head(&mut self) -> Result<Option<Head>> {
        loop {
            if let Some(end) = memmem::find(&self.ahead, b"\r\n\r\n") {
                let head = parse(&self.ahead[..end]);
                self.ahead.drain(..end + 4);
                return head.map(Some);
            }
            if self.ahead.len() > HEAD {
                return Err(ErrorKind::InvalidData.into());
            }
            if self.more().await? == 0 {
                return if self.ahead.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// The next `length` bytes.
    pub(crate) async fn body(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.ahead.len() < length {
            if self.more().await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let rest = self.ahead.split_off(length);
        Ok(std::mem::replace(&mut self.ahead, rest))
    }

    async fn more(&mut self) -> Result<usize> {
        self.ahead.reserve(8 * 1024);
        self.inner.read_buf(&mut self.ahead).await
    }
}

fn parse(bytes: &[u8]) -> Result<Head> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::from(ErrorKind::InvalidData))?;
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    let field = |line: &str| {
        let (name, value) = line.split_once(':').ok_or(ErrorKind::InvalidData)?;
        Ok((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Ok(Head { line, fields: lines.map(field).collect::<Result<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_messages_one_after_the_other() {
        let wire = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\nX: y \r\n\r\nabcGET /b HTTP/1.1\r\n\r\n";
        let mut reader = Reader::new(&wire[..]);
        let head = reader.head().await.unwrap().unwrap();
        assert_eq!((head.word(1), head.field("x"), head.length()), ("/a", Some("y"), Some(3)));
        assert_eq!(reader.body(3).await.unwrap(), b"abc");
        assert_eq!(reader.head().await.unwrap().unwrap().word(1), "/b");
        assert!(reader.head().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_cut_message_is_an_error() {
        assert!(Reader::new(&b"GET / HT"[..]).head().await.is_err());
        assert!(Reader::new(&b"ab"[..]).body(3).await.is_err());
    }
}
