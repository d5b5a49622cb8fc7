//! What a browser does next.

use std::sync::Arc;
use std::time::Duration;

use super::browser::{Browser, Fate, Held, Login, Phase, State};
use super::counts::Event;
use super::dice::Dice;
use super::ledger::{Record, Right, Route};
use super::moment::Moment;
use super::people::{PEOPLE, Person, everybody};
use super::session::{Standing, Store};
use super::settings::{ANONYMOUS, IDLE, LATE};
use super::upstream::Behaviour;
use super::world::{ORIGIN, SESSION, World};

/// A request to send.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) target: String,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) body: Option<String>,
}

/// When a client gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It waits for the end.
    Whole,
    /// After this time, unless the answer is there.
    Until(Duration),
    /// As soon as the answer begins.
    FirstBytes,
}

/// What a request is for.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// To reach the upstream.
    Ask(Arc<Record>),
    /// To begin a login of a person, for this page.
    Start { person: &'static Person, page: String, record: Option<Arc<Record>> },
    /// To finish the login of this id, for this session.
    Callback { id: u64, sid: String, person: &'static Person },
    /// To end the session.
    SignOut,
    /// To learn who is signed in.
    WhoAmI,
}

/// A request of a browser.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) browser: Arc<Browser>,
    pub(crate) request: Request,
    pub(crate) purpose: Purpose,
    /// The session whose cookie is sent.
    pub(crate) held: Option<Held>,
    pub(crate) patience: Patience,
    pub(crate) sent: Moment,
}

/// What a connection can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

impl World {
    /// Something that some browser of this gateway has to do now.
    pub(crate) fn next(&self, store: Store, protocol: Protocol, dice: &mut Dice) -> Option<Act> {
        let browsers = &self.browsers[store.index()];
        // Some are waiting for an answer, or for nothing at all.
        (0..6).find_map(|_| self.act(&browsers[self.whose(browsers.len(), dice)], protocol, dice))
    }

    /// Where in the list somebody is to be taken from. On a slow machine only the first few browsers are
    /// used: the others' sessions would expire before their second request.
    fn whose(&self, all: usize, dice: &mut Dice) -> usize {
        let people = all - ANONYMOUS;
        if dice.of_thousand(60) {
            return people + dice.below(ANONYMOUS);
        }
        dice.below((self.pace.limit() / 4).clamp(6, people))
    }

    fn act(&self, browser: &Arc<Browser>, protocol: Protocol, dice: &mut Dice) -> Option<Act> {
        let mut state = browser.state();
        let now = Moment::now();
        if now < state.quiet_until {
            return None;
        }
        let Some(owner) = browser.owner else { return Some(self.ask(browser, None, &state, protocol, dice)) };
        let phase = state.phase;
        match phase {
            Phase::Out if dice.of_thousand(500) => Some(self.start(browser, &mut state, owner, dice)),
            Phase::Out if !state.old.is_empty() => {
                let held = state.old[dice.below(state.old.len())].clone();
                Some(self.ask(browser, Some(held), &state, protocol, dice))
            }
            Phase::Out => dice.of_thousand(100).then(|| self.ask(browser, None, &state, protocol, dice)),
            Phase::Started => Self::callback(browser, &mut state),
            Phase::Finishing if is_copied(&mut state, dice) => Self::callback(browser, &mut state),
            Phase::In if now >= state.fate_at && state.fate != Fate::Age => {
                self.meet_fate(browser, &mut state, now, dice)
            }
            Phase::In if dice.of_thousand(20) => Some(Self::who_am_i(browser, &state)),
            _ if !state.old.is_empty() && dice.of_thousand(40) => {
                let held = state.old[dice.below(state.old.len())].clone();
                Some(self.ask(browser, Some(held), &state, protocol, dice))
            }
            _ => {
                let held = state.current.clone()?;
                Some(self.ask(browser, Some(held), &state, protocol, dice))
            }
        }
    }

    fn meet_fate(
        &self,
        browser: &Arc<Browser>,
        state: &mut State,
        now: Moment,
        dice: &mut Dice,
    ) -> Option<Act> {
        let owner = browser.owner?;
        match std::mem::replace(&mut state.fate, Fate::Age) {
            Fate::Age => None,
            Fate::Idleness => {
                state.quiet_until = now.plus(IDLE + LATE + Duration::from_millis(300));
                None
            }
            Fate::SignOut => Some(Self::sign_out(browser, state)),
            Fate::Renewal => {
                let same = state.current.as_ref().map_or(owner, |held| held.session.person);
                Some(self.start(browser, state, same, dice))
            }
            Fate::Takeover => Some(self.start(browser, state, &everybody()[dice.below(PEOPLE)], dice)),
        }
    }

