//! A destination that does with files what its records say, by the interface's own calls, and answers each with what came of it: a
//! rejection that begins with `ok` or is the interface's own error.
//!
//! A record is a number, which makes it unlike all others, a verb, and words. A place is a granted directory and a path below it, with `:`
//! between: `/data:../secret` is `../secret` in `/data`, as it stands. `%` and two digits stand for any byte, `%x` for 5000 of the letter.

#[cfg(target_os = "wasi")]
mod verbs;

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Receipt, export_destination};

/// Holds what records opened for those that follow.
#[derive(Debug, Default)]
pub struct Files {
    #[cfg(target_os = "wasi")]
    state: verbs::State,
}

impl Destination for Files {
    type Config = ();

    fn describe() -> Descriptor {
        Descriptor::new("Does with files what its records say.").order(wharf_sdk::Order::Batch)
    }

    fn open((): (), _: Context) -> Result<Self, Failure> {
        Ok(Self::default())
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let mut receipt = Receipt::builder(batch);
        for record in batch {
            let told = String::from_utf8_lossy(record.after().unwrap_or_default()).into_owned();
            receipt.failed(record, Failure::rejected(self.answer(&told)));
        }
        Ok(receipt.finish())
    }
}

impl Files {
    #[cfg(target_os = "wasi")]
    fn answer(&mut self, told: &str) -> String {
        let words: Vec<&str> = told.split(' ').skip(1).collect();
        match self.state.does(&words) {
            Ok(answer) => format!("ok {answer}").trim_end().to_owned(),
            Err(error) => error,
        }
    }

    #[cfg(not(target_os = "wasi"))]
    fn answer(&mut self, told: &str) -> String {
        told.to_owned()
    }
}

export_destination!(Files);
