//! A destination that goes wrong at records that begin with `poison`, and keeps a journal of what it delivered.
//!
//! In `/journal/delivered` stands a line for each record, written before it is told to be delivered; in `/journal/calls` one for each
//! session and for each write, with the number of writes that this instance had seen before.

use std::{
    fs,
    io::{self, Write as _},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use wharf_sdk::{Batch, Column, Context, Descriptor, Destination, Failure, Parameters, Receipt, export_destination, progress};

/// What goes wrong.
#[derive(Debug, Parameters)]
pub struct Config {
    /// What a poison record does: `trap`, `loop`, `wait`, `memory`, `reject` (all of the batch) or nothing.
    #[parameter(default = "trap")]
    fault: String,
    /// Of so many records it rejects the last, by itself; 0 for none.
    #[parameter(default = 0)]
    every: u32,
    /// After how many records each it reports progress; 0 for never.
    #[parameter(default = 0)]
    report: u32,
    /// Whether it copies what it is handed, key and all, before it does anything.
    #[parameter(default = false)]
    copies: bool,
}

/// Goes wrong.
#[derive(Debug)]
pub struct Poison(Config);

/// Records that this instance has seen.
static SEEN: AtomicU32 = AtomicU32::new(0);

/// Writes that this instance has seen.
static WRITES: AtomicU32 = AtomicU32::new(0);

impl Destination for Poison {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Goes wrong at records that begin with `poison`.").order(wharf_sdk::Order::Batch)
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        journal("calls", "open")?;
        Ok(Self(config))
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let before = WRITES.fetch_add(1, Relaxed);
        journal("calls", &format!("write {before} {}+{}", batch.start(), batch.count()))?;
        if self.0.copies {
            std::hint::black_box([copied(batch.after()), batch.key().map(copied).unwrap_or_default()]);
        }
        if self.0.every > 0 {
            return self.reject_every(batch);
        }
        let mut told = 0;
        for (record, at) in batch.records().zip(0..) {
            if record.after().unwrap_or_default().starts_with(b"poison") {
                go_wrong(&self.0.fault)?;
            }
            if self.0.report > 0 && at + 1 - told == self.0.report {
                deliver(batch, told, at + 1)?;
                progress::delivered(told..at + 1);
                told = at + 1;
            }
        }
        deliver(batch, told, batch.count())?;
        Ok(Receipt::all(batch))
    }

    fn ack(&mut self, _: &[String]) {
        // There is nobody to tell what goes wrong here.
        let _written = journal("calls", "ack");
    }
}

impl Poison {
    fn reject_every(&self, batch: &Batch) -> Result<Receipt, Failure> {
        let mut receipt = Receipt::builder(batch);
        for (record, at) in batch.records().zip(0..) {
            if (SEEN.fetch_add(1, Relaxed) + 1).is_multiple_of(self.0.every) {
                receipt.failed(record, Failure::rejected("it is one of so many"));
            } else {
                deliver(batch, at, at + 1)?;
                receipt.delivered(record);
            }
        }
        Ok(receipt.finish())
    }
}

#[expect(clippy::panic, reason = "that is the fault")]
fn go_wrong(fault: &str) -> Result<(), Failure> {
    match fault {
        "trap" => panic!("told to trap"),
        "loop" => loop {
            std::hint::black_box(0);
        },
        "wait" => std::thread::sleep(std::time::Duration::from_secs(86_400)),
        "memory" => drop(std::hint::black_box(vec![1_u8; 64 << 20])),
        "reject" => return Err(Failure::rejected("there is poison in it")),
        _ => {}
    }
    Ok(())
}

fn copied(column: &Column) -> Vec<u8> {
    let mut copy = Vec::with_capacity(column.bytes());
    column.iter().flatten().for_each(|value| copy.extend_from_slice(value));
    copy
}

fn deliver(batch: &Batch, start: u32, end: u32) -> Result<(), Failure> {
    let records = batch.records().skip(start as usize).take((end - start) as usize);
    let lines = records.map(|record| record.after().unwrap_or_default());
    append("delivered", lines).map_err(|error| Failure::fatal(error.to_string()))
}

fn journal(name: &str, line: &str) -> Result<(), Failure> {
    append(name, [line.as_bytes()]).map_err(|error| Failure::fatal(error.to_string()))
}

/// Adds lines to a file of the journal, where one is granted. Holds little of them in memory.
fn append<'a>(name: &str, lines: impl IntoIterator<Item = &'a [u8]>) -> io::Result<()> {
    let Ok(file) = fs::OpenOptions::new().append(true).create(true).open(format!("/journal/{name}")) else {
        return Ok(());
    };
    let mut file = io::BufWriter::new(file);
    for line in lines {
        file.write_all(line)?;
        file.write_all(b"\n")?;
    }
    file.flush()
}

export_destination!(Poison);
