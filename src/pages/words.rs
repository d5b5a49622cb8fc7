//! Words that stand in the templates themselves, and aren't about one page.

use std::collections::BTreeMap;

use super::language::{Language, Text};

/// By the name they have in templates: `words.sign_in`.
const WORDS: [(&str, Text); 12] = [
    ("called_it", Text::new("The sign-in service called it", "Der Anmeldedienst meldete")),
    (
        "cause_address",
        Text::new(
            "The service was opened at another address than the one it is set up for.",
            "Der Dienst wurde unter einer anderen Adresse geöffnet als der, für die er eingerichtet ist.",
        ),
    ),
    (
        "cause_clock",
        Text::new(
            "The clock of this device, or of the service, is wrong.",
            "Die Uhr dieses Geräts oder die des Dienstes geht falsch.",
        ),
    ),
    (
        "cause_cookies",
        Text::new(
            "The browser blocks cookies for this address, or deletes them at once.",
            "Der Browser lehnt Cookies für diese Adresse ab oder löscht sie sofort.",
        ),
    ),
    ("causes", Text::new("It usually is one of these:", "Meist ist eines davon die Ursache:")),
    ("continue", Text::new("Continue", "Weiter")),
    ("continue_with", Text::new("Continue with", "Weiter mit")),
    ("get_help", Text::new("Get help", "Hilfe")),
    ("reference", Text::new("Reference", "Vorgangsnummer")),
    ("sign_in", Text::new("Sign in", "Anmelden")),
    ("sign_in_again", Text::new("Sign in again", "Noch einmal anmelden")),
    ("sign_out", Text::new("Sign out", "Abmelden")),
];

/// All of them in one language.
pub(super) fn of(language: Language) -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from(WORDS.map(|(name, text)| (name, text.written(language))))
}
