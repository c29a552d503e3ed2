//! Bulk destinations that break the contract, compute without end, or take what they may not: the zoo's rows for `transform`, `upload`, `poll`,
//! `stats`, `reconcile` and `release`.

use std::time::{Duration, Instant};

use wharf::{connector::BulkTrouble, record::Fate};

use super::cage::Cage;

/// What becomes of one call that is told to do so.
async fn told(call: &str, script: &str) -> Result<(), BulkTrouble> {
    let cage = Cage::new(&[(call, script)]).await;
    let started = Instant::now();
    let handle = b"intent-1 3";
    let came = match call {
        "transform" => cage.transform(3).await.map(drop),
        "upload" => cage.upload().await.map(drop),
        "poll" => cage.poll(handle, &[(0, 2)]).await.map(drop),
        "stats" => cage.stats(handle, &[(0, 2)]).await.map(drop),
        "reconcile" => cage.reconcile().await.map(drop),
        _ => Ok(cage.open().await.release(handle).await?),
    };
    assert!(started.elapsed() < Duration::from_secs(30), "{call}: {script}");
    came
}

#[tokio::test]
async fn an_answer_that_breaks_the_contract_is_not_believed() {
    for (call, script, breach) in [
        ("transform", "without=1", "the column of lines has 2 values for 3 records"),
        ("transform", "more", "the column of lines has 4 values for 3 records"),
        ("transform", "absent=1", "record 1 stands in no verdict and has no line"),
        ("transform", "0-1=warned", "the records 0..1 are called warned, and a record without a line can only have failed"),
        ("transform", "0-1=untried", "the records 0..1 are called untried"),
        ("transform", "0-2=rejected 1-3=rejected", "the receipt names record 1 twice"),
        ("transform", "2-4=rejected", "the receipt has the span 2..4 in a batch of 3 records"),
        ("upload", "0-2 ~1-3", "the receipt names record 1 twice"),
        ("upload", "~0-2 ~1-3", "the receipt names record 1 twice"),
        ("upload", "~2-2", "the receipt has the span 2..2, which holds no record"),
        ("upload", "~0-4294967295", "the receipt has the span 0..4294967295 in a batch of 3 records"),
        ("upload", "0-1=fatal ~2-3", "the receipt calls the records 0..1 fatal, which only the last"),
        ("upload", "~0-3 no-handle", "the far side works on 3 records, and there is no handle to ask with"),
        ("upload", "~0-3 handle=65537", "the handle has 65537 bytes; 65536 are the most"),
        ("poll", "working handle=65537", "the handle has 65537 bytes; 65536 are the most"),
        ("poll", "stats handle=1000000", "the handle has 1000000 bytes; 65536 are the most"),
        ("poll", "0-3", "the receipt names record 2, which it was not asked about"),
        ("poll", "0-1=fatal", "the receipt calls the records 0..1 fatal, which only the last"),
        ("stats", "2-3", "the receipt names record 2, which it was not asked about"),
        ("stats", "0-1 0-2", "the receipt names record 0 twice"),
        ("stats", "1-9", "the receipt has the span 1..9 in a batch of 3 records"),
        ("reconcile", "present 0-2 ~1-3", "the receipt names record 1 twice"),
        ("reconcile", "present handle=65537", "the handle has 65537 bytes"),
    ] {
        let BulkTrouble::Breach(found) = told(call, script).await.unwrap_err() else { panic!("{call}: {script}") };
        assert!(found.to_string().contains(breach), "{call}: {script}: {found}");
    }
}

#[tokio::test]
async fn a_record_that_was_forgotten_is_unknown() {
    let cage = Cage::new(&[("upload", "0-1 ~2-3"), ("stats", "nothing 0-1")]).await;
    let uploaded = cage.upload().await.unwrap();
    assert_eq!(uploaded.settled[1].fate, Fate::Unknown);
    let settled = cage.stats(b"intent-1 3", &[(0, 2)]).await.unwrap();
    assert_eq!(settled.iter().map(|run| run.fate == Fate::Unknown).collect::<Vec<_>>(), [false, true]);
}

#[tokio::test]
async fn a_line_break_costs_its_record_and_no_other() {
    let cage = Cage::new(&[("transform", "newline=1")]).await;
    let lines = cage.transform(3).await.unwrap();
    assert_eq!((lines.lines().len(), lines.failed().len()), (2, 1));
    assert!(lines.failed()[0].1.message.contains("a line break in it, at byte 0"));
}

#[tokio::test]
async fn each_call_ends_with_the_limit_that_it_met() {
    for call in ["transform", "upload", "poll", "stats", "reconcile", "release"] {
        for (script, words) in [
            ("trap", "told to trap"),
            ("loop", "units of fuel (limits.fuel-per-call"),
            ("memory=20", "bytes of memory and may have 16MiB (limits.memory)"),
            ("sleep=60000", "took longer than 2s (limits.time."),
        ] {
            let BulkTrouble::Ended(ended) = told(call, script).await.unwrap_err() else { panic!("{call}: {script}") };
            let said = ended.to_string();
            assert!(
                said.starts_with(&format!("{call} ended its instance: ")) && said.contains(words),
                "{call}: {script}: {said}"
            );
        }
    }
}

#[tokio::test]
async fn what_it_hands_over_is_bounded() {
    let cage = Cage::new(&[("upload", "~0-3 handle=200000")]).await.limits(|limits| {
        limits.host_call_bytes = wharf::config::Size::from_kib(64);
    });
    let BulkTrouble::Ended(ended) = cage.upload().await.unwrap_err() else { panic!("it is too much") };
    assert!(ended.to_string().contains("limits.host-call-bytes"), "{ended}");
}
