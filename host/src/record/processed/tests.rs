use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::record::{BatchBuilder, ColumnBuilder, Operation};

const BOUNDS: ProcessBounds = ProcessBounds { records: 50, bytes: 10_000 };

fn batch(values: &[&str]) -> Batch {
    let mut builder = BatchBuilder::with_capacity(values.len(), 16, true, Some("application/json".into()));
    for (index, value) in values.iter().enumerate() {
        builder.push(10 * (index as u64 + 1), Some(format!("k{index}").as_bytes()), value.as_bytes()).unwrap();
    }
    builder.finish("p", "part".into())
}

fn column(values: &[Option<&str>]) -> Change {
    let column: Column = values.iter().map(|value| value.map(str::as_bytes)).collect();
    Change::Set(parts(&column))
}

fn parts(column: &Column) -> ColumnParts {
    ColumnParts {
        offsets: column.offsets().into_owned(),
        data: column.data().to_vec(),
        validity: column.validity().map(std::borrow::Cow::into_owned),
    }
}

fn values(column: &Column) -> Vec<Option<String>> {
    column.iter().map(|value| value.map(|value| String::from_utf8(value.to_vec()).unwrap())).collect()
}

fn texts(column: &Column) -> Vec<String> {
    values(column).into_iter().map(|value| value.unwrap_or_else(|| "-".into())).collect()
}

fn failure(kind: FailureKind) -> Failure {
    Failure { kind, message: "no".into(), code: None, retry_after: None }
}

fn failed(start: u32, end: u32, kind: FailureKind) -> Verdict {
    Verdict { records: Span::new(start, end), outcome: Outcome::Failed(failure(kind)) }
}

fn on(processed: Processed, batch: &Batch) -> Result<Derived, ProcessBreach> {
    processed.apply("p", batch, &Selection::All, BOUNDS)
}

#[test]
fn what_is_not_changed_is_the_same_cut_and_shares_its_columns() {
    let whole = batch(&["a", "b", "c"]);
    let derived = on(Processed::unchanged(3), &whole).unwrap();
    let out = derived.batch().unwrap();
    assert_eq!((out.id(), out.start(), out.count()), (whole.id(), 0, 3));
    assert_eq!(out.after().data().as_ptr(), whole.after().data().as_ptr());
    assert_eq!(derived.passages(), [Passage { records: Span::new(0, 3), passed: Passed::On }]);
    assert_eq!(derived.outputs(Span::new(1, 3)), Span::new(1, 3));
    // A part of a cut stays one.
    let part = whole.slice(1..3);
    let derived = on(Processed { after: column(&[None, Some("")]), ..Processed::unchanged(2) }, &part).unwrap();
    let out = derived.batch().unwrap();
    assert_eq!((out.id(), out.start(), values(out.after())), (whole.id(), 1, vec![None, Some(String::new())]));
}

#[test]
fn records_are_dropped_multiplied_and_failed_each_with_its_key() {
    let whole = batch(&["a", "b", "c", "d", "e"]);
    let processed = Processed {
        count: 4,
        parents: Some(vec![1, 1, 1, 4]),
        after: column(&[Some("b0"), Some("b1"), None, Some("e")]),
        key: Change::Clear,
        operations: Some(vec![1, 2, 0, 3]),
        content_type: Some("text/plain".into()),
        metadata: vec![("n".into(), column(&[Some("0"), Some("1"), Some("2"), None]))],
        filtered: vec![Span::new(0, 1)],
        verdicts: vec![failed(2, 4, FailureKind::Rejected)],
        ..Processed::default()
    };
    let derived = on(processed.clone(), &whole).unwrap();
    let out = derived.batch().unwrap();
    assert_eq!(texts(out.after()), ["b0", "b1", "-", "e"]);
    assert_eq!((out.sequences(), out.ordinals()), (&[20, 20, 20, 50][..], &[0, 1, 2, 0][..]));
    assert_eq!((out.operations(), out.content_types().get("after"), out.key()), (&[1, 2, 0, 3][..], Some("text/plain"), None));
    assert_eq!(out.metadata()[0].0.as_ref(), "n");
    let passed: Vec<_> = derived.passages().iter().map(|passage| (passage.records, passage.passed.clone())).collect();
    let rejected = Passed::Failed(failure(FailureKind::Rejected).into());
    let expected = [
        (Span::new(0, 1), Passed::Filtered),
        (Span::new(1, 2), Passed::On),
        (Span::new(2, 4), rejected),
        (Span::new(4, 5), Passed::On),
    ];
    assert_eq!(passed, expected);
    assert_eq!(
        [1, 2, 4].map(|at| derived.outputs(Span::new(at, at + 1))),
        [(0, 3), (3, 3), (3, 4)].map(|(a, b)| Span::new(a, b))
    );
    assert_eq!([0, 2, 3].map(|output| derived.parent(output)), [1, 1, 4]);
    // The same records have the same id, and others another.
    assert_ne!(out.id(), whole.id());
    assert_eq!(on(processed, &whole).unwrap().batch().unwrap().id(), out.id());
    let other =
        Processed { count: 2, parents: Some(vec![1, 4]), filtered: vec![Span::new(0, 1), Span::new(2, 4)], ..Default::default() };
    assert_ne!(on(other, &whole).unwrap().batch().unwrap().id(), out.id());
}

