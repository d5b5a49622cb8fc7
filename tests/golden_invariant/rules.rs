//! What must be true of every request, checked as soon as it can be known.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::counts::Event;
use super::ledger::{Record, Right, Route};
use super::message::Head;
use super::session::{Session, Store};
use super::world::World;

/// Broken rules that are kept for the report.
const KEPT: usize = 12;

/// What may never be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A logged request belongs to a client that held a live session for exactly the identity told,
    /// between sending and logging; none after its sign-out was answered.
    LoggedAsItsOwner,
    /// A response has its request's nonce and identity, and what it sets belongs to who gets it.
    AnsweredToItsOwner,
    /// A request is logged once; twice when it may be repeated and the upstream has dropped the first.
    LoggedOnce,
    /// A session that is live gets through: else nothing would be proved by this test.
    LiveIsServed,
}

impl Rule {
    const fn text(self) -> &'static str {
        match self {
            Self::LoggedAsItsOwner => "a request was logged that was not its owner's to make",
            Self::AnsweredToItsOwner => "a response went to somebody it was not for",
            Self::LoggedOnce => "a request was logged more often than it was sent",
            Self::LiveIsServed => "a live session was not served",
        }
    }
}

/// Rules that were broken.
#[derive(Debug, Default)]
pub(crate) struct Broken(Mutex<Vec<String>>);

impl Broken {
    fn kept(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one for the report.
    pub(crate) fn note(&self, rule: Rule, store: Option<Store>, what: &str) {
        let mut kept = self.kept();
        if kept.len() < KEPT {
            let store = store.map_or("?", Store::name);
            kept.push(format!("{}: [{store} store] {what}", rule.text()));
        }
    }

    /// Whether one was.
    pub(crate) fn any(&self) -> bool {
        !self.kept().is_empty()
    }

    /// The report.
    pub(crate) fn report(&self) -> String {
        self.kept().join("\n")
    }
}

/// All that could be taken for an identity header here: letters and digits of its name.
const IDENTITY: [&str; 7] = [
    "xforwardeduser",
    "xforwardedemail",
    "xforwardedpreferredusername",
    "xforwardedgroups",
    "xgoldenuser",
    "xgoldensid",
    "xgoldenmail",
];

/// How an answer says who it was made for.
pub(crate) const NOBODY: &str = "-";

impl World {
    /// A request has come to the upstream: who it is, and which attempt. None when it isn't a request
    /// of ours at all.
    pub(crate) fn logged(&self, head: &Head, body: &[u8]) -> Option<(Arc<Record>, u8)> {
        self.counts.note(Event::Logged);
        let target = head.word(1);
        let nonce = target.rsplit('/').next().and_then(|text| u64::from_str_radix(text, 16).ok());
        let Some(record) = nonce.and_then(|nonce| self.ledger.find(nonce)) else {
            let line = &head.line;
            self.break_rule(Rule::LoggedOnce, None, &format!("nobody has sent {line:?}, or long ago"));
            return None;
        };
        self.check_copy(&record, head, body);
        self.check_identity(&record, head);
        let (arrival, resets) = record.arrives();
        let repeated = arrival == 2 && resets == 1 && record.is_idempotent();
        if arrival > 1 && !repeated {
            let what = format!("{} {target}: {arrival} times, {resets} resets", record.method);
            self.break_rule(Rule::LoggedOnce, Some(record.store), &what);
        }
        if repeated {
            self.counts.note(Event::Retry);
        }
        Some((record, arrival))
    }

    /// What was sent is what has come, without what is ours.
    fn check_copy(&self, record: &Record, head: &Head, body: &[u8]) {
        let nonce = format!("{:x}", record.nonce);
        let cookies: Vec<&str> = head
            .fields
            .iter()
            .filter(|(name, _)| name == "cookie")
            .map(|(_, value)| value.as_str())
            .collect();
        let right_body = if matches!(record.method, "POST" | "PUT") { nonce.as_bytes() } else { b"" };
        let fault = if head.word(0) != record.method || head.word(1) != record.target {
            "another request line"
        } else if head.field("x-nonce") != Some(&nonce) {
            "another request's header"
        } else if cookies != [format!("theme={nonce}; last={nonce}")] {
            "other cookies"
        } else if body != right_body {
            "another body"
        } else {
            return;
        };
        let what = format!("{fault}: {record:?} came as {head:?} {}", String::from_utf8_lossy(body));
        self.break_rule(Rule::LoggedAsItsOwner, Some(record.store), &what);
    }

    fn check_identity(&self, record: &Record, head: &Head) {
        let mut told: Vec<(&str, &str)> = head
            .fields
            .iter()
            .filter(|(name, _)| IDENTITY.contains(&squeezed(name).as_str()))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        told.sort_unstable();
        let as_owner = match &record.right {
            Right::Of(session, _) if record.route != Route::Public => is_told(&told, record.route, session),
            _ => false,
        };
        let as_nobody = told.is_empty() && !record.route.is_protected();
        let why = match &record.right {
            _ if as_owner || as_nobody => return,
            Right::None(why) => why,
            Right::Of(..) => "it is told as somebody else",
        };
        let what = format!("{why}: {record:?}; told: {told:?}");
        self.break_rule(Rule::LoggedAsItsOwner, Some(record.store), &what);
    }

