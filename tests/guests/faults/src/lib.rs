//! A destination that goes wrong in the way that it is told to.

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Parameters, Receipt, export_destination};

/// What to do wrong.
#[derive(Debug, Parameters)]
pub struct Config {
    /// The fault.
    #[parameter(default = "none")]
    fault: String,
}

/// Goes wrong.
#[derive(Debug)]
pub struct Faults {
    fault: String,
}

impl Destination for Faults {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Goes wrong in the way that it is told to.")
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self { fault: config.fault })
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        assert_eq!(self.fault, "none", "told to panic");
        Ok(Receipt::all(batch))
    }
}

export_destination!(Faults);
