//! How values are spread, counted without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Up to how much time is counted together, in microseconds: from a tenth of a millisecond to a minute.
pub const SECONDS: [u64; 13] =
    [100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000];

/// Up to how much fuel is counted together, in units.
pub const FUEL: [u64; 8] = [10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000, 100_000_000_000];

/// Counts of values up to each of `N` bounds, and beyond the last.
#[derive(Debug)]
pub(super) struct Histogram<const N: usize> {
    buckets: [AtomicU64; N],
    beyond: AtomicU64,
    sum: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Each bound, and how many values are not above it and above the one before.
    pub buckets: Vec<(u64, u64)>,
    /// How many values there are.
    pub count: u64,
    /// All together.
    pub sum: u64,
}

impl<const N: usize> Default for Histogram<N> {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; N], beyond: AtomicU64::new(0), sum: AtomicU64::new(0) }
    }
}

impl<const N: usize> Histogram<N> {
    /// Counts a value.
    pub fn observe(&self, bounds: &[u64; N], value: u64) {
        let at = bounds.partition_point(|bound| *bound < value);
        self.buckets.get(at).unwrap_or(&self.beyond).fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    /// What was counted so far.
    pub fn seen(&self, bounds: &[u64; N]) -> Seen {
        let buckets: Vec<(u64, u64)> =
            bounds.iter().zip(&self.buckets).map(|(bound, bucket)| (*bound, bucket.load(Relaxed))).collect();
        let count = buckets.iter().map(|(_, count)| count).sum::<u64>() + self.beyond.load(Relaxed);
        Seen { buckets, count, sum: self.sum.load(Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_up_to_the_first_bound_that_it_is_not_above() {
        let histogram = Histogram::<2>::default();
        for value in [0, 10, 11, 20, 21, 1 << 40] {
            histogram.observe(&[10, 20], value);
        }
        let seen = histogram.seen(&[10, 20]);
        assert_eq!((seen.buckets, seen.count, seen.sum), (vec![(10, 2), (20, 2)], 6, 62 + (1 << 40)));
    }
}
