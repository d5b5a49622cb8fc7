//! The floors of `src/` hold: nothing imports upward, sideways only as listed, and what belongs to
//! one place is named in one place. `ARCHITECTURE.md` says why.
//!
//! Code inside `#[cfg(test)]` modules and `tests.rs` or `tests/` is left out: a test may look at anything.

#[path = "layering/source.rs"]
mod source;

use std::fmt;
use std::io;
use std::path::Path;

use source::{Import, imports};

/// From the ground up. A module may import its own floor's ground-mates as `Sideways` says, and
/// everything below.
const FLOORS: &[(&str, Sideways, &[&str])] = &[
    ("ground", Sideways::Free, &["clock", "http_client", "identity", "reply", "seal", "telemetry"]),
    ("protocol", Sideways::Free, &["oidc"]),
    ("features", Sideways::Listed, &["bearer", "login", "pages", "pingone", "policy", "route", "session"]),
    ("gateway", Sideways::Free, &["gateway"]),
    ("process", Sideways::Free, &["admin", "cli", "config", "edge", "lib", "main", "server"]),
];

/// What features may know of each other.
const SIDEWAYS: &[(&str, &str)] =
    &[("login", "session"), ("login", "route"), ("session", "route"), ("route", "policy")];

/// Only the commands and the composition root know the configuration as a whole.
const FILLED_FROM_CONFIG: [&str; 4] = ["cli", "server", "config", "main"];

/// The local PingOne stands beside the floors: it uses the ground, and only commands name it.
const BESIDE: &str = "emulator";
const NAMES_BESIDE: &[&str] = &["cli", "lib"];

/// First segments of paths, and where alone they may be written.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("pingora", &["edge/", "server/", "admin/", "main.rs"]),
    ("std::env", &["config/"]),
    ("reqwest", &["http_client/"]),
    ("serde_saphyr", &["config/tree.rs"]),
];

