//! From a template to an answer: escaping, and the headers every page has.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use minijinja::{AutoEscape, Environment, HtmlEscape, UndefinedBehavior, context, escape_formatter};

use super::language::Text;
use super::page::Draft;
use super::{Error, Reader, TemplateError, words};
use crate::reply::Reply;
use crate::seal::sha256;

/// Far more than our largest page takes; what a template may burn before it is stopped.
const FUEL: u64 = 100_000;

/// The name of the style in a folder of replacements.
const STYLE: &str = "style.css";

/// Every file that pages are made of, and what is in ours.
pub const TEMPLATES: [(&str, &str); 10] = [
    ("base.html", include_str!("templates/base.html")),
    ("chooser.html", include_str!("templates/chooser.html")),
    ("error.html", include_str!("templates/error.html")),
    ("login_loop.html", include_str!("templates/login_loop.html")),
    ("sign_in_again.html", include_str!("templates/sign_in_again.html")),
    ("sign_in_failed.html", include_str!("templates/sign_in_failed.html")),
    ("sign_in_required.html", include_str!("templates/sign_in_required.html")),
    ("sign_out.html", include_str!("templates/sign_out.html")),
    ("signed_out.html", include_str!("templates/signed_out.html")),
    (STYLE, include_str!("templates/style.css")),
];

/// A template in the place of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// One of [`TEMPLATES`].
    pub name: &'static str,
    /// What is in it.
    pub source: String,
}

/// What is wrong with a template, by its file and line.
pub(super) fn said(error: &minijinja::Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match (error.name(), error.line()) {
        (Some(name), Some(line)) => format!("{name}, line {line}: {what}"),
        (Some(name), None) => format!("{name}: {what}"),
        _ => what,
    }
}

/// What a page is allowed to do beyond showing itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing.
    Still,
    /// Post its form to us. Browsers hold the redirects that follow to `form-action` as well, and a
    /// sign-out goes on to the provider: so https, and loopback for a provider on this machine.
    Form,
    /// Be shown in a frame of any site. It holds one link, which opens `/sign-in` in the top window;
    /// a site that tricks someone into following it gains no more than by linking there itself.
    Framed,
}

/// What stands above the content of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    pub(super) title: Text,
    pub(super) sentence: Text,
    pub(super) retry_after: Option<u16>,
}

/// The templates and the policies, ready.
#[derive(Debug)]
pub(super) struct Renderer {
    templates: Environment<'static>,
    style: String,
    support: Option<String>,
    still: HeaderValue,
    form: HeaderValue,
    framed: HeaderValue,
}

impl Renderer {
    pub(super) fn new(replacements: &[Replacement], support: Option<String>) -> Result<Self, Error> {
        let mut templates = Environment::new();
        templates.set_fuel(Some(FUEL));
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_formatter(|out, state, value| match (state.auto_escape(), value.as_str()) {
            // As the default does, but `/` stays as it is: addresses are to be read.
            (AutoEscape::Html, Some(text)) if !value.is_safe() => {
                let escaped = HtmlEscape(text).to_string().replace("&#x2f;", "/");
                out.write_str(&escaped).map_err(minijinja::Error::from)
            }
            _ => escape_formatter(out, state, value),
        });
        let mut style = String::new();
        // As a browser reads it: it hashes what it has read (https://html.spec.whatwg.org/#preprocessing-the-input-stream).
        let as_read = |source: &str| source.replace("\r\n", "\n").replace('\r', "\n");
        for (name, ours) in TEMPLATES {
            let replaced = replacements.iter().find(|replacement| replacement.name == name);
            let source = replaced.map_or(ours, |replacement| &replacement.source).to_owned();
            if name == STYLE {
                style = as_read(&source);
            } else {
                templates.add_template_owned(name, source).map_err(TemplateError::from)?;
            }
        }
        if style.to_ascii_lowercase().contains("</style") {
            return Err(TemplateError::Style.into());
        }
        let hash = STANDARD.encode(sha256(style.as_bytes()));
        templates.add_global("style", style.clone());
        let policy = |rest: &str| {
            HeaderValue::try_from(format!(
                "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; {rest}"
            ))
        };
        let form = "form-action 'self' https: http://localhost:* http://127.0.0.1:*; frame-ancestors 'none'";
        Ok(Self {
            templates,
            style,
            support,
            still: policy("form-action 'none'; frame-ancestors 'none'")?,
            form: policy(form)?,
            framed: policy("form-action 'none'")?,
        })
    }

    /// Whether the policy allows every style that a page has in it.
    pub(super) fn allows_the_style_of(&self, html: &str) -> bool {
        let ours = format!("<style>{}</style>", self.style);
        html.to_ascii_lowercase().matches("<style").count() == html.matches(&ours).count()
    }

    /// A page as HTML.
    pub(super) fn html(&self, draft: &Draft, reader: Reader<'_>) -> Result<String, minijinja::Error> {
        let Draft { template, head, content } = draft;
        let language = reader.language;
        let values = context! {
            language => language.tag(),
            words => words::of(language),
            title => head.title.written(language),
            sentence => head.sentence.written(language),
            status => head.status.as_u16(),
            reason => head.reason,
            request_id => reader.request_id.as_str(),
            support => self.support.as_deref(),
            ..content.clone()
        };
        self.templates.get_template(template)?.render(values)
    }

    /// A page as an answer.
    pub(super) fn reply(&self, draft: &Draft, reader: Reader<'_>) -> Reply {
        let head = draft.head;
        let reply = match self.html(draft, reader) {
            Ok(html) => Reply::with_body(head.status, "text/html; charset=utf-8", html, head.reason),
            Err(error) => {
                tracing::error!(template = draft.template, %error, "failed to write a page");
                let sentence = head.sentence.written(reader.language);
                Reply::with_body(head.status, "text/plain; charset=utf-8", sentence, head.reason)
            }
        };
        let (policy, frame, referrer) = match head.kind {
            Kind::Still => (&self.still, Some("DENY"), "no-referrer"),
            // Under `no-referrer` browsers post a form with `Origin: null`, and a sign-out needs ours
            // (https://fetch.spec.whatwg.org/#append-a-request-origin-header).
            Kind::Form => (&self.form, Some("DENY"), "same-origin"),
            Kind::Framed => (&self.framed, None, "no-referrer"),
        };
        let mut reply = reply
            .header(CONTENT_SECURITY_POLICY, policy.clone())
            .header(CONTENT_LANGUAGE, HeaderValue::from_static(reader.language.tag()))
            .header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
            .header(REFERRER_POLICY, HeaderValue::from_static(referrer));
        if let Some(frame) = frame {
            reply.headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static(frame));
        }
        if let Some(seconds) = head.retry_after {
            reply.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        reply
    }
}
