//! What every store promises, run against each.

use std::sync::Arc;
use std::time::Duration;

use rstest::rstest;
use serde_json::json;

use super::testing::{config, scope, session};
use super::*;
use crate::clock::{Clock, ManualClock, Timestamp};
use crate::identity::Claims;
use crate::identity::headers::HeaderMapping;
use crate::seal::Keyring;

struct House {
    store: Arc<dyn SessionStore>,
    clock: ManualClock,
}

fn house(kind: StoreKind) -> House {
    let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
    let config = config(kind);
    let store: Arc<dyn SessionStore> = match kind {
        StoreKind::Memory => Arc::new(MemoryStore::new(&config)),
        StoreKind::Cookie => {
            let keyring = Arc::new(Keyring::new(&config.keys).unwrap());
            Arc::new(CookieStore::new(&config, None, keyring, Arc::new(clock.clone())))
        }
    };
    House { store, clock }
}

const APP: &str = "https://app.example.com";

#[rstest]
#[tokio::test]
async fn loads_what_was_created(#[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind) {
    let House { store, clock } = house(kind);
    let scope = scope(APP, "idp");
    let value = store.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    let live = store.load(&scope, &value).await.unwrap().unwrap();
    assert_eq!(live.identity().sub(), Some("ada"));
    assert_eq!(live.session().id_token.as_deref(), Some("header.payload.signature"));
    assert!(!live.ended_by(clock.now()));
}

#[rstest]
#[tokio::test]
async fn two_sign_ins_never_share_an_id(#[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind) {
    let House { store, clock } = house(kind);
    let scope = scope(APP, "idp");
    let one = store.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    let two = store.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    let one = store.load(&scope, &one).await.unwrap().unwrap();
    let two = store.load(&scope, &two).await.unwrap().unwrap();
    assert_ne!(one.handle(), two.handle());
}

#[rstest]
#[case::origin(scope("https://other.example.com", "idp"))]
#[case::provider(scope(APP, "other"))]
#[tokio::test]
async fn a_session_is_none_elsewhere(
    #[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind,
    #[case] elsewhere: Scope,
) {
    let House { store, clock } = house(kind);
    let home = scope(APP, "idp");
    let value = store.create(&home, session(&home, "ada", "s1", clock.now())).await.unwrap();
    assert!(store.load(&elsewhere, &value).await.unwrap().is_none());
}

#[rstest]
#[tokio::test]
async fn garbage_is_no_session(#[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind) {
    let House { store, .. } = house(kind);
    let long = "A".repeat(9000);
    for garbage in ["", "x", "AAAA", "%%%%", &"A".repeat(43), &"A".repeat(400), &long] {
        assert!(store.load(&scope(APP, "idp"), garbage).await.unwrap().is_none());
    }
}

#[rstest]
#[tokio::test]
async fn an_ended_session_is_dead_at_once(#[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind) {
    let House { store, clock } = house(kind);
    let scope = scope(APP, "idp");
    let value = store.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    let live = store.load(&scope, &value).await.unwrap().unwrap();
    store.end(&live, Ending::AtOnce, clock.now()).await.unwrap();
    assert!(store.load(&scope, &value).await.unwrap().is_none());
    assert!(live.ended_by(clock.now()), "a request under way must see it too");
}

#[rstest]
#[tokio::test]
async fn a_clock_that_is_set_back_revives_nothing(
    #[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind,
    #[values(None, Some("s1"))] sid: Option<&str>,
) {
    let House { store, clock } = house(kind);
    let scope = scope(APP, "idp");
    let mut made = session(&scope, "ada", "s1", clock.now());
    if sid.is_none() {
        made.claims = Claims::new(json!({ "sub": "ada" }).as_object().cloned().unwrap());
    }
    let value = store.create(&scope, made).await.unwrap();
    let live = store.load(&scope, &value).await.unwrap().unwrap();
    clock.advance(Duration::from_mins(10));
    match sid {
        Some(sid) => store.end_by_sid(&scope.provider, sid, clock.now()).await.map(drop).unwrap(),
        None => store.end(&live, Ending::AtOnce, clock.now()).await.unwrap(),
    }
    clock.set_back(Duration::from_mins(5));
    assert!(store.load(&scope, &value).await.unwrap().is_none());
    assert_eq!(store.renew(&scope, &live, clock.now()), None);
    if sid.is_none() || kind == StoreKind::Memory {
        assert!(live.ended_by(clock.now()), "a request under way must see it too");
    }
}

