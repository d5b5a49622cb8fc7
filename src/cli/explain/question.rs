//! What is asked: method, URL, headers, and who is signed in.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use http::{HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};

use crate::identity::Claims;
use crate::reply::Transport;
use crate::route::origin::Authority;

/// As it stands on the command line.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Asked {
    /// GET, POST, …
    method: Method,
    /// As a browser has it: `https://app.example.com/path?query`
    url: String,
    /// Somebody is signed in: a file with their claims as one JSON object; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "anonymous")]
    claims: Option<PathBuf>,
    /// Nobody is signed in; so it is without --claims
    #[arg(long)]
    anonymous: bool,
    /// A header of the request; may stand several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Where the client connects from
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    from: IpAddr,
}

/// The same, read.
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) url: String,
    /// What the Host header names.
    pub(super) authority: Authority,
    pub(super) transport: Transport,
    /// As written, without the query.
    pub(super) path: String,
    pub(super) peer: SocketAddr,
    pub(super) claims: Option<Claims>,
    target: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Question {
    /// Reads it.
    ///
    /// # Errors
    /// A sentence that says what to write.
    pub(super) fn of(asked: &Asked) -> Result<Self, String> {
        let url = &asked.url;
        let whole =
            || format!("not a whole URL: {url}; write it as a browser has it: https://app.example.com/path");
        let (scheme, rest) = url.split_once("://").ok_or_else(whole)?;
        let transport = match scheme {
            "https" => Transport::Tls,
            "http" => Transport::Plain,
            _ => return Err(whole()),
        };
        let (host, target) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let target = target.split('#').next().unwrap_or_default();
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        if target.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(format!(
                "no request can carry blanks or control characters: {url}; write %20 for a blank"
            ));
        }
        let mut headers = asked.headers.iter().map(|line| header(line)).collect::<Result<Vec<_>, _>>()?;
        if !headers.iter().any(|(name, _)| name == http::header::HOST) {
            let host = HeaderValue::from_str(host).map_err(|_| whole())?;
            headers.insert(0, (http::header::HOST, host));
        }
        let named = headers.iter().find(|(name, _)| name == http::header::HOST);
        let named = named.and_then(|(_, value)| value.to_str().ok()).unwrap_or_default();
        Ok(Self {
            method: asked.method.clone(),
            url: url.clone(),
            authority: Authority::parse(named).map_err(|_| format!("not a host: {named}"))?,
            transport,
            path: target.split('?').next().unwrap_or_default().to_owned(),
            peer: SocketAddr::new(asked.from, 0),
            claims: asked.claims.as_deref().map(claims).transpose()?,
            target,
            headers,
        })
    }

    /// The request, with these lines behind its own.
    pub(super) fn head(&self, lines: &str) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(lines.as_bytes());
        head.extend_from_slice(b"\r\n");
        head
    }

    /// Whether the headers tell a browser from a program.
    pub(super) fn says_who_asks(&self) -> bool {
        self.headers.iter().any(|(name, _)| {
            let name = name.as_str();
            name.starts_with("sec-fetch-")
                || matches!(name, "accept" | "content-type" | "upgrade" | "x-requested-with")
        })
    }
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("not a header: {line}; write 'Name: value'");
    let (name, value) = line.split_once(':').ok_or_else(wrong)?;
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    let value = HeaderValue::from_str(value.trim_matches([' ', '\t'])).map_err(|_| wrong())?;
    Ok((name, value))
}

fn claims(file: &Path) -> Result<Claims, String> {
    let text = if file == Path::new("-") {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    let name = file.display();
    let text = text.map_err(|error| format!("failed to read {name}: {error}"))?;
    let members: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|error| format!("{name} is not one JSON object of claims: {error}"))?;
    Ok(Claims::new(members))
}
