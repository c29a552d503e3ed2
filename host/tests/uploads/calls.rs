//! The life of an upload, each call in an instance of its own.

use std::time::Duration;

use wharf::record::{FailureKind, Fate, Found, Run, Span, UploadStatus};

use super::cage::{Cage, spans};

fn fates(runs: &[Run]) -> Vec<(u32, u32, &Fate)> {
    runs.iter().map(|run| (run.records.start, run.records.end, &run.fate)).collect()
}

#[tokio::test]
async fn an_upload_lives_from_lines_to_outcomes() {
    let poll = "again=1500 done=0.25 handle=9;stats";
    let cage = Cage::new(&[("upload", "0-1 ~1-3"), ("poll", poll), ("stats", "1-2 2-3=rejected")]).await;
    let lines = cage.transform(3).await.unwrap();
    let texts: Vec<_> = lines.lines().iter().map(|line| String::from_utf8_lossy(line.unwrap()).into_owned()).collect();
    assert_eq!(texts, ["value 0", "value 1", "value 2"]);
    let uploaded = cage.upload().await.unwrap();
    assert_eq!(fates(&uploaded.settled), [(0, 1, &Fate::Delivered)]);
    assert_eq!(uploaded.working, spans(&[(1, 3)]));
    let handle = uploaded.handle.unwrap();
    assert_eq!(&handle[..], b"intent-1 3");
    let status = cage.poll(&handle, &[(1, 3)]).await.unwrap();
    let again_in = Some(Duration::from_millis(1500));
    assert_eq!(status, UploadStatus::Working { done: Some(0.25), again_in, handle: Some(vec![b'h'; 9].into()) });
    assert_eq!(cage.poll(&handle, &[(1, 3)]).await.unwrap(), UploadStatus::AskStats(None));
    let settled = cage.stats(&handle, &[(1, 3)]).await.unwrap();
    assert_eq!(settled[0], Run { records: Span::new(1, 2), fate: Fate::Delivered });
    assert!(matches!(&settled[1].fate, Fate::Failed(failure) if failure.kind == FailureKind::Rejected));
    cage.open().await.release(&handle).await.unwrap();
    let calls = cage.calls();
    assert!(calls[0].starts_with("transform ") && calls[0].ends_with(" 0+3 attempt 1 action 1"), "{calls:?}");
    assert_eq!(calls[1], "upload intent-1 3 attempt 1 action 1 part 2 [a|b|c|]");
    assert_eq!(calls[2..], ["poll intent-1 3", "poll intent-1 3", "stats intent-1 3", "release intent-1 3"]);
    assert!(cage.usage.fuel_per_record().is_some());
}

#[tokio::test]
async fn an_upload_is_asked_for_whose_answer_never_came() {
    let cage = Cage::new(&[("upload", "lost;fail=transient"), ("reconcile", ";;cannot-tell")]).await;
    assert_eq!(cage.reconcile().await.unwrap(), Found::Absent);
    let trouble = cage.upload().await.unwrap_err();
    assert_eq!(trouble.to_string(), "uncertain: told to (code 42)");
    assert_eq!(cage.applied("intent-1"), 1);
    let Found::Present(uploaded) = cage.reconcile().await.unwrap() else { panic!("it took effect") };
    assert_eq!(uploaded.working, spans(&[(0, 3)]));
    assert_eq!(cage.reconcile().await.unwrap(), Found::CannotTell);
    assert!(cage.upload().await.is_err());
    assert_eq!(cage.applied("intent-1"), 1, "the second upload failed before it took effect");
}

#[tokio::test]
async fn what_a_poll_settles_is_what_was_worked_on() {
    let cage = Cage::new(&[("poll", "delivered;failed=transient;1-2=warned;nothing")]).await;
    let delivered = |start, end| Run { records: Span::new(start, end), fate: Fate::Delivered };
    let status = cage.poll(b"h 3", &[(0, 1), (2, 3)]).await.unwrap();
    assert_eq!(status, UploadStatus::Settled(vec![delivered(0, 1), delivered(2, 3)]));
    let status = cage.poll(b"h 3", &[(0, 3)]).await.unwrap();
    assert!(matches!(status, UploadStatus::Failed(failure) if failure.kind == FailureKind::Transient));
    let UploadStatus::Settled(runs) = cage.poll(b"h 3", &[(1, 3)]).await.unwrap() else { panic!("it is settled") };
    assert_eq!(fates(&runs), [(1, 2, &Fate::Warned("told to".into())), (2, 3, &Fate::Unknown)]);
    let UploadStatus::Settled(runs) = cage.poll(b"h 3", &[(0, 3)]).await.unwrap() else { panic!("it is settled") };
    assert_eq!(fates(&runs), [(0, 3, &Fate::Unknown)]);
}

#[tokio::test]
async fn the_file_is_in_hand_for_calls_about_an_upload_alone() {
    // A line is made of each record without any file; `upload` reads it to its end, or traps.
    let cage = Cage::new(&[]).await;
    let mut session = cage.open().await;
    session.transform(&super::cage::batch(1), 0, 1).await.unwrap();
    session.upload(&super::cage::request(), super::cage::staged()).await.unwrap();
    session.close().await.unwrap().unwrap();
}
