//! What is to follow records, until it is known whether it does.

use std::sync::Arc;

use crate::record::{Batch, FollowUps};

/// Follow-ups that a call added: each is born once its cause comes to what it is to follow.
#[derive(Clone, Debug)]
pub struct Promise {
    /// What the call counts as its records.
    pub causes: Causes,
    /// What it added.
    pub follow_ups: Vec<FollowUps>,
    /// The pipeline, which is a part of each record's key.
    pub pipeline: Arc<str>,
    /// How many follow-ups there may be in a row, each the cause of the next.
    pub max_depth: u32,
}

/// What a call that added follow-ups counts as its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Causes {
    /// The records of the batch with this number.
    Batch(i64),
    /// The lines of the upload with this number.
    Upload(i64),
}

/// Follow-ups of records that are not in the spool: they are written as they come, and what becomes of them is kept elsewhere.
#[derive(Clone, Debug)]
pub struct Written {
    /// The action that they are for.
    pub action: u32,
    /// The version of the far side's interface that their causes came for.
    pub version: Option<Arc<str>>,
    /// What people call the partition that they are of.
    pub label: Arc<str>,
    /// The pipeline, which is a part of each record's key.
    pub pipeline: Arc<str>,
    /// They themselves.
    pub batch: Batch,
}

/// Follow-ups since the spool was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Born {
    /// Records that were born, and are in the spool since.
    pub records: u64,
    /// Those that were cut, since their causes lie as deep as may be.
    pub cut: u64,
}
