//! What an answer gives a browser to keep: only ever its own.

use std::sync::Arc;

use vestibule::seal::Purpose as Sealed;

use super::acts::{Act, Purpose};
use super::counts::Event;
use super::judge::Answer;
use super::moment::Moment;
use super::rules::Rule;
use super::session::{Cookie, Store};
use super::world::{SESSION, World};

impl World {
    /// Every cookie of ours is one that this request can bring, and belongs to who gets it.
    pub(crate) fn check_cookies(&self, act: &Act, answer: &Answer, done: Moment) {
        for (name, value) in set_cookies(answer) {
            let right = match name.strip_prefix(SESSION) {
                None => {
                    name == "app"
                        && matches!(&act.purpose, Purpose::Ask(record) if value == format!("{:x}", record.nonce))
                }
                Some("") if value.is_empty() => matches!(act.purpose, Purpose::SignOut),
                Some("") => self.is_own(act, value, done),
                Some(".loop") if matches!(act.purpose, Purpose::Ask(_)) => answer.status == 302,
                Some(".loop") => !matches!(act.purpose, Purpose::WhoAmI),
                Some(rest) if rest.starts_with("-login-") => match act.purpose {
                    Purpose::Ask(_) | Purpose::Start { .. } => answer.status == 302,
                    Purpose::Callback { .. } => value.is_empty(),
                    _ => false,
                },
                Some(_) => false,
            };
            if !right {
                let what = format!("a cookie that isn't its own: {name}={value}, status {}", answer.status);
                self.broken(Rule::AnsweredToItsOwner, act, &what);
            }
        }
    }

    /// Whether a session cookie is of the session that this request makes or has, and take it.
    fn is_own(&self, act: &Act, value: &str, done: Moment) -> bool {
        let sid = match &act.purpose {
            Purpose::Callback { sid, person, .. } => Some((sid, *person)),
            _ => act.held.as_ref().map(|held| (&held.session.sid, held.session.person)),
        };
        let Some((sid, person)) = sid else { return false };
        match act.browser.store {
            Store::Memory => {
                let callback = matches!(act.purpose, Purpose::Callback { .. });
                callback && self.gives(value, act.browser.index).is_none()
            }
            Store::Sealed => {
                let record = self.open(Sealed::Session, SESSION, value).unwrap_or_default();
                let claims = &record["session"]["claims"];
                let own = claims["sid"] == *sid && claims["sub"] == person.sub;
                if own && matches!(act.purpose, Purpose::Ask(_) | Purpose::WhoAmI) {
                    self.resealed(act, value, done);
                }
                own
            }
        }
    }

    fn resealed(&self, act: &Act, value: &str, done: Moment) {
        self.counts.note(Event::Reseal);
        let mut state = act.browser.state();
        let Some(held) = &act.held else { return };
        if let Some(current) = &mut state.current
            && Arc::ptr_eq(&current.session, &held.session)
            && current.cookie.asked < act.sent
        {
            current.cookie = Cookie { value: value.into(), asked: act.sent, received: done };
        }
    }
}

/// Names and values of all `Set-Cookie`s.
pub(crate) fn set_cookies(answer: &Answer) -> impl Iterator<Item = (&str, &str)> {
    answer
        .fields
        .iter()
        .filter(|(name, _)| name == "set-cookie")
        .filter_map(|(_, value)| value.split(';').next()?.split_once('='))
}
