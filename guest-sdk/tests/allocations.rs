//! Crossing the boundary costs memory copies a column, not work per record: nothing is allocated for one.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use wharf_sdk::{
    Batch, Context, Descriptor, Destination, Failure, Operation, Processed, Processor, Receipt,
    testing::{Harness, ProcessorHarness, batch, record},
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

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(memory, layout, size) }
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

/// Changes something of every record, makes two of some, drops others.
struct Changes;

impl Processor for Changes {
    type Config = ();

    fn describe() -> Descriptor {
        Descriptor::new("Changes something of every record.")
    }

    fn open((): (), _: Context) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn process(&mut self, batch: &Batch) -> Result<Processed, Failure> {
        ALLOCATIONS.set(0);
        let mut processed = Processed::builder(batch);
        for record in batch {
            match record.index() % 3 {
                0 => processed.filter(record),
                1 => {
                    processed.emit(record).after("one").meta("source", "here").operation(Operation::Update);
                    processed.emit(record).key("two");
                }
                _ => processed.fail(record, Failure::rejected(String::new())),
            }
        }
        let processed = processed.finish();
        OF_THE_WRITE.set(ALLOCATIONS.get());
        Ok(processed)
    }
}

/// Growing a buffer is an allocation: how many there are follows the logarithm of its size.
#[test]
fn a_processor_allocates_nothing_for_a_record_but_as_its_buffers_grow() {
    let allocations = |records: usize| {
        let records = (0..records).map(|_| record("after").key("key").meta("source", "web"));
        ProcessorHarness::<Changes>::new().open().process(&batch(records));
        OF_THE_WRITE.get()
    };
    let (few, many) = (allocations(300), allocations(30_000));
    assert!(many < few + 120, "{few} for 300 records, {many} for 30,000");
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
