//! {{summary}}

use wharf_sdk::{
    Batch, Context, Descriptor, Failure, Parameters, Processed, Processor, Step, export_processor,
};

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// The longest value that goes on, in bytes without the blanks around it. A record with a longer one fails.
    #[parameter(default = 1048576, min = 1)]
    most: u64,
}

/// Takes the blanks away around each value, and drops what is blank.
#[derive(Debug)]
pub struct {{Type}} {
    most: u64,
}

impl Processor for {{Type}} {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("{{summary}}")
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self { most: config.most })
    }

    /// The same records always give the same: they may come again, alone or in other company.
    fn process(&mut self, batch: &Batch) -> Result<Processed, Failure> {
        Ok(Processed::each(batch, |record| {
            // A deletion has no value, and goes on.
            let Some(value) = record.after() else {
                return Ok(Step::Keep);
            };
            let trimmed = value.trim_ascii();
            if trimmed.len() as u64 > self.most {
                return Err(Failure::rejected(format!(
                    "{} bytes, and `most` is {}",
                    trimmed.len(),
                    self.most
                )));
            }
            Ok(match trimmed.len() {
                0 => Step::Drop,
                length if length == value.len() => Step::Keep,
                _ => Step::After(trimmed.to_vec()),
            })
        }))
    }
}

export_processor!({{Type}});

#[cfg(test)]
mod tests {
    use wharf_sdk::{
        FailureKind,
        testing::{ProcessorHarness, batch},
    };

    use super::*;

    /// A stand-in for the host.
    type Host = ProcessorHarness<{{Type}}>;

    #[test]
    fn blanks_go_and_what_is_blank_is_dropped() {
        let harness = Host::new();
        let processing = harness.open().process(&batch(["one", "  two \n", " ", ""]));
        assert_eq!(processing.texts(), ["one", "two"]);
        processing.assert_filtered([2, 3]);
    }

    #[test]
    fn a_value_that_is_too_long_fails_alone() {
        let harness = Host::new().setting("most", "3");
        let processing = harness.open().process(&batch(["one", "three", "two"]));
        processing.assert_failed(1, FailureKind::Rejected, "5 bytes, and `most` is 3");
        assert_eq!(processing.texts(), ["one", "two"]);
    }
}