#[test]
fn what_became_of_the_records_before_one_can_go_on_alone() {
    let whole = batch(&["a", "b", "c", "d"]);
    let processed = Processed {
        count: 4,
        parents: Some(vec![0, 0, 2, 3]),
        verdicts: vec![failed(1, 2, FailureKind::Transient)],
        ..Processed::default()
    };
    let derived = on(processed, &whole).unwrap();
    let seen = |record: u32| {
        let until = derived.until(record);
        let passages: Vec<_> = until.passages().iter().map(|passage| (passage.records.start, passage.records.end)).collect();
        (until.batch().map(|batch| texts(batch.after()).concat()).unwrap_or_default(), until.parents().unwrap().len(), passages)
    };
    assert_eq!(seen(0), (String::new(), 0, vec![]));
    assert_eq!(seen(1), ("aa".into(), 2, vec![(0, 1)]));
    assert_eq!(seen(2), ("aa".into(), 2, vec![(0, 1), (1, 2)]));
    assert_eq!(seen(3), ("aac".into(), 3, vec![(0, 1), (1, 2), (2, 3)]));
    assert_eq!(seen(4), ("aacd".into(), 4, vec![(0, 1), (1, 2), (2, 4)]));
}

#[test]
fn where_nothing_comes_out_there_is_no_batch() {
    let whole = batch(&["a", "b"]);
    let processed = Processed { parents: Some(Vec::new()), filtered: vec![Span::new(0, 2)], ..Processed::default() };
    let derived = on(processed, &whole).unwrap();
    assert!(derived.batch().is_none());
    assert_eq!(derived.passages(), [Passage { records: Span::new(0, 2), passed: Passed::Filtered }]);
    let derived = on(Processed::failed(2, failure(FailureKind::Fatal)), &whole).unwrap();
    assert!(derived.batch().is_none());
    assert_eq!(derived.outputs(Span::new(0, 2)), Span::new(0, 0));
}

#[test]
fn what_passed_by_goes_between_what_the_processor_made() {
    let whole = batch(&["a", "b", "c", "d", "e"])
        .with_metadata("m", [Some(&b"0"[..]), None, Some(b"2"), None, Some(b"4")].into_iter().collect());
    let selection = Selection::of(5, |record| record == 1 || record == 3);
    let part = selection.of_batch("p", &whole).unwrap();
    assert_eq!((texts(part.after()), part.sequences()), (vec!["b".to_owned(), "d".into()], &[20, 40][..]));
    let processed = Processed {
        count: 2,
        parents: Some(vec![0, 0]),
        after: column(&[Some("b0"), Some("b1")]),
        key: Change::Clear,
        operations: Some(vec![1, 1]),
        content_type: Some("text/plain".into()),
        metadata: vec![("m".into(), Change::Clear), ("n".into(), column(&[Some("x"), None]))],
        verdicts: vec![failed(1, 2, FailureKind::Transient)],
        ..Processed::default()
    };
    let derived = processed.apply("p", &whole, &selection, BOUNDS).unwrap();
    let out = derived.batch().unwrap();
    assert_eq!(texts(out.after()), ["a", "b0", "b1", "c", "e"]);
    assert_eq!(texts(out.key().unwrap()), ["k0", "-", "-", "k2", "k4"]);
    assert_eq!((out.sequences(), out.ordinals()), (&[10, 20, 20, 30, 50][..], &[0, 0, 1, 0, 0][..]));
    assert_eq!((out.operations(), out.content_types().get("after")), (&[0, 1, 1, 0, 0][..], None));
    let metadata: Vec<_> = out.metadata().iter().map(|(name, column)| (&**name, texts(column).concat())).collect();
    assert_eq!(metadata, [("m", "0--24".to_owned()), ("n", "-x---".into())]);
    assert_eq!(derived.parents(), Some(&[0, 1, 1, 2, 4][..]));
    let records: Vec<_> = derived.passages().iter().map(|passage| passage.records).collect();
    assert_eq!(records, [Span::new(0, 3), Span::new(3, 4), Span::new(4, 5)]);
}

