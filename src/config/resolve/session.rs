//! `sessions`.

use std::time::Duration;

use super::super::file::session::{Sessions, Store};
use super::super::key::KeyPath;
use super::super::values::Period;
use super::Resolver;
use crate::session::{Config, StoreKind};

/// The most that a session in a cookie may last: an ended one can be played back until then.
const COOKIE_ABSOLUTE: Duration = Duration::from_hours(12);
/// The most that browsers and servers in between take along.
const COOKIE_SIZE: u64 = 7 * 1024;
const CAPACITY: u64 = 100_000;

impl Resolver<'_> {
    pub(super) fn sessions(&mut self, sessions: Option<&Sessions>) -> Option<Config> {
        let at = KeyPath::root().key("sessions");
        let absent = Sessions::default();
        let sessions = sessions.unwrap_or(&absent);
        let store = match sessions.store {
            Some(Store::Memory) | None => Some(StoreKind::Memory),
            Some(Store::Cookie) => Some(StoreKind::Cookie),
            Some(Store::File | Store::Redis) => {
                self.later(&at.key("store"), "memory or cookie");
                None
            }
        };
        let mut keys = Vec::new();
        for (index, secret) in sessions.keys.iter().flat_map(super::super::values::List::items) {
            keys.extend(self.session_keys(&at.key("keys").item(index), secret));
        }
        if store == Some(StoreKind::Cookie) && sessions.keys.as_ref().is_none_or(super::List::is_empty) {
            self.missing(
                &at,
                "keys",
                "sessions in cookies are sealed with them, and replicas must share them",
                "keys: [{ file: PATH }], where `vestibule key` made the file's content",
            );
        }
        let idle = self.period(&at, "idle_timeout", sessions.idle_timeout, Duration::from_mins(30));
        let absolute =
            self.period(&at, "absolute_timeout", sessions.absolute_timeout, Duration::from_hours(10));
        if !self.is_reported(&at.key("idle_timeout")) && !self.is_reported(&at.key("absolute_timeout")) {
            self.check_timeouts(&at, store, idle, absolute);
        }
        let cookie = sessions.cookie.as_ref();
        let cookie_at = at.key("cookie");
        let name = match cookie.and_then(|cookie| cookie.name.as_deref()) {
            Some(written) => self.cookie_name(&cookie_at.key("name"), written),
            None => Some("vestibule".to_owned()),
        };
        let size = self.size(&cookie_at, "max_size", cookie.and_then(|cookie| cookie.max_size), COOKIE_SIZE);
        if size > COOKIE_SIZE {
            self.fault(
                &cookie_at.key("max_size"),
                "is more than browsers and servers carry along",
                "7KiB or less",
            );
        }
        if size < 512 {
            self.fault(&cookie_at.key("max_size"), "holds no session at all", "7KiB");
        }
        let capacity = sessions.memory.as_ref().and_then(|memory| memory.capacity).unwrap_or(CAPACITY);
        if capacity == 0 {
            self.fault(&at.key("memory").key("capacity"), "nobody could stay signed in", "100000");
        }
        Some(Config {
            store: store?,
            keys,
            idle_timeout: idle,
            absolute_timeout: absolute,
            memory_capacity: capacity,
            cookie_name: name?,
            cookie_max_size: usize::try_from(size).unwrap_or(usize::MAX),
            cookie_partitioned: cookie.and_then(|cookie| cookie.partitioned).unwrap_or(false),
        })
    }

    fn check_timeouts(&mut self, at: &KeyPath, store: Option<StoreKind>, idle: Duration, absolute: Duration) {
        if store == Some(StoreKind::Cookie) && absolute > COOKIE_ABSOLUTE {
            self.fault(
                &at.key("absolute_timeout"),
                "a session in a cookie can't be taken back, so 12h is the most",
                "12h or less, or another store",
            );
        }
        if idle > absolute {
            self.fault(
                &at.key("idle_timeout"),
                format!("is longer than absolute_timeout ({}) and would never be reached", Period(absolute)),
                format!("{} or less", Period(absolute)),
            );
        }
    }

    fn cookie_name(&mut self, at: &KeyPath, written: &str) -> Option<String> {
        // A dot would look like one of our chunks.
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let prefixed = written.starts_with("__");
        if written.is_empty() || written.len() > 64 || prefixed || !written.bytes().all(allowed) {
            let why = if prefixed {
                "the prefix __Host- is added by itself"
            } else {
                "a cookie's name has up to 64 letters, digits, _ and -"
            };
            self.fault(at, why, "a name such as vestibule");
            return None;
        }
        Some(written.to_owned())
    }
}
