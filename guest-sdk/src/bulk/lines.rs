//! Lines made of records.

use std::io;

use crate::{Batch, Failure, Record, Span, bindings::wharf::connector::types, column::ColumnBuilder, csv};

/// A line for each record of a batch, or why there is none.
#[derive(Clone, Debug)]
#[must_use]
pub struct Lines {
    pub(crate) lines: types::Column,
    pub(crate) verdicts: Vec<types::Verdict>,
}

impl Lines {
    /// Makes a line of each record. An error is that of the record alone; a line with a line break in it fails its record as `rejected`.
    ///
    /// ```
    /// use std::io::Write;
    /// use wharf_sdk::{Batch, Failure, Lines};
    ///
    /// fn transform(batch: &Batch) -> Lines {
    ///     Lines::each(batch, |record, line| {
    ///         let value = record.after().ok_or_else(|| Failure::rejected("a record without a value"))?;
    ///         write!(line, "{},", record.sequence()).map_err(|error| Failure::from_io("write a line", &error))?;
    ///         line.push(value);
    ///         Ok(())
    ///     })
    /// }
    /// ```
    pub fn each(batch: &Batch, mut make: impl FnMut(Record<'_>, &mut Line) -> Result<(), Failure>) -> Self {
        let mut lines = ColumnBuilder::new();
        let mut failed: Vec<(Span, Failure)> = Vec::new();
        let mut line = Line(Vec::new());
        for record in batch {
            line.0.clear();
            let made = make(record, &mut line).and_then(|()| match line.0.iter().position(|byte| *byte == b'\n') {
                None if lines.push(Some(&line.0)) => Ok(()),
                None => Err(Failure::transient("the lines of this batch would pass 4 GiB")),
                Some(at) => Err(Failure::rejected(format!("its line has a line break in it, at byte {at}")).code("line-break")),
            });
            if let Err(failure) = made {
                match failed.last_mut() {
                    Some((span, known)) if span.end == record.index() && *known == failure => span.end += 1,
                    _ => failed.push((record.index().into(), failure)),
                }
            }
        }
        let verdict =
            |(records, failure): (Span, Failure)| types::Verdict { records, outcome: types::Outcome::Failed(failure.into()) };
        Self { lines: lines.finish(), verdicts: failed.into_iter().map(verdict).collect() }
    }
}

/// The line in the making. It is one buffer for all records, so that none allocates.
#[derive(Debug)]
pub struct Line(Vec<u8>);

impl Line {
    /// Adds bytes as they are.
    pub fn push(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.extend_from_slice(bytes.as_ref());
    }

    /// Adds fields as [`csv::write`] writes them.
    pub fn csv<F: AsRef<[u8]>>(&mut self, fields: impl IntoIterator<Item = F>) {
        csv::write(&mut self.0, fields);
    }

    /// What it holds so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// For `write!` and `serde_json::to_writer`. It never fails.
impl io::Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
