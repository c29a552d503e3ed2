//! Destinations that are not in the pipeline file any more, and may be owed records.
//!
//! A pipeline's records are settled once all of its destinations have dealt with them. One that is taken out of the file would never get what it had not
//! dealt with by then, and nobody would know: it is refused, until somebody has said what is to become of that. The store notes the destinations of
//! a pipeline when it starts, and when it ends those that are still owed something.

use std::path::Path;

use thiserror::Error;

use super::{Refused, checkpoints::find};
use crate::store::{LetterFilter, LetterStore, PipelineStore, StoreError};

/// A destination that left its pipeline with records that it may not have dealt with.
#[derive(Debug, Error)]
#[error(
    "destination {destination} of pipeline {pipeline} is not in this file any more, and may be owed records that were read and not settled"
)]
pub struct Gone {
    /// Which pipeline.
    pub pipeline: String,
    /// Which destination.
    pub destination: String,
}

impl Gone {
    /// What to do, with the data directory that knows it.
    pub fn hint(&self, data_dir: &Path) -> String {
        let Self { pipeline, destination } = self;
        let on = format!("--data-dir {}", data_dir.display());
        format!(
            "to drain it, put it back and run until nothing is pending; if it has another name now: `wharf checkpoints move {pipeline} {destination} NAME \
             {on}`, and what it remembers by its old name, it sends again; to have it miss them: `wharf checkpoints discard {pipeline} {destination} {on}`"
        )
    }
}

/// The first destination that left a pipeline, which has these now, and may be owed records. `idle` are destinations of a running pipeline that have
/// dealt with all that was read so far.
///
/// # Errors
///
/// Where the store fails.
pub async fn gone(
    store: &impl PipelineStore,
    pipeline: &str,
    destinations: &[&str],
    idle: &[String],
) -> Result<Option<Gone>, StoreError> {
    let owed = store.destinations(pipeline).await?;
    let mut gone: Vec<String> = owed.into_iter().filter(|known| !destinations.contains(&known.as_str())).collect();
    if gone.iter().any(|gone| idle.contains(gone)) {
        // What an earlier run had read was read again by then, or it is not known of whom.
        let known = store.pipelines().await?.into_iter().find(|known| known.id == pipeline);
        let settled = known.is_some_and(|known| known.checkpoints.iter().all(|at| at.next >= at.read_to));
        gone.retain(|gone| !settled || !idle.contains(gone));
    }
    let gone = gone.into_iter().next();
    Ok(gone.map(|destination| Gone { pipeline: pipeline.to_owned(), destination }))
}

/// What an operator should know of pipelines that are not among these any more: what they left in the store. `idle` tells the destinations of a running
/// pipeline that have dealt with all that was read so far.
///
/// # Errors
///
/// Where the store fails.
pub async fn left_behind(
    store: &(impl PipelineStore + LetterStore),
    all: &[&str],
    idle: &(dyn Fn(&str) -> Vec<String> + Sync),
) -> Result<Vec<String>, StoreError> {
    let mut remarks = Vec::new();
    for known in store.pipelines().await?.into_iter().filter(|known| !all.contains(&known.id.as_str())) {
        let (mut owed, idle) = (store.destinations(&known.id).await?, idle(&known.id));
        owed.retain(|destination| !idle.contains(destination));
        let filter = LetterFilter { pipeline: Some(known.id.clone()), ..LetterFilter::default() };
        let letters = store.count_letters(&filter).await?;
        let mut left = Vec::new();
        if !owed.is_empty() {
            left.push(format!("records that were read and may not be settled, for {}", owed.join(", ")));
        }
        if letters > 0 {
            left.push(format!("{letters} dead letters"));
        }
        if !left.is_empty() {
            remarks.push(format!(
                "pipeline {} of this data directory is not in this file; it left {}",
                known.id,
                left.join(", and ")
            ));
        }
    }
    Ok(remarks)
}

/// Forgets that a destination is owed records. Gives how many there were.
pub(super) async fn discard(store: &impl PipelineStore, pipeline: &str, destination: &str) -> Result<u64, Refused> {
    let mut owed = owed(store, pipeline, destination).await?;
    owed.retain(|known| known != destination);
    store.keep_destinations(pipeline, owed).await?;
    Ok(1)
}

/// What one destination is owed another one is: the same by another name.
pub(super) async fn rename(store: &impl PipelineStore, pipeline: &str, destination: &str, to: &str) -> Result<u64, Refused> {
    let mut owed = owed(store, pipeline, destination).await?;
    if destination == to || owed.iter().any(|known| known == to) {
        // It gets what was not settled by itself, once, and knows nothing of what the other had.
        return Err(Refused {
            what: format!("destination {to} of pipeline {pipeline} is there already, with records of its own"),
            hint: Some(format!(
                "name a destination that is new; or have {destination} miss its records: `wharf checkpoints discard {pipeline} {destination}`"
            )),
        });
    }
    owed.retain(|known| known != destination);
    owed.push(to.to_owned());
    store.keep_destinations(pipeline, owed).await?;
    Ok(1)
}

/// Those that are owed records, among them this one.
async fn owed(store: &impl PipelineStore, pipeline: &str, destination: &str) -> Result<Vec<String>, Refused> {
    find(&store.pipelines().await?, pipeline)?;
    let owed = store.destinations(pipeline).await?;
    if owed.iter().any(|known| known == destination) {
        return Ok(owed);
    }
    let hint = match owed.as_slice() {
        [] => "no destination of it is".to_owned(),
        owed => format!("it may be owed to {}", owed.join(", ")),
    };
    Err(Refused { what: format!("destination {destination} of pipeline {pipeline} is owed nothing"), hint: Some(hint) })
}
