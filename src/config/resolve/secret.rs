//! Secrets: from a file, the environment, or (with a warning) the configuration itself.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::super::file::Secret;
use super::super::key::KeyPath;
use super::Resolver;
use crate::seal::MasterKey;

impl Resolver<'_> {
    /// The secret, without the newline at the end of its file.
    pub(super) fn secret(&mut self, at: &KeyPath, secret: &Secret) -> Option<SecretString> {
        let found = match (&secret.file, &secret.env, &secret.value) {
            (Some(file), None, None) => self.secret_of_file(&at.key("file"), file)?,
            (None, Some(name), None) => self.secret_of_environment(&at.key("env"), name)?,
            (None, None, Some(value)) => {
                self.warn(
                    &at.key("value"),
                    "stands in the configuration itself, where backups and version control keep it",
                    "{ file: PATH } or { env: NAME }",
                );
                value.clone()
            }
            (None, None, None) if self.is_reported(at) => return None,
            (file, env, value) => {
                let none = file.is_none() && env.is_none() && value.is_none();
                let why =
                    if none { "a secret needs a source" } else { "a secret has one source, not several" };
                self.fault(at, why, "{ file: PATH } or { env: NAME }");
                return None;
            }
        };
        if found.expose_secret().is_empty() {
            self.fault(at, "the secret is empty", "a source that holds the secret");
            return None;
        }
        Some(found)
    }

    fn secret_of_file(&mut self, at: &KeyPath, written: &str) -> Option<SecretString> {
        let path = self.resolve_path(written);
        let bytes = self.private_file(at, &path)?;
        let Ok(text) = std::str::from_utf8(&bytes) else {
            self.fault(at, format!("the file {} is not text", path.display()), "a text file");
            return None;
        };
        Some(text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line)).into())
    }

    fn secret_of_environment(&mut self, at: &KeyPath, name: &str) -> Option<SecretString> {
        let value = (self.environment)(name);
        if value.is_none() {
            self.fault(
                at,
                format!("the environment has no variable {}", name.escape_debug()),
                "the name of a variable that is set, or { file: PATH }",
            );
        }
        value.map(SecretString::from)
    }

    /// The session keys of one secret: one, or several separated by commas.
    pub(super) fn session_keys(&mut self, at: &KeyPath, secret: &Secret) -> Vec<MasterKey> {
        let Some(text) = self.secret(at, secret) else { return Vec::new() };
        let mut keys = Vec::new();
        for (index, part) in text.expose_secret().split(',').enumerate() {
            let part = Zeroizing::new(part.trim().to_owned());
            if let Ok(key) = MasterKey::parse(&part) {
                keys.push(key);
            } else {
                let which = if index == 0 { String::new() } else { format!(" (number {})", index + 1) };
                self.fault(
                    at,
                    format!("the key{which} is not 32 bytes in base64url"),
                    "nothing here: put a key there that `vestibule key` printed",
                );
            }
        }
        keys
    }
}
