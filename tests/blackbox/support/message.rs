//! HTTP/1 messages as they are on the wire: read whole, kept as they came.
//!
//! Written for tests on purpose: it neither normalises nor refuses anything, so that what a test
//! sees is what was sent.

use std::io::{self, BufRead, Read};

/// The largest head or body that a test reads.
const MOST: usize = 64 * 1024 * 1024;

/// Header fields in order. Each byte of a value is one `char` (Latin-1), so that nothing is lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// The first value under `name`.
    pub(crate) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The first value under `name`, empty when there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.first(name).unwrap_or_default()
    }

    /// Every value under `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// Whether there is a field of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.first(name).is_some()
    }

    /// Every field, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter()
    }

    fn says(&self, name: &str, word: &str) -> bool {
        self.all(name).iter().any(|v| v.to_ascii_lowercase().contains(word))
    }

    fn parse(lines: &str) -> Self {
        let fields = lines.split("\r\n").filter(|l| !l.is_empty()).map(|line| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
        });
        Self(fields.collect())
    }
}

/// A request as a server reads it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
    /// Whether the body ended as its framing said.
    pub(crate) complete: bool,
}

impl Request {
    /// The path of the target.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query of the target, decoded.
    pub(crate) fn query(&self) -> Vec<(String, String)> {
        pairs(self.target.split_once('?').map_or("", |(_, query)| query))
    }

    /// The body as a form, decoded.
    pub(crate) fn form(&self) -> Vec<(String, String)> {
        pairs(&String::from_utf8_lossy(&self.body))
    }
}

/// The pairs of an `application/x-www-form-urlencoded` text.
pub(crate) fn pairs(text: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(text.as_bytes()).into_owned().collect()
}

/// The first value of `name`, empty when there is none.
pub(crate) fn value<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
}

/// Whether a response came to the end that its framing promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// It did.
    Complete,
    /// The connection ended, failed or fell silent before.
    Cut,
}

/// A response as a client reads it.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) ending: Ending,
}

impl Response {
    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` when it is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The `Location`, empty when there is none.
    pub(crate) fn location(&self) -> &str {
        self.fields.text("location")
    }

    /// Head and body as one text, for searches.
    pub(crate) fn everything(&self) -> String {
        let mut all = self.status.to_string();
        for (name, value) in self.fields.iter() {
            all.extend(["\n", name, ": ", value]);
        }
        all.push('\n');
        all + &self.text()
    }
}

/// Reads bytes up to and with the empty line; none at the end of the stream.
pub(crate) fn read_head(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return if head.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        if head.is_empty() && line == b"\r\n" {
            continue;
        }
        head.extend_from_slice(&line);
        if head.len() > MOST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(Some(head))
}

/// The start line and the fields of a head.
pub(crate) fn split_head(head: &[u8]) -> (String, Fields) {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let (start, lines) = text.split_once("\r\n").unwrap_or((&text, ""));
    (start.to_owned(), Fields::parse(lines))
}

/// Reads one request; none at the end of the stream.
pub(crate) fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let Some(head) = read_head(reader)? else { return Ok(None) };
    let mut request = request_of(&head);
    request.complete = read_request_body(reader, &request.fields, &mut request.body);
    Ok(Some(request))
}

/// The request that `head` begins; its body is still to be read.
pub(crate) fn request_of(head: &[u8]) -> Request {
    let (start, fields) = split_head(head);
    let mut words = start.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    Request { method, target, fields, ..Request::default() }
}

/// Reads the body that `fields` promise; whether it came whole.
pub(crate) fn read_request_body(reader: &mut impl BufRead, fields: &Fields, body: &mut Vec<u8>) -> bool {
    if fields.says("transfer-encoding", "chunked") {
        return read_chunks(reader, body).is_ok();
    }
    let length = fields.text("content-length").parse().unwrap_or(0);
    read_exactly(reader, length, body).is_ok()
}

/// Reads the next final response (1xx are skipped); none when there is no further one.
pub(crate) fn read_response(reader: &mut impl BufRead, method: &str) -> io::Result<Option<Response>> {
    loop {
        let Some(head) = read_head(reader)? else { return Ok(None) };
        let (start, fields) = split_head(&head);
        let status = start.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        if (100..200).contains(&status) && status != 101 {
            continue;
        }
        let mut body = Vec::new();
        let whole = if method == "HEAD" || matches!(status, 101 | 204 | 304) {
            Ok(())
        } else if fields.says("transfer-encoding", "chunked") {
            read_chunks(reader, &mut body)
        } else if let Some(length) = fields.first("content-length") {
            read_exactly(reader, length.parse().unwrap_or(0), &mut body)
        } else {
            reader.read_to_end(&mut body).map(|_| ())
        };
        let ending = if whole.is_ok() { Ending::Complete } else { Ending::Cut };
        return Ok(Some(Response { status, fields, body, ending }));
    }
}

fn read_exactly(reader: &mut impl Read, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
    let read = reader.take(length.min(MOST) as u64).read_to_end(body)?;
    if read == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| io::ErrorKind::InvalidData)?;
        if size == 0 {
            return read_trailers(reader);
        }
        read_exactly(reader, size, body)?;
        let mut end = Vec::new();
        read_exactly(reader, 2, &mut end)?;
    }
}

fn read_trailers(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            return Ok(());
        }
    }
}
