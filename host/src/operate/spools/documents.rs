//! What is asked of spools, and what is answered, as it is sent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Open;
use crate::{
    clock::rfc3339_of,
    operate::Refused,
    store::spool::{SpoolRecords, SpoolState, StoredUpload},
};

/// What is asked of spools.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpoolRequest {
    /// How much is in them.
    Status {
        /// Only those of this pipeline.
        pipeline: Option<String>,
        /// Only this destination's.
        destination: Option<String>,
    },
    /// Uploads that are not released.
    Uploads {
        /// Only those of this pipeline.
        pipeline: Option<String>,
        /// Only this destination's.
        destination: Option<String>,
    },
    /// Decides about an upload.
    Decide {
        /// Of which pipeline.
        pipeline: String,
        /// Of which destination.
        destination: String,
        /// Its number.
        upload: i64,
        /// What is to become of it.
        decision: Decision,
    },
    /// Records that have reached no end.
    Records {
        /// Of which pipeline.
        pipeline: String,
        /// Of which destination.
        destination: String,
        /// Which.
        which: Which,
        /// From this batch and record on.
        after: (i64, u32),
        /// At most so many stretches.
        most: u32,
    },
    /// Makes records that failed, or were not answered for, due at once.
    Retry {
        /// Of which pipeline.
        pipeline: String,
        /// Of which destination.
        destination: String,
        /// Which.
        which: Which,
    },
    /// Says that the spool which a destination had is lost, and what was in it with it.
    Lost {
        /// Of which pipeline.
        pipeline: String,
        /// Of which destination.
        destination: String,
    },
    /// Gives up records that are in nobody's hands.
    Discard {
        /// Of which pipeline.
        pipeline: String,
        /// Of which destination.
        destination: String,
        /// Which.
        which: Which,
    },
}

/// What is to become of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// The far side is asked again: how far it is, or whether it took effect.
    Ask,
    /// Its records are sent again, in another file.
    Resend,
    /// Its records are dead letters.
    Abandon,
}

/// Which records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Which {
    /// Those in this state, by its word.
    pub state: Option<String>,
    /// Those of the batch with this number.
    pub batch: Option<i64>,
    /// Those of this run of their source, as their metadata says.
    #[serde(default)]
    pub run: Option<String>,
    /// Those of the action with this name.
    #[serde(default)]
    pub action: Option<String>,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SpoolAnswer {
    /// How much is in spools.
    Status(Vec<SpoolDocument>),
    /// Uploads.
    Uploads(Vec<UploadDocument>),
    /// Records.
    Records(Vec<RecordsDocument>),
    /// How many records, or uploads, something was done with.
    Done(u64),
}

/// How much is in a spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpoolDocument {
    /// The pipeline.
    pub pipeline: String,
    /// The destination.
    pub destination: String,
    /// Records by state; those that reached an end are counted although they are gone.
    pub records: BTreeMap<String, u64>,
    /// Batches that are kept.
    pub batches: u64,
    /// Bytes that they take, compressed.
    pub bytes: u64,
    /// When the oldest of them was taken, in UTC.
    pub oldest: Option<String>,
    /// Uploads that are not released.
    pub uploads: u64,
    /// Records that have reached no end and were born of what became of others.
    #[serde(default)]
    pub follow_ups: u64,
    /// Follow-ups that wait for what becomes of their causes.
    #[serde(default)]
    pub promised: u64,
    /// Bytes that these take, compressed.
    #[serde(default)]
    pub promised_bytes: u64,
}

