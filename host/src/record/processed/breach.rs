//! How a processor's account breaks the contract.

use thiserror::Error;

use super::{ColumnFault, FailureKind, MOST_METADATA, NAME, Span};

/// How a processor's account breaks the contract. Nothing of it is believed then: no record goes on, is dropped or has failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProcessBreach {
    /// More records than may come out.
    #[error("the processor made {out} records, and {most} are the most (limits.records-out)")]
    Records {
        /// How many came out.
        out: u32,
        /// How many may.
        most: u32,
    },
    /// More bytes than may come out.
    #[error("the processor made {out} bytes of records, and {most} are the most (limits.bytes-out)")]
    Bytes {
        /// How many came out, or the least that would have.
        out: u64,
        /// How many may.
        most: u64,
    },
    /// Without parents as many come out as came in.
    #[error("the processor made {out} records of {count} and does not say which came of which")]
    NotOneForOne {
        /// How many came out.
        out: u32,
        /// How many came in.
        count: u32,
    },
    /// Not one parent a record.
    #[error("the processor made {out} records and named {parents} parents")]
    Parents {
        /// How many parents.
        parents: usize,
        /// How many came out.
        out: u32,
    },
    /// A parent that is no record of the batch.
    #[error("the processor says that record {record} came of record {parent} in a batch of {count}")]
    Parent {
        /// The one that came out.
        record: u32,
        /// Its parent.
        parent: u32,
        /// How many came in.
        count: u32,
    },
    /// A parent that comes after a later one.
    #[error("the processor says that record {record} came of record {parent}, and the one before it of a later one")]
    Falling {
        /// The one that came out.
        record: u32,
        /// Its parent.
        parent: u32,
    },
    /// A column that is none.
    #[error("the processor's column {name} {fault}")]
    Column {
        /// Which.
        name: String,
        /// What is wrong with it.
        fault: ColumnFault,
    },
    /// Not one operation a record.
    #[error("the processor made {out} records and named {operations} operations")]
    Operations {
        /// How many operations.
        operations: usize,
        /// How many came out.
        out: u32,
    },
    /// An operation that there is not.
    #[error("the processor gave record {record} the operation {operation}; 0 to 3 are all there are")]
    Operation {
        /// Which it named.
        operation: u8,
        /// Of which record.
        record: u32,
    },
    /// A media type that is none.
    #[error("the processor gave the media type {0:?}: 1 to {NAME} visible ASCII characters are due")]
    ContentType(String),
    /// More metadata columns than a batch may have.
    #[error("the processor made {0} metadata columns; {MOST_METADATA} are the most")]
    Metadata(usize),
    /// A name that is none.
    #[error("the processor named a metadata column {0:?}: 1 to {NAME} bytes without control characters are due")]
    Name(String),
    /// A metadata column twice.
    #[error("the processor named the metadata column {0} twice")]
    NamedTwice(String),
    /// A span that is empty or runs backwards.
    #[error("the processor has the span {0}, which holds no record")]
    Empty(Span),
    /// A span that leaves the batch.
    #[error("the processor has the span {span} in a batch of {count} records")]
    Outside {
        /// The span.
        span: Span,
        /// How many records there are.
        count: u32,
    },
    /// A verdict other than `failed`.
    #[error("the processor has a verdict on the records {0} that is not `failed`")]
    Verdict(Span),
    /// `unauthorized` or `fatal` for records that others come after.
    #[error("the processor calls the records {span} {kind}, which only the last of a batch of {count} can be")]
    NotLast {
        /// The span.
        span: Span,
        /// What they were called.
        kind: FailureKind,
        /// How many records there are.
        count: u32,
    },
    /// A record in two places.
    #[error("the processor names record {0} twice")]
    Twice(u32),
    /// Records that nothing was said of.
    #[error("the processor leaves out record {record}{}: nothing came of it, and it was neither dropped nor failed", match of { 1 => String::new(), of => format!(" and {} after it", of - 1) })]
    Nowhere {
        /// The first of them.
        record: u32,
        /// How many stand side by side.
        of: u32,
    },
}

/// A name as an error shows it.
pub(super) fn shown(name: &str) -> String {
    const SHOWN: usize = 60;
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
    .chars()
    .map(|c| if c.is_control() { '\u{fffd}' } else { c })
    .collect()
}
