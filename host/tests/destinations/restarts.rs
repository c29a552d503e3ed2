//! Pipelines that end in an error are started again by their policy, alone.

use std::time::Duration;

use serde_json::{Value, json};
use wharf::runtime::State;

use super::trial::{Trial, honest};

/// A pipeline that ends with the first record that is rejected.
fn strict(trial: &mut Trial, restart: Value, destination: Value) -> Value {
    trial.dead_letters = json!({});
    let source = json!({"kind": "file", "path": "records.txt", "format": "lines"});
    let mut pipeline = trial.pipeline("trial", &source, &[destination]);
    pipeline["restart"] = restart;
    pipeline
}

#[tokio::test]
async fn a_pipeline_that_fails_goes_on_at_its_checkpoint_after_waits_that_grow() {
    let mut trial = Trial::new(["a", "b", "c"]);
    let script = "0-1 1-2=rejected;0-1=rejected;0-1=rejected;0-$";
    let destination = trial.scripted(script);
    let pipeline = strict(&mut trial, json!("on-failure"), destination);
    let running = trial.start_all(&[pipeline]).await.unwrap();
    let reports = trial.reports(running).await;
    let (report, waits) = (&reports.0[0], &reports.1);
    assert!(report.error.is_none(), "{:?}", report.error);
    assert_eq!((&**waits, report.restarts), (&[1000, 2000, 4000][..], 3));
    // What was read and not settled was read again each time, and no record twice delivered.
    let counts = &report.counts;
    let there = &counts.destinations[0];
    assert_eq!((there.delivered, there.dead_lettered, there.pending), (3, 0, 0));
    assert_eq!(counts.read + counts.carried, there.delivered + there.pending + report.left[0]);
    assert_eq!((counts.read, report.left[0]), (3, 6));
    let log = trial.log();
    assert!(log.contains("ended in an error, to be started again in 1s: destination scripted"), "{log}");
}

#[tokio::test]
async fn a_pipeline_is_not_started_more_often_in_a_row_than_it_may_and_the_others_go_on() {
    let mut trial = Trial::new(["a"]);
    let destination = trial.scripted(&["0-1=rejected"; 9].join(";"));
    let pipeline = strict(&mut trial, json!({"max-attempts": 3, "min-delay": "10s", "factor": 1}), destination);
    let other = trial.pipeline("other", &json!({"kind": "generator", "count": 5}), &[honest()]);
    let running = trial.start_all(&[pipeline, other]).await.unwrap();
    let (reports, waits) = trial.reports(running).await;
    assert_eq!(waits, [10_000, 10_000]);
    assert!(reports[0].error.as_ref().is_some_and(|error| error.to_string().contains("more than 0 failed")), "{reports:?}");
    assert_eq!((reports[0].restarts, reports[0].counts.destinations[0].pending), (2, 1));
    assert!(reports[1].error.is_none() && reports[1].counts.destinations[0].delivered == 5);
    assert!(trial.log().contains("is not started again (restart.max-attempts)"), "{}", trial.log());
}

#[tokio::test]
async fn by_default_a_pipeline_that_fails_has_ended_and_who_looks_sees_why() {
    let mut trial = Trial::new(["a"]);
    let destination = trial.scripted("0-1=rejected");
    let pipeline = strict(&mut trial, json!("never"), destination);
    let running = trial.start_all(&[pipeline]).await.unwrap();
    let overview = running.overview();
    let (reports, waits) = trial.reports(running).await;
    assert_eq!((reports[0].restarts, waits.len()), (0, 0));
    let seen = &overview.pipelines()[0];
    assert_eq!(seen.state, State::Ended);
    assert!(seen.error.as_ref().is_some_and(|(why, hint)| why.contains("one too many") && !hint.is_empty()), "{:?}", seen.error);
    assert_eq!(seen.destinations[0].connector.as_ref(), "guest-scripted 0.1.0");
    assert_eq!(seen.earlier.as_ref().unwrap().destinations[0].pending, 1);
}

#[tokio::test]
async fn one_that_waits_to_be_started_again_stops_at_once_when_asked() {
    let mut trial = Trial::new(["a"]);
    let destination = trial.scripted("0-1=rejected");
    let pipeline = strict(&mut trial, json!({"min-delay": "1h", "max-delay": "1h"}), destination);
    let running = trial.start_all(&[pipeline]).await.unwrap();
    let (overview, stop) = (running.overview(), running.stopper());
    let (reports, ()) = tokio::join!(running.ended(), async {
        trial.time.sleepers(1).await;
        assert!(matches!(overview.pipelines()[0].state, State::Restarting { again } if again >= Duration::from_secs(3600)));
        stop.stop();
    });
    assert!(reports[0].error.is_some() && reports[0].restarts == 0);
    assert_eq!(reports[0].counts.destinations[0].pending, 1);
}

#[tokio::test]
async fn what_is_paused_by_hand_is_handed_nothing_until_it_is_resumed() {
    let mut trial = Trial::new((0..12).map(|n| n.to_string()));
    (trial.batch, trial.window) = (1, 4);
    let source = json!({"kind": "file", "path": "records.txt", "format": "lines", "follow": true, "poll": "1s"});
    let running = trial.start_from(&source, &[trial.scripted(""), honest()]).await.unwrap();
    let (control, overview, stop) = (running.control(), running.overview(), running.stopper());
    let delivered = || overview.pipelines()[0].progress.counts().destinations.iter().map(|d| d.delivered).collect::<Vec<_>>();
    let until = async |expected: &[u64]| {
        while delivered() != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    until(&[12, 12]).await;
    let refused = control.pause("trail", None).unwrap_err();
    assert_eq!((&*refused.what, refused.hint.as_deref()), ("this host has no pipeline trail", Some("did you mean `trial`?")));
    assert!(control.pause("trial", Some("other")).unwrap_err().what.contains("has no destination other"));

    // One destination: the others go on within the window.
    assert!(control.pause("trial", Some("scripted")).unwrap() && !control.pause("trial", Some("scripted")).unwrap());
    trial.append((12..22).map(|n| n.to_string()));
    trial.time.sleepers(1).await;
    trial.time.advance_to_next();
    until(&[12, 16]).await;
    assert_eq!(overview.pipelines()[0].state, State::Running);
    assert!(overview.pipelines()[0].destinations[0].gate.state().pause.is_some_and(|pause| pause.by_hand));
    assert!(control.resume("trial", Some("scripted")).unwrap() && !control.resume("trial", Some("scripted")).unwrap());
    until(&[22, 22]).await;

    // All of it: nothing is read, whatever time passes.
    assert!(control.pause("trial", None).unwrap() && !control.pause("trial", None).unwrap());
    assert_eq!(overview.pipelines()[0].state, State::Paused);
    trial.append(["x", "y"]);
    for _ in 0..3 {
        trial.time.advance(Duration::from_secs(3600));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(delivered(), [22, 22]);
    assert!(control.resume("trial", None).unwrap() && !control.resume("trial", None).unwrap());
    while delivered() != [24, 24] {
        trial.time.advance(Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (reports, ()) = tokio::join!(running.ended(), async { stop.stop() });
    assert!(reports[0].error.is_none() && reports[0].counts.destinations[0].pending == 0);
}
