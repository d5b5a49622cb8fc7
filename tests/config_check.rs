//! What `vestibule check` says: the contract's files pass, and every fault is told with file, line,
//! column, key, why, and what to write.

#![expect(clippy::unwrap_used, reason = "a fixture that can't be set up ends the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use insta::assert_snapshot;
use proptest::prelude::*;
use rstest::rstest;
use tempfile::TempDir;
use vestibule::config::{Loaded, Source, load_with};
use vestibule::seal::MasterKey;

/// A folder with every secret and certificate that the files here name.
struct Folder {
    root: TempDir,
}

impl Folder {
    fn new() -> Self {
        let folder = Self { root: tempfile::tempdir().unwrap() };
        for name in ["secrets/client-secret", "secrets/admin", "secrets/assertion-key.pem", "…"] {
            folder.secret(name, "hunter2\n");
        }
        for name in ["session-key", "session-key-new", "session-key-old"] {
            folder.secret(
                &format!("secrets/{name}"),
                &format!("{}\n", MasterKey::random().to_base64url().as_str()),
            );
        }
        for name in ["etc/tls", "a", "b", "c"] {
            folder.pair(name);
        }
        for name in ["etc/payroll-ca.pem", "etc/idp-ca.pem", "ca.pem"] {
            fs::copy(folder.path("a.crt"), folder.path(name)).unwrap();
        }
        fs::create_dir_all(folder.path("etc/pages")).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn secret(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    }

    /// A certificate and its key: `NAME.crt` and `NAME.key`.
    fn pair(&self, name: &str) {
        let issued = rcgen::generate_simple_self_signed(["app.example.com".to_owned()]).unwrap();
        fs::write(self.path(&format!("{name}.crt")), issued.cert.pem()).unwrap();
        self.secret(&format!("{name}.key"), &issued.signing_key.serialize_pem());
    }

    /// Loads a text as `config.yaml` of this folder.
    fn load(&self, text: &str) -> Loaded {
        let root = self.root.path().display();
        let text = text
            .replace("/run/secrets/", &format!("{root}/secrets/"))
            .replace("/etc/vestibule/", &format!("{root}/etc/"));
        let base_dir = self.root.path().to_owned();
        let source = Source::Text { name: "config.yaml".into(), text, base_dir };
        let key = MasterKey::random().to_base64url();
        load_with(&source, &|name| match name {
            "CLIENT_SECRET" => Some("hunter2".to_owned()),
            "SESSION_KEY" => Some(key.to_string()),
            _ => None,
        })
    }

    /// What an operator reads: faults, then warnings.
    fn told(&self, text: &str) -> String {
        self.render(&self.load(text))
    }

    fn render(&self, loaded: &Loaded) -> String {
        assert_eq!(
            loaded.config.is_some(),
            loaded.faults.is_empty(),
            "a configuration exactly without faults"
        );
        let lines = loaded.faults.iter().map(ToString::to_string);
        let lines: Vec<_> = lines.chain(loaded.warnings.iter().map(ToString::to_string)).collect();
        lines.join("\n").replace(&self.root.path().display().to_string(), "/conf")
    }
}

/// A small configuration without faults, where one thing is then changed.
const FINE: &str = "\
origins: [https://app.example.com, https://wiki.example.com]
listeners: [{ address: 0.0.0.0:8080 }]
trusted_proxies: [10.4.0.0/24]
providers:
  idp:
    issuer: https://idp.example.com
    client_id: app
    client_secret: { file: /run/secrets/client-secret }
sessions:
  store: cookie
  keys: [{ file: /run/secrets/session-key }]
routes:
  - id: app
    match: { host: app.example.com }
    auth: { session: idp }
    require: [{ groups: [staff] }]
    upstream: https://app.internal:8443
  - id: wiki
    match: { host: wiki.example.com }
    auth: { session: idp }
    upstream: http://127.0.0.1:3000
";

/// The small configuration with one text in the place of another.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(FINE.matches(from).count(), 1, "{from} stands there once");
    FINE.replace(from, to)
}