/// An upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadDocument {
    /// The pipeline.
    pub pipeline: String,
    /// The destination.
    pub destination: String,
    /// Its number, among those of its destination.
    pub id: i64,
    /// The name of its action; empty where the component has none.
    #[serde(default)]
    pub action: String,
    /// Its idempotency key.
    pub intent: String,
    /// Where it stands, in a word.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// Its records.
    pub records: u64,
    /// Of these, those that are not settled.
    pub open: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// Its file, within the folder of staged files.
    pub file: String,
    /// How often it was sent.
    pub attempt: u32,
    /// How often in a row what was tried with it failed.
    pub failures: u32,
    /// When it was staged, in UTC.
    pub created: String,
    /// When it was first sent, in UTC.
    pub sent: Option<String>,
    /// When something is to be done with it, in UTC.
    pub next: String,
    /// SHA-256 of the component that it belongs to.
    pub component: String,
    /// Bytes of what finds it at the far side; what they mean, only its component knows.
    pub handle_bytes: Option<u64>,
}

/// Neighbouring records of which all is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordsDocument {
    /// Number of their batch in the spool.
    pub batch: i64,
    /// The name of their action; empty where the component has none.
    #[serde(default)]
    pub action: String,
    /// The first of them in it.
    pub start: u32,
    /// Behind the last of them.
    pub end: u32,
    /// What became of them so far, in a word.
    pub state: String,
    /// Why.
    pub reason: Option<String>,
    /// How often they failed, as the retry policy counts.
    pub attempts: u32,
    /// When they are due, in UTC; of failed ones.
    pub due: Option<String>,
    /// In which upload they are.
    pub upload: Option<i64>,
    /// When they were taken, in UTC.
    pub taken: String,
    /// The version of the far side's interface that they came for.
    pub version: Option<String>,
    /// Their partition.
    pub partition: String,
    /// What people call it.
    pub label: String,
    /// Sequence of the first.
    pub first: u64,
    /// Sequence of the last.
    pub last: u64,
}

pub(super) async fn status(open: &Open) -> Result<SpoolDocument, Refused> {
    let status = open.spool.status().await?;
    let records = SpoolState::ALL.into_iter().map(|state| (state.name().to_owned(), status.of(state)));
    Ok(SpoolDocument {
        pipeline: open.pipeline.clone(),
        destination: open.destination.clone(),
        records: records.filter(|(_, records)| *records > 0).collect(),
        batches: status.batches,
        bytes: status.bytes,
        oldest: status.oldest.map(rfc3339_of),
        uploads: status.uploads,
        follow_ups: status.follow_ups,
        promised: status.promised,
        promised_bytes: status.promised_bytes,
    })
}

pub(super) fn document(open: &Open, upload: &StoredUpload, names: &BTreeMap<u32, String>) -> UploadDocument {
    UploadDocument {
        pipeline: open.pipeline.clone(),
        destination: open.destination.clone(),
        id: upload.id,
        action: names.get(&upload.action).cloned().unwrap_or_default(),
        intent: upload.intent.to_string(),
        state: upload.state.name().to_owned(),
        reason: upload.reason.as_deref().map(str::to_owned),
        records: upload.records.into(),
        open: upload.open.records(),
        bytes: upload.bytes,
        file: upload.file.to_string(),
        attempt: upload.attempt,
        failures: upload.failures,
        created: rfc3339_of(upload.created),
        sent: upload.sent.map(rfc3339_of),
        next: rfc3339_of(upload.next),
        component: upload.digest.to_string(),
        handle_bytes: upload.handle.as_ref().map(|handle| handle.len() as u64),
    }
}

pub(super) fn stretch(records: SpoolRecords, names: &BTreeMap<u32, String>) -> RecordsDocument {
    let SpoolRecords { row, span, state, attempts, due, upload, taken, version, partition, label, .. } = records;
    let SpoolRecords { first, last, reason, action, .. } = records;
    RecordsDocument {
        batch: row,
        action: names.get(&action).cloned().unwrap_or_default(),
        start: span.start,
        end: span.end,
        state: state.name().to_owned(),
        reason,
        attempts,
        due: (state == SpoolState::Failed).then(|| rfc3339_of(due)),
        upload,
        taken: rfc3339_of(taken),
        version: version.map(|version| version.to_string()),
        partition: partition.to_string(),
        label: label.to_string(),
        first,
        last,
    }
}
