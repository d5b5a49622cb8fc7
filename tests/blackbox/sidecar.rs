//! A gateway without a file: what its environment and its flags say, and what they may not; and the local
//! PingOne beside it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use rstest::rstest;
use serde_json::json;

use crate::support::browser::{Browser, Errand};
use crate::support::config::KEY;
use crate::support::eventually;
use crate::support::gateway::{PROGRAM, listens};
use crate::support::listener::free_port;
use crate::support::provider::{CLIENT_ID, CLIENT_SECRET, Provider};
use crate::support::upstream::Upstream;

const OTHER_KEY: &str = "IB8eHRwbGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgE";

/// A program that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

type Variables = Vec<(String, String)>;

/// Whatever a sidecar must be told.
fn environment(issuer: &str, origin: &str, upstream: &str) -> Variables {
    let keys = format!("{KEY},{OTHER_KEY}");
    let pairs = [
        ("VESTIBULE_ISSUER", issuer),
        ("VESTIBULE_CLIENT_ID", CLIENT_ID),
        ("VESTIBULE_CLIENT_SECRET", CLIENT_SECRET),
        ("VESTIBULE_ORIGIN", origin),
        ("VESTIBULE_UPSTREAM", upstream),
        ("VESTIBULE_SESSION_KEY", &keys),
        ("VESTIBULE_PUBLIC_PATHS", "/public,/robots.txt"),
        ("VESTIBULE_ALLOW_GROUPS", "finance,hr"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn elsewhere() -> Variables {
    environment("https://idp.example.com", "https://app.example.com", "http://127.0.0.1:3000")
}

fn run(arguments: &[&str], environment: &[(String, String)]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("run").args(arguments).env_remove("RUST_LOG");
    command.envs(environment.iter().map(|(name, value)| (name, value))).output().unwrap()
}

fn everything(output: &Output) -> String {
    (String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr)).into_owned()
}

/// The file that is printed for an environment is served in it as it is. The admin listener alone gets a port
/// of its own here, since tests share a machine.
#[test]
fn a_sidecar_signs_people_in() {
    let (provider, upstream) = (Provider::start(), Upstream::start());
    let (port, admin) = (free_port(), free_port());
    let origin = format!("http://localhost:{port}");
    let mut environment = environment(&provider.issuer(), &origin, &upstream.url());
    environment.push(("VESTIBULE_LISTEN".to_owned(), format!("127.0.0.1:{port}")));
    let printed = run(&["--print-config"], &environment);
    assert_eq!(printed.status.code(), Some(0), "{}", everything(&printed));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vestibule.yaml");
    let yaml = String::from_utf8(printed.stdout).unwrap();
    std::fs::write(&file, format!("admin: {{ address: 127.0.0.1:{admin} }}\n{yaml}")).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["run", "-c"]).arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
    let _running = Running(command.envs(environment).spawn().unwrap());
    eventually("the sidecar", || listens(port).then_some(()));

    let browser = Browser::new();
    let page = browser.visit(&format!("{origin}/page?x=1"));
    assert_eq!((page.status(), page.target().as_str()), (200, "/page?x=1"), "{}", page.response.everything());
    assert_eq!(upstream.only("/page").header("x-forwarded-user"), Some("ada"));
    // Sessions are sealed into cookies: nothing else is there to run.
    assert!(browser.cookie(&origin, "vestibule").is_some_and(|value| value.len() > 200));
    let nobody = Browser::new();
    assert_eq!(nobody.send(&Errand::fetch(&format!("{origin}/page"))).status, 401);
    assert_eq!(nobody.send(&Errand::fetch(&format!("{origin}/robots.txt"))).status, 200);
    assert_eq!(upstream.only("/robots.txt").header("x-forwarded-user"), None);

    // Who is in none of the groups is kept out.
    provider.claim(&json!({ "groups": ["staff"] }));
    let page = Browser::new().visit(&format!("{origin}/page"));
    assert_eq!(page.status(), 403, "{}", page.response.everything());
    assert_eq!(upstream.requests_to("/page").len(), 1);
}

#[test]
fn a_flag_stands_before_its_variable() {
    let flags = [
        ["--issuer", "https://other.example.com"],
        ["--client-id", "another-client"],
        ["--origin", "https://wiki.example.com"],
        ["--upstream", "http://127.0.0.1:3456"],
        ["--listen", "127.0.0.1:8123"],
        ["--scopes", "openid,groups"],
        ["--trusted-proxies", "10.1.0.0/16"],
        ["--public-paths", "/open"],
        ["--allow-groups", "staff"],
    ];
    let arguments: Vec<_> = std::iter::once("--print-config").chain(flags.concat()).collect();
    let output = run(&arguments, &elsewhere());
    let said = everything(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for [_, value] in flags {
        let value = value.rsplit(',').next().unwrap_or_default();
        assert!(said.contains(value), "{value}: {said}");
    }
    for gone in ["idp.example.com", "app.example.com", "robots.txt", "finance", CLIENT_SECRET, KEY] {
        assert!(!said.contains(gone), "{gone}: {said}");
    }
}

#[rstest]
#[case::two_rules("VESTIBULE_ALLOW_DOMAINS", "example.com", "VESTIBULE_ALLOW_")]
#[case::everybody_and_some("VESTIBULE_ALLOW_ANYONE", "true", "VESTIBULE_ALLOW_")]
#[case::a_key_of_another_length("VESTIBULE_SESSION_KEY", "dG9vIHNob3J0", "VESTIBULE_SESSION_KEY")]
#[case::one_good_key_of_two(
    "VESTIBULE_SESSION_KEY",
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8,x",
    "VESTIBULE_SESSION_KEY"
)]
#[case::a_plain_origin("VESTIBULE_ORIGIN", "http://app.example.com", "VESTIBULE_ORIGIN")]
#[case::a_plain_issuer("VESTIBULE_ISSUER", "http://idp.example.com", "VESTIBULE_ISSUER")]
#[case::no_upstream("VESTIBULE_UPSTREAM", "nonsense", "VESTIBULE_UPSTREAM")]
#[case::no_address("VESTIBULE_LISTEN", "8080", "VESTIBULE_LISTEN")]
#[case::trusting_everybody("VESTIBULE_TRUSTED_PROXIES", "0.0.0.0/0", "VESTIBULE_TRUSTED_PROXIES")]
#[case::no_path("VESTIBULE_PUBLIC_PATHS", "robots.txt", "VESTIBULE_PUBLIC_PATHS")]
fn what_a_variable_may_not_say_is_told_by_its_name(
    #[case] variable: &str,
    #[case] value: &str,
    #[case] named: &str,
) {
    let mut environment = elsewhere();
    environment.retain(|(name, _)| name != variable);
    environment.push((variable.to_owned(), value.to_owned()));
    let output = run(&[], &environment);
    let said = everything(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(named), "{said}");
    assert!(!said.contains(CLIENT_SECRET) && !said.contains(KEY), "{said}");
}

