//! A browser: what it holds, and where it is between signing in and being signed out.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::dice::Dice;
use super::moment::Moment;
use super::people::Person;
use super::session::{Cookie, Session, Store};

/// Cookies of sessions of the past that are kept to be tried again.
const OLD: usize = 3;

/// A session and its cookie.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) session: Arc<Session>,
    pub(crate) cookie: Cookie,
}

/// Where a browser is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody is signed in.
    Out,
    /// A request that starts a login is under way.
    Starting,
    /// The person is at the provider.
    Started,
    /// The callback is under way.
    Finishing,
    /// Somebody is signed in.
    In,
    /// A sign-out is under way.
    Leaving,
}

/// What will become of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nobody uses it any more.
    Idleness,
    /// It is used until it is too old.
    Age,
    /// It is signed out.
    SignOut,
    /// The same person signs in again.
    Renewal,
    /// Another person signs in.
    Takeover,
}

impl Fate {
    /// Draws one.
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        match dice.below(100) {
            0..25 => Self::Idleness,
            25..40 => Self::Age,
            40..75 => Self::SignOut,
            75..87 => Self::Renewal,
            _ => Self::Takeover,
        }
    }
}

/// A login under way.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    pub(crate) id: u64,
    pub(crate) person: &'static Person,
    /// `sid` of the session that it will make.
    pub(crate) sid: String,
    /// Path and query of the callback.
    pub(crate) target: String,
    /// The login's cookie, `name=value`.
    pub(crate) cookie: String,
    /// When the first callback was sent.
    pub(crate) sent: Moment,
    /// Callbacks under way: a browser may send one twice.
    pub(crate) under_way: u32,
    /// Whether it was thought of sending it twice.
    pub(crate) copied: bool,
}

/// What changes about a browser.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) current: Option<Held>,
    pub(crate) login: Option<Login>,
    /// The loop guard's cookie, `name=value`.
    pub(crate) guard: Option<String>,
    pub(crate) old: VecDeque<Held>,
    pub(crate) quiet_until: Moment,
    pub(crate) fate: Fate,
    pub(crate) fate_at: Moment,
}

impl State {
    /// The session is one of the past from now on.
    pub(crate) fn retire(&mut self) {
        if let Some(held) = self.current.take() {
            self.old.push_back(held);
            if self.old.len() > OLD {
                self.old.pop_front();
            }
        }
    }

    /// Where the browser is when a login came to nothing.
    pub(crate) fn abandon(&mut self) {
        self.login = None;
        self.phase = if self.current.is_some() { Phase::In } else { Phase::Out };
    }
}

/// A browser at one of the gateways.
pub(crate) struct Browser {
    pub(crate) index: usize,
    pub(crate) store: Store,
    /// Whose it is; none of those who never sign in.
    pub(crate) owner: Option<&'static Person>,
    state: Mutex<State>,
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "browser {} of {}", self.index, self.owner.map_or("nobody", |owner| &owner.sub))
    }
}

impl Browser {
    /// An empty one.
    pub(crate) fn new(index: usize, store: Store, owner: Option<&'static Person>) -> Self {
        let state = Mutex::new(State {
            phase: Phase::Out,
            current: None,
            login: None,
            guard: None,
            old: VecDeque::new(),
            quiet_until: Moment::START,
            fate: Fate::Age,
            fate_at: Moment::START,
        });
        Self { index, store, owner, state }
    }

    /// Its state, for as long as one decision takes.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
