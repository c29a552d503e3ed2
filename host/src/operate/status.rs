//! How a running host stands, as plain data.

use serde::{Deserialize, Serialize};

/// How a running host stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostStatus {
    /// Its version.
    pub version: String,
    /// Its process.
    pub process: u32,
    /// When it began, in UTC.
    pub since: String,
    /// Its pipelines, in the order of the file.
    pub pipelines: Vec<PipelineStatus>,
}

/// How a pipeline stands. The counts are of its last start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineStatus {
    /// Its id.
    pub id: String,
    /// `running`, `paused` by hand, `restarting` after an error, `stopping` or `ended`.
    pub state: String,
    /// Since when, in UTC.
    pub since: String,
    /// Why it is paused, restarting, stalled while it runs, or ended before its source did; `null` where it is not.
    pub why: Option<String>,
    /// What to do about an error.
    pub hint: Option<String>,
    /// In how many milliseconds it is started again, where it is restarting.
    pub again_ms: Option<u64>,
    /// How often it was started again after an error.
    pub restarts: u64,
    /// Read for the first time.
    pub read: u64,
    /// Read again: an earlier run or start had left them pending.
    pub carried: u64,
    /// Its destinations.
    pub destinations: Vec<DestinationStatus>,
}

/// How a destination stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestinationStatus {
    /// Its id.
    pub id: String,
    /// Name and version of its connector.
    pub connector: String,
    /// `open`, `waiting` for its far side to be there, or `paused`: by a failure, or by hand.
    pub state: String,
    /// Why it is paused or waits.
    pub why: Option<String>,
    /// Since when it is paused, in UTC.
    pub since: Option<String>,
    /// In how many milliseconds it is tried again; `null` where only a person resumes it, and where it is not paused.
    pub again_ms: Option<u64>,
    /// Delivered, with or without a remark.
    pub delivered: u64,
    /// Dropped on purpose.
    pub filtered: u64,
    /// Given up.
    pub dead_lettered: u64,
    /// Not settled.
    pub pending: u64,
    /// Of the pending, those that the connector did not answer for.
    pub unknown: u64,
    /// Parts that were sent again.
    pub retries: u64,
    /// Records that were born of what became of others.
    #[serde(default)]
    pub follow_ups: u64,
    /// When what waits in its spool goes out next, in UTC; `null` where nothing waits for a moment.
    #[serde(default)]
    pub next: Option<String>,
    /// How many milliseconds ago the oldest record was read that it has not dealt with.
    pub oldest_ms: Option<u64>,
}

/// What a reload changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Pipelines that go on as they were.
    pub unchanged: Vec<String>,
    /// Those that were stopped and go on at their checkpoints as the file has them now.
    pub changed: Vec<String>,
    /// Those that are new, or had ended in an error, and were started.
    pub started: Vec<String>,
    /// Those that are not in the file any more, and were stopped.
    pub removed: Vec<String>,
    /// What an operator should know and what is not wrong.
    pub remarks: Vec<String>,
}
