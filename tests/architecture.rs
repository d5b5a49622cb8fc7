//! `ARCHITECTURE.md` is a true map of `src/`: what it names exists, and what exists it names.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// Paths in backticks that begin with `src/`, without a trailing slash.
fn named(page: &str) -> BTreeSet<String> {
    page.split('`')
        .skip(1)
        .step_by(2)
        .filter(|text| text.starts_with("src/") && *text != "src/" && !text.contains(char::is_whitespace))
        .map(|path| path.trim_end_matches('/').to_owned())
        .collect()
}

/// What stands directly under `src/`.
fn present(root: &Path) -> io::Result<BTreeSet<String>> {
    fs::read_dir(root.join("src"))?
        .map(|entry| Ok(format!("src/{}", entry?.file_name().to_string_lossy())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn page() -> String {
        fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
    }

    #[test]
    fn what_the_page_names_exists() {
        let missing: Vec<_> = named(&page()).into_iter().filter(|path| !root().join(path).exists()).collect();
        assert_eq!(missing, Vec::<String>::new());
    }

    #[test]
    fn what_exists_the_page_names() {
        let named = named(&page());
        let unnamed: Vec<_> = present(root()).unwrap().difference(&named).cloned().collect();
        assert_eq!(unnamed, Vec::<String>::new());
    }

    #[test]
    fn reads_paths_out_of_backticks_alone() {
        let page = "src/no is not, `src/a/` and `src/b.rs` are; `src/` is the whole, `cargo src/x` is none";
        assert_eq!(named(page), BTreeSet::from(["src/a".to_owned(), "src/b.rs".to_owned()]));
    }
}
