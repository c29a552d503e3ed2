//! When something that failed for now is tried again, and when no more.

use std::time::Duration;

use crate::{
    clock::Clock,
    config::{Retry, Then},
};

/// A retry policy with everything filled in: exponential back-off with full jitter, as in Marc Brooker, "Exponential Backoff And Jitter"
/// (AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The longest that the first wait may be.
    pub min_delay: Duration,
    /// The longest that any wait may be.
    pub max_delay: Duration,
    /// How many times longer each wait may be than the one before.
    pub factor: u32,
    /// How often it is tried at the most, the first time included.
    pub max_attempts: Option<u32>,
    /// How old a record may be and still be tried again.
    pub max_age: Option<Duration>,
    /// What happens once it is not tried any more.
    pub then: Then,
}

impl Policy {
    /// For single records that fail for now while others come through.
    pub const RECORD: Self = Self {
        min_delay: Duration::from_secs(1),
        max_delay: Duration::from_secs(60),
        factor: 2,
        max_attempts: Some(10),
        max_age: None,
        then: Then::DeadLetter,
    };

    /// For a far side that is down: without an end.
    pub const OUTAGE: Self = Self { max_attempts: None, then: Then::Stop, ..Self::RECORD };

    /// For a pipeline that ended in an error: without an end, as Conduit has it.
    pub const RESTART: Self = Self { max_delay: Duration::from_secs(600), ..Self::OUTAGE };

    /// This, with what a pipeline file says instead.
    #[must_use]
    pub fn with(self, given: &Retry) -> Self {
        Self {
            min_delay: given.min_delay.map_or(self.min_delay, Into::into),
            max_delay: given.max_delay.map_or(self.max_delay, Into::into),
            factor: given.factor.unwrap_or(self.factor),
            max_attempts: given.max_attempts.or(self.max_attempts),
            max_age: given.max_age.map(Into::into).or(self.max_age),
            then: given.then.unwrap_or(self.then),
        }
    }

    /// The longest wait after so many failed attempts, the first being 1.
    pub fn longest(&self, attempts: u32) -> Duration {
        let factor = self.factor.checked_pow(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.min_delay.saturating_mul(factor).min(self.max_delay)
    }

    /// How long to wait after so many failed attempts.
    pub fn wait(&self, attempts: u32, clock: &Clock) -> Duration {
        clock.jitter(self.longest(attempts))
    }

    /// Whether nothing is tried any more after so many attempts, at this age.
    pub fn is_over(&self, attempts: u32, age: Duration) -> bool {
        self.max_attempts.is_some_and(|most| attempts >= most) || self.max_age.is_some_and(|most| age >= most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_by_their_factor_up_to_the_longest_and_never_overflow() {
        let seconds = |policy: &Policy, attempts| policy.longest(attempts).as_secs();
        assert_eq!([1, 2, 3, 6, 7, 40, u32::MAX].map(|attempts| seconds(&Policy::RECORD, attempts)), [1, 2, 4, 32, 60, 60, 60]);
        let even = Policy { factor: 1, ..Policy::RECORD };
        assert_eq!([1, 2, 1000].map(|attempts| seconds(&even, attempts)), [1, 1, 1]);
    }

    #[test]
    fn it_is_over_by_attempts_or_by_age_whichever_comes_first() {
        let policy = Policy { max_attempts: Some(3), max_age: Some(Duration::from_secs(60)), ..Policy::RECORD };
        let over = |attempts, age| policy.is_over(attempts, Duration::from_secs(age));
        assert_eq!([over(2, 0), over(3, 0), over(1, 59), over(1, 60)], [false, true, false, true]);
        assert!(!Policy::OUTAGE.is_over(u32::MAX, Duration::MAX));
    }

    #[test]
    fn what_is_given_replaces_what_holds_and_nothing_else() {
        let given = Retry { max_attempts: Some(2), then: Some(Then::Stop), ..Retry::default() };
        assert_eq!(Policy::RECORD.with(&given), Policy { max_attempts: Some(2), then: Then::Stop, ..Policy::RECORD });
        assert_eq!(Policy::OUTAGE.with(&Retry::default()), Policy::OUTAGE);
    }
}
