//! `providers`.

use std::time::Duration;

use url::Url;

use super::super::file::provider::{
    AuthorizeMethod, ClaimNames, ClientAuth, Par, PingOne, Provider, Refresh, Region, ResponseMode, SignOut,
    Tls, Userinfo,
};
use super::super::key::KeyPath;
use super::super::nearest::suggestion;
use super::super::values::{List, Named, Rate, Scalar};
use super::Resolver;
use super::origin::Site;
use crate::http_client;
use crate::identity::{self, ClaimPath, EmailVerified, ProviderName};
use crate::oidc::authorization::is_reserved;
use crate::oidc::{self, SigningAlgorithm};
use crate::route::origin::Host;

const LOGIN_RATE: Rate = Rate(20);
const ALGORITHMS: [(&str, SigningAlgorithm); 4] = [
    ("RS256", SigningAlgorithm::Rs256),
    ("PS256", SigningAlgorithm::Ps256),
    ("ES256", SigningAlgorithm::Es256),
    ("EdDSA", SigningAlgorithm::EdDsa),
];

/// The providers whose names could be read, in the order of the file.
pub(crate) type Providers = Vec<(ProviderName, Option<oidc::Config>)>;

impl Resolver<'_> {
    pub(super) fn providers(&mut self, providers: Option<&Named<Provider>>, site: &Site) -> Providers {
        let at = KeyPath::root().key("providers");
        let mut resolved = Vec::new();
        for (written, provider) in providers.iter().flat_map(|providers| providers.entries()) {
            let at = at.key(written);
            match ProviderName::parse(written) {
                Ok(name) => {
                    if written.starts_with("login-") {
                        self.fault_of_key(
                            &at,
                            "begins as the cookies of logins do",
                            "a name that doesn't begin with login-",
                        );
                    }
                    let config = self.provider(&at, &name, provider, site.danger_plain_http);
                    resolved.push((name, config));
                }
                Err(error) => {
                    self.fault_of_key(
                        &at,
                        format!("{error}, since it stands in cookie names"),
                        "a name such as workforce",
                    );
                }
            }
        }
        resolved
    }

    fn provider(
        &mut self,
        at: &KeyPath,
        name: &ProviderName,
        provider: &Provider,
        danger_plain_http: bool,
    ) -> Option<oidc::Config> {
        self.refuse_later_parts(at, provider);
        let issuer = self.issuer(at, provider, danger_plain_http);
        let client_id = self.client_id(at, provider);
        let client_auth = self.client_auth(at, provider);
        let secret_at = at.key("client_secret");
        let client_secret = provider.client_secret.as_ref().map(|secret| self.secret(&secret_at, secret));
        let scopes = self.scopes(at, provider.scopes.as_ref());
        let response_mode = self.response_mode(at, provider.response_mode);
        let authorize = self.authorize(&at.key("authorize"), provider.authorize.as_ref());
        let algorithms = self.algorithms(at, provider.id_token_algorithms.as_ref());
        let after_sign_out = match &provider.after_sign_out {
            None => Some("/".to_owned()),
            Some(written) => self.after_sign_out(&at.key("after_sign_out"), written),
        };
        let http = self.http(at, provider, danger_plain_http);
        let claims = self.claim_names(at, provider.claims.as_ref());
        Some(oidc::Config {
            name: name.clone(),
            issuer: issuer?,
            client_id: client_id?,
            client_secret: match client_secret {
                None => None,
                Some(read) => Some(read?),
            },
            client_auth: client_auth?,
            scopes,
            response_mode: response_mode?,
            authorize,
            id_token_algorithms: algorithms,
            clock_skew: provider.clock_skew.map_or(Duration::from_mins(1), |skew| skew.0),
            userinfo: match provider.userinfo {
                Some(Userinfo::Always) => oidc::Userinfo::Always,
                Some(Userinfo::WhenMissing) => oidc::Userinfo::WhenMissing,
                Some(Userinfo::Never) | None => oidc::Userinfo::Never,
            },
            claims,
            sign_out: match provider.sign_out {
                Some(SignOut::Local) => oidc::SignOut::Local,
                Some(SignOut::Browser | SignOut::Idp) | None => oidc::SignOut::Browser,
            },
            after_sign_out: after_sign_out?,
            http: http?,
            login_rate: provider.login_rate.unwrap_or(LOGIN_RATE).0,
        })
    }

    /// Values that name features not built yet; what is so already may be written.
    fn refuse_later_parts(&mut self, at: &KeyPath, provider: &Provider) {
        if provider.response_type.as_deref().is_some_and(|kind| kind != "code") {
            self.later(&at.key("response_type"), "code");
        }
        if provider.authorize_method == Some(AuthorizeMethod::Post) {
            self.later(&at.key("authorize_method"), "get");
        }
        if matches!(provider.par, Some(Par::Auto | Par::Require)) {
            self.later(&at.key("par"), "never");
        }
        if provider.refresh == Some(Refresh::Auto) {
            self.later(&at.key("refresh"), "never, or leave the key out");
        }
        if provider.sign_out == Some(SignOut::Idp) {
            self.later(&at.key("sign_out"), "browser or local");
        }
        let usual: &[&str] = if provider.pingone.is_some() { &["at+jwt", "absent"] } else { &["at+jwt"] };
        for (index, kind) in provider.access_token_typ.iter().flat_map(List::items) {
            if !usual.contains(&kind.as_str()) {
                self.later(&at.key("access_token_typ").item(index), "at+jwt");
            }
        }
    }

    fn issuer(&mut self, at: &KeyPath, provider: &Provider, danger_plain_http: bool) -> Option<String> {
        match (&provider.issuer, &provider.pingone) {
            (Some(issuer), None) => self.written_issuer(&at.key("issuer"), issuer, danger_plain_http),
            (None, Some(pingone)) => self.pingone_issuer(&at.key("pingone"), pingone),
            (Some(_), Some(_)) => {
                self.fault_of_key(
                    &at.key("pingone"),
                    "issuer names a provider already",
                    "issuer or pingone, not both",
                );
                None
            }
            (None, None) => {
                if !self.is_reported(&at.key("pingone")) {
                    let why = "without it nobody can sign in";
                    self.missing(
                        at,
                        "issuer",
                        why,
                        "issuer: https://…, or pingone: { environment: UUID, region: eu }",
                    );
                }
                None
            }
        }
    }

    fn written_issuer(&mut self, at: &KeyPath, written: &str, danger_plain_http: bool) -> Option<String> {
        let url = Url::parse(written).ok().filter(|url| {
            let bare = url.query().is_none() && url.fragment().is_none();
            // The parser cuts blanks, but the issuer is compared as it is written.
            let plain = written.bytes().all(|b| b.is_ascii_graphic());
            bare && plain && url.has_host() && url.username().is_empty() && url.password().is_none()
        });
        let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https")) else {
            self.fault(
                at,
                "is not an issuer: an https URL without user, query and fragment",
                "the issuer exactly as the provider's /.well-known/openid-configuration has it",
            );
            return None;
        };
        let loopback =
            url.host_str().and_then(|host| Host::parse(host).ok()).is_some_and(|host| host.is_loopback());
        if url.scheme() == "http" && !loopback && !danger_plain_http {
            self.fault(
                at,
                "is plain http beyond loopback: whoever is on the way could pose as the provider",
                format!("https://{}", written.split_once("://").map_or("", |(_, rest)| rest)),
            );
        }
        // Compared byte by byte from here on, so it stays as written.
        Some(written.to_owned())
    }

    /// A PingOne issuer from environment and region, or from a custom domain.
    fn pingone_issuer(&mut self, at: &KeyPath, pingone: &PingOne) -> Option<String> {
        let PingOne { environment, region, domain } = pingone;
        if let Some(domain) = domain {
            if environment.is_some() || region.is_some() {
                self.fault(at, "a custom domain says everything", "{ domain: auth.example.com } alone");
                return None;
            }
            let host = Host::parse(domain).ok().filter(|host| host.as_str().contains('.'));
            if host.is_none() {
                let why = format!("`{}` is not a domain", domain.escape_debug());
                self.fault(&at.key("domain"), why, "the custom domain alone: auth.example.com");
            }
            return host.map(|host| format!("https://{host}/as"));
        }
        if environment.is_none() {
            self.missing(at, "environment", "it is part of the issuer", "environment: UUID, region: eu");
        }
        if region.is_none() {
            self.missing(at, "region", "it is part of the issuer", "region: na, ca, eu, au, sg or ap");
        }
        let (environment, region) = (environment.as_ref()?, (*region)?);
        if !is_uuid(environment) {
            self.fault(
                &at.key("environment"),
                "is not a UUID",
                "the environment's ID from the PingOne console",
            );
            return None;
        }
        let tld = match region {
            Region::Na => "com",
            Region::Ca => "ca",
            Region::Eu => "eu",
            Region::Au => "com.au",
            Region::Sg => "sg",
            Region::Ap => "asia",
        };
        Some(format!("https://auth.pingone.{tld}/{}/as", environment.to_ascii_lowercase()))
    }

    fn client_id(&mut self, at: &KeyPath, provider: &Provider) -> Option<String> {
        match provider.client_id.as_deref() {
            Some("") => {
                self.fault(&at.key("client_id"), "is empty", "the client as registered at the provider");
            }
            Some(client_id) => return Some(client_id.to_owned()),
            None => self.missing(at, "client_id", "the provider must know who asks", "client_id: ID"),
        }
        None
    }

    fn client_auth(&mut self, at: &KeyPath, provider: &Provider) -> Option<oidc::ClientAuth> {
        let client_auth = match provider.client_auth {
            Some(ClientAuth::ClientSecretBasic) | None => oidc::ClientAuth::Basic,
            Some(ClientAuth::ClientSecretPost) => oidc::ClientAuth::Post,
            Some(ClientAuth::None) => oidc::ClientAuth::None,
            Some(ClientAuth::ClientSecretJwt | ClientAuth::PrivateKeyJwt | ClientAuth::Tls) => {
                self.later(&at.key("client_auth"), "client_secret_basic, client_secret_post or none");
                return None;
            }
        };
        match (client_auth, &provider.client_secret) {
            (oidc::ClientAuth::None, Some(_)) => self.fault_of_key(
                &at.key("client_secret"),
                "client_auth is none, so the secret would never be used",
                "client_auth: client_secret_basic, or no client_secret",
            ),
            (oidc::ClientAuth::Basic | oidc::ClientAuth::Post, None)
                if !self.is_reported(&at.key("client_auth")) =>
            {
                self.missing(
                    at,
                    "client_secret",
                    "the client proves itself with it",
                    "client_secret: { file: PATH }, or client_auth: none for a public client",
                );
            }
            _ => {}
        }
        Some(client_auth)
    }

    fn scopes(&mut self, at: &KeyPath, scopes: Option<&List<String>>) -> Vec<String> {
        let Some(scopes) = scopes else { return ["openid", "profile", "email"].map(str::to_owned).to_vec() };
        let at = at.key("scopes");
        for (index, scope) in scopes.items() {
            // scope-token of RFC 6749 §3.3.
            let token = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            if scope.is_empty() || !scope.bytes().all(token) {
                self.fault(&at.item(index), "is not one scope", "each scope by itself: [openid, profile]");
            }
        }
        let names: Vec<_> = scopes.items().map(|(_, scope)| scope.clone()).collect();
        if !names.iter().any(|scope| scope == "openid") && !self.is_reported(&at) {
            self.fault(
                &at,
                "lacks openid: without it there is no ID token and nobody is signed in",
                "[openid, …]",
            );
        }
        names
    }

    fn response_mode(&mut self, at: &KeyPath, mode: Option<ResponseMode>) -> Option<oidc::ResponseMode> {
        match mode {
            Some(ResponseMode::Query) | None => Some(oidc::ResponseMode::Query),
            Some(ResponseMode::FormPost) => Some(oidc::ResponseMode::FormPost),
            Some(ResponseMode::Fragment | ResponseMode::PiFlow) => {
                self.later(&at.key("response_mode"), "query or form_post");
                None
            }
        }
    }

    /// Further authorization request parameters, none of them ours.
    pub(super) fn authorize(
        &mut self,
        at: &KeyPath,
        parameters: Option<&Named<Scalar>>,
    ) -> Vec<(String, String)> {
        let mut resolved = Vec::new();
        for (name, Scalar(value)) in parameters.iter().flat_map(|parameters| parameters.entries()) {
            if is_reserved(name) {
                self.fault_of_key(
                    &at.key(name),
                    "belongs to the gateway: what it says protects the login",
                    "other parameters, such as prompt, acr_values or ui_locales",
                );
            }
            if name == "max_age" && value.parse::<u64>().is_err() {
                self.fault(
                    &at.key(name),
                    "is no number of seconds: the answer could not be held to it",
                    "900",
                );
            }
            resolved.push((name.to_owned(), value.clone()));
        }
        resolved
    }

    fn algorithms(&mut self, at: &KeyPath, written: Option<&List<String>>) -> Vec<SigningAlgorithm> {
        let at = at.key("id_token_algorithms");
        let all = ALGORITHMS.map(|(_, algorithm)| algorithm).to_vec();
        let Some(written) = written else { return all };
        if written.is_empty() {
            self.fault(&at, "accepts no ID token at all", "[RS256, PS256, ES256, EdDSA]");
        }
        let mut resolved = Vec::new();
        for (index, name) in written.items() {
            if let Some((_, algorithm)) = ALGORITHMS.iter().find(|(known, _)| known == name) {
                resolved.push(*algorithm);
                continue;
            }
            let why = if name.eq_ignore_ascii_case("none") {
                "with `none` an ID token has no signature and can be written by anybody".to_owned()
            } else if name.starts_with("HS") {
                format!("with `{}` whoever has the client secret can write ID tokens", name.escape_debug())
            } else {
                format!("unknown algorithm `{}`", name.escape_debug())
            };
            self.fault(&at.item(index), why, suggestion(name, &ALGORITHMS.map(|(known, _)| known)));
        }
        resolved
    }

    fn after_sign_out(&mut self, at: &KeyPath, written: &str) -> Option<String> {
        let (path, query) = written.split_once('?').unwrap_or((written, ""));
        // `//host` would be another origin.
        if written.starts_with("//") || written.contains('\\') || !query.bytes().all(|b| b.is_ascii_graphic())
        {
            self.fault(at, "leads to another origin", "a path of the origin signed out from, such as /");
            return None;
        }
        self.url_path(at, path, "/").map(|_| written.to_owned())
    }

    fn claim_names(&mut self, at: &KeyPath, names: Option<&ClaimNames>) -> identity::ClaimNames {
        let mut resolved = identity::ClaimNames::default();
        let Some(names) = names else { return resolved };
        let at = at.key("claims");
        let written =
            [("groups", &names.groups), ("email", &names.email), ("email_verified", &names.email_verified)];
        for (key, name) in written {
            if name.as_deref() == Some("") {
                self.fault(&at.key(key), "is empty", "the name of a claim");
            }
        }
        if let Some(groups) = &names.groups {
            resolved.groups = ClaimPath::new(groups);
        }
        if let Some(email) = &names.email {
            resolved.email = ClaimPath::new(email);
        }
        match names.email_verified.as_deref() {
            Some("assume") => resolved.email_verified = EmailVerified::Assume,
            Some(claim) => resolved.email_verified = EmailVerified::Claim(ClaimPath::new(claim)),
            None => {}
        }
        resolved
    }

    fn http(
        &mut self,
        at: &KeyPath,
        provider: &Provider,
        danger_plain_http: bool,
    ) -> Option<http_client::Config> {
        let mut http = http_client::Config::default();
        if danger_plain_http {
            http.plain_http = http_client::PlainHttp::DangerAnywhere;
        }
        if let Some(timeouts) = &provider.timeouts {
            let at = at.key("timeouts");
            http.connect_timeout = self.period(&at, "connect", timeouts.connect, http.connect_timeout);
            http.total_timeout = self.period(&at, "total", timeouts.total, http.total_timeout);
        }
        if let Some(Tls { ca: Some(ca) }) = &provider.tls {
            http.ca_pem = Some(self.trusted_certificates(&at.key("tls").key("ca"), ca)?);
        }
        if let Some(proxy) = &provider.http_proxy {
            let url = Url::parse(proxy)
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            if url.is_none() {
                self.fault(&at.key("http_proxy"), "is not the URL of a proxy", "http://proxy:3128");
            }
            http.proxy = Some(url?);
        }
        Some(http)
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}
