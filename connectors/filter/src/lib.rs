//! A processor that keeps or drops records by conditions.

mod condition;

use wharf_sdk::{Batch, Context, Descriptor, Failure, Parameters, Problem, Processed, Processor, Step, export_processor};

use condition::{Condition, Document, Written};

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// What a record is asked.
    conditions: Vec<Written>,
    /// Whether a record matches that fulfils all of them, or any.
    #[parameter(default = "all", rename = "match")]
    matching: Match,
    /// What becomes of a record that matches; the opposite becomes of the others.
    #[parameter(default = "keep")]
    then: Then,
}

/// How many conditions a record has to fulfil.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Match {
    /// Every one.
    All,
    /// At least one.
    Any,
}

/// What becomes of a record that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Then {
    /// It goes on, and the others are dropped.
    Keep,
    /// It is dropped, and the others go on.
    Drop,
}

/// Keeps some records and drops the others.
#[derive(Debug)]
pub struct Filter {
    conditions: Vec<Condition>,
    matching: Match,
    then: Then,
}

impl Filter {
    fn new(config: &Config, problems: &mut Vec<Problem>) -> Self {
        let read = |(index, written): (usize, &Written)| written.read(&format!("conditions.{index}"), problems);
        let conditions = config.conditions.iter().enumerate().filter_map(read).collect();
        Self { conditions, matching: config.matching, then: config.then }
    }
}

impl Processor for Filter {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Keeps or drops records by conditions.")
    }

    fn check(config: &Config) -> Vec<Problem> {
        let mut problems = Vec::new();
        Self::new(config, &mut problems);
        if config.conditions.is_empty() {
            problems.push(Problem::new("conditions", "is empty, and at least one is needed"));
        }
        problems
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self::new(&config, &mut Vec::new()))
    }

    fn process(&mut self, batch: &Batch) -> Result<Processed, Failure> {
        Ok(Processed::each(batch, |record| {
            let mut document = Document::of(batch, record);
            let mut matches = self.matching == Match::All;
            for condition in &self.conditions {
                let holds = condition.holds(&mut document)?;
                if holds != matches {
                    matches = holds;
                    break;
                }
            }
            Ok(if matches == (self.then == Then::Keep) { Step::Keep } else { Step::Drop })
        }))
    }
}

export_processor!(Filter);

#[cfg(test)]
mod tests;
