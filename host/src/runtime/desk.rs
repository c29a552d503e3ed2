//! Answers what is asked of a running host through its control socket.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;

use super::{Control, Origin, Overview, PipelineOverview, State, lives::Lives};
use crate::{
    clock::rfc3339_of,
    operate::{self, Answer, DestinationStatus, HostStatus, PipelineStatus, Refused, Reloaded, Request, socket::Answers},
    pipeline::Pause,
};

/// Answers for a running host.
pub(super) struct Desk {
    pub lives: Arc<Lives>,
    pub origin: Option<Origin>,
}

impl Answers for Desk {
    fn answer(&self, request: Request) -> BoxFuture<'_, Result<Answer, Refused>> {
        Box::pin(async move {
            match request {
                Request::Status => Ok(Answer::Status(Box::new(self.status()))),
                Request::Pause { pipeline, destination } => {
                    let done = Control(self.lives.clone()).pause(&pipeline, destination.as_deref())?;
                    tracing::info!(%pipeline, destination, "paused by hand");
                    Ok(Answer::Done(done))
                }
                Request::Resume { pipeline, destination } => {
                    let done = Control(self.lives.clone()).resume(&pipeline, destination.as_deref())?;
                    tracing::info!(%pipeline, destination, "resumed by hand");
                    Ok(Answer::Done(done))
                }
                Request::Reload => Ok(Answer::Reloaded(Box::new(self.reload().await?))),
                request @ (Request::ResetCheckpoints { .. }
                | Request::DiscardDestination { .. }
                | Request::MoveDestination { .. }) => {
                    self.is_at_rest(&request)?;
                    operate::answer(request, &self.lives.means.store, &*self.lives).await
                }
                request => operate::answer(request, &self.lives.means.store, &*self.lives).await,
            }
        })
    }
}

impl Desk {
    async fn reload(&self) -> Result<Reloaded, Refused> {
        let Some(origin) = &self.origin else {
            return Err(Refused { what: "this host was not started from a pipeline file".into(), hint: None });
        };
        self.lives.reload(origin).await
    }

    /// The checkpoints of a pipeline that runs stand in its memory too, and it would write them again.
    fn is_at_rest(&self, request: &Request) -> Result<(), Refused> {
        let (Request::ResetCheckpoints { pipeline, .. }
        | Request::DiscardDestination { pipeline, .. }
        | Request::MoveDestination { pipeline, .. }) = request
        else {
            return Ok(());
        };
        match self.lives.find(pipeline) {
            Some(life) if !life.is_over() => Err(Refused {
                what: format!(
                    "pipeline {pipeline} is running, and would go on where it is and write that again; also where it is paused"
                ),
                hint: Some(format!(
                    "stop the host first; or take {pipeline} out of the pipeline file, `wharf reload`, do it, put it back, and `wharf reload` again"
                )),
            }),
            _ => Ok(()),
        }
    }

    fn status(&self) -> HostStatus {
        let overview = Overview(self.lives.clone());
        let now = overview.elapsed();
        let at = |then: Duration| self.lives.means.clock.rfc3339_before(now.saturating_sub(then)).unwrap_or_default();
        HostStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process: std::process::id(),
            since: at(Duration::ZERO),
            pipelines: overview.pipelines().into_iter().map(|pipeline| status(&pipeline, now, &at)).collect(),
        }
    }
}

fn millis(until: Duration, now: Duration) -> u64 {
    until.saturating_sub(now).as_millis().try_into().unwrap_or(u64::MAX)
}

/// What to do about a store that cannot be written to.
const STALLED: &str = "nothing that has to be kept goes on, and nothing is lost: make room in the data directory, or let it be written to; it goes on by itself";

fn status(pipeline: &PipelineOverview, now: Duration, at: &dyn Fn(Duration) -> String) -> PipelineStatus {
    let PipelineOverview { id, state, since, progress, destinations, restarts, error, pause, .. } = pipeline;
    let counts = progress.counts();
    let (why, hint) = match (state, error) {
        (State::Paused, _) => {
            let why = pause.as_ref().filter(|pause| !pause.by_hand).map(|pause| pause.why.to_string());
            (Some(why.unwrap_or_else(|| "paused by hand".to_owned())), None)
        }
        (State::Restarting { .. } | State::Ended, Some((why, hint))) => (Some(why.to_string()), Some(hint.to_string())),
        (State::Running, _) => match &counts.stalled {
            Some(why) => (Some(format!("stalled: {why}")), Some(STALLED.to_owned())),
            None => (None, None),
        },
        _ => (None, None),
    };
    let destinations = destinations.iter().zip(&counts.destinations).map(|(destination, counts)| {
        let gate = destination.gate.state();
        let pause: Option<&Pause> = gate.shut();
        DestinationStatus {
            id: destination.id.to_string(),
            connector: destination.connector.to_string(),
            state: match (pause, &counts.waiting) {
                (Some(_), _) => "paused",
                (None, Some(_)) => "waiting",
                (None, None) => "open",
            }
            .to_owned(),
            why: pause.map(|pause| &pause.why).or(counts.waiting.as_ref()).map(ToString::to_string),
            since: pause.map(|pause| at(pause.since)),
            again_ms: pause.and_then(|pause| pause.again).map(|again| millis(again, now)),
            delivered: counts.delivered,
            filtered: counts.filtered,
            dead_lettered: counts.dead_lettered,
            pending: counts.pending,
            unknown: counts.unknown,
            retries: counts.retries,
            follow_ups: counts.spool.map_or(0, |spool| spool.follow_ups),
            next: counts.spool.and_then(|spool| spool.next).map(rfc3339_of),
            oldest_ms: counts.oldest.map(|read| millis(now, read)),
        }
    });
    PipelineStatus {
        id: id.to_string(),
        state: state.word().to_owned(),
        since: at(*since),
        why,
        hint,
        again_ms: match state {
            State::Restarting { again } => Some(millis(*again, now)),
            _ => None,
        },
        restarts: *restarts,
        read: counts.read,
        carried: counts.carried,
        destinations: destinations.collect(),
    }
}
