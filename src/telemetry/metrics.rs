//! Metrics in Prometheus' text format. Every counter is held from the start: nothing is looked up,
//! hashed or allocated while a request passes.

use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use super::access_log::{AccessLog, DroppedLines};
use super::labels::{
    CallOutcome, ConnectionEnd, Decision, HandshakeOutcome, LoginOutcome, ProviderCall, Refusal, SessionEnd,
    SessionRefusal, StatusClass, UpstreamError,
};
use crate::identity::ProviderName;

/// One metric as operators know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// Name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Label names.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

/// Seconds; from what the gateway alone takes to what a slow report takes.
const BUCKETS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

macro_rules! metrics {
    ($($constant:ident: $kind:literal $name:literal [$($label:literal),*] $help:literal;)+) => {
        $(const $constant: Metric =
            Metric { name: $name, kind: $kind, labels: &[$($label),*], help: $help };)+

        /// Every metric of ours. Beside them stand those of the process (`process_*`).
        pub const TABLE: &[Metric] = &[$($constant,)+];
    };
}

metrics! {
    REQUESTS: "counter" "vestibule_requests_total" ["decision"]
        "Requests, by what became of them.";
    RESPONSES: "counter" "vestibule_responses_total" ["class"]
        "Responses, by the first digit of their status.";
    REQUEST_SECONDS: "histogram" "vestibule_request_seconds" []
        "Time from a request's head to the end of its response, the upstream's included.";
    REFUSED: "counter" "vestibule_refused_total" ["why"]
        "Requests and connections refused before anyone was asked who they are.";
    CONNECTIONS_CLOSED: "counter" "vestibule_connections_closed_total" ["reason"]
        "Connections of clients that the gateway ended, and slow HTTP/2 bodies.";
    UPSTREAM_ERRORS: "counter" "vestibule_upstream_errors_total" ["kind"]
        "Failures of upstreams.";
    LOGINS: "counter" "vestibule_logins_total" ["outcome"]
        "Steps and ends of logins.";
    SIGN_OUTS: "counter" "vestibule_sign_outs_total" []
        "Sessions ended by the people they belong to.";
    SESSIONS_CREATED: "counter" "vestibule_sessions_created_total" []
        "Sessions made.";
    SESSIONS_ENDED: "counter" "vestibule_sessions_ended_total" ["why"]
        "Sessions ended.";
    SESSIONS_REFUSED: "counter" "vestibule_session_refused_total" ["why"]
        "Session cookies that were not taken.";
    PROVIDER_CALLS: "counter" "vestibule_provider_calls_total" ["provider", "call", "outcome"]
        "Calls to providers.";
    IN_FLIGHT: "gauge" "vestibule_requests_in_flight" []
        "Requests and streams under way.";
    CONNECTIONS: "gauge" "vestibule_connections" []
        "Connections of clients that are open.";
    HANDSHAKES: "counter" "vestibule_tls_handshakes_total" ["outcome"]
        "TLS handshakes with clients.";
    HANDSHAKE_SECONDS: "histogram" "vestibule_tls_handshake_seconds" []
        "Time that a completed TLS handshake took, the client's part included.";
    ACCESS_LOG_DROPPED: "counter" "vestibule_access_log_dropped_total" []
        "Access-log lines dropped because standard output was too slow.";
    PANICS: "counter" "vestibule_panics_total" []
        "Requests answered with 500 because of a fault in the gateway.";
    BUILD_INFO: "gauge" "vestibule_build_info" ["version"]
        "Always 1; the version is the label.";
}

/// The metrics of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Children,
    responses: Children,
    request_seconds: Histogram,
    refused: Children,
    connections_closed: Children,
    upstream_errors: Children,
    logins: Children,
    sign_outs: IntCounter,
    sessions_created: IntCounter,
    sessions_ended: Children,
    sessions_refused: Children,
    provider_calls: Vec<(ProviderName, Children)>,
    in_flight: IntGauge,
    connections: IntGauge,
    handshakes: Children,
    handshake_seconds: Histogram,
    access_log_dropped: IntCounter,
    access_log: OnceLock<DroppedLines>,
    panics: IntCounter,
}

