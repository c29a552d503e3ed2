//! What holds for the uploads of one action.

use std::time::Duration;

use crate::{config::OnUnknown, pipeline::Policy};

/// What becomes of an upload that is too old, or that the far side no longer knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLost {
    /// It waits for a person.
    #[default]
    Hold,
    /// Its records are sent again, in another file.
    Resend,
    /// Its records are dead letters.
    DeadLetter,
}

/// What becomes of an upload of which the far side does not say whether it took effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUndecidable {
    /// It waits for a person.
    #[default]
    Hold,
    /// It is sent again, with the same intent.
    Resend,
}

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
    /// How long a far side that asks for patience is given it, at the most.
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
            throttle_most: Duration::from_secs(3600),
            pause: Duration::from_secs(300),
        }
    }
}
