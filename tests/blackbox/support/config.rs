//! A configuration for one gateway, written as JSON, which is YAML.

use std::fs;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use std::io::Write as _;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::listener::free_port;
use super::provider::CLIENT_SECRET;
use super::upstream::Upstream;

/// 32 bytes, base64url.
pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

/// The configuration, its folder and the ports it names.
#[derive(Debug)]
pub(crate) struct Config {
    value: Value,
    folder: TempDir,
    port: u16,
    admin: u16,
}

impl Config {
    /// One origin on loopback http, one provider called `idp`, the memory store, `/public` open
    /// and everything else behind a session.
    pub(crate) fn new(provider: &Value, upstream: &Upstream) -> Self {
        let (port, admin) = (free_port(), free_port());
        let value = json!({
            "origins": [format!("http://localhost:{port}")],
            "listeners": [{ "address": format!("127.0.0.1:{port}") }],
            "admin": { "address": format!("127.0.0.1:{admin}") },
            "threads": 2,
            "shutdown": { "delay": "0s", "grace": "5s" },
            "log": { "format": "text", "level": "info" },
            "providers": { "idp": provider },
            "sessions": { "store": "memory", "keys": [{ "file": "session-key" }] },
            "routes": [
                { "id": "open", "match": { "path": "/public" }, "auth": "public", "upstream": upstream.url() },
                { "id": "app", "auth": { "session": "idp" }, "upstream": upstream.url() },
            ],
        });
        let config = Self { value, folder: tempfile::tempdir().expect("a folder"), port, admin };
        config.file("client-secret", CLIENT_SECRET);
        config.file("session-key", KEY);
        config
    }

    /// Writes `value` at a JSON pointer, making the objects on the way.
    pub(crate) fn set(mut self, pointer: &str, value: Value) -> Self {
        let mut place = &mut self.value;
        for key in pointer.split('/').skip(1) {
            place = match place {
                Value::Array(list) => {
                    let index: usize = key.parse().expect("an index into a list");
                    list.get_mut(index).expect("an index within the list")
                }
                place => {
                    if !place.is_object() {
                        *place = json!({});
                    }
                    place.as_object_mut().expect("an object").entry(key).or_insert(Value::Null)
                }
            };
        }
        *place = value;
        self
    }

    /// Removes what is at the end of a JSON pointer.
    pub(crate) fn unset(mut self, pointer: &str) -> Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        if let Some(object) = self.value.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.remove(key);
        }
        self
    }

    /// Puts a route before the others.
    pub(crate) fn route(mut self, route: Value) -> Self {
        let routes = self.value.get_mut("routes").and_then(Value::as_array_mut).expect("routes");
        routes.insert(0, route);
        self
    }

    /// Serves TLS with this certificate and key (PEM) as `https://localhost:PORT`.
    pub(crate) fn tls(self, certificate: &str, key: &str) -> Self {
        self.file("tls.crt", certificate);
        self.file("tls.key", key);
        let (port, folder) = (self.port, self.folder.path().to_path_buf());
        self.set("/origins", json!([format!("https://localhost:{port}")])).set(
            "/listeners/0/tls",
            json!({ "certificate": folder.join("tls.crt"), "key": folder.join("tls.key") }),
        )
    }

    /// The first listener as it stands.
    pub(crate) fn listener(&self) -> Value {
        self.value.pointer("/listeners/0").cloned().unwrap_or_default()
    }

    /// Writes a file that only its owner can read; `{ "file": NAME }` refers to it.
    pub(crate) fn file(&self, name: &str, content: &str) {
        let path = self.folder.path().join(name);
        let mut options = fs::OpenOptions::new();
        let file = options.create(true).truncate(true).write(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(content.as_bytes())).expect("the file can be written");
    }

    /// Where a file of this name is.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes the configuration and says where.
    pub(crate) fn write(&self) -> PathBuf {
        let mut value = self.value.clone();
        resolve(&mut value, self.folder.path());
        let text = serde_json::to_string_pretty(&value).expect("a JSON text");
        self.file("vestibule.yaml", &text);
        self.folder.path().join("vestibule.yaml")
    }

    /// The public port.
    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The admin port.
    pub(crate) const fn admin(&self) -> u16 {
        self.admin
    }

    /// The first origin.
    pub(crate) fn origin(&self) -> &str {
        self.value.pointer("/origins/0").and_then(Value::as_str).unwrap_or_default()
    }
}

/// Makes the plain names under `file` absolute.
fn resolve(value: &mut Value, folder: &Path) {
    match value {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(name) if key == "file" && !name.contains('/') => {
                        *name = folder.join(&*name).display().to_string();
                    }
                    value => resolve(value, folder),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| resolve(value, folder)),
        _ => {}
    }
}
