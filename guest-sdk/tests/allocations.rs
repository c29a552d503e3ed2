//! Crossing the boundary costs memory copies a column, not work per record: nothing is allocated for one.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use wharf_sdk::{
    Batch, Context, Descriptor, Destination, Failure, Receipt,
    testing::{Harness, batch, record},
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    static OF_THE_WRITE: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: it hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reads all there is of each record, and answers one by one.
struct Reads;

impl Destination for Reads {
    type Config = ();

    fn describe() -> Descriptor {
        Descriptor::new("Reads all there is.")
    }

    fn open((): (), _: Context) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        ALLOCATIONS.set(0);
        let mut receipt = Receipt::builder(batch);
        let mut bytes = 0;
        for record in batch {
            let values = [record.after(), record.before(), record.key(), record.meta("source"), record.meta("trace")];
            bytes += values.into_iter().flatten().map(<[u8]>::len).sum::<usize>();
            bytes += record.sequence() as usize + record.ordinal() as usize + record.operation() as usize;
            match batch.count() / 2 {
                half if record.index() < half => receipt.delivered(record),
                _ => receipt.warned(record, String::new()),
            }
        }
        assert!(bytes > 0);
        let receipt = receipt.finish();
        OF_THE_WRITE.set(ALLOCATIONS.get());
        Ok(receipt)
    }
}

fn allocations(records: usize) -> usize {
    let records = (0..records).map(|_| record("after").before("before").key("key").meta("source", "web").meta("trace", "1"));
    let harness = Harness::<Reads>::new();
    harness.open().write(&batch(records)).assert_all_delivered();
    OF_THE_WRITE.get()
}

#[test]
fn a_batch_of_ten_thousand_allocates_as_often_as_one_of_ten() {
    assert_eq!(allocations(10_000), allocations(10));
}
