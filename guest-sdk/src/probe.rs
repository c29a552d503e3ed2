//! Whether the far side is there.

use crate::{Context, Failure};

/// Optional: whether the far side is there and takes the credentials. `export_destination!(Orders, probe)` and
/// `export_processor!(Enrich, probe)` export it.
///
/// A run asks before it opens the first session, and waits while the answer is no; `wharf check --probe` asks without running anything.
/// It is asked in an instance of its own, with all that a session is granted, and nothing is to be changed at the far side by it. What
/// kind of failure it is tells the host what to do, as with [`open`](crate::Destination::open).
///
/// ```
/// use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Parameters, Probe, Receipt, export_destination};
///
/// #[derive(Parameters)]
/// struct Config {
///     /// The folder that records go to.
///     folder: String,
/// }
///
/// struct Orders;
///
/// impl Probe<Config> for Orders {
///     fn reachable(config: Config, _: Context) -> Result<(), Failure> {
///         let found = std::fs::metadata(&config.folder);
///         found.map(drop).map_err(|error| Failure::from_io(format_args!("look for `{}`", config.folder), &error))
///     }
/// }
/// # impl Destination for Orders {
/// #     type Config = Config;
/// #     fn describe() -> Descriptor { Descriptor::new("Keeps orders.") }
/// #     fn open(_: Config, _: Context) -> Result<Self, Failure> { Ok(Self) }
/// #     fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> { Ok(Receipt::all(batch)) }
/// # }
///
/// export_destination!(Orders, probe);
/// # fn main() {}
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be probed",
    label = "`probe` needs a type that implements `wharf_sdk::Probe` of its `Config`"
)]
pub trait Probe<Config> {
    /// Is the far side there, and are the credentials good?
    ///
    /// # Errors
    /// Where it is not, or they are not.
    fn reachable(config: Config, context: Context) -> Result<(), Failure>;
}
