//! In what shape a destination gets its records: columns in, columns out.
//!
//! A document is written straight into the buffer of its column; nothing is allocated per record. Structured data are embedded as they
//! stand, byte for byte: a number that no reader here could hold comes through whole.

mod envelope;
mod template;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;

use self::{envelope::Envelopes, template::Filling};
use super::{Batch, ColumnBuilder, ContentTypes, Failure, FailureKind, Outcome, Span, Verdict};

pub use template::{Template, TemplateError};

/// In what shape a destination gets its records: what stands in `after`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The record's own `after`, as it is.
    #[default]
    Payload,
    /// The whole record as an OpenCDC document, as Conduit writes it.
    OpenCdc,
    /// The change as a Debezium document without a schema.
    Debezium,
    /// The entity in the envelope of Kafka Connect's JSON converter, without a schema. An absent one stays absent.
    KafkaConnect,
    /// Text with places for what the record says.
    Template(Template),
}

/// A batch in another shape.
#[derive(Clone, Debug)]
pub struct Shaped {
    /// The same records, with the same id, start and keys. Those with a verdict have no `after`.
    pub batch: Batch,
    /// Failures, all [`FailureKind::Rejected`], of the records that cannot be brought into the shape, in order, one each.
    pub verdicts: Vec<Verdict>,
}

impl Shaped {
    /// The records without a verdict: those that go to the destination, in order.
    pub fn shaped(&self) -> impl Iterator<Item = Span> + '_ {
        let ends = self.verdicts.iter().map(|verdict| verdict.records).chain([Span::new(self.batch.count(), u32::MAX)]);
        let mut start = 0;
        ends.filter_map(move |rejected| {
            let span = Span::new(start, rejected.start);
            start = rejected.end;
            (!span.is_empty()).then_some(span)
        })
    }
}

/// Brings the records of a batch into the shape that the format says. All columns but `after` stay as they are, and shared.
pub fn shape(batch: &Batch, format: &Format) -> Shaped {
    let content_type = match format {
        Format::Payload => return Shaped { batch: batch.clone(), verdicts: Vec::new() },
        Format::Template(_) => None,
        _ => Some(Arc::from("application/json")),
    };
    let mut envelopes = Envelopes::new(batch);
    let (after, verdicts) = match format {
        Format::Payload | Format::OpenCdc => column(batch, |at, data| envelopes.open_cdc(at, data)),
        Format::Debezium => column(batch, |at, data| envelopes.debezium(at, data)),
        Format::KafkaConnect => column(batch, |at, data| envelopes.kafka_connect(at, data)),
        Format::Template(template) => {
            let mut filling = Filling::new(template, batch);
            column(batch, |at, data| filling.write(at, data))
        }
    };
    let content_types = ContentTypes { after: content_type, ..batch.content_types().clone() };
    Shaped { batch: batch.clone().with_after(after).with_content_types(content_types), verdicts }
}

/// What came of one record.
enum Written {
    Present,
    Absent,
}

/// Why one record cannot be brought into the shape, for a person.
type Unshapable = String;

/// A column of what `write` appends for each record.
fn column(
    batch: &Batch,
    mut write: impl FnMut(usize, &mut Vec<u8>) -> Result<Written, Unshapable>,
) -> (super::Column, Vec<Verdict>) {
    let count = batch.count();
    // An envelope is some hundred bytes beside the data.
    let mut column = ColumnBuilder::with_capacity(count as usize, batch.bytes() + 200 * count as usize);
    let mut verdicts = Vec::new();
    for at in 0..count {
        let mut written = Ok(Written::Absent);
        let pushed = column.push_with(|data| written = write(at as usize, data));
        let unshapable = match (pushed, written) {
            (Ok(()), Ok(Written::Present)) => continue,
            (Ok(()), written) => {
                column.pop();
                written.err()
            }
            (Err(full), _) => Some(full.to_string()),
        };
        // What is absent takes no bytes, and so no more room.
        column.push_absent().ok();
        if let Some(message) = unshapable {
            let failure = Failure { kind: FailureKind::Rejected, message, code: None, retry_after: None };
            verdicts.push(Verdict { records: Span::new(at, at + 1), outcome: Outcome::Failed(failure) });
        }
    }
    (column.finish(), verdicts)
}
