//! So many records a second.

use std::{num::NonZeroU64, time::Duration};

const SECOND: u128 = 1_000_000_000;

/// The shortest wait: at high rates several records come at a time.
const SHORTEST: Duration = Duration::from_millis(2);

/// A token bucket that fills steadily and holds a tenth of a second's worth, one record at least.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Option<NonZeroU64>,
    /// When the bucket began to fill.
    began: Option<Duration>,
    taken: u128,
    available: u64,
}

impl Pace {
    pub(super) fn new(rate: Option<NonZeroU64>) -> Self {
        Self { rate, began: None, taken: 0, available: 0 }
    }

    /// Fills the bucket with what came in until `now`.
    pub(super) fn refill(&mut self, now: Duration) {
        let Some(rate) = self.rate else { return };
        let began = *self.began.get_or_insert(now);
        // Token k comes at k / rate: the first at once.
        let earned = now.saturating_sub(began).as_nanos() * u128::from(rate.get()) / SECOND + 1;
        let most = u128::from((rate.get() / 10).max(1));
        self.taken = self.taken.max(earned.saturating_sub(most));
        self.available = u64::try_from(earned - self.taken.min(earned)).unwrap_or(u64::MAX);
    }

    /// Takes a record's token; false where there is none.
    pub(super) fn take(&mut self) -> bool {
        if self.rate.is_none() {
            return true;
        }
        let taken = self.available > 0;
        if taken {
            self.available -= 1;
            self.taken += 1;
        }
        taken
    }

    /// When the next token comes, seen from `now` and an empty bucket.
    pub(super) fn next(&self, now: Duration) -> Duration {
        let (Some(rate), Some(began)) = (self.rate, self.began) else { return now };
        let nanos = (self.taken * SECOND).div_ceil(u128::from(rate.get()));
        let due = began + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        due.max(now + SHORTEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pace: &mut Pace, now: Duration) -> usize {
        pace.refill(now);
        std::iter::from_fn(|| pace.take().then_some(())).take(1_000_000).count()
    }

    #[test]
    fn records_come_steadily_and_each_wait_ends_with_one() {
        for rate in [1, 3, 7, 400, 100_000, 3_333_333] {
            let mut pace = Pace::new(NonZeroU64::new(rate));
            let mut now = Duration::from_millis(12_345);
            let mut records = taken(&mut pace, now);
            assert_eq!(records, 1);
            let end = now + Duration::from_secs(20);
            loop {
                let next = pace.next(now);
                assert!(next > now);
                if next > end {
                    break;
                }
                now = next;
                let came = taken(&mut pace, now);
                assert!(came > 0, "rate {rate} at {now:?}");
                records += came;
            }
            let expected = rate as usize * 20 + 1;
            assert!(records <= expected && records + 1 + rate as usize / 400 >= expected, "{records} of {expected}");
        }
    }

    #[test]
    fn a_long_pause_earns_no_more_than_a_tenth_of_a_second() {
        let mut pace = Pace::new(NonZeroU64::new(1000));
        assert_eq!(taken(&mut pace, Duration::ZERO), 1);
        assert_eq!(taken(&mut pace, Duration::from_secs(3600)), 100);
    }
}