/// The small configuration with a further route.
fn with_route(lines: &[&str]) -> String {
    format!("{FINE}  - {}\n", lines.join("\n    "))
}

#[test]
fn the_small_configuration_is_fine() {
    assert_eq!(Folder::new().told(FINE), "");
}

#[rstest]
#[case::api_edge("api-edge")]
#[case::legacy_edge("legacy-edge")]
#[case::pingone_sign_on("pingone-sign-on")]
#[case::reference("reference")]
#[case::sidecar("sidecar")]
fn a_file_of_the_contract_has_no_fault_but_what_comes_later(#[case] name: &str) {
    let text = fs::read_to_string(format!("tests/config/contract/{name}.yaml")).unwrap();
    let folder = Folder::new();
    let loaded = folder.load(&text);
    for fault in &loaded.faults {
        assert!(fault.comes_later(), "{fault}");
    }
    assert_snapshot!(format!("contract_{name}"), folder.render(&loaded));
}

#[test]
fn an_unknown_key_is_told_with_those_known() {
    assert_snapshot!(
        Folder::new().told(&changed("    client_id: app\n", "    client_id: app\n    colour: red\n"))
    );
}

#[test]
fn a_misspelt_key_is_told_with_the_one_that_was_meant() {
    assert_snapshot!(Folder::new().told(&changed("trusted_proxies", "trusted_proxys")));
}

#[test]
fn a_misspelt_required_key_is_not_missing_too() {
    assert_snapshot!(Folder::new().told(&changed("listeners", "listener")));
}

#[test]
fn a_duplicate_key_is_told_with_the_line_of_the_first() {
    assert_snapshot!(
        Folder::new().told(&changed("    client_id: app\n", "    client_id: app\n    client_id: web\n"))
    );
}

#[test]
fn a_wrong_type_is_told_with_what_was_expected() {
    let text =
        changed("[{ groups: [staff] }]", "[{ groups: staff }]").replace("client_id: app", "client_id: 4711");
    assert_snapshot!(Folder::new().told(&text));
}

#[test]
fn a_key_without_a_value_is_told() {
    assert_snapshot!(Folder::new().told(&changed("    require: [{ groups: [staff] }]\n", "    require:\n")));
}

#[test]
fn a_bad_duration_is_told_with_the_units() {
    let text =
        changed("  store: cookie\n", "  store: cookie\n  idle_timeout: 30\n  absolute_timeout: 8 hours\n");
    assert_snapshot!(Folder::new().told(&text));
}

#[test]
fn an_undefined_provider_is_told_with_those_defined() {
    let text = changed("auth: { session: idp }\n    require", "auth: { session: ldp }\n    require");
    assert_snapshot!(Folder::new().told(&text));
}

#[test]
fn a_duplicate_route_id_is_told() {
    assert_snapshot!(Folder::new().told(&changed("id: wiki", "id: app")));
}

#[test]
fn a_host_outside_the_origins_is_told() {
    assert_snapshot!(Folder::new().told(&changed("host: wiki.example.com", "host: wikis.example.com")));
}

#[test]
fn an_unreachable_route_is_told() {
    let route = ["id: status", "match: { path: /status }", "auth: public", "upstream: http://127.0.0.1:3001"];
    assert_snapshot!(Folder::new().told(&with_route(&route)));
}

#[test]
fn two_equal_routes_are_told() {
    let route = [
        "id: wiki-again",
        "match: { host: wiki.example.com, path: /, methods: [GET] }",
        "auth: { session: idp }",
        "upstream: http://127.0.0.1:3001",
    ];
    assert_snapshot!(Folder::new().told(&with_route(&route)));
}

