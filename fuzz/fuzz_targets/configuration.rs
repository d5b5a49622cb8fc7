//! Configurations as people write them: each is taken or told what is wrong with it, and where.

#![no_main]

use std::path::PathBuf;

use libfuzzer_sys::fuzz_target;
use vestibule::config::{Source, load_with};

fuzz_target!(|text: &str| {
    // Files that a text names are looked for where nothing is.
    let base_dir = PathBuf::from("/nonexistent");
    let source = Source::Text { name: "fuzz.yaml".into(), text: text.to_owned(), base_dir };
    let environment = |name: &str| (name == "SECRET").then(|| "a-secret-of-somebody".to_owned());
    let loaded = load_with(&source, &environment);
    assert_eq!(loaded.config.is_some(), loaded.faults.is_empty(), "{:?}", loaded.faults);
    // As many as any reader of YAML counts.
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    for fault in &loaded.faults {
        let told = fault.to_string();
        assert!(told.starts_with("fuzz.yaml"), "{told}");
        assert!(!told.contains("a-secret-of-somebody"), "{told}");
        let line = told.split(':').nth(1).and_then(|line| line.parse::<usize>().ok());
        assert!(line.is_none_or(|line| (1..=lines).contains(&line)), "{told} of {lines}");
    }
    for warning in &loaded.warnings {
        assert!(!warning.to_string().contains("a-secret-of-somebody"));
    }
    let Some(config) = loaded.config else { return };
    assert!(!format!("{config:?}").contains("a-secret-of-somebody"), "shown by Debug");
    // What is taken once is taken again, and means the same.
    let again = load_with(&source, &environment).config.expect("it was taken before");
    assert_eq!(again.routes.len(), config.routes.len());
});
