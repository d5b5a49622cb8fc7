//! What can go wrong for the person or program in front of us: one table of statuses, reason words
//! and fixed sentences. Nothing a client or a provider says ever becomes part of a sentence.

use http::StatusCode;

use super::language::Text;

/// What one problem is.
struct Row {
    status: StatusCode,
    reason: &'static str,
    title: Text,
    sentence: Text,
}

macro_rules! problems {
    ($($(#[$doc:meta])* $variant:ident: $status:ident $reason:literal
        en $title:literal $sentence:literal
        de $title_de:literal $sentence_de:literal;)+) => {
        /// A problem that is answered with a page or with JSON.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Problem { $($(#[$doc])* $variant,)+ }

        impl Problem {
            /// Every problem, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            const fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        status: StatusCode::$status,
                        reason: $reason,
                        title: Text::new($title, $title_de),
                        sentence: Text::new($sentence, $sentence_de),
                    },)+
                }
            }
        }
    };
}

problems! {
    /// Something about the request can be read in no way, or in two.
    BadRequest: BAD_REQUEST "bad_request"
        en "This request can't be read" "The request is malformed. Check the address and try again."
        de "Diese Anfrage ist nicht lesbar" "Die Anfrage ist fehlerhaft. Prüfen Sie die Adresse und versuchen Sie es noch einmal.";
    /// Framing that two parsers could read differently.
    Framing: BAD_REQUEST "framing"
        en "This request can't be read" "The request's length or framing is malformed."
        de "Diese Anfrage ist nicht lesbar" "Die Länge oder die Begrenzung der Anfrage ist fehlerhaft.";
    /// Host missing, doubled or malformed.
    MalformedHost: BAD_REQUEST "malformed_host"
        en "This request can't be read" "The request doesn't name the host it is meant for."
        de "Diese Anfrage ist nicht lesbar" "Die Anfrage nennt den Server nicht, für den sie bestimmt ist.";
    /// A path that is refused everywhere.
    MalformedPath: BAD_REQUEST "malformed_path"
        en "This address can't be read" "The address has characters that are not allowed. Check it and try again."
        de "Diese Adresse ist nicht lesbar" "Die Adresse enthält Zeichen, die nicht erlaubt sind. Prüfen Sie sie und versuchen Sie es noch einmal.";
    /// `%2f` on a route that doesn't allow it.
    EncodedSlash: BAD_REQUEST "encoded_slash"
        en "This address can't be read" "The address has an encoded slash, which is not allowed here."
        de "Diese Adresse ist nicht lesbar" "Die Adresse enthält einen kodierten Schrägstrich, der hier nicht erlaubt ist.";
    /// A path whose readings disagree.
    AmbiguousPath: BAD_REQUEST "ambiguous_path"
        en "This address can't be read" "The address could mean two different pages. Write it in its plain form and try again."
        de "Diese Adresse ist nicht lesbar" "Die Adresse könnte für zwei verschiedene Seiten stehen. Schreiben Sie sie in einfacher Form und versuchen Sie es noch einmal.";
    /// Nobody is signed in.
    SignInRequired: UNAUTHORIZED "sign_in_required"
        en "Sign in to continue" "You need to sign in to open this page."
        de "Melden Sie sich an, um fortzufahren" "Sie müssen sich anmelden, um diese Seite zu öffnen.";
    /// Somebody is signed in and may not.
    Denied: FORBIDDEN "denied"
        en "You don't have access" "You are signed in, but this account may not open this page. Ask the people who run the service for access, or sign out and use another account."
        de "Sie haben keinen Zugriff" "Sie sind angemeldet, aber mit diesem Konto darf diese Seite nicht geöffnet werden. Bitten Sie die Betreiber des Dienstes um Zugang, oder melden Sie sich ab und verwenden Sie ein anderes Konto.";
    /// A WebSocket, post or sign-out from a page of a foreign origin.
    ForeignOrigin: FORBIDDEN "foreign_origin"
        en "This request came from another site" "Another site asked for this on your behalf, so it was refused. Open the service itself and try again."
        de "Diese Anfrage kam von einer anderen Website" "Eine andere Website hat dies in Ihrem Namen verlangt, darum wurde es abgelehnt. Öffnen Sie den Dienst selbst und versuchen Sie es noch einmal.";
    /// More identity than fits into the headers for the upstream.
    IdentityTooLarge: FORBIDDEN "identity_too_large"
        en "This account can't be used here" "The account carries more information, such as groups, than this service can take. Ask the people who run it for help."
        de "Dieses Konto kann hier nicht benutzt werden" "Zu dem Konto gehören mehr Angaben, etwa Gruppen, als dieser Dienst aufnehmen kann. Bitten Sie die Betreiber um Hilfe.";
    /// No route.
    NotFound: NOT_FOUND "not_found"
        en "There is nothing here" "No page has this address. Check it and try again."
        de "Hier ist nichts" "Unter dieser Adresse gibt es keine Seite. Prüfen Sie sie und versuchen Sie es noch einmal.";
    /// No route takes the method.
    MethodNotAllowed: METHOD_NOT_ALLOWED "method_not_allowed"
        en "This can't be done here" "This address doesn't take requests of this kind."
        de "Das ist hier nicht möglich" "Diese Adresse nimmt keine Anfragen dieser Art an.";
    /// The client was too slow.
    RequestTimeout: REQUEST_TIMEOUT "request_timeout"
        en "The request took too long" "The request didn't arrive in time. Try again."
        de "Die Anfrage hat zu lange gedauert" "Die Anfrage ist nicht rechtzeitig angekommen. Versuchen Sie es noch einmal.";
    /// Body over the limit.
    BodyTooLarge: PAYLOAD_TOO_LARGE "body_too_large"
        en "This is too large" "What was sent is larger than this service takes."
        de "Das ist zu groß" "Die gesendeten Daten sind größer, als dieser Dienst erlaubt.";
    /// Request target over the limit.
    TargetTooLong: URI_TOO_LONG "target_too_long"
        en "This address is too long" "The address is longer than this service takes."
        de "Diese Adresse ist zu lang" "Die Adresse ist länger, als dieser Dienst erlaubt.";
    /// A Host that isn't one of `origins`.
    Misdirected: MISDIRECTED_REQUEST "misdirected"
        en "This address isn't served here" "The service is not set up for this address. Check it and try again."
        de "Diese Adresse gehört nicht zu diesem Dienst" "Der Dienst ist für diese Adresse nicht eingerichtet. Prüfen Sie sie und versuchen Sie es noch einmal.";
    /// Too many logins that cost a provider call.
    TooManyRequests: TOO_MANY_REQUESTS "too_many_requests"
        en "Too many requests" "There are more requests than can be answered right now. Try again shortly."
        de "Zu viele Anfragen" "Gerade kommen mehr Anfragen, als beantwortet werden können. Versuchen Sie es gleich noch einmal.";
    /// Head over the limits. Our cookies are cleared with it, or the browser would never recover.
    HeadTooLarge: REQUEST_HEADER_FIELDS_TOO_LARGE "head_too_large"
        en "This request is too large" "The browser sent more cookies or headers than this service takes. Reload the page; if that doesn't help, delete the cookies of this site."
        de "Diese Anfrage ist zu groß" "Der Browser hat mehr Cookies oder Kopfzeilen gesendet, als dieser Dienst annimmt. Laden Sie die Seite neu; wenn das nicht hilft, löschen Sie die Cookies dieser Website.";
    /// A fault of ours.
    Internal: INTERNAL_SERVER_ERROR "internal"
        en "Something went wrong" "The request failed because of a fault on our side. Try again later."
        de "Etwas ist schiefgegangen" "Die Anfrage ist an einem Fehler auf unserer Seite gescheitert. Versuchen Sie es später noch einmal.";
    /// A claim has a shape that its header can't carry.
    ClaimShape: INTERNAL_SERVER_ERROR "claim_shape"
        en "Something went wrong" "The account carries information in a form that this service can't pass on. Ask the people who run it for help."
        de "Etwas ist schiefgegangen" "Zu dem Konto gehören Angaben in einer Form, die dieser Dienst nicht weitergeben kann. Bitten Sie die Betreiber um Hilfe.";
    /// A WebSocket to an upstream that is spoken to in HTTP/2.
    NoWebSocket: NOT_IMPLEMENTED "no_websocket"
        en "There are no WebSockets here" "The service at this address doesn't take WebSockets."
        de "Hier gibt es keine WebSockets" "Der Dienst an dieser Adresse nimmt keine WebSockets an.";
    /// The upstream broke or is no HTTP server.
    BadGateway: BAD_GATEWAY "bad_gateway"
        en "The service gave no usable answer" "The service behind this page could not be reached or broke off. Try again shortly."
        de "Der Dienst hat keine brauchbare Antwort gegeben" "Der Dienst hinter dieser Seite war nicht erreichbar oder hat die Verbindung abgebrochen. Versuchen Sie es gleich noch einmal.";
    /// We can't know, or can't serve, right now.
    Unavailable: SERVICE_UNAVAILABLE "unavailable"
        en "Not available right now" "The service can't check who you are right now. Try again shortly; nothing is lost."
        de "Gerade nicht verfügbar" "Der Dienst kann gerade nicht prüfen, wer Sie sind. Versuchen Sie es gleich noch einmal; es geht nichts verloren.";
    /// The upstream didn't answer in time.
    GatewayTimeout: GATEWAY_TIMEOUT "gateway_timeout"
        en "The service took too long" "The service behind this page didn't answer in time. Try again shortly."
        de "Der Dienst hat zu lange gebraucht" "Der Dienst hinter dieser Seite hat nicht rechtzeitig geantwortet. Versuchen Sie es gleich noch einmal.";
}