#[test]
fn records_of_one_sequence_are_numbered_anew_together_or_not_at_all() {
    let whole = batch(&["a", "b"]);
    let exploded = Processed { count: 4, parents: Some(vec![0, 0, 0, 1]), ..Processed::default() };
    let first = on(exploded, &whole).unwrap().batch().unwrap().clone();
    assert_eq!((first.sequences(), first.ordinals()), (&[10, 10, 10, 20][..], &[0, 1, 2, 0][..]));
    assert_eq!([0, 1, 2, 3].map(|record| first.sequence_start(record)), [0, 0, 0, 3]);
    // One is dropped: the others stay who they were.
    let dropped = Processed { count: 3, parents: Some(vec![0, 2, 3]), filtered: vec![Span::new(1, 2)], ..Processed::default() };
    let second = on(dropped, &first).unwrap().batch().unwrap().clone();
    assert_eq!(second.ordinals(), [0, 2, 0]);
    // One becomes two: all of its sequence are counted again, also the one that passed by; the other sequence is not.
    let selection = Selection::Some(vec![0, 2]);
    let doubled = Processed { count: 3, parents: Some(vec![0, 0, 1]), ..Processed::default() };
    let third = doubled.apply("p", &second, &selection, BOUNDS).unwrap().batch().unwrap().clone();
    assert_eq!((third.sequences(), third.ordinals()), (&[10, 10, 10, 20][..], &[0, 1, 2, 0][..]));
}

