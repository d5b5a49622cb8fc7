//! Memory and descriptors of a gateway over time: neither may grow.

use std::fmt;
use std::time::Duration;

use super::counts::{Counts, Event};
use super::gateway::Gateway;
use super::moment::Moment;
use super::session::Store;

/// Runs shorter than this are too short to tell a slope from noise.
pub(crate) const LEAST: Duration = Duration::from_mins(3);
/// A sign-in is remembered for an hour, so that its callback can't be used twice: up to 100,000 of them,
/// so many bytes each.
const SPENT_LOGIN: u64 = 640;
const SPENT_LOGINS: u64 = 100_000;
/// An ended session whose record the browser may still hold is remembered for longer than any run: 72 bytes in a
/// table that is half empty at times. 57,000 of them were seen to take 178 bytes each.
const ENDED_SESSION: u64 = 192;
/// Growth that says nothing, in KiB: an allocator's pages.
const NOISE: u64 = 12 * 1024;
/// Descriptors that say nothing: connections come and go, thousands a minute are cut.
const FEW: u64 = 200;

/// The time that it takes to fill every pool and cache: three minutes, or half of a shorter run. From
/// then on the load no longer grows.
pub(crate) fn warm_up(time: Duration) -> Duration {
    (time / 2).min(Duration::from_mins(3))
}

/// One look.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    memory: u64,
    descriptors: u64,
    happened: Happened,
}

/// What has happened so far at all gateways: each has about half of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Happened {
    /// Sign-ons that made a session.
    pub(crate) sign_ins: u64,
    /// Sessions that ended, in whatever way.
    pub(crate) ends: u64,
}

impl Happened {
    /// Up to now.
    pub(crate) fn of(counts: &Counts) -> Self {
        let ends = [Event::SignOut, Event::Expiry, Event::Renewal, Event::Takeover];
        Self { sign_ins: counts.of(Event::SignIn), ends: ends.into_iter().map(|end| counts.of(end)).sum() }
    }

    /// What one gateway still has to know of it, in bytes.
    fn remembered(self, store: Store) -> u64 {
        let logins = (self.sign_ins / 2).min(SPENT_LOGINS) * SPENT_LOGIN;
        match store {
            Store::Memory => logins,
            Store::Sealed => logins + self.ends / 2 * ENDED_SESSION,
        }
    }
}

/// All looks at one gateway.
#[derive(Debug)]
pub(crate) struct Watch {
    store: Store,
    samples: Vec<Sample>,
}

impl Watch {
    /// Of this gateway.
    pub(crate) const fn of(gateway: &Gateway) -> Self {
        Self { store: gateway.store, samples: Vec::new() }
    }

    /// Looks.
    pub(crate) fn look(&mut self, gateway: &Gateway, happened: Happened) {
        if let (Some(memory), Some(descriptors)) = (gateway.memory(), gateway.descriptors()) {
            let at = Moment::now().since(Moment::START);
            self.samples.push(Sample { at, memory, descriptors, happened });
        }
    }

    /// What has grown, if anything has, since the warm-up.
    pub(crate) fn growth(&self) -> Option<String> {
        let start = self.samples.first()?.at;
        let end = self.samples.last()?.at;
        let warm = start + warm_up(end.saturating_sub(start));
        let steady: Vec<&Sample> = self.samples.iter().filter(|sample| sample.at >= warm).collect();
        let (first, last) = (steady.first()?, steady.last()?);
        let memory = rise(&steady, |sample| sample.memory);
        let descriptors = rise(&steady, |sample| sample.descriptors);
        let remembered = |sample: &Sample| sample.happened.remembered(self.store);
        let allowed = NOISE + (remembered(last) - remembered(first)) / 1024;
        let told = |what: &str, rise: f64, allowed: u64| {
            format!(
                "{} store: {what} rose by {rise:.0} (at most {allowed} would be flat): {self}",
                self.store.name()
            )
        };
        if memory > as_float(allowed) {
            return Some(told("memory in KiB", memory, allowed));
        }
        (descriptors > as_float(FEW)).then(|| told("descriptors", descriptors, FEW))
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} store, seconds: MiB/descriptors", self.store.name())?;
        let step = self.samples.len().div_ceil(12).max(1);
        for Sample { at, memory, descriptors, .. } in self.samples.iter().step_by(step) {
            write!(f, " {}: {}/{descriptors}", at.as_secs(), memory / 1024)?;
        }
        Ok(())
    }
}

/// Slope of the line through all samples by least squares, times its length.
fn rise(samples: &[&Sample], of: impl Fn(&Sample) -> u64) -> f64 {
    let points: Vec<(f64, f64)> =
        samples.iter().map(|sample| (sample.at.as_secs_f64(), as_float(of(sample)))).collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return 0.0 };
    let count = as_float(u64::try_from(points.len()).unwrap_or(1));
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let (above, below) = points
        .iter()
        .fold((0.0, 0.0), |(a, b), point| (a + (point.0 - x) * (point.1 - y), b + (point.0 - x).powi(2)));
    if below == 0.0 { 0.0 } else { above / below * (last.0 - first.0) }
}

#[expect(clippy::cast_precision_loss, reason = "KiB of memory and counts of descriptors are far below 2^52")]
const fn as_float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(memory: impl Fn(u64) -> u64, descriptors: impl Fn(u64) -> u64) -> Watch {
        let samples = (0..360).map(|index| Sample {
            at: Duration::from_secs(index * 5),
            memory: memory(index),
            descriptors: descriptors(index),
            happened: Happened::default(),
        });
        Watch { store: Store::Memory, samples: samples.collect() }
    }

    #[test]
    fn what_fills_at_first_and_swings_then_is_flat() {
        let swings = |index: u64| 40_000 + index.min(30) * 2000 + index % 7 * 1000;
        assert_eq!(watch(swings, |index| 200 + index % 50).growth(), None);
    }

    #[test]
    fn what_is_known_of_ended_sessions_may_grow_where_the_browser_has_the_record() {
        let of = |store| {
            // 28,585 sessions end at each gateway after the warm-up: 5.2 MiB, beside the noise.
            let mut watch = watch(|index| 40_000 + index * 52, |_| 200);
            for (sample, index) in watch.samples.iter_mut().zip(0..) {
                sample.happened.ends = index * 177;
            }
            Watch { store, ..watch }.growth()
        };
        assert_eq!(of(Store::Sealed), None);
        assert!(of(Store::Memory).unwrap().contains("memory"));
    }

    #[test]
    fn what_goes_on_growing_is_told() {
        // 50 KiB every five seconds: a leak of 36 MB an hour.
        assert!(watch(|index| 40_000 + index * 50, |_| 200).growth().unwrap().contains("memory"));
        assert!(watch(|_| 40_000, |index| 200 + index).growth().unwrap().contains("descriptors"));
    }
}
