//! The clocks of connections to HTTP/1 upstreams: how long an answer may take to begin, how long it may
//! then be silent, and how long a connection is kept for the next request.
//!
//! A timer of Pingora's for each wait and each stay in its pool would cost every request. Here each
//! connection has one place with the time by which it must show something, and one task looks at all
//! places some times a second. It ends a connection that is overdue, as its peer could, and Pingora finds
//! that out by reading.
//!
//! Never for HTTP/2: that connection carries the requests of others.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use filedescriptor::FileDescriptor;
use foldhash::fast::RandomState;
use nix::errno::Errno;
use nix::sys::socket::{Shutdown, shutdown};
use socket2::SockRef;

use super::wire::Connection;
use crate::clock::Stopwatch;

/// How often the places are looked at: a limit is kept with this much to spare.
const LOOK: Duration = Duration::from_millis(50);
/// From here on a limit may also be shorter by as much: most answers come whole at once, and needn't tell
/// their place of each part.
const LENIENT: Duration = Duration::from_secs(1);

/// All places of one edge.
#[derive(Debug)]
pub(super) struct UpstreamClock {
    running: Stopwatch,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    /// By the number of the connection's descriptor, which no other has as long as it is open.
    by_number: HashMap<RawFd, Arc<Place>, RandomState>,
    /// Whether the task is there.
    watched: bool,
}

/// One connection.
#[derive(Debug)]
struct Place {
    number: RawFd,
    /// What the kernel calls the socket, and never another: by the time that it is overdue the number may
    /// be somebody else's.
    cookie: u64,
    /// It was overdue while a request waited. Nothing comes after that.
    expired: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Which request has the connection, counted.
    turn: u64,
    due: Due,
}

/// By when something must happen, since the clock began.
#[derive(Debug)]
enum Due {
    /// The upstream must send something, unless it is the client who takes nothing.
    Answer { by: Duration, limit: Duration, client: Option<Arc<Connection>> },
    /// The next request must come.
    NextRequest { by: Duration },
    /// Pingora times it, or nobody does.
    Nothing,
    /// It was overdue while a request waited.
    Expired,
}

/// Why a connection can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// It had been kept for as long as it may be, and was ended just now.
    #[error("the connection was kept too long")]
    Ended,
    /// The system doesn't let us look at it.
    #[error(transparent)]
    Unseen(#[from] io::Error),
}

/// One request on a connection that no other has meanwhile.
#[derive(Debug)]
pub(super) struct Exchange {
    place: Arc<Place>,
    turn: u64,
    /// It has been said how long the connection may wait for the next request.
    over: bool,
    /// What the place was told last, and when.
    told: (Duration, Duration),
}

/// How an exchange stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is amiss, as far as this request goes.
    Runs,
    /// The connection was ended because nothing came.
    Expired,
}

impl UpstreamClock {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { running: Stopwatch::start(), places: Mutex::default() })
    }

    /// A request goes out on this connection `now`, and something must come back within `limit`.
    ///
    /// # Errors
    /// [`Unusable`]; then nothing has gone out.
    pub(super) fn begin(
        self: &Arc<Self>,
        number: RawFd,
        reused: bool,
        now: Stopwatch,
        limit: Duration,
        client: Option<Arc<Connection>>,
    ) -> Result<Exchange, Unusable> {
        let now = now.since(&self.running);
        let due = Due::Answer { by: now + limit, limit, client };
        if reused {
            // Under the lock, so that the connection isn't ended meanwhile.
            let places = self.places();
            let place = places.by_number.get(&number).ok_or(Unusable::Ended)?;
            let mut state = place.state();
            state.turn += 1;
            state.due = due;
            return Ok(Exchange {
                place: Arc::clone(place),
                turn: state.turn,
                over: false,
                told: (limit, now),
            });
        }
        let cookie = SockRef::from(&dup(number)?).cookie()?;
        let state = Mutex::new(State { turn: 0, due });
        let place = Arc::new(Place { number, cookie, expired: AtomicBool::new(false), state });
        let mut places = self.places();
        places.by_number.insert(number, Arc::clone(&place));
        if !std::mem::replace(&mut places.watched, true) {
            tokio::spawn(Arc::clone(self).watch());
        }
        Ok(Exchange { place, turn: 0, over: false, told: (limit, now) })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks until no connection is left.
    async fn watch(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.running.elapsed();
            let mut places = self.places();
            places.by_number.retain(|_, place| place.look(now));
            if places.by_number.is_empty() {
                places.watched = false;
                return;
            }
        }
    }

    /// More has come, or gone out: as long again may pass.
    pub(super) fn progress(&self, exchange: &mut Exchange, now: Stopwatch, limit: Duration) -> Standing {
        let now = now.since(&self.running);
        let (told, since) = exchange.told;
        if told == limit && limit >= LENIENT && now.saturating_sub(since) < LOOK {
            // The same, but for a moment.
            return exchange.standing();
        }
        exchange.told = (limit, now);
        exchange.change(|due| {
            if let Due::Answer { by, limit: current, .. } = due {
                (*by, *current) = (now + limit, limit);
            }
        })
    }

    /// The request is over: the connection may wait for the next this long, if it is kept.
    pub(super) fn keep(&self, exchange: &mut Exchange, now: Stopwatch, limit: Duration) {
        exchange.change(|due| *due = Due::NextRequest { by: now.since(&self.running) + limit });
        exchange.over = true;
    }
}