    /// Ends the run.
    pub(crate) fn break_rule(&self, rule: Rule, store: Option<Store>, what: &str) {
        self.broken.note(rule, store, what);
        self.stop();
    }
}

fn is_told(told: &[(&str, &str)], route: Route, session: &Session) -> bool {
    let person = session.person;
    if route == Route::Staff && !person.is_staff() {
        return false;
    }
    let mut right = match route {
        Route::Mapped => person.mapped_headers(&session.sid),
        _ => person.standard_headers(),
    };
    right.sort_unstable();
    right.len() == told.len()
        && right.iter().zip(told).all(|((name, value), told)| (*name, value.as_str()) == *told)
}

/// Who an upstream's answer to this request may have been made for.
pub(crate) fn echoes(told: &str, record: &Record) -> bool {
    match &record.right {
        _ if told == NOBODY => !record.route.is_protected(),
        Right::Of(session, _) => {
            let (person, sid) = told.split_once(' ').unwrap_or((told, ""));
            let right_session = record.route != Route::Mapped || sid == session.sid;
            record.route != Route::Public && person == session.person.sub && right_session
        }
        Right::None(_) => false,
    }
}

/// Letters and digits: what is left of a name where `-` and `_` are the same.
fn squeezed(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::Moment;
    use crate::people::everybody;
    use crate::session::Cookie;

    fn of(person: usize, route: Route) -> Record {
        let now = Moment::now();
        let session = Session::new("s1".into(), &everybody()[person], Store::Memory, now, now, None);
        let cookie = Cookie { value: "c".into(), asked: now, received: now };
        let right = Right::Of(Arc::new(session), cookie);
        Record::new(1, Store::Memory, route, "GET", "/app/ok/1".into(), right, now)
    }

    fn breaks(record: Record, fields: &[(&str, &str)]) -> bool {
        let world = World::for_rules();
        let record = world.ledger.enter(record);
        let own = [("x-nonce", "1"), ("cookie", "theme=1; last=1")];
        let fields = own.iter().chain(fields).map(|&(n, v)| (n.to_owned(), v.to_owned())).collect();
        world.logged(&Head { line: format!("GET {} HTTP/1.1", record.target), fields }, b"");
        world.broken.any()
    }

    const FIVE: [(&str, &str); 3] = [
        ("x-forwarded-user", "person-05"),
        ("x-forwarded-preferred-username", "name-05"),
        ("x-forwarded-email", "person-05@example.com"),
    ];

    #[test]
    fn only_its_owner_s_identity_passes() {
        assert!(!breaks(of(5, Route::Standard), &FIVE));
        assert!(breaks(of(6, Route::Standard), &FIVE), "another person");
        assert!(breaks(of(5, Route::Standard), &FIVE[..2]), "a header is missing");
        assert!(breaks(of(5, Route::Standard), &[]), "nobody");
        let spoofed = [&FIVE[..], &[("x_forwarded.groups", "staff")]].concat();
        assert!(breaks(of(5, Route::Standard), &spoofed), "one more in another spelling");
        let doubled = [&FIVE[..], &FIVE[..1]].concat();
        assert!(breaks(of(5, Route::Standard), &doubled), "one twice");
    }

    #[test]
    fn a_name_is_told_where_it_may_be_and_no_rule_is_passed_by() {
        assert!(!breaks(of(5, Route::Optional), &[]));
        assert!(!breaks(of(5, Route::Optional), &FIVE));
        assert!(breaks(of(5, Route::Public), &FIVE), "a public route tells no names");
        assert!(breaks(of(5, Route::Staff), &FIVE), "not of the group");
        let none = Record { right: Right::None("signed out"), ..of(5, Route::Standard) };
        assert!(breaks(none, &FIVE), "no right");
    }

    #[test]
    fn a_request_comes_once_or_again_after_a_reset() {
        let world = World::for_rules();
        let head = Head {
            line: "GET /public/ok/1 HTTP/1.1".into(),
            fields: vec![("x-nonce".into(), "1".into()), ("cookie".into(), "theme=1; last=1".into())],
        };
        let record = Record { target: "/public/ok/1".into(), ..of(5, Route::Public) };
        let record = world.ledger.enter(record);
        world.logged(&head, b"");
        record.reset();
        world.logged(&head, b"");
        assert!(!world.broken.any(), "{}", world.broken.report());
        world.logged(&head, b"");
        assert!(world.broken.any(), "a third time");
    }

    #[test]
    fn an_answer_is_for_its_owner_alone() {
        assert!(echoes("person-05 s1", &of(5, Route::Mapped)));
        assert!(!echoes("person-05 s2", &of(5, Route::Mapped)));
        assert!(!echoes("person-06 s1", &of(5, Route::Standard)));
        assert!(!echoes(NOBODY, &of(5, Route::Standard)));
        assert!(echoes(NOBODY, &of(5, Route::Optional)));
    }
}
