//! A record that is brought into another shape allocates nothing: what a batch costs does not grow with its records.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use wharf::record::{Batch, BatchBuilder, NewRecord, Value, format};

use common::allocations;

#[test]
fn a_record_allocates_nothing_on_its_way_into_another_shape() {
    let batch = |records: u64| {
        let mut builder = BatchBuilder::with_capacity(0, 0, false, None);
        for sequence in 0..records {
            let json = |bytes| Some(Value { bytes, content_type: Some("application/json") });
            let after = format!(r#"{{"n":{sequence},"name":"a\\u00e9\\n"}}"#);
            let (after, before, key) = (json(after.as_bytes()), json(b"[1]"), json(br#"{"id":"\u00e9"}"#));
            let record = NewRecord { sequence, after, before, key, ..NewRecord::default() };
            builder.push_record(&record, [("opencdc.readAt", &b"1700000000123999999"[..]), ("other", b"\n")]).unwrap();
        }
        builder.finish("p", "a".into())
    };
    let (few, many) = (batch(10_000), batch(20_000));
    let template = "{{ /name }} {{ json /name }} {{ key/id }} {{ meta/other }} {{ json key }} {{ sequence }}";
    for format in [
        format::Format::OpenCdc,
        format::Format::Debezium,
        format::Format::KafkaConnect,
        format::Format::Template(template.parse().unwrap()),
    ] {
        let cost = |batch: &Batch| {
            let before = allocations();
            let shaped = format::shape(batch, &format);
            let cost = allocations() - before;
            assert_eq!(shaped.verdicts, []);
            cost
        };
        let (for_few, for_many) = (cost(&few), cost(&many));
        assert!(
            for_many < for_few + 20,
            "{format:?}: {for_few} allocations for {}, {for_many} for {}",
            few.count(),
            many.count()
        );
    }
}
