//! A bulk destination that speaks several versions of its far side, and writes down which one it was asked for.
//!
//! A line of `/out/journal` is the version of `upload`, that of `transform`, and the record. `old` is deprecated, `ending` will be.

use std::{
    fs::File,
    io::{Read as _, Write as _},
};

use wharf_sdk::{
    Batch, BulkDestination, Context, Descriptor, Failure, Found, Lines, Parameters, Receipt, Upload, Uploaded, export_bulk,
};

/// It takes none.
#[derive(Debug, Parameters)]
pub struct Config {}

/// Writes down versions.
#[derive(Debug)]
pub struct Versions(String);

impl BulkDestination for Versions {
    type Config = Config;
    type Handle = ();

    fn describe() -> Descriptor {
        Descriptor::new("Writes down which version it was asked for.")
            .author("tests")
            .deprecated_api_version("2020-old", "2021-06-30")
            .api_version("2024-now")
            .deprecated_api_version("2022-ending", "2999-12-31")
            .default_api_version("2024-now")
            .request("directory", "/out", "the journal is there")
    }

    fn open(_: Config, context: Context) -> Result<Self, Failure> {
        Ok(Self(context.api_version().unwrap_or_else(|| "none".into())))
    }

    fn transform(&mut self, batch: &Batch) -> Result<Lines, Failure> {
        Ok(Lines::each(batch, |record, line| {
            line.push(self.0.as_bytes());
            line.push(b" ");
            line.push(record.after().unwrap_or_default());
            Ok(())
        }))
    }

    fn upload(&mut self, upload: &Upload) -> Result<Uploaded<()>, Failure> {
        let mut text = String::new();
        let failed = |error| Failure::from_io("write the journal", &error);
        upload.reader().read_to_string(&mut text).map_err(failed)?;
        let mut journal = File::options().create(true).append(true).open("/out/journal").map_err(failed)?;
        for line in text.lines() {
            writeln!(journal, "{} {line}", self.0).map_err(failed)?;
        }
        Ok(Uploaded::settled(upload, Receipt::all(upload)))
    }

    fn reconcile(&mut self, _: &Upload) -> Result<Found<()>, Failure> {
        Ok(Found::CannotTell)
    }
}

export_bulk!(Versions);
