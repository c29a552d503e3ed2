//! Spools of destinations that a pipeline does not have any more.
//!
//! What is left for a destination that is switched off (`enabled: false`) is given up: somebody said so. What is left for one that the pipeline file does not name any more stays:
//! it may have been renamed by mistake, and is told of until a person decides.

use std::{path::Path, sync::Arc};

use super::{SwitchedOff, at_rest::lost, means::Means, owed, uploads::Given};
use crate::{
    bulk::BulkError,
    config::Size,
    plan::PlannedPipeline,
    store::{
        Kept, Reason, SqliteStore,
        spool::{Letters as _, Selection, Settling, Spool, SpoolError, SpoolState, SqliteSpool, Step, UploadState, discard},
    },
};

/// Why records are given up.
const OFF: &str = "its destination is switched off (enabled: false)";

/// Why those are that were on their way.
const AWAY: &str =
    "its destination is switched off (enabled: false); it was in an upload, and whether that took effect is not known";

/// Gives up what is in the spools of destinations that are switched off, and tells of those that nobody names. What fails is told, and tried again with the
/// next start. Gives how many records were given up.
pub(super) async fn look(means: &Means, planned: &PlannedPipeline, kept: &Arc<Kept<SqliteStore>>) -> Vec<SwitchedOff> {
    let (pipeline, mut off) = (&planned.id, Vec::new());
    for destination in &planned.switched_off {
        let folder = means.spools.join(&**pipeline).join(&**destination);
        let lost = match means.spools.parent() {
            Some(data_dir) => lost(&means.store, data_dir, (pipeline, destination)).await,
            None => Ok(None),
        };
        if let Ok(Some(lost)) = lost {
            tracing::error!(hint = lost.hint(), "what is in its spool cannot be given up: {lost}");
            continue;
        }
        match given_up(means, pipeline, destination, &folder, kept).await {
            Ok(0) => {}
            Ok(dead_lettered) => {
                tracing::warn!(%pipeline, %destination, records = dead_lettered, "given up, as dead letters: {OFF}");
                off.push(SwitchedOff { id: destination.clone(), dead_lettered, reason: OFF });
            }
            Err(error) => {
                let hint = error.hint();
                tracing::error!(%pipeline, %destination, hint, "what is in its spool cannot be given up: {error}");
            }
        }
    }
    let Ok(entries) = std::fs::read_dir(means.spools.join(&**pipeline)) else { return off };
    for entry in entries.flatten() {
        let Ok(destination) = entry.file_name().into_string() else { continue };
        let known = planned.destinations.iter().find(|known| *known.id == *destination);
        if known.is_some_and(|known| known.actions.has_spool()) || planned.switched_off.iter().any(|id| **id == *destination) {
            continue;
        }
        let left = match opened(&entry.path()).await {
            Ok(Some(spool)) => open(&spool).await.unwrap_or_default(),
            _ => 0,
        };
        if left > 0 {
            let discard = format!("give them up: `wharf spool discard {pipeline}/{destination} --all`");
            let (what, back) = match known {
                Some(_) => {
                    ("nothing waits for this destination any more, and its spool has records", "have an action of it wait again")
                }
                None => ("the pipeline has no such destination any more, and its spool has records", "name it again"),
            };
            tracing::warn!(%pipeline, %destination, records = left, hint = format!("{back}, or {discard}"), "{what}");
        }
    }
    off
}

async fn opened(folder: &Path) -> Result<Option<SqliteSpool>, BulkError> {
    let path = folder.join("spool.db");
    let opening = move || if path.is_file() { SqliteSpool::open(&path, Size::from_mib(1024)).map(Some) } else { Ok(None) };
    let opened = tokio::task::spawn_blocking(opening).await.map_err(|error| BulkError::Ended(error.to_string()))?;
    Ok(opened.map_err(SpoolError::from)?)
}

/// Records that have reached no end.
async fn open(spool: &SqliteSpool) -> Result<u64, SpoolError> {
    let status = spool.status().await?;
    Ok(SpoolState::ALL.into_iter().filter(|state| !state.is_final()).map(|state| status.of(state)).sum())
}

async fn given_up(
    means: &Means,
    pipeline: &Arc<str>,
    destination: &Arc<str>,
    folder: &Path,
    kept: &Arc<Kept<SqliteStore>>,
) -> Result<u64, BulkError> {
    let Some(spool) = opened(folder).await? else { return Ok(0) };
    let clock = &means.clock;
    owed::pay(&means.store, &spool, (pipeline, destination), clock).await?;
    spool.forget_written().await?;
    spool.recover(None, clock.millis()).await?;
    let given = Given { kept: kept.clone(), pipeline: pipeline.clone() };
    let reason =
        |message: &str| Arc::new(Reason { kind: "switched-off".into(), code: None, message: message.into(), connector: None });
    let mut records = 0;
    for upload in spool.uploads().await? {
        let (mut letters, mut outcomes) = (Vec::new(), Vec::new());
        for lines in upload.open.iter() {
            for part in spool.lines(upload.id, lines).await? {
                letters.extend(part.letters(destination.clone(), reason(AWAY), clock.rfc3339().into()));
            }
            outcomes.push((lines, Settling::Discarded(AWAY.into())));
        }
        records += letters.len() as u64;
        if !letters.is_empty() {
            given.give_up(letters).await?;
        }
        spool.step(upload.id, Step { outcomes, reason: Some(OFF.into()), ..Step::default() }, clock.millis()).await?;
        spool.step(upload.id, Step { state: Some(UploadState::Released), ..Step::default() }, clock.millis()).await?;
    }
    records += discard(&spool, &Selection::default(), destination, reason(OFF), clock, &given).await?;
    // Nothing asks for the files any more; what cannot be removed takes room and does no harm.
    for name in ["staged", "components"] {
        let _left = tokio::fs::remove_dir_all(folder.join(name)).await;
    }
    Ok(records)
}
