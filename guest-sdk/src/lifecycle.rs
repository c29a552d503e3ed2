//! The life of a destination in a pipeline.

use crate::{Context, Failure, Settings};

/// Optional: told when a pipeline gains, changes or loses this destination. `export_destination!(Orders, lifecycle)`, `export_bulk!(Orders, lifecycle)` and
/// `export_mixed!(Orders, lifecycle)` export it, beside `probe` where that is wanted too: `export_destination!(Orders, probe, lifecycle)`.
///
/// Each event is told at least once, before a session is opened, in an instance of its own with all that a session is granted. Its id is the same each time that it is told,
/// and no other event has it: after a crash, or where the answer was lost, it comes again, and is to have no second effect. What kind of failure it is tells the host
/// what to do, as with [`open`](crate::Destination::open): nothing is opened until the event is answered for.
///
/// ```
/// use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Lifecycle, Parameters, Receipt, Settings, export_destination};
///
/// #[derive(Parameters)]
/// struct Config {
///     /// The folder that records go to.
///     folder: String,
/// }
///
/// struct Orders;
///
/// impl Lifecycle<Config> for Orders {
///     fn created(_event: &str, config: Config, _: Context) -> Result<(), Failure> {
///         // Where it is there already, that is well.
///         let made = std::fs::create_dir_all(&config.folder);
///         made.map_err(|error| Failure::from_io(format_args!("make `{}`", config.folder), &error))
///     }
///
///     fn updated(event: &str, before: Settings, after: Config, context: Context) -> Result<(), Failure> {
///         if before.get("folder") == Some(&after.folder) { Ok(()) } else { Self::created(event, after, context) }
///     }
/// }
/// # impl Destination for Orders {
/// #     type Config = Config;
/// #     fn describe() -> Descriptor { Descriptor::new("Keeps orders.") }
/// #     fn open(_: Config, _: Context) -> Result<Self, Failure> { Ok(Self) }
/// #     fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> { Ok(Receipt::all(batch)) }
/// # }
///
/// export_destination!(Orders, lifecycle);
/// # fn main() {}
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be told of its life",
    label = "`lifecycle` needs a type that implements `wharf_sdk::Lifecycle` of its `Config`"
)]
pub trait Lifecycle<Config> {
    /// A pipeline has this destination from now on.
    ///
    /// # Errors
    /// Where what it needs at the far side cannot be made.
    fn created(event: &str, config: Config, context: Context) -> Result<(), Failure> {
        let _ = (event, config, context);
        Ok(())
    }

    /// Its settings are others than they were, or the version of the far side's interface is. Secrets are not among those from before.
    ///
    /// # Errors
    /// Where what follows from that cannot be done.
    fn updated(event: &str, before: Settings, after: Config, context: Context) -> Result<(), Failure> {
        let _ = (event, before, after, context);
        Ok(())
    }

    /// The pipeline has it no more: its operator said so.
    ///
    /// # Errors
    /// Where what it left at the far side cannot be removed.
    fn deleted(event: &str, config: Config, context: Context) -> Result<(), Failure> {
        let _ = (event, config, context);
        Ok(())
    }
}
