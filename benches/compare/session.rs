//! A signed-in browser whose cookie the load repeats.

use std::cell::RefCell;

use crate::Result;
use crate::browser::{Browser, Headers};
use crate::origin::Origin;

/// A session at one proxy.
pub(crate) struct Session {
    browser: RefCell<Browser>,
    /// `sub` of the person.
    pub(crate) sub: String,
}

impl Session {
    pub(crate) const fn new(browser: Browser, sub: String) -> Self {
        Self { browser: RefCell::new(browser), sub }
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

    /// Opens a page as a browser does, which takes the renewed cookie that may come with it. A sealed
    /// session is renewed every minute; a load that went on repeating the old one would be renewed with
    /// every answer, which no browser is.
    pub(crate) fn renew(&self, at: &Origin, page: &str) -> Result<()> {
        self.browser.borrow_mut().open(at, page, &Headers::new()).map(drop)
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
