//! A connector's own figures: what it counts, gauges and observes.
//!
//! **Threat.** A name for every record, values that no arithmetic survives. **Answer.** Names are short and plain, there are so many of
//! them for a destination and no more, values are finite, and each name keeps one number or four.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;

/// The most bytes of a name.
const NAME: usize = 100;

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// A sum of what was counted.
    Count(u64),
    /// The value that was given last.
    Gauge(f64),
    /// What was observed: how often, all together, the least and the most.
    Observed {
        /// How often.
        count: u64,
        /// All together.
        sum: f64,
        /// The least.
        min: f64,
        /// The most.
        max: f64,
    },
}

/// The figures of a destination, over all of its instances.
#[derive(Debug, Default)]
pub struct Figures(Mutex<BTreeMap<Box<str>, Figure>>);

impl Figures {
    /// Takes a figure in; false where it is dropped: for its name, its value, for being of another kind than before, or because there are
    /// `most` others.
    pub fn take(&self, name: &str, figure: Figure, most: u32) -> bool {
        let finite = match figure {
            Figure::Count(_) => true,
            Figure::Gauge(value) => value.is_finite(),
            Figure::Observed { sum, .. } => sum.is_finite(),
        };
        if !finite || !is_plain(name) {
            return false;
        }
        let mut figures = self.figures();
        if let Some(known) = figures.get_mut(name) {
            return known.add(figure);
        }
        let room = figures.len() < most as usize;
        if room {
            figures.insert(name.into(), figure);
        }
        room
    }

    /// All of them as they stand, by name.
    pub fn all(&self) -> BTreeMap<Box<str>, Figure> {
        self.figures().clone()
    }

    fn figures(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Figure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Figure {
    /// One value that was observed.
    pub const fn observed(value: f64) -> Self {
        Self::Observed { count: 1, sum: value, min: value, max: value }
    }

    fn add(&mut self, other: Self) -> bool {
        match (self, other) {
            (Self::Count(sum), Self::Count(by)) => *sum = sum.saturating_add(by),
            (Self::Gauge(value), Self::Gauge(now)) => *value = now,
            (Self::Observed { count, sum, min, max }, Self::Observed { count: more, sum: of, min: least, max: most }) => {
                *count = count.saturating_add(more);
                // Finite values can have a sum that is not.
                *sum = (*sum + of).clamp(f64::MIN, f64::MAX);
                *min = min.min(least);
                *max = max.max(most);
            }
            _ => return false,
        }
        true
    }
}

/// A letter or `_`, then letters, digits and `_.:-`.
fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= NAME
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_kept_by_name_and_kind() {
        let figures = Figures::default();
        for by in [1, 2, u64::MAX] {
            assert!(figures.take("rows", Figure::Count(by), 3));
        }
        for value in [1.5, -2.0] {
            assert!(figures.take("depth", Figure::Gauge(value), 3));
            assert!(figures.take("took_ms", Figure::observed(value), 3));
        }
        assert!(!figures.take("one-more", Figure::Count(1), 3));
        assert!(!figures.take("rows", Figure::Gauge(1.0), 3));
        let expected = [
            ("depth", Figure::Gauge(-2.0)),
            ("rows", Figure::Count(u64::MAX)),
            ("took_ms", Figure::Observed { count: 2, sum: -0.5, min: -2.0, max: 1.5 }),
        ];
        assert_eq!(figures.all().into_iter().collect::<Vec<_>>(), expected.map(|(name, figure)| (name.into(), figure)));
    }

    #[test]
    fn names_are_plain_and_values_finite() {
        let figures = Figures::default();
        let (longest, too_long) = ("n".repeat(100), "n".repeat(101));
        for name in ["a", "_", "A.b:c-d_9", &longest] {
            assert!(figures.take(name, Figure::Count(1), 10), "{name}");
        }
        for name in ["", "9", "-a", "a b", "a\n", "ä", "a{b=c}", "\u{1b}[2J", &too_long] {
            assert!(!figures.take(name, Figure::Count(1), 10), "{name}");
        }
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(!figures.take("value", Figure::Gauge(value), 10));
            assert!(!figures.take("value", Figure::observed(value), 10));
        }
        for _ in 0..2 {
            assert!(figures.take("large", Figure::observed(f64::MAX), 10));
        }
        assert_eq!(figures.all().get("large"), Some(&Figure::Observed { count: 2, sum: f64::MAX, min: f64::MAX, max: f64::MAX }));
    }
}
