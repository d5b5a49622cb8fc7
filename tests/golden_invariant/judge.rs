//! What an answer means, and whether it may be so.

use std::sync::Arc;

use serde_json::Value;
use url::Url;
use vestibule::seal::{Binding, Purpose as Sealed};

use super::acts::{Act, Purpose};
use super::browser::{Fate, Held, Login, Phase};
use super::counts::Event;
use super::dice::Dice;
use super::given::set_cookies;
use super::ledger::{Record, Right, Route};
use super::message::first;
use super::moment::Moment;
use super::people::Person;
use super::rules::{Rule, echoes};
use super::session::{Cookie, Session};
use super::world::{ORIGIN, SESSION, World};

/// A response, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// With an answer.
    Answered(Answer),
    /// The client has hung up.
    GivenUp,
    /// The connection, or the stream, ended.
    Lost,
    /// Nothing came for a very long time.
    Hung,
}

impl World {
    /// A request is over.
    pub(crate) fn settle(&self, act: &Act, outcome: &Outcome, dice: &mut Dice) {
        let done = Moment::now();
        self.counts.note(Event::Request);
        let answer = match outcome {
            Outcome::Answered(answer) => answer,
            Outcome::Hung => {
                self.broken(Rule::LiveIsServed, act, "no answer came in a minute");
                return self.unanswered(act, done);
            }
            Outcome::GivenUp => {
                self.counts.note(Event::ClientAbort);
                return self.unanswered(act, done);
            }
            Outcome::Lost => {
                self.counts.note(Event::Lost);
                return self.unanswered(act, done);
            }
        };
        self.answered(answer.status);
        let passed = is_served(act, answer);
        if let Some(held) = &act.held {
            held.session.answered(done, passed.then_some(act.sent));
        }
        self.check_cookies(act, answer, done);
        match &act.purpose {
            Purpose::Ask(record) => {
                self.check_ask(act, record, answer, done);
                self.ledger.close(record.nonce, done);
            }
            Purpose::Start { person, page, record } => {
                self.started(act, person, page, record.as_deref(), answer);
                if let Some(record) = record {
                    self.ledger.close(record.nonce, done);
                }
            }
            Purpose::Callback { id, .. } => self.finished(act, *id, answer, done, dice),
            Purpose::SignOut => self.signed_out(act, answer, done),
            Purpose::WhoAmI => self.check_who(act, answer, done),
        }
    }

    fn unanswered(&self, act: &Act, done: Moment) {
        if let Some(held) = &act.held {
            held.session.unanswered(done);
        }
        let mut state = act.browser.state();
        match &act.purpose {
            Purpose::Ask(record) => self.ledger.close(record.nonce, done),
            Purpose::Start { record, .. } => {
                state.abandon();
                if let Some(record) = record {
                    self.ledger.close(record.nonce, done);
                }
            }
            Purpose::Callback { id, .. } => {
                drop(state);
                self.callback_failed(act, *id);
            }
            Purpose::SignOut => {
                state.retire();
                state.phase = Phase::Out;
            }
            Purpose::WhoAmI => {}
        }
    }

    pub(crate) fn broken(&self, rule: Rule, act: &Act, what: &str) {
        let what = format!("{what}, {:?}: {act:?}", Moment::now());
        self.break_rule(rule, Some(act.browser.store), &what);
    }

    fn check_ask(&self, act: &Act, record: &Record, answer: &Answer, done: Moment) {
        let Some(told) = first(&answer.fields, "x-echo-user") else {
            return self.check_refusal(act, record, answer, done);
        };
        let nonce = format!("{:x}", record.nonce);
        let line = format!("{nonce} {told}\n");
        let whole =
            record.method == "HEAD" || answer.body.chunks(line.len()).all(|part| part == line.as_bytes());
        let filled = record.method == "HEAD" || !answer.body.is_empty();
        if first(&answer.fields, "x-echo-nonce") != Some(&nonce)
            || answer.status != 200
            || !whole
            || !filled
            || !echoes(told, record)
        {
            return self.broken(Rule::AnsweredToItsOwner, act, &format!("{answer:?}"));
        }
        self.counts.note(Event::Echoed);
    }