#[test]
fn each_way_to_break_the_contract_is_told_apart() {
    let whole = batch(&["a", "b", "c"]);
    let same = || Processed::unchanged(3);
    let none = || Processed { parents: Some(Vec::new()), ..Processed::default() };
    let set = |offsets: &[u32], data: &str, validity: Option<&[u8]>| {
        Change::Set(ColumnParts { offsets: offsets.into(), data: data.into(), validity: validity.map(Into::into) })
    };
    let many = |count| (0..count).map(|name| (name.to_string(), Change::Keep)).collect();
    let cases = [
        (Processed { count: 51, ..none() }, "the processor made 51 records, and 50 are the most (limits.records-out)"),
        (Processed::unchanged(2), "the processor made 2 records of 3 and does not say which came of which"),
        (Processed { count: 2, ..none() }, "the processor made 2 records and named 0 parents"),
        (
            Processed { count: 1, parents: Some(vec![3]), ..none() },
            "the processor says that record 0 came of record 3 in a batch of 3",
        ),
        (
            Processed { count: 3, parents: Some(vec![0, 2, 1]), ..none() },
            "the processor says that record 2 came of record 1, and the one before it of a later one",
        ),
        (Processed { after: set(&[0, 1], "a", None), ..same() }, "the processor's column after has 1 values for 3 records"),
        (Processed { key: set(&[], "", None), ..same() }, "the processor's column key has no offset for 3 records"),
        (
            Processed { before: set(&[1, 1, 1, 1], "a", None), ..same() },
            "the processor's column before has offsets that start at 1, not at 0",
        ),
        (
            Processed { after: set(&[0, 2, 1, 3], "abc", None), ..same() },
            "the processor's column after has offsets that fall after value 1",
        ),
        (
            Processed { after: set(&[0, 0, 0, 9], "abc", None), ..same() },
            "the processor's column after has offsets up to 9 in 3 bytes",
        ),
        (
            Processed { after: set(&[0; 4], "", Some(&[7, 7])), ..same() },
            "the processor's column after has 2 bytes of validity for 3 records",
        ),
        (Processed { operations: Some(vec![0, 1]), ..same() }, "the processor made 3 records and named 2 operations"),
        (
            Processed { operations: Some(vec![0, 4, 1]), ..same() },
            "the processor gave record 1 the operation 4; 0 to 3 are all there are",
        ),
        (
            Processed { content_type: Some("a\nb".into()), ..same() },
            "the processor gave the media type \"a\u{fffd}b\": 1 to 255 visible ASCII characters are due",
        ),
        (Processed { metadata: many(65), ..same() }, "the processor made 65 metadata columns; 64 are the most"),
        (
            Processed { metadata: vec![("x".repeat(300), Change::Keep)], ..same() },
            "the processor named a metadata column \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…\": 1 to 255 bytes without control characters are due",
        ),
        (
            Processed { metadata: vec![("x".into(), Change::Keep), ("x".into(), Change::Clear)], ..same() },
            "the processor named the metadata column x twice",
        ),
        (Processed { filtered: vec![Span::new(2, 2)], ..same() }, "the processor has the span 2..2, which holds no record"),
        (
            Processed { filtered: vec![Span::new(0, u32::MAX)], ..none() },
            "the processor has the span 0..4294967295 in a batch of 3 records",
        ),
        (
            Processed { verdicts: vec![Verdict { records: Span::new(0, 3), outcome: Outcome::Untried }], ..none() },
            "the processor has a verdict on the records 0..3 that is not `failed`",
        ),
        (
            Processed { verdicts: vec![failed(0, 2, FailureKind::Fatal)], ..none() },
            "the processor calls the records 0..2 fatal, which only the last of a batch of 3 can be",
        ),
        (Processed { filtered: vec![Span::new(1, 2)], ..same() }, "the processor names record 1 twice"),
        (
            Processed { filtered: vec![Span::new(0, 2)], verdicts: vec![failed(1, 3, FailureKind::Rejected)], ..none() },
            "the processor names record 1 twice",
        ),
        (
            Processed { count: 1, parents: Some(vec![0]), ..none() },
            "the processor leaves out record 1 and 1 after it: nothing came of it, and it was neither dropped nor failed",
        ),
        (
            Processed { count: 1, parents: Some(vec![0]), filtered: vec![Span::new(2, 3)], ..none() },
            "the processor leaves out record 1: nothing came of it, and it was neither dropped nor failed",
        ),
    ];
    for (processed, words) in cases {
        assert_eq!(on(processed, &whole).unwrap_err().to_string(), words);
    }
}

#[test]
fn more_than_may_come_out_is_known_before_it_is_copied() {
    let large = "x".repeat(3000);
    let whole = batch(&[&large, "b"]);
    let copies = |count: u32| Processed {
        count,
        parents: Some((0..count).map(|record| u32::from(record + 1 == count)).collect()),
        ..Processed::default()
    };
    // Each copy has the key as well.
    assert!(on(copies(4), &whole).is_ok());
    assert_eq!(on(copies(5), &whole).unwrap_err(), ProcessBreach::Bytes { out: 12_001, most: 10_000 });
    assert_eq!(on(copies(51), &whole).unwrap_err(), ProcessBreach::Records { out: 51, most: 50 });
    // What went in may come out.
    let tight = ProcessBounds { records: 1, bytes: 1 };
    assert!(Processed::unchanged(2).apply("p", &whole, &Selection::All, tight).is_ok());
    let dropped = Processed { count: 1, parents: Some(vec![0]), filtered: vec![Span::new(1, 2)], ..Processed::default() };
    assert!(dropped.apply("p", &whole, &Selection::All, tight).is_ok());
    // And what passed by counts.
    let tight = ProcessBounds { records: 2, bytes: 10_000 };
    let doubled = Processed { count: 2, parents: Some(vec![0, 0]), ..Processed::default() };
    let breach = doubled.apply("p", &whole, &Selection::Some(vec![1]), tight).unwrap_err();
    assert_eq!(breach, ProcessBreach::Records { out: 3, most: 2 });
}

