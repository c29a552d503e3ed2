//! Whatever a processor answers, what the SDK builds of it keeps the contract.

use std::cell::Cell;

use crate::{
    Batch, Context, Descriptor, Failure, FailureKind, Operation, Processed, ProcessedBuilder, Processor, Step, metrics,
    testing::{NotOpened, Processing, ProcessorHarness, TestBatch, batch, deletion, record},
};

/// A processor that processes by a plain function.
struct Calls;

type Process = fn(&Batch) -> Result<Processed, Failure>;

thread_local! {
    static PROCESS: Cell<Process> = const { Cell::new(|batch| Ok(Processed::unchanged(batch))) };
}

impl Processor for Calls {
    type Config = ();

    fn describe() -> Descriptor {
        Descriptor::new("Does what a test wants.")
    }

    fn open((): (), context: Context) -> Result<Self, Failure> {
        match context.pipeline().as_str() {
            "broken" => Err(Failure::fatal("no")),
            _ => Ok(Self),
        }
    }

    fn process(&mut self, batch: &Batch) -> Result<Processed, Failure> {
        metrics::count("batches", 1);
        PROCESS.get()(batch)
    }

    fn close(self) -> Result<(), Failure> {
        Err(Failure::transient("goodbye"))
    }
}

fn processing(records: &TestBatch, process: Process) -> Processing {
    PROCESS.set(process);
    ProcessorHarness::<Calls>::new().open().process(records)
}

fn three() -> TestBatch {
    batch([record("a").key("ka").meta("m", "1"), record("b").before("old").operation(Operation::Update), deletion("kc")])
}

#[test]
fn what_is_not_changed_is_not_copied() {
    let answer = processing(&three(), |batch| {
        let processed = Processed::unchanged(batch);
        assert!(processed.0.parents.is_none() && processed.0.metadata.is_empty() && processed.0.operations.is_none());
        Ok(processed)
    });
    assert_eq!(answer.texts(), ["a", "b", "-"]);
    let [a, b, c] = answer.outputs() else { panic!("three records") };
    assert_eq!((a.key.as_deref(), &*a.metadata["m"], &b.before), (Some(&b"ka"[..]), &b"1"[..], &Some(b"old".to_vec())));
    assert_eq!([a, b, c].map(|output| output.operation), [Operation::Create, Operation::Update, Operation::Delete]);
}

#[test]
fn a_record_that_comes_out_has_what_was_set_and_the_rest_of_its_parent() {
    let answer = processing(&three(), |batch| {
        let mut processed = Processed::builder(batch);
        processed.clear_before();
        let second = batch.get(1).unwrap();
        processed.emit(second).after("b0").key("k0").meta("n", "x");
        processed.emit(second);
        processed.emit(second).without_after().operation(Operation::Delete).meta("m", "y").meta("m", "z").before("new");
        processed.content_type("text/plain");
        Ok(processed.finish())
    });
    assert_eq!(answer.texts(), ["a", "b0", "b", "-", "-"]);
    let outputs = answer.outputs();
    assert_eq!(outputs.iter().map(|output| output.parent).collect::<Vec<_>>(), [0, 1, 1, 1, 2]);
    let text = |value: &Option<Vec<u8>>| value.as_ref().map_or("-".to_owned(), |value| String::from_utf8(value.clone()).unwrap());
    assert_eq!(outputs.iter().map(|output| text(&output.key)).collect::<Vec<_>>(), ["ka", "k0", "-", "-", "kc"]);
    assert_eq!(outputs.iter().map(|output| text(&output.before)).collect::<Vec<_>>(), ["-", "-", "-", "new", "-"]);
    let meta = |name: &str| outputs.iter().map(|output| text(&output.metadata.get(name).cloned())).collect::<Vec<_>>();
    assert_eq!(
        (meta("m"), meta("n")),
        (["1", "-", "-", "z", "-"].map(str::to_owned).into(), ["-", "x", "-", "-", "-"].map(str::to_owned).into())
    );
    let operations: Vec<_> = outputs.iter().map(|output| output.operation).collect();
    use Operation::{Create, Delete, Update};
    assert_eq!(operations, [Create, Update, Update, Delete, Delete]);
    assert_eq!(answer.content_type(), Some("text/plain"));
}

#[test]
fn a_step_a_record() {
    let answer = processing(&batch(["a", "", "c", "!"]), |batch| {
        Ok(Processed::each(batch, |record| match record.after().unwrap_or_default() {
            b"" => Ok(Step::Drop),
            b"!" => Err(Failure::rejected("a mark")),
            b"c" => Ok(Step::After(b"C".to_vec())),
            _ => Ok(Step::Keep),
        }))
    });
    assert_eq!(answer.texts(), ["a", "C"]);
    answer.assert_filtered([1]).assert_failed(3, FailureKind::Rejected, "a mark");
}

#[test]
fn of_several_answers_the_worst_holds_and_takes_back_what_was_emitted() {
    let answer = processing(&batch(["a", "b", "c", "d", "e"]), |batch| {
        let mut processed = Processed::builder(batch);
        let record = |index| batch.get(index).unwrap();
        processed.emit(record(0)).after("A").meta("m", "0");
        processed.emit(record(1)).after("B").meta("m", "1").operation(Operation::Update);
        processed.emit(record(1)).after("BB");
        processed.fail(record(1), Failure::rejected("first"));
        processed.fail(1..3, Failure::rejected("second"));
        processed.filter(2..4);
        processed.emit(record(4)).after("E");
        processed.filter(record(4));
        Ok(processed.finish())
    });
    assert_eq!(answer.texts(), ["A"]);
    assert_eq!(answer.outputs()[0].metadata["m"], b"0");
    answer.assert_filtered([3, 4]);
    answer.assert_failed(1, FailureKind::Rejected, "first").assert_failed(2, FailureKind::Rejected, "second");
    let answer = processing(&batch(["a", "b"]), |batch| {
        let mut processed = Processed::builder(batch);
        processed.filter(0..2);
        processed.fail(batch.get(1).unwrap(), Failure::rejected("after all"));
        Ok(processed.finish())
    });
    answer.assert_filtered([0]).assert_failed(1, FailureKind::Rejected, "after all");
}

