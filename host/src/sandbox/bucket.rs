//! How often something may happen: so many times a second, and as many at once.

use std::time::Duration;

/// The time over which a rate is meant.
const SECOND: Duration = Duration::from_secs(1);

/// What is left of a rate. The generic cell rate algorithm (ITU-T I.371, A.1), whose only state is a moment: when everything that was
/// taken would have been taken evenly.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bucket {
    even: Duration,
}

impl Bucket {
    /// Whether it may happen now, which then counts as having happened. `now` is a clock's elapsed time.
    pub fn take(&mut self, now: Duration, per_second: u32) -> bool {
        let Some(each) = SECOND.checked_div(per_second) else {
            return false;
        };
        let even = self.even.max(now) + each;
        let allowed = even - now <= SECOND;
        if allowed {
            self.even = even;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_had_at_once_and_then_evenly() {
        for rate in [1, 3, 100, 10_000] {
            let mut bucket = Bucket::default();
            let mut taken = |now: Duration, tries: u32| (0..tries).filter(|_| bucket.take(now, rate)).count();
            assert_eq!(taken(Duration::ZERO, rate + 10), rate as usize);
            assert_eq!(taken(SECOND / 2, rate * 2), rate as usize / 2);
            assert_eq!(taken(SECOND, rate * 2), rate.div_ceil(2) as usize);
            assert_eq!(taken(SECOND * 3600, rate * 2), rate as usize, "no more is saved up than a second's worth");
        }
        assert!(!Bucket::default().take(SECOND, 0));
    }
}
