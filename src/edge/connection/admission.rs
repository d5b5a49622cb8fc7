//! How many connections there are, and whether there is room for one more.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use ipnet::IpNet;

use super::ConnectionLimits;
use crate::clock::Stopwatch;
use crate::telemetry::labels::Refusal;
use crate::telemetry::metrics::Metrics;

/// How often at most the log tells of refused connections.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Counts connections and closes the door on too many.
#[derive(Debug)]
pub struct Admission {
    limits: ConnectionLimits,
    trusted: Vec<IpNet>,
    metrics: Arc<Metrics>,
    open: Mutex<Open>,
}

/// What is open now. Addresses with nothing open aren't kept, so it never holds more than `total`.
#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize, RandomState>,
    told: Option<Stopwatch>,
    untold: u64,
}

impl Admission {
    /// An empty house. Connections of `trusted` proxies count in the total alone.
    #[must_use]
    pub fn new(limits: ConnectionLimits, trusted: Vec<IpNet>, metrics: Arc<Metrics>) -> Self {
        Self { limits, trusted, metrics, open: Mutex::default() }
    }

    /// Room for a connection from `peer`, for as long as the answer is held; `None` when it must be
    /// closed.
    #[must_use]
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Admitted> {
        let address = self.counted(peer);
        let mut open = self.open();
        let of_address = address.and_then(|address| open.by_address.get(&address).copied()).unwrap_or(0);
        let refusal = if open.total >= self.limits.total {
            Some(Refusal::Connections)
        } else if of_address >= self.limits.per_address {
            Some(Refusal::ConnectionsOfAddress)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.metrics.refused(refusal);
            self.tell(&mut open, refusal);
            return None;
        }
        open.total += 1;
        self.metrics.connections(open.total);
        if let Some(address) = address {
            *open.by_address.entry(address).or_insert(0) += 1;
        }
        Some(Admitted { admission: Arc::clone(self), address })
    }

    /// Under which address a peer is counted; `None` for a trusted proxy.
    fn counted(&self, peer: IpAddr) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        let trusted = self.trusted.iter().any(|network| network.contains(&peer));
        (!trusted).then(|| subscriber(peer))
    }

    fn tell(&self, open: &mut Open, why: Refusal) {
        open.untold += 1;
        if open.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            tracing::warn!(
                why = why.as_str(),
                refused = open.untold,
                open = open.total,
                total = self.limits.total,
                per_address = self.limits.per_address,
                "connections were closed at accept: see limits.connections"
            );
            open.untold = 0;
            open.told = Some(Stopwatch::start());
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands for everybody behind one address: over IPv6 its /64 network, since one subscriber has a whole one
/// and could take another address for every connection.
pub(in crate::edge) fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub struct Admitted {
    admission: Arc<Admission>,
    address: Option<IpAddr>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut open = self.admission.open();
        open.total = open.total.saturating_sub(1);
        self.admission.metrics.connections(open.total);
        let Some(address) = self.address else { return };
        if let Some(count) = open.by_address.get_mut(&address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn house(total: usize, per_address: usize) -> Arc<Admission> {
        let trusted = vec!["10.0.0.0/8".parse().unwrap()];
        let metrics = Arc::new(Metrics::new(&[]).unwrap());
        Arc::new(Admission::new(ConnectionLimits { total, per_address }, trusted, metrics))
    }

    fn from(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn one_more_than_the_total_finds_no_room_until_one_leaves() {
        let house = house(2, 2);
        let first = house.admit(from("203.0.113.1")).unwrap();
        let _second = house.admit(from("203.0.113.2")).unwrap();
        assert!(house.admit(from("203.0.113.3")).is_none());
        drop(first);
        assert!(house.admit(from("203.0.113.3")).is_some());
    }

    #[rstest]
    #[case::same("203.0.113.1", "203.0.113.1", false)]
    #[case::mapped("203.0.113.1", "::ffff:203.0.113.1", false)]
    #[case::neighbour("203.0.113.1", "203.0.113.2", true)]
    #[case::same_network("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", false)]
    #[case::other_network("2001:db8:0:1::1", "2001:db8:0:2::1", true)]
    #[case::trusted_proxy("10.1.2.3", "10.1.2.3", true)]
    fn an_address_has_its_share(#[case] first: &str, #[case] second: &str, #[case] room: bool) {
        let house = house(10, 1);
        let _held = house.admit(from(first)).unwrap();
        assert_eq!(house.admit(from(second)).is_some(), room);
    }

    #[test]
    fn refused_and_open_connections_are_counted() {
        let house = house(1, 1);
        let held = house.admit(from("203.0.113.1")).unwrap();
        assert!(house.admit(from("203.0.113.1")).is_none());
        let metrics = house.metrics.render();
        assert!(metrics.contains("vestibule_connections 1\n"), "{metrics}");
        assert!(metrics.contains("vestibule_refused_total{why=\"connections\"} 1\n"), "{metrics}");
        drop(held);
        assert!(house.metrics.render().contains("vestibule_connections 0\n"));
    }

    proptest! {
        #[test]
        fn whoever_comes_and_goes_nothing_is_left(steps in prop::collection::vec((0_u8..4, any::<bool>()), 0..60)) {
            let house = house(8, 3);
            let mut inside: Vec<(u8, Admitted)> = Vec::new();
            for (who, comes) in steps {
                if comes {
                    let of_address = inside.iter().filter(|(other, _)| *other == who).count();
                    let admitted = house.admit(from(&format!("203.0.113.{who}")));
                    prop_assert_eq!(admitted.is_some(), inside.len() < 8 && of_address < 3);
                    inside.extend(admitted.map(|admitted| (who, admitted)));
                } else if let Some(index) = inside.iter().position(|(other, _)| *other == who) {
                    inside.swap_remove(index);
                }
            }
            inside.clear();
            let open = house.open();
            prop_assert_eq!(open.total, 0);
            prop_assert!(open.by_address.is_empty());
        }
    }
}
