//! When to leave a provider alone.

use std::time::Duration;

use super::TokenError;

/// Failures in a row after which a provider is left alone for a while.
const FAILURES: u32 = 3;
/// For how long at first; twice as long after each further failure.
const FIRST: Duration = Duration::from_secs(5);
/// For how long at the most, and where the provider takes back its consent.
const LONGEST: Duration = Duration::from_secs(300);
/// Refusals of a token in so much time that lead to another one.
const HEEDED: usize = 3;
const WITHIN: Duration = Duration::from_secs(60);

/// Counts failures in a row, and says when nobody is to ask.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// Until when nobody asks, and what to answer instead.
    open: Option<(Duration, TokenError)>,
}

impl Breaker {
    /// What to answer without asking, where it is not time to ask.
    pub(super) fn answer(&self, now: Duration) -> Option<TokenError> {
        self.open.as_ref().filter(|(until, _)| now < *until).map(|(_, error)| error.clone())
    }

    /// Notes a failure.
    pub(super) fn failed(&mut self, now: Duration, error: &TokenError) {
        self.failures = self.failures.saturating_add(1);
        let wait = match error {
            TokenError::Revoked(_) => LONGEST,
            TokenError::Unavailable(_) if self.failures < FAILURES => return,
            TokenError::Unavailable(_) => FIRST.saturating_mul(1 << (self.failures - FAILURES).min(16)).min(LONGEST),
        };
        self.open = Some((now + wait, error.clone()));
    }

    /// Notes that all is well.
    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }
}

/// Bounds how often a token is given up because somebody says that it was refused: a connector that says so for ever would have the host ask
/// for ever, on behalf of all who share the provider.
#[derive(Debug, Default)]
pub(super) struct Refusals([Option<Duration>; HEEDED]);

impl Refusals {
    /// Whether this one is heeded.
    pub(super) fn heed(&mut self, now: Duration) -> bool {
        let free = self.0.iter_mut().find(|at| at.is_none_or(|at| now >= at + WITHIN));
        free.map(|at| *at = Some(now)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn after_three_failures_it_waits_longer_each_time_and_no_longer_than_five_minutes() {
        let mut breaker = Breaker::default();
        let error = TokenError::Unavailable("no".into());
        let mut now = at(100);
        for _ in 0..2 {
            breaker.failed(now, &error);
            assert_eq!(breaker.answer(now), None);
        }
        for wait in [5, 10, 20, 40, 80, 160, 300, 300] {
            breaker.failed(now, &error);
            assert_eq!(breaker.answer(now + at(wait) - Duration::from_millis(1)).as_ref(), Some(&error));
            now += at(wait);
            assert_eq!(breaker.answer(now), None, "{wait}");
        }
        breaker.succeeded();
        breaker.failed(now, &error);
        assert_eq!(breaker.answer(now), None, "counted from the start again");
    }

    #[test]
    fn what_was_revoked_is_not_asked_for_again_at_once() {
        let mut breaker = Breaker::default();
        let error = TokenError::Revoked("no".into());
        breaker.failed(at(0), &error);
        assert_eq!(breaker.answer(at(299)), Some(error));
        assert_eq!(breaker.answer(at(300)), None);
    }

    #[test]
    fn three_refusals_a_minute_are_heeded() {
        let mut refusals = Refusals::default();
        let heeded: Vec<bool> = [0, 1, 2, 3, 59, 60, 61, 61, 62, 63].map(|second| refusals.heed(at(second))).to_vec();
        assert_eq!(heeded, [true, true, true, false, false, true, true, false, true, false]);
    }
}
