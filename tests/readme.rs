//! What `README.md` shows is true: its configurations pass `vestibule check`, those that come later
//! are refused for that alone, and its links lead somewhere.

#![expect(clippy::unwrap_used, reason = "a fixture that can't be set up ends the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::TempDir;
use vestibule::config::sidecar::Settings;
use vestibule::config::{Fault, Loaded, Source, load_with};
use vestibule::seal::MasterKey;

/// Files that the page's configurations name, under the folders they name them in.
const SECRETS: [&str; 2] = ["client-secret", "run/secrets/client-secret"];
const SESSION_KEYS: [&str; 1] = ["run/secrets/session-key"];
const CERTIFICATES: [&str; 1] = ["etc/vestibule/tls"];

/// The one warning that the page says itself.
const MEANT: &str = "is public, beneath route app";

/// A machine on which everything is where the page says.
struct Machine {
    root: TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { root: tempfile::tempdir().unwrap() };
        for name in SECRETS {
            machine.write(name, "hunter2\n");
        }
        for name in SESSION_KEYS {
            machine.write(name, MasterKey::random().to_base64url().as_str());
        }
        for name in CERTIFICATES {
            let issued = rcgen::generate_simple_self_signed(["wiki.example.com".to_owned()]).unwrap();
            machine.write(&format!("{name}.crt"), &issued.cert.pem());
            machine.write(&format!("{name}.key"), &issued.signing_key.serialize_pem());
        }
        machine
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    }

    /// A text of the page, its absolute paths moved here.
    fn here(&self, text: &str) -> String {
        let root = self.root.path().display();
        text.replace("/run/secrets/", &format!("{root}/run/secrets/"))
            .replace("/etc/vestibule/", &format!("{root}/etc/vestibule/"))
    }

    fn load(&self, yaml: &str) -> Loaded {
        let (name, text) = ("README.md".to_owned(), self.here(yaml));
        let source = Source::Text { name, text, base_dir: self.root.path().to_owned() };
        let key = MasterKey::random().to_base64url();
        load_with(&source, &|name| match name {
            "CLIENT_SECRET" => Some("hunter2".to_owned()),
            "SESSION_KEY" => Some(key.to_string()),
            _ => None,
        })
    }
}

/// The blocks of a page whose fence says exactly this.
fn blocks<'a>(page: &'a str, fence: &str) -> Vec<&'a str> {
    let begin = format!("\n```{fence}\n");
    page.split(begin.as_str()).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

/// Where links of the page lead, on this disk.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let paths = targets.chain(page.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next()));
    paths.filter(|path| !path.contains("://")).filter_map(|path| path.split('#').next())
}

fn told(faults: &[Fault]) -> String {
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    fn page() -> String {
        fs::read_to_string(root().join("README.md")).unwrap()
    }

    #[test]
    fn every_configuration_passes_the_check() {
        let (page, machine) = (page(), Machine::new());
        let configurations = blocks(&page, "yaml");
        assert!(configurations.len() >= 4, "the quick start and the three uses");
        for yaml in configurations {
            let loaded = machine.load(yaml);
            assert_eq!(told(&loaded.faults), "", "in\n{yaml}");
            let warnings = loaded.warnings.iter().filter(|warning| !warning.why.starts_with(MEANT));
            assert_eq!(warnings.count(), 0, "in\n{yaml}\n{:?}", loaded.warnings);
        }
    }

    #[test]
    fn what_comes_later_is_refused_for_that_alone() {
        let (page, machine) = (page(), Machine::new());
        for yaml in blocks(&page, "yaml later") {
            let faults = machine.load(yaml).faults;
            assert!(!faults.is_empty(), "this passes by now, so the page says too little:\n{yaml}");
            assert!(faults.iter().all(Fault::comes_later), "{}", told(&faults));
        }
    }

    #[test]
    fn the_variables_of_the_sidecar_are_a_configuration() {
        let (page, machine) = (page(), Machine::new());
        let shell = blocks(&page, "sh").join("\n");
        let value = |variable: &str| {
            let begin = format!("export {variable}=");
            shell.lines().find_map(|line| line.strip_prefix(begin.as_str())).map(|value| machine.here(value))
        };
        let loaded = Settings::from_env(value).unwrap().load(&value);
        assert_eq!(told(&loaded.faults), "");
        assert_eq!(loaded.config.unwrap().routes.len(), 2);
    }

    #[test]
    fn links_lead_to_files_that_are_there() {
        let page = page();
        let missing: Vec<_> = links(&page).filter(|path| !root().join(path).exists()).collect();
        assert_eq!(missing, Vec::<&str>::new());
    }

    #[test]
    fn blocks_are_told_apart_by_their_whole_fence() {
        let page = "a\n```yaml\nb: 1\n```\n\n```yaml later\nc: 2\n```\n";
        assert_eq!(blocks(page, "yaml"), ["b: 1"]);
        assert_eq!(blocks(page, "yaml later"), ["c: 2"]);
    }
}
