//! What changes records on their way.

use crate::{Batch, Context, Descriptor, Failure, Parameters, Problem, Processed};

/// Changes records, or drops them, between the source and the destinations. [`export_processor!`](crate::export_processor) makes a
/// component of it.
///
/// ```
/// use wharf_sdk::{Batch, Context, Descriptor, Failure, Processed, Processor, export_processor};
///
/// /// Drops records without a value, and adds a line break to the others.
/// struct Lines;
///
/// impl Processor for Lines {
///     type Config = ();
///
///     fn describe() -> Descriptor {
///         Descriptor::new("Drops records without a value, and adds a line break to the others.")
///     }
///
///     fn open((): (), _: Context) -> Result<Self, Failure> {
///         Ok(Self)
///     }
///
///     fn process(&mut self, batch: &Batch) -> Result<Processed, Failure> {
///         let mut processed = Processed::builder(batch);
///         for record in batch {
///             match record.after() {
///                 Some(after) => drop(processed.emit(record).after([after, b"\n"].concat())),
///                 None => processed.filter(record),
///             }
///         }
///         Ok(processed.finish())
///     }
/// }
///
/// export_processor!(Lines);
/// # fn main() {}
/// ```
///
/// One call runs at a time. A processor that panics, or runs out of what the host allows it, is thrown away with its instance and never
/// called again, not even to be closed. What it makes of a record should depend on nothing but the record and the configuration: the
/// same records come again after a failure, perhaps cut into other batches.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a processor",
    label = "`export_processor!` needs a type that implements `wharf_sdk::Processor`"
)]
pub trait Processor: Sized + 'static {
    /// What an operator sets: a struct that derives [`Parameters`](trait@Parameters), or `()`.
    type Config: Parameters;

    /// What the processor says of itself. Called in an instance that is granted nothing. Order, redelivery and actions are not for
    /// processors.
    fn describe() -> Descriptor;

    /// What is wrong with the configuration beyond what its declared rules can say. No side effects, and nothing is granted.
    fn check(config: &Self::Config) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// Makes ready to process.
    fn open(config: Self::Config, context: Context) -> Result<Self, Failure>;

    /// Changes records, drops them, makes several of one. An error speaks for every record; for one alone there is
    /// [`ProcessedBuilder::fail`](crate::ProcessedBuilder::fail).
    fn process(&mut self, batch: &Batch) -> Result<Processed, Failure>;

    /// Ends it in good order.
    fn close(self) -> Result<(), Failure> {
        Ok(())
    }
}
