//! The origins we serve, each with what is written about it on every request, built once.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::identity::ProviderName;
use crate::login::SignIn;
use crate::route::origin::{Authority, Host, Origin, Scheme};
use crate::route::origin_headers::OriginHeaders;

/// One of `origins`, ready to serve.
#[derive(Debug)]
pub struct ServedOrigin {
    /// The origin.
    pub origin: Origin,
    /// As a browser writes it.
    pub text: String,
    /// What upstreams are told of it.
    pub said: OriginHeaders,
    /// Sign-ins here, one per provider, in the order of the configuration.
    pub sign_ins: Vec<Arc<SignIn>>,
}

impl ServedOrigin {
    /// An origin with its sign-ins.
    #[must_use]
    pub fn new(origin: Origin, sign_ins: Vec<Arc<SignIn>>) -> Self {
        Self { text: origin.to_string(), said: OriginHeaders::new(&origin), origin, sign_ins }
    }

    /// The sign-in with this provider.
    #[must_use]
    pub fn sign_in(&self, provider: &ProviderName) -> Option<&Arc<SignIn>> {
        self.sign_ins.iter().find(|sign_in| sign_in.scope.provider == *provider)
    }

    /// Whether a cookie of this name is one of ours here.
    #[must_use]
    pub fn owns_cookie(&self, name: &str) -> bool {
        self.sign_ins.iter().any(|sign_in| sign_in.owns_cookie(name))
    }
}

/// All origins, found by the Host header.
#[derive(Debug, Default)]
pub struct ServedOrigins {
    by_host: HashMap<Host, Vec<Arc<ServedOrigin>>, RandomState>,
    /// As browsers spell them: nearly every Host header is one of these, and needn't be parsed.
    by_spelling: HashMap<Box<[u8]>, Arc<ServedOrigin>, RandomState>,
}

impl ServedOrigins {
    /// Indexes the origins by host.
    #[must_use]
    pub fn new(origins: Vec<ServedOrigin>) -> Self {
        let mut by_host: HashMap<Host, Vec<Arc<ServedOrigin>>, RandomState> = HashMap::default();
        for served in origins {
            by_host.entry(served.origin.host.clone()).or_default().push(Arc::new(served));
        }
        let by_spelling = HashMap::default();
        let mut origins = Self { by_host, by_spelling };
        let spelt = |served: &Arc<ServedOrigin>| {
            let spelling = served.origin.authority();
            let named = Authority::parse(&spelling).ok()?;
            Some((spelling.into_bytes().into(), Arc::clone(origins.named_by(&named)?)))
        };
        origins.by_spelling = origins.iter().filter_map(spelt).collect();
        origins
    }

    /// The origin that a Host header spelt just like this names. None says nothing: it may be spelt
    /// otherwise.
    #[must_use]
    pub fn spelt(&self, host: &[u8]) -> Option<&Arc<ServedOrigin>> {
        self.by_spelling.get(host)
    }

    /// The origin that a Host header names.
    #[must_use]
    pub fn named_by(&self, authority: &Authority) -> Option<&Arc<ServedOrigin>> {
        self.by_host.get(&authority.host)?.iter().find(|served| served.origin.is_named_by(authority))
    }

    /// The https origin of this host, for listeners that only redirect there.
    #[must_use]
    pub fn https_of(&self, host: &Host) -> Option<&Arc<ServedOrigin>> {
        self.by_host.get(host)?.iter().find(|served| served.origin.scheme == Scheme::Https)
    }

    /// Whether a cookie of this name is one of ours at any origin. Cookies know no ports: a browser
    /// sends them to a Host that is none of our origins, too.
    #[must_use]
    pub fn owns_cookie(&self, name: &str) -> bool {
        self.iter().any(|served| served.owns_cookie(name))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<ServedOrigin>> {
        self.by_host.values().flatten()
    }
}