    fn ask(
        &self,
        browser: &Arc<Browser>,
        held: Option<Held>,
        state: &State,
        protocol: Protocol,
        dice: &mut Dice,
    ) -> Act {
        let route = match dice.below(100) {
            0..4 => Route::Public,
            4..10 => Route::Optional,
            10..22 => Route::Staff,
            22..60 => Route::Mapped,
            _ => Route::Standard,
        };
        let method = ["GET", "GET", "GET", "GET", "GET", "POST", "PUT", "HEAD"][dice.below(8)];
        let behaviour = match dice.below(1000) {
            0..70 => Behaviour::Slow,
            70..82 => Behaviour::Big,
            82..115 => Behaviour::Reset,
            115..122 => Behaviour::Leave,
            122..126 => Behaviour::Cut,
            _ => Behaviour::Answer,
        };
        let (record, now) = self.record(browser.store, route, method, behaviour, held.as_ref());
        let nonce = format!("{:x}", record.nonce);
        let mut fields = vec![("x-nonce", nonce.clone())];
        if method == "GET" && dice.of_thousand(500) {
            fields.extend(navigation());
        }
        cookies(&mut fields, &nonce, held.as_ref(), state.guard.as_deref(), protocol, dice);
        if dice.of_thousand(80) {
            self.counts.note(Event::Spoof);
            spoof(&mut fields, protocol, dice);
        }
        let patience = match behaviour {
            Behaviour::Big if dice.of_thousand(300) => Patience::FirstBytes,
            _ if dice.of_thousand(15) => Patience::Until(dice.millis(0, 40)),
            _ => Patience::Whole,
        };
        let body = matches!(method, "POST" | "PUT").then_some(nonce);
        let request = Request { method, target: record.target.clone(), fields, body };
        let act = Act {
            browser: Arc::clone(browser),
            request,
            purpose: Purpose::Ask(record),
            held,
            patience,
            sent: now,
        };
        act.enter()
    }

    fn record(
        &self,
        store: Store,
        route: Route,
        method: &'static str,
        behaviour: Behaviour,
        held: Option<&Held>,
    ) -> (Arc<Record>, Moment) {
        let now = Moment::now();
        let right = match held {
            None => Right::None("nobody is signed in"),
            Some(held) => match held.session.standing(&held.cookie, now) {
                Standing::Open => Right::Of(Arc::clone(&held.session), held.cookie.clone()),
                Standing::Over => Right::None("the session's end has been answered"),
                Standing::Expired => Right::None("the session's time is up"),
            },
        };
        let nonce = self.nonce();
        let target = format!("{}/{}/{nonce:x}", route.path(), behaviour.word());
        (self.ledger.enter(Record::new(nonce, store, route, method, target, right, now)), now)
    }

    /// By a page that needs somebody; over a session that is there, by asking for it.
    fn start(
        &self,
        browser: &Arc<Browser>,
        state: &mut State,
        person: &'static Person,
        dice: &mut Dice,
    ) -> Act {
        state.phase = Phase::Starting;
        state.login = None;
        let held = state.current.clone();
        let mut fields = navigation();
        let (target, page, record, sent) = if let Some(held) = &held {
            let page = format!("/app/back/{:x}", self.nonce());
            let target = format!("/.vestibule/sign-in?prompt=login&return_to={page}");
            fields.push(("cookie", format!("{SESSION}={}", held.cookie.value)));
            (target, page, None, Moment::now())
        } else {
            let route = *dice.one_of(&Route::PROTECTED);
            let (record, now) = self.record(browser.store, route, "GET", Behaviour::Answer, None);
            (record.target.clone(), record.target.clone(), Some(record), now)
        };
        let request = Request { method: "GET", target, fields, body: None };
        let purpose = Purpose::Start { person, page, record };
        Act { browser: Arc::clone(browser), request, purpose, held, patience: Patience::Whole, sent }.enter()
    }

