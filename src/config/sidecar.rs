//! A sidecar without a file: environment variables and flags as the YAML they stand for.
//!
//! Secrets are only ever named: the YAML says `{ env: … }` or `{ file: … }`.

use std::fmt;
use std::fmt::Write as _;

use clap::Args;

use super::{Loaded, Source, load_with};

/// Flags of `vestibule run` without a file; each stands before its variable. Secrets have none.
#[allow(rustdoc::bare_urls, reason = "the text is what --help prints, too")]
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// Issuer of the OpenID provider [env: VESTIBULE_ISSUER]
    #[arg(long)]
    pub issuer: Option<String>,
    /// The client as registered there [env: VESTIBULE_CLIENT_ID]
    #[arg(long)]
    pub client_id: Option<String>,
    /// What browsers type: https://app.example.com [env: VESTIBULE_ORIGIN]
    #[arg(long)]
    pub origin: Option<String>,
    /// The service behind: http://127.0.0.1:3000 [env: VESTIBULE_UPSTREAM]
    #[arg(long)]
    pub upstream: Option<String>,
    /// Address and port to listen on (0.0.0.0:8080) [env: VESTIBULE_LISTEN]
    #[arg(long)]
    pub listen: Option<String>,
    /// Scopes, separated by commas or blanks (openid,profile,email) [env: VESTIBULE_SCOPES]
    #[arg(long)]
    pub scopes: Option<String>,
    /// Networks whose X-Forwarded headers count, separated by commas [env: VESTIBULE_TRUSTED_PROXIES]
    #[arg(long)]
    pub trusted_proxies: Option<String>,
    /// Paths that need no sign-in, separated by commas [env: VESTIBULE_PUBLIC_PATHS]
    #[arg(long)]
    pub public_paths: Option<String>,
    /// Lets in members of these groups, separated by commas [env: VESTIBULE_ALLOW_GROUPS]
    #[arg(long)]
    pub allow_groups: Option<String>,
    /// Lets in verified e-mail addresses of these domains, separated by commas [env: VESTIBULE_ALLOW_DOMAINS]
    #[arg(long)]
    pub allow_domains: Option<String>,
    /// Lets in everybody who can sign in: true [env: VESTIBULE_ALLOW_ANYONE]
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub allow_anyone: Option<String>,
}

impl Flags {
    /// Whether any was given.
    #[must_use]
    pub fn any(&self) -> bool {
        let flags = [
            &self.issuer,
            &self.client_id,
            &self.origin,
            &self.upstream,
            &self.listen,
            &self.scopes,
            &self.trusted_proxies,
            &self.public_paths,
            &self.allow_groups,
            &self.allow_domains,
            &self.allow_anyone,
        ];
        flags.into_iter().any(Option::is_some)
    }

    /// The flag that stands before a variable, if it was given.
    #[must_use]
    pub fn value(&self, variable: &str) -> Option<String> {
        let flag = match variable {
            "VESTIBULE_ISSUER" => &self.issuer,
            "VESTIBULE_CLIENT_ID" => &self.client_id,
            "VESTIBULE_ORIGIN" => &self.origin,
            "VESTIBULE_UPSTREAM" => &self.upstream,
            "VESTIBULE_LISTEN" => &self.listen,
            "VESTIBULE_SCOPES" => &self.scopes,
            "VESTIBULE_TRUSTED_PROXIES" => &self.trusted_proxies,
            "VESTIBULE_PUBLIC_PATHS" => &self.public_paths,
            "VESTIBULE_ALLOW_GROUPS" => &self.allow_groups,
            "VESTIBULE_ALLOW_DOMAINS" => &self.allow_domains,
            "VESTIBULE_ALLOW_ANYONE" => &self.allow_anyone,
            _ => &None,
        };
        flag.clone()
    }
}