#[test]
fn routes_that_share_a_path_but_no_method_are_fine() {
    let route = [
        "id: wiki-writes",
        "match: { host: wiki.example.com, path: /notes, methods: [POST] }",
        "auth: { session: idp }",
        "upstream: http://127.0.0.1:3001",
        "\n  - id: wiki-reads",
        "match: { host: wiki.example.com, path: /notes, methods: [GET] }",
        "auth: { session: idp }",
        "upstream: http://127.0.0.1:3001",
    ];
    assert_eq!(Folder::new().told(&with_route(&route).replace("    \n", "")), "");
}

#[test]
fn a_weaker_route_over_a_stronger_one_is_warned_of() {
    let route = [
        "id: app-static",
        "match: { host: app.example.com, path: /static }",
        "auth: public",
        "upstream: https://app.internal:8443",
        "\n  - id: app-reports",
        "match: { host: app.example.com, path: /reports }",
        "auth: { session: idp }",
        "upstream: https://app.internal:8443",
        "\n  - id: app-elsewhere",
        "match: { host: app.example.com, path: /elsewhere }",
        "auth: public",
        "upstream: https://elsewhere.internal:8443",
    ];
    assert_snapshot!(Folder::new().told(&with_route(&route).replace("    \n", "")));
}

#[test]
fn a_missing_secret_file_is_told() {
    assert_snapshot!(Folder::new().told(&changed("secrets/client-secret", "secrets/client-secert")));
}

#[test]
fn a_secret_that_everybody_may_read_is_told() {
    let folder = Folder::new();
    let path = folder.path("secrets/client-secret");
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_snapshot!(folder.told(FINE));
}

#[test]
fn a_secret_in_the_configuration_itself_is_warned_of() {
    let text =
        changed("client_secret: { file: /run/secrets/client-secret }", "client_secret: { value: hunter2 }");
    let told = Folder::new().told(&text);
    assert!(!told.contains("hunter2"));
    assert_snapshot!(told);
}

#[test]
fn a_key_of_the_wrong_length_is_told() {
    let folder = Folder::new();
    folder.secret("secrets/session-key", "dG9vIHNob3J0\n");
    assert_snapshot!(folder.told(FINE));
}

#[test]
fn session_keys_are_required_for_cookies() {
    let text = changed("  keys: [{ file: /run/secrets/session-key }]\n", "");
    assert_snapshot!(Folder::new().told(&text));
}

#[test]
fn one_secret_may_hold_several_session_keys() {
    let folder = Folder::new();
    let key = || MasterKey::random().to_base64url();
    folder.secret("secrets/session-key", &format!("{}, {}\n", key().as_str(), key().as_str()));
    assert_eq!(folder.load(FINE).config.unwrap().sessions.keys.len(), 2);
}

#[test]
fn trusting_everybody_is_told_and_a_wide_network_warned_of() {
    assert_snapshot!(
        Folder::new().told(&changed("[10.4.0.0/24]", "[0.0.0.0/0, \"::/0\", 10.0.0.0/8, \"::ffff:0:0/96\"]"))
    );
}

#[test]
fn a_plain_http_issuer_is_told() {
    assert_snapshot!(Folder::new().told(&changed("https://idp.example.com", "http://idp.example.com")));
}

#[test]
fn plain_http_on_loopback_is_fine() {
    let text = changed("https://app.example.com, https://wiki", "http://localhost:8080, https://wiki")
        .replace("host: app.example.com", "host: localhost")
        .replace("https://idp.example.com", "http://127.0.0.1:9000");
    assert_eq!(Folder::new().told(&text), "");
}

#[test]
fn plain_http_beyond_loopback_needs_a_loud_word_and_is_warned_of() {
    let text = changed("https://app.example.com, https", "http://app.example.com, https");
    assert_snapshot!(Folder::new().told(&text));
    let insisted = format!("danger_plain_http: true\n{text}");
    assert_snapshot!("danger_plain_http", Folder::new().told(&insisted));
}