impl Problem {
    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.row().status
    }

    /// The word for the access log, and the last part of the JSON `type`.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.row().reason
    }

    /// The heading.
    #[must_use]
    pub const fn title(self) -> Text {
        self.row().title
    }

    /// What it means and what to do.
    #[must_use]
    pub const fn sentence(self) -> Text {
        self.row().sentence
    }

    /// Seconds after which another attempt makes sense
    /// ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
    #[must_use]
    pub const fn retry_after(self) -> Option<u16> {
        match self {
            Self::Unavailable | Self::TooManyRequests => Some(5),
            _ => None,
        }
    }

    /// Whether signing out and in as somebody else could help.
    pub(super) const fn is_about_the_account(self) -> bool {
        matches!(self, Self::Denied | Self::IdentityTooLarge)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::language::Language;
    use super::*;
    use crate::telemetry::labels::Refusal;

    #[test]
    fn every_problem_has_a_reason_of_its_own() {
        let reasons: HashSet<_> = Problem::ALL.iter().map(|problem| problem.reason()).collect();
        assert_eq!(reasons.len(), Problem::ALL.len());
    }

    #[test]
    fn every_problem_is_an_error_and_says_so_in_whole_sentences() {
        for problem in Problem::ALL {
            assert!(problem.status().is_client_error() || problem.status().is_server_error());
            for &language in Language::ALL {
                let (title, sentence) =
                    (problem.title().written(language), problem.sentence().written(language));
                assert!(sentence.ends_with('.') && !title.ends_with('.'), "{title}: {sentence}");
            }
        }
    }

    #[test]
    fn what_is_refused_before_anyone_is_asked_is_counted_under_its_own_word() {
        for problem in [
            Problem::BadRequest,
            Problem::Framing,
            Problem::MalformedHost,
            Problem::MalformedPath,
            Problem::EncodedSlash,
            Problem::AmbiguousPath,
            Problem::Misdirected,
            Problem::NotFound,
            Problem::MethodNotAllowed,
            Problem::RequestTimeout,
            Problem::BodyTooLarge,
            Problem::TargetTooLong,
            Problem::HeadTooLarge,
            Problem::ForeignOrigin,
            Problem::TooManyRequests,
        ] {
            assert_eq!(Refusal::of_reason(problem.reason()).as_str(), problem.reason());
        }
    }
}