/// A sidecar's settings: complete, though their values are only checked when loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    issuer: String,
    client_id: String,
    client_secret: SecretSource,
    origin: String,
    upstream: String,
    listen: String,
    session_key: SecretSource,
    scopes: Vec<String>,
    trusted_proxies: Vec<String>,
    public_paths: Vec<String>,
    allow: Allow,
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SecretSource {
    /// In this variable.
    Variable(&'static str),
    /// In this file, which that variable names.
    File(String),
}

/// Who may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Allow {
    Groups(Vec<String>),
    Domains(Vec<String>),
    Anyone,
}

/// A variable that is missing or contradicts another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarFault {
    /// The variable.
    pub variable: &'static str,
    /// What is wrong.
    pub why: String,
    /// What to set it to.
    pub what_to_write: String,
}

impl fmt::Display for SidecarFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variable, why, what_to_write } = self;
        write!(f, "{variable}: {why}\n    write: {what_to_write}")
    }
}

/// Which variable a key of the YAML comes from.
const ORIGINS_OF_KEYS: [(&str, &str); 6] = [
    ("origins", "VESTIBULE_ORIGIN"),
    ("listeners", "VESTIBULE_LISTEN"),
    ("trusted_proxies", "VESTIBULE_TRUSTED_PROXIES"),
    ("providers.idp.issuer", "VESTIBULE_ISSUER"),
    ("providers.idp.client_id", "VESTIBULE_CLIENT_ID"),
    ("providers.idp.scopes", "VESTIBULE_SCOPES"),
];

impl Settings {
    /// Reads the variables `VESTIBULE_…`; an empty one counts as absent.
    ///
    /// # Errors
    /// Every variable that is missing or contradicts another.
    pub fn from_env(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, Vec<SidecarFault>> {
        let mut variables = Variables { lookup, faults: Vec::new() };
        let issuer = variables.required("VESTIBULE_ISSUER", "the issuer of the OpenID provider");
        let client_id = variables.required("VESTIBULE_CLIENT_ID", "the client as registered at the provider");
        let client_secret = variables.secret(
            "VESTIBULE_CLIENT_SECRET",
            "VESTIBULE_CLIENT_SECRET_FILE",
            "the client's secret",
        );
        let origin = variables.required("VESTIBULE_ORIGIN", "what browsers type: https://app.example.com");
        let upstream = variables.required("VESTIBULE_UPSTREAM", "the service behind: http://127.0.0.1:3000");
        let session_key = variables.secret(
            "VESTIBULE_SESSION_KEY",
            "VESTIBULE_SESSION_KEY_FILE",
            "what `vestibule key` prints; with several, separated by commas, the first seals and all open",
        );
        let listen = variables.optional("VESTIBULE_LISTEN").unwrap_or_else(|| "0.0.0.0:8080".to_owned());
        let scopes = variables.list("VESTIBULE_SCOPES");
        let trusted_proxies = variables.list("VESTIBULE_TRUSTED_PROXIES");
        let public_paths = variables.list("VESTIBULE_PUBLIC_PATHS");
        let allow = variables.allow();
        let settings = (|| {
            Some(Self {
                issuer: issuer?,
                client_id: client_id?,
                client_secret: client_secret?,
                origin: origin?,
                upstream: upstream?,
                listen,
                session_key: session_key?,
                scopes,
                trusted_proxies,
                public_paths,
                allow: allow?,
            })
        })();
        settings.filter(|_| variables.faults.is_empty()).ok_or(variables.faults)
    }

    /// The equivalent configuration file.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut yaml = String::new();
        // Writing to a text can't fail.
        let _ = self.write(&mut yaml);
        yaml
    }

