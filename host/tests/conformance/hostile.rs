//! A component that does harm fails the cases that it should, in the time that it is given, and the run goes on to its end.

use futures::StreamExt as _;
use wharf::conformance::{Came, conform};
use wharf_tests::Scratch;

use crate::mutant::loader;

/// What it does: its instance traps, ends, waits for ever, writes for ever, or uses what it was never given.
const ACTS: [&str; 5] = ["panic", "exit", "sleep", "lines-without-end", "use-a-forged-one"];

/// When it does, and the case that it fails by that.
const CALLS: [(&str, &str); 5] =
    [("check", "W-SETT-001"), ("open", "W-SESS-001"), ("write", "W-DEST-001"), ("ack", "W-SESS-006"), ("close", "W-SESS-001")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_does_harm_fails_whatever_it_does_and_whenever() {
    let component = wharf_tests::component("guest-hostile").unwrap();
    let folder = Scratch::new().unwrap();
    let all = ACTS.iter().flat_map(|act| CALLS.iter().map(move |(call, case)| (*act, *call, *case)));
    let wrong: Vec<String> = futures::stream::iter(all)
        .map(|(act, call, case)| {
            let suite = format!(
                "settings: {{ act: {act}, at: {call}, amount: 1000000 }}\n\
                 limits: {{ time: {{ check: 1s, open: 1s, write: 1s, ack: 1s, close: 1s }} }}\n"
            );
            let suite = folder.write(&format!("{act}-{call}.yaml"), suite).unwrap();
            let component = component.clone();
            // A run that panics ends in an error here.
            tokio::spawn(async move {
                let only = ["W-DESC-001", "W-SETT-001", "W-SESS-001", "W-SESS-006", "W-DEST-001"];
                let report = conform(&component, Some(&suite), &only, &loader(), &mut |_| ()).await.unwrap();
                let came = |id: &str| report.outcomes.iter().find(|outcome| outcome.case.id == id).map(|outcome| &outcome.came);
                let failed = matches!(came(case), Some(Came::Failed { .. }));
                let described = matches!(came("W-DESC-001"), Some(Came::Passed { .. }));
                let whole = report.outcomes.len() == only.len();
                (!(failed && described && whole)).then(|| format!("{act} at {call}: {:?}", report.outcomes))
            })
        })
        .buffer_unordered(4)
        .filter_map(async |wrong| wrong.unwrap())
        .collect()
        .await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
