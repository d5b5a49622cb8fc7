//! `docs/threats.md` is whole and true: each row names a file that stops the attack and a test that shows it,
//! both are there, and every advisory of `tests/data/threats/advisories` stands in a row, and no other.

use std::collections::BTreeSet;

use crate::page::{cells, code};

/// Under this heading stands what can't be attacked here: its rows need no test.
const NOT_HERE: &str = "What isn't here can't be attacked, and isn't shown either";

/// One row of the page's tables.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row<'a> {
    heading: &'a str,
    cells: Vec<&'a str>,
}

impl<'a> Row<'a> {
    fn is_attack(&self) -> bool {
        self.heading != NOT_HERE
    }

    fn cell(&self, index: usize) -> &'a str {
        self.cells.get(index).copied().unwrap_or_default()
    }

    /// The advisories in the row.
    fn advisories(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        advisories(self.cell(1))
    }
}

/// Every row but those that head a table.
fn rows(page: &str) -> Vec<Row<'_>> {
    let (mut rows, mut heading) = (Vec::new(), "");
    for line in page.lines() {
        if let Some(text) = line.strip_prefix("## ") {
            heading = text;
        }
        let is_row = |cells: &Vec<&str>| cells.first().is_some_and(|cell| !["attack", "what"].contains(cell));
        rows.extend(cells(line).filter(is_row).map(|cells| Row { heading, cells }));
    }
    rows
}

