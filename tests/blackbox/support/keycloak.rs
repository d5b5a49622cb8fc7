//! A real Keycloak, from Maven Central: fetched once, kept in `target/`, started with a realm of its own.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use vestibule::clock::Stopwatch;

use super::browser::{ADA, GRACE, User};
use super::listener::free_port;
use super::provider::{CLIENT_ID, CLIENT_SECRET, POSTING_CLIENT_ID, entry};

const VERSION: &str = "26.7.3";
/// What Maven Central says of the archive of this version.
const SHA256: &str = "27a6535553c3cdcd083872ba40629efafb3475e3b758e0c6f691395561dd0f1f";
/// It builds itself at the first start.
const START: Duration = Duration::from_mins(3);

/// The running server; it ends when dropped.
pub(crate) struct Keycloak {
    child: Child,
    issuer: String,
    realm: PathBuf,
    folder: tempfile::TempDir,
}

impl Keycloak {
    /// Starts it for a client at these origins; none, with the reason printed, where Maven Central or a Java
    /// can't be reached.
    pub(crate) fn start(origins: &[&str]) -> Option<Self> {
        let home = match installed() {
            Ok(home) => home,
            Err(why) => {
                println!("no Keycloak: {why}");
                return None;
            }
        };
        let port = free_port();
        let folder = tempfile::tempdir().expect("a folder");
        // It reads all realms in this folder, and keeps them in memory.
        let realms = home.join("data/import");
        fs::create_dir_all(&realms).expect("a folder can be made");
        let name = format!("vestibule-{port}");
        let file = realms.join(format!("{name}-realm.json"));
        fs::write(&file, realm(&name, origins).to_string()).expect("a file can be written");
        let log = fs::File::create(folder.path().join("log")).expect("a file");
        let child = Command::new(home.join("bin/kc.sh"))
            .args(["start-dev", "--import-realm", "--http-host=127.0.0.1", "--db=dev-mem", "--cache=local"])
            .arg(format!("--http-port={port}"))
            .arg(format!("--hostname=http://127.0.0.1:{port}"))
            // The script starts a Java and waits for it: both end together.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("Keycloak can be started");
        let issuer = format!("http://127.0.0.1:{port}/realms/{name}");
        let mut keycloak = Self { child, issuer, realm: file, folder };
        keycloak.wait();
        Some(keycloak)
    }

    fn wait(&mut self) {
        let since = Stopwatch::start();
        let url = format!("{}/.well-known/openid-configuration", self.issuer);
        while since.elapsed() < START {
            let asked = Command::new("curl").args(["-sf", "-o", "/dev/null", &url]).status();
            if asked.is_ok_and(|status| status.success()) {
                return;
            }
            let ended = self.child.try_wait().expect("the process can be asked");
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(ended.is_none(), "Keycloak ended:\n{log}");
            thread::sleep(Duration::from_millis(500));
        }
        panic!("Keycloak wasn't ready in time");
    }

    /// The entry of `providers` that names it.
    pub(crate) fn entry(&self) -> Value {
        entry(&self.issuer)
    }
}

impl Drop for Keycloak {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.realm);
    }
}

fn realm(name: &str, origins: &[&str]) -> Value {
    let person = |user: User, groups: &[&str]| {
        json!({
            "username": user.name, "enabled": true, "email": format!("{}@example.com", user.name),
            "emailVerified": true, "firstName": user.name, "lastName": "Example", "groups": groups,
            "credentials": [{ "type": "password", "value": user.password, "temporary": false }],
        })
    };
    let client = |id: &str| {
        json!({
            "clientId": id,
            "secret": CLIENT_SECRET,
            "enabled": true,
            "standardFlowEnabled": true,
            "redirectUris": origins.iter().map(|origin| format!("{origin}/*")).collect::<Vec<_>>(),
            "attributes": { "post.logout.redirect.uris": "+", "pkce.code.challenge.method": "S256" },
            "protocolMappers": [{
                "name": "groups",
                "protocol": "openid-connect",
                "protocolMapper": "oidc-group-membership-mapper",
                "config": {
                    "claim.name": "groups", "full.path": "false", "id.token.claim": "true",
                    "access.token.claim": "false", "userinfo.token.claim": "true",
                },
            }],
        })
    };
    json!({
        "realm": name,
        "enabled": true,
        "sslRequired": "none",
        "groups": [{ "name": "staff" }, { "name": "finance" }],
        "users": [person(ADA, &["staff", "finance"]), person(GRACE, &["staff"])],
        "clients": [client(CLIENT_ID), client(POSTING_CLIENT_ID)],
    })
}

/// Where it is unpacked.
fn installed() -> Result<PathBuf, String> {
    // One of several tests fetches it, the others wait.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let java = Command::new("java").arg("-version").stderr(Stdio::null()).status();
    if !java.is_ok_and(|status| status.success()) {
        return Err("no java here; on Debian: apt-get install default-jre-headless".to_owned());
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/keycloak");
    let home = target.join(format!("keycloak-{VERSION}"));
    if home.join("bin/kc.sh").exists() {
        return Ok(home);
    }
    fs::create_dir_all(&target).map_err(|error| error.to_string())?;
    let archive = target.join("keycloak.zip");
    let url = format!(
        "https://repo1.maven.org/maven2/org/keycloak/keycloak-quarkus-dist/{VERSION}/keycloak-quarkus-dist-{VERSION}.zip"
    );
    run(Command::new("curl")
        .args(["-sf", "--retry", "2", "--max-time", "300", "-o"])
        .arg(&archive)
        .arg(url))?;
    let listed = target.join("keycloak.zip.sha256");
    fs::write(&listed, format!("{}  keycloak.zip\n", SHA256.trim())).map_err(|error| error.to_string())?;
    let checked = run(Command::new("sha256sum").arg("-c").arg(&listed).current_dir(&target));
    assert_eq!(checked, Ok(()), "the archive isn't what it was when its version was chosen");
    // Beside, then moved over: a test run that is ended in the middle leaves no half of it.
    let half = target.join("unpacking");
    let _ = fs::remove_dir_all(&half);
    run(Command::new("unzip").arg("-q").arg(&archive).arg("-d").arg(&half))?;
    fs::rename(half.join(format!("keycloak-{VERSION}")), &home).map_err(|error| error.to_string())?;
    Ok(home)
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.stdout(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{:?} ended with {status}", command.get_program())),
        Err(error) => Err(format!("{:?} can't be started: {error}", command.get_program())),
    }
}
