//! What holds for the uploads of one action.

use std::time::Duration;

use crate::{
    config::{OnUnknown, Poll, UploadKeys},
    pipeline::{Delivery, Policy, Spooling},
};

pub use crate::config::{OnLost, OnUndecidable};

/// What holds for the uploads of one action, with everything filled in.
#[derive(Clone, Copy, Debug)]
pub struct BulkPolicy {
    /// The most records of one call of `transform`.
    pub batch_records: u32,
    /// The most bytes of one call of `transform`.
    pub batch_bytes: u64,
    /// The most uploads that are under way at once; those that are held do not count.
    pub max_uploads: u32,
    /// Whether a record waits for those before it that have its key; one upload is under way at once then.
    pub ordered: bool,
    /// The shortest time between two polls, whatever the far side says.
    pub poll_least: Duration,
    /// The longest.
    pub poll_most: Duration,
    /// How long to wait where the far side does not say; attempts and age are not looked at.
    pub poll: Policy,
    /// When an upload is too old, counted from when it was first sent.
    pub upload_max_age: Duration,
    /// What becomes of one that is too old or not known any more.
    pub on_lost: OnLost,
    /// What becomes of one of which the far side cannot tell.
    pub on_undecidable: OnUndecidable,
    /// What becomes of records that the connector does not answer for.
    pub on_unknown: OnUnknown,
    /// When a record that failed is tried again, and when no more.
    pub retry: Policy,
    /// When a call that failed as a whole is tried again.
    pub outage: Policy,
    /// How many follow-ups there may be in a row, each the cause of the next.
    pub follow_up_depth: u32,
    /// How long a far side that asks for patience is given it, at the least.
    pub throttle_least: Duration,
    /// The same at the most.
    pub throttle_most: Duration,
    /// After how long a destination that paused is tried again.
    pub pause: Duration,
}

impl Default for BulkPolicy {
    fn default() -> Self {
        let poll = Policy { min_delay: Duration::from_secs(5), max_delay: Duration::from_secs(300), ..Policy::OUTAGE };
        Self {
            batch_records: 1000,
            batch_bytes: 4 << 20,
            max_uploads: 4,
            ordered: false,
            poll_least: Duration::from_secs(1),
            poll_most: Duration::from_secs(3600),
            poll,
            upload_max_age: Duration::from_secs(86_400),
            on_lost: OnLost::default(),
            on_undecidable: OnUndecidable::default(),
            on_unknown: OnUnknown::default(),
            retry: Policy { max_attempts: Some(72), ..Policy::RECORD },
            outage: Policy::OUTAGE,
            follow_up_depth: 8,
            throttle_least: Duration::from_millis(100),
            throttle_most: Duration::from_secs(3600),
            pause: Duration::from_secs(300),
        }
    }
}

impl BulkPolicy {
    /// What a pipeline file says.
    pub fn of(spooling: &Spooling, delivery: &Delivery) -> Self {
        let UploadKeys {
            max_uploads,
            upload_max_age,
            on_lost,
            on_undecidable,
            poll: Poll { min_delay, max_delay },
            follow_up_depth,
            ..
        } = spooling.keys;
        let Delivery { outage, throttle: (throttle_least, throttle_most), on_unknown, most, .. } = *delivery;
        let usual = Self::default();
        Self {
            batch_records: if most.0 == u32::MAX { usual.batch_records } else { most.0 },
            batch_bytes: if most.1 == u64::MAX { usual.batch_bytes } else { most.1 },
            max_uploads,
            ordered: spooling.ordered,
            poll_least: min_delay.into(),
            poll_most: max_delay.into(),
            upload_max_age: upload_max_age.into(),
            on_lost,
            on_undecidable,
            on_unknown,
            retry: spooling.retry,
            outage,
            follow_up_depth,
            throttle_least,
            throttle_most,
            ..usual
        }
    }
}