#[rstest]
#[tokio::test]
async fn a_sign_out_after_the_clock_was_set_back_ends_what_began_before(
    #[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind,
) {
    let House { store, clock } = house(kind);
    let (here, there) = (scope(APP, "idp"), scope("https://wiki.example.com", "idp"));
    let one = store.create(&here, session(&here, "ada", "s1", clock.now())).await.unwrap();
    let two = store.create(&there, session(&there, "ada", "s1", clock.now())).await.unwrap();
    clock.set_back(Duration::from_hours(1));
    store.end_by_sid(&here.provider, "s1", clock.now()).await.unwrap();
    assert!(store.load(&here, &one).await.unwrap().is_none());
    assert!(store.load(&there, &two).await.unwrap().is_none());
    // Who signs in again is in, although the clock says that it was before the end.
    let again = store.create(&here, session(&here, "ada", "s1", clock.now())).await.unwrap();
    assert!(store.load(&here, &again).await.unwrap().is_some());
    store.end_by_sid(&here.provider, "s1", clock.now()).await.unwrap();
    assert!(store.load(&here, &again).await.unwrap().is_none(), "and out again");
}

#[rstest]
#[tokio::test]
async fn a_grace_ends_by_the_clock_that_only_runs_too(
    #[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind,
) {
    let House { store, clock } = house(kind);
    let scope = scope(APP, "idp");
    let value = store.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    let live = store.load(&scope, &value).await.unwrap().unwrap();
    store.end(&live, Ending::After(Duration::from_millis(50)), clock.now()).await.unwrap();
    clock.set_back(Duration::from_hours(1));
    assert!(!live.ended_by(clock.now()));
    tokio::time::sleep(Duration::from_millis(60)).await;
    let found = store.load(&scope, &value).await.unwrap();
    assert!(found.is_none_or(|live| live.ended_by(clock.now())), "an hour more by the wall's clock");
    assert!(live.ended_by(clock.now()));
}

#[rstest]
#[tokio::test]
async fn a_replaced_session_lives_out_its_grace(
    #[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind,
) {
    let House { store, clock } = house(kind);
    let scope = scope(APP, "idp");
    let value = store.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    let live = store.load(&scope, &value).await.unwrap().unwrap();
    store.end(&live, Ending::After(Duration::from_secs(10)), clock.now()).await.unwrap();
    clock.advance(Duration::from_secs(9));
    let found = store.load(&scope, &value).await.unwrap();
    assert!(found.is_some_and(|live| !live.ended_by(clock.now())));
    clock.advance(Duration::from_secs(1));
    let found = store.load(&scope, &value).await.unwrap();
    assert!(found.is_none_or(|live| live.ended_by(clock.now())));
}

#[rstest]
#[tokio::test]
async fn a_providers_session_ends_on_every_origin(
    #[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind,
) {
    let House { store, clock } = house(kind);
    let (here, there) = (scope(APP, "idp"), scope("https://wiki.example.com", "idp"));
    let one = store.create(&here, session(&here, "ada", "s1", clock.now())).await.unwrap();
    let two = store.create(&there, session(&there, "ada", "s1", clock.now())).await.unwrap();
    let other = store.create(&here, session(&here, "ada", "s2", clock.now())).await.unwrap();
    store.end_by_sid(&here.provider, "s1", clock.now()).await.unwrap();
    assert!(store.load(&here, &one).await.unwrap().is_none());
    assert!(store.load(&there, &two).await.unwrap().is_none());
    assert!(store.load(&here, &other).await.unwrap().is_some(), "another sid is another session");
    clock.advance(Duration::from_secs(1));
    let again = store.create(&here, session(&here, "ada", "s1", clock.now())).await.unwrap();
    assert!(store.load(&here, &again).await.unwrap().is_some(), "a later sign-in is a new session");
}

