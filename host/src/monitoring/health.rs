//! Whether what runs is well.

use serde_json::{Value, json};

use crate::{
    runtime::{PipelineOverview, State},
    sandbox::output::printable,
};

/// Whether all pipelines do what they are for: each has been started, none has failed, is paused, waits to be started again or is stopping, its store can be
/// written to, and none of their destinations is paused or waits for its far side. And the same in words, by pipeline and destination.
pub(super) fn ready(pipelines: Option<&[PipelineOverview]>) -> (bool, Value) {
    let Some(pipelines) = pipelines else {
        return (false, json!({"ready": false, "why": "starting", "pipelines": []}));
    };
    let told: Vec<(bool, Value)> = pipelines.iter().map(pipeline).collect();
    let ready = told.iter().all(|(ready, _)| *ready);
    let pipelines: Vec<Value> = told.into_iter().map(|(_, told)| told).collect();
    (ready, json!({"ready": ready, "pipelines": pipelines}))
}

fn pipeline(overview: &PipelineOverview) -> (bool, Value) {
    let counts = overview.counts();
    let mut ready = true;
    let destinations = overview.destinations.iter().zip(counts.destinations).map(|(destination, counts)| {
        let paused = destination.gate.state().pause.map(|pause| format!("paused: {}", pause.why));
        let waits = counts.waiting.map(|why| format!("waits: {why}"));
        // What has ended waits for nothing any more.
        let why = if overview.state == State::Ended { None } else { paused.or(waits) };
        ready &= why.is_none();
        json!({"id": *destination.id, "ready": why.is_none(), "why": why.map(|why| printable(&why, false).into_owned())})
    });
    let destinations: Vec<Value> = destinations.collect();
    let error = overview.error.as_ref().map(|(error, _)| error);
    let why = match overview.state {
        State::Running => counts.stalled.map(|why| format!("stalled: {why}")),
        State::Ended => error.map(|error| format!("failed: {error}")),
        State::Restarting { .. } => Some(format!("to be started again: {}", error.map_or("it ended in an error", |error| error))),
        State::Paused => Some("paused by hand".to_owned()),
        State::Stopping => Some("stopping".to_owned()),
    };
    ready &= why.is_none();
    let why = why.map(|why| printable(&why, false).into_owned());
    let told =
        json!({"id": *overview.id, "state": overview.state.word(), "ready": ready, "why": why, "destinations": destinations});
    (ready, told)
}
