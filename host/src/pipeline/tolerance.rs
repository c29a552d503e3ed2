//! How much of what passes may fail: of the last so many records at most so many.
//!
//! Fed with runs of records, never with single ones. It remembers the failures in the window as runs, so that its memory is bounded by the
//! tolerance and its time by the number of runs, however many records pass.

use std::{collections::VecDeque, ops::Range};

/// A window over the last records of a pipeline, all good at the start. Once a failure was too many, every later one is.
#[derive(Clone, Debug)]
pub struct Tolerance {
    /// Records in the window; 0 for no bound.
    window: u64,
    /// How many of them may fail.
    tolerance: u64,
    /// How many records have passed.
    passed: u64,
    /// The places of those in the window that failed, counted from the first that passed, in order and with gaps in between.
    failed: VecDeque<Range<u64>>,
    /// How many these are.
    count: u64,
    exceeded: bool,
}

impl Tolerance {
    /// Of the last `window` records at most `tolerance` may fail; a `window` of 0 sets no bound.
    pub fn new(window: u32, tolerance: u32) -> Self {
        let (window, tolerance) = (window.into(), tolerance.into());
        Self { window, tolerance, passed: 0, failed: VecDeque::new(), count: 0, exceeded: false }
    }

    /// So many records were dealt with and did not fail.
    pub fn succeeded(&mut self, records: u64) {
        self.passed = self.passed.saturating_add(records);
    }

    /// So many records failed, one behind the other. Gives how many of them may: where these are fewer, the one behind them is the
    /// failure that was too many, and neither it nor any behind it counts as having passed.
    pub fn failed(&mut self, records: u64) -> u64 {
        if self.exceeded {
            return 0;
        }
        if self.window <= self.tolerance {
            self.passed = self.passed.saturating_add(records);
            return records;
        }
        let mut left = records;
        while left > 0 {
            self.forget();
            // The window moves on with each failure. Where it leaves failures behind, it has as many as before; else one more.
            let leaving = self.failed.front().map(|first| (first.start + self.window - self.passed, first.end - first.start));
            let (step, leaves) = match leaving {
                Some((0, run)) => (left.min(run), true),
                Some((good, _)) => (left.min(good).min(self.tolerance - self.count), false),
                None => (left.min(self.tolerance), false),
            };
            if step == 0 {
                self.exceeded = true;
                break;
            }
            if leaves && let Some(first) = self.failed.front_mut() {
                first.start += step;
                self.count -= step;
            }
            self.push(step);
            left -= step;
        }
        records - left
    }

    /// Whether a failure was too many.
    pub fn exceeded(&self) -> bool {
        self.exceeded
    }

    /// How many failures the window holds.
    pub fn failures(&mut self) -> u64 {
        self.forget();
        self.count
    }

    /// Forgets failures that the window has left behind: those that lie further back than its length.
    fn forget(&mut self) {
        let first = self.passed.saturating_sub(self.window);
        while let Some(run) = self.failed.front_mut() {
            let gone = run.end.min(first).saturating_sub(run.start);
            run.start += gone;
            self.count -= gone;
            if !run.is_empty() {
                break;
            }
            self.failed.pop_front();
        }
    }

    fn push(&mut self, records: u64) {
        let end = self.passed + records;
        match self.failed.back_mut() {
            Some(last) if last.end == self.passed && !last.is_empty() => last.end = end,
            _ => self.failed.push_back(self.passed..end),
        }
        self.passed = end;
        self.count += records;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, record by record: the outcomes in the window, oldest first.
    struct Naive {
        window: usize,
        tolerance: usize,
        outcomes: VecDeque<bool>,
        exceeded: bool,
    }

    impl Naive {
        /// Whether the record may fail, if it does.
        fn record(&mut self, failed: bool) -> bool {
            if self.exceeded {
                return !failed;
            }
            if self.window > 0 {
                let before = self.outcomes.iter().rev().take(self.window - 1).filter(|failed| **failed).count();
                if failed && before + 1 > self.tolerance {
                    self.exceeded = true;
                    return false;
                }
            }
            self.outcomes.push_back(failed);
            true
        }
    }

    proptest! {
        #[test]
        fn runs_are_judged_as_their_records_would_be(
            (window, tolerance) in (0u32..12, 0u32..12),
            runs in prop::collection::vec((any::<bool>(), 1u64..20), 0..60),
        ) {
            prop_assume!(window == 0 || tolerance <= window);
            let mut naive =
                Naive { window: window as usize, tolerance: tolerance as usize, outcomes: VecDeque::new(), exceeded: false };
            let mut judged = Tolerance::new(window, tolerance);
            for (failed, records) in runs {
                let may = (0..records).take_while(|_| naive.record(failed)).count() as u64;
                if failed {
                    prop_assert_eq!(judged.failed(records), may);
                } else {
                    judged.succeeded(records);
                }
                prop_assert_eq!(judged.exceeded(), naive.exceeded);
                prop_assert!(judged.failed.len() as u64 <= u64::from(tolerance) + 1, "{:?}", judged);
                if window > 0 && !naive.exceeded {
                    let in_window = naive.outcomes.iter().rev().take(window as usize).filter(|failed| **failed).count() as u64;
                    prop_assert!(tolerance == window || judged.failures() == in_window);
                }
            }
        }
    }

    #[test]
    fn by_default_the_first_failure_is_too_many() {
        let mut tolerance = Tolerance::new(1, 0);
        tolerance.succeeded(1 << 40);
        assert!(!tolerance.exceeded());
        assert_eq!((tolerance.failed(3), tolerance.exceeded()), (0, true));
    }

    #[test]
    fn one_in_a_hundred_may_fail_for_ever_and_two_may_not() {
        let mut tolerance = Tolerance::new(100, 1);
        for _ in 0..1_000_000 {
            assert_eq!(tolerance.failed(1), 1);
            tolerance.succeeded(99);
        }
        assert_eq!((tolerance.failed(2), tolerance.failures()), (1, 1));
        tolerance.succeeded(1 << 40);
        assert_eq!(tolerance.failed(1), 0, "it stays as it is");
    }
}
