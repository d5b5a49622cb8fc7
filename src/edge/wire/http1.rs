//! An HTTP/1 connection as its bytes come in: head, body, and what lies behind them.
//!
//! Decides how many of the bytes at hand Pingora may have, and how long more may be waited for. Does
//! no I/O.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::time::Instant;

use super::chunked::{Checked, Chunks};
use super::head_end::{HeadEnd, RequestLine};
use super::pace::{BodyRate, Pace};
use super::{Expectation, Fault, Framing};
use crate::edge::Limits;

/// Most bytes kept that came after a whole request. A client that sends more isn't read further
/// until the response is through.
const MOST_BEHIND: usize = 64 * 1024;

/// State of one connection.
pub(super) struct Http1 {
    head_time: Duration,
    /// Bytes of a head after which no more of it is taken: the edge would refuse it, and until it is whole
    /// Pingora parses all of it anew at every read.
    most_head: usize,
    body_rate: BodyRate,
    idle: Duration,
    place: Place,
    /// A byte of the head has come: the client waits for an answer.
    begun: bool,
    /// Bytes of the head so far, without those that made it whole.
    head_bytes: usize,
    /// How the last request line came.
    request_line: RequestLine,
    /// Bytes that have come and that Pingora may not have yet.
    held: BytesMut,
}

/// Where in a request the connection is.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// A head is awaited or being read.
    Head {
        end: HeadEnd,
        /// By when it must be whole. Before the first byte of a further request there is none.
        due: Option<Instant>,
        /// By when that first byte must come, once it is waited for.
        idle: Option<Instant>,
    },
    /// Pingora has a whole head; the edge hasn't said yet what follows. Should Pingora ask for more,
    /// it reads a head still.
    HeadRead { due: Option<Instant> },
    /// A body is coming.
    Body { left: Left, clock: BodyClock },
    /// The request is whole. What comes now belongs to none, until the response is through.
    Behind,
    /// Anything goes: the protocol has been switched.
    Tunnel,
    /// Nothing more passes.
    Ended(Option<Fault>),
}

/// How much of a body is left.
#[derive(Debug, Clone, Copy)]
enum Left {
    Length(u64),
    Chunks(Chunks),
}

/// The clock of a body.
#[derive(Debug, Clone, Copy)]
struct BodyClock {
    pace: Pace,
    /// Since when the client is waited for.
    since: Option<Instant>,
    /// The client waits for our word first.
    parked: bool,
}

/// What may be done with the connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Read, and ask which bytes pass.
    Open,
    /// Read nothing but an end; keep what comes.
    Behind,
    /// Neither: too much is kept already.
    Full,
    /// Say that it has ended.
    Ended(Option<Fault>),
}