#[test]
fn one_host_with_two_schemes_is_told() {
    let text = changed(
        "[https://app.example.com, ",
        "[http://localhost:80, https://localhost, https://app.example.com, ",
    );
    assert_snapshot!(Folder::new().told(&text));
}

#[test]
fn form_post_on_plain_http_is_told() {
    let text = changed("https://app.example.com, https", "http://localhost:8080, https")
        .replace("host: app.example.com", "host: localhost")
        .replace("    client_id: app\n", "    client_id: app\n    response_mode: form_post\n");
    assert_snapshot!(Folder::new().told(&text));
}

#[test]
fn header_names_that_a_backend_could_confuse_are_told() {
    let headers =
        |at: &str, name: &str| format!("    identity: {{ headers: {{ {name}: sub }} }}\n    upstream: {at}");
    let text = FINE
        .replace("    upstream: https://app", &headers("https://app", "X-Remote-User"))
        .replace("    upstream: http://127", &headers("http://127", "X_Remote_User"));
    assert_snapshot!(Folder::new().told(&text));
}

#[test]
fn a_fixed_value_for_an_identity_header_is_told() {
    let edits =
        "    request_headers: { set: { x_forwarded_user: root, X-Env: prod } }\n    upstream: https://app";
    assert_snapshot!(Folder::new().told(&changed("    upstream: https://app", edits)));
}

#[test]
fn what_follows_from_a_misspelt_key_is_not_told() {
    let text = changed("    match: { host: app.example.com }", "    mach: { host: app.example.com }")
        .replace("providers:", "provider:");
    assert_snapshot!(Folder::new().told(&text));
}

#[test]
fn values_that_come_later_are_told_and_what_is_so_already_passes() {
    let usual = changed(
        "    client_id: app\n",
        "    client_id: app
    par: never
    response_type: code
    authorize_method: get
    refresh: never
    access_token_typ: [at+jwt]
",
    )
    .replace(
        "    upstream: http://127.0.0.1:3000\n",
        "    replay: false
    upstream: { servers: [\"http://127.0.0.1:3000\"], balance: round_robin, protocol: http1 }
",
    ) + "endpoints: { aliases: none }\npages: { languages: [en] }\n";
    assert_eq!(Folder::new().told(&usual), "");
    let later = usual
        .replace("par: never", "par: auto")
        .replace("response_type: code", "response_type: code id_token")
        .replace("authorize_method: get", "authorize_method: post")
        .replace("refresh: never", "refresh: auto")
        .replace("[at+jwt]", "[at+jwt, JWT]")
        .replace("replay: false", "replay: { max_body: 256KiB }")
        .replace("3000\"], balance", "3000\", \"http://127.0.0.1:3001\"], balance")
        .replace("aliases: none", "aliases: oauth2-proxy");
    assert_snapshot!(Folder::new().told(&later));
}

#[rstest]
#[case::none("", "")]
#[case::one_of_ours(
    "error.html",
    "{% extends \"base.html\" %}{% block content %}<p>{{ reason }}</p>{% endblock %}"
)]
#[case::another_style("style.css", "body { color: red }")]
#[case::a_hidden_file("..data", "anything")]
fn templates_in_the_place_of_ours_are_taken(#[case] name: &str, #[case] source: &str) {
    let folder = Folder::new();
    if !name.is_empty() {
        fs::write(folder.path(&format!("etc/pages/{name}")), source).unwrap();
    }
    let text = FINE.to_owned() + "pages: { directory: /etc/vestibule/pages, languages: [de, en] }\n";
    assert_eq!(folder.told(&text), "");
}

