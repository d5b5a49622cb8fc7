//! Pages: one layout, light and dark, no script but the one that submits `form_post`.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::seal::sha256;

/// A whole page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    title: &'static str,
    /// Markup whose variable parts went through [`escape`].
    body: String,
    script: Script,
}

/// Whether a page runs something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    None,
    /// Submits the page's only form.
    Submit,
}

const SUBMIT: &str = "document.forms[0].submit()";

const STYLE: &str = "\
:root{color-scheme:light dark;--page:#eef1f6;--card:#fff;--text:#1b2330;--soft:#5a6578;--line:#c3cad6;--edge:#76819a;\
--accent:#2257c4;--on-accent:#fff;--bad:#a3182b;--bad-page:#fdecee}\
@media(prefers-color-scheme:dark){:root{--page:#12161d;--card:#1c222c;--text:#e8ecf3;--soft:#a3adbd;\
--line:#465063;--edge:#7f8aa0;--accent:#8fb4ff;--on-accent:#10192b;--bad:#ffb3bc;--bad-page:#3a1a20}}\
*{box-sizing:border-box}\
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;background:var(--page);\
color:var(--text);font:1rem/1.5 system-ui,sans-serif}\
main{width:100%;max-width:24rem;padding:2rem;background:var(--card);border:1px solid var(--line);\
border-radius:.75rem}\
.brand{margin:0 0 1.25rem;color:var(--soft);font-size:.875rem;letter-spacing:.02em}\
h1{margin:0 0 .25rem;font-size:1.5rem;line-height:1.25}\
p{margin:.5rem 0}\
.soft{color:var(--soft)}\
.error{padding:.625rem .75rem;border-radius:.5rem;background:var(--bad-page);color:var(--bad)}\
label{display:block;margin:1rem 0 .25rem;font-weight:600}\
input{width:100%;padding:.625rem .75rem;border:1px solid var(--edge);border-radius:.5rem;\
background:var(--page);color:inherit;font:inherit}\
button{width:100%;margin-top:1.5rem;padding:.6875rem;border:0;border-radius:.5rem;background:var(--accent);\
color:var(--on-accent);font:inherit;font-weight:600;cursor:pointer}\
input:focus-visible,button:focus-visible{outline:3px solid var(--accent);outline-offset:2px}\
code{overflow-wrap:anywhere}";

/// `sha256-…` of the two inline parts, for the policy.
static HASHES: LazyLock<[String; 2]> = LazyLock::new(|| {
    [STYLE, SUBMIT].map(|part| format!("'sha256-{}'", STANDARD.encode(sha256(part.as_bytes()))))
});

impl Page {
    /// The sign-on form.
    pub(super) fn sign_on(form: &SignOnForm<'_>) -> Self {
        let error = match form.problem {
            Some(problem) => format!("<p class=\"error\" role=\"alert\">{}</p>", escape(problem)),
            None => String::new(),
        };
        // What is missing is where typing starts.
        let (name_focus, password_focus) =
            if form.username.is_empty() { (" autofocus", "") } else { ("", " autofocus") };
        let body = format!(
            "<h1>Sign on</h1><p class=\"soft\">to continue to {application}</p>{error}\
             <form method=\"post\" action=\"{action}\">\
             <input type=\"hidden\" name=\"flowId\" value=\"{flow}\">\
             <label for=\"username\">Username</label>\
             <input id=\"username\" name=\"username\" autocomplete=\"username\" autocapitalize=\"none\" \
             spellcheck=\"false\" required value=\"{username}\"{name_focus}>\
             <label for=\"password\">Password</label>\
             <input id=\"password\" name=\"password\" type=\"password\" \
             autocomplete=\"current-password\" required{password_focus}>\
             <button type=\"submit\">Sign on</button></form>",
            application = escape(form.application),
            action = escape(form.action),
            flow = escape(form.flow_id),
            username = escape(form.username),
        );
        Self { title: "Sign on", body, script: Script::None }
    }

    /// A page that says one thing.
    pub(super) fn notice(title: &'static str, text: &str) -> Self {
        let body = format!("<h1>{}</h1><p>{}</p>", escape(title), escape(text));
        Self { title, body, script: Script::None }
    }