#[tokio::test]
async fn a_cookie_session_is_sealed_anew_when_its_last_use_gets_stale() {
    let House { store, clock } = house(StoreKind::Cookie);
    let scope = scope(APP, "idp");
    let value = store.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    clock.advance(Duration::from_secs(30));
    let live = store.load(&scope, &value).await.unwrap().unwrap();
    live.seen(clock.now());
    assert_eq!(store.renew(&scope, &live, clock.now()), None, "not yet");
    clock.advance(Duration::from_secs(40));
    live.seen(clock.now());
    let renewed = store.renew(&scope, &live, clock.now()).unwrap();
    let later = store.load(&scope, &renewed).await.unwrap().unwrap();
    assert_eq!(later.last_seen(), clock.now());
    assert_eq!(later.handle(), live.handle());
    store.end(&live, Ending::AtOnce, clock.now()).await.unwrap();
    assert_eq!(store.renew(&scope, &live, clock.now()), None, "never once it is ended");
}

#[tokio::test]
async fn a_session_in_its_grace_is_not_written_over_its_successor() {
    let House { store, clock } = house(StoreKind::Cookie);
    let scope = scope(APP, "idp");
    let value = store.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    clock.advance(Duration::from_mins(5));
    let live = store.load(&scope, &value).await.unwrap().unwrap();
    live.seen(clock.now());
    store.end(&live, Ending::After(Duration::from_secs(10)), clock.now()).await.unwrap();
    assert!(store.load(&scope, &value).await.unwrap().is_some(), "it is still good");
    assert_eq!(store.renew(&scope, &live, clock.now()), None);
}

#[tokio::test]
async fn a_route_with_a_short_idle_limit_gets_fresh_cookies() {
    let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
    let config = config(StoreKind::Cookie);
    let keyring = Arc::new(Keyring::new(&config.keys).unwrap());
    let shortest = Some(Duration::from_secs(10));
    let store = CookieStore::new(&config, shortest, keyring, Arc::new(clock.clone()));
    let scope = scope(APP, "idp");
    let value = store.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    let live = store.load(&scope, &value).await.unwrap().unwrap();
    clock.advance(Duration::from_millis(500));
    live.seen(clock.now());
    assert!(store.renew(&scope, &live, clock.now()).is_some());
}

#[rstest]
#[tokio::test]
async fn a_session_known_by_its_handle_alone_is_ended(
    #[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind,
) {
    let House { store, clock } = house(kind);
    let scope = scope(APP, "idp");
    let value = store.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    let handle = *store.load(&scope, &value).await.unwrap().unwrap().handle();
    store.end_known(&handle, Ending::AtOnce, clock.now()).await.unwrap();
    assert!(store.load(&scope, &value).await.unwrap().is_none());
}

#[tokio::test]
async fn a_session_that_does_not_fit_is_refused_and_the_hint_leaves_first() {
    let House { store, clock } = house(StoreKind::Cookie);
    let scope = scope(APP, "idp");
    let mut big = session(&scope, "ada", "s1", clock.now());
    big.id_token = Some("t".repeat(6000));
    let value = store.create(&scope, big.clone()).await.unwrap();
    assert_eq!(store.load(&scope, &value).await.unwrap().unwrap().session().id_token, None);
    let claims = json!({ "sub": "ada", "groups": vec!["g".repeat(100); 80] });
    big.claims = Claims::new(claims.as_object().cloned().unwrap());
    assert!(matches!(store.create(&scope, big).await, Err(Error::TooLarge { limit: 7168, .. })));
}