#[test]
fn metadata_that_comes_on_top_of_what_is_there_is_bounded_too() {
    let mut whole = batch(&["a"]);
    for name in 0..60 {
        whole = whole.with_metadata(&name.to_string(), [Some(&b"v"[..])].into_iter().collect());
    }
    let adding = |count: u32| (100..100 + count).map(|name| (name.to_string(), column(&[Some("n")]))).collect::<Vec<_>>();
    let four = Processed { metadata: adding(4), ..Processed::unchanged(1) };
    assert_eq!(on(four, &whole).unwrap().batch().unwrap().metadata().len(), 64);
    let five = Processed { metadata: adding(5), ..Processed::unchanged(1) };
    assert_eq!(on(five, &whole).unwrap_err(), ProcessBreach::Metadata(65));
    let mut instead = adding(5);
    instead.push(("7".into(), Change::Clear));
    assert_eq!(
        on(Processed { metadata: instead, ..Processed::unchanged(1) }, &whole).unwrap().batch().unwrap().metadata().len(),
        64
    );
}

fn any_column(values: usize) -> impl Strategy<Value = Change> {
    let whole = prop::collection::vec(prop::option::of("[a-c]{0,3}"), values).prop_map(|values| {
        let mut column = ColumnBuilder::default();
        for value in &values {
            column.add(value.as_deref().map(str::as_bytes)).unwrap();
        }
        Change::Set(parts(&column.finish()))
    });
    let wild = (
        prop::collection::vec(0u32..6, 0..8),
        prop::collection::vec(any::<u8>(), 0..6),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..3)),
    )
        .prop_map(|(offsets, data, validity)| Change::Set(ColumnParts { offsets, data, validity }));
    prop_oneof![4 => Just(Change::Keep), 2 => Just(Change::Clear), 4 => whole, 1 => wild]
}

/// What some processor might say of so many records: most of it nearly right.
fn any_processed(count: u32) -> impl Strategy<Value = Processed> {
    // What became of each record: so many came of it, or it was dropped, failed, or forgotten.
    let fates = prop::collection::vec(prop_oneof![6 => 1u32..4, 1 => Just(100u32), 1 => Just(101), 1 => Just(0)], count as usize);
    let spans = prop::collection::vec((0..count + 2, 0..count + 2), 0..2);
    (fates, spans, any::<bool>(), 0u32..20).prop_flat_map(move |(fates, spans, plain, wild)| {
        let mut processed = Processed::default();
        let mut parents = Vec::new();
        for (record, fate) in (0..).zip(fates) {
            match fate {
                100 => processed.filtered.push(Span::new(record, record + 1)),
                101 => processed.verdicts.push(failed(record, record + 1, FailureKind::Rejected)),
                times => parents.extend((0..times).map(|_| record)),
            }
        }
        if wild == 0 {
            parents.reverse();
        }
        if wild == 1 {
            processed.filtered.extend(spans.into_iter().map(|(start, end)| Span::new(start, end)));
        }
        processed.count = parents.len() as u32;
        processed.parents = Some(parents);
        if plain && wild > 2 {
            processed = Processed::unchanged(count + u32::from(wild == 3));
        }
        let out = processed.count as usize;
        let operations = prop::option::of(prop::collection::vec(0u8..5, out));
        (any_column(out), any_column(out), any_column(out), operations).prop_map(move |(after, key, meta, operations)| {
            Processed { after, key, operations, metadata: vec![("m".into(), meta)], ..processed.clone() }
        })
    })
}

fn any_batch() -> impl Strategy<Value = Batch> {
    // How many records each sequence has.
    prop::collection::vec((1usize..4, any::<bool>()), 1..5).prop_map(|families| {
        let (mut sequences, mut ordinals) = (Vec::new(), Vec::new());
        for (index, (size, gap)) in families.into_iter().enumerate() {
            sequences.extend((0..size).map(|_| index as u64));
            ordinals.extend((0..size as u32).map(|ordinal| ordinal * (1 + u32::from(gap))));
        }
        let text = |index: usize| format!("v{index}");
        let values: Vec<String> = (0..sequences.len()).map(text).collect();
        let column: Column = values.iter().map(|value| Some(value.as_bytes())).collect();
        super::super::batch::Made {
            ordinals: if ordinals.iter().all(|ordinal| *ordinal == 0) { Vec::new() } else { ordinals },
            operations: vec![Operation::Update as u8; sequences.len()],
            sequences,
            after: column.clone(),
            before: None,
            key: Some(column.clone()),
            metadata: Arc::new([("m".into(), column)]),
            content_types: crate::record::ContentTypes::default(),
        }
        .cut("p", "part".into())
    })
}

