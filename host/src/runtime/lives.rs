//! All pipelines of a host.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use super::life::{Life, Means};

/// All pipelines of a host, in the order of the file.
pub(super) struct Lives {
    pub means: Arc<Means>,
    list: Mutex<Vec<Arc<Life>>>,
    /// How long they may finish what is in flight.
    timeout: Mutex<Duration>,
    stopping: AtomicBool,
}

impl Lives {
    pub fn new(means: Arc<Means>, list: Vec<Arc<Life>>, timeout: Duration) -> Self {
        Self { means, list: Mutex::new(list), timeout: Mutex::new(timeout), stopping: AtomicBool::new(false) }
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Life>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks all to stop, the last one first.
    pub fn stop(&self) {
        self.stopping.store(true, Relaxed);
        let timeout = *self.timeout.lock().unwrap_or_else(PoisonError::into_inner);
        self.all().iter().rev().for_each(|life| life.stop(timeout));
    }
}