    fn write(&self, yaml: &mut String) -> fmt::Result {
        writeln!(yaml, "origins: [{}]", quoted(&self.origin))?;
        writeln!(yaml, "listeners: [{{ address: {} }}]", quoted(&self.listen))?;
        if !self.trusted_proxies.is_empty() {
            writeln!(yaml, "trusted_proxies: [{}]", all_quoted(&self.trusted_proxies))?;
        }
        writeln!(yaml, "\nproviders:\n  idp:\n    issuer: {}", quoted(&self.issuer))?;
        writeln!(yaml, "    client_id: {}", quoted(&self.client_id))?;
        writeln!(yaml, "    client_secret: {}", self.client_secret)?;
        if !self.scopes.is_empty() {
            writeln!(yaml, "    scopes: [{}]", all_quoted(&self.scopes))?;
        }
        writeln!(yaml, "\nsessions:\n  store: cookie\n  keys: [{}]\n", self.session_key)?;
        writeln!(yaml, "routes:\n  - id: app\n    auth: {{ session: idp }}")?;
        match &self.allow {
            Allow::Groups(groups) => writeln!(yaml, "    require: [{{ groups: [{}] }}]", all_quoted(groups))?,
            Allow::Domains(domains) => {
                writeln!(yaml, "    require: [{{ domains: [{}] }}]", all_quoted(domains))?;
            }
            Allow::Anyone => {}
        }
        writeln!(yaml, "    upstream: {}", quoted(&self.upstream))?;
        for (number, path) in (1..).zip(&self.public_paths) {
            writeln!(yaml, "  - id: public-{number}\n    match: {{ path: {} }}", quoted(path))?;
            writeln!(yaml, "    auth: public\n    upstream: {}", quoted(&self.upstream))?;
        }
        Ok(())
    }

    /// Loads the equivalent file; faults name the variable where one is at fault.
    #[must_use]
    pub fn load(&self, environment: &dyn Fn(&str) -> Option<String>) -> Loaded {
        let name = "environment".to_owned();
        let source = Source::Text { name, text: self.to_yaml(), base_dir: ".".into() };
        let mut loaded = load_with(&source, environment);
        for fault in &mut loaded.faults {
            fault.key = self.named_by_variable(&fault.key);
        }
        // One variable may stand in several places of the YAML.
        let mut told: Vec<(String, String)> = Vec::new();
        loaded.faults.retain(|fault| {
            let new = !told.contains(&(fault.key.clone(), fault.why.clone()));
            told.push((fault.key.clone(), fault.why.clone()));
            new
        });
        for warning in &mut loaded.warnings {
            warning.key = self.named_by_variable(&warning.key);
        }
        loaded
    }

    fn named_by_variable(&self, key: &str) -> String {
        let groups = matches!(self.allow, Allow::Groups(_));
        let of_secret = |secret: &SecretSource, variable, file| match secret {
            SecretSource::Variable(_) => variable,
            SecretSource::File(_) => file,
        };
        let variable = if key.starts_with("providers.idp.client_secret") {
            of_secret(&self.client_secret, "VESTIBULE_CLIENT_SECRET", "VESTIBULE_CLIENT_SECRET_FILE")
        } else if key.starts_with("sessions.keys") {
            of_secret(&self.session_key, "VESTIBULE_SESSION_KEY", "VESTIBULE_SESSION_KEY_FILE")
        } else if key.starts_with("routes") && key.contains(".upstream") {
            "VESTIBULE_UPSTREAM"
        } else if key.starts_with("routes[0].require") {
            if groups { "VESTIBULE_ALLOW_GROUPS" } else { "VESTIBULE_ALLOW_DOMAINS" }
        } else if key.starts_with("routes[") && !key.starts_with("routes[0]") {
            "VESTIBULE_PUBLIC_PATHS"
        } else {
            let known = ORIGINS_OF_KEYS.iter().find(|(prefix, _)| key.starts_with(prefix));
            known.map_or(key, |(_, variable)| variable)
        };
        variable.to_owned()
    }
}