/// Words that are an advisory's number, or that of the report of one.
fn advisories(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split([' ', ',', ';', '(', ')']);
    words.filter(|word| {
        let named = ["CVE-", "GHSA-", "RUSTSEC-", "SECADV"].iter().any(|start| word.starts_with(start));
        named || word.strip_prefix('#').is_some_and(is_number)
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a list names: `PRODUCT: NUMBER NUMBER …`, lines that begin with `//` aside.
fn listed(list: &str) -> BTreeSet<(&str, &str)> {
    let lines = list.lines().filter(|line| !line.starts_with("//"));
    let split = lines.filter_map(|line| line.split_once(": "));
    split.flat_map(|(product, numbers)| numbers.split(' ').map(move |number| (product, number))).collect()
}

/// Code in a cell, each a file and maybe the test in it.
fn references(cell: &str) -> Vec<(&str, Option<&str>)> {
    code(cell)
        .map(|code| code.split_once("::").map_or((code, None), |(file, test)| (file, Some(test))))
        .collect()
}

/// Whether a source has a test of this name that is run: a function of Rust right behind an attribute that
/// makes it one, or one of Python.
fn has_test(source: &str, name: &str) -> bool {
    if source.contains(&format!("\ndef {name}(")) {
        return name.starts_with("test_");
    }
    source.match_indices(&format!("fn {name}(")).any(|(at, _)| {
        let before = source.get(..at).unwrap_or_default();
        let attributes = before.rsplit("\n\n").next().unwrap_or_default();
        let is_one = ["#[test]", "#[rstest]", "#[tokio::test"].iter().any(|one| attributes.contains(one));
        is_one && !attributes.contains("#[ignore") && !attributes.contains("fn ")
    })
}

/// What is wrong with a page: `read` gives a file of the project, or nothing.
fn faults(page: &str, list: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let (rows, mut faults) = (rows(page), Vec::new());
    for row in &rows {
        let attack = row.cell(0);
        let (stops, shows) = (references(row.cell(2)), references(row.cell(3)));
        if !row.is_attack() {
            if row.cells.len() != 3 || row.cell(2).is_empty() {
                faults.push(format!("{attack}: three cells, the last of which says why"));
            }
            continue;
        }
        if row.cells.len() != 4 || stops.is_empty() {
            faults.push(format!("{attack}: nothing stops it"));
        }
        if shows.is_empty() {
            faults.push(format!("{attack}: nothing shows it"));
        }
        for (file, test) in stops {
            if read(file).is_none() || !file.starts_with("src/") || test.is_some() {
                faults.push(format!("{attack}: {file} stops nothing"));
            }
        }
        for (file, test) in shows {
            let test = test.unwrap_or_default();
            if !read(file).is_some_and(|source| has_test(&source, test)) || !is_run(file, &read) {
                faults.push(format!("{attack}: {file} has no test {test}"));
            }
        }
    }
    let listed = listed(list);
    for (product, number) in &listed {
        let stands =
            |row: &Row<'_>| row.advisories().any(|found| found == *number) && row.cell(1).contains(product);
        if !rows.iter().any(stands) {
            faults.push(format!("{product} {number} stands in no row"));
        }
    }
    for number in rows.iter().flat_map(Row::advisories) {
        if !listed.iter().any(|(_, known)| *known == number) {
            faults.push(format!("{number} is in no list"));
        }
    }
    faults
}

/// Whether a file of black-box cases is one that the suite knows of.
fn is_run(file: &str, read: impl Fn(&str) -> Option<String>) -> bool {
    let Some(name) = file.strip_prefix("tests/blackbox/") else { return true };
    let module = name.split(['/', '.']).next().unwrap_or_default();
    read("tests/blackbox/main.rs").is_some_and(|main| main.contains(&format!("\nmod {module};\n")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::page::{found, read};

    #[test]
    fn what_stops_each_threat_and_what_shows_it_is_there() {
        let page = read("docs/threats.md");
        let list = read("tests/data/threats/advisories");
        assert_eq!(faults(&page, &list, found), Vec::<String>::new());
        let (attacks, others): (Vec<_>, Vec<_>) = rows(&page).into_iter().partition(Row::is_attack);
        assert!(attacks.len() >= 70 && others.len() >= 8, "{} and {} rows", attacks.len(), others.len());
        let known = listed(&list).len();
        assert!(known >= 150, "{known} advisories");
    }

    /// A project of three files.
    fn small(path: &str) -> Option<String> {
        let text = match path {
            "src/lock.rs" => "fn lock() {}\n",
            "tests/blackbox/main.rs" => "#[cfg(test)]\nmod doors;\n",
            "tests/blackbox/doors.rs" | "tests/blackbox/forgotten.rs" => {
                "fn open() {}\n\n#[rstest]\n#[case(1)]\nfn a_door_is_shut(#[case] n: u8) {}\n\n#[test]\n#[ignore]\nfn one_day() {}\n"
            }
            "tests/hostile/test_it.py" => {
                "import x\n\ndef test_it(x):\n    pass\n\ndef helper(x):\n    pass\n"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    const FINE: &str = "| A door | Lock CVE-2026-1; Bolt #7 | `src/lock.rs` | `tests/blackbox/doors.rs::a_door_is_shut`, `tests/hostile/test_it.py::test_it` |";

    fn told(row: &str, list: &str) -> Vec<String> {
        let page = format!(
            "# Page\n\n## Doors\n\n| attack | where | stops | shows |\n| --- | --- | --- | --- |\n{row}\n\n## {NOT_HERE}\n\n| what | advisories | why |\n| --- | --- | --- |\n| Windows | Pane CVE-2026-2 | there are none |\n"
        );
        faults(&page, list, small)
    }

    const LIST: &str = "// a word\nLock: CVE-2026-1\nBolt: #7\nPane: CVE-2026-2\n";

    #[test]
    fn a_row_with_a_file_and_tests_is_fine() {
        assert_eq!(told(FINE, LIST), Vec::<String>::new());
    }

    #[rstest]
    #[case::no_such_file("src/lock.rs", "src/gone.rs", "src/gone.rs stops nothing")]
    #[case::a_test_where_code_belongs("src/lock.rs", "tests/blackbox/doors.rs", "doors.rs stops nothing")]
    #[case::no_file("`src/lock.rs`", "", "nothing stops it")]
    #[case::no_such_test_file("doors.rs", "gone.rs", "gone.rs has no test a_door_is_shut")]
    #[case::no_such_test("a_door_is_shut", "a_door_is_open", "has no test a_door_is_open")]
    #[case::the_start_of_a_name("a_door_is_shut", "a_door_is", "has no test a_door_is")]
    #[case::no_test_named("::a_door_is_shut", "", "has no test ")]
    #[case::a_function_that_is_no_test("a_door_is_shut", "open", "has no test open")]
    #[case::a_test_that_is_not_run("a_door_is_shut", "one_day", "has no test one_day")]
    #[case::a_file_that_is_not_run("doors.rs", "forgotten.rs", "forgotten.rs has no test a_door_is_shut")]
    #[case::a_helper_of_python("test_it.py::test_it", "test_it.py::helper", "has no test helper")]
    #[case::an_advisory_without_a_test(
        "`tests/blackbox/doors.rs::a_door_is_shut`, `tests/hostile/test_it.py::test_it`",
        "nobody",
        "nothing shows it"
    )]
    #[case::an_advisory_that_is_missing("Lock CVE-2026-1; ", "", "Lock CVE-2026-1 stands in no row")]
    #[case::an_advisory_of_another("Lock CVE", "Latch CVE", "Lock CVE-2026-1 stands in no row")]
    #[case::an_advisory_that_nobody_knows("#7", "#7, GHSA-a-b-c", "GHSA-a-b-c is in no list")]
    fn what_is_wrong_with_a_row_is_told(#[case] from: &str, #[case] to: &str, #[case] expected: &str) {
        assert!(FINE.contains(from), "{from}");
        let faults = told(&FINE.replacen(from, to, 1), LIST);
        assert!(faults.iter().any(|fault| fault.contains(expected)), "{faults:?}");
    }

    #[test]
    fn numbers_are_read_wherever_they_stand() {
        let text = "A CVE-2026-1, CVE-2026-2; B #12 (GHSA-a) and RUSTSEC-2026-0001, not #x or CVE";
        let found: Vec<_> = advisories(text).collect();
        assert_eq!(found, ["CVE-2026-1", "CVE-2026-2", "#12", "GHSA-a", "RUSTSEC-2026-0001"]);
    }
}
