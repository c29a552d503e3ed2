//! A destination that does its host harm in the way that it is told to, in the call that it is told to.

mod act;

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Parameters, Problem, Receipt, export_destination};

use act::act;

/// What to do, and when.
#[derive(Debug, Parameters)]
pub struct Config {
    /// The act.
    #[parameter(default = "none")]
    act: String,
    /// The call: `check`, `open`, `write`, `ack` or `close`.
    #[parameter(default = "write")]
    at: String,
    /// How much of it, where it can be more or less.
    #[parameter(default = 0)]
    amount: u64,
}

/// Does harm.
#[derive(Debug)]
pub struct Hostile {
    config: Config,
    /// The calls of `write` so far.
    written: u64,
}

impl Config {
    fn reach(&self, call: &str) {
        if self.at == call {
            act(&self.act, self.amount);
        }
    }
}

impl Destination for Hostile {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Does harm in the way that it is told to.").order(wharf_sdk::Order::Batch)
    }

    fn check(config: &Config) -> Vec<Problem> {
        config.reach("check");
        Vec::new()
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        config.reach("open");
        Ok(Self { config, written: 0 })
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        self.written += 1;
        match &*self.config.act {
            "fail-at-length" => {
                let message = "\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}é".repeat(self.config.amount as usize);
                return Err(Failure::fatal(message));
            }
            "remark-at-length" => {
                let mut receipt = Receipt::builder(batch);
                receipt.warned(0..batch.count(), "\u{1b}[2J\u{7}\u{202e}".repeat(self.config.amount as usize));
                return Ok(receipt.finish());
            }
            "trap-on-a-record" => {
                let culprit = self.config.amount.to_string();
                assert!(!batch.records().any(|record| record.after() == Some(culprit.as_bytes())), "told to trap");
            }
            "trap-at-the-nth" => assert!(self.written != self.config.amount, "told to trap"),
            _ => self.config.reach("write"),
        }
        Ok(Receipt::all(batch))
    }

    fn ack(&mut self, _: &[String]) {
        self.config.reach("ack");
    }

    fn close(self) -> Result<(), Failure> {
        self.config.reach("close");
        Ok(())
    }
}

export_destination!(Hostile);
