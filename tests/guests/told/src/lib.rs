//! A destination that writes down what it is told of its life, and does as its settings say.

use std::{fs::File, io::Write as _};

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Order, Parameters, Receipt, Secret, export_destination};

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// A secret.
    #[parameter(default = "none")]
    pub token: Secret,
    /// What is no secret.
    #[parameter(default = "a")]
    pub topic: String,
}

/// Writes down records.
#[derive(Debug)]
pub struct Told;

/// One more line of the journal.
fn note(line: &str) -> Result<(), Failure> {
    let journal = File::options().create(true).append(true).open("/out/journal");
    journal.and_then(|mut journal| writeln!(journal, "{line}")).map_err(|error| Failure::from_io("write the journal", &error))
}

impl Destination for Told {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Writes down what it is told.").author("tests").order(Order::Batch).request(
            "directory",
            "/out",
            "the journal is there",
        )
    }

    fn open(_: Config, _: Context) -> Result<Self, Failure> {
        note("open")?;
        Ok(Self)
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        note(&format!("write {}", batch.count()))?;
        Ok(Receipt::all(batch))
    }
}

export_destination!(Told);