#[test]
fn a_template_that_could_fail_later_is_told_at_once() {
    let told = |name: &str, source: &[u8]| {
        let folder = Folder::new();
        fs::write(folder.path(&format!("etc/pages/{name}")), source).unwrap();
        folder.told(&(FINE.to_owned() + "pages: { directory: /etc/vestibule/pages }\n")) + "\n"
    };
    let faults = [
        told("error.html", b"<p>\n{% if %}"),
        told("error.html", b"<p>\n\n{{ nobody }}</p>"),
        told("sign_out.html", b"{{ words.logout }}"),
        told("login_loop.html", b"{% include \"other.html\" %}"),
        told("base.html", b"{% for a in range(10000) %}{% for b in range(10000) %}.{% endfor %}{% endfor %}"),
        told("eror.html", b""),
        told("logo.png", b""),
        told("chooser.html", b"\xff\xfe"),
        told("style.css", "x".repeat(300_000).as_bytes()),
        told("style.css", b"p {} </style>"),
        Folder::new().told(&(FINE.to_owned() + "pages: { directory: pages-of-nobody }\n")),
    ];
    assert_snapshot!(faults.concat());
}

#[test]
fn a_language_without_pages_is_told() {
    let told = |languages: &str| {
        Folder::new().told(&(FINE.to_owned() + &format!("pages: {{ languages: {languages} }}\n"))) + "\n"
    };
    assert_snapshot!(told("[en, nl]") + &told("[DE]") + &told("[en, en]") + &told("[]"));
}

#[test]
fn a_protocol_must_fit_the_url() {
    let speaks = |url: &str, protocol: &str| {
        let upstream = format!("    upstream: {{ servers: [\"{url}\"], protocol: {protocol} }}\n");
        Folder::new().told(&changed("    upstream: http://127.0.0.1:3000\n", &upstream))
    };
    for (url, protocol) in [
        ("http://127.0.0.1:3000", "h2c"),
        ("https://app.internal:3000", "h2"),
        ("https://app.internal:3000", "http1"),
    ] {
        assert_eq!(speaks(url, protocol), "", "{protocol} at {url}");
    }
    assert_snapshot!(speaks("http://127.0.0.1:3000", "h2") + &speaks("https://app.internal:3000", "h2c"));
}

#[test]
fn refused_header_names_are_told() {
    let headers = "    identity: { headers: { Host: sub, Cookie: sub, X-Forwarded-For: sub, X-Who: sub } }
    request_headers: { set: { Transfer-Encoding: chunked, X_WHO: root, X-Env: 1 }, remove: [Authorization] }
    upstream: https://app";
    assert_snapshot!(Folder::new().told(&changed("    upstream: https://app", headers)));
}

#[test]
fn a_user_header_from_a_claim_that_people_can_change_is_warned_of() {
    let headers = "    identity: { headers: { X-Remote-User: email, X-User-Email: email, X-Name: name } }
    upstream: https://app";
    assert_snapshot!(Folder::new().told(&changed("    upstream: https://app", headers)));
}

#[test]
fn an_empty_server_name_is_told() {
    let upstream = "upstream: { servers: [\"https://app.internal:8443\"], tls: { server_name: \"\" } }";
    assert_snapshot!(Folder::new().told(&changed("upstream: https://app.internal:8443", upstream)));
}

#[test]
fn an_https_address_without_a_server_name_is_told() {
    assert_snapshot!(Folder::new().told(&changed("https://app.internal:8443", "https://10.0.0.21:8443")));
}

#[test]
fn an_upstream_with_more_than_a_server_is_told() {
    assert_snapshot!(Folder::new().told(&changed("http://127.0.0.1:3000", "http://user@127.0.0.1:3000/app")));
}

#[test]
fn rules_that_ask_for_nothing_are_told() {
    let text = changed("    require: [{ groups: [staff] }]\n", "    require: []\n").replace(
        "    upstream: http://127",
        "    require: [{}, { groups: [] }, { domains: [\"@example.com\"] }]\n    upstream: http://127",
    );
    assert_snapshot!(Folder::new().told(&text));
}

#[test]
fn what_a_public_route_cannot_say_is_told() {
    let route = [
        "id: open",
        "match: { host: wiki.example.com, path: /open, any_host: true }",
        "auth: public",
        "require: [{ groups: [staff] }]",
        "identity: { headers: { X-Who: sub } }",
        "upstream: http://127.0.0.1:3001",
    ];
    assert_snapshot!(Folder::new().told(&with_route(&route)));
}

