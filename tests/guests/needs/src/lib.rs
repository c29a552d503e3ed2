//! A destination with a setting that is required.

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Parameters, Receipt, export_destination};

/// What it needs.
#[derive(Debug, Parameters)]
pub struct Config {
    /// Where to send to.
    #[allow(dead_code, reason = "only its being set matters")]
    url: String,
}

/// Does nothing.
#[derive(Debug)]
pub struct Needs;

impl Destination for Needs {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Needs a setting.").order(wharf_sdk::Order::Batch)
    }

    fn open(_: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        Ok(Receipt::all(batch))
    }
}

export_destination!(Needs);
