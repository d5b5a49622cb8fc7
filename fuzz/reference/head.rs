//! A strict reader of HTTP/1 request heads, after
//! [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112) with every liberty it leaves taken away.

/// A head that can be read in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<'a> {
    /// Method.
    pub method: &'a [u8],
    /// Request target as written.
    pub target: &'a [u8],
    /// `HTTP/1.` and this.
    pub minor: u8,
    /// Names in lower case and values without the blanks around them, in order.
    pub fields: Vec<(String, &'a [u8])>,
}

/// Reads a head up to its empty line.
///
/// # Errors
/// What could be read in two ways.
pub fn read(bytes: &[u8]) -> Result<Head<'_>, &'static str> {
    // Section 2.2: empty lines before the request line are passed over.
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let mut rest = bytes.split_at(blank).1;
    let (method, target, minor) = request_line(take_line(&mut rest)?)?;
    let mut fields = Vec::new();
    loop {
        let line = take_line(&mut rest)?;
        if line.contains(&b'\r') {
            return Err("a bare return");
        }
        if line.is_empty() {
            return Ok(Head { method, target, minor, fields });
        }
        fields.push(field(line)?);
    }
}

/// A line without its end, which is CRLF or, as section 2.2 allows, LF.
fn take_line<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
    let end = rest.iter().position(|&byte| byte == b'\n').ok_or("no end")?;
    let (line, more) = rest.split_at(end);
    *rest = more.split_first().map_or(more, |(_, more)| more);
    Ok(line.strip_suffix(b"\r").unwrap_or(line))
}

/// The target may hold any byte but a line feed: Pingora escapes what none should hold, and what
/// becomes of that is for the caller to compare.
fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], u8), &'static str> {
    let first = line.iter().position(|&byte| byte == b' ').ok_or("no target")?;
    let last = line.iter().rposition(|&byte| byte == b' ').ok_or("no version")?;
    let method = line.get(..first).unwrap_or_default();
    let target = line.get(first + 1..last).ok_or("one blank")?;
    let minor = match line.get(last + 1..) {
        Some(b"HTTP/1.1") => 1,
        Some(b"HTTP/1.0") => 0,
        _ => return Err("another version"),
    };
    if method.is_empty() || !method.iter().all(is_token) {
        return Err("no method");
    }
    Ok((method, target, minor))
}

fn field(line: &[u8]) -> Result<(String, &[u8]), &'static str> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or("no colon")?;
    let (name, value) = line.split_at(colon);
    // A blank in front is a folded line, one behind hides the name: section 5.1 and 5.2.
    if name.is_empty() || !name.iter().all(is_token) {
        return Err("no name");
    }
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    if value.iter().any(|&byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f) {
        return Err("a control byte");
    }
    Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value))
}

fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

impl<'a> Head<'a> {
    /// Every value of a name, in order.
    pub fn all(&self, name: &str) -> Vec<&'a [u8]> {
        self.fields.iter().filter(|(known, _)| known == name).map(|&(_, value)| value).collect()
    }

    /// The members of all values of a comma-separated list, empty ones left out.
    pub fn members(&self, name: &str) -> Vec<String> {
        let values = self.all(name).into_iter().flat_map(|value| value.split(|&byte| byte == b','));
        let members = values.map(|member| String::from_utf8_lossy(member.trim_ascii()).to_ascii_lowercase());
        members.filter(|member| !member.is_empty()).collect()
    }

    /// Where the path begins in the target: behind the authority of a whole URL.
    ///
    /// # Errors
    /// The target is neither a path nor an http URL.
    pub fn path_and_query(&self) -> Result<Vec<u8>, &'static str> {
        let lower = self.target.to_ascii_lowercase();
        let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| lower.starts_with(scheme));
        let Some(scheme) = scheme else {
            return if self.target.starts_with(b"/") { Ok(self.target.to_vec()) } else { Err("no path") };
        };
        let rest = self.target.split_at(scheme.len()).1;
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (_, path) = rest.split_at(end);
        Ok(if path.starts_with(b"/") { path.to_vec() } else { [b"/", path].concat() })
    }

    /// Whether a body follows, and how its end is found.
    ///
    /// # Errors
    /// It could be found in two places.
    pub fn framing(&self) -> Result<Framing, &'static str> {
        match (&*self.all("content-length"), &*self.all("transfer-encoding")) {
            ([], []) => Ok(Framing::None),
            ([length], []) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
                let digits = std::str::from_utf8(length).map_err(|_| "a length that is none")?;
                digits.parse().map(Framing::Length).map_err(|_| "a length beyond all numbers")
            }
            ([], [coding]) if self.minor == 1 && coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Framing::Chunked)
            }
            _ => Err("two ends"),
        }
    }

    /// The one Host.
    ///
    /// # Errors
    /// There is none, more than one, or one with bytes that no host has.
    pub fn host(&self) -> Result<String, &'static str> {
        let &[host] = &*self.all("host") else { return Err("not one host") };
        let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(byte);
        if host.is_empty() || !host.iter().all(known) {
            return Err("no host");
        }
        Ok(String::from_utf8_lossy(host).to_ascii_lowercase())
    }
}

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// After so many bytes.
    Length(u64),
    /// After the last chunk.
    Chunked,
}
