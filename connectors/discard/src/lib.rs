//! A destination that drops what it is given: to see how fast the rest is, and to try a pipeline out.

use wharf_sdk::{
    Batch, Context, Descriptor, Destination, Failure, Order, Parameters, Receipt, Redelivery, export_destination, metrics,
    tracing,
};

/// What an operator sets.
#[derive(Debug, Parameters)]
pub struct Config {
    /// Read every byte before dropping it: their number is the metric `bytes`, and a checksum of each batch is in the log.
    #[parameter(default = false)]
    checksum: bool,
}

/// Drops what it is given.
#[derive(Debug)]
pub struct Discard {
    checksum: bool,
}

impl Destination for Discard {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Drops what it is given.").order(Order::Batch).redelivery(Redelivery::Idempotent)
    }

    fn open(config: Config, _: Context) -> Result<Self, Failure> {
        Ok(Self { checksum: config.checksum })
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        if self.checksum {
            let bytes = batch.after().bytes() as u64;
            let checksum = batch.records().filter_map(|record| record.after()).fold(FNV_OFFSET, fnv1a);
            metrics::count("bytes", bytes);
            tracing::debug!(records = batch.count(), bytes, checksum = format_args!("{checksum:016x}"), "dropped");
        }
        Ok(Receipt::all(batch))
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits: one multiplication a byte, so that none can be skipped.
fn fnv1a(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

export_destination!(Discard);

#[cfg(test)]
mod tests {
    use wharf_sdk::testing::{Harness, batch, deletion, record};

    use super::*;

    #[test]
    fn everything_is_delivered_and_nothing_is_read() {
        let harness = Harness::<Discard>::new();
        let session = harness.open();
        session.write(&batch(["a", "b", "c"])).assert_all_delivered();
        session.close().unwrap();
        assert_eq!(harness.count("bytes"), 0);
        assert!(harness.logged().is_empty());
    }

    #[test]
    fn with_a_checksum_every_byte_is_counted_and_summed() {
        let harness = Harness::<Discard>::new().setting("checksum", "true");
        let session = harness.open();
        session.write(&batch([record("foo"), deletion("k"), record("bar")])).assert_all_delivered();
        assert_eq!(harness.count("bytes"), 6);
        // From the test vectors of the FNV reference code: `foobar`.
        assert_eq!(harness.logged()[0].field("checksum"), Some("85944171f73967e8"));
    }

    #[test]
    fn what_is_not_a_parameter_is_refused() {
        let problems = Harness::<Discard>::new().setting("checksums", "true").setting("checksum", "yes").check();
        assert_eq!(problems[0].to_string(), "`checksum` is `yes`: neither `true` nor `false`");
        assert_eq!(problems[1].to_string(), "`checksums` is not a parameter of this connector");
    }
}
