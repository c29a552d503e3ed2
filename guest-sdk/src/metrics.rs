//! The connector's own figures, exported beside the host's.

use crate::sys;

/// Adds to a counter.
pub fn count(name: &str, by: u64) {
    sys::metrics::count(name, by);
}

/// Sets a gauge.
pub fn gauge(name: &str, value: f64) {
    sys::metrics::gauge(name, value);
}

/// Adds an observation to a distribution.
pub fn observe(name: &str, value: f64) {
    sys::metrics::observe(name, value);
}