#[tokio::test]
async fn a_record_sealed_by_an_older_key_opens_and_is_sealed_anew() {
    let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
    let (old, new) = (MasterKey::random(), MasterKey::random());
    let store = |keys: &[MasterKey]| {
        let keyring = Arc::new(Keyring::new(keys).unwrap());
        CookieStore::new(&config(StoreKind::Cookie), None, keyring, Arc::new(clock.clone()))
    };
    let scope = scope(APP, "idp");
    let before = store(std::slice::from_ref(&old));
    let value = before.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    let during = store(&[new.clone(), old]);
    let live = during.load(&scope, &value).await.unwrap().unwrap();
    let renewed = during.renew(&scope, &live, clock.now()).unwrap();
    let after = store(&[new]);
    assert!(after.load(&scope, &value).await.unwrap().is_none());
    assert!(after.load(&scope, &renewed).await.unwrap().is_some());
}

/// The same value, presented once before so that the store may know the record already.
async fn presented_again(store: &dyn SessionStore, scope: &Scope, value: &str) -> Option<Arc<Live>> {
    store.load(scope, value).await.unwrap();
    store.load(scope, value).await.unwrap()
}

#[rstest]
#[case::one(Ended::One)]
#[case::by_its_handle(Ended::ByHandle)]
#[case::by_the_providers_session(Ended::BySid)]
#[tokio::test]
async fn a_record_known_already_dies_like_a_fresh_one(
    #[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind,
    #[case] ended: Ended,
) {
    let House { store, clock } = house(kind);
    let scope = scope(APP, "idp");
    let value = store.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    let other = store.create(&scope, session(&scope, "kim", "s2", clock.now())).await.unwrap();
    let live = presented_again(store.as_ref(), &scope, &value).await.unwrap();
    presented_again(store.as_ref(), &scope, &other).await.unwrap();
    match ended {
        Ended::One => store.end(&live, Ending::AtOnce, clock.now()).await.unwrap(),
        Ended::ByHandle => store.end_known(live.handle(), Ending::AtOnce, clock.now()).await.unwrap(),
        Ended::BySid => drop(store.end_by_sid(&scope.provider, "s1", clock.now()).await.unwrap()),
    }
    assert!(presented_again(store.as_ref(), &scope, &value).await.is_none());
    let other = presented_again(store.as_ref(), &scope, &other).await.unwrap();
    assert_eq!(other.identity().sub(), Some("kim"));
}

#[derive(Debug, Clone, Copy)]
enum Ended {
    One,
    ByHandle,
    BySid,
}

#[tokio::test]
async fn a_record_known_already_dies_when_its_grace_is_over() {
    let House { store, clock } = house(StoreKind::Cookie);
    let scope = scope(APP, "idp");
    let value = store.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    let live = presented_again(store.as_ref(), &scope, &value).await.unwrap();
    store.end(&live, Ending::After(Duration::from_secs(10)), clock.now()).await.unwrap();
    clock.advance(Duration::from_secs(9));
    assert!(presented_again(store.as_ref(), &scope, &value).await.is_some());
    clock.advance(Duration::from_secs(1));
    assert!(presented_again(store.as_ref(), &scope, &value).await.is_none());
}

#[tokio::test]
async fn a_sealed_value_says_when_it_was_last_used_however_often_it_is_presented() {
    let House { store, clock } = house(StoreKind::Cookie);
    let scope = scope(APP, "idp");
    let created_at = clock.now();
    let value = store.create(&scope, session(&scope, "ada", "s1", created_at)).await.unwrap();
    for _ in 0..5 {
        clock.advance(Duration::from_mins(10));
        let live = store.load(&scope, &value).await.unwrap().unwrap();
        // Who keeps presenting an old cookie is idle by what that cookie says.
        assert_eq!((live.session().created_at, live.last_seen()), (created_at, created_at));
        live.seen(clock.now());
        let renewed = store.renew(&scope, &live, clock.now()).unwrap();
        let later = presented_again(store.as_ref(), &scope, &renewed).await.unwrap();
        assert_eq!(later.last_seen(), clock.now());
        assert_eq!(later.session().created_at, created_at);
    }
}

