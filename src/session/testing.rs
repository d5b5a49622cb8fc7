//! Sessions of tests, and where they are good.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Config, Scope, Session, StoreKind};
use crate::clock::Timestamp;
use crate::identity::{ClaimNames, Claims, ProviderName};
use crate::reply::Transport;
use crate::seal::MasterKey;

pub(crate) fn config(store: StoreKind) -> Config {
    Config {
        store,
        keys: vec![MasterKey::random()],
        idle_timeout: Duration::from_mins(30),
        absolute_timeout: Duration::from_hours(10),
        memory_capacity: 1000,
        cookie_name: "vestibule".into(),
        cookie_max_size: 7 * 1024,
        cookie_partitioned: false,
    }
}

pub(crate) fn scope(origin: &str, provider: &str) -> Scope {
    Scope {
        cookie: "__Host-vestibule".into(),
        origin: origin.into(),
        provider: ProviderName::parse(provider).unwrap(),
        names: Arc::new(ClaimNames::default()),
        transport: Transport::Tls,
        partitioned: false,
    }
}

pub(crate) fn session(scope: &Scope, sub: &str, sid: &str, now: Timestamp) -> Session {
    let claims = json!({ "sub": sub, "sid": sid });
    Session {
        origin: scope.origin.clone(),
        provider: scope.provider.clone(),
        claims: Claims::new(claims.as_object().cloned().unwrap()),
        id_token: Some("header.payload.signature".into()),
        replaces: None,
        created_at: now,
        last_seen: now,
    }
}
