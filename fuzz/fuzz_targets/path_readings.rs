//! A path against a table of routes. Input: a route a line, then the request.
//!
//! ```text
//! p /
//! s= /admin
//! GET /%61dmin
//! ```
//!
//! Letters before a path: `p` public, `o` session optional, `s` session, `u` session at another
//! upstream; `=` exact, `g` GET alone, `e` encoded slashes allowed, `w` only at the other host, which
//! the request asks with `w` before its path.

#![no_main]

use std::sync::Arc;

use http::Method;
use libfuzzer_sys::fuzz_target;
use vestibule::identity::ProviderName;
use vestibule::policy::Policy;
use vestibule::route::origin::Host;
use vestibule::route::path::{PathPrefix, readings, refuse_malformed};
use vestibule::route::table::{Found, RouteTable};
use vestibule::route::upstream::{HostHeader, Prepared, Protocol, Retries, Server, Timeouts, Upstream};
use vestibule::route::{
    Auth, ChallengeStyle, EncodedSlash, HeaderEdits, Methods, Required, ResponseCache, Route,
};
use vestibule_fuzz::path::{self, Reading};

const OWN: &str = "/.vestibule";
const MOST_ROUTES: usize = 8;

/// A route as the input has it.
#[derive(Debug, Clone)]
struct Line {
    path: String,
    /// `p`, `o`, `s` or `u`: what it decides.
    decision: char,
    exact: bool,
    get_alone: bool,
    encoded_slash: bool,
    other_host: bool,
}

#[derive(Debug)]
struct Request {
    method: Method,
    other_host: bool,
    path: String,
}

fuzz_target!(|text: &str| {
    let Some((routes, request)) = read(text) else { return };
    refused_list(&request.path);
    let table = table(&routes);
    let host = host(request.other_host);
    if refuse_malformed(&request.path).is_err() {
        return;
    }
    let found = table.find(&host, &request.path, &request.method);
    let plain = is_plain(&request.path) && routes.iter().all(|line| is_plain(&line.path));
    match (table.owns(&request.path), found) {
        (Ok(true), _) => {
            for reading in path::readings(&request.path) {
                assert!(path::lies_under(&reading, OWN), "ours, and read as {reading}");
            }
        }
        (Ok(false), Ok(Found::Route(route))) => allowed(&routes, &request, &route),
        (Ok(false), Ok(Found::Nothing)) => assert!(takes(&routes, &request, &request.path).is_none()),
        (Ok(false), Ok(Found::MethodNotAllowed(_))) => {
            assert_eq!(takes(&routes, &request, &request.path), Some(None));
        }
        // Refusing is always safe, but a path that can be read in one way only needs none of it.
        (Ok(false), Err(refused)) => assert!(!plain, "{refused}"),
        (Err(refused), _) => assert!(!plain, "{refused}"),
    }
});

fn read(text: &str) -> Option<(Vec<Line>, Request)> {
    let lines: Vec<&str> = text.split('\n').collect();
    let (request, routes) = lines.split_last()?;
    let routes = routes.iter().take(MOST_ROUTES).filter_map(|line| route_line(line)).collect();
    let (method, path) = request.split_once(' ')?;
    let method = if method.starts_with("GET") { Method::GET } else { Method::POST };
    let (path, other_host) = path.strip_prefix('w').map_or((path, false), |path| (path, true));
    Some((routes, Request { method, other_host, path: path.to_owned() }))
}

fn route_line(line: &str) -> Option<Line> {
    let (letters, path) = line.split_once(' ')?;
    let decision = letters.chars().find(|letter| "posu".contains(*letter)).unwrap_or('s');
    let exact = letters.contains('=');
    PathPrefix::new(path, exact).ok()?;
    Some(Line {
        path: path.to_owned(),
        decision,
        exact,
        get_alone: letters.contains('g'),
        encoded_slash: letters.contains('e'),
        other_host: letters.contains('w'),
    })
}

fn host(other: bool) -> Host {
    Host::parse(if other { "wiki.test" } else { "app.test" }).expect("a host")
}

/// The refused list is what the design says, no more and no less, and no reading of what passes it
/// has a dot segment.
fn refused_list(request: &str) {
    let refused = refuse_malformed(request).is_err();
    assert_eq!(refused, path::is_refused(request), "{request}");
    if refused {
        return;
    }
    let named = path::readings(request);
    let read: Vec<String> = readings(request).map(|reading| reading.into_owned()).collect();
    for reading in &named {
        assert!(read.contains(reading), "{request} reads as {reading}, too");
        let dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
        assert!(!reading.split('/').any(dots), "{request} reads as {reading}");
    }
    for reading in &read {
        assert!(named.contains(reading), "{request} never reads as {reading}");
    }
}

