//! A signed-in browser whose cookie the load repeats.

use std::cell::RefCell;
use std::thread::sleep;
use std::time::Duration;

use vestibule::clock::Stopwatch;

use crate::Result;
use crate::browser::{Browser, Headers};
use crate::origin::Origin;

/// A sealed session is sealed anew after this at the latest.
const RENEWED_BY: Duration = Duration::from_secs(61);
/// One as old as this might be sealed anew while the load repeats it: that minute, less a warm-up, a
/// measurement and something to spare.
const MIGHT_BE_RENEWED: Duration = Duration::from_secs(45);

/// A session at one proxy.
pub(crate) struct Session {
    browser: RefCell<Browser>,
    /// How long the browser has had its cookies.
    kept: RefCell<Stopwatch>,
    /// `sub` of the person.
    pub(crate) sub: String,
}

impl Session {
    pub(crate) fn new(browser: Browser, sub: String) -> Self {
        Self { browser: RefCell::new(browser), kept: RefCell::new(Stopwatch::start()), sub }
    }

    /// The headers of the next request: `others`, with the cookie joined to theirs.
    pub(crate) fn headers(&self, at: &Origin, others: &Headers) -> Headers {
        let mut headers = others.clone();
        let own = self.browser.borrow().cookies(at.address);
        match headers.iter_mut().find(|(name, _)| name == "Cookie") {
            Some((_, cookies)) => cookies.extend(["; ", &own]),
            None => headers.push(("Cookie".to_owned(), own)),
        }
        headers
    }

    /// Opens a page as a browser does, which takes the renewed cookie that may come with it, and waits
    /// before that where it might come too late. A sealed session is renewed every minute; a load that
    /// went on repeating the old one would be renewed with every answer, which no browser is.
    pub(crate) fn renew(&self, at: &Origin, page: &str) -> Result<()> {
        let kept = self.kept.borrow().elapsed();
        if kept >= MIGHT_BE_RENEWED {
            sleep(RENEWED_BY.saturating_sub(kept));
        }
        let mut browser = self.browser.borrow_mut();
        let before = browser.cookies(at.address);
        browser.open(at, page, &Headers::new())?;
        if browser.cookies(at.address) != before {
            self.kept.replace(Stopwatch::start());
        }
        Ok(())
    }

    /// Values of the cookies, which nobody else should see.
    pub(crate) fn secrets(&self, at: &Origin) -> Vec<String> {
        let cookies = self.browser.borrow().cookies(at.address);
        cookies
            .split("; ")
            .filter_map(|pair| pair.split_once('='))
            .map(|(_, value)| value.to_owned())
            .collect()
    }
}
