//! What is known of one request while it passes through the phases.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::forwarded::Client;
use super::opening::HeldOpening;
use super::slow_stream::SlowStreamWatch;
use super::traffic::InFlight;
use super::traits::Traits;
use super::upstream_clock::Exchange;
use super::wire::{Connection, UnderWay};
use crate::clock::{Stopwatch, Timestamp};
use crate::gateway::{Answer, Forward};
use crate::route::Route;
use crate::telemetry::RequestId;
use crate::telemetry::labels::Decision;

/// How far a request has come.
#[derive(Debug)]
pub(super) enum Progress {
    /// Nothing is decided.
    Started,
    /// It may pass.
    Forwarding(Box<Forward>),
    /// We have answered.
    Answered,
}

/// One request.
#[derive(Debug)]
pub struct Context {
    pub(super) time: Timestamp,
    pub(super) watch: Stopwatch,
    pub(super) request_id: RequestId,
    pub(super) traits: Traits,
    /// The address that counts: the peer's, or what trusted proxies say.
    pub(super) client: Option<IpAddr>,
    /// The client and the proxies before us, for the upstream.
    pub(super) client_chain: Option<Client>,
    pub(super) progress: Progress,
    pub(super) decision: Decision,
    pub(super) reason: &'static str,
    /// The route of a request that we have answered.
    answered: Option<Arc<Route>>,
    pub(super) upstream: Option<SocketAddr>,
    pub(super) upstream_watch: Option<Stopwatch>,
    pub(super) upstream_time: Option<Duration>,
    pub(super) status: Option<StatusCode>,
    /// The connection to an HTTP/1 upstream that the request has.
    pub(super) exchange: Option<Exchange>,
    /// A body on an HTTP/2 stream that is still coming.
    pub(super) slow_stream: Option<SlowStreamWatch>,
    /// The client's HTTP/1 connection.
    pub(super) connection: Option<Arc<Connection>>,
    /// Counts it on an HTTP/2 connection.
    pub(super) under_way: Option<UnderWay>,
    pub(super) opening: Option<HeldOpening>,
    pub(super) body_received: u64,
    pub(super) upgraded: bool,
    /// 1xx responses so far.
    pub(super) announcements: u32,
    pub(super) connect_attempts: u32,
    pub(super) stale_retries: u32,
    _in_flight: InFlight,
}

impl Context {
    pub(super) fn new(time: Timestamp, in_flight: InFlight) -> Self {
        Self {
            time,
            watch: Stopwatch::start(),
            request_id: RequestId::UNREAD,
            traits: Traits::UNREAD,
            client: None,
            client_chain: None,
            progress: Progress::Started,
            decision: Decision::Refused,
            reason: "",
            answered: None,
            upstream: None,
            upstream_watch: None,
            upstream_time: None,
            status: None,
            exchange: None,
            slow_stream: None,
            connection: None,
            under_way: None,
            opening: None,
            body_received: 0,
            upgraded: false,
            announcements: 0,
            connect_attempts: 0,
            stale_retries: 0,
            _in_flight: in_flight,
        }
    }

    pub(super) fn forward(&mut self, forward: Box<Forward>) {
        self.decision = Decision::Forwarded;
        self.reason = Decision::Forwarded.as_str();
        self.progress = Progress::Forwarding(forward);
    }

    pub(super) fn answered(&mut self, answer: &Answer) {
        self.decision = answer.decision;
        self.reason = answer.reply.reason;
        let before = match std::mem::replace(&mut self.progress, Progress::Answered) {
            Progress::Forwarding(forward) => Some(forward.route),
            Progress::Started | Progress::Answered => self.answered.take(),
        };
        self.answered = answer.route.clone().or(before);
    }

    /// The route that was found.
    pub(super) fn route(&self) -> Option<&Arc<Route>> {
        self.forwarding().map(|forward| &forward.route).or(self.answered.as_ref())
    }

    pub(super) fn forwarding(&self) -> Option<&Forward> {
        match &self.progress {
            Progress::Forwarding(forward) => Some(forward),
            Progress::Started | Progress::Answered => None,
        }
    }
}