    /// The gateway's own answer to a request that was for the upstream.
    fn check_refusal(&self, act: &Act, record: &Record, answer: &Answer, done: Moment) {
        let nominates = act.request.fields.iter().any(|(name, _)| *name == "connection");
        match answer.status {
            400 if nominates => {}
            401 | 302 => {
                self.counts.note(Event::Challenge);
                self.check_challenge(act, record, answer, done);
            }
            403 if record.route == Route::Staff => {
                let may = matches!(&record.right, Right::Of(session, _) if !session.person.is_staff());
                if !may {
                    self.broken(Rule::AnsweredToItsOwner, act, "denied, but not by the rule");
                }
            }
            502 => self.counts.note(Event::BadGateway),
            status => self.broken(Rule::LiveIsServed, act, &format!("answered with {status}")),
        }
        if answer.status < 500 && record.arrivals() > 0 {
            self.broken(Rule::LoggedAsItsOwner, act, &format!("logged, and answered with {}", answer.status));
        }
    }

    fn check_challenge(&self, act: &Act, record: &Record, answer: &Answer, done: Moment) {
        if !record.route.is_protected() {
            self.broken(Rule::LiveIsServed, act, "challenged on a route for everybody");
        }
        if answer.status == 302 && self.login_of(answer, &record.target).is_none() {
            self.broken(
                Rule::AnsweredToItsOwner,
                act,
                &format!("a login that isn't this page's: {answer:?}"),
            );
        }
        let Some(held) = &act.held else { return };
        match &record.right {
            Right::None(_) if held.session.over.is_by(record.sent) => self.counts.note(Event::Replay),
            Right::Of(session, cookie) if !session.may_have_ended(cookie, done) => {
                self.broken(Rule::LiveIsServed, act, "challenged");
            }
            _ => self.expired(act, held),
        }
    }

    /// Its time was up; the browser goes on without it.
    fn expired(&self, act: &Act, held: &Held) {
        use std::sync::atomic::Ordering;
        let mut state = act.browser.state();
        let current = state.current.as_ref().is_some_and(|now| now.cookie.value == held.cookie.value);
        let ended = held.session.ending.is_by(Moment::now());
        if current && state.phase == Phase::In {
            state.retire();
            state.guard = None;
            state.phase = Phase::Out;
        }
        if !ended && !held.session.expired.swap(true, Ordering::AcqRel) {
            self.counts.note(Event::Expiry);
        }
    }

