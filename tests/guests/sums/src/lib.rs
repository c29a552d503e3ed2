//! A destination that reads every byte and answers with a checksum, as a remark on the last record of each batch.

mod checksum;

use wharf_sdk::{Batch, Column, Context, Descriptor, Destination, Failure, Parameters, Receipt, export_destination};

use checksum::{METADATA, checksum, joined};

/// What to read.
#[derive(Debug, Parameters)]
pub struct Config {
    /// Reads the key and the metadata as well, which the host hands over only when asked.
    #[parameter(default = false)]
    pull: bool,
}

/// Adds up.
#[derive(Debug)]
pub struct Sums {
    pull: bool,
}

impl Destination for Sums {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Reads every byte and answers with a checksum.").order(wharf_sdk::Order::Batch)
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self { pull: config.pull })
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let of = |column: &Column| checksum(column.iter().flatten());
        let mut sum = of(batch.after());
        if self.pull {
            let metadata = METADATA.into_iter().map(|name| batch.meta(name));
            sum = [batch.key()].into_iter().chain(metadata).flatten().map(of).fold(sum, joined);
        }
        let last = batch.count() - 1;
        let mut receipt = Receipt::builder(batch);
        receipt.delivered(0..last);
        receipt.warned(last..batch.count(), format!("{sum:016x}"));
        Ok(receipt.finish())
    }
}

export_destination!(Sums);
