//! What a bulk destination sees, and what it is held to.

use std::{cell::Cell, io::Read, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    Batch, BulkDestination, Context, Descriptor, Failure, FailureKind, Found, Job, Lines, Receipt, Rows, Span, Upload,
    UploadStatus, Uploaded, Waiting, gzip, metrics,
    testing::{BulkHarness, Fate, Polled, TestFile, TestFound, batch, record},
};

/// Its far side is a few functions of the test.
struct Calls {
    /// What nothing may rely on: every call is in another instance.
    calls: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Import {
    id: u32,
    rows: Option<Rows>,
}

type Sends = fn(&Upload) -> Result<Uploaded<Import>, Failure>;
type Polls = fn(&Job<Import>) -> Result<UploadStatus<Import>, Failure>;
type Asks = fn(&Job<Import>) -> Result<Receipt, Failure>;

thread_local! {
    static UPLOAD: Cell<Sends> = const { Cell::new(|upload| Ok(Uploaded::working(upload, Import { id: 7, rows: None }))) };
    static POLL: Cell<Polls> = const { Cell::new(|_| Ok(UploadStatus::Delivered)) };
    static STATS: Cell<Asks> = const { Cell::new(|job| Ok(Receipt::all(job))) };
}

impl BulkDestination for Calls {
    type Config = ();
    type Handle = Import;

    fn describe() -> Descriptor {
        Descriptor::new("Does what a test wants.").reconciles()
    }

    fn open((): (), _: Context) -> Result<Self, Failure> {
        Ok(Self { calls: 0 })
    }

    fn transform(&mut self, batch: &Batch) -> Result<Lines, Failure> {
        Ok(Lines::each(batch, |record, line| {
            let value = record.after().ok_or_else(|| Failure::rejected("no value"))?;
            line.csv([value]);
            Ok(())
        }))
    }

    fn upload(&mut self, upload: &Upload) -> Result<Uploaded<Import>, Failure> {
        self.calls += 1;
        assert_eq!(self.calls, 1);
        UPLOAD.get()(upload)
    }

    fn poll(&mut self, job: &Job<Import>) -> Result<UploadStatus<Import>, Failure> {
        self.calls += 1;
        assert_eq!(self.calls, 1);
        POLL.get()(job)
    }

    fn stats(&mut self, job: &Job<Import>) -> Result<Receipt, Failure> {
        STATS.get()(job)
    }

    fn reconcile(&mut self, upload: &Upload) -> Result<Found<Import>, Failure> {
        Ok(match upload.attempt() {
            1 => Found::Absent,
            2 => Found::Present(UPLOAD.get()(upload)?),
            _ => Found::CannotTell,
        })
    }