/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &["common", "helper", "helpers", "manager", "misc", "util", "utils"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sideways {
    Free,
    Listed,
}

#[derive(Debug, PartialEq, Eq)]
struct Finding {
    file: String,
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// Everything wrong under `root`, in the order of the files' names.
fn check(root: &Path) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (file, text) in source::files(root)? {
        findings.extend(check_file(&file, &text));
    }
    Ok(findings)
}

/// Everything wrong with one file, named by its path under `src/`.
fn check_file(file: &str, text: &str) -> Vec<Finding> {
    let finding = |line, what| Finding { file: file.to_owned(), line, what };
    let mut findings: Vec<Finding> = file
        .split('/')
        .filter(|part| EMPTY_NAMES.contains(&part.trim_end_matches(".rs")))
        .map(|part| finding(1, format!("`{part}` says nothing of what is inside")))
        .collect();
    if file.ends_with("tests.rs") || file.contains("/tests/") {
        return findings;
    }
    let from = file.split('/').next().unwrap_or_default().trim_end_matches(".rs");
    if from != BESIDE && floor(from).is_none() {
        findings.push(finding(1, format!("`{from}` stands on no floor")));
    }
    for Import { line, path } in imports(file, text) {
        let wrong = match path.strip_prefix("crate::") {
            Some(rest) => wrong_import(from, rest.split("::").next().unwrap_or_default()),
            None => wrong_place(file, &path),
        };
        findings.extend(wrong.map(|what| finding(line, what)));
    }
    findings
}

fn floor(module: &str) -> Option<(usize, Sideways)> {
    FLOORS.iter().enumerate().find(|(_, (_, _, modules))| modules.contains(&module)).map(|(i, f)| (i, f.1))
}

fn wrong_import(from: &str, to: &str) -> Option<String> {
    if from == to {
        return None;
    }
    if to == BESIDE {
        return (!NAMES_BESIDE.contains(&from)).then(|| format!("`{from}` names `{to}`"));
    }
    if to == "config" && !FILLED_FROM_CONFIG.contains(&from) {
        return Some(format!("`{from}` imports `config`, which fills the others"));
    }
    let (above, rule) = floor(to)?;
    if from == BESIDE {
        return (above > 0).then(|| format!("`{from}` imports `{to}`, which is not ground"));
    }
    let (here, _) = floor(from)?;
    if above > here {
        return Some(format!("`{from}` imports `{to}` from above"));
    }
    let listed = rule == Sideways::Free || SIDEWAYS.contains(&(from, to));
    (above == here && !listed).then(|| format!("`{from}` imports `{to}` sideways"))
}

fn wrong_place(file: &str, path: &str) -> Option<String> {
    let named = |name: &str| {
        path.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '_']))
    };
    let (name, places) = ONLY_IN.iter().find(|(name, _)| named(name))?;
    let allowed =
        places.iter().any(|place| file == *place || file.starts_with(place) && place.ends_with('/'));
    (!allowed).then(|| format!("`{name}` is named outside {}", places.join(", ")))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn told(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn our_own_floors_hold() {
        let findings = check(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))).unwrap();
        assert_eq!(told(&findings), Vec::<String>::new());
    }

    #[test]
    fn a_broken_tree_is_found_out_by_its_three_breaks() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/layering/broken"));
        assert_eq!(
            told(&check(root).unwrap()),
            [
                "gateway/mod.rs:6: `pingora` is named outside edge/, server/, admin/, main.rs",
                "oidc/mod.rs:5: `oidc` imports `login` from above",
                "policy/mod.rs:3: `policy` imports `session` sideways",
            ]
        );
    }

    #[rstest]
    #[case::upward("seal.rs", "use crate::oidc::Config;", 1)]
    #[case::upward_by_super("identity/mod.rs", "use super::gateway::Gateway;", 1)]
    #[case::upward_by_two_supers("session/cookie.rs", "fn f() { super::super::gateway::f() }", 1)]
    #[case::own_submodule("session/cookie.rs", "use super::store::Store;", 0)]
    #[case::super_of_an_inner_module("reply.rs", "mod inner { use super::Reply; }", 0)]
    #[case::sideways("pages/mod.rs", "use crate::session::Session;", 1)]
    #[case::sideways_as_listed("login/mod.rs", "use crate::session::Session;", 0)]
    #[case::not_the_other_way("session/mod.rs", "use crate::login::Login;", 1)]
    #[case::ground_knows_ground("telemetry/mod.rs", "use crate::identity::Identity;", 0)]
    #[case::config_from_below("route/mod.rs", "use crate::config::Config;", 1)]
    #[case::downward("config/mod.rs", "use crate::gateway::EndpointPaths;", 0)]
    #[case::emulator_in_a_feature("login/mod.rs", "use crate::emulator::PingOne;", 1)]
    #[case::emulator_in_a_command("cli/demo.rs", "use crate::emulator::PingOne;", 0)]
    #[case::emulator_uses_ground("emulator/mod.rs", "use crate::{clock::Clock, seal};", 0)]
    #[case::emulator_uses_more("emulator/mod.rs", "use crate::oidc::Config;", 1)]
    #[case::several_in_one("seal.rs", "use crate::{oidc, clock, route::{path, origin}};", 3)]
    #[case::reexported("route/mod.rs", "pub use crate::gateway::Gateway;", 1)]
    #[case::environment("login/mod.rs", "use std::env;", 1)]
    #[case::environment_in_a_group("login/mod.rs", "use std::{env::var, fmt};", 1)]
    #[case::environment_in_config("config/sidecar.rs", "use std::env;", 0)]
    #[case::environment_of_the_compiler("seal.rs", "const V: &str = env!(\"CARGO_PKG_VERSION\");", 0)]
    #[case::pingora_crate("login/mod.rs", "use pingora_limits::rate::Rate;", 1)]
    #[case::pingora_at_the_edge("edge/limits.rs", "use pingora_limits::rate::Rate;", 0)]
    #[case::yaml("config/mod.rs", "use serde_saphyr::Options;", 1)]
    #[case::yaml_in_its_place("config/tree.rs", "use serde_saphyr::Options;", 0)]
    #[case::client("oidc/provider.rs", "fn f(c: reqwest::Client) {}", 1)]
    #[case::client_in_its_place("http_client/guarded.rs", "fn f(c: reqwest::Client) {}", 0)]
    #[case::empty_folder("route/utils/mod.rs", "", 1)]
    #[case::empty_file("login/helpers.rs", "", 1)]
    #[case::no_floor("cache/mod.rs", "", 1)]
    #[case::tests_see_all("session/mod.rs", "#[cfg(test)]\nmod tests { use crate::gateway::G; }", 0)]
    #[case::after_tests("session/mod.rs", "#[cfg(test)] mod tests { fn f() {} } use crate::edge::E;", 1)]
    #[case::words_in_comments(
        "seal.rs",
        "// crate::edge\n/* crate::edge /* pingora */ */ const A: u8 = 0;",
        0
    )]
    fn each_rule_sees_what_it_is_for(#[case] file: &str, #[case] text: &str, #[case] expected: usize) {
        let findings = check_file(file, text);
        assert_eq!(findings.len(), expected, "{:?}", told(&findings));
    }
}
