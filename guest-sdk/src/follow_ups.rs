//! New records for another action of the same destination, born of what becomes of their causes.

use crate::{Failure, Span, column::ColumnBuilder, sys};

/// When a follow-up follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Its cause was delivered.
    Succeeded,
    /// Its cause failed for now, the first time after it was added.
    Failed,
    /// Its cause was given up.
    Discarded,
}

/// New records for another action of the same destination, one for each cause. They are kept only if the call returns a receipt.
///
/// In `write` and `transform` causes are records of the batch, in the other calls about an upload lines of the file; elsewhere this host takes none. It keeps them in the queue that stands before an action of the
/// destination: one all of whose actions are written to as records come has none, and takes no follow-ups. A cause makes one record of an action at the most, however often it is added: what is added last holds until the
/// cause comes to that.
///
/// ```
/// # use wharf_sdk::{Batch, Failure, Receipt};
/// use wharf_sdk::follow_ups::{FollowUps, On};
///
/// # fn write(batch: &Batch) -> Result<Receipt, Failure> {
/// let mut audit = FollowUps::new("audit", On::Succeeded);
/// for record in batch {
///     audit.add(record, record.key(), b"written");
/// }
/// audit.send()?;
/// # Ok(Receipt::all(batch))
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct FollowUps {
    action: String,
    on: On,
    causes: Vec<Span>,
    keys: ColumnBuilder,
    payloads: ColumnBuilder,
    full: bool,
}

impl FollowUps {
    /// None yet, for that action.
    pub fn new(action: impl Into<String>, on: On) -> Self {
        let (keys, payloads) = (ColumnBuilder::new(), ColumnBuilder::new());
        Self { action: action.into(), on, causes: Vec::new(), keys, payloads, full: false }
    }

    /// One more. Causes come in the order of the batch.
    pub fn add(&mut self, cause: impl Into<Span>, key: Option<&[u8]>, payload: &[u8]) {
        let cause = cause.into();
        for _ in cause.start..cause.end {
            self.full |= !(self.keys.push(key) && self.payloads.push(Some(payload)));
        }
        match self.causes.last_mut() {
            Some(last) if last.end == cause.start => last.end = cause.end,
            _ => self.causes.push(cause),
        }
    }

    /// Hands them to the host. The error is fatal: the host says what is wrong with the action or the causes.
    pub fn send(self) -> Result<(), Failure> {
        if self.full {
            return Err(Failure::fatal(format!("follow-ups for `{}`: more than 4 GiB in one call", self.action)));
        }
        if self.causes.is_empty() {
            return Ok(());
        }
        let on = match self.on {
            On::Succeeded => "succeeded",
            On::Failed => "failed",
            On::Discarded => "discarded",
        };
        let (keys, payloads) = (self.keys.finish(), self.payloads.finish());
        sys::follow_ups::add(&self.action, on, &self.causes, &keys, &payloads)
            .map_err(|error| Failure::fatal(format!("follow-ups for `{}`: {error}", self.action)))
    }
}
