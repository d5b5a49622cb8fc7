//! HTTP/2 requests that were taken back before they were answered.
//!
//! A client can open a stream and have it reset, by a frame of its own or by a fault that we must answer with one
//! ([RFC 9113 §5.4.2](https://www.rfc-editor.org/rfc/rfc9113#section-5.4.2)). A reset stream's place among the open
//! ones is free again at once, so that no limit of streams holds such clients, and Pingora would go on with each
//! ([CVE-2023-44487](https://www.cve.org/CVERecord?id=CVE-2023-44487)).
//!
//! So a request whose stream is reset goes no further. Those of a client that takes back far more than it lets be
//! answered wait a moment first, since their resets are about to come; and a connection on which twice as many are
//! under way as it may have streams ends. The address is remembered, or the next connection would begin anew.

use std::collections::HashMap;
use std::future::Future as _;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use foldhash::fast::RandomState;
use pingora::protocols::http::server::Session as HttpSession;
use pingora::proxy::Session as Downstream;
use pingora::{Error, ErrorType};

use super::Edge;
use super::connection::subscriber;
use super::context::Context;
use super::forwarded::Client;
use super::wire::UnderWay;
use crate::clock::Stopwatch;
use crate::telemetry::labels::ConnectionEnd;

/// More requests taken back than answered, on one connection, from which the next ones wait: far above what
/// leaving a page, or typing into a field that searches, makes.
const MANY: usize = 50;
/// How long they wait, looked at this often.
const MOMENT: Duration = Duration::from_millis(10);
const MOMENTS: usize = 10;
/// For how long an address is remembered.
const MEMORY: Duration = Duration::from_secs(10);
/// Addresses that are remembered at most.
const ADDRESSES: usize = 10_000;

/// Subscribers whose clients have lately taken back too many requests.
#[derive(Debug, Default)]
pub(super) struct Distrusted {
    /// Whether there are any: otherwise a request takes no lock.
    any: AtomicBool,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    since: HashMap<IpAddr, Stopwatch, RandomState>,
    /// The youngest of them.
    latest: Option<Stopwatch>,
}

impl Distrusted {
    fn note(&self, client: IpAddr) {
        let (client, mut noted) = (subscriber(client), self.noted());
        if noted.since.len() >= ADDRESSES {
            noted.since.retain(|_, since| since.elapsed() < MEMORY);
        }
        if noted.since.len() < ADDRESSES || noted.since.contains_key(&client) {
            let now = Stopwatch::start();
            noted.since.insert(client, now);
            noted.latest = Some(now);
            self.any.store(true, Ordering::Relaxed);
        }
    }

    fn has(&self, client: IpAddr) -> bool {
        if !self.any.load(Ordering::Relaxed) {
            return false;
        }
        let mut noted = self.noted();
        if noted.latest.is_none_or(|latest| latest.elapsed() >= MEMORY) {
            *noted = Noted::default();
            self.any.store(false, Ordering::Relaxed);
        }
        noted.since.get(&subscriber(client)).is_some_and(|since| since.elapsed() < MEMORY)
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Edge {
    /// Goes on with a request over HTTP/2 that its client still wants. A proxy of ours speaks for many: what it
    /// takes back is counted for nobody.
    ///
    /// # Errors
    /// A failure of the client: nobody waits for an answer, and nothing is done for the request.
    pub(super) async fn still_wanted(
        &self,
        down: &mut Downstream,
        ctx: &mut Context,
        client: &Client,
    ) -> pingora::Result<()> {
        let direct = client.proxies.is_empty() && !self.is_trusted(client.address);
        if let Some(connection) = ctx.connection.as_ref().filter(|_| direct) {
            let (under_way, number) = UnderWay::enter(connection);
            ctx.under_way = Some(under_way);
            if number > 2 * self.limits.http2_streams as usize {
                self.distrusted.note(client.address);
                if connection.give_up() {
                    self.gateway.metrics.connection_closed(ConnectionEnd::TakenBack);
                }
                return taken_back();
            }
            if connection.taken_back() >= MANY || self.distrusted.has(client.address) {
                // In a box: every other request doesn't carry its room.
                return Box::pin(wait(down)).await;
            }
        }
        check(down)
    }
}

/// Goes on once no reset has come for as long as such requests wait.
async fn wait(down: &mut Downstream) -> pingora::Result<()> {
    for _ in 0..MOMENTS {
        check(down)?;
        tokio::time::sleep(MOMENT).await;
    }
    check(down)
}

/// Goes on unless the request's stream has been reset already.
///
/// # Errors
/// As [`Edge::still_wanted`].
pub(super) fn check(down: &mut Downstream) -> pingora::Result<()> {
    let HttpSession::H2(stream) = down.as_downstream_mut() else { return Ok(()) };
    // Whoever waits for a reset later says so anew: this one is only asked whether it has come.
    match pin!(stream.idle()).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Pending => Ok(()),
        Poll::Ready(_) => taken_back(),
    }
}

fn taken_back() -> pingora::Result<()> {
    Err(Error::explain(ErrorType::H2Error, "the request was taken back").into_down())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn who_was_noted_is_known_and_no_other() {
        let distrusted = Distrusted::default();
        assert!(!distrusted.has(address(1)));
        distrusted.note(address(1));
        assert!(distrusted.has(address(1)));
        assert!(!distrusted.has(address(2)));
        assert!(distrusted.has(address(1)), "asking about others forgets nobody");
    }

    #[test]
    fn another_address_of_the_same_network_is_the_same_client() {
        let distrusted = Distrusted::default();
        distrusted.note("2001:db8:0:1::1".parse().unwrap());
        assert!(distrusted.has("2001:db8:0:1:ffff::2".parse().unwrap()));
        assert!(!distrusted.has("2001:db8:0:2::1".parse().unwrap()));
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let distrusted = Distrusted::default();
        for number in 0..20_000 {
            distrusted.note(address(number));
        }
        assert_eq!(distrusted.noted().since.len(), ADDRESSES);
        assert!(distrusted.has(address(0)));
    }

    #[test]
    fn what_is_past_costs_nothing_any_more() {
        let distrusted = Distrusted::default();
        distrusted.note(address(1));
        distrusted.noted().latest = None;
        assert!(!distrusted.has(address(1)));
        assert!(!distrusted.any.load(Ordering::Relaxed) && distrusted.noted().since.is_empty());
    }
}
