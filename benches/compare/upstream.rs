//! The service behind the proxies: HTTP/1.1, keep-alive, 1 KiB from memory, as little work as can be.
//!
//! `/echo` answers with the head it received. `/need-user` answers 403 to whoever comes without an
//! identity header, and `/need-token` without an access token, so that every single request of a load
//! proves that it was sent on with one.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Size of the body that every proxy sends on.
pub(crate) const BODY: usize = 1024;
/// The path that wants an identity.
pub(crate) const NEED_USER: &str = "/need-user";
/// The path that wants an access token.
pub(crate) const NEED_TOKEN: &str = "/need-token";
/// A path that the gateway sends on for anyone.
pub(crate) const PUBLIC: &str = "/public";
/// The path that shows what arrived.
pub(crate) const ECHO: &str = "/echo";

const IDENTITY: &[u8] = b"x-forwarded-user";

/// Serves on one thread until killed.
pub(crate) fn serve(listen: SocketAddr) -> crate::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(listen).await?;
        let answers = Arc::new(Answers::new());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(converse(stream, Arc::clone(&answers)));
        }
    })
}

/// Answers, ready to send.
struct Answers {
    fine: Vec<u8>,
    nobody: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let body: String = ('a'..='z').cycle().take(BODY).collect();
        Self { fine: answer("200 OK", &body), nobody: answer("403 Forbidden", "nobody\n") }
    }
}

/// As many headers as a small service has.
fn answer(status: &str, body: &str) -> Vec<u8> {
    let mut text =
        format!("HTTP/1.1 {status}\r\nServer: upstream\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    let length = body.len();
    // Writing to a string can't fail.
    let _ = write!(text, "Content-Type: text/plain\r\nContent-Length: {length}\r\n");
    text.push_str("Connection: keep-alive\r\n\r\n");
    text.push_str(body);
    text.into_bytes()
}

async fn converse(mut stream: TcpStream, answers: Arc<Answers>) -> std::io::Result<()> {
    let mut received = Vec::with_capacity(16 * 1024);
    loop {
        let Some(end) = received.windows(4).position(|four| four == b"\r\n\r\n") else {
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
            continue;
        };
        // Requests have no body here: the next one begins where the head ends.
        let head: Vec<u8> = received.drain(..end + 4).collect();
        match path(&head) {
            path if path == ECHO.as_bytes() => {
                stream.write_all(&answer("200 OK", &String::from_utf8_lossy(&head))).await?;
            }
            path if path == NEED_USER.as_bytes() && !has(IDENTITY, &head) => {
                stream.write_all(&answers.nobody).await?;
            }
            path if path == NEED_TOKEN.as_bytes() && !has(b"authorization", &head) => {
                stream.write_all(&answers.nobody).await?;
            }
            _ => stream.write_all(&answers.fine).await?,
        }
    }
}

fn path(head: &[u8]) -> &[u8] {
    head.split(|&byte| byte == b' ').nth(1).unwrap_or_default()
}

fn has(wanted: &[u8], head: &[u8]) -> bool {
    head.split(|&byte| byte == b'\n').any(|line| {
        let mut parts = line.splitn(2, |&byte| byte == b':');
        let name = parts.next().unwrap_or_default();
        name.eq_ignore_ascii_case(wanted) && parts.next().is_some_and(|value| !value.trim_ascii().is_empty())
    })
}