/// What is let through is decided alike in every reading, and is never ours.
fn allowed(routes: &[Line], request: &Request, found: &Route) {
    let chosen = takes(routes, request, &request.path).flatten();
    let chosen = chosen.unwrap_or_else(|| panic!("{} is found and nothing takes it", found.id));
    assert_eq!(*found.id, chosen.0.to_string(), "another route takes it");
    let slash = path::all_readings(&request.path).iter().any(|reading| has_encoded_slash(reading));
    assert!(!slash || routes[chosen.0].encoded_slash, "an encoded slash where none may be");
    // Two routes that some service can't tell apart are told apart only as they are written.
    let readings: Vec<_> =
        if has_twins(routes) { Reading::named().collect() } else { Reading::all().collect() };
    for reading in readings {
        let read = reading.of(&request.path);
        assert!(!path::lies_under(&read, OWN), "read as ours: {read}");
        // Who reads the path so reads a route's path so, too. One that is written as it is read is meant.
        let lines: Vec<Line> =
            routes.iter().map(|line| Line { path: reading.of(&line.path), ..line.clone() }).collect();
        let there = covering(&lines, request, &read);
        let meant = |index: &&usize| trimmed(&lines[**index]) == trimmed(&routes[**index]);
        let taking: Vec<usize> = there.iter().copied().filter(|&index| lines[index].takes(request)).collect();
        assert!(there.is_empty() || !taking.is_empty(), "read as {read}, which is no method there");
        let meant: Vec<usize> = taking.iter().find(meant).map_or(taking.clone(), |index| vec![*index]);
        for index in meant {
            assert_eq!(lines[index].decision, chosen.1, "read as {read}");
        }
    }
}

fn has_encoded_slash(reading: &str) -> bool {
    reading.to_ascii_lowercase().contains("%2f")
}

/// Whether two routes' paths have a reading in common.
fn has_twins(routes: &[Line]) -> bool {
    let read = |line: &Line| -> Vec<String> {
        let trim = |path: String| path.trim_end_matches('/').to_owned();
        path::all_readings(&line.path).into_iter().map(trim).collect()
    };
    let all: Vec<_> = routes.iter().map(read).collect();
    all.iter().enumerate().any(|(index, one)| {
        let others = all.iter().enumerate().filter(|(other, _)| *other != index);
        others.flat_map(|(_, other)| other).any(|reading| one.contains(reading))
    })
}

/// Nothing there; nothing for this method; or the route and what it decides.
fn takes(routes: &[Line], request: &Request, path: &str) -> Option<Option<(usize, char)>> {
    let there = covering(routes, request, path);
    there.first()?;
    let takes = there.into_iter().find(|&index| routes[index].takes(request));
    Some(takes.map(|index| (index, routes[index].decision)))
}

/// The routes at the longest path that covers this one, those that name the host before all others;
/// exact ones first, then in their order. The slow way.
fn covering(routes: &[Line], request: &Request, path: &str) -> Vec<usize> {
    let covers = |line: &Line| match line.exact {
        true => line.path == path,
        false => path::lies_under(path, &line.path),
    };
    let rank = |line: &Line| (line.other_host, trimmed(line).len());
    let here = |line: &Line| (!line.other_host || request.other_host) && covers(line);
    let best = routes.iter().filter(|line| here(line)).map(rank).max();
    let mut there: Vec<usize> = (0..routes.len())
        .filter(|&index| here(&routes[index]) && Some(rank(&routes[index])) == best)
        .collect();
    there.sort_by_key(|&index| !routes[index].exact);
    there
}

/// A prefix says nothing by its last slash.
fn trimmed(line: &Line) -> &str {
    match (line.exact, line.path.trim_end_matches('/')) {
        (true, _) => &line.path,
        (false, "") => "/",
        (false, path) => path,
    }
}

impl Line {
    fn takes(&self, request: &Request) -> bool {
        !self.get_alone || request.method == Method::GET
    }
}

fn is_plain(path: &str) -> bool {
    let plain = |segment: &str| segment.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    path.starts_with('/') && !path.contains("//") && path.split('/').all(plain)
}

fn table(routes: &[Line]) -> RouteTable {
    let routes = routes.iter().enumerate().map(|(index, line)| route(index, line)).collect();
    RouteTable::new(routes, OWN, &[host(false)])
}

fn route(index: usize, line: &Line) -> Route {
    let session =
        |required| Auth::Session { provider: ProviderName::parse("idp").expect("a name"), required };
    Route {
        id: index.to_string().into(),
        host: line.other_host.then(|| host(true)),
        path: PathPrefix::new(&line.path, line.exact).expect("read before"),
        methods: if line.get_alone { Methods::only(vec![Method::GET]) } else { Methods::Any },
        any_host: false,
        auth: match line.decision {
            'p' => Auth::Public,
            'o' => session(Required::Optional),
            _ => session(Required::Yes),
        },
        require: Policy::default(),
        challenge: ChallengeStyle::Auto,
        authorize: Vec::new(),
        idle_timeout: None,
        body_limit: None,
        encoded_slash: if line.encoded_slash { EncodedSlash::Allow } else { EncodedSlash::Refuse },
        forward_authorization: false,
        request_headers: HeaderEdits::default(),
        response_headers: HeaderEdits::default(),
        cache: ResponseCache::Private,
        websocket_origins: Vec::new(),
        identity: None,
        upstream: Arc::new(Upstream {
            server: Server::new("127.0.0.1", if line.decision == 'u' { 9001 } else { 9000 }),
            host: HostHeader::Preserve,
            strip_prefix: None,
            timeouts: Timeouts::default(),
            retries: Retries::default(),
            tls: None,
            protocol: Protocol::Http1,
            prepared: Prepared::default(),
        }),
    }
}
