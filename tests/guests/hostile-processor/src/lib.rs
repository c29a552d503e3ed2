//! A processor that does its host harm in the way that it is told to, in the call that it is told to. What it can do is what
//! `guest-hostile` does; wrong answers are those of `guest-mangles`.

#[path = "../../hostile/src/act.rs"]
mod act;

use wharf_sdk::{Batch, Context, Descriptor, Failure, Parameters, Problem, Processed, Processor, export_processor};

use act::act;

/// What to do, and when.
#[derive(Debug, Parameters)]
pub struct Config {
    /// The act.
    #[parameter(default = "none")]
    act: String,
    /// The call: `check`, `open`, `process` or `close`.
    #[parameter(default = "process")]
    at: String,
    /// How much of it, where it can be more or less.
    #[parameter(default = 0)]
    amount: u64,
}

/// Does harm.
#[derive(Debug)]
pub struct Hostile(Config);

impl Config {
    fn reach(&self, call: &str) {
        if self.at == call {
            act(&self.act, self.amount);
        }
    }
}

impl Processor for Hostile {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Does harm in the way that it is told to.")
    }

    fn check(config: &Config) -> Vec<Problem> {
        config.reach("check");
        Vec::new()
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        config.reach("open");
        Ok(Self(config))
    }

    fn process(&mut self, batch: &Batch) -> Result<Processed, Failure> {
        self.0.reach("process");
        Ok(Processed::unchanged(batch))
    }

    fn close(self) -> Result<(), Failure> {
        self.0.reach("close");
        Ok(())
    }
}

export_processor!(Hostile);
