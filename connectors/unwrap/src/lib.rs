//! A processor that takes records out of OpenCDC, Debezium and Kafka Connect envelopes.

mod debezium;
mod envelope;
mod opencdc;

use wharf_json::{Json, Kind, Part, parse};
use wharf_sdk::{Batch, Context, Descriptor, Failure, Operation, Parameters, Processed, Processor, Record, export_processor};

use envelope::{Data, Unwrapped};

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// In what the records are.
    #[parameter(default = "auto")]
    format: Format,
    /// What becomes of a record that is in no such envelope.
    #[parameter(default = "fail")]
    otherwise: Otherwise,
}

/// What records are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Format {
    /// Whichever of these it looks like.
    Auto,
    /// OpenCDC, as Conduit writes it.
    #[parameter(rename = "opencdc")]
    OpenCdc,
    /// Debezium's, with the schema of Kafka Connect around it or without.
    Debezium,
    /// A schema and a payload, as Kafka Connect's JSON converter writes them.
    KafkaConnect,
}

/// What becomes of a record that is in no such envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Otherwise {
    /// It fails.
    Fail,
    /// It goes on as it came.
    Keep,
    /// It is dropped.
    Drop,
}

/// Takes records out of envelopes.
#[derive(Debug)]
pub struct Unwrap(Config);

impl Unwrap {
    /// What is in the envelope; `None` where it is none.
    fn open<'a>(&self, value: &'a [u8]) -> Result<Option<Unwrapped<'a>>, Failure> {
        let mut json = parse(Part::After, value)?;
        let payload = payload(&mut json);
        Ok(match (self.0.format, payload) {
            (Format::KafkaConnect, Some(payload)) => Some(Unwrapped::plain(payload)),
            (Format::KafkaConnect, None) => None,
            (Format::OpenCdc, _) => opencdc::unwrapped(json)?,
            (Format::Debezium, Some(payload)) => debezium::unwrapped(payload)?,
            (Format::Debezium, None) => debezium::unwrapped(json)?,
            (Format::Auto, Some(payload)) => match debezium::is(&payload) {
                true => debezium::unwrapped(payload)?,
                false => Some(Unwrapped::plain(payload)),
            },
            (Format::Auto, None) if debezium::is(&json) => debezium::unwrapped(json)?,
            (Format::Auto, None) => opencdc::unwrapped(json)?,
        })
    }
}

/// What stands beside a schema, and nothing else does.
fn payload<'a>(json: &mut Json<'a>) -> Option<Json<'a>> {
    let members = json.members()?;
    let names = |name: &str| members.iter().any(|(other, _)| other.text() == name);
    if members.len() != 2 || !names("schema") || !names("payload") {
        return None;
    }
    json.step("payload").map(|payload| std::mem::replace(payload, Json::null()))
}

/// A key without the schema around it; `None` where there is none.
fn bare_key(record: Record<'_>) -> Option<Vec<u8>> {
    let mut json = Json::parse(record.key()?).ok()?;
    let payload = payload(&mut json)?;
    Some(match payload.kind() {
        Kind::String => payload.as_text().into_owned().into_bytes(),
        _ => payload.to_vec(),
    })
}

impl Processor for Unwrap {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Takes records out of OpenCDC, Debezium and Kafka Connect envelopes.")
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self(config))
    }

    fn process(&mut self, batch: &Batch) -> Result<Processed, Failure> {
        let mut processed = Processed::builder(batch);
        let (mut structured, mut raw) = (false, false);
        for record in batch {
            // What says that something went away has nothing in it.
            let opened = match record.after() {
                Some(after) => self.open(after),
                None => Ok(Some(Unwrapped { operation: record.operation(), ..Unwrapped::default() })),
            };
            let unwrapped = match opened {
                Ok(Some(unwrapped)) => unwrapped,
                Err(failure) => {
                    processed.fail(record, failure);
                    continue;
                }
                Ok(None) => {
                    match self.0.otherwise {
                        Otherwise::Fail => {
                            processed.fail(record, Failure::rejected("the record is in no envelope that is known"))
                        }
                        Otherwise::Keep => structured = true,
                        Otherwise::Drop => processed.filter(record),
                    }
                    continue;
                }
            };
            let Unwrapped { operation, key, before, after, metadata } = unwrapped;
            for data in [&after, &before].into_iter().flatten() {
                match data {
                    Data::Structured(_) => structured = true,
                    Data::Raw(_) => raw = true,
                }
            }
            let mut output = processed.emit(record).operation(operation);
            output = match &after {
                Some(after) => output.after(after.bytes()),
                None => output.without_after(),
            };
            if let Some(before) = &before {
                output = output.before(before.bytes());
            }
            if let Some(key) = key.map(Data::into_bytes).or_else(|| bare_key(record)) {
                output = output.key(key);
            }
            metadata.iter().fold(output, |output, (name, value)| output.meta(name, value));
        }
        // One column has one media type; bytes are what everything is.
        match (structured, raw) {
            (_, true) => processed.content_type("application/octet-stream"),
            (true, false) => processed.content_type("application/json"),
            (false, false) => {}
        }
        Ok(processed.finish())
    }
}

export_processor!(Unwrap);

/// The operation of that name in an envelope.
fn operation(name: &str) -> Option<Operation> {
    match name {
        "create" | "c" => Some(Operation::Create),
        "update" | "u" => Some(Operation::Update),
        "delete" | "d" => Some(Operation::Delete),
        "snapshot" | "r" => Some(Operation::Snapshot),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
