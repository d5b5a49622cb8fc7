use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::identity::headers::HeaderMapping;
use crate::identity::{ClaimNames, ProviderName};
use crate::policy::{Policy, Requirement};
use crate::route::path::{PathPrefix, readings, refuse_malformed, tests::tricky_path};
use crate::route::testing::public;
use crate::route::upstream::{HostHeader, Prepared, Protocol, Retries, Server, Timeouts};
use crate::route::{Auth, Required};

fn session(id: &str, path: &str) -> Route {
    let auth = Auth::Session { provider: ProviderName::parse("workforce").unwrap(), required: Required::Yes };
    let identity = Some(Arc::new(HeaderMapping::standard(&ClaimNames::default(), 8192)));
    Route { auth, identity, ..public(id, path) }
}

fn exact(route: Route) -> Route {
    Route { path: PathPrefix::new(route.path.as_str(), true).unwrap(), ..route }
}

fn methods(route: Route, methods: &[Method]) -> Route {
    Route { methods: Methods::only(methods.to_vec()), ..route }
}

fn on(host: &str, route: Route) -> Route {
    Route { host: Some(Host::parse(host).unwrap()), ..route }
}

fn table(routes: Vec<Route>) -> RouteTable {
    RouteTable::new(routes, "/.vestibule", &[app()])
}

fn app() -> Host {
    Host::parse("app.test").unwrap()
}

/// The id of the route, or why there is none.
fn answer(table: &RouteTable, host: &str, path: &str, method: &Method) -> String {
    let host = Host::parse(host).unwrap();
    match refuse_malformed(path).and_then(|()| table.find(&host, path, method)) {
        Ok(Found::Route(route)) => route.to_string(),
        Ok(Found::MethodNotAllowed(methods)) => format!("405 {methods:?}"),
        Ok(Found::Nothing) => "404".to_owned(),
        Err(refused) => refused.to_string(),
    }
}

fn get(table: &RouteTable, path: &str) -> String {
    answer(table, "app.test", path, &Method::GET)
}

#[rstest]
#[case("/", "app")]
#[case("/x", "app")]
#[case("/static", "assets")]
#[case("/static/x", "assets")]
#[case("/staticx", "app")]
#[case("/static/private", "private")]
#[case("/static/private/x", "private")]
#[case("/static/privatex", "assets")]
fn the_longest_path_takes_it(#[case] path: &str, #[case] id: &str) {
    let routes =
        vec![session("app", "/"), public("assets", "/static/"), session("private", "/static/private")];
    assert_eq!(get(&table(routes), path), id);
}

#[rstest]
#[case("wiki.test", "/x", "wiki")]
#[case("wiki.test", "/long/path", "wiki")]
#[case("app.test", "/x", "404")]
#[case("app.test", "/long/path", "long")]
#[case("other.test", "/long/path", "long")]
fn routes_that_name_the_host_come_first(#[case] host: &str, #[case] path: &str, #[case] id: &str) {
    let table = table(vec![public("long", "/long/path"), on("wiki.test", session("wiki", "/"))]);
    assert_eq!(answer(&table, host, path, &Method::GET), id);
}

#[test]
fn a_host_falls_back_to_routes_without_one_where_its_own_have_no_path() {
    let table = table(vec![session("all", "/"), on("wiki.test", public("logo", "/logo"))]);
    assert_eq!(answer(&table, "wiki.test", "/logo", &Method::GET), "logo");
    assert_eq!(answer(&table, "wiki.test", "/x", &Method::GET), "all");
    assert_eq!(answer(&table, "app.test", "/logo", &Method::GET), "all");
}

#[rstest]
#[case(Method::GET, "/orders", "read")]
#[case(Method::HEAD, "/orders", "read")]
#[case(Method::POST, "/orders", "write")]
#[case(Method::DELETE, "/orders", "405 [GET, HEAD, POST]")]
#[case(Method::DELETE, "/orders/7", "405 [GET, HEAD, POST]")]
#[case(Method::DELETE, "/other", "all")]
fn methods_are_decided_at_the_longest_path_alone(
    #[case] method: Method,
    #[case] path: &str,
    #[case] id: &str,
) {
    let routes = vec![
        public("all", "/"),
        methods(session("read", "/orders"), &[Method::GET]),
        methods(session("write", "/orders"), &[Method::POST, Method::GET]),
    ];
    assert_eq!(answer(&table(routes), "app.test", path, &method), id);
}

#[rstest]
#[case(Method::GET, "/healthz", "exact")]
#[case(Method::POST, "/healthz", "prefix")]
#[case(Method::GET, "/healthz/x", "prefix")]
#[case(Method::GET, "/healthzz", "all")]
fn a_single_path_beats_a_prefix_at_the_same_path(
    #[case] method: Method,
    #[case] path: &str,
    #[case] id: &str,
) {
    let routes = vec![
        session("all", "/"),
        session("prefix", "/healthz"),
        methods(exact(public("exact", "/healthz")), &[Method::GET]),
    ];
    assert_eq!(answer(&table(routes), "app.test", path, &method), id);
}

