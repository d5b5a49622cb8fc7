//! Medians and how sure one may be of them.

use serde::Serialize;

/// Resamples drawn for an interval.
const RESAMPLES: usize = 10_000;

/// A median with its range and a 95 % interval.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Ends of the 95 % interval of the median, by the percentile bootstrap.
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of one value per round. Below about seven rounds the interval is the range.
    pub(crate) fn of(values: &[f64]) -> Self {
        let sorted = sorted(values.to_vec());
        let mut random = SplitMix(0x7665_7374_6962_756c);
        let resampled = (0..RESAMPLES).map(|_| {
            let drawn = sorted.iter().map(|_| at(&sorted, random.below(sorted.len()))).collect();
            median(drawn)
        });
        let medians = self::sorted(resampled.collect());
        Self {
            median: median(sorted.clone()),
            min: at(&sorted, 0),
            max: at(&sorted, sorted.len().saturating_sub(1)),
            low: at(&medians, RESAMPLES / 40),
            high: at(&medians, RESAMPLES - RESAMPLES / 40),
        }
    }
}

/// The value in the middle, or the mean of the two there.
pub(crate) fn median(values: Vec<f64>) -> f64 {
    let sorted = sorted(values);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        at(&sorted, middle)
    } else {
        f64::midpoint(at(&sorted, middle.saturating_sub(1)), at(&sorted, middle))
    }
}

/// The value that so many of a hundred don't exceed.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    at(sorted, (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn at(values: &[f64], index: usize) -> f64 {
    values.get(index).copied().unwrap_or(f64::NAN)
}

/// [SplitMix64](https://doi.org/10.1145/2714064.2660195), from a fixed seed: the same figures give the
/// same interval.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(mixed % bound).unwrap_or(0)
    }
}
