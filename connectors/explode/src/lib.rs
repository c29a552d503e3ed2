//! A processor that makes a record of each element of an array.

use wharf_json::{Json, Part, Pointer, parse, pointer};
use wharf_sdk::{Batch, Context, Descriptor, Failure, Parameters, Problem, Processed, Processor, export_processor};

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// JSON pointer to the array; empty where the record itself is one.
    pointer: String,
    /// Whether each record keeps the rest: the element then stands where the array stood.
    #[parameter(default = false)]
    keep: bool,
    /// Metadata that says which element it was, from 0.
    index: Option<String>,
    /// What becomes of a record whose array is empty.
    #[parameter(default = "drop")]
    empty: Otherwise,
    /// What becomes of a record that has no array there.
    #[parameter(default = "keep")]
    missing: Otherwise,
}

/// What becomes of a record that there is nothing to make of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Otherwise {
    /// It goes on as it came.
    Keep,
    /// It is dropped.
    Drop,
    /// It fails.
    Fail,
}

/// Makes several records of one.
#[derive(Debug)]
pub struct Explode {
    config: Config,
    pointer: Pointer,
}

impl Processor for Explode {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Makes a record of each element of an array.")
    }

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        pointer("pointer", &config.pointer, &mut problems);
        problems
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        let pointer = pointer("pointer", &config.pointer, &mut Vec::new());
        Ok(Self { config, pointer })
    }

    fn process(&mut self, batch: &Batch) -> Result<Processed, Failure> {
        let mut processed = Processed::builder(batch);
        let mut element = Vec::new();
        for record in batch {
            let mut document = match record.after().map(|after| parse(Part::After, after)).transpose() {
                Ok(document) => document,
                Err(failure) => {
                    processed.fail(record, failure);
                    continue;
                }
            };
            let array = document.as_mut().and_then(|document| document.get(&self.pointer)).and_then(Json::elements);
            let (otherwise, why) = match array {
                Some(elements) if elements.is_empty() => (self.config.empty, "the array is empty"),
                Some(elements) => {
                    let elements = std::mem::take(elements);
                    for (index, value) in elements.into_iter().enumerate() {
                        element.clear();
                        match document.as_mut().filter(|_| self.config.keep) {
                            Some(document) => {
                                if let Some(place) = document.get(&self.pointer) {
                                    *place = value;
                                }
                                document.write(&mut element);
                            }
                            None => value.write(&mut element),
                        }
                        // What was there before is of the whole, and of none of these.
                        let output = processed.emit(record).after(&element).without_before();
                        if let Some(name) = &self.config.index {
                            output.meta(name, index.to_string());
                        }
                    }
                    continue;
                }
                None => (self.config.missing, "there is no array"),
            };
            match otherwise {
                Otherwise::Keep => {}
                Otherwise::Drop => processed.filter(record),
                Otherwise::Fail => processed.fail(record, Failure::rejected(format!("{why} at `{}`", self.pointer))),
            }
        }
        processed.content_type("application/json");
        Ok(processed.finish())
    }
}

export_processor!(Explode);

#[cfg(test)]
mod tests {
    use wharf_sdk::{
        FailureKind,
        testing::{Processing, ProcessorHarness, batch, deletion, record},
    };

    use super::*;

    fn exploded(settings: &[(&str, &str)], records: &[&str]) -> Processing {
        let harness =
            settings.iter().fold(ProcessorHarness::<Explode>::new(), |harness, (name, value)| harness.setting(*name, *value));
        harness.open().process(&batch(records.iter().map(|after| record(after).key("k").before("{}"))))
    }

    #[test]
    fn each_element_is_a_record_with_the_rest_or_without() {
        let record = r#"{"id":1.0,"items":[{"a":1},2.50,"x"],"z":0}"#;
        let answer = exploded(&[("pointer", "/items"), ("index", "item")], &[record, r#"{"items":[7]}"#]);
        assert_eq!(answer.texts(), [r#"{"a":1}"#, "2.50", r#""x""#, "7"]);
        let outputs = answer.outputs();
        assert_eq!(outputs.iter().map(|output| output.parent).collect::<Vec<_>>(), [0, 0, 0, 1]);
        assert_eq!(outputs.iter().map(|output| output.metadata["item"][0]).collect::<Vec<_>>(), *b"0120");
        assert!(outputs.iter().all(|output| output.before.is_none() && output.key.as_deref() == Some(b"k")));
        let answer = exploded(&[("pointer", "/items"), ("keep", "true")], &[record]);
        let expected =
            [r#"{"id":1.0,"items":{"a":1},"z":0}"#, r#"{"id":1.0,"items":2.50,"z":0}"#, r#"{"id":1.0,"items":"x","z":0}"#];
        assert_eq!(answer.texts(), expected);
        assert_eq!(exploded(&[("pointer", "")], &["[1,[2]]"]).texts(), ["1", "[2]"]);
    }

    #[test]
    fn where_there_is_nothing_to_make_the_setting_says_what_becomes_of_it() {
        let records = [r#"{"items":[]}"#, r#"{"items":{}}"#, "{}", "no"];
        let answer = exploded(&[("pointer", "/items")], &records);
        assert_eq!(answer.texts(), records[1..3]);
        answer.assert_filtered([0]).assert_failed(3, FailureKind::Rejected, "not JSON");
        let answer = exploded(&[("pointer", "/items"), ("empty", "fail"), ("missing", "drop")], &records);
        answer.assert_filtered([1, 2]).assert_failed(0, FailureKind::Rejected, "the array is empty at `/items`");
        let answer = exploded(&[("pointer", "/items"), ("empty", "keep"), ("missing", "fail")], &records);
        assert_eq!(answer.texts(), records[..1]);
        answer.assert_failed(2, FailureKind::Rejected, "there is no array at `/items`");
    }

    #[test]
    fn a_deletion_has_no_array() {
        let harness = ProcessorHarness::<Explode>::new().setting("pointer", "/items");
        assert_eq!(harness.open().process(&batch([deletion("k")])).texts(), ["-"]);
    }
}