    fn callback(browser: &Arc<Browser>, state: &mut State) -> Option<Act> {
        let sent = Moment::now();
        let held = state.current.clone();
        if let Some(held) = &held {
            held.session.ending.note(sent);
        }
        let first = state.phase == Phase::Started;
        state.phase = Phase::Finishing;
        let login = state.login.as_mut()?;
        login.under_way += 1;
        if first {
            login.sent = sent;
        }
        let Login { id, sid, person, target, mut cookie, .. } = login.clone();
        if let Some(held) = &held {
            cookie = format!("{cookie}; {SESSION}={}", held.cookie.value);
        }
        let mut fields = navigation();
        fields.push(("cookie", cookie));
        let request = Request { method: "GET", target, fields, body: None };
        let (purpose, patience) = (Purpose::Callback { id, sid, person }, Patience::Whole);
        Some(Act { browser: Arc::clone(browser), request, purpose, held, patience, sent }.enter())
    }

    fn sign_out(browser: &Arc<Browser>, state: &mut State) -> Act {
        let sent = Moment::now();
        state.phase = Phase::Leaving;
        let held = state.current.clone();
        let mut fields = vec![("origin", ORIGIN.to_owned())];
        if let Some(held) = &held {
            held.session.ending.note(sent);
            fields.push(("cookie", format!("{SESSION}={}", held.cookie.value)));
        }
        let target = "/.vestibule/sign-out".to_owned();
        let request = Request { method: "POST", target, fields, body: Some(String::new()) };
        let purpose = Purpose::SignOut;
        Act { browser: Arc::clone(browser), request, purpose, held, patience: Patience::Whole, sent }.enter()
    }

    fn who_am_i(browser: &Arc<Browser>, state: &State) -> Act {
        let held = state.current.clone();
        let cookie = held.as_ref().map(|held| ("cookie", format!("{SESSION}={}", held.cookie.value)));
        let target = "/.vestibule/session".to_owned();
        let request = Request { method: "GET", target, fields: cookie.into_iter().collect(), body: None };
        let (purpose, sent) = (Purpose::WhoAmI, Moment::now());
        Act { browser: Arc::clone(browser), request, purpose, held, patience: Patience::Whole, sent }.enter()
    }
}

impl Act {
    /// Under the browser's lock, so that a session's uses are counted in their order.
    fn enter(self) -> Self {
        if let Some(held) = &self.held {
            held.session.sent();
        }
        self
    }
}

/// Whether a browser sends its callback a second time, as when somebody reloads the page.
fn is_copied(state: &mut State, dice: &mut Dice) -> bool {
    let chance = dice.of_thousand(100);
    state.login.as_mut().is_some_and(|login| !std::mem::replace(&mut login.copied, true) && chance)
}

fn navigation() -> Vec<(&'static str, String)> {
    vec![
        ("sec-fetch-mode", "navigate".to_owned()),
        ("sec-fetch-dest", "document".to_owned()),
        ("accept", "text/html".to_owned()),
    ]
}

/// Cookies of the service around ours; in several fields, as HTTP/2 may have them.
fn cookies(
    fields: &mut Vec<(&'static str, String)>,
    nonce: &str,
    held: Option<&Held>,
    guard: Option<&str>,
    protocol: Protocol,
    dice: &mut Dice,
) {
    let mut own = vec![format!("theme={nonce}")];
    own.extend(held.map(|held| format!("{SESSION}={}", held.cookie.value)));
    own.extend(guard.map(str::to_owned));
    if dice.of_thousand(500) {
        own.rotate_left(1);
    }
    own.push(format!("last={nonce}"));
    if protocol == Protocol::Http2 && dice.of_thousand(300) {
        fields.extend(own.into_iter().map(|cookie| ("cookie", cookie)));
    } else {
        fields.push(("cookie", own.join("; ")));
    }
}

/// Says to be somebody, in a spelling that some backend may take; or has a header taken away.
fn spoof(fields: &mut Vec<(&'static str, String)>, protocol: Protocol, dice: &mut Dice) {
    const NAMES: [&str; 9] = [
        "x-forwarded-user",
        "x_forwarded_user",
        "x-forwarded-email",
        "x-forwarded_email",
        "x-forwarded-groups",
        "x.forwarded.groups",
        "x-golden-mail",
        "x-golden-sid",
        "x_golden-user",
    ];
    if protocol == Protocol::Http1 && dice.of_thousand(10) {
        fields.push(("connection", "x-forwarded-user, x-golden-user".to_owned()));
        return;
    }
    for _ in 0..3 {
        fields.push((NAMES[dice.below(NAMES.len())], format!("person-{:02}", dice.below(PEOPLE))));
    }
}
