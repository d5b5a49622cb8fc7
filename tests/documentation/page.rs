//! Pages of the manual, as far as tests read them: sections, tables, words in code.

use std::fs;
use std::path::Path;

/// A file of the project, if there is one.
pub(crate) fn found(path: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).ok()
}

/// A file that must be there.
#[track_caller]
pub(crate) fn read(path: &str) -> String {
    found(path).unwrap_or_else(|| panic!("{path} isn't there"))
}

/// What stands under a heading, up to the next one.
pub(crate) fn section<'a>(page: &'a str, heading: &str) -> Option<&'a str> {
    let (_, rest) = page.split_once(&format!("\n{heading}\n"))?;
    rest.split("\n#").next()
}

/// The cells of a line that is a row of a table; the line below its head is none.
pub(crate) fn cells(line: &str) -> Option<Vec<&str>> {
    let cells: Vec<_> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    let is_rule = cells.iter().all(|cell| cell.chars().all(|c| matches!(c, '-' | ':')));
    (!is_rule).then_some(cells)
}

/// Words in code in a text.
pub(crate) fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn a_page_is_read_as_it_is_written() {
    let page = "# P\n\n## One\n\n| a | b |\n| --- | ---: |\n| `x`, `y` | |\n\n### Two\n\n| no |\n";
    let one = section(page, "## One").unwrap_or_default();
    let rows: Vec<_> = one.lines().filter_map(cells).collect();
    assert_eq!(rows, [["a", "b"], ["`x`, `y`", ""]]);
    assert_eq!(code("`x`, `y` z").collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(section(page, "## Two"), None);
}
