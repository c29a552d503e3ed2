//! In what shape a destination gets its records, out of two keys of the pipeline file.

use super::PlanError;
use crate::{
    config::{self, Shape},
    record::format::Format,
};

/// The shape; `None` where its template is none, which is noted.
pub(super) fn format(destination: &str, given: &config::Destination, errors: &mut Vec<PlanError>) -> Option<Format> {
    Some(match given.format.as_ref().map(|format| format.value).unwrap_or_default() {
        Shape::Payload => Format::Payload,
        Shape::OpenCdc => Format::OpenCdc,
        Shape::Debezium => Format::Debezium,
        Shape::KafkaConnect => Format::KafkaConnect,
        Shape::Template => {
            // Where it is missing, the pipeline file was refused.
            let template = given.template.as_ref()?;
            match template.value.parse() {
                Ok(template) => Format::Template(template),
                Err(cause) => {
                    let (destination, place) = (destination.to_owned(), template.place.clone());
                    errors.push(PlanError::Template { destination, place, cause });
                    return None;
                }
            }
        }
    })
}
