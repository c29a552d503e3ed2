//! A destination that takes small batches of small records alone, and says what it was handed.

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Receipt, Size, export_destination};

/// Takes three records of ten bytes and twenty bytes in all.
#[derive(Debug)]
pub struct Bounded;

impl Destination for Bounded {
    type Config = ();

    fn describe() -> Descriptor {
        let bytes = Size::bytes;
        Descriptor::new("Takes little at once.")
            .order(wharf_sdk::Order::Batch)
            .bound_records(3)
            .bound_bytes(bytes(20))
            .bound_record_bytes(bytes(10))
    }

    fn open((): (), _: Context) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let records: Vec<_> = batch.records().filter_map(|record| record.after()).map(String::from_utf8_lossy).collect();
        println!("{}+{} {}", batch.start(), batch.count(), records.join(","));
        Ok(Receipt::all(batch))
    }
}

export_destination!(Bounded);
