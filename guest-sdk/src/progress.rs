//! What is delivered before the call is over.

use crate::{Span, sys};

/// These records of the batch in hand are delivered for good, whatever becomes of the call. They may be left out of the receipt, or stand
/// in it as delivered, and as nothing else.
///
/// ```
/// # use wharf_sdk::{Batch, Failure, Receipt};
/// fn write(batch: &Batch) -> Result<Receipt, Failure> {
///     for start in (0..batch.count()).step_by(500) {
///         let records = start..batch.count().min(start + 500);
///         // A request for these records; where a later one fails, these need not be sent again.
///         wharf_sdk::progress::delivered(records);
///     }
///     Ok(Receipt::all(batch))
/// }
/// ```
pub fn delivered(records: impl Into<Span>) {
    sys::progress::delivered(records.into());
}
