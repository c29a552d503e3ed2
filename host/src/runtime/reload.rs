//! Reads the pipeline file again, and swaps just the pipelines that changed.

use std::sync::Arc;

use super::{Origin, StartError, life::Life, lives::Lives, means::Gates, origin::at, source::recognised};
use crate::{
    config,
    operate::{Refused, Reloaded, sources},
    plan::{Plan, PlannedPipeline},
    store::{PipelineStore, StoreError},
};

/// What is done about a pipeline of the new plan.
enum Step {
    /// It goes on as it is.
    Keep(Arc<Life>),
    /// It is started, behind the one by its name where there is one.
    Begin(Box<PlannedPipeline>, Option<Arc<Life>>),
}

impl Lives {
    /// Swaps just the pipelines that the file has otherwise now. Where the file is refused, everything goes on as it was. One reload at a time.
    pub async fn reload(&self, origin: &Origin) -> Result<Reloaded, Refused> {
        let changing = self.changing.lock().await;
        if self.is_ending() {
            return Err(Refused { what: "the host is ending, and reads its file no more".into(), hint: None });
        }
        let tokens = self.tokens();
        let plan = origin.plan(&tokens, &self.data_dir).await?;
        self.swap(plan, &changing).await
    }

    async fn swap(&self, plan: Plan, _changing: &tokio::sync::MutexGuard<'_, ()>) -> Result<Reloaded, Refused> {
        let Plan { pipelines, tokens, shutdown_timeout, remarks, .. } = plan;
        let store = &self.means.store;
        let before = self.all();
        let of = |id: &str| before.iter().find(|life| *life.planned.id == *id);
        let (mut told, mut leaving) = (Reloaded { remarks, ..Reloaded::default() }, Vec::new());
        let known: Vec<_> = pipelines.iter().map(|planned| planned.id.clone()).collect();
        let unsaid = |error: super::StartError| Refused {
            what: format!("everything goes on as it was: {error}{}", at(error.place())),
            hint: Some(error.hint()),
        };
        told.remarks.extend(
            recognised(store, &pipelines, &self.data_dir, &|id| of(id).map(|life| life.idle()).unwrap_or_default())
                .await
                .map_err(unsaid)?,
        );
        let shared = tokens.are(&self.tokens());
        if !shared {
            // Where it cannot be done, it is found out before anything is stopped.
            tokens.broker.open(Arc::new(store.clone())).await.map_err(|error| unsaid(error.into()))?;
        }
        let mut steps = Vec::new();
        for planned in pipelines {
            let id = planned.id.to_string();
            let from_stdin = matches!(planned.source.value, config::Source::Stdin(_));
            match of(&id) {
                Some(life) if life.planned.digest == planned.digest && (!life.has_failed() || from_stdin) => {
                    told.unchanged.push(id);
                    steps.push(Step::Keep(life.clone()));
                }
                // What was read ahead from there went with whoever read it.
                _ if from_stdin => {
                    return Err(Refused {
                        what: format!(
                            "pipeline {id} reads standard input, which can only begin with the host; everything goes on as it was{}",
                            at(Some(&planned.source.place))
                        ),
                        hint: Some("stop the host and start it again, or take the change back".into()),
                    });
                }
                Some(life) => {
                    let again = life.planned.digest == planned.digest;
                    if again {
                        told.started.push(id)
                    } else {
                        told.changed.push(id)
                    }
                    leaving.push(life.clone());
                    steps.push(Step::Begin(planned.into(), Some(life.clone())));
                }
                None => {
                    told.started.push(id);
                    steps.push(Step::Begin(planned.into(), None));
                }
            }
        }
        let removed = before.iter().filter(|life| !known.contains(&life.planned.id));
        for life in removed {
            told.removed.push(life.planned.id.to_string());
            leaving.push(life.clone());
        }
        self.set_timeout(shutdown_timeout.into());
        leaving.iter().rev().for_each(|life| life.stop(shutdown_timeout.into()));
        for life in &leaving {
            life.ended().await;
            tracing::info!(pipeline = %life.planned.id, "left by a reload: {}", life.left());
        }
        if !shared {
            // What the old ones were given last is kept by now, and the new ones go on with it.
            self.tokens().broker.settled().await;
            tokens.broker.open(Arc::new(store.clone())).await.map_err(|error| {
                let stopped: Vec<&str> = leaving.iter().map(|life| &*life.planned.id).collect();
                let error = StartError::from(error);
                Refused {
                    what: format!("{error}; stopped by now, and not started again: {}", stopped.join(", ")),
                    hint: Some(format!("{}; then ask for a reload again", error.hint())),
                }
            })?;
        }
        if self.is_ending() {
            return Err(Refused { what: "the host was asked to stop meanwhile".into(), hint: None });
        }
        let mut lives = Vec::new();
        for step in steps {
            lives.push(match step {
                Step::Keep(life) => life,
                Step::Begin(planned, behind) => self.begin(*planned, behind.as_deref()).await,
            });
        }
        self.replace(lives, tokens);
        let list = |ids: &[String]| if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
        let Reloaded { unchanged, changed, started, removed, remarks } = &told;
        remarks.iter().for_each(|remark| tracing::warn!("{remark}"));
        tracing::info!(
            "reloaded: changed {}; started {}; removed {}; unchanged {}",
            list(changed),
            list(started),
            list(removed),
            list(unchanged)
        );
        Ok(told)
    }

    /// Begins a pipeline behind the one that it replaces. One that cannot be started has failed, like one that fails later.
    async fn begin(&self, planned: PlannedPipeline, behind: Option<&Life>) -> Arc<Life> {
        let (kept, gates) = (self.means.kept(&planned), Gates::of(&planned, behind.map(Life::gates)));
        let (gates, opened) = match gates.clone().with_spools(&self.means, &planned, false).await {
            Ok(gates) => (gates, Ok(())),
            Err(error) => (gates, Err(error)),
        };
        let identity = sources::identity(&planned.source);
        let known: Result<(), StoreError> = self.means.store.keep_source(&planned.id, identity).await;
        let first = match known.map_err(StartError::from).and(opened) {
            Ok(()) => self.means.prepare(&planned, &kept, &gates).await.map_err(Into::into),
            Err(error) => Err(error.into()),
        };
        Life::begin(Arc::new(planned), self.means.clone(), kept, gates, first)
    }
}
