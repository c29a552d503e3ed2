//! A host that is asked to stop ends, whatever its components are doing.

use std::time::Duration;

use serde_json::json;

use super::trial::{Trial, destination};

#[tokio::test]
async fn whatever_call_a_component_is_in_it_is_left_once_the_shutdown_timeout_is_over() {
    for (call, delivered) in [("open", 0), ("write", 0), ("ack", 3), ("close", 3)] {
        let trial = Trial::new(["a", "b", "c"]);
        let mut faults = destination("faults", "guest-faults", json!({"fault": "wait", "at": call}));
        faults["limits"] = json!({"time": {"open": "1h", "write": "1h", "ack": "1h", "close": "1h"}});
        let running = trial.start(&[faults]).await.unwrap();
        let (overview, stop) = (running.overview(), running.stopper());
        let read = || overview.pipelines()[0].progress.counts().read;
        while read() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.stop();
        let ended = tokio::spawn(running.ended());
        let began = std::time::Instant::now();
        while !ended.is_finished() {
            assert!(began.elapsed() < Duration::from_secs(120), "it is still in {call}");
            // Before the component is in that call, it is none of its time.
            tokio::time::sleep(Duration::from_millis(100)).await;
            trial.time.advance(Duration::from_secs(30));
        }
        let report = ended.await.unwrap().pop().unwrap();
        let counts = &report.counts.destinations[0];
        assert!(report.error.is_none(), "{call}: {:?}", report.error);
        if call != "open" && call != "write" {
            assert_eq!(counts.delivered + counts.pending, 3, "{call}");
        }
        assert!(counts.delivered <= delivered, "{call}");
        let log = trial.log();
        assert!(log.contains("stopped at once, since shutdown-timeout (30s) is over: "), "{call}: {log}");
    }
}