#[test]
fn the_last_word_steps_back_where_others_come_after() {
    let answer = processing(&three(), |batch| {
        let mut processed = Processed::builder(batch);
        processed.fail(0, Failure::fatal("early"));
        processed.fail(2, Failure::fatal("late"));
        Ok(processed.finish())
    });
    answer.assert_failed(0, FailureKind::Transient, "early").assert_failed(2, FailureKind::Fatal, "late");
    assert_eq!(answer.texts(), ["b"]);
}

#[test]
#[should_panic(expected = "record 0 after record 1: they are answered for in their order")]
fn records_are_answered_for_in_their_order() {
    processing(&three(), |batch| {
        let mut processed = Processed::builder(batch);
        processed.filter(1);
        processed.filter(0);
        Ok(processed.finish())
    });
}

#[test]
#[should_panic(expected = "record 1 was dropped or failed, and nothing comes of it")]
fn nothing_comes_of_a_record_that_was_dropped() {
    processing(&three(), |batch| {
        let mut processed = Processed::builder(batch);
        processed.filter(1);
        processed.emit(batch.get(1).unwrap());
        Ok(processed.finish())
    });
}

#[test]
#[should_panic(expected = "\"\" is no name")]
fn a_name_that_is_none_breaks_the_contract_here_as_in_the_host() {
    processing(&three(), |batch| {
        let mut processed = Processed::builder(batch);
        processed.emit(batch.get(0).unwrap()).meta("", "x");
        Ok(processed.finish())
    });
}

#[test]
fn a_session_lives_from_open_to_close() {
    PROCESS.set(|_| Err(Failure::transient("later")));
    let harness = ProcessorHarness::<Calls>::new();
    assert_eq!(harness.descriptor()["about"]["summary"], "Does what a test wants.");
    let session = harness.open();
    let answer = session.process(&three());
    assert_eq!(answer.failure().unwrap().message(), "later");
    assert_eq!((answer.failed().len(), answer.outputs().len()), (3, 0));
    assert_eq!(session.close().unwrap_err().message(), "goodbye");
    assert_eq!(harness.count("batches"), 1);
    let refused = ProcessorHarness::<Calls>::new().context("pipeline", "broken").try_open().map(drop).unwrap_err();
    assert_eq!(refused, NotOpened::Failure(Failure::fatal("no")));
}

/// All sequences of four answers over four records: enough to meet every neighbourhood.
#[test]
fn no_sequence_of_answers_breaks_the_contract() {
    fn say(processed: &mut ProcessedBuilder<'_>, batch: &Batch, record: u32, code: usize) {
        let this = batch.get(record).unwrap();
        match code {
            0 => {}
            1 => drop(processed.emit(this)),
            2 => {
                processed.emit(this).after("x").key("k");
                processed.emit(this).meta("m", "v").operation(Operation::Update);
            }
            3 => processed.filter(this),
            4 => {
                processed.emit(this).after("x").meta("m", "w");
                processed.filter(this);
            }
            5 => {
                processed.emit(this).after("x").operation(Operation::Delete);
                processed.fail(this, Failure::fatal("no"));
            }
            _ => {
                processed.filter(this);
                processed.fail(this, Failure::rejected("no"));
            }
        }
    }
    thread_local! {
        static CODE: Cell<usize> = const { Cell::new(0) };
    }
    let records = batch([record("0").key("k0"), record("1").meta("m", "m1"), record("2"), record("3").meta("m", "m3")]);
    for code in 0..7 * 7 * 7 * 7 {
        CODE.set(code);
        let answer = processing(&records, |batch| {
            let mut processed = Processed::builder(batch);
            let codes = [CODE.get() % 7, CODE.get() / 7 % 7, CODE.get() / 49 % 7, CODE.get() / 343];
            (0..).zip(codes).for_each(|(record, code)| say(&mut processed, batch, record, code));
            Ok(processed.finish())
        });
        let codes = [code % 7, code / 7 % 7, code / 49 % 7, code / 343];
        let expected = (0..4u32).zip(codes).flat_map(|(record, code)| match code {
            0 | 1 => vec![(record, record.to_string(), None)],
            2 => vec![(record, "x".to_owned(), None), (record, record.to_string(), Some("v"))],
            _ => Vec::new(),
        });
        let seen = answer.outputs().iter().zip(answer.texts());
        for ((parent, text, meta), (output, seen)) in expected.clone().zip(seen) {
            assert_eq!((parent, &text), (output.parent, &seen), "{codes:?}");
            let kept = format!("m{parent}");
            let kept = (parent % 2 == 1).then_some(kept.as_str());
            let found = output.metadata.get("m").map(|value| std::str::from_utf8(value).unwrap());
            assert_eq!(found, meta.or(kept), "{codes:?}");
            let operation = if meta.is_some() { Operation::Update } else { Operation::Create };
            assert_eq!(output.operation, operation, "{codes:?}");
        }
        assert_eq!(answer.outputs().len(), expected.count(), "{codes:?}");
        assert_eq!(answer.filtered().len(), codes.iter().filter(|code| matches!(code, 3 | 4)).count(), "{codes:?}");
    }
}
