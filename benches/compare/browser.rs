//! A browser that can do just enough: one request a connection, and a sign-in with the emulator.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use url::{Url, form_urlencoded};

use crate::Result;
use crate::origin::{Origin, Stream};

/// Header lines of a request or response.
pub(crate) type Headers = Vec<(String, String)>;

/// What a browser says when a person opens a page.
pub(crate) const NAVIGATION: [(&str, &str); 3] =
    [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    /// Bytes of head and body.
    pub(crate) size: usize,
}

impl Response {
    /// The values of a header.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Sends a GET on a connection of its own and reads the response.
pub(crate) fn get(to: &Origin, target: &str, headers: &Headers) -> Result<Response> {
    send(to, "GET", target, headers, "")
}

fn send(to: &Origin, method: &str, target: &str, headers: &Headers, body: &str) -> Result<Response> {
    let mut request = head(method, to.address, target, headers);
    if !body.is_empty() {
        let length = body.len().to_string();
        request.extend([
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ",
            &length,
            "\r\n",
        ]);
    }
    request.extend(["\r\n", body]);
    let response = to.connect().and_then(|mut stream| exchange(&mut *stream, &request));
    response.map_err(|error| format!("{method} {}: {error}", to.url(target)).into())
}

/// A request's head but for the empty line.
pub(crate) fn head(method: &str, host: SocketAddr, target: &str, headers: &Headers) -> String {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request
}

/// Sends a request on a connection and reads the response.
pub(crate) fn exchange(stream: &mut dyn Stream, request: &str) -> Result<Response> {
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut received = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(response) = read(&received) {
            return Ok(response);
        }
        match stream.read(&mut chunk)? {
            0 => return Err("read a whole response".into()),
            length => received.extend_from_slice(chunk.get(..length).unwrap_or_default()),
        }
    }
}

/// A response once all of it is there; no chunks: none of the servers here sends them.
pub(crate) fn read(received: &[u8]) -> Option<Response> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(received.get(..end)?);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.map_or(Some(0), |(_, length)| length.parse().ok())?;
    let body = received.get(end + 4..end + 4 + length)?.to_vec();
    Some(Response { status, headers, body, size: end + 4 + length })
}

/// Cookies by server and name; every server here has one path.
#[derive(Debug)]
pub(crate) struct Browser {
    jar: BTreeMap<(SocketAddr, String), String>,
    /// For https.
    tls: Arc<ClientConfig>,
}

impl Browser {
    pub(crate) const fn new(tls: Arc<ClientConfig>) -> Self {
        Self { jar: BTreeMap::new(), tls }
    }

    /// Signs in on the way to a page.
    pub(crate) fn sign_in(&mut self, at: &Origin, path: &str, username: &str, password: &str) -> Result<()> {
        let start = Url::parse(&at.url(path))?;
        let authorize = self.follow(&start)?;
        let page = self.follow(&authorize)?;
        let flow = page.query_pairs().find(|(name, _)| name == "flowId").ok_or("find the sign-on's flow")?;
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("flowId", &flow.1)
            .append_pair("username", username)
            .append_pair("password", password)
            .finish();
        let resume = self.redirected("POST", &page, &form)?;
        let callback = self.follow(&resume)?;
        let landed = self.follow(&callback)?;
        if landed.path() != path {
            return Err(format!("sign in: it ended at {landed}").into());
        }
        Ok(())
    }

    /// Value of the `Cookie` header for a server.
    pub(crate) fn cookies(&self, server: SocketAddr) -> String {
        let own = self.jar.iter().filter(|((of, _), _)| *of == server);
        own.map(|((_, name), value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Opens a page, keeping the cookies that come with it.
    pub(crate) fn open(&mut self, at: &Origin, target: &str, headers: &Headers) -> Result<Response> {
        self.send("GET", at, target, headers.clone(), "")
    }

    /// Opens a page and returns where it redirects to.
    fn follow(&mut self, url: &Url) -> Result<Url> {
        self.redirected("GET", url, "")
    }

    fn redirected(&mut self, method: &str, url: &Url, body: &str) -> Result<Url> {
        let address = *url.socket_addrs(|| None)?.first().ok_or("find the server's address")?;
        let tls = (url.scheme() == "https").then(|| Arc::clone(&self.tls));
        let target =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let response = self.send(method, &Origin { address, tls }, &target, headers(&NAVIGATION), body)?;
        let location = response.all("location").next();
        let location = location.ok_or_else(|| {
            let body = String::from_utf8_lossy(&response.body);
            format!("be redirected by {method} {url}: {} {body}", response.status)
        })?;
        Ok(url.join(location)?)
    }

    fn send(
        &mut self,
        method: &str,
        to: &Origin,
        target: &str,
        mut headers: Headers,
        body: &str,
    ) -> Result<Response> {
        let cookies = self.cookies(to.address);
        if !cookies.is_empty() {
            headers.push(("Cookie".to_owned(), cookies));
        }
        let response = send(to, method, target, &headers, body)?;
        for cookie in response.all("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else { continue };
            let key = (to.address, name.to_owned());
            let attributes = cookie.to_ascii_lowercase();
            if value.is_empty() || attributes.contains("max-age=0") || attributes.contains(" 1970 ") {
                self.jar.remove(&key);
            } else {
                self.jar.insert(key, value.to_owned());
            }
        }
        Ok(response)
    }
}

/// Header lines from a table.
pub(crate) fn headers(table: &[(&str, &str)]) -> Headers {
    table.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}