    /// The login that a redirect starts, if all of it belongs together and to this page.
    fn login_of(&self, answer: &Answer, page: &str) -> Option<(Url, String)> {
        let url = Url::parse(first(&answer.fields, "location")?).ok()?;
        let parameter =
            |name: &str| url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value);
        let state = self.open(Sealed::State, "state", &parameter("state")?)?;
        let name = format!("{SESSION}-login-{}", state["a"].as_str()?);
        let cookie = set_cookies(answer).find(|(known, _)| *known == name)?.1;
        let attempt = self.open(Sealed::Login, &name, cookie)?;
        let together = state["r"] == page && attempt["nonce"] == *parameter("nonce")?;
        let cookie = format!("{name}={cookie}");
        together.then_some((url, cookie))
    }

    pub(crate) fn open(&self, purpose: Sealed, name: &str, value: &str) -> Option<Value> {
        let binding = Binding { purpose, name, origin: ORIGIN };
        serde_json::from_slice(&self.keyring.open(binding, value).ok()?).ok()
    }

    fn started(
        &self,
        act: &Act,
        person: &'static Person,
        page: &str,
        record: Option<&Record>,
        answer: &Answer,
    ) {
        if record.is_some_and(|record| record.arrivals() > 0) {
            self.broken(Rule::LoggedAsItsOwner, act, "a page went to nobody");
        }
        let signed_on = match answer.status {
            302 => match self.login_of(answer, page) {
                Some((url, cookie)) => {
                    self.provider.sign_on(&url, person).map(|signed_on| (signed_on, cookie))
                }
                None => {
                    self.broken(
                        Rule::AnsweredToItsOwner,
                        act,
                        &format!("a login that isn't this page's: {answer:?}"),
                    );
                    None
                }
            },
            _ => None,
        };
        let mut state = act.browser.state();
        let Some((signed_on, cookie)) = signed_on else {
            self.counts.note(Event::FailedSignIn);
            return state.abandon();
        };
        state.phase = Phase::Started;
        state.login = Some(Login {
            id: self.nonce(),
            person,
            sid: signed_on.sid,
            target: signed_on.target,
            cookie,
            sent: Moment::START,
            under_way: 0,
            copied: false,
        });
    }

    fn finished(&self, act: &Act, id: u64, answer: &Answer, done: Moment, dice: &mut Dice) {
        let value = set_cookies(answer).find(|(name, value)| *name == SESSION && !value.is_empty());
        let (303, Some((_, value))) = (answer.status, value) else { return self.callback_failed(act, id) };
        let mut state = act.browser.state();
        if state.phase != Phase::Finishing || state.login.as_ref().is_none_or(|login| login.id != id) {
            // The other copy was first.
            return;
        }
        let Some(login) = state.login.take() else { return };
        let before = state.current.as_ref().map(|held| Arc::clone(&held.session));
        let same = before.as_ref().is_some_and(|before| before.person.index == login.person.index);
        let replaces = before.as_ref().filter(|_| same).map(Arc::downgrade);
        let session = Session::new(login.sid, login.person, act.browser.store, login.sent, done, replaces);
        let cookie = Cookie { value: value.into(), asked: login.sent, received: done };
        if let Some(before) = before {
            if !same {
                before.over.note(done);
            }
            self.counts.note(if same { Event::Renewal } else { Event::Takeover });
        }
        state.retire();
        state.guard = set_cookies(answer)
            .find(|(name, _)| name.strip_prefix(SESSION) == Some(".loop"))
            .map(|(name, value)| format!("{name}={value}"));
        state.current = Some(Held { session: Arc::new(session), cookie });
        state.phase = Phase::In;
        state.fate = Fate::draw(dice);
        state.fate_at = done.plus(dice.millis(100, 1800));
        self.counts.note(Event::SignIn);
    }

    fn callback_failed(&self, act: &Act, id: u64) {
        let mut state = act.browser.state();
        let Some(login) = state.login.as_mut().filter(|login| login.id == id) else { return };
        login.under_way = login.under_way.saturating_sub(1);
        if login.under_way == 0 {
            self.counts.note(Event::FailedSignIn);
            state.abandon();
        }
    }

    fn signed_out(&self, act: &Act, answer: &Answer, done: Moment) {
        let cleared = set_cookies(answer).any(|(name, value)| name == SESSION && value.is_empty());
        if answer.status == 303 && cleared {
            self.counts.note(Event::SignOut);
            if let Some(held) = &act.held {
                held.session.signed_out(done);
            }
        } else {
            self.broken(Rule::LiveIsServed, act, &format!("a sign-out came to nothing: {answer:?}"));
        }
        let mut state = act.browser.state();
        state.retire();
        state.guard = None;
        state.phase = Phase::Out;
    }

    fn check_who(&self, act: &Act, answer: &Answer, done: Moment) {
        let Some(held) = &act.held else { return };
        if answer.status == 401 {
            if held.session.may_have_ended(&held.cookie, done) {
                return self.expired(act, held);
            }
            return self.broken(Rule::LiveIsServed, act, "nobody is said to be signed in");
        }
        let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let session = &held.session;
        if answer.status != 200 || told["sub"] != session.person.sub || told["claims"]["sid"] != session.sid {
            self.broken(Rule::AnsweredToItsOwner, act, &format!("told {told}"));
        }
        if session.over.is_by(act.sent) {
            self.broken(Rule::AnsweredToItsOwner, act, "a session that is over is told of");
        }
    }
}

/// Whether the answer proves that the session was good.
fn is_served(act: &Act, answer: &Answer) -> bool {
    match &act.purpose {
        Purpose::Ask(_) => first(&answer.fields, "x-echo-user").is_some_and(|told| {
            act.held.as_ref().is_some_and(|held| told.starts_with(&held.session.person.sub))
        }),
        Purpose::WhoAmI => answer.status == 200,
        _ => false,
    }
}
