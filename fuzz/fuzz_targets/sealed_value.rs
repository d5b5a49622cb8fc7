//! Sealed values as browsers send them back: what was sealed opens, and nothing else does.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use vestibule::seal::{Binding, Keyring, MasterKey, Purpose};

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static KEYRING: LazyLock<Keyring> = LazyLock::new(|| {
    let key = |text| MasterKey::parse(text).expect("a key");
    let keys = [
        key("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
        key("ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8"),
    ];
    Keyring::new(&keys).expect("a keyring")
});

/// Keys that have never sealed anything: what the fuzzer has seen of the others' work opens nothing here.
static UNUSED: LazyLock<Keyring> = LazyLock::new(|| {
    let key = MasterKey::parse("QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8").expect("a key");
    Keyring::new(&[key]).expect("a keyring")
});

fn binding(purpose: Purpose) -> Binding<'static> {
    Binding { purpose, name: "__Host-vestibule", origin: "https://app.test" }
}

fuzz_target!(|bytes: &[u8]| {
    let home = binding(Purpose::Session);
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(UNUSED.open(home, text).is_err(), "forged: {text}");
    }
    let [at, to, kind, text @ ..] = bytes else { return };
    let sealed = KEYRING.seal(home, text);
    assert_eq!(KEYRING.open(home, &sealed).map(|opened| opened.to_vec()).ok().as_deref(), Some(text));
    for purpose in [Purpose::Login, Purpose::State, Purpose::LoopGuard, Purpose::SignOut] {
        assert!(KEYRING.open(binding(purpose), &sealed).is_err(), "opened as {purpose:?}");
    }
    let changed = change(sealed.as_bytes(), usize::from(*at), *to, *kind);
    if changed != sealed.as_bytes() {
        let changed = String::from_utf8(changed).expect("letters alone");
        assert!(KEYRING.open(home, &changed).is_err(), "{changed} opens as {sealed}");
    }
});

/// A letter changed, left out or put in, the value cut, doubled or made longer.
fn change(sealed: &[u8], at: usize, to: u8, kind: u8) -> Vec<u8> {
    let mut changed = sealed.to_vec();
    let at = at % sealed.len().max(1);
    let letter = LETTERS.get(usize::from(to) % 64).copied().unwrap_or(b'A');
    match kind % 6 {
        0 => changed.splice(at..=at, [letter]).for_each(drop),
        1 => changed.splice(at..=at, []).for_each(drop),
        2 => changed.insert(at, letter),
        3 => changed.truncate(at),
        4 => changed.extend_from_within(..at),
        _ => changed.push(if to % 2 == 0 { b'=' } else { letter }),
    }
    changed
}