#[rstest]
#[case::origin(scope("https://other.example.com", "idp"))]
#[case::provider(scope(APP, "other"))]
#[case::cookie(Scope { cookie: "__Host-vestibule-idp".into(), ..scope(APP, "idp") })]
#[tokio::test]
async fn a_record_known_already_is_none_elsewhere(#[case] elsewhere: Scope) {
    let House { store, clock } = house(StoreKind::Cookie);
    let home = scope(APP, "idp");
    let value = store.create(&home, session(&home, "ada", "s1", clock.now())).await.unwrap();
    assert!(presented_again(store.as_ref(), &home, &value).await.is_some());
    assert!(presented_again(store.as_ref(), &elsewhere, &value).await.is_none());
    assert!(presented_again(store.as_ref(), &home, &value).await.is_some());
}

#[tokio::test]
async fn a_record_known_already_opens_for_its_very_bytes_alone() {
    let House { store, clock } = house(StoreKind::Cookie);
    let scope = scope(APP, "idp");
    let mut values = Vec::new();
    for index in 0..50 {
        let sub = format!("person {index}");
        let value = store.create(&scope, session(&scope, &sub, "s1", clock.now())).await.unwrap();
        values.push((sub, value));
    }
    for _ in 0..2 {
        for (sub, value) in &values {
            let live = store.load(&scope, value).await.unwrap().unwrap();
            assert_eq!(live.identity().sub(), Some(sub.as_str()));
        }
    }
    let (_, value) = &values[0];
    for at in [0, 7, value.len() / 2, value.len() - 1] {
        let other = if value.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut changed = value.clone();
        changed.replace_range(at..=at, other);
        // The last character may hold bits that count for nothing; then it is no base64url any more.
        assert!(store.load(&scope, &changed).await.unwrap().is_none(), "{at}");
    }
    assert!(store.load(&scope, &format!("{value}A")).await.unwrap().is_none());
    assert!(store.load(&scope, &value[1..]).await.unwrap().is_none());
}

#[rstest]
#[tokio::test]
async fn every_mapping_has_its_own_headers_of_the_person_who_asks(
    #[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind,
) {
    let House { store, clock } = house(kind);
    let scope = scope(APP, "idp");
    let standard = Arc::new(HeaderMapping::standard(&ClaimNames::default(), 8192));
    let nothing = Arc::new(HeaderMapping { headers: Vec::new(), max_bytes: 8192 });
    for sub in ["ada", "kim"] {
        let value = store.create(&scope, session(&scope, sub, "s1", clock.now())).await.unwrap();
        // Rendered when they are first asked for, known from then on.
        for _ in 0..2 {
            let live = store.load(&scope, &value).await.unwrap().unwrap();
            assert_eq!(*live.headers(&nothing), Ok(Vec::new()));
            let headers = live.headers(&standard);
            let rendered: Vec<_> = (*headers)
                .as_ref()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
                .collect();
            assert_eq!(rendered, [("x-forwarded-user", sub)]);
            assert!(Arc::ptr_eq(&headers, &live.headers(&standard)), "rendered once");
        }
    }
}

#[rstest]
#[case::memory(StoreKind::Memory, "MemoryStore { sessions: ")]
#[case::cookie(StoreKind::Cookie, "opened: Opened { records: ")]
#[tokio::test]
async fn neither_a_store_nor_a_session_shows_who_is_signed_in(
    #[case] kind: StoreKind,
    #[case] written: &str,
) {
    let House { store, clock } = house(kind);
    let scope = scope(APP, "idp");
    let value = store.create(&scope, session(&scope, "lovelace", "s1", clock.now())).await.unwrap();
    let live = store.load(&scope, &value).await.unwrap().unwrap();
    let (live, store) = (format!("{live:?}"), format!("{store:?}"));
    assert!(live.contains(&format!("record: Record {{ session: Session {{ origin: {APP:?}")), "{live}");
    assert!(store.contains(written), "{store}");
    for secret in ["lovelace", "header.payload.signature", value.as_str()] {
        assert!(!live.contains(secret) && !store.contains(secret), "{secret}");
    }
}

