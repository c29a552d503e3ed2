//! A destination that answers some records badly, the same ones each time, and keeps a journal of what it was handed.
//!
//! It keeps the records of a key in order: once one of them is to be sent again, those behind it are not tried. Some calls end badly as a
//! whole, on their first attempt, when half of the batch has been delivered and reported. `/journal/N` is the journal of the instance `N`:
//! a line for each record of each call, written before the call is answered, of fields with a tab between them:
//!
//! `WHAT PARTITION SEQUENCE ORDINAL BATCH PLACE ATTEMPT KEY RECORD .`
//!
//! `WHAT` is `delivered`, `failed`, `rejected` or `untried`, and `PLACE` where in the cut it stands. A line that does not end in a dot was
//! cut off when the host was killed.

mod fate;

use std::{
    collections::HashSet,
    fmt::Write as _,
    fs::{File, OpenOptions},
    io::Write as _,
};

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Parameters, Receipt, Record, export_destination, progress};

use fate::{Fate, HOPELESS, mixed};

/// What goes wrong.
#[derive(Debug, Parameters)]
pub struct Config {
    /// Which records are answered badly follows from it.
    seed: u64,
}

/// Goes wrong.
#[derive(Debug)]
pub struct Fickle {
    seed: u64,
    journal: File,
}

impl Destination for Fickle {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Answers some records badly, the same ones each time.").order(wharf_sdk::Order::Key)
    }

    fn open(config: Config, context: Context) -> Result<Self, Failure> {
        let path = format!("/journal/{}", context.instance());
        let journal = OpenOptions::new().append(true).create(true).open(&path);
        Ok(Self { seed: config.seed, journal: journal.map_err(|error| Failure::from_io(path, &error))? })
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let (count, first) = (batch.count(), batch.attempt() == 1);
        let drawn = batch.id().bytes().fold(self.seed, |drawn, byte| mixed(drawn ^ u64::from(byte)));
        // Alone it would be taken to be to blame itself.
        let half = if first && batch.start() == 0 && count >= 4 && drawn % 20 < 2 { count / 2 } else { count };
        let mut receipt = Receipt::builder(batch);
        // Whatever hung together in a call that was cut off is told by the empty line before it.
        let mut journal = "\n".to_owned();
        let mut held = HashSet::new();
        let mut delivered = 0;
        for record in batch.records().take(half as usize) {
            let what = match Fate::of(self.seed, record.sequence(), record.ordinal()) {
                _ if held.contains(&record.key()) => "untried",
                Fate::Rejected => "rejected",
                Fate::Hopeless if batch.attempt() >= HOPELESS => "rejected",
                Fate::Hopeless => "failed",
                Fate::Later(attempts) if batch.attempt() <= attempts => "failed",
                _ => "delivered",
            };
            noted(&mut journal, what, batch, record);
            match what {
                "untried" => receipt.untried(record),
                "rejected" => receipt.failed(record, Failure::rejected("it is never taken")),
                "failed" => {
                    held.insert(record.key());
                    receipt.failed(record, Failure::transient("it is taken later"));
                }
                _ if first && Fate::of(self.seed, record.sequence(), record.ordinal()) == Fate::Untold => {}
                _ => receipt.delivered(record),
            }
            if what == "delivered" && record.index() == delivered {
                delivered += 1;
            }
        }
        self.journal.write_all(journal.as_bytes()).map_err(|error| Failure::from_io("the journal", &error))?;
        if half < count {
            // What stands behind the first that failed is delivered and not told: it comes again.
            if delivered > 0 {
                progress::delivered(0..delivered);
            }
            return end_badly(drawn);
        }
        Ok(receipt.finish())
    }
}

#[expect(clippy::panic, reason = "that is what goes wrong")]
fn end_badly(drawn: u64) -> Result<Receipt, Failure> {
    match (drawn / 20) % 3 {
        0 => panic!("told to end in the middle"),
        1 => Err(Failure::uncertain("broken off in the middle")),
        _ => Err(Failure::transient("broken off in the middle")),
    }
}

fn noted(journal: &mut String, what: &str, batch: &Batch, record: Record<'_>) {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let (sequence, ordinal, place) = (record.sequence(), record.ordinal(), batch.start() + record.index());
    let (key, after) = (text(record.key()), text(record.after()));
    let (partition, id, attempt) = (batch.partition(), batch.id(), batch.attempt());
    let line = format_args!("{what}\t{partition}\t{sequence}\t{ordinal}\t{id}\t{place}\t{attempt}\t{key}\t{after}\t.\n");
    // A text takes whatever is written into it.
    let _written = journal.write_fmt(line);
}

export_destination!(Fickle);
