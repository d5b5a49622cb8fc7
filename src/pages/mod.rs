//! What people see: sign-in chooser, errors, sign-out. Escaped, with a policy that allows no script.
//!
//! Every sentence is fixed. What comes from outside (a path to return to, an error code) appears only
//! where a page needs it, bounded and escaped; what a provider says in words is never shown. Every
//! page names the request's id, by which an operator finds it in the log.

mod json;
mod language;
mod page;
mod problem;
mod render;
mod sign_in;
mod words;

pub use json::problem_json;
pub use language::{Language, Text};
pub use page::Page;
pub use problem::Problem;
pub use render::{Replacement, TEMPLATES};
pub use sign_in::{Asked, SignIn, SignInFailure, Stale};

use http::HeaderMap;

use crate::identity::ProviderName;
use crate::reply::Reply;
use crate::telemetry::RequestId;
use render::Renderer;

/// `pages`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `support`: where a page sends people who are stuck.
    pub support: Option<url::Url>,
    /// `languages`: those that pages are shown in; the first where a browser wishes none of them.
    pub languages: Vec<Language>,
    /// `directory`: templates in the place of ours.
    pub replacements: Vec<Replacement>,
}

impl Default for Config {
    fn default() -> Self {
        Self { support: None, languages: vec![Language::default()], replacements: Vec::new() }
    }
}

/// Why pages can't be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A template can't serve.
    #[error("read a page template: {0}")]
    Template(#[from] TemplateError),
    /// A policy that is no header value.
    #[error("write the pages' content security policy: {0}")]
    Policy(#[from] http::header::InvalidHeaderValue),
    /// A support address that a browser would run or not understand.
    #[error("link to pages.support: an address begins with https:, http: or mailto:, not {0}:")]
    Support(String),
}

/// What is wrong with a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It is broken, or asks for what its page doesn't have.
    #[error("{}", render::said(.0))]
    Broken(#[from] minijinja::Error),
    /// The style ends its element, so that a browser would refuse it.
    #[error("style.css has `</style` in it")]
    Style,
    /// A page has the style otherwise than it is allowed.
    #[error("{0}: write {{{{ style|safe }}}} alone between <style> and </style>")]
    StyleElement(&'static str),
}

/// Who a page is for.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The request's id.
    pub request_id: &'a RequestId,
    /// What they read.
    pub language: Language,
}

/// The pages of one configuration.
#[derive(Debug)]
pub struct Pages {
    renderer: Renderer,
    languages: Vec<Language>,
    prefix: String,
}

impl Pages {
    /// Reads the templates, and writes every page once in every language: what is wrong with one is told
    /// now, not to the first person who needs it. `prefix` is `endpoints.prefix`, without a trailing slash.
    ///
    /// # Errors
    /// [`Error`].
    pub fn new(config: &Config, prefix: &str) -> Result<Self, Error> {
        if let Some(support) = &config.support
            && !matches!(support.scheme(), "https" | "http" | "mailto")
        {
            return Err(Error::Support(support.scheme().to_owned()));
        }
        let support = config.support.as_ref().map(url::Url::to_string);
        let renderer = Renderer::new(&config.replacements, support)?;
        let pages = Self { renderer, languages: config.languages.clone(), prefix: prefix.to_owned() };
        pages.try_all()?;
        Ok(pages)
    }

    fn try_all(&self) -> Result<(), TemplateError> {
        let request_id = RequestId::UNREAD;
        // The chooser is for two at least.
        let providers: Vec<_> = ["workforce", "partners"].into_iter().flat_map(ProviderName::parse).collect();
        let sign_in = SignIn::of(providers.first(), Some("/page"));
        let problems = Problem::ALL.iter().map(|&problem| Page::Problem(problem));
        let required = Asked::ALL.iter().map(|&asked| Page::SignInRequired(asked, sign_in));
        let again = Stale::ALL.iter().map(|&stale| Page::SignInAgain(stale, sign_in));
        let codes = [None, Some("access_denied")];
        let failed = SignInFailure::ALL
            .iter()
            .flat_map(|&failure| codes.map(|code| Page::SignInFailed(failure, code, sign_in)));
        let targets = [None, Some("/page")];
        let others = [Page::LoginLoop(sign_in), Page::Chooser(&providers, "/page")];
        let others = others.into_iter().chain(targets.map(Page::SignOut)).chain(targets.map(Page::SignedOut));
        let all: Vec<Page<'_>> = problems.chain(required).chain(again).chain(failed).chain(others).collect();
        for &language in &self.languages {
            for page in &all {
                let draft = page.draft(&self.prefix);
                let html = self.renderer.html(&draft, Reader { request_id: &request_id, language })?;
                if !self.renderer.allows_the_style_of(&html) {
                    return Err(TemplateError::StyleElement(draft.template));
                }
            }
        }
        Ok(())
    }

    /// Path and query that begin a sign-in.
    #[must_use]
    pub fn sign_in_address(&self, sign_in: SignIn<'_>) -> String {
        sign_in.address(&self.prefix)
    }

    /// Who has sent a request with these headers.
    #[must_use]
    pub fn reader<'a>(&self, headers: &HeaderMap, request_id: &'a RequestId) -> Reader<'a> {
        Reader { request_id, language: Language::preferred(headers, &self.languages) }
    }

    /// The answer that shows a page.
    #[must_use]
    pub fn show(&self, page: &Page<'_>, reader: Reader<'_>) -> Reply {
        self.renderer.reply(&page.draft(&self.prefix), reader)
    }
}

#[cfg(test)]
mod tests;