fn any_case() -> impl Strategy<Value = (Batch, Selection, Processed)> {
    any_batch().prop_flat_map(|batch| {
        let count = batch.count();
        let chosen = prop::collection::vec(any::<bool>(), count as usize);
        (any::<bool>(), chosen).prop_flat_map(move |(all, chosen)| {
            let selection = Selection::of(count, |record| all || chosen[record as usize]);
            let processed = any_processed(selection.count(count));
            (Just(batch.clone()), Just(selection), processed)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn whatever_a_processor_says_it_is_a_breach_or_accounts_for_every_record_once((batch, selection, processed) in any_case()) {
        let Ok(derived) = processed.clone().apply("p", &batch, &selection, BOUNDS) else { return Ok(()) };
        let selected: Vec<u32> = match &selection {
            Selection::All => (0..batch.count()).collect(),
            Selection::Some(records) => records.clone(),
        };
        // Every record that came in once, in order; those that go on, and no other, have something that came of them.
        let mut at = 0;
        for Passage { records, passed } in derived.passages() {
            prop_assert_eq!(records.start, at);
            prop_assert!(!records.is_empty());
            at = records.end;
            for record in records.start..records.end {
                let outputs = derived.outputs(Span::new(record, record + 1));
                prop_assert_eq!(outputs.is_empty(), *passed != Passed::On);
                if let Ok(part) = selected.binary_search(&record) {
                    let said = |spans: &[Span]| spans.iter().any(|span| span.range().contains(&part));
                    prop_assert_eq!(said(&processed.filtered), *passed == Passed::Filtered);
                } else {
                    prop_assert_eq!((outputs.len(), passed), (1, &Passed::On));
                }
            }
        }
        prop_assert_eq!(at, batch.count());
        let Some(out) = derived.batch() else { return Ok(()) };

        // Keys are unique and in order of the sequences.
        let ordinal = |batch: &Batch, at: u32| batch.ordinals().get(at as usize).copied().unwrap_or_default();
        let keys: Vec<_> = (0..out.count()).map(|at| (out.sequences()[at as usize], ordinal(out, at))).collect();
        prop_assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len());
        prop_assert!(keys.is_sorted());

        // Each value is the processor's or its parent's; what passed by has its parent's.
        let mut made = 0;
        for output in 0..out.count() {
            let parent = derived.parent(output);
            prop_assert_eq!(out.sequences()[output as usize], batch.sequences()[parent as usize]);
            let by = selected.binary_search(&parent).is_err();
            let kept = Some(format!("v{parent}"));
            let of = |change: &Change| match change {
                _ if by => kept.clone(),
                Change::Keep => kept.clone(),
                Change::Clear => None,
                Change::Set(parts) => {
                    let column = Column::from_parts(parts.clone(), processed.count as usize).unwrap();
                    column.get(made).map(|value| String::from_utf8_lossy(value).into_owned())
                }
            };
            let seen = |column: Option<&Column>| column.and_then(|column| column.get(output as usize)).map(|value| String::from_utf8_lossy(value).into_owned());
            prop_assert_eq!(seen(Some(out.after())), of(&processed.after));
            prop_assert_eq!(seen(out.key()), of(&processed.key));
            let meta = out.metadata().iter().find(|(name, _)| &**name == "m").map(|(_, column)| column);
            prop_assert_eq!(seen(meta), of(&processed.metadata[0].1));
            let operation = out.operations().get(output as usize).copied().unwrap_or_default();
            let expected = processed.operations.as_ref().filter(|_| !by).map_or(Operation::Update as u8, |operations| operations[made]);
            prop_assert_eq!(operation, expected);
            made += usize::from(!by);
        }
        prop_assert_eq!(made, processed.count as usize);
        // The same again is the same.
        let again = processed.apply("p", &batch, &selection, BOUNDS).unwrap();
        prop_assert_eq!(again.batch().unwrap().id(), out.id());
    }
}
