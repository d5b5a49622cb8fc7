//! The commands: what they print and how they end.

use std::process::{Command, Output};

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::config::Config;
use crate::support::gateway::PROGRAM;
use crate::support::provider::entry;
use crate::support::upstream::Upstream;

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(PROGRAM)
        .args(arguments)
        .env_remove("RUST_LOG")
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn everything(output: &Output) -> String {
    stdout(output) + &String::from_utf8_lossy(&output.stderr)
}

fn ordinary() -> Config {
    Config::new(&entry("http://127.0.0.1:9"), &Upstream::start())
}

/// `vestibule check` on an edited configuration.
fn check(edit: impl FnOnce(Config) -> Config) -> Output {
    let config = edit(ordinary());
    run(&["check", "-c", config.write().to_str().unwrap()], &[])
}

#[test]
fn a_fine_configuration_passes() {
    let output = check(|config| config);
    assert_eq!(output.status.code(), Some(0), "{}", everything(&output));
}

#[test]
fn yaml_as_people_write_it_passes() {
    let folder = tempfile::tempdir().unwrap();
    let text = "\
origins: [http://localhost:4180]
listeners: [{ address: 127.0.0.1:4180 }]   # a comment
providers:
  idp:
    issuer: http://127.0.0.1:9
    client_id: app
    client_secret: { env: CLIENT_SECRET }
routes:
  - id: app
    auth: { session: idp }
    require: [{ groups: [staff] }]
    upstream: http://127.0.0.1:3000
";
    let path = folder.path().join("vestibule.yaml");
    std::fs::write(&path, text).unwrap();
    let output = run(&["check", "-c", path.to_str().unwrap()], &[("CLIENT_SECRET", "secret")]);
    assert_eq!(output.status.code(), Some(0), "{}", everything(&output));

    // The place of a fault is a line and a column; the nearest name is told.
    std::fs::write(&path, text.replace("auth:", "atuh:")).unwrap();
    let output = run(&["check", "-c", path.to_str().unwrap()], &[("CLIENT_SECRET", "secret")]);
    let said = everything(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["vestibule.yaml:10:", "atuh", "auth"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

/// The settings that are dangerous or mean nothing, each refused with a reason.
#[rstest]
#[case::trusting_everyone("/trusted_proxies", json!(["0.0.0.0/0"]), &["trusted_proxies"])]
#[case::trusting_all_of_ipv6("/trusted_proxies", json!(["::/0"]), &["trusted_proxies"])]
#[case::plain_issuer("/providers/idp/issuer", json!("http://idp.example.com"), &["issuer", "http"])]
#[case::plain_origin("/origins", json!(["http://app.example.com"]), &["origins", "http"])]
#[case::wildcard_origin("/origins", json!(["https://*.example.com"]), &["origins", "*"])]
#[case::unsigned_tokens("/providers/idp/id_token_algorithms", json!(["none"]), &["id_token_algorithms"])]
#[case::tokens_signed_by_our_secret("/providers/idp/id_token_algorithms", json!(["HS256"]), &["id_token_algorithms"])]
#[case::empty_rule("/routes/1/require", json!([]), &["require"])]
#[case::form_post_on_plain_http("/providers/idp/response_mode", json!("form_post"), &["response_mode", "form_post"])]
#[case::aliasing_headers("/routes/1/identity", json!({ "headers": { "X-Remote-User": "sub", "X_Remote_User": "email" } }), &["headers"])]
#[case::a_framing_header("/routes/1/identity", json!({ "headers": { "Transfer-Encoding": "sub" } }), &["headers"])]
#[case::a_credential_header("/routes/1/identity", json!({ "headers": { "Cookie": "sub" } }), &["headers"])]
#[case::a_forwarding_header("/routes/1/identity", json!({ "headers": { "X-Forwarded-For": "sub" } }), &["headers"])]
#[case::unknown_provider("/routes/1/auth", json!({ "session": "nobody" }), &["nobody"])]
#[case::no_auth("/routes/1/auth", json!(null), &["auth"])]
#[case::two_routes_of_one_name("/routes/1/id", json!("open"), &["open"])]
#[case::a_route_under_our_prefix("/routes/0/match/path", json!("/.vestibule/x"), &["/.vestibule"])]
#[case::unknown_key("/sessoins", json!({}), &["sessoins", "sessions"])]
#[case::a_later_feature("/sessions/store", json!("redis"), &["sessions.store", "later"])]
#[case::no_duration("/sessions/idle_timeout", json!("soon"), &["idle_timeout"])]
#[case::no_unit("/sessions/idle_timeout", json!("30"), &["idle_timeout"])]
#[case::too_long_a_cookie_session("/sessions", json!({ "store": "cookie", "absolute_timeout": "24h", "keys": [{ "file": "session-key" }] }), &["absolute_timeout"])]
#[case::a_cookie_store_without_a_key("/sessions", json!({ "store": "cookie" }), &["keys"])]
#[case::an_empty_server_name("/routes/1/upstream", json!({ "servers": ["https://127.0.0.1:1"], "tls": { "server_name": "" } }), &["server_name"])]
fn a_faulty_configuration_is_refused_with_a_reason(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] words: &[&str],
) {
    let edit = |config: Config| {
        if value.is_null() { config.unset(pointer) } else { config.set(pointer, value.clone()) }
    };
    let output = check(edit);
    let said = everything(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("vestibule.yaml:"), "file, line and column: {said}");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
    // `run` refuses it, too.
    let config = edit(ordinary());
    let output = run(&["run", "-c", config.write().to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", everything(&output));
}

#[rstest]
#[case::too_short("dG9vIHNob3J0")]
#[case::no_base64("!!!")]
#[case::nothing("")]
fn a_session_key_of_another_length_is_refused(#[case] key: &str) {
    let output = check(|config| {
        config.file("session-key", key);
        config
    });
    assert_eq!(output.status.code(), Some(2), "{}", everything(&output));
    assert!(everything(&output).contains("key"));
}

#[test]
fn a_secret_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let config = ordinary();
    let path = config.write();
    let secret = path.with_file_name("client-secret");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = run(&["check", "-c", path.to_str().unwrap()], &[]);
    assert_eq!(output.status.code(), Some(2), "{}", everything(&output));
    assert!(everything(&output).contains("client-secret"));
}

#[test]
fn every_fault_is_told_at_once() {
    let output = check(|config| {
        config
            .set("/trusted_proxies", json!(["0.0.0.0/0"]))
            .set("/sessions/idle_timeout", json!("soon"))
            .set("/routes/1/require", json!([]))
    });
    let said = everything(&output);
    for word in ["trusted_proxies", "idle_timeout", "require"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn dangerous_but_allowed_is_warned_of() {
    let output =
        check(|config| config.set("/providers/idp/client_secret", json!({ "value": "shown-to-everyone" })));
    let said = everything(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.to_lowercase().contains("warn") && said.contains("client_secret"), "{said}");
    assert!(!said.contains("shown-to-everyone"), "{said}");
}

#[rstest]
#[case::no_command(&[])]
#[case::unknown_command(&["rnu"])]
#[case::unknown_flag(&["run", "--nothing"])]
#[case::no_such_file(&["check", "-c", "/nonexistent/vestibule.yaml"])]
#[case::run_with_no_such_file(&["run", "-c", "/nonexistent/vestibule.yaml"])]
#[case::nothing_to_run(&["run"])]
fn wrong_usage_is_2(#[case] arguments: &[&str]) {
    let output = run(arguments, &[]);
    assert_eq!(output.status.code(), Some(2), "{}", everything(&output));
    assert!(!output.stderr.is_empty() || !output.stdout.is_empty(), "it says why");
}

#[test]
fn help_and_version_are_fine() {
    for flag in ["--help", "--version"] {
        let output = run(&[flag], &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).to_lowercase().contains("vestibule"));
    }
    let help = stdout(&run(&["--help"], &[]));
    for command in ["run", "check", "explain", "demo", "emulator", "schema", "key"] {
        assert!(help.contains(command), "{command}: {help}");
    }
}

#[test]
fn the_schema_is_json_and_names_the_keys() {
    let output = run(&["schema"], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", everything(&output));
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in ["origins", "listeners", "providers", "sessions", "routes"] {
        assert!(schema.pointer(&format!("/properties/{key}")).is_some(), "{key}");
    }
}

#[test]
fn a_key_is_fresh_and_fits() {
    let keys: Vec<_> = (0..3).map(|_| stdout(&run(&["key"], &[])).trim().to_owned()).collect();
    for key in &keys {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(key).unwrap();
        assert_eq!(bytes.len(), 32);
        let output = check(|config| {
            config.file("session-key", key);
            config.set("/sessions/store", json!("cookie"))
        });
        assert_eq!(output.status.code(), Some(0), "{}", everything(&output));
    }
    assert!(keys[0] != keys[1] && keys[1] != keys[2]);
}

const SIDECAR: [(&str, &str); 7] = [
    ("VESTIBULE_ISSUER", "https://idp.example.com"),
    ("VESTIBULE_CLIENT_ID", "app"),
    ("VESTIBULE_CLIENT_SECRET", "sidecar-secret"),
    ("VESTIBULE_ORIGIN", "https://app.example.com"),
    ("VESTIBULE_UPSTREAM", "http://127.0.0.1:3000"),
    ("VESTIBULE_SESSION_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
    ("VESTIBULE_ALLOW_DOMAINS", "example.com"),
];

#[test]
fn the_configuration_of_an_environment_can_be_written_down() {
    let printed = run(&["run", "--print-config"], &SIDECAR);
    assert_eq!(printed.status.code(), Some(0), "{}", everything(&printed));
    let text = stdout(&printed);
    for part in [
        "https://idp.example.com",
        "https://app.example.com",
        "http://127.0.0.1:3000",
        "example.com",
        "cookie",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("sidecar-secret"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vestibule.yaml");
    std::fs::write(&path, &text).unwrap();
    let path = path.to_str().unwrap();
    let checked = run(&["check", "-c", path], &SIDECAR);
    assert_eq!(checked.status.code(), Some(0), "{}\n{text}", everything(&checked));
    let again = run(&["run", "--print-config", "-c", path], &SIDECAR);
    assert_eq!(stdout(&again), text, "what is printed means itself");
}

#[rstest]
#[case::issuer("VESTIBULE_ISSUER")]
#[case::client("VESTIBULE_CLIENT_ID")]
#[case::origin("VESTIBULE_ORIGIN")]
#[case::upstream("VESTIBULE_UPSTREAM")]
#[case::key("VESTIBULE_SESSION_KEY")]
#[case::who("VESTIBULE_ALLOW_DOMAINS")]
fn an_incomplete_environment_is_refused(#[case] missing: &str) {
    let environment: Vec<_> = SIDECAR.into_iter().filter(|(name, _)| *name != missing).collect();
    let output = run(&["run"], &environment);
    let said = everything(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains(missing) || missing.ends_with("DOMAINS") && said.contains("VESTIBULE_ALLOW_"),
        "{said}"
    );
}
