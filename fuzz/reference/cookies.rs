//! A naive reader of Cookie fields.

/// Every part between semicolons of every field, without the blanks around it; empty ones left out.
pub fn parts(fields: &[&[u8]]) -> Vec<Vec<u8>> {
    let parts = fields.iter().flat_map(|field| field.split(|&byte| byte == b';'));
    parts.map(|part| part.trim_ascii().to_vec()).filter(|part| !part.is_empty()).collect()
}

/// What stands before the first `=`, or all of it.
pub fn name(part: &[u8]) -> String {
    let name = part.split(|&byte| byte == b'=').next().unwrap_or_default();
    String::from_utf8_lossy(name.trim_ascii()).into_owned()
}

/// The name under which a browser keeps what a `Set-Cookie` sets
/// ([RFC 6265bis §5.6](https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-5.6)):
/// without a `=` or with nothing before it the name is empty, and the value is sent alone.
pub fn sent_back_as(set_cookie: &[u8]) -> String {
    let pair = set_cookie.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let (name_part, value) = match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (pair.get(..at).unwrap_or_default(), pair.get(at + 1..).unwrap_or_default()),
        None => (&b""[..], pair),
    };
    match name_part.trim_ascii() {
        b"" => name(value.trim_ascii()),
        known => String::from_utf8_lossy(known).into_owned(),
    }
}
