//! The recording upstream: tells what it saw, and fails in the ways that its path names.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use super::counts::Event;
use super::message::{Head, Reader};
use super::rules::NOBODY;
use super::world::World;

/// Bytes of a big answer.
pub(crate) const BIG: usize = 192 * 1024;

/// What the second segment of a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// An answer.
    Answer,
    /// The same, a little later.
    Slow,
    /// A long one.
    Big,
    /// On a kept connection: closed without an answer, the first time.
    Reset,
    /// An answer, after which the connection is closed without a word.
    Leave,
    /// An answer that ends in the middle.
    Cut,
}

impl Behaviour {
    const ALL: [Self; 6] = [Self::Answer, Self::Slow, Self::Big, Self::Reset, Self::Leave, Self::Cut];

    /// As it stands in a path.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Answer => "ok",
            Self::Slow => "slow",
            Self::Big => "big",
            Self::Reset => "reset",
            Self::Leave => "leave",
            Self::Cut => "cut",
        }
    }

    fn of(target: &str) -> Self {
        let word = target.split('/').nth(2).unwrap_or_default();
        Self::ALL.into_iter().find(|known| known.word() == word).unwrap_or(Self::Answer)
    }
}

/// Answers the gateways.
pub(crate) async fn serve(world: Arc<World>, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let world = Arc::clone(&world);
        // A gateway that ends a connection is no fault.
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let _ = connection(&world, stream).await;
        });
    }
}

async fn connection(world: &World, mut stream: TcpStream) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut reader = Reader::new(read);
    let mut served = 0_u64;
    while let Some(head) = reader.head().await? {
        let body = reader.body(head.length().unwrap_or(0)).await?;
        let behaviour = Behaviour::of(head.word(1));
        let Some((record, arrival)) = world.logged(&head, &body) else { return Ok(()) };
        if behaviour == Behaviour::Reset && arrival == 1 && served > 0 {
            record.reset();
            world.counts.note(Event::UpstreamReset);
            if record.nonce & 1 == 0 {
                stream.set_zero_linger()?;
            }
            return Ok(());
        }
        if behaviour == Behaviour::Slow {
            tokio::time::sleep(Duration::from_millis(10 + record.nonce % 40)).await;
        }
        let (start, told) = answer(&head, behaviour);
        write.write_all(start.as_bytes()).await?;
        let bodyless = head.word(0) == "HEAD";
        match behaviour {
            Behaviour::Cut if !bodyless => return Ok(()),
            Behaviour::Big if !bodyless => big(&mut write, &told).await?,
            _ => {}
        }
        if behaviour == Behaviour::Leave {
            return Ok(());
        }
        served += 1;
    }
    Ok(())
}

/// Head and, unless it is big, body of the answer; and what it tells.
fn answer(head: &Head, behaviour: Behaviour) -> (String, String) {
    let nonce = head.field("x-nonce").unwrap_or_default();
    let user = head.field("x-forwarded-user").or_else(|| head.field("x-golden-user"));
    let user = user.map_or_else(
        || NOBODY.to_owned(),
        |user| match head.field("x-golden-sid") {
            Some(sid) => format!("{user} {sid}"),
            None => user.to_owned(),
        },
    );
    let told = format!("{nonce} {user}\n");
    let length = match behaviour {
        Behaviour::Big => BIG / told.len() * told.len(),
        Behaviour::Cut => told.len() + 1000,
        _ => told.len(),
    };
    let mut text = format!(
        "HTTP/1.1 200 OK\r\nX-Echo-Nonce: {nonce}\r\nX-Echo-User: {user}\r\nSet-Cookie: app={nonce}\r\n\
         Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
    );
    if behaviour != Behaviour::Big && head.word(0) != "HEAD" {
        text.push_str(&told);
    }
    (text, told)
}

/// The same line again and again: another's would be seen wherever it stood.
async fn big(write: &mut (impl tokio::io::AsyncWrite + Unpin), told: &str) -> io::Result<()> {
    let lines = BIG / told.len();
    let some = told.repeat(lines.div_ceil(8));
    let mut left = lines * told.len();
    while left > 0 {
        let part = left.min(some.len());
        write.write_all(&some.as_bytes()[..part]).await?;
        left -= part;
        tokio::task::yield_now().await;
    }
    Ok(())
}
