//! A place that takes records as uploads, which it works through in its own time.

mod answer;
mod job;
mod lines;
mod rows;
mod staged;

use serde::{Serialize, de::DeserializeOwned};

pub use answer::{Found, UploadStatus, Uploaded, Waiting};
pub use job::Job;
pub use lines::{Line, Lines};
pub use rows::Rows;
pub use staged::{Staged, StagedLines, Upload};

#[doc(hidden)]
pub use answer::{Parts, StatusParts};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use job::HANDLE;

use crate::{Batch, Context, Descriptor, Failure, Parameters, Problem, Receipt};

/// A place that takes records as uploads, which it works through in its own time. [`export_bulk!`](crate::export_bulk) makes a component
/// of it.
///
/// ```
/// use std::io::Read;
///
/// use serde::{Deserialize, Serialize};
/// use wharf_sdk::{
///     Batch, BulkDestination, Context, Descriptor, Failure, Job, Lines, Receipt, Upload, UploadStatus, Uploaded, export_bulk,
/// };
///
/// struct Leads;
///
/// /// What finds the far side's job again, days later and in another instance.
/// #[derive(Serialize, Deserialize)]
/// struct Import {
///     id: u64,
/// }
///
/// impl BulkDestination for Leads {
///     type Config = ();
///     type Handle = Import;
///
///     fn describe() -> Descriptor {
///         Descriptor::new("Uploads leads.").bound_records(10_000)
///     }
///
///     fn open((): (), _: Context) -> Result<Self, Failure> {
///         Ok(Self)
///     }
///
///     fn transform(&mut self, batch: &Batch) -> Result<Lines, Failure> {
///         Ok(Lines::each(batch, |record, line| {
///             let lead = record.after().ok_or_else(|| Failure::rejected("a record without a value"))?;
///             line.csv([lead, record.key().unwrap_or_default()]);
///             Ok(())
///         }))
///     }
///
///     fn upload(&mut self, upload: &Upload) -> Result<Uploaded<Import>, Failure> {
///         let mut body = Vec::new();
///         upload.reader().read_to_end(&mut body).map_err(|error| Failure::from_io("read the staged file", &error))?;
///         // POST it, with upload.intent() as the idempotency key.
///         Ok(Uploaded::working(upload, Import { id: 7 }))
///     }
///
///     fn poll(&mut self, job: &Job<Import>) -> Result<UploadStatus<Import>, Failure> {
///         // GET the status of job.handle().id.
///         Ok(UploadStatus::Settled(Receipt::all(job)))
///     }
/// }
///
/// export_bulk!(Leads);
/// # fn main() {}
/// ```
///
/// Any two calls may reach different instances, days apart: what must be known is in the handle, and nothing is kept in memory. One call
/// runs at a time in an instance. One that panics, or runs out of what the host allows it, is thrown away with its instance; where that was
/// an `upload`, the host asks [`BulkDestination::reconcile`] before it sends anything again.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a bulk destination",
    label = "`export_bulk!` needs a type that implements `wharf_sdk::BulkDestination`"
)]
pub trait BulkDestination: Sized + 'static {
    /// What an operator sets: a struct that derives [`Parameters`](trait@Parameters), or `()`.
    type Config: Parameters;

    /// Whatever finds the far side's job again and matches its answers to records; `()` where uploads are settled at once. It is kept as JSON,
    /// with which records are still to be settled, and has room for 64 KiB.
    type Handle: Serialize + DeserializeOwned;

    /// What the connector says of itself. Called in an instance that is granted nothing. Bounds are those of a file, and of a line.
    fn describe() -> Descriptor;

    /// What is wrong with the configuration beyond what its declared rules can say. No side effects, and nothing is granted.
    fn check(config: &Self::Config) -> Vec<Problem> {
        let _ = config;
        Vec::new()
    }

    /// Makes ready for any of the calls that follow; the host opens a session for nearly every one.
    fn open(config: Self::Config, context: Context) -> Result<Self, Failure>;

    /// Makes a line of each record. It should depend on nothing but the record and the configuration, and has no effect at the far side.
    fn transform(&mut self, batch: &Batch) -> Result<Lines, Failure>;

    /// Hands a staged file to the far side. The same upload sent again is the same file with the same [`Upload::intent`].
    ///
    /// An error speaks for the whole file: `uncertain` where it may have taken effect.
    fn upload(&mut self, upload: &Upload) -> Result<Uploaded<Self::Handle>, Failure>;

    /// How far is it? An error means that this is not known: the host asks again, and sends nothing again. `rejected` means that the far side
    /// no longer knows the job.
    fn poll(&mut self, job: &Job<Self::Handle>) -> Result<UploadStatus<Self::Handle>, Failure> {
        let _ = job;
        Err(Failure::rejected("this connector settles its uploads at once, and knows of none that is under way"))
    }

    /// What became of each record that was being worked on; asked for after [`UploadStatus::AskStats`].
    fn stats(&mut self, job: &Job<Self::Handle>) -> Result<Receipt, Failure> {
        let _ = job;
        Err(Failure::rejected("this connector tells the outcomes with the status of an upload"))
    }

    /// Did an upload whose answer never came take effect? One that can tell says so with
    /// [`Descriptor::reconciles`](crate::Descriptor::reconciles).
    fn reconcile(&mut self, upload: &Upload) -> Result<Found<Self::Handle>, Failure> {
        let _ = upload;
        Ok(Found::CannotTell)
    }

    /// Nobody will ask for this upload again: it is settled, or given up. Best effort, for tidying up at the far side.
    fn release(&mut self, job: &Job<Self::Handle>) {
        let _ = job;
    }

    /// Ends it in good order.
    fn close(self) -> Result<(), Failure> {
        Ok(())
    }
}
