//! Where a browser may be sent after signing in: a path of this origin in every reader's eyes.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use url::Url;
use vestibule::login::return_to::ReturnTo;
use vestibule::route::origin::Origin;
use vestibule_fuzz::path;

const OWN: &str = "/.vestibule";

static HOME: LazyLock<Origin> = LazyLock::new(|| Origin::parse("https://app.test").expect("an origin"));

fuzz_target!(|text: &str| {
    let Ok(target) = ReturnTo::parse(text, &HOME, &[OWN]) else { return };
    let kept = target.as_str();
    assert!(kept.len() <= 4096 && kept.bytes().all(|byte| byte.is_ascii_graphic()), "{kept:?}");
    assert_eq!(target.location(), kept);
    assert_eq!(
        ReturnTo::parse(kept, &HOME, &[OWN]).as_ref(),
        Ok(&target),
        "reading it again changes nothing"
    );
    assert!(stays(kept), "{kept}");
    // Wherever the answer that sends it was asked for, it leads home, without a detour.
    for base in
        ["https://app.test/", "https://app.test/.vestibule/callback?code=x", "https://app.test//evil.test/"]
    {
        let base = Url::parse(base).expect("a base");
        let read = base.join(kept).expect("a URL");
        assert_eq!(read.origin(), base.origin(), "{kept}");
        assert!(read.username().is_empty() && read.password().is_none() && !read.cannot_be_a_base());
        let raw = kept.split(['?', '#']).next().unwrap_or_default();
        assert_eq!(read.path(), raw, "a browser goes elsewhere");
    }
    let asked = kept.split(['?', '#']).next().unwrap_or_default();
    assert!(!path::is_refused(asked), "{asked} is refused on every route");
    for reading in path::readings(asked) {
        assert!(!path::lies_under(&reading, OWN), "back to our own endpoint: {reading}");
    }
});

/// A small model of what browsers do before they look at a `Location`: blanks around it and tabs and
/// line breaks inside it go, `\` is `/`, and two slashes in front begin a host.
fn stays(location: &str) -> bool {
    let read: String = location
        .trim_matches(|c: char| c <= ' ')
        .chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
        .map(|c| if c == '\\' { '/' } else { c })
        .collect();
    read.starts_with('/') && !read.starts_with("//")
}
