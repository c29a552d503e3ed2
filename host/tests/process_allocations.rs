//! A record that passes a processor, is picked by a condition, or passes one by allocates nothing in the host: larger batches cost what
//! smaller ones do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::{fmt::Write as _, sync::Arc};

use wharf::{
    clock::Clock,
    connector::{Connector, Loader, Opening},
    record::{Batch, BatchBuilder, Chooser, Condition, Derived, Looked, Test},
    sandbox::{Engine, Scope, cache::Cache},
};
use wharf_tests::component;

use common::allocations;

fn batch(records: u32) -> Batch {
    let mut builder =
        BatchBuilder::with_capacity(records as usize, 250 * records as usize, true, Some("application/json".into()));
    let mut record = String::new();
    for n in 0..records {
        record.clear();
        let kind = if n % 2 == 0 { "order" } else { "visit" };
        write!(record, r#"{{"id":{n},"type":"{kind}","note":"{:180}"}}"#, "é").unwrap();
        builder.push(n.into(), Some(b"key"), record.as_bytes()).unwrap();
    }
    builder.finish("pipe", Arc::from("part"))
}

/// How often something is allocated for a batch of so many records, once buffers have grown.
async fn cost(connector: &Connector, settings: &[(&str, &str)], condition: &Condition, records: u32) -> u64 {
    let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let opening = Opening { settings, scope: Scope::new([("pipeline", "pipe")]), ..Opening::default() };
    let mut session = connector.open_processor(&opening).await.unwrap();
    let mut chooser = Chooser::new(condition);
    let batch = batch(records);
    let mut least = u64::MAX;
    for _ in 0..5 {
        let before = allocations();
        let selection = chooser.choose(&batch);
        let derived: Derived = session.process(&batch, &selection, 1).await.unwrap();
        least = least.min(allocations() - before);
        assert!(derived.batch().is_some());
    }
    least
}

#[tokio::test]
async fn larger_batches_through_a_processor_allocate_no_more_than_smaller_ones() {
    let cache = Cache::open(&wharf_tests::cache().unwrap()).unwrap();
    let loader = Loader::new(Engine::new(Some(cache)).unwrap(), Clock::system()).unwrap();
    let of = |test| Condition::Of(Looked::Pointer("/type".parse().unwrap()), test);
    let all = of(Test::Exists(true));
    let orders = of(Test::OneOf(vec!["order".into()]));
    for (name, settings) in [
        ("wharf-select", &[("drop.0", "/note")][..]),
        ("wharf-filter", &[("conditions.0.pointer", "/id"), ("conditions.0.above", "1"), ("match", "all"), ("then", "keep")]),
    ] {
        let connector = loader.load(&component(name).unwrap()).await.unwrap();
        for condition in [&all, &orders] {
            let few = cost(&connector, settings, condition, 20).await;
            let many = cost(&connector, settings, condition, 2000).await;
            assert!(many <= few + 20, "{name}: {few} allocations for 20 records, {many} for 2,000");
        }
    }
}
