//! From a template to an answer: escaping, and the headers every page has.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONTENT_SECURITY_POLICY, REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use minijinja::{AutoEscape, Environment, HtmlEscape, UndefinedBehavior, Value, escape_formatter};

use super::Error;
use crate::reply::Reply;
use crate::seal::sha256;

const STYLE: &str = include_str!("templates/style.css");
/// Far more than our largest page takes; what a template may burn before it is stopped.
const FUEL: u64 = 100_000;

const TEMPLATES: [(&str, &str); 9] = [
    ("base.html", include_str!("templates/base.html")),
    ("chooser.html", include_str!("templates/chooser.html")),
    ("error.html", include_str!("templates/error.html")),
    ("login_loop.html", include_str!("templates/login_loop.html")),
    ("sign_in_again.html", include_str!("templates/sign_in_again.html")),
    ("sign_in_failed.html", include_str!("templates/sign_in_failed.html")),
    ("sign_in_required.html", include_str!("templates/sign_in_required.html")),
    ("sign_out.html", include_str!("templates/sign_out.html")),
    ("signed_out.html", include_str!("templates/signed_out.html")),
];

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
    pub(super) title: &'static str,
    pub(super) sentence: &'static str,
    pub(super) retry_after: Option<u16>,
}

/// The templates and the policies, ready.
#[derive(Debug)]
pub(super) struct Renderer {
    templates: Environment<'static>,
    still: HeaderValue,
    form: HeaderValue,
    framed: HeaderValue,
}

impl Renderer {
    pub(super) fn new() -> Result<Self, Error> {
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
        templates.add_global("style", STYLE);
        for (name, source) in TEMPLATES {
            templates.add_template(name, source)?;
        }
        let hash = STANDARD.encode(sha256(STYLE.as_bytes()));
        let policy = |rest: &str| {
            HeaderValue::try_from(format!(
                "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; {rest}"
            ))
        };
        let form = "form-action 'self' https: http://localhost:* http://127.0.0.1:*; frame-ancestors 'none'";
        Ok(Self {
            templates,
            still: policy("form-action 'none'; frame-ancestors 'none'")?,
            form: policy(form)?,
            framed: policy("form-action 'none'")?,
        })
    }

    /// Renders `template` with `content` and what stands above it.
    pub(super) fn page(&self, template: &str, head: Head, content: Value) -> Reply {
        let values = minijinja::context! { title => head.title, sentence => head.sentence, ..content };
        let rendered = self.templates.get_template(template).and_then(|page| page.render(values));
        let reply = match rendered {
            Ok(html) => Reply::with_body(head.status, "text/html; charset=utf-8", html, head.reason),
            Err(error) => {
                tracing::error!(template, %error, "failed to render a page");
                Reply::with_body(head.status, "text/plain; charset=utf-8", head.sentence, head.reason)
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