#[test]
fn routes_on_our_own_paths_are_told() {
    let route = [
        "id: own",
        "match: { host: wiki.example.com, path: /.vestibule/x }",
        "auth: public",
        "upstream: http://127.0.0.1:3001",
        "\n  - id: callback",
        "match: { host: wiki.example.com, path: /login/done }",
        "auth: public",
        "upstream: http://127.0.0.1:3001",
    ];
    let text = with_route(&route).replace("    \n", "") + "endpoints: { callback: /login/done }\n";
    assert_snapshot!(Folder::new().told(&text));
}

#[test]
fn faults_of_listeners_are_told() {
    let folder = Folder::new();
    fs::copy(folder.path("b.key"), folder.path("wrong.key")).unwrap();
    fs::write(folder.path("garbled.crt"), "-----BEGIN CERTIFICATE-----\n!!\n").unwrap();
    let listeners = "listeners:
  - { address: 8080 }
  - { address: \"8080\" }
  - { address: 0.0.0.0:443, tls: { certificate: a.crt, key: wrong.key } }
  - { address: 127.0.0.1:443, tls: { certificate: garbled.crt, key: a.key } }
  - { address: 0.0.0.0:444, tls: { certificates: [] } }
  - { address: 0.0.0.0:445, tls: { certificate: a.crt }, redirect_to_https: true }
  - { address: 0.0.0.0:446, tls: { certificate: a.crt } }
admin: { address: 0.0.0.0:9900, probes: 0.0.0.0:9900 }";
    assert_snapshot!(folder.told(&changed("listeners: [{ address: 0.0.0.0:8080 }]", listeners)));
}

#[test]
fn addresses_that_overlap_are_told() {
    let listeners = "listeners: [{ address: 0.0.0.0:8080 }, { address: 127.0.0.1:8080 }]";
    assert_snapshot!(Folder::new().told(&changed("listeners: [{ address: 0.0.0.0:8080 }]", listeners)));
}

#[test]
fn faults_of_a_provider_are_told() {
    let provider = "  Upper: { issuer: https://idp.example.com, client_id: a, client_auth: none }
  idp:
    issuer: https://idp.example.com
    pingone: { environment: x, region: eu }
    client_id: app
    client_secret: { file: /run/secrets/client-secret }
    client_auth: none
    scopes: [profile]
    id_token_algorithms: [RS256, HS256, none, RS265]
    authorize: { prompt: login, max_age: 300, state: x }
    after_sign_out: //evil.example
  ping:
    pingone: { environment: not-a-uuid, region: us }
    client_id: app
  pong:
    pingone: { domain: https://auth.example.com }
    client_id: app
    client_auth: none
";
    let faulty = "  idp:
    issuer: https://idp.example.com
    client_id: app
    client_secret: { file: /run/secrets/client-secret }
";
    assert_snapshot!(Folder::new().told(&changed(faulty, provider)));
}

#[rstest]
#[case(
    "{ environment: ABFBA8F6-49eb-49f5-a5d9-80ad5c98f9f6, region: au }",
    "https://auth.pingone.com.au/abfba8f6-49eb-49f5-a5d9-80ad5c98f9f6/as"
)]
#[case("{ domain: auth.example.com }", "https://auth.example.com/as")]
fn pingone_is_short_for_an_issuer(#[case] pingone: &str, #[case] issuer: &str) {
    let text = changed("issuer: https://idp.example.com", &format!("pingone: {pingone}"));
    let loaded = Folder::new().load(&text);
    assert_eq!(loaded.config.unwrap().providers[0].issuer, issuer);
}

#[test]
fn limits_of_sessions_are_told() {
    let text = changed(
        "  store: cookie\n",
        "  store: cookie
  idle_timeout: 14h
  absolute_timeout: 13h
  cookie: { name: __Host-x, max_size: 8KiB }
",
    );
    assert_snapshot!(Folder::new().told(&text));
}

