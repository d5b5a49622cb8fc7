//! Every page there is: what stands above its content, its template, and what the template is given.

use http::StatusCode;
use minijinja::{Value, context};

use super::language::Text;
use super::render::{Head, Kind};
use super::sign_in::error_code;
use super::{Asked, Problem, SignIn, SignInFailure, Stale};
use crate::identity::ProviderName;

/// A page to show. What comes from outside is bounded here and escaped by the template.
#[derive(Debug, Clone, Copy)]
pub enum Page<'a> {
    /// A problem. For 405 the caller adds `Allow`; for 431, cookies that clear ours.
    Problem(Problem),
    /// 401 for a browser that can't be redirected. The link opens the top window.
    SignInRequired(Asked, SignIn<'a>),
    /// 400 for a callback that comes too late, too often or to the wrong browser: one button that
    /// begins again for the same page. Nothing restarts by itself.
    SignInAgain(Stale, SignIn<'a>),
    /// A login that failed for good, with the provider's `error`
    /// ([RFC 6749 §4.1.2.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1.2.1)), shown if it
    /// looks like a code; its description never is.
    SignInFailed(SignInFailure, Option<&'a str>, SignIn<'a>),
    /// 400 when the loop guard has stopped a browser; names what usually is behind it.
    LoginLoop(SignIn<'a>),
    /// The choice between several providers, for this page.
    Chooser(&'a [ProviderName], &'a str),
    /// One button that signs out by POST; shown to a GET that may come from another site.
    SignOut(Option<&'a str>),
    /// The end of a sign-out, with a path of this origin to go on to; anything else is left out.
    SignedOut(Option<&'a str>),
}

/// A page before it is written.
pub(super) struct Draft {
    pub(super) template: &'static str,
    pub(super) head: Head,
    pub(super) content: Value,
}

impl Page<'_> {
    /// Under `endpoints.prefix`.
    pub(super) fn draft(&self, prefix: &str) -> Draft {
        match *self {
            Self::Problem(problem) => {
                let sign_out = problem.is_about_the_account().then(|| format!("{prefix}/sign-out"));
                let head = Head {
                    retry_after: problem.retry_after(),
                    ..still(problem.status(), problem.reason(), problem.title(), problem.sentence())
                };
                Draft { template: "error.html", head, content: context! { sign_out } }
            }
            Self::SignInRequired(asked, sign_in) => {
                let problem = Problem::SignInRequired;
                let kind = match asked {
                    Asked::InFrame => Kind::Framed,
                    Asked::WithBody => Kind::Still,
                };
                let head = still(problem.status(), problem.reason(), problem.title(), asked.sentence());
                offer("sign_in_required.html", Head { kind, ..head }, sign_in, prefix)
            }
            Self::SignInAgain(stale, sign_in) => {
                let head = still(StatusCode::BAD_REQUEST, stale.reason(), stale.title(), stale.sentence());
                offer("sign_in_again.html", head, sign_in, prefix)
            }
            Self::SignInFailed(failure, code, sign_in) => {
                let head = still(failure.status(), failure.reason(), failure.title(), failure.sentence());
                let code = code.and_then(error_code);
                let content = context! { sign_in => sign_in.address(prefix), code };
                Draft { template: "sign_in_failed.html", head, content }
            }
            Self::LoginLoop(sign_in) => {
                let head = still(StatusCode::BAD_REQUEST, "login_loop", LOOP, LOOP_SENTENCE);
                offer("login_loop.html", head, sign_in, prefix)
            }
            Self::Chooser(providers, return_to) => {
                let head = still(StatusCode::OK, "chooser", Problem::SignInRequired.title(), CHOOSE);
                let choice = |provider: &ProviderName| {
                    let sign_in = SignIn::of(Some(provider), Some(return_to));
                    context! { name => provider.as_str(), sign_in => sign_in.address(prefix) }
                };
                let choices: Vec<Value> = providers.iter().map(choice).collect();
                Draft { template: "chooser.html", head, content: context! { choices } }
            }
            Self::SignOut(return_to) => {
                let head = still(StatusCode::OK, "sign_out_page", SIGN_OUT, SIGN_OUT_SENTENCE);
                let content = context! { action => format!("{prefix}/sign-out"), return_to };
                Draft { template: "sign_out.html", head: Head { kind: Kind::Form, ..head }, content }
            }
            Self::SignedOut(continue_to) => {
                let head = still(StatusCode::OK, "signed_out", SIGNED_OUT, SIGNED_OUT_SENTENCE);
                let continue_to = continue_to.filter(|path| is_local(path));
                Draft { template: "signed_out.html", head, content: context! { continue_to } }
            }
        }
    }
}

const LOOP: Text = Text::new("Signing in goes round in circles", "Die Anmeldung dreht sich im Kreis");
const LOOP_SENTENCE: Text = Text::new(
    "You were signed in several times in a row, and each time the service didn't see it. So we stopped.",
    "Sie wurden mehrmals hintereinander angemeldet, doch der Dienst hat es jedes Mal nicht bemerkt. Darum geht es hier nicht weiter.",
);
const CHOOSE: Text =
    Text::new("Choose how you want to sign in.", "Wählen Sie, wie Sie sich anmelden möchten.");
const SIGN_OUT: Text = Text::new("Sign out?", "Abmelden?");
const SIGN_OUT_SENTENCE: Text = Text::new(
    "You will have to sign in again to go on working.",
    "Um weiterzuarbeiten, müssen Sie sich danach wieder anmelden.",
);
const SIGNED_OUT: Text = Text::new("You are signed out", "Sie sind abgemeldet");
const SIGNED_OUT_SENTENCE: Text = Text::new(
    "To be safe on a shared device, close the browser as well.",
    "Schließen Sie auf einem gemeinsam benutzten Gerät zur Sicherheit auch den Browser.",
);

fn offer(template: &'static str, head: Head, sign_in: SignIn<'_>, prefix: &str) -> Draft {
    Draft { template, head, content: context! { sign_in => sign_in.address(prefix) } }
}

const fn still(status: StatusCode, reason: &'static str, title: Text, sentence: Text) -> Head {
    Head { kind: Kind::Still, status, reason, title, sentence, retry_after: None }
}

/// Whether a browser stays on this origin. The gateway has parsed the target long before; this only
/// keeps a mistake there from becoming a link to elsewhere.
fn is_local(path: &str) -> bool {
    path.starts_with('/')
        && !path.starts_with("//")
        && !path.bytes().any(|b| b == b'\\' || b.is_ascii_control())
}