impl Metrics {
    /// Registers every metric, with every label value it can ever have.
    ///
    /// # Errors
    /// A name or label that Prometheus doesn't take; none of ours.
    pub fn new(providers: &[ProviderName]) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let build = IntGauge::with_opts(
            Opts::new(BUILD_INFO.name, BUILD_INFO.help).const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        build.set(1);
        registry.register(Box::new(build))?;
        Ok(Self {
            requests: Children::register(&registry, REQUESTS, Decision::TEXTS)?,
            responses: Children::register(&registry, RESPONSES, StatusClass::TEXTS)?,
            request_seconds: histogram(&registry, REQUEST_SECONDS)?,
            refused: Children::register(&registry, REFUSED, Refusal::TEXTS)?,
            connections_closed: Children::register(&registry, CONNECTIONS_CLOSED, ConnectionEnd::TEXTS)?,
            upstream_errors: Children::register(&registry, UPSTREAM_ERRORS, UpstreamError::TEXTS)?,
            logins: Children::register(&registry, LOGINS, LoginOutcome::TEXTS)?,
            sign_outs: counter(&registry, SIGN_OUTS)?,
            sessions_created: counter(&registry, SESSIONS_CREATED)?,
            sessions_ended: Children::register(&registry, SESSIONS_ENDED, SessionEnd::TEXTS)?,
            sessions_refused: Children::register(&registry, SESSIONS_REFUSED, SessionRefusal::TEXTS)?,
            provider_calls: provider_calls(&registry, providers)?,
            in_flight: gauge(&registry, IN_FLIGHT)?,
            connections: gauge(&registry, CONNECTIONS)?,
            handshakes: Children::register(&registry, HANDSHAKES, HandshakeOutcome::TEXTS)?,
            handshake_seconds: histogram(&registry, HANDSHAKE_SECONDS)?,
            access_log_dropped: counter(&registry, ACCESS_LOG_DROPPED)?,
            access_log: OnceLock::new(),
            panics: counter(&registry, PANICS)?,
            registry,
        })
    }

    /// Counts a finished request. Without a status the client was gone before there was one.
    pub fn request(&self, decision: Decision, status: Option<StatusCode>, took: Duration) {
        self.requests.inc(decision as usize);
        self.responses.inc(StatusClass::of(status) as usize);
        self.request_seconds.observe(took.as_secs_f64());
    }

    /// Counts a request or connection that was refused.
    pub fn refused(&self, why: Refusal) {
        self.refused.inc(why as usize);
    }

    /// Counts a connection that was ended before the client wanted it.
    pub fn connection_closed(&self, why: ConnectionEnd) {
        self.connections_closed.inc(why as usize);
    }

    /// Counts a failure of an upstream.
    pub fn upstream_error(&self, kind: UpstreamError) {
        self.upstream_errors.inc(kind as usize);
    }

    /// Counts a step or end of a login.
    pub fn login(&self, outcome: LoginOutcome) {
        self.logins.inc(outcome as usize);
    }

    /// Counts a sign-out.
    pub fn sign_out(&self) {
        self.sign_outs.inc();
    }

    /// Counts a new session.
    pub fn session_created(&self) {
        self.sessions_created.inc();
    }

    /// Counts the end of a session.
    pub fn session_ended(&self, why: SessionEnd) {
        self.sessions_ended.inc(why as usize);
    }

    /// Counts a session cookie that was not taken.
    pub fn session_refused(&self, why: SessionRefusal) {
        self.sessions_refused.inc(why as usize);
    }

    /// Counts a call to a provider; one that wasn't known at the start isn't counted.
    pub fn provider_call(&self, provider: &ProviderName, call: ProviderCall, outcome: CallOutcome) {
        let children = self.provider_calls.iter().find(|(name, _)| name == provider);
        if let Some((_, children)) = children {
            children.inc(call as usize * CallOutcome::ALL.len() + outcome as usize);
        }
    }

    /// How many requests and streams are under way now.
    pub fn in_flight(&self, now: usize) {
        self.in_flight.set(i64::try_from(now).unwrap_or(i64::MAX));
    }

    /// How many connections of clients are open now.
    pub fn connections(&self, now: usize) {
        self.connections.set(i64::try_from(now).unwrap_or(i64::MAX));
    }

    /// Counts a TLS handshake; how long it took counts if it was completed.
    pub fn handshake(&self, outcome: HandshakeOutcome, took: Duration) {
        self.handshakes.inc(outcome as usize);
        if matches!(outcome, HandshakeOutcome::Full | HandshakeOutcome::Resumed) {
            self.handshake_seconds.observe(took.as_secs_f64());
        }
    }

    /// Counts a panic that cost one request.
    pub fn panic(&self) {
        self.panics.inc();
    }

    /// Takes the number of dropped lines from this access log from now on.
    pub fn watch(&self, access_log: &AccessLog) {
        if let Some(dropped) = access_log.dropped() {
            // A second access log in one process would be counted by itself; there is none.
            let _ = self.access_log.set(dropped);
        }
    }

    /// Everything in Prometheus' text format (`text/plain; version=0.0.4`).
    #[must_use]
    pub fn render(&self) -> String {
        if let Some(dropped) = self.access_log.get() {
            let missing = dropped.total().saturating_sub(self.access_log_dropped.get());
            self.access_log_dropped.inc_by(missing);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "failed to write the metrics");
            String::new()
        })
    }
}

/// The counters of one metric, one for each value (or combination of values) of its labels.
#[derive(Debug)]
struct Children(Vec<IntCounter>);

