//! Whether a pipeline reads what its checkpoints are of.
//!
//! A pipeline that was pointed elsewhere would begin anew there, quietly, and one that was renamed would deliver everything again. Both are noticed: the
//! first is refused, and the second told. A file that was moved is the same file, a pattern that means more files than before is the same source, and so
//! is one whose earlier files are gone.

use std::path::Path;

use thiserror::Error;

use crate::{
    config::{PathOrGlob, Source},
    source::Files,
    store::{Checkpoint, KnownPipeline, PipelineStore, SourceIdentity, StoreError},
};

/// The checkpoints of a pipeline are of another source than it reads now.
#[derive(Debug, Error)]
#[error("pipeline {pipeline} read {was} when it last ran, and now reads {now}, of which its checkpoints tell nothing")]
pub struct OtherSource {
    /// Which pipeline.
    pub pipeline: String,
    /// What the checkpoints are of.
    pub was: SourceIdentity,
    /// What it reads now.
    pub now: SourceIdentity,
}

impl OtherSource {
    /// What to do, with the data directory that the checkpoints are in.
    pub fn hint(&self, data_dir: &Path) -> String {
        format!(
            "to begin anew there: `wharf checkpoints reset {} --data-dir {}`; to keep the checkpoints, give what is new a pipeline with an id of its own",
            self.pipeline,
            data_dir.display()
        )
    }
}

/// What a source of the pipeline file is known by.
pub fn identity(source: &Source) -> SourceIdentity {
    let (kind, reads) = match source {
        Source::File(file) => ("file", pattern(&file.path)),
        Source::Stdin(_) => ("stdin", String::new()),
        Source::Generator(_) => ("generator", String::new()),
        Source::DeadLetters(letters) => ("dead-letters", letters.of.to_string()),
    };
    SourceIdentity { kind: kind.into(), reads }
}

/// Holds what a pipeline reads now against what its checkpoints are of, and gives in words what an operator should know. `all` are the pipelines of the
/// file.
///
/// # Errors
///
/// Where the store fails; within, where the source is another one.
pub async fn recognised(
    store: &impl PipelineStore,
    pipeline: &str,
    source: &Source,
    all: &[&str],
) -> Result<Result<Option<String>, OtherSource>, StoreError> {
    let now = identity(source);
    let known = store.pipelines().await?;
    let own = known.iter().find(|known| known.id == pipeline);
    let Some(KnownPipeline { source: was, checkpoints, .. }) = own.filter(|known| !known.checkpoints.is_empty()) else {
        return Ok(Ok(renamed(pipeline, &now, &known, all)));
    };
    match was {
        Some(was) if !same(was, &now, source, checkpoints).await => {
            Ok(Err(OtherSource { pipeline: pipeline.to_owned(), was: was.clone(), now }))
        }
        _ => Ok(Ok(None)),
    }
}

async fn same(was: &SourceIdentity, now: &SourceIdentity, source: &Source, checkpoints: &[Checkpoint]) -> bool {
    let Source::File(file) = source else {
        return was.kind == now.kind;
    };
    if was.kind != now.kind || was.reads == now.reads {
        return was.kind == now.kind;
    }
    let files = Files::new(pattern(&file.path));
    if checkpoints.iter().any(|at| files.mean(&at.label)) {
        return true;
    }
    let partitions: Vec<String> = checkpoints.iter().map(|at| at.partition.clone()).collect();
    // It looks at each file, and the file system may be slow.
    tokio::task::spawn_blocking(move || files.hold_any_of(&partitions)).await.unwrap_or(false)
}

/// Whether a pipeline without checkpoints reads what another one did that is not in the file any more.
fn renamed(pipeline: &str, now: &SourceIdentity, known: &[KnownPipeline], all: &[&str]) -> Option<String> {
    let is_gone = |known: &&KnownPipeline| !known.checkpoints.is_empty() && !all.contains(&known.id.as_str());
    let reads_the_same = |known: &&KnownPipeline| !now.reads.is_empty() && known.source.as_ref() == Some(now);
    let before = known.iter().filter(is_gone).find(reads_the_same)?;
    Some(format!(
        "pipeline {pipeline} begins anew, and {} of this data directory, which is not in this file, read the same {now}: where it is the same by another \
         name, give it back its id",
        before.id
    ))
}

fn pattern(path: &PathOrGlob) -> String {
    match path {
        PathOrGlob::Path(path) => path.to_string_lossy().into_owned(),
        PathOrGlob::Glob(pattern) => pattern.clone(),
    }
}