    /// A page about a request that can't be sent back to its application.
    pub(super) fn refusal(title: &'static str, text: &str, code: &str) -> Self {
        let body = format!(
            "<h1>{}</h1><p class=\"error\" role=\"alert\">{}</p><p class=\"soft\"><code>{}</code></p>",
            escape(title),
            escape(text),
            escape(code)
        );
        Self { title, body, script: Script::None }
    }

    /// A page that posts itself to `action`
    /// ([OAuth 2.0 Form Post Response Mode](https://openid.net/specs/oauth-v2-form-post-response-mode-1_0.html)).
    /// Without script, the button does it.
    pub(super) fn form_post(action: &str, parameters: &[(&str, &str)]) -> Self {
        let field = |(name, value): &(&str, &str)| {
            ["<input type=\"hidden\" name=\"", &escape(name), "\" value=\"", &escape(value), "\">"].concat()
        };
        let fields: String = parameters.iter().map(field).collect();
        let body = format!(
            "<h1>One moment</h1><p class=\"soft\">You are being taken back to the application.</p>\
             <form method=\"post\" action=\"{}\">{fields}<button type=\"submit\">Continue</button></form>",
            escape(action)
        );
        Self { title: "One moment", body, script: Script::Submit }
    }

    /// The markup.
    pub(super) fn html(&self) -> String {
        let script = match self.script {
            Script::None => String::new(),
            Script::Submit => format!("<script>{SUBMIT}</script>"),
        };
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <title>{title} · Local PingOne (emulator)</title><style>{STYLE}</style></head>\
             <body><main><p class=\"brand\">Local PingOne (emulator)</p>{body}</main>{script}</body></html>",
            title = escape(self.title),
            body = self.body,
        )
    }

    /// `Content-Security-Policy`.
    ///
    /// There is no `form-action`: browsers apply it to the redirects that follow a form, too, and
    /// those lead to the application's origin.
    pub(super) fn content_security_policy(&self) -> String {
        let [style, submit] = &*HASHES;
        let script = match self.script {
            Script::None => String::new(),
            Script::Submit => format!("; script-src {submit}"),
        };
        format!("default-src 'none'; style-src {style}{script}; base-uri 'none'; frame-ancestors 'none'")
    }
}

/// What the sign-on form shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct SignOnForm<'a> {
    /// Name of the application.
    pub(super) application: &'a str,
    /// Where the form goes.
    pub(super) action: &'a str,
    /// The flow it belongs to.
    pub(super) flow_id: &'a str,
    /// What was typed before, or `login_hint`.
    pub(super) username: &'a str,
    /// Why it is shown again.
    pub(super) problem: Option<&'a str>,
}

/// Text as markup, fit for element content and quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn form<'a>(username: &'a str, problem: Option<&'a str>) -> SignOnForm<'a> {
        SignOnForm { application: "Wiki", action: "/signon/", flow_id: "f", username, problem }
    }

    proptest! {
        #[test]
        fn nothing_typed_becomes_markup(typed in "[a-z<>\"'&/ ]{0,40}") {
            let page = Page::sign_on(&form(&typed, None)).html();
            let (_, value) = page.split_once("required value=\"").unwrap();
            // The first quote ends the attribute, whatever was typed.
            let (value, _) = value.split_once('"').unwrap();
            let decoded = value
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&amp;", "&");
            prop_assert!(!value.contains(['<', '>']));
            prop_assert_eq!(decoded, typed);
        }
    }

    #[test]
    fn focus_is_where_typing_starts() {
        assert!(Page::sign_on(&form("", None)).html().contains("value=\"\" autofocus"));
        assert!(Page::sign_on(&form("ada", None)).html().contains("current-password\" required autofocus"));
    }

    #[test]
    fn only_the_posting_page_has_a_script_and_its_policy_names_it() {
        let quiet = Page::notice("Signed off", "Bye");
        assert!(!quiet.html().contains("<script"));
        assert!(!quiet.content_security_policy().contains("script-src"));

        let posting = Page::form_post("https://app.example.com/cb", &[("code", "a\"><script>")]);
        assert_eq!(posting.html().matches("<script").count(), 1);
        assert!(posting.html().contains("<button type=\"submit\">Continue</button>"));
        let hash = STANDARD.encode(sha256(SUBMIT.as_bytes()));
        assert!(posting.content_security_policy().contains(&hash));
    }
}
