//! A destination that would rather have batches of seven, and says what it was handed.

use std::time::Duration;

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Order, Receipt, Size, export_destination};

/// Prefers seven records or a hundred bytes, within two seconds, and two instances.
#[derive(Debug)]
pub struct Prefers(u32, u32);

impl Destination for Prefers {
    type Config = ();

    fn describe() -> Descriptor {
        Descriptor::new("Would rather have batches of seven.")
            .order(Order::Key)
            .prefer_records(7)
            .prefer_bytes(Size::bytes(100))
            .prefer_delay(Duration::from_secs(2))
            .prefer_parallel(2)
    }

    fn open((): (), context: Context) -> Result<Self, Failure> {
        Ok(Self(context.instance(), context.instances()))
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        println!("{}/{} {}+{}", self.0, self.1, batch.start(), batch.count());
        Ok(Receipt::all(batch))
    }
}

export_destination!(Prefers);
