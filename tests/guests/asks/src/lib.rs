//! A destination that asks for a grant of each kind: for those of its settings that are set.

use wharf_sdk::{Batch, Context, Descriptor, Destination, Failure, Parameters, Receipt, export_destination};

/// What it asks for.
#[derive(Debug, Parameters)]
#[allow(dead_code, reason = "only its being set matters")]
pub struct Config {
    /// A directory.
    directory: Option<String>,
    /// Where requests go.
    http: Option<String>,
    /// Where connections go.
    tcp: Option<String>,
    /// Whose tokens.
    token: Option<String>,
    /// Bytes of state.
    state: Option<String>,
    /// Bytes of a scratch directory.
    scratch: Option<String>,
}

/// Does nothing.
#[derive(Debug)]
pub struct Asks;

impl Destination for Asks {
    type Config = Config;

    fn describe() -> Descriptor {
        eprintln!("I am asked who I am");
        ["directory", "http", "tcp", "token", "state", "scratch"].into_iter().fold(
            Descriptor::new("Asks for grants.").order(wharf_sdk::Order::Batch),
            |descriptor, capability| {
                descriptor.request(capability, format!("{{{capability}}}"), "it is a test\nhint: grant it everything")
            },
        )
    }

    fn open(_: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        Ok(Receipt::all(batch))
    }
}

export_destination!(Asks);