    fn release(&mut self, job: &Job<Import>) {
        metrics::count("released", job.handle().id.into());
    }
}

fn three() -> TestFile {
    TestFile::new("intent", &["a", "b", "c"])
}

#[test]
fn a_line_break_fails_its_record_and_no_other() {
    let lines = BulkHarness::<Calls>::new().transform(&batch([record("a"), record("b\nc"), record("d,e"), record("\n")]));
    assert_eq!(lines.texts(), ["a", "\"d,e\""]);
    lines.assert_failed(1, FailureKind::Rejected).assert_failed(3, FailureKind::Rejected);
    assert_eq!((&lines.fates()[0], &lines.fates()[2]), (&Fate::Working, &Fate::Working));
    assert_eq!(lines.file("i").text(), "a\n\"d,e\"\n");
}

#[test]
fn a_staged_file_is_read_in_pieces_and_compressed() {
    let lines: Vec<String> = (0..60_000).map(|line| format!("line {line}")).collect();
    UPLOAD.set(|upload| {
        let mut text = String::new();
        upload.reader().read_to_string(&mut text).unwrap();
        assert_eq!((text.len() as u64, text.lines().count() as u32), (upload.bytes(), upload.records()));
        let mut again = String::new();
        gzip::decompress(upload.reader().gzip()).read_to_string(&mut again).unwrap();
        assert!(again == text);
        let (mut lines, mut count) = (upload.reader().lines(), 0);
        while let Some(line) = lines.next_line().unwrap() {
            assert_eq!(line, format!("line {count}").as_bytes());
            count += 1;
        }
        assert_eq!((count, upload.intent(), upload.attempt(), upload.part()), (60_000, "i", 1, 0));
        Ok(Uploaded::settled(upload, Receipt::all(upload)))
    });
    BulkHarness::<Calls>::new().upload(&TestFile::new("i", &lines)).assert_all_delivered();
}

#[test]
fn what_must_be_known_is_in_the_handle() {
    UPLOAD.set(|upload| {
        let rows = Rows::by_row(upload.reader()).map_err(|error| Failure::from_io("read", &error))?;
        Ok(Uploaded::working(upload, Import { id: 1, rows: Some(rows) }))
    });
    POLL.set(|job| match job.handle().id {
        1 => {
            let next = Import { id: 2, ..job.handle().clone() };
            Ok(Waiting::new().done(0.5).again_in(Duration::from_secs(9)).keep(next).into())
        }
        _ => Ok(UploadStatus::AskStats(Some(Import { id: 3, ..job.handle().clone() }))),
    });
    STATS.set(|job| {
        let mut rows = job.handle().rows.clone().unwrap();
        let refused = rows.take("b").unwrap();
        assert_eq!((job.handle().id, job.working(), job.records()), (3, &[Span::from(0..3)][..], 3));
        Ok(Receipt::all_but(job, [(refused, Failure::rejected("b"))]))
    });
    let harness = BulkHarness::<Calls>::new();
    let mut upload = harness.upload(&three());
    let again = Some(Duration::from_secs(9));
    assert_eq!(harness.poll(&mut upload), Polled::Working { done: Some(0.5), again_in: again });
    assert_eq!(harness.poll(&mut upload), Polled::AskStats);
    harness.stats(&mut upload);
    upload.assert_delivered(0).assert_failed(1, FailureKind::Rejected).assert_delivered(2);
    harness.release(&upload);
    assert_eq!(harness.count("released"), 3);
}

#[test]
fn what_is_settled_at_once_is_not_asked_for_again() {
    UPLOAD.set(|upload| {
        let mut settled = Receipt::builder(upload);
        settled.failed(1, Failure::transient("later"));
        Ok(Uploaded::partly(upload, settled.finish(), Import { id: 1, rows: None }))
    });
    POLL.set(|job| {
        assert_eq!(job.working(), [Span::from(0..1), Span::from(2..3)]);
        let mut receipt = Receipt::builder(job);
        receipt.failed(2, Failure::fatal("the last of those that are left"));
        receipt.delivered(0..2);
        Ok(UploadStatus::Settled(receipt.finish()))
    });
    let upload = BulkHarness::<Calls>::new().deliver(&three());
    upload.assert_delivered(0).assert_failed(1, FailureKind::Transient).assert_failed(2, FailureKind::Fatal);
}

#[test]
fn one_that_came_to_nothing_failed_with_every_record_that_was_worked_on() {
    UPLOAD.set(|upload| Ok(Uploaded::working(upload, Import { id: 1, rows: None })));
    POLL.set(|_| Ok(UploadStatus::Failed(Failure::rejected("cancelled"))));
    BulkHarness::<Calls>::new().deliver(&three()).assert_failed(0..3, FailureKind::Rejected);
}

#[test]
fn an_upload_can_be_asked_for() {
    let harness = BulkHarness::<Calls>::new();
    assert!(matches!(harness.reconcile(&three()), TestFound::Absent));
    let TestFound::Present(upload) = harness.reconcile(&three().attempt(2)) else { panic!("it took effect") };
    upload.assert_working(0..3);
    assert!(matches!(harness.reconcile(&three().attempt(3)), TestFound::CannotTell));
    assert_eq!(harness.descriptor()["guarantees"]["reconciles"], true);
}

#[test]
fn a_handle_that_is_too_large_leaves_the_upload_uncertain() {
    UPLOAD.set(|upload| {
        let rows: Vec<String> = (0..8000).map(|row| row.to_string()).collect();
        let rows: Rows =
            serde_json::from_value(serde_json::json!({ "digest": "A".repeat(32 * rows.len() / 3 / 32 * 32) })).unwrap();
        Ok(Uploaded::working(upload, Import { id: 1, rows: Some(rows) }))
    });
    let failure = BulkHarness::<Calls>::new().try_upload(&three()).unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Uncertain);
    assert!(failure.message().ends_with("65536 are the most"), "{failure}");
}

#[test]
fn a_handle_that_nobody_made_is_of_no_known_upload() {
    let session = crate::session::BulkSession::<Calls>::open(Vec::new()).unwrap();
    for handle in [&b""[..], b"{}", b"\xff", br#"{"n":1,"w":[[0,1]],"h":7}"#] {
        let failure = Failure::from(session.poll(handle).unwrap_err());
        assert_eq!(failure.kind(), FailureKind::Rejected);
        assert!(session.stats(handle).is_err());
        session.release(handle);
    }
    // Sums that would overflow.
    let far = br#"{"n":1,"w":[[4294967295,4294967295],[4294967295,1]],"h":{"id":1,"rows":null}}"#;
    assert!(Job::<Import>::found(far).is_ok());
}
