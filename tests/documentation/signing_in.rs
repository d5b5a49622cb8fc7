//! Every page about signing in, and every reason of a login that failed, stands in the manual, and no other
//! does: `docs/signing-in.md` says what a page means, `docs/reference/error-pages.md` what to do about it.

use std::collections::BTreeSet;

use crate::page::{cells, code, section};

/// The cells of every row under a heading, below the head of the table.
fn rows<'a>(page: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    section(page, heading).unwrap_or_default().lines().filter_map(cells).skip(1).collect()
}

/// The words that a row's first cell explains: `id_token_…` is what its last cell lists.
fn explained<'a>(cells: &[&'a str]) -> Vec<String> {
    let (first, last): (&'a str, &'a str) =
        (cells.first().copied().unwrap_or_default(), cells.last().copied().unwrap_or_default());
    let whole = |word: &'a str| match word.strip_suffix('…') {
        Some(start) => code(last).map(|end| format!("{start}{end}")).collect(),
        None => vec![word.to_owned()],
    };
    code(first).flat_map(whole).collect()
}

/// Words in quotes right behind one of these texts, in the part of a source that isn't its tests.
fn said(source: &str, behind: &[&str]) -> BTreeSet<String> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let after = behind.iter().flat_map(|text| source.split(text).skip(1));
    let words = after.filter_map(|rest| rest.strip_prefix('"')?.split('"').next());
    let is_word = |word: &&str| word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
    words.filter(is_word).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use vestibule::pages::{self, Asked, Page, Pages, Problem, Reader, SignIn, SignInFailure, Stale};
    use vestibule::telemetry::RequestId;

    use super::*;
    use crate::page::read;

    /// What comes behind a page in the list of all; the compiler asks for each that is new.
    fn next(page: Page<'_>) -> Option<Page<'_>> {
        let sign_in = SignIn::of(None, None);
        Some(match page {
            Page::SignInRequired(Asked::InFrame, _) => Page::SignInRequired(Asked::WithBody, sign_in),
            Page::SignInRequired(Asked::WithBody, _) => Page::SignInAgain(Stale::Expired, sign_in),
            Page::SignInAgain(Stale::Expired, _) => Page::SignInAgain(Stale::CookieLost, sign_in),
            Page::SignInAgain(Stale::CookieLost, _) => Page::SignInAgain(Stale::UsedBefore, sign_in),
            Page::SignInAgain(Stale::UsedBefore, _) => {
                Page::SignInFailed(SignInFailure::Declined, None, sign_in)
            }
            Page::SignInFailed(SignInFailure::Declined, ..) => {
                Page::SignInFailed(SignInFailure::ProviderError, None, sign_in)
            }
            Page::SignInFailed(SignInFailure::ProviderError, ..) => {
                Page::SignInFailed(SignInFailure::Rejected, None, sign_in)
            }
            Page::SignInFailed(SignInFailure::Rejected, ..) => {
                Page::SignInFailed(SignInFailure::SessionTooLarge, None, sign_in)
            }
            Page::SignInFailed(SignInFailure::SessionTooLarge, ..) => Page::LoginLoop(sign_in),
            Page::LoginLoop(_) => Page::Chooser(&[], "/"),
            Page::Chooser(..) => Page::SignOut(None),
            Page::SignOut(_) => Page::SignedOut(None),
            Page::SignedOut(_) => Page::Problem(Problem::SignInRequired),
            // The other problems are in a table of their own, which `reference` looks at.
            Page::Problem(_) => return None,
        })
    }

    /// Problems that who signs in, or has signed in, may be told of.
    const PROBLEMS: [Problem; 7] = [
        Problem::BadRequest,
        Problem::Unavailable,
        Problem::TooManyRequests,
        Problem::Denied,
        Problem::IdentityTooLarge,
        Problem::ClaimShape,
        Problem::ForeignOrigin,
    ];

    /// Title, status and reason of every page about signing in and out.
    fn pages() -> BTreeSet<(String, String, String)> {
        let pages = Pages::new(&pages::Config::default(), "/.vestibule").unwrap();
        let first = Page::SignInRequired(Asked::InFrame, SignIn::of(None, None));
        let walk = std::iter::successors(Some(first), |page| next(*page));
        let request_id = RequestId::random();
        let shown = walk.chain(PROBLEMS.map(Page::Problem)).map(|page| {
            let reply = pages.show(&page, Reader { request_id: &request_id, language: pages::Language::En });
            let html = String::from_utf8(reply.body.to_vec()).unwrap();
            let title = html.split("<h1>").nth(1).and_then(|rest| rest.split("</h1>").next()).unwrap();
            (title.replace("&#x27;", "'"), reply.status.as_u16().to_string(), reply.reason.to_owned())
        });
        shown.collect()
    }

    #[test]
    fn the_story_of_signing_in_tells_what_each_page_means() {
        let page = read("docs/signing-in.md");
        let told: BTreeSet<_> = rows(&page, "## What each page means")
            .into_iter()
            .map(|cells| {
                assert_eq!(cells.len(), 5, "{cells:?}");
                assert!(cells[4].len() > 10, "it says what happened: {cells:?}");
                (cells[0].to_owned(), cells[1].to_owned(), cells[2].replace('`', ""))
            })
            .collect();
        assert_eq!(told, pages());
    }

    #[test]
    fn the_reference_tells_what_to_do_about_each_page() {
        let page = read("docs/reference/error-pages.md");
        let all = ["## Problems", "## Pages about signing in"].map(|heading| rows(&page, heading)).concat();
        for (title, status, reason) in pages() {
            let found = all.iter().find(|cells| cells[0].replace('`', "") == reason && cells[1] == status);
            let cells = found.unwrap_or_else(|| panic!("{title}: {status} {reason} isn't there"));
            assert!(cells.len() == 4 && !cells[3].is_empty(), "{cells:?}");
        }
        // And of pages about signing in no others.
        let known: BTreeSet<_> = pages().into_iter().map(|(_, _, reason)| reason).collect();
        for cells in rows(&page, "## Pages about signing in") {
            assert!(known.contains(&cells[0].replace('`', "")), "no page has the reason {}", cells[0]);
        }
    }

    #[test]
    fn every_reason_of_a_login_that_failed_is_told_and_no_other() {
        let page = read("docs/reference/error-pages.md");
        let tables = ["## Reasons of a failed callback", "## Reasons of 503"].map(|name| rows(&page, name));
        let told: BTreeSet<_> = tables.concat().iter().flat_map(|cells| explained(cells)).collect();
        let mut known = said(&read("src/oidc/error.rs"), &["=> "]);
        known.extend(said(
            &read("src/gateway/endpoints/callback.rs"),
            &["self.reject(inbound, ", "self.unavailable(inbound, cookies, "],
        ));
        assert!(known.len() > 45, "{known:?}");
        // Words of others: the gateway's own for what it can't know, and one of the codes that OAuth has.
        known.extend(["unavailable", "invalid_client"].map(str::to_owned));
        assert_eq!(told, known);
    }

    #[test]
    fn links_within_the_story_lead_somewhere() {
        for (from, name) in [("docs", "signing-in.md"), ("docs/reference", "error-pages.md")] {
            let text = read(&format!("{from}/{name}"));
            let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            for link in links.filter(|link| !link.starts_with("http")) {
                let (file, heading) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() { text.clone() } else { read(&format!("{from}/{file}")) };
                let is_meant = |line: &str| {
                    let title = line.trim_start_matches('#').trim().to_lowercase();
                    line.starts_with('#') && title.replace(' ', "-") == heading
                };
                assert!(heading.is_empty() || target.lines().any(is_meant), "{link}");
            }
        }
    }

    #[test]
    fn tables_and_sources_are_read_as_they_are_written() {
        let page = "# P\n\n## One\n\n| reason | means |\n| --- | --- |\n| `a`, `b` | x |\n| `id_…` | `c` or `d` |\n\n## Two\n| no |\n";
        let found = rows(page, "## One");
        let words: Vec<_> = found.iter().flat_map(|cells| explained(cells)).collect();
        assert_eq!(words, ["a", "b", "id_c", "id_d"]);
        let source = "X => \"one\", Y => \"Not This\", z(\"two\") \"three\"\n#[cfg(test)]\nW => \"four\"";
        assert_eq!(said(source, &["=> ", "z("]), BTreeSet::from(["one".to_owned(), "two".to_owned()]));
    }
}