#[test]
fn below_a_single_path_a_shorter_prefix_decides() {
    let table = table(vec![session("all", "/"), exact(public("healthz", "/healthz"))]);
    assert_eq!(get(&table, "/healthz"), "healthz");
    assert_eq!(get(&table, "/healthz/x"), "all");
}

#[rstest]
#[case::parent("/public/../admin", "malformed_path")]
#[case::parent_encoded("/public/%2e%2e/admin", "malformed_path")]
#[case::encoded_slash("/public/..%2fadmin", "malformed_path")]
#[case::encoded_slash_plain("/public/x%2fadmin", "encoded_slash")]
#[case::encoded_slash_twice("/public/x%252fadmin", "encoded_slash")]
#[case::parent_parameter("/public/..;/admin", "malformed_path")]
#[case::parameter("/admin;x=1", "ambiguous_path")]
#[case::parameter_in_front("/;/admin", "ambiguous_path")]
#[case::parameter_harmless("/public/a;jsessionid=1", "public")]
#[case::parameter_harmless_on_the_rest("/a;jsessionid=1", "rest")]
#[case::slashes("//admin", "ambiguous_path")]
#[case::slashes_harmless("/x//y", "rest")]
#[case::slashes_into_public("//public", "ambiguous_path")]
#[case::back_slashes("/public\\..\\admin", "malformed_path")]
#[case::case("/ADMIN", "ambiguous_path")]
#[case::case_harmless("/README", "rest")]
#[case::case_below("/admin/README", "admin")]
#[case::escaped("/%61dmin", "ambiguous_path")]
#[case::escaped_twice("/%2561dmin", "ambiguous_path")]
#[case::escaped_harmless("/caf%C3%A9", "rest")]
#[case::blank("/admin%20", "ambiguous_path")]
#[case::blank_twice("/admin%2520", "ambiguous_path")]
#[case::blank_harmless("/my%20file", "rest")]
#[case::tab("/admin%09", "malformed_path")]
#[case::dot("/admin.", "ambiguous_path")]
#[case::dots_and_blanks("/admin.%20./x", "ambiguous_path")]
#[case::question_mark("/admin%3f/public", "ambiguous_path")]
#[case::together("/;v//%41dmin%20;x", "ambiguous_path")]
#[case::own_endpoint("/.vestibule/sign-in", "404")]
#[case::own_endpoint_in_another_case("/.VESTIBULE/sign-in", "ambiguous_path")]
#[case::own_endpoint_escaped("/%2evestibule/sign-in", "ambiguous_path")]
fn readings_must_not_decide_otherwise(#[case] path: &str, #[case] outcome: &str) {
    let routes = vec![session("rest", "/"), public("public", "/public"), {
        let finance = Requirement { groups: vec!["finance".into()], ..Requirement::default() };
        Route { require: Policy { entries: vec![finance] }, ..session("admin", "/admin") }
    }];
    assert_eq!(get(&table(routes), path), outcome);
}

#[rstest]
#[case("/ADMIN", "all")]
#[case("//admin;x", "all")]
#[case("/%61dmin", "all")]
#[case("/.VESTIBULE", "ambiguous_path")]
#[case("//.vestibule/callback", "ambiguous_path")]
fn where_all_routes_agree_only_our_own_prefix_counts(#[case] path: &str, #[case] outcome: &str) {
    assert_eq!(get(&table(vec![session("all", "/"), session("admin", "/admin")]), path), outcome);
}

#[test]
fn another_upstream_alone_makes_a_reading_differ() {
    let mut other = session("other", "/other");
    other.upstream = Arc::new(Upstream {
        server: Server::new("127.0.0.1", 9001),
        host: HostHeader::Preserve,
        strip_prefix: None,
        timeouts: Timeouts::default(),
        retries: Retries::default(),
        tls: None,
        protocol: Protocol::default(),
        prepared: Prepared::default(),
    });
    assert_eq!(get(&table(vec![session("all", "/"), other]), "/OTHER"), "ambiguous_path");
}

#[test]
fn other_timeouts_make_no_difference() {
    let mut other = session("other", "/other");
    let timeouts = Timeouts { connect: std::time::Duration::from_secs(9), ..Timeouts::default() };
    other.upstream = Arc::new(Upstream {
        server: Server::new("127.0.0.1", 9000),
        host: HostHeader::Preserve,
        strip_prefix: None,
        timeouts,
        retries: Retries::default(),
        tls: None,
        protocol: Protocol::default(),
        prepared: Prepared::default(),
    });
    assert_eq!(get(&table(vec![session("all", "/"), other]), "/OTHER"), "all");
}

