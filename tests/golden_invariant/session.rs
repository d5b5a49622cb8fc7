//! A session as its owner knows it: what may still be done with it, judged by the owner's own clock.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use super::moment::{First, Last, Moment};
use super::people::Person;
use super::settings::{ABSOLUTE, IDLE, LATE};

/// Which gateway: one with each store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// `sessions.store: memory`.
    Memory,
    /// `sessions.store: cookie`.
    Sealed,
}

impl Store {
    /// Both, in the order in which everything is kept.
    pub(crate) const BOTH: [Self; 2] = [Self::Memory, Self::Sealed];

    /// Place in that order.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    /// As in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sealed => "cookie",
        }
    }
}

/// A session's cookie.
#[derive(Clone)]
pub(crate) struct Cookie {
    /// Its value.
    pub(crate) value: Arc<str>,
    /// When the request was sent that brought it.
    pub(crate) asked: Moment,
    /// When it came.
    pub(crate) received: Moment,
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its end: what is sealed begins alike.
        let end = self.value.get(self.value.len().saturating_sub(6)..).unwrap_or_default();
        write!(f, "…{end} asked for at {:?}, here at {:?}", self.asked, self.received)
    }
}

/// What may be done with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It may be good.
    Open,
    /// Its end has been answered.
    Over,
    /// Its time is up, by every reckoning.
    Expired,
}

/// A session.
pub(crate) struct Session {
    /// `sid`: the provider gives each sign-on its own, so a header tells the session.
    pub(crate) sid: String,
    /// Whose it is.
    pub(crate) person: &'static Person,
    /// Where.
    pub(crate) store: Store,
    /// It can't have been made before.
    pub(crate) began: Moment,
    /// It was made by then.
    pub(crate) made: Moment,
    /// The same person's session whose place it has taken: that one ends with it.
    pub(crate) replaces: Option<Weak<Session>>,
    /// Something that may end it was sent.
    pub(crate) ending: First,
    /// Something that ends it was answered.
    pub(crate) over: First,
    /// It was seen to have expired.
    pub(crate) expired: AtomicBool,
    under_way: AtomicU32,
    /// Requests were given up: who knows when they were read.
    clouded: AtomicBool,
    last_done: Last,
    last_passed: Last,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sid, person, began, made, ending, over, last_passed, .. } = self;
        write!(f, "{sid} of {} made between {began:?} and {made:?}", person.sub)?;
        write!(f, ", last passed {:?}, ending {ending:?}, over {over:?}", last_passed.moment())
    }
}

impl Session {
    /// A fresh one.
    pub(crate) fn new(
        sid: String,
        person: &'static Person,
        store: Store,
        began: Moment,
        made: Moment,
        replaces: Option<Weak<Self>>,
    ) -> Self {
        Self {
            sid,
            person,
            store,
            began,
            made,
            replaces,
            ending: First::default(),
            over: First::default(),
            expired: AtomicBool::new(false),
            under_way: AtomicU32::new(0),
            clouded: AtomicBool::new(false),
            last_done: Last::at(made),
            last_passed: Last::at(began),
        }
    }

    /// What a request sent now with this cookie may get. Anything but [`Standing::Open`] is certain.
    pub(crate) fn standing(&self, cookie: &Cookie, now: Moment) -> Standing {
        if self.over.is_by(now) {
            return Standing::Over;
        }
        if now.since(self.made) >= ABSOLUTE + LATE {
            return Standing::Expired;
        }
        let unused_since = match self.store {
            // The record has the last use, so another request under way may renew it.
            Store::Memory if self.under_way.load(Ordering::Acquire) > 0 => return Standing::Open,
            Store::Memory if self.clouded.load(Ordering::Acquire) => return Standing::Open,
            Store::Memory => self.last_done.moment(),
            // The cookie has it, and never changes.
            Store::Sealed => cookie.received,
        };
        if now.since(unused_since) >= IDLE + LATE { Standing::Expired } else { Standing::Open }
    }

    /// Whether a request that was answered at `done` may have come too late.
    pub(crate) fn may_have_ended(&self, cookie: &Cookie, done: Moment) -> bool {
        let last_use = match self.store {
            Store::Memory => self.last_passed.moment(),
            Store::Sealed => cookie.asked,
        };
        // The gateway's clock counts in milliseconds, and may be adjusted.
        let done = done.plus(std::time::Duration::from_millis(100));
        self.ending.is_by(done) || done.since(self.began) >= ABSOLUTE || done.since(last_use) >= IDLE
    }

    /// A request with it goes out.
    pub(crate) fn sent(&self) {
        self.under_way.fetch_add(1, Ordering::AcqRel);
    }

    /// It was answered; a request of `passed` got through.
    pub(crate) fn answered(&self, done: Moment, passed: Option<Moment>) {
        self.last_done.note(done);
        if let Some(sent) = passed {
            self.last_passed.note(sent);
        }
        self.under_way.fetch_sub(1, Ordering::AcqRel);
    }

    /// It was given up, or got lost.
    pub(crate) fn unanswered(&self, done: Moment) {
        self.clouded.store(true, Ordering::Release);
        self.answered(done, None);
    }

    /// Its sign-out was answered.
    pub(crate) fn signed_out(&self, at: Moment) {
        self.over.note(at);
        if let Some(replaced) = self.replaces.as_ref().and_then(Weak::upgrade) {
            replaced.over.note(at);
        }
    }
}