#[test]
fn limits_of_slow_clients_are_told() {
    let limits = |time: &str, min: &str, after: &str| {
        let rate = format!("{{ min: {min}, after: {after} }}");
        Folder::new().told(&format!("{FINE}limits: {{ head: {{ time: {time} }}, body_rate: {rate} }}\n"))
    };
    assert_eq!(limits("5s", "2KiB", "1m"), "");
    assert_snapshot!(limits("0s", "0B", "0s"));
}

#[test]
fn twelve_faults_in_six_sections_are_twelve_lines() {
    let text = "\
origins: [app.example.com, http://wiki.example.com]
listeners: [{ address: 0.0.0.0 }]
trusted_proxies: [0.0.0.0/0]
endpoints: { prefx: /auth }
providers:
  idp:
    isuer: https://idp.example.com
    client_id: 4711
    client_secret: { file: /run/secrets/gone }
sessions:
  store: cokie
  idle_timeout: soon
routes:
  - id: app
    auth: { session: ipd }
    require: []
    upstream: http://127.0.0.1:3000
";
    let folder = Folder::new();
    let loaded = folder.load(text);
    assert_eq!(loaded.faults.len(), 12, "{}", folder.render(&loaded));
    assert_snapshot!(folder.render(&loaded));
}

#[test]
fn a_file_that_is_not_yaml_or_not_there_is_one_fault() {
    let folder = Folder::new();
    assert_snapshot!(folder.told("origins: [https://app.example.com\nlisteners: []\n"));
    let path = folder.path("nowhere.yaml");
    let loaded = load_with(&Source::File(path), &|_| None);
    assert_snapshot!("file_not_there", folder.render(&loaded));
}

#[test]
fn an_empty_file_lacks_what_is_required() {
    assert_snapshot!(Folder::new().told("# nothing yet\n"));
}

#[test]
fn paths_are_relative_to_the_files_folder() {
    let folder = Folder::new();
    let path = folder.path("config.yaml");
    fs::write(&path, FINE.replace("/run/secrets/", "secrets/")).unwrap();
    let loaded = load_with(&Source::File(path), &|_| None);
    assert!(loaded.config.is_some(), "{}", folder.render(&loaded));
}

#[rstest]
#[case("legacy-edge.yaml")]
#[case("sidecar.yaml")]
fn a_sample_file_has_no_faults(#[case] name: &str) {
    let text = fs::read_to_string(Path::new("config").join(name)).unwrap();
    let folder = Folder::new();
    let loaded = folder.load(&text);
    assert!(loaded.config.is_some(), "{}", folder.render(&loaded));
}

#[test]
fn the_schema_stays_as_it_is() {
    assert_snapshot!(format!("{:#}", vestibule::config::schema()));
}

const VALUES: &[&str] =
    &["", "[]", "{}", "5", "-1", "\"\"", "x", "~", "true", "[x]", "{ x: y }", "/", "https://x", "[~]"];

/// Made once: the property below only reads it.
static FOLDER: LazyLock<Folder> = LazyLock::new(Folder::new);

proptest! {
    /// Whatever is wrong in one place: there is a configuration or a fault, never neither.
    #[test]
    fn one_value_changed_gives_a_configuration_or_a_fault(
        line in 0..FINE.lines().count(),
        value in prop::sample::select(VALUES),
    ) {
        let changed = |(number, text): (usize, &str)| match text.split_once(": ") {
            Some((key, _)) if number == line => format!("{key}: {value}\n"),
            None if number == line => String::new(),
            _ => format!("{text}\n"),
        };
        let text: String = FINE.lines().enumerate().map(changed).collect();
        let loaded = FOLDER.load(&text);
        prop_assert_eq!(loaded.config.is_some(), loaded.faults.is_empty(), "{}", text);
    }
}
