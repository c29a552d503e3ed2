//! Looking at checkpoints, and removing them.

use serde::{Deserialize, Serialize};

use super::Refused;
use crate::{
    config::nearest,
    store::{KnownPipeline, PipelineStore},
};

/// A pipeline that the store knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineDocument {
    /// Its id.
    pub id: String,
    /// What it read when it last ran; `null` where that is not known.
    pub source: Option<SourceDocument>,
    /// The destinations that may be owed records: those of a run that has not ended, or those that had not dealt with all when it did.
    pub destinations: Vec<String>,
    /// How far it got in each partition.
    pub checkpoints: Vec<CheckpointDocument>,
}

/// What a pipeline reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDocument {
    /// The source's kind.
    pub kind: String,
    /// Path or pattern, where it has one.
    pub reads: String,
}

/// How far a pipeline got in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointDocument {
    /// The partition.
    pub partition: String,
    /// What people call it.
    pub label: String,
    /// The first sequence that is not settled, as it stands in the store: a number below 0 is no place, and somebody else's.
    pub next: i64,
    /// The first sequence that was never read, as far as is known.
    pub read_to: i64,
}

/// All pipelines, or one.
pub(super) async fn show(store: &impl PipelineStore, pipeline: Option<&str>) -> Result<Vec<PipelineDocument>, Refused> {
    let mut known = store.pipelines().await?;
    if let Some(pipeline) = pipeline {
        find(&known, pipeline)?;
        known.retain(|known| known.id == pipeline);
    }
    let mut documents = Vec::new();
    for KnownPipeline { id, source, checkpoints } in known {
        let destinations = store.destinations(&id).await?;
        let source = source.map(|source| SourceDocument { kind: source.kind, reads: source.reads });
        let checkpoints = checkpoints.into_iter().map(|at| CheckpointDocument {
            partition: at.partition,
            label: at.label,
            next: at.next.cast_signed(),
            read_to: at.read_to.cast_signed(),
        });
        documents.push(PipelineDocument { id, source, destinations, checkpoints: checkpoints.collect() });
    }
    Ok(documents)
}

/// Forgets how far a pipeline got. Gives how many checkpoints there were.
pub(super) async fn reset(store: &impl PipelineStore, pipeline: &str, partition: Option<&str>) -> Result<u64, Refused> {
    let known = store.pipelines().await?;
    let known = find(&known, pipeline)?;
    let Some(partition) = partition else {
        return Ok(store.reset(pipeline, None).await?);
    };
    let mut removed = 0;
    for checkpoint in known.checkpoints.iter().filter(|at| at.partition == partition || at.label == partition) {
        removed += store.reset(pipeline, Some(&checkpoint.partition)).await?;
    }
    if removed == 0 {
        return Err(Refused {
            what: format!("pipeline {pipeline} has no checkpoint of {partition}"),
            hint: Some(format!("`wharf checkpoints show {pipeline}` shows which it has")),
        });
    }
    Ok(removed)
}

pub(super) fn find<'a>(known: &'a [KnownPipeline], pipeline: &str) -> Result<&'a KnownPipeline, Refused> {
    known.iter().find(|known| known.id == pipeline).ok_or_else(|| {
        let near = nearest(pipeline, known.iter().map(|known| known.id.as_str()));
        let hint = near
            .map_or_else(|| "`wharf checkpoints show` shows which it knows".to_owned(), |near| format!("did you mean `{near}`?"));
        Refused { what: format!("the store knows no pipeline {pipeline}"), hint: Some(hint) }
    })
}