impl Exchange {
    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        if self.place.expired.load(Ordering::Acquire) { Standing::Expired } else { Standing::Runs }
    }

    /// From here on somebody else looks after the answer.
    pub(super) fn leave(&self) -> Standing {
        self.change(|due| *due = Due::Nothing)
    }

    /// Whether the connection was ended because nothing came.
    pub(super) fn expired(&self) -> bool {
        let state = self.place.state();
        state.turn == self.turn && matches!(state.due, Due::Expired)
    }

    /// Unless the connection is another request's by now, or was ended.
    fn change(&self, change: impl FnOnce(&mut Due)) -> Standing {
        let mut state = self.place.state();
        if state.turn == self.turn {
            if matches!(state.due, Due::Expired) {
                return Standing::Expired;
            }
            change(&mut state.due);
        }
        Standing::Runs
    }
}

impl Drop for Exchange {
    /// A request that was never over, since its task went away, keeps no connection.
    fn drop(&mut self) {
        if !self.over {
            self.change(|due| *due = Due::NextRequest { by: Duration::ZERO });
        }
    }
}

impl Place {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the connection if it is overdue. Says whether it is still to be looked at.
    fn look(&self, now: Duration) -> bool {
        // Locked to the end, so that no request begins meanwhile.
        let mut state = self.state();
        let after = match &mut state.due {
            Due::Answer { by, limit, client } => {
                if client.as_ref().is_some_and(|client| client.is_taking_its_time()) {
                    // Nothing is read for somebody who takes nothing: that has a limit of its own.
                    *by = now + *limit;
                }
                (*by <= now).then_some(Due::Expired)
            }
            Due::NextRequest { by } => (*by <= now).then_some(Due::Nothing),
            Due::Nothing => None,
            Due::Expired => return false,
        };
        if matches!(after, Some(Due::Expired)) {
            // Before the end shows in what is read.
            self.expired.store(true, Ordering::Release);
        }
        match after.map(|after| (after, self.end())) {
            Some((after, Ok(()))) => {
                state.due = after;
                false
            }
            Some((_, Err(error))) => {
                self.expired.store(false, Ordering::Release);
                tracing::warn!(%error, "an upstream connection is overdue and can't be ended yet");
                true
            }
            None => true,
        }
    }

    /// Ends the connection, and no other.
    fn end(&self) -> io::Result<()> {
        let connection = match dup(self.number) {
            Ok(connection) => connection,
            // Nobody has the number any more.
            Err(error) if error.raw_os_error() == Some(Errno::EBADF as i32) => return Ok(()),
            Err(error) => return Err(error),
        };
        if SockRef::from(&connection).cookie().is_ok_and(|cookie| cookie == self.cookie)
            && let Err(error) = shutdown(connection.as_raw_fd(), Shutdown::Both)
        {
            tracing::debug!(%error, "the upstream connection was gone already");
        }
        Ok(())
    }
}

