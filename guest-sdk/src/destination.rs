//! A place that records are written to.

use crate::{Batch, Context, Descriptor, Failure, Parameters, Problem, Receipt};

/// A place that records are written to, answered at once. [`export_destination!`](crate::export_destination) makes a component of it.
///
/// One call runs at a time. A destination that panics, or runs out of what the host allows it, is thrown away with its instance and
/// never called again, not even to be closed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a destination",
    label = "`export_destination!` needs a type that implements `wharf_sdk::Destination`"
)]
pub trait Destination: Sized + 'static {
    /// What an operator sets: a struct that derives [`Parameters`](trait@Parameters), or `()`.
    type Config: Parameters;

    /// What the connector says of itself. Called in an instance that is granted nothing.
    fn describe() -> Descriptor;

    /// What is wrong with the configuration beyond what its declared rules can say. No side effects, and nothing is granted.
    fn check(config: &Self::Config) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// Makes ready to write: connects, prepares tables.
    fn open(config: Self::Config, context: Context) -> Result<Self, Failure>;

    /// Writes at once, holding nothing back. An error speaks for every record that [`progress`](crate::progress) did not report.
    ///
    /// What [`Descriptor::order`] promises holds here: with `Batch`, nothing after a record that is to be retried is delivered; with
    /// `Key`, nothing of the same key.
    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure>;

    /// The outcomes of the batches with these ids are recorded and will not be asked for again. Best effort: at most once, perhaps in
    /// another instance, perhaps never.
    fn ack(&mut self, batches: &[String]) {
        let _ = batches;
    }

    /// Ends it in good order.
    fn close(self) -> Result<(), Failure> {
        Ok(())
    }
}
