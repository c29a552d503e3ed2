//! Columns, batches, verdicts, receipts: plain data, no I/O.
//!
//! A batch is columnar from the moment a source builds it until a component reads it. It is never changed in place: a part is a
//! slice with a span of its own, fan-out shares, verdicts stand beside it.

mod batch;
mod builder;
mod column;
mod condition;
mod follow_ups;
pub mod format;
pub(crate) mod json;
pub mod opencdc;
mod pointer;
mod processed;
mod receipt;
mod single;
mod span;
mod stored;
mod upload;

pub use batch::{Batch, ContentTypes, MOST_METADATA, Operation};
pub use builder::{BatchBuilder, NewRecord, NoRoom, Shape, Value};
pub use column::{Column, ColumnBuilder, ColumnFault, ColumnFull, ColumnParts};
pub use condition::{Chooser, Condition, Looked, Test};
pub use follow_ups::{
    FOLLOW_UP, FollowUpBounds, FollowUpFault, FollowUpIntake, FollowUps, GivenFollowUps, On, Promised, RUN, bundled,
    named as follow_up_of,
};
pub use pointer::{Pointer, PointerError};
pub use processed::{Change, Derived, NAME, Passage, Passed, ProcessBounds, ProcessBreach, Processed, Selection};
pub use receipt::{Breach, Failure, FailureKind, Fate, Outcome, Receipt, Run, Verdict};
pub use single::{Entity, Record};
pub use span::{Span, SpanSet};
pub use stored::Damaged;
pub use upload::{Found, HANDLE, Handle, Transformed, UploadBreach, UploadRequest, UploadStatus, Uploaded};