/// A descriptor of our own for a connection of Pingora's.
fn dup(number: RawFd) -> io::Result<FileDescriptor> {
    FileDescriptor::dup(&number).map_err(|error| match error {
        filedescriptor::Error::Dup { source, .. } => source,
        other => io::Error::other(other),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_hours(1);

    fn begin(clock: &Arc<UpstreamClock>, ours: &UnixStream, limit: Duration) -> Exchange {
        clock.begin(ours.as_raw_fd(), false, Stopwatch::start(), limit, None).unwrap()
    }

    async fn looked_twice() {
        tokio::time::sleep(LOOK * 3).await;
    }

    fn is_open(mut ours: &UnixStream, mut theirs: &UnixStream) -> bool {
        ours.write_all(b"x").is_ok() && theirs.read(&mut [0]).is_ok_and(|read| read == 1)
    }

    #[tokio::test]
    async fn a_connection_on_which_nothing_comes_is_ended() {
        let (clock, (ours, theirs)) = (UpstreamClock::new(), UnixStream::pair().unwrap());
        let exchange = begin(&clock, &ours, SHORT);
        looked_twice().await;
        assert!(exchange.expired());
        assert_eq!((&theirs).read(&mut [0]).unwrap(), 0);
        assert!(!clock.places().watched, "nothing is left to look at");
    }

    #[tokio::test]
    async fn a_connection_that_took_over_the_number_is_left_alone() {
        let (clock, (ours, theirs)) = (UpstreamClock::new(), UnixStream::pair().unwrap());
        let exchange = begin(&clock, &ours, SHORT);
        drop((ours, theirs));
        // The lowest free number is given out first: one of a few is the old one, unless another thread
        // has it.
        let taken: Vec<_> = (0..32).map(|_| UnixStream::pair().unwrap()).collect();
        looked_twice().await;
        assert!(exchange.expired());
        assert!(taken.iter().all(|(one, other)| is_open(one, other)));
    }

    #[tokio::test]
    async fn what_comes_in_time_gives_more_of_it() {
        let (clock, (ours, theirs)) = (UpstreamClock::new(), UnixStream::pair().unwrap());
        let mut exchange = begin(&clock, &ours, SHORT);
        clock.progress(&mut exchange, Stopwatch::start(), LONG);
        looked_twice().await;
        assert!(!exchange.expired() && is_open(&ours, &theirs));
        clock.progress(&mut exchange, Stopwatch::start(), SHORT);
        looked_twice().await;
        assert!(exchange.expired());
    }

    #[tokio::test]
    async fn what_somebody_else_times_is_left_alone() {
        let (clock, (ours, theirs)) = (UpstreamClock::new(), UnixStream::pair().unwrap());
        let mut exchange = begin(&clock, &ours, SHORT);
        exchange.leave();
        clock.progress(&mut exchange, Stopwatch::start(), SHORT);
        looked_twice().await;
        assert!(!exchange.expired() && is_open(&ours, &theirs));
    }

    #[tokio::test]
    async fn a_connection_is_kept_for_a_time_and_is_nobodys_then() {
        let (clock, (ours, theirs)) = (UpstreamClock::new(), UnixStream::pair().unwrap());
        let mut first = begin(&clock, &ours, LONG);
        clock.keep(&mut first, Stopwatch::start(), SHORT);
        looked_twice().await;
        assert!(!first.expired(), "the request was over");
        assert_eq!((&theirs).read(&mut [0]).unwrap(), 0);
        let next = clock.begin(ours.as_raw_fd(), true, Stopwatch::start(), LONG, None);
        assert!(matches!(next, Err(Unusable::Ended)));
    }

    #[tokio::test]
    async fn a_request_that_vanishes_keeps_no_connection() {
        let (clock, (ours, theirs)) = (UpstreamClock::new(), UnixStream::pair().unwrap());
        let exchange = begin(&clock, &ours, LONG);
        exchange.leave();
        drop(exchange);
        looked_twice().await;
        assert_eq!((&theirs).read(&mut [0]).unwrap(), 0);
        assert!(!clock.places().watched, "nothing is left to look at");
    }

    #[tokio::test]
    async fn the_next_request_has_the_connection_for_itself() {
        let (clock, (ours, theirs)) = (UpstreamClock::new(), UnixStream::pair().unwrap());
        let mut first = begin(&clock, &ours, LONG);
        clock.keep(&mut first, Stopwatch::start(), LONG);
        let mut next = clock.begin(ours.as_raw_fd(), true, Stopwatch::start(), LONG, None).unwrap();
        // What the first says late is of no account.
        clock.keep(&mut first, Stopwatch::start(), SHORT);
        clock.progress(&mut first, Stopwatch::start(), SHORT);
        first.leave();
        drop(first);
        looked_twice().await;
        assert!(!next.expired() && is_open(&ours, &theirs));
        clock.progress(&mut next, Stopwatch::start(), SHORT);
        looked_twice().await;
        assert!(next.expired());
    }
}
