//! A destination that prints each record as a line, for a person at a terminal.

mod line;

use std::io::{self, Write};

use wharf_sdk::{
    Batch, Context, Descriptor, Destination, Failure, Order, Parameters, Receipt, Redelivery, export_destination, progress,
};

/// What an operator sets.
#[derive(Debug, Default, Parameters)]
pub struct Config {
    /// What to show in front of each value.
    show: Vec<Show>,
    /// How many characters of a value to show; 0 shows all.
    #[parameter(default = 0)]
    width: u32,
}

/// What can be shown of a record beside its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Show {
    /// The partition and the sequence.
    Position,
    /// What was done to the entity.
    Operation,
    /// What identifies the entity.
    Key,
    /// All metadata.
    Metadata,
    /// The entity before its change.
    Before,
}

/// Prints each record as a line.
#[derive(Debug)]
pub struct Print {
    config: Config,
    /// Lines that are not written yet; kept from batch to batch, so that it grows once.
    lines: Vec<u8>,
}

/// From this many bytes on lines are written before the batch is over.
const FLUSH: usize = 64 * 1024;

impl Destination for Print {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Prints each record as a line.").order(Order::Batch).redelivery(Redelivery::Repeats)
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self { config, lines: Vec::new() })
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        self.print(batch, &mut io::stdout().lock())
    }
}

impl Print {
    fn print(&mut self, batch: &Batch, to: &mut impl Write) -> Result<Receipt, Failure> {
        let mut printed = 0;
        self.lines.clear();
        for record in batch {
            line::append(&mut self.lines, batch, record, &self.config);
            let end = record.index() + 1;
            if self.lines.len() >= FLUSH || end == batch.count() {
                let written = to.write_all(&self.lines).and_then(|()| to.flush());
                written.map_err(|error| Failure::from_io("print to stdout", &error))?;
                progress::delivered(printed..end);
                printed = end;
                self.lines.clear();
            }
        }
        Ok(Receipt::all(batch))
    }
}

export_destination!(Print);

#[cfg(test)]
mod tests {
    use wharf_sdk::{
        FailureKind,
        testing::{Harness, batch, record},
    };

    use super::*;

    /// Prints to where there is room for so many bytes.
    struct Room<const BYTES: usize>(Print);

    impl<const BYTES: usize> Destination for Room<BYTES> {
        type Config = Config;

        fn describe() -> Descriptor {
            Print::describe()
        }

        fn open(config: Config, context: Context) -> Result<Self, Failure> {
            Ok(Self(Print::open(config, context)?))
        }

        fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
            self.0.print(batch, &mut [0; BYTES].as_mut_slice())
        }
    }

    #[test]
    fn a_batch_is_delivered_once_it_is_printed() {
        let harness = Harness::<Room<100>>::new().setting("show.0", "key").setting("width", "3");
        harness.open().write(&batch([record("long enough").key("k"), record("b")])).assert_all_delivered();
    }

    #[test]
    fn what_was_printed_stays_delivered_when_the_rest_cannot_be() {
        let harness = Harness::<Room<{ FLUSH + 100 }>>::new();
        let answer = harness.open().write(&batch(["a".repeat(FLUSH), "b".repeat(FLUSH)]));
        answer.assert_delivered(0).assert_failed(1, FailureKind::Uncertain);
    }

    #[test]
    fn what_cannot_be_shown_is_refused() {
        let problems = Harness::<Print>::new().setting("show.0", "color").check();
        assert_eq!(problems[0].to_string(), "`show.0` is `color`: not one of position, operation, key, metadata, before");
    }
}