struct Variables<F> {
    lookup: F,
    faults: Vec<SidecarFault>,
}

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    fn optional(&self, variable: &str) -> Option<String> {
        (self.lookup)(variable).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn required(&mut self, variable: &'static str, what: &str) -> Option<String> {
        let value = self.optional(variable);
        if value.is_none() {
            self.fault(variable, "is required", what);
        }
        value
    }

    fn list(&self, variable: &str) -> Vec<String> {
        let text = self.optional(variable).unwrap_or_default();
        text.split([',', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect()
    }

    /// Names with blanks inside are kept whole: only commas part them.
    fn names(&self, variable: &str) -> Option<Vec<String>> {
        let text = self.optional(variable)?;
        Some(text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }

    fn secret(&mut self, variable: &'static str, file: &'static str, what: &str) -> Option<SecretSource> {
        match (self.optional(variable), self.optional(file)) {
            (Some(_), None) => return Some(SecretSource::Variable(variable)),
            (None, Some(path)) => return Some(SecretSource::File(path)),
            (Some(_), Some(_)) => self.fault(file, &format!("{variable} is set too"), "only one of the two"),
            (None, None) => self.fault(variable, &format!("is required (or {file})"), what),
        }
        None
    }

    fn allow(&mut self) -> Option<Allow> {
        let groups = self.names("VESTIBULE_ALLOW_GROUPS");
        let domains = self.names("VESTIBULE_ALLOW_DOMAINS");
        let anyone = self.optional("VESTIBULE_ALLOW_ANYONE");
        match (groups, domains, anyone.as_deref()) {
            (Some(groups), None, None) => Some(Allow::Groups(groups)),
            (None, Some(domains), None) => Some(Allow::Domains(domains)),
            (None, None, Some("true")) => Some(Allow::Anyone),
            (None, None, Some(_)) => {
                let write = "true, or set VESTIBULE_ALLOW_GROUPS or VESTIBULE_ALLOW_DOMAINS instead";
                self.fault("VESTIBULE_ALLOW_ANYONE", "only true means something", write);
                None
            }
            (None, None, None) => {
                let write =
                    "one of VESTIBULE_ALLOW_GROUPS, VESTIBULE_ALLOW_DOMAINS, VESTIBULE_ALLOW_ANYONE=true";
                self.fault("VESTIBULE_ALLOW_GROUPS", "who may pass must be said", write);
                None
            }
            (groups, ..) => {
                let variable =
                    if groups.is_some() { "VESTIBULE_ALLOW_GROUPS" } else { "VESTIBULE_ALLOW_DOMAINS" };
                self.fault(variable, "several VESTIBULE_ALLOW_… are set", "exactly one of them");
                None
            }
        }
    }

    fn fault(&mut self, variable: &'static str, why: &str, what_to_write: &str) {
        self.faults.push(SidecarFault {
            variable,
            why: why.to_owned(),
            what_to_write: what_to_write.to_owned(),
        });
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => write!(f, "{{ env: {name} }}"),
            Self::File(path) => write!(f, "{{ file: {} }}", quoted(path)),
        }
    }
}

/// A text in double quotes; JSON's escapes are YAML's too.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn all_quoted(texts: &[String]) -> String {
    texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rstest::rstest;

    use super::*;
    use crate::seal::MasterKey;

    fn complete() -> HashMap<String, String> {
        let key = MasterKey::random().to_base64url();
        let keys = format!("{},{}", key.as_str(), MasterKey::random().to_base64url().as_str());
        [
            ("VESTIBULE_ISSUER", "https://idp.example.com"),
            ("VESTIBULE_CLIENT_ID", "app"),
            ("VESTIBULE_CLIENT_SECRET", "hunter2"),
            ("VESTIBULE_ORIGIN", "https://app.example.com"),
            ("VESTIBULE_UPSTREAM", "http://127.0.0.1:3000"),
            ("VESTIBULE_SESSION_KEY", &keys),
            ("VESTIBULE_TRUSTED_PROXIES", "10.4.0.0/24, 10.5.0.0/24"),
            ("VESTIBULE_PUBLIC_PATHS", "/static,/robots.txt"),
            ("VESTIBULE_ALLOW_GROUPS", "Domain Users, staff"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    #[test]
    fn loads_with_two_session_keys_and_no_secret_in_the_yaml() {
        let variables = complete();
        let lookup = |name: &str| variables.get(name).cloned();
        let settings = Settings::from_env(lookup).unwrap();
        let yaml = settings.to_yaml();
        assert!(!yaml.contains("hunter2") && !yaml.contains(&variables["VESTIBULE_SESSION_KEY"]));
        let loaded = settings.load(&lookup);
        let config = loaded.config.unwrap_or_else(|| panic!("{:?}\n{yaml}", loaded.faults));
        assert_eq!(config.sessions.keys.len(), 2);
        assert_eq!(config.routes.len(), 3);
        assert_eq!(config.routes[0].require.entries[0].groups, ["Domain Users", "staff"]);
        assert_eq!(config.trusted_proxies.len(), 2);
        assert_eq!(config.listeners[0].address.to_string(), "0.0.0.0:8080");
    }

    #[rstest]
    #[case::no_issuer("VESTIBULE_ISSUER", "", "VESTIBULE_ISSUER")]
    #[case::no_key("VESTIBULE_SESSION_KEY", "", "VESTIBULE_SESSION_KEY")]
    #[case::two_secrets("VESTIBULE_CLIENT_SECRET_FILE", "/x", "VESTIBULE_CLIENT_SECRET_FILE")]
    #[case::nobody_allowed("VESTIBULE_ALLOW_GROUPS", "", "VESTIBULE_ALLOW_GROUPS")]
    #[case::two_rules("VESTIBULE_ALLOW_ANYONE", "true", "VESTIBULE_ALLOW_GROUPS")]
    fn names_the_variable_at_fault(#[case] variable: &str, #[case] value: &str, #[case] named: &str) {
        let mut variables = complete();
        variables.insert(variable.to_owned(), value.to_owned());
        let faults = Settings::from_env(|name| variables.get(name).cloned()).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.variable).collect::<Vec<_>>(), [named]);
    }

    #[rstest]
    #[case::issuer("VESTIBULE_ISSUER", "http://idp.example.com")]
    #[case::origin("VESTIBULE_ORIGIN", "app.example.com")]
    #[case::upstream("VESTIBULE_UPSTREAM", "127.0.0.1:3000")]
    #[case::listen("VESTIBULE_LISTEN", "8080")]
    #[case::session_key("VESTIBULE_SESSION_KEY", "short")]
    #[case::scopes("VESTIBULE_SCOPES", "profile")]
    #[case::proxies("VESTIBULE_TRUSTED_PROXIES", "0.0.0.0/0")]
    #[case::public_path("VESTIBULE_PUBLIC_PATHS", "static")]
    fn names_the_variable_whose_value_is_wrong(#[case] variable: &str, #[case] value: &str) {
        let mut variables = complete();
        variables.insert(variable.to_owned(), value.to_owned());
        let lookup = |name: &str| variables.get(name).cloned();
        let loaded = Settings::from_env(lookup).unwrap().load(&lookup);
        assert_eq!(loaded.faults.iter().map(|fault| fault.key.as_str()).collect::<Vec<_>>(), [variable]);
    }

    #[test]
    fn a_flag_stands_before_its_variable() {
        let variables = complete();
        let flags = Flags { listen: Some("127.0.0.1:9000".into()), ..Flags::default() };
        let lookup = |name: &str| flags.value(name).or_else(|| variables.get(name).cloned());
        assert!(Settings::from_env(lookup).unwrap().to_yaml().contains("127.0.0.1:9000"));
    }

    #[test]
    fn a_text_with_quotes_stays_one_text() {
        let mut variables = complete();
        variables.insert("VESTIBULE_CLIENT_ID".into(), "a\" }\nevil: {".into());
        let lookup = |name: &str| variables.get(name).cloned();
        let loaded = Settings::from_env(lookup).unwrap().load(&lookup);
        assert_eq!(loaded.config.unwrap().providers[0].client_id, "a\" }\nevil: {");
    }
}
