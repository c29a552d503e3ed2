//! A destination that tells all that it is shown of each record, in a remark.
//!
//! A remark is `OPERATION PARTITION/SEQUENCE/ORDINAL`, then `NAME=VALUE` for each column that the record has a value in, with the bytes
//! escaped and in quotes: what is absent is left out. The first of a batch has before that the names of all columns, as the host lists them,
//! each with its media type, where there is one.

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Parameters, Receipt, Record, export_destination};

#[cfg(target_arch = "wasm32")]
#[allow(missing_docs, clippy::all)]
mod raw {
    wit_bindgen::generate!({ path: "../../../wit", world: "imports", type_section_suffix: "mirror" });
}

/// Nothing.
#[derive(Debug, Parameters)]
pub struct Config {}

/// Tells what it sees.
#[derive(Debug)]
pub struct Mirror;

impl Destination for Mirror {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Tells all that it is shown of each record.")
    }

    fn open(_: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let mut receipt = Receipt::builder(batch);
        for record in batch {
            let head = if record.index() == 0 { columns(batch) } else { String::new() };
            receipt.warned(record, head + &told(batch, record));
        }
        Ok(receipt.finish())
    }
}

/// The columns, as the host lists them and not as the SDK makes them known.
fn columns(batch: &Batch) -> String {
    #[cfg(target_arch = "wasm32")]
    let names = raw::wharf::connector::records::names();
    #[cfg(not(target_arch = "wasm32"))]
    let names = batch.meta_names().map(str::to_owned).collect::<Vec<_>>();
    let all = std::iter::once("after".to_owned()).chain(names);
    let told = all.map(|name| match batch.content_type(&name) {
        Some(content_type) => format!("{name}:{content_type}"),
        None => name,
    });
    format!("[{}] ", told.collect::<Vec<_>>().join(" "))
}

fn told(batch: &Batch, record: Record<'_>) -> String {
    let operation = format!("{:?}", record.operation()).to_lowercase();
    let mut told = format!("{operation} {}/{}/{}", batch.partition(), record.sequence(), record.ordinal());
    let plain = [("after", record.after()), ("before", record.before()), ("key", record.key())];
    let metadata = batch.meta_names().map(|name| (name, record.meta(name)));
    for (name, value) in plain.into_iter().chain(metadata) {
        if let Some(value) = value {
            told += &format!(" {name}=\"{}\"", value.escape_ascii());
        }
    }
    told
}

export_destination!(Mirror);