impl Children {
    fn register(registry: &Registry, metric: Metric, texts: &[&str]) -> Result<Self, prometheus::Error> {
        let family = family(registry, metric)?;
        texts
            .iter()
            .map(|text| family.get_metric_with_label_values(&[*text]))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn inc(&self, index: usize) {
        if let Some(child) = self.0.get(index) {
            child.inc();
        }
    }
}

fn family(registry: &Registry, metric: Metric) -> Result<IntCounterVec, prometheus::Error> {
    let family = IntCounterVec::new(Opts::new(metric.name, metric.help), metric.labels)?;
    registry.register(Box::new(family.clone()))?;
    Ok(family)
}

fn counter(registry: &Registry, metric: Metric) -> Result<IntCounter, prometheus::Error> {
    let counter = IntCounter::new(metric.name, metric.help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn histogram(registry: &Registry, metric: Metric) -> Result<Histogram, prometheus::Error> {
    let opts = HistogramOpts::new(metric.name, metric.help).buckets(BUCKETS.to_vec());
    let histogram = Histogram::with_opts(opts)?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}

fn gauge(registry: &Registry, metric: Metric) -> Result<IntGauge, prometheus::Error> {
    let gauge = IntGauge::new(metric.name, metric.help)?;
    registry.register(Box::new(gauge.clone()))?;
    Ok(gauge)
}

/// The children of each provider, `call` by `call`, within a call `outcome` by `outcome`.
fn provider_calls(
    registry: &Registry,
    providers: &[ProviderName],
) -> Result<Vec<(ProviderName, Children)>, prometheus::Error> {
    let family = family(registry, PROVIDER_CALLS)?;
    let of = |provider: &ProviderName| {
        let pairs = ProviderCall::ALL.iter().flat_map(|call| CallOutcome::ALL.iter().map(move |o| (call, o)));
        let children = pairs
            .map(|(call, outcome)| [provider.as_str(), call.as_str(), outcome.as_str()])
            .map(|values| family.get_metric_with_label_values(&values))
            .collect::<Result<_, _>>()?;
        Ok((provider.clone(), Children(children)))
    };
    providers.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        Metrics::new(&[ProviderName::parse("workforce").unwrap()]).unwrap()
    }

    fn line<'a>(rendered: &'a str, start: &str) -> &'a str {
        rendered.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start} is missing"))
    }

    #[test]
    fn the_list_of_metrics_is_a_promise() {
        let list: Vec<String> = TABLE
            .iter()
            .map(|m| format!("{} {} {{{}}}\n    {}", m.kind, m.name, m.labels.join(", "), m.help))
            .collect();
        insta::assert_snapshot!("metrics", list.join("\n"));
    }

    #[test]
    fn what_is_registered_is_what_the_table_says() {
        let metrics = metrics();
        let mut found: Vec<(String, String)> = metrics
            .registry
            .gather()
            .iter()
            .map(|f| (f.name().to_owned(), format!("{:?}", f.get_field_type()).to_lowercase()))
            .filter(|(name, _)| !name.starts_with("process_"))
            .collect();
        let mut table: Vec<_> = TABLE.iter().map(|m| (m.name.to_owned(), m.kind.to_owned())).collect();
        found.sort();
        table.sort();
        assert_eq!(found, table);
    }

    #[test]
    fn every_label_value_is_there_from_the_start() {
        let rendered = metrics().render();
        for refusal in Refusal::ALL {
            line(&rendered, &format!("vestibule_refused_total{{why=\"{}\"}} 0", refusal.as_str()));
        }
        assert_eq!(
            rendered.matches("vestibule_provider_calls_total{").count(),
            ProviderCall::ALL.len() * CallOutcome::ALL.len()
        );
    }

    #[test]
    fn counts_what_it_is_told() {
        let metrics = metrics();
        let provider = ProviderName::parse("workforce").unwrap();
        metrics.request(Decision::Denied, Some(StatusCode::FORBIDDEN), Duration::from_millis(3));
        metrics.request(Decision::Forwarded, None, Duration::from_millis(3));
        metrics.provider_call(&provider, ProviderCall::Userinfo, CallOutcome::Unavailable);
        metrics.session_refused(SessionRefusal::Duplicate);
        metrics.in_flight(1);
        let rendered = metrics.render();
        for expected in [
            "vestibule_requests_total{decision=\"denied\"} 1",
            "vestibule_responses_total{class=\"4xx\"} 1",
            "vestibule_responses_total{class=\"none\"} 1",
            "vestibule_request_seconds_count 2",
            "vestibule_request_seconds_bucket{le=\"0.005\"} 2",
            "vestibule_session_refused_total{why=\"duplicate\"} 1",
            "vestibule_requests_in_flight 1",
            concat!("vestibule_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert_eq!(line(&rendered, expected), expected);
        }
        let call = "vestibule_provider_calls_total{call=\"userinfo\",outcome=\"unavailable\",provider=\"workforce\"} 1";
        assert_eq!(line(&rendered, call), call);
    }

    #[test]
    fn an_unknown_provider_makes_no_new_series() {
        let metrics = metrics();
        let stranger = ProviderName::parse("stranger").unwrap();
        metrics.provider_call(&stranger, ProviderCall::Token, CallOutcome::Ok);
        assert!(!metrics.render().contains("stranger"));
    }
}
