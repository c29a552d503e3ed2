//! What is told of spools before anything runs, and without using them: a host may be at work on them.

use std::{path::Path, sync::Arc};

use super::{
    StartError,
    error::{LostSpool, NoAction, StillWaits},
    uploads::{SPOOL, names},
};
use crate::{
    plan::PlannedPipeline,
    sandbox::output::printable,
    store::{DataDir, PipelineStore, StoreError, spool::SqliteSpool},
};

/// A spool that a destination had and that is not there any more, or another one in its place. A host may be at work on it.
///
/// # Errors
/// Where the store or the spool cannot be read.
pub(super) async fn lost(
    store: &impl PipelineStore,
    data_dir: &Path,
    (pipeline, destination): (&Arc<str>, &Arc<str>),
) -> Result<Option<LostSpool>, StoreError> {
    let Some(known) = store.spool(pipeline, destination).await? else { return Ok(None) };
    let path = DataDir::spools_in(data_dir).join(&**pipeline).join(&**destination).join(SPOOL);
    let found = looked(data_dir, (pipeline, destination), |path| {
        SqliteSpool::identity_of(path).map(|identity| (path.exists(), identity))
    });
    let (is_there, identity) = found.await?;
    Ok((identity != Some(known)).then(|| LostSpool {
        pipeline: pipeline.clone(),
        destination: destination.clone(),
        path,
        what: if is_there { "there is another spool in the place of its own" } else { "its spool is gone" },
        data_dir: data_dir.to_owned(),
    }))
}

/// Where records wait for an action that the component does not have any more.
///
/// # Errors
/// Where a spool cannot be read.
pub(super) async fn astray(pipelines: &[PlannedPipeline], data_dir: &Path) -> Result<Option<StartError>, StoreError> {
    for pipeline in pipelines {
        for destination in pipeline.destinations.iter().filter(|destination| destination.actions.has_spool()) {
            let names = names(destination);
            let found = looked(data_dir, (&pipeline.id, &destination.id), move |path| SqliteSpool::astray(path, &names)).await?;
            if let Some((action, records)) = found.into_iter().next() {
                return Ok(Some(StartError::NoAction(Box::new(NoAction {
                    pipeline: pipeline.id.clone(),
                    destination: destination.id.clone(),
                    place: pipeline.places.get(&destination.id).cloned(),
                    connector: destination.connector.title(),
                    action: printable(&action, false).into_owned(),
                    records,
                    data_dir: data_dir.to_owned(),
                }))));
            }
        }
    }
    Ok(None)
}

/// A destination that is removed, and in whose spool records wait.
///
/// # Errors
/// Where a spool cannot be read.
pub(super) async fn left_by_removed(planned: &PlannedPipeline, data_dir: &Path) -> Result<Option<StartError>, StoreError> {
    for destination in &planned.removed {
        let (pipeline, destination) = (planned.id.clone(), destination.id.clone());
        if let Some(records @ 1..) = left(data_dir, &pipeline, &destination).await? {
            let (place, data_dir) = (planned.places.get(&destination).cloned(), data_dir.to_owned());
            return Ok(Some(StartError::Removed(Box::new(StillWaits { pipeline, destination, place, records, data_dir }))));
        }
    }
    Ok(None)
}

/// How many records in the spool of a destination have reached no end; `None` where it has none.
///
/// # Errors
/// Where it cannot be read.
pub(super) async fn left(data_dir: &Path, pipeline: &str, destination: &str) -> Result<Option<u64>, StoreError> {
    looked(data_dir, (pipeline, destination), SqliteSpool::left).await
}

/// Looks at the spool of a destination.
async fn looked<R: Send + 'static>(
    data_dir: &Path,
    (pipeline, destination): (&str, &str),
    look: impl FnOnce(&Path) -> Result<R, StoreError> + Send + 'static,
) -> Result<R, StoreError> {
    let path = DataDir::spools_in(data_dir).join(pipeline).join(destination).join(SPOOL);
    let name = path.display().to_string();
    let looked = tokio::task::spawn_blocking(move || look(&path)).await;
    looked.map_err(|error| StoreError::Engine { doing: "read", path: name, cause: error.to_string(), passes: false })?
}

/// Tells, in words, what waits in spools for a version of its far side that the component does not speak any more.
///
/// # Errors
/// Where a spool cannot be read.
pub(super) async fn unspoken(pipelines: &[PlannedPipeline], data_dir: &Path) -> Result<Vec<String>, StoreError> {
    let mut remarks = Vec::new();
    for pipeline in pipelines {
        for destination in pipeline.destinations.iter().filter(|destination| destination.actions.has_spool()) {
            let versions = looked(data_dir, (&pipeline.id, &destination.id), SqliteSpool::versions).await?;
            let (descriptor, of) = (&destination.connector.descriptor, format!("{}/{}", pipeline.id, destination.id));
            for (version, records) in versions {
                if descriptor.version(&version).is_none() {
                    let (title, version) = (descriptor.title(), printable(&version, false).into_owned());
                    remarks.push(format!(
                        "{of}: {records} records in the spool came for the version `{version}` of the far side, which {title} does not \
                         speak: they wait until `component` names one that does; `wharf spool records {of}` shows them, and \
                         `wharf spool discard {of} --batch NUMBER` gives them up"
                    ));
                }
            }
        }
    }
    Ok(remarks)
}
