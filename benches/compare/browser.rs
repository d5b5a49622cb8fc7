//! A browser that can do just enough: one request a connection, and a sign-in with the emulator.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use url::{Url, form_urlencoded};

use crate::Result;

/// Header lines of a request or response.
pub(crate) type Headers = Vec<(String, String)>;

/// What a browser says when a person opens a page.
pub(crate) const NAVIGATION: [(&str, &str); 3] =
    [("Accept", "text/html"), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    headers: Headers,
    pub(crate) body: Vec<u8>,
    /// Bytes on the wire.
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

/// Sends a GET and reads the response.
pub(crate) fn get(to: SocketAddr, target: &str, headers: &Headers) -> Result<Response> {
    exchange(to, "GET", target, headers, "")
}

fn exchange(to: SocketAddr, method: &str, target: &str, headers: &Headers, body: &str) -> Result<Response> {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: {to}\r\n");
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    if !body.is_empty() {
        let length = body.len().to_string();
        request.extend([
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ",
            &length,
            "\r\n",
        ]);
    }
    request.extend(["\r\n", body]);
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(request.as_bytes())?;

    let mut received = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(response) = read(&received) {
            return Ok(response);
        }
        match stream.read(&mut chunk)? {
            0 => return Err(format!("read a whole response to {method} {target} at {to}").into()),
            length => received.extend_from_slice(chunk.get(..length).unwrap_or_default()),
        }
    }
}

/// A response once all of it is there; no chunks: none of the servers here sends them.
fn read(received: &[u8]) -> Option<Response> {
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

/// Signs in through the gateway at `gateway` and returns the value of the `Cookie` header to send from
/// then on.
pub(crate) fn sign_in(gateway: SocketAddr, path: &str, username: &str, password: &str) -> Result<String> {
    let mut browser = Browser::default();
    let start = Url::parse(&format!("http://{gateway}{path}"))?;
    let authorize = browser.follow(&start)?;
    let page = browser.follow(&authorize)?;
    let flow = page.query_pairs().find(|(name, _)| name == "flowId").ok_or("find the sign-on's flow")?;
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("flowId", &flow.1)
        .append_pair("username", username)
        .append_pair("password", password)
        .finish();
    let resume = browser.submit(&page, &form)?;
    let callback = browser.follow(&resume)?;
    let landed = browser.follow(&callback)?;
    if landed.path() != path {
        return Err(format!("sign in: it ended at {landed}").into());
    }
    Ok(browser.cookies(gateway, &[Lasts::WhileOpen]))
}

/// Cookies by server and name; every server here has one path.
#[derive(Debug, Default)]
struct Browser {
    jar: BTreeMap<(SocketAddr, String), Cookie>,
}

#[derive(Debug)]
struct Cookie {
    value: String,
    lasts: Lasts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasts {
    /// As long as the browser runs: the session's cookie.
    WhileOpen,
    /// `Max-Age`: those of a login under way, gone soon after it.
    ForAWhile,
}

impl Browser {
    fn cookies(&self, server: SocketAddr, lasting: &[Lasts]) -> String {
        let own =
            self.jar.iter().filter(|((of, _), cookie)| *of == server && lasting.contains(&cookie.lasts));
        own.map(|((_, name), cookie)| format!("{name}={}", cookie.value)).collect::<Vec<_>>().join("; ")
    }

    /// Opens a page and returns where it redirects to.
    fn follow(&mut self, url: &Url) -> Result<Url> {
        self.send("GET", url, "")
    }

    fn submit(&mut self, url: &Url, form: &str) -> Result<Url> {
        self.send("POST", url, form)
    }

    fn send(&mut self, method: &str, url: &Url, body: &str) -> Result<Url> {
        let server = *url.socket_addrs(|| None)?.first().ok_or("find the server's address")?;
        let mut headers = headers(&NAVIGATION);
        let cookies = self.cookies(server, &[Lasts::WhileOpen, Lasts::ForAWhile]);
        if !cookies.is_empty() {
            headers.push(("Cookie".to_owned(), cookies));
        }
        let target =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let response = exchange(server, method, &target, &headers, body)?;
        for cookie in response.all("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else { continue };
            let key = (server, name.to_owned());
            if cookie.contains("Max-Age=0") {
                self.jar.remove(&key);
            } else {
                let lasts = if cookie.contains("Max-Age=") { Lasts::ForAWhile } else { Lasts::WhileOpen };
                self.jar.insert(key, Cookie { value: value.to_owned(), lasts });
            }
        }
        let location = response.all("location").next();
        let location =
            location.ok_or_else(|| format!("be redirected by {method} {url}: {}", response.status))?;
        Ok(url.join(location)?)
    }
}

/// Header lines from a table.
pub(crate) fn headers(table: &[(&str, &str)]) -> Headers {
    table.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}