#[rstest]
#[case::as_written("/Admin", "admin")]
#[case::below("/Admin/x", "admin")]
#[case::folded("/admin", "ambiguous_path")]
#[case::shouted("/ADMIN/x", "ambiguous_path")]
#[case::blank("/my%20files", "files")]
#[case::blank_below("/my%20files/x", "files")]
#[case::blank_another_way("/my%20Files", "ambiguous_path")]
#[case::blank_encoded_twice("/my%2520files", "ambiguous_path")]
#[case::other("/other", "all")]
fn routes_with_upper_case_or_escapes_are_read_the_same_ways(#[case] path: &str, #[case] outcome: &str) {
    let routes = vec![public("all", "/"), session("admin", "/Admin"), session("files", "/my%20files")];
    assert_eq!(get(&table(routes), path), outcome);
}

#[test]
fn routes_that_differ_in_case_alone_are_told_apart_only_as_written() {
    let table = table(vec![session("all", "/"), session("upper", "/Admin"), public("lower", "/admin")]);
    assert_eq!(get(&table, "/admin"), "lower");
    assert_eq!(get(&table, "/Admin"), "ambiguous_path");
    assert_eq!(get(&table, "/aDmin"), "ambiguous_path");
}

#[test]
fn a_reading_that_no_route_takes_is_refused() {
    let table = table(vec![session("all", "/"), methods(session("api", "/api"), &[Method::GET])]);
    assert_eq!(answer(&table, "app.test", "/API", &Method::GET), "all");
    assert_eq!(answer(&table, "app.test", "/API", &Method::POST), "ambiguous_path");
}

#[rstest]
#[case("/files/a%2fb", "files")]
#[case("/files/a%2f..%2fb", "malformed_path")]
#[case("/x/a%2fb", "encoded_slash")]
#[case("/files%2fa", "encoded_slash")]
#[case("/files/open/a%2fb", "open")]
#[case("/files/strict%2fb", "ambiguous_path")]
#[case("/files/Strict/b", "files")]
fn an_encoded_slash_passes_only_where_its_reading_may_too(#[case] path: &str, #[case] outcome: &str) {
    let allow = |route| Route { encoded_slash: EncodedSlash::Allow, ..route };
    let routes = vec![
        session("all", "/"),
        allow(session("files", "/files")),
        allow(session("open", "/files/open")),
        session("strict", "/files/strict"),
    ];
    assert_eq!(get(&table(routes), path), outcome);
}

#[test]
fn a_probe_finds_its_route_for_any_host() {
    let probe = Route { any_host: true, ..exact(public("probe", "/healthz")) };
    let table = table(vec![session("all", "/"), probe, exact(public("other", "/other"))]);
    let found = |path: &str, method| table.find_any_host(path, &method).map(|route| route.to_string());
    assert_eq!(found("/healthz", Method::GET).as_deref(), Some("probe"));
    assert_eq!(found("/healthz", Method::HEAD).as_deref(), Some("probe"));
    assert_eq!(found("/healthz", Method::POST), None);
    assert_eq!(found("/healthz/x", Method::GET), None);
    assert_eq!(found("/other", Method::GET), None);
}

#[test]
fn any_host_counts_on_public_single_paths_only() {
    let any_host = |route| Route { any_host: true, ..route };
    let table = table(vec![any_host(exact(session("a", "/a"))), any_host(public("b", "/b"))]);
    assert!(table.find_any_host("/a", &Method::GET).is_none());
    assert!(table.find_any_host("/b", &Method::GET).is_none());
}

#[test]
fn names_every_mapped_header() {
    let table = table(vec![public("a", "/a"), session("b", "/b")]);
    let names: Vec<_> = table.mapped_header_names().map(HeaderName::as_str).collect();
    assert_eq!(
        names,
        ["x-forwarded-user", "x-forwarded-email", "x-forwarded-preferred-username", "x-forwarded-groups"]
    );
}

#[test]
fn an_empty_table_serves_nothing() {
    assert_eq!(get(&RouteTable::default(), "/"), "404");
    assert_eq!(RouteTable::default().owns("/.vestibule/session"), Ok(true));
    assert_eq!(RouteTable::default().owns("/"), Ok(false));
}

proptest! {
    #[test]
    fn what_is_served_as_public_is_protected_in_no_reading(path in tricky_path()) {
        let routes = vec![public("all", "/"), session("admin", "/admin"), session("a", "/A")];
        let table = table(routes);
        if get(&table, &path) == "all" {
            for reading in readings(&path) {
                prop_assert!(!lies_under(&reading, "/admin"), "{path} reads as {reading}");
                prop_assert!(!lies_under(&reading, "/A"), "{path} reads as {reading}");
                prop_assert!(!lies_under(&reading, "/a"), "{path} reads as {reading}");
            }
        }
    }

    #[test]
    fn what_is_found_is_the_longest_route_that_covers_the_path(path in tricky_path()) {
        let routes = vec![session("all", "/"), session("a", "/a"), session("ax", "/a/x"), session("x", "/x")];
        let table = table(routes);
        let covers = |route: &&Arc<Route>| route.path.covers(&path);
        let longest = table.routes().iter().filter(covers).max_by_key(|route| route.path.as_str().len());
        let found = get(&table, &path);
        if !matches!(&*found, "malformed_path" | "encoded_slash" | "ambiguous_path") {
            prop_assert_eq!(found, longest.unwrap().to_string());
        }
    }
}