#[rstest]
#[case::beside_a_file(&["-c", "/dev/null", "--issuer", "https://idp.example.com"])]
#[case::a_client_secret(&["--client-secret", "shown-to-all"])]
#[case::a_session_key(&["--session-key", "shown-to-all"])]
fn what_is_no_flag_is_refused(#[case] arguments: &[&str]) {
    let output = run(arguments, &elsewhere());
    assert_eq!(output.status.code(), Some(2), "{}", everything(&output));
}

#[test]
fn the_local_ping_one_tells_its_issuer_and_serves_it() {
    let listen = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new(PROGRAM);
    command.args(["emulator", "--listen", &listen]).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut running = Running(command.spawn().unwrap());
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let issuer = lines.find_map(|line| Some(line.ok()?.strip_prefix("issuer")?.trim().to_owned())).unwrap();
    assert!(issuer.starts_with(&format!("http://{listen}")), "{issuer}");
    let metadata = Browser::new().open(&format!("{issuer}/.well-known/openid-configuration"));
    assert_eq!(metadata.json()["issuer"], issuer, "{}", metadata.everything());
}

#[test]
fn the_local_ping_one_stays_on_this_machine() {
    let output = Command::new(PROGRAM).args(["emulator", "--listen", "0.0.0.0:9400"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", everything(&output));
}
