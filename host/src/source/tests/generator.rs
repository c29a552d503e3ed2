use std::num::NonZeroU64;

use super::*;

fn options(count: u64, size: usize) -> GeneratorOptions {
    GeneratorOptions { count, size, rate: None, seed: 7, entities: None, cut: cut(10, 1 << 20) }
}

fn open(options: GeneratorOptions, next: u64) -> GeneratorSource {
    let checkpoints = Checkpoints::from([(format!("generator-7-{}", options.size), next)]);
    GeneratorSource::new(options, "pipe", &checkpoints, Clock::system())
}

async fn all(options: GeneratorOptions, next: u64) -> Vec<Record> {
    let (portions, error) = drain(&mut open(options, next)).await;
    assert_eq!(error, None);
    portions.iter().flat_map(records).collect()
}

#[tokio::test]
async fn every_record_has_exactly_the_size_asked_for() {
    for size in [0, 1, 2, 39, 40, 41, 55, 1000] {
        for next in [0, 9, u64::MAX - 12] {
            for (sequence, key, after) in all(options(next + 12, size), next).await {
                assert_eq!(after.len(), size);
                assert!(after.iter().all(u8::is_ascii_graphic));
                assert_eq!(key, Some(sequence.to_string()));
                if size >= 40 {
                    let value: serde_json::Value = serde_json::from_slice(&after).unwrap();
                    assert_eq!(value["n"], sequence);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_record_depends_on_seed_and_index_alone() {
    let whole = all(options(25, 64), 0).await;
    assert_eq!(all(options(25, 64), 13).await, whole[13..]);
    assert_eq!(all(options(40, 64), 0).await[..25], whole);
    let other = all(GeneratorOptions { seed: 8, ..options(25, 64) }, 0).await;
    assert!(other.iter().zip(&whole).all(|(a, b)| a.2 != b.2));
    assert!(whole.windows(2).all(|pair| pair[0].2[30..] != pair[1].2[30..]));
}

#[tokio::test]
async fn a_larger_count_goes_on_where_the_run_before_ended() {
    let (portions, _) = drain(&mut open(options(25, 64), 0)).await;
    assert_eq!(portions.iter().map(|portion| portion.next).collect::<Vec<_>>(), [10, 20, 25]);
    assert!(all(options(25, 64), 25).await.is_empty());
    assert_eq!(all(options(27, 64), 25).await.len(), 2);
}

#[tokio::test]
async fn a_rate_spreads_records_and_a_delay_cuts_them() {
    let time = VirtualClock::new();
    let mut options = options(12, 64);
    options.rate = NonZeroU64::new(10);
    options.cut.delay = Duration::from_millis(450);
    let mut source = GeneratorSource::new(options, "pipe", &Checkpoints::new(), time.clock());
    let mut counts = Vec::new();
    while let Some(portion) = next(&mut source, &time).await {
        counts.push((texts(&portion).len(), time.clock().elapsed().as_millis()));
    }
    assert_eq!(counts, [(5, 450), (5, 950), (2, 1100)]);
}

#[tokio::test]
async fn entities_are_created_changed_and_deleted_in_turn() {
    use crate::record::Operation::{Create, Delete, Update};

    let options = GeneratorOptions { entities: NonZeroU64::new(3), ..options(30, 64) };
    let plain = all(self::options(30, 64), 0).await;
    for next in [0, 17] {
        let checkpoints = Checkpoints::from([("generator-7-64-3".to_owned(), next)]);
        let mut source = GeneratorSource::new(options.clone(), "pipe", &checkpoints, Clock::system());
        let mut n = next as usize;
        let (portions, error) = drain(&mut source).await;
        assert_eq!(error, None);
        for batch in portions.iter().map(|portion| portion.batch.as_ref().unwrap()) {
            for at in 0..batch.count() as usize {
                let operation = [Create, Update, Update, Delete][n / 3 % 4];
                assert_eq!(batch.operation(at as u32), operation, "{n}");
                assert_eq!(batch.key().unwrap().get(at), Some((n % 3).to_string().as_bytes()), "{n}");
                // The same value as one that nobody changes.
                let value = (operation != Delete).then_some(&plain[n].2[..]);
                assert_eq!((batch.sequences()[at], batch.after().get(at)), (n as u64, value), "{n}");
                n += 1;
            }
        }
        assert_eq!(n, 30);
    }
}

#[tokio::test]
async fn what_was_cut_before_is_cut_there_again_whatever_the_options_say_now() {
    let ends = |source: GeneratorSource| async move {
        let (portions, _) = drain(&mut { source }).await;
        portions.iter().map(|portion| portion.next).collect::<Vec<_>>()
    };
    let cut = |next, cuts: &[u64]| {
        open(options(40, 64), next).cut_as([("generator-7-64".to_owned(), cuts.iter().copied().collect())].into())
    };
    assert_eq!(ends(cut(0, &[3, 4, 29])).await, [3, 4, 29, 39, 40]);
    assert_eq!(ends(cut(4, &[3, 4, 29])).await, [29, 39, 40]);
    assert_eq!(ends(cut(5, &[100])).await, [40], "a count that was made smaller ends it");
}
