//! A destination that goes wrong in the way that it is told to, in the call that it is told to.

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Parameters, Problem, Receipt, export_destination, tracing};

/// What to do wrong, and when.
#[derive(Debug, Parameters)]
pub struct Config {
    /// The fault.
    #[parameter(default = "none")]
    fault: String,
    /// The call: `check`, `open`, `write`, `ack` or `close`.
    #[parameter(default = "write")]
    at: String,
    /// How much of it, where it can be more or less.
    #[parameter(default = 0)]
    amount: u32,
}

/// Goes wrong.
#[derive(Debug)]
pub struct Faults(Config);

impl Config {
    fn reach(&self, call: &str) {
        if self.at == call {
            go_wrong(&self.fault, self.amount as usize);
        }
    }
}

impl Destination for Faults {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Goes wrong in the way that it is told to.").order(wharf_sdk::Order::Batch)
    }

    fn check(config: &Config) -> Vec<Problem> {
        config.reach("check");
        Vec::new()
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        if config.fault == "panic" {
            // What was denied and got over is no reason of what comes later.
            assert!(Vec::<u8>::new().try_reserve_exact(1 << 30).is_err());
        }
        config.reach("open");
        Ok(Self(config))
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        if self.0.fault == "remark" {
            let mut receipt = Receipt::builder(batch);
            receipt.warned(0..batch.count(), "r".repeat(self.0.amount as usize));
            return Ok(receipt.finish());
        }
        if self.0.fault == "reject" {
            // A verdict for all of them together, which is not the same as a call that fails.
            let mut receipt = Receipt::builder(batch);
            receipt.failed(0..batch.count(), Failure::rejected("m".repeat(self.0.amount as usize)));
            return Ok(receipt.finish());
        }
        for _ in 0..if self.0.fault == "per-record" { batch.count() } else { 0 } {
            compute(self.0.amount.into());
        }
        self.0.reach("write");
        Ok(Receipt::all(batch))
    }

    fn ack(&mut self, _: &[String]) {
        self.0.reach("ack");
    }

    fn close(self) -> Result<(), Failure> {
        self.0.reach("close");
        Ok(())
    }
}

#[expect(clippy::panic, reason = "that is a fault")]
fn go_wrong(fault: &str, amount: usize) {
    match fault {
        "panic" => panic!("told to panic"),
        "exit" => std::process::exit(1),
        "loop" => compute(u64::MAX),
        "wait" => std::thread::sleep(std::time::Duration::from_secs(86_400)),
        "recursion" => assert_eq!(descend(1), 0),
        "memory" => drop(std::hint::black_box(vec![1_u8; amount])),
        "log" => tracing::error!("{}", "l".repeat(amount)),
        "line" => eprintln!("{}", "o".repeat(amount)),
        "half-a-line" => eprint!("half a line"),
        "flood" => {
            for line in 0..amount {
                eprintln!("line {line}");
            }
            panic!("told to panic");
        }
        #[cfg(target_os = "wasi")]
        "random" => drop(wasip2::random::random::get_random_bytes(amount as u64)),
        #[cfg(target_os = "wasi")]
        "handles" => {
            for _ in 0..amount {
                std::mem::forget(wasip2::clocks::monotonic_clock::subscribe_duration(1));
            }
        }
        _ => {}
    }
}

fn compute(rounds: u64) {
    for round in 0..rounds {
        std::hint::black_box(round);
    }
}

#[expect(unconditional_recursion, reason = "that is the fault")]
fn descend(depth: u64) -> u64 {
    1 + descend(std::hint::black_box(depth + 1))
}

export_destination!(Faults);
