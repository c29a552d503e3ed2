//! How fast a destination is given records.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::config;

/// What goes at once after a rest, where nothing is said.
const BURST: Duration = Duration::from_secs(1);

/// A bound on records and bytes a second, shared by all lanes of a destination.
///
/// The generic cell rate algorithm (ITU-T I.371, A.1) with cells of any size: each bound's only state is the moment when all that was taken
/// would have been taken evenly. What is larger than a burst goes once nothing is owed, and the next waits the longer for it.
#[derive(Debug)]
pub struct Rate {
    records: Option<f64>,
    bytes: Option<f64>,
    burst: Duration,
    /// For records and for bytes.
    even: Mutex<[Duration; 2]>,
}

impl Rate {
    /// As a pipeline file has it; `None` where it bounds nothing.
    pub fn new(given: &config::Rate) -> Option<Self> {
        let records = given.records.map(f64::from);
        let bytes = given.bytes.map(|bytes| bytes.bytes() as f64);
        let burst = given.burst.map_or(BURST, Into::into);
        (records.is_some() || bytes.is_some()).then(|| Self { records, bytes, burst, even: Mutex::default() })
    }

    /// The most records and bytes that go at once.
    pub fn most(&self) -> (u32, u64) {
        let most = |each: Option<f64>| each.map_or(f64::INFINITY, |each| (each * self.burst.as_secs_f64()).max(1.0));
        (most(self.records) as u32, most(self.bytes) as u64)
    }

    /// Takes so much at this moment by the clock; or else how long to wait before asking again, and nothing is taken.
    pub fn take(&self, now: Duration, records: u32, bytes: u64) -> Result<(), Duration> {
        let mut even = self.even.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = [(self.records, f64::from(records)), (self.bytes, bytes as f64)];
        let (mut after, mut wait) = (*even, Duration::ZERO);
        for (after, (each, amount)) in after.iter_mut().zip(taken) {
            let Some(each) = each else { continue };
            let cost = Duration::try_from_secs_f64(amount / each).unwrap_or(Duration::MAX);
            let owed = after.saturating_sub(now);
            wait = wait.max(owed.saturating_sub(self.burst.saturating_sub(cost)));
            *after = now.saturating_add(owed).saturating_add(cost);
        }
        if wait.is_zero() {
            *even = after;
            Ok(())
        } else {
            Err(wait)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Interval, Size};

    /// When each of these is taken, waiting as long as told.
    fn taken(rate: &Rate, sizes: &[(u32, u64)]) -> Vec<u128> {
        let mut now = Duration::ZERO;
        let mut times = Vec::new();
        for (records, bytes) in sizes {
            while let Err(wait) = rate.take(now, *records, *bytes) {
                now += wait;
            }
            times.push(now.as_millis());
        }
        times
    }

    #[test]
    fn a_burst_goes_at_once_and_then_evenly() {
        let given = config::Rate { records: Some(10), ..config::Rate::default() };
        let rate = Rate::new(&given).unwrap();
        assert_eq!(rate.most(), (10, u64::MAX));
        assert_eq!(taken(&rate, &[(5, 0), (5, 0), (1, 0), (4, 0), (10, 0)]), [0, 0, 100, 500, 1500]);
    }

    #[test]
    fn what_is_larger_than_a_burst_goes_once_nothing_is_owed_and_the_next_waits_for_it() {
        let given = config::Rate {
            bytes: Some(Size::from_bytes(1000)),
            burst: Some(Interval::from_millis(100)),
            ..config::Rate::default()
        };
        let rate = Rate::new(&given).unwrap();
        assert_eq!(rate.most(), (u32::MAX, 100));
        assert_eq!(taken(&rate, &[(1, 100), (1, 5000), (1, 100)]), [0, 100, 5100]);
    }

    #[test]
    fn the_tighter_of_two_bounds_counts_and_what_is_refused_takes_nothing() {
        let given = config::Rate { records: Some(1), bytes: Some(Size::from_bytes(10)), burst: None };
        let rate = Rate::new(&given).unwrap();
        assert!(rate.take(Duration::ZERO, 1, 1).is_ok());
        for _ in 0..5 {
            assert_eq!(rate.take(Duration::ZERO, 1, 1), Err(Duration::from_secs(1)));
        }
        assert_eq!(taken(&rate, &[(1, 10), (1, 1)]), [1000, 2000]);
        assert!(Rate::new(&config::Rate::default()).is_none());
    }
}
