//! The service behind the demo: a page that shows what it was told about the person.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Starts the service in a thread of its own, on a port of the system's choice.
pub(super) fn start() -> std::io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
    });
    Ok(address)
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let body = match request.uri().path() {
        "/favicon.ico" => None,
        path => Some(page(request.method().as_str(), path, request.headers())),
    };
    let status = if body.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut response = Response::new(Full::new(Bytes::from(body.unwrap_or_default())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

const STYLE: &str = "<style>
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#dfe4ea;--paper:#fff;--ground:#f4f6f8;--mark:#0b6e75}
@media(prefers-color-scheme:dark){:root{--ink:#e8edf2;--soft:#9aa7b4;--line:#2c3642;--paper:#18202a;--ground:#10161d;--mark:#5cc4cb}}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:46rem;margin:0 auto;padding:3rem 1.25rem}h1{font-size:1.6rem;margin:0 0 .5rem}p{color:var(--soft);margin:0 0 1.5rem}
table{width:100%;border-collapse:collapse;background:var(--paper);border:1px solid var(--line);border-radius:.5rem;margin:0 0 1.5rem;table-layout:fixed}
th,td{text-align:left;vertical-align:top;padding:.6rem .9rem;border-bottom:1px solid var(--line);overflow-wrap:anywhere}tr:last-child>*{border-bottom:0}
th{font-weight:600;width:42%}td{font-family:ui-monospace,monospace;font-size:.9rem}a{color:var(--mark)}
a.button{display:inline-block;padding:.6rem 1.1rem;border-radius:.4rem;background:var(--mark);color:var(--paper);text-decoration:none;font-weight:600;margin-right:1rem}
h2{font-size:1.05rem;margin:0 0 .6rem}</style>";

/// The page; everything received is escaped.
fn page(method: &str, path: &str, headers: &HeaderMap) -> String {
    let identity = rows(headers, |name| name.starts_with("x-forwarded-") && !is_forwarding(name));
    let others = rows(headers, |name| !name.starts_with("x-forwarded-") || is_forwarding(name));
    format!(
        "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>Echo service</title>{STYLE}</head><body><main><h1>Echo service</h1>\
         <p>This service knows nothing of sign-on. It received <code>{} {}</code> and was told who is asking:</p>\
         <h2>Identity</h2><table id=identity>{identity}</table>\
         <p><a class=button href=\"/.vestibule/sign-out\">Sign out</a> <a href=\"/.vestibule/session\">Session as JSON</a></p>\
         <h2>Other headers</h2><table id=headers>{others}</table></main></body></html>",
        escaped(method),
        escaped(path),
    )
}

fn is_forwarding(name: &str) -> bool {
    matches!(name, "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-port" | "x-forwarded-proto")
}

fn rows(headers: &HeaderMap, shown: impl Fn(&str) -> bool) -> String {
    let mut rows = String::new();
    for (name, value) in headers.iter().filter(|(name, _)| shown(name.as_str())) {
        let value = String::from_utf8_lossy(value.as_bytes());
        // Writing to a string can't fail.
        let _ = write!(
            rows,
            "<tr><th scope=row>{}</th><td>{}</td></tr>",
            escaped(name.as_str()),
            escaped(&value)
        );
    }
    rows
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