#[rstest]
#[case::memory(StoreKind::Memory, 1)]
#[case::cookie(StoreKind::Cookie, 0)]
#[tokio::test]
async fn a_session_that_has_ended_hides_no_other_of_its_sid(#[case] kind: StoreKind, #[case] known: u64) {
    let House { store, clock } = house(kind);
    let (here, there) = (scope(APP, "idp"), scope("https://wiki.example.com", "idp"));
    let one = store.create(&here, session(&here, "ada", "s1", clock.now())).await.unwrap();
    let two = store.create(&there, session(&there, "ada", "s1", clock.now())).await.unwrap();
    let live = store.load(&here, &one).await.unwrap().unwrap();
    store.end(&live, Ending::AtOnce, clock.now()).await.unwrap();
    assert!(store.load(&there, &two).await.unwrap().is_some(), "not ended yet");
    assert_eq!(store.end_by_sid(&here.provider, "s1", clock.now()).await, Ok(known));
    assert!(store.load(&there, &two).await.unwrap().is_none());
}

#[rstest]
#[tokio::test]
async fn a_session_that_has_ended_stays_so_when_a_later_end_is_set(
    #[values(StoreKind::Memory, StoreKind::Cookie)] kind: StoreKind,
) {
    let House { store, clock } = house(kind);
    let scope = scope(APP, "idp");
    let value = store.create(&scope, session(&scope, "ada", "s1", clock.now())).await.unwrap();
    let live = store.load(&scope, &value).await.unwrap().unwrap();
    store.end(&live, Ending::AtOnce, clock.now()).await.unwrap();
    store.end(&live, Ending::After(Duration::from_secs(10)), clock.now()).await.unwrap();
    assert!(live.ended_by(clock.now()));
    assert!(store.load(&scope, &value).await.unwrap().is_none());
}

#[tokio::test]
async fn a_sign_out_ends_what_began_at_a_replica_whose_clock_is_ahead() {
    let config = config(StoreKind::Cookie);
    let keyring = Arc::new(Keyring::new(&config.keys).unwrap());
    let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
    let ahead = ManualClock::at(clock.now().plus(Duration::from_mins(1)));
    let replica =
        |clock: &ManualClock| CookieStore::new(&config, None, Arc::clone(&keyring), Arc::new(clock.clone()));
    let (here, there) = (replica(&clock), replica(&ahead));
    let scope = scope(APP, "idp");
    let value = there.create(&scope, session(&scope, "ada", "s1", ahead.now())).await.unwrap();
    assert!(here.load(&scope, &value).await.unwrap().is_some());
    here.end_by_sid(&scope.provider, "s1", clock.now()).await.unwrap();
    assert!(here.load(&scope, &value).await.unwrap().is_none());
}

#[tokio::test]
async fn a_sealed_value_is_as_long_as_the_limit_and_no_longer() {
    let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
    let keyring = Arc::new(Keyring::new(&[MasterKey::random()]).unwrap());
    let store = |cookie_max_size: usize| {
        let config = Config { cookie_max_size, ..config(StoreKind::Cookie) };
        CookieStore::new(&config, None, Arc::clone(&keyring), Arc::new(clock.clone()))
    };
    let scope = scope(APP, "idp");
    let made = Session { id_token: None, ..session(&scope, "ada", "s1", clock.now()) };
    let value = store(7 * 1024).create(&scope, made.clone()).await.unwrap();
    let size = value.len();
    let (exact, smaller) = (store(size), store(size - 1));
    assert_eq!(exact.create(&scope, made.clone()).await.map(|value| value.len()), Ok(size));
    assert!(exact.load(&scope, &value).await.unwrap().is_some());
    assert_eq!(smaller.create(&scope, made).await, Err(Error::TooLarge { size, limit: size - 1 }));
    assert!(smaller.load(&scope, &value).await.unwrap().is_none());
}