impl Http1 {
    /// A connection accepted now.
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        let Limits { head_time, head_size, target, body_rate, idle, .. } = *limits;
        let place = Place::Head { end: HeadEnd::default(), due: now.checked_add(head_time), idle: None };
        Self {
            head_time,
            most_head: (head_size + target).saturating_mul(2),
            body_rate,
            idle,
            place,
            begun: false,
            head_bytes: 0,
            request_line: RequestLine::Plain,
            held: BytesMut::new(),
        }
    }

    /// What Pingora's wish to read means now.
    pub(super) fn gate(&mut self) -> Gate {
        match self.place {
            Place::HeadRead { due } => {
                self.place = Place::Head { end: HeadEnd::default(), due, idle: None };
                Gate::Open
            }
            Place::Head { .. } | Place::Body { .. } | Place::Tunnel => Gate::Open,
            Place::Behind if self.held.len() < MOST_BEHIND => Gate::Behind,
            Place::Behind => Gate::Full,
            Place::Ended(fault) => Gate::Ended(fault),
        }
    }

    /// Whether a byte of a head has come since the last request.
    pub(super) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether bytes are at hand that have come before.
    pub(super) fn has_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Keeps bytes for later.
    pub(super) fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Lets at most `most` of the bytes kept pass, into `take`.
    pub(super) fn release(&mut self, most: usize, take: impl FnOnce(&[u8])) {
        let mut held = std::mem::take(&mut self.held);
        let offered = held.get(..most).unwrap_or(&held);
        let passed = self.pass(offered);
        take(offered.get(..passed).unwrap_or_default());
        held.advance(passed);
        self.held = held;
    }

    /// How many of these bytes, which have come next, pass. The others are to be held.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> usize {
        match &mut self.place {
            Place::Head { end, due, .. } => {
                self.begun = true;
                if let Some(length) = end.find(bytes) {
                    self.request_line = end.request_line();
                    self.place = Place::HeadRead { due: *due };
                    return length;
                }
                self.head_bytes += bytes.len();
                let now = Instant::now();
                let in_time = *due.get_or_insert(now + self.head_time) > now;
                if !in_time || self.head_bytes > self.most_head {
                    let fault = if in_time { Fault::HeadSize } else { Fault::HeadTime };
                    self.place = Place::Ended(Some(fault));
                    return 0;
                }
                bytes.len()
            }
            Place::Body { left, clock } => {
                clock.stop();
                clock.parked = false;
                let (passed, next) = left.take(bytes);
                clock.pace.received(passed);
                if let Some(next) = next {
                    self.place = next;
                }
                passed
            }
            Place::Tunnel => bytes.len(),
            Place::HeadRead { .. } | Place::Behind | Place::Ended(_) => 0,
        }
    }

    /// The read has to wait: by when it is too late, if ever.
    pub(super) fn waits(&mut self) -> Option<Instant> {
        match &mut self.place {
            Place::Head { due: Some(due), .. } => Some(*due),
            Place::Head { due: None, idle, .. } => {
                if idle.is_none() {
                    *idle = Instant::now().checked_add(self.idle);
                }
                *idle
            }
            Place::Body { clock, .. } if !clock.parked => {
                let since = *clock.since.get_or_insert_with(Instant::now);
                since.checked_add(clock.pace.patience())
            }
            _ => None,
        }
    }

    /// Whether a write must be told of: somebody is being timed, or waits for our word.
    pub(super) const fn heeds_writes(&self) -> bool {
        matches!(self.place, Place::Body { .. })
    }

    /// Something is written to the client: while it may be reading, nothing is expected of it.
    pub(super) fn writes(&mut self) {
        if let Place::Body { clock, .. } = &mut self.place {
            clock.stop();
            clock.parked = false;
        }
    }

    /// The time is over.
    pub(super) const fn expire(&mut self) {
        self.place = Place::Ended(match self.place {
            Place::Body { .. } => Some(Fault::BodyRate),
            // It was kept for as long as was promised.
            Place::Head { due: None, .. } => None,
            _ => Some(Fault::HeadTime),
        });
    }

    /// What has gone wrong, if anything has.
    pub(super) const fn fault(&self) -> Option<Fault> {
        match self.place {
            Place::Ended(fault) => fault,
            _ => None,
        }
    }

    /// How the request line of the request under way came.
    pub(super) const fn request_line(&self) -> RequestLine {
        self.request_line
    }

    /// The edge has the head and says what follows. True when bytes lie behind the whole request
    /// already: they won't be taken for a further one.
    pub(super) fn head_read(&mut self, framing: Framing, expectation: Expectation) -> bool {
        let left = match framing {
            Framing::None | Framing::Length(0) => None,
            Framing::Length(length) => Some(Left::Length(length)),
            Framing::Chunked => Some(Left::Chunks(Chunks::new())),
        };
        let parked = expectation == Expectation::Continue;
        let clock = BodyClock { pace: Pace::new(self.body_rate), since: None, parked };
        self.place = match (self.place, left) {
            (Place::Ended(fault), _) => Place::Ended(fault),
            (_, None) => Place::Behind,
            (_, Some(left)) => Place::Body { left, clock },
        };
        matches!(self.place, Place::Behind) && self.has_held()
    }

    /// The protocol is switched: nothing is looked at any more.
    pub(super) fn switch(&mut self) {
        if !matches!(self.place, Place::Ended(_)) {
            self.place = Place::Tunnel;
        }
    }

    /// The response is through: a further request may come, if this one was whole and nothing lies
    /// behind it.
    pub(super) fn request_over(&mut self) {
        self.place = match self.place {
            Place::Behind if self.held.is_empty() => {
                (self.begun, self.head_bytes) = (false, 0);
                Place::Head { end: HeadEnd::default(), due: None, idle: None }
            }
            Place::Ended(fault) => Place::Ended(fault),
            _ => Place::Ended(None),
        };
    }
}

impl Left {
    /// How many of these bytes belong to the body, and what comes when it's over.
    fn take(&mut self, bytes: &[u8]) -> (usize, Option<Place>) {
        match self {
            Self::Length(left) => {
                let passed = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left -= passed as u64;
                (passed, (*left == 0).then_some(Place::Behind))
            }
            Self::Chunks(chunks) => match chunks.check(bytes) {
                Checked::Valid => (bytes.len(), None),
                Checked::End(passed) => (passed, Some(Place::Behind)),
                Checked::Fault(passed) => (passed, Some(Place::Ended(Some(Fault::Chunk)))),
            },
        }
    }
}

impl BodyClock {
    fn stop(&mut self) {
        if let Some(since) = self.since.take() {
            self.pace.waited(since.elapsed());
        }
    }
}
