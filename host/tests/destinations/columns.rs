//! Everything that a record has, from an OpenCDC line to the component that reads it back.

use std::io::Cursor;

use wharf::{
    connector::{Connector, Loader, Opening},
    record::{
        Batch, Fate, Run,
        format::{Format as Shape, shape},
    },
    source::{Cut, Format, Reading, Source, StdinSource},
};

use crate::trial::{Trial, engine};

const LINES: &str = concat!(
    r#"{"position":"cG9z","operation":"update","metadata":{"opencdc.collection":"é","a b":""},"#,
    r#""key":{"id":1},"payload":{"before":{},"after":{"n":1.50}}}"#,
    "\n",
    r#"{"operation":"delete","metadata":{"late":"x"},"key":{"id":2}}"#,
    "\n",
    r#"{"operation":"snapshot","payload":{"after":{}}}"#,
    "\n",
    r#"{"operation":"create","key":"","payload":{"before":"AP8=","after":{}}}"#,
    "\n",
    r#"{"operation":"create","payload":{"after":"bnVsbA=="}}"#,
    "\n",
);

/// The batches that the lines make.
async fn batches(trial: &Trial) -> Vec<Batch> {
    let cut = Cut { records: 100, bytes: 1 << 20, delay: std::time::Duration::from_secs(1) };
    let reading = Reading::new(Format::OpenCdc, cut);
    let mut source = StdinSource::new(Cursor::new(LINES), &reading, "p", "run", trial.time.clock()).unwrap();
    let mut batches = Vec::new();
    while let Some(portion) = source.read().await.unwrap() {
        assert_eq!(portion.unreadable, []);
        batches.extend(portion.batch);
    }
    batches
}

/// What a `guest-mirror` says of each record.
async fn seen(mirror: &Connector, batch: &Batch) -> Vec<String> {
    let mut session = mirror.open(&Opening::default()).await.unwrap();
    let answer = session.write(batch, 1).await;
    assert!(answer.trouble.is_none(), "{:?}", answer.trouble);
    let remark = |run: &Run| match &run.fate {
        Fate::Warned(remark) => remark.to_string(),
        other => panic!("{}: {other:?}", run.records),
    };
    answer.runs.iter().map(remark).collect()
}

#[tokio::test]
async fn a_component_sees_every_column_name_and_media_type_and_what_is_absent_is_not_empty() {
    let trial = Trial::new([""; 0]);
    let loader = Loader::new(engine(), trial.time.clock()).unwrap();
    let mirror = loader.load(&wharf_tests::component("guest-mirror").unwrap()).await.unwrap();
    let batches = batches(&trial).await;
    assert_eq!(batches.iter().map(Batch::count).collect::<Vec<_>>(), [3, 1, 1]);

    let json = "[after:application/json key:application/json before:application/json meta/opencdc.position meta/opencdc.collection \
                meta/a b meta/late] ";
    let first = r#"update stdin-run/0/0 after="{\"n\":1.50}" before="{}" key="{\"id\":1}" opencdc.position="cG9z" opencdc.collection="\xc3\xa9" a b="""#;
    let at = |line: usize| LINES.split_inclusive('\n').take(line).map(str::len).sum::<usize>();
    let second = format!(r#"delete stdin-run/{}/0 key="{{\"id\":2}}" late="x""#, at(1));
    let third = format!(r#"snapshot stdin-run/{}/0 after="{{}}""#, at(2));
    assert_eq!(seen(&mirror, &batches[0]).await, [format!("{json}{first}"), second.clone(), third.clone()]);
    // Another media type of one column, and then of another.
    let raw = "application/octet-stream";
    let fourth = format!(
        r#"[after:application/json key:{raw} before:{raw}] create stdin-run/{}/0 after="{{}}" before="\x00\xff" key="""#,
        at(3)
    );
    assert_eq!(seen(&mirror, &batches[1]).await, [fourth]);
    let fifth = format!(r#"[after:{raw}] create stdin-run/{}/0 after="null""#, at(4));
    assert_eq!(seen(&mirror, &batches[2]).await, [fifth]);

    // A part that begins in the middle of a byte of validity bits, and another cut of some of the records.
    assert_eq!(seen(&mirror, &batches[0].slice(1..3)).await, [format!("{json}{second}"), third]);
    let picked = batches[0].picked("p", &[(1, 0), (1, 1)]).unwrap();
    let child = second.replace("/0 key", "/1 key");
    assert_eq!(seen(&mirror, &picked).await, [format!("{json}{second}"), child]);

    // In another shape, everything but `after` is as it was.
    let shaped = shape(&batches[0], &Shape::KafkaConnect);
    assert_eq!(shaped.verdicts, []);
    let entity = r#"after="{\"n\":1.50}""#;
    let enveloped = first.replace(entity, r#"after="{\"schema\":null,\"payload\":{\"n\":1.50}}""#);
    assert_eq!(seen(&mirror, &shaped.batch).await[..2], [format!("{json}{enveloped}"), second]);
}
