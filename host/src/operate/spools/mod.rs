//! Looking at spools and uploads, and deciding what nobody else can.
//!
//! **Threat.** A person gives up records that are on their way at that moment, so that they are delivered and dead letters too. **Answer.** Only what is in nobody's
//! hands can be decided about: it is reserved first, then a dead letter, then discarded. An upload is decided about while it is held, or while no host runs.

mod documents;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;

pub use self::documents::{Decision, RecordsDocument, SpoolAnswer, SpoolDocument, SpoolRequest, UploadDocument, Which};

use self::documents::{document, status, stretch};
use super::Refused;
use crate::{
    clock::Clock,
    config::{Size, nearest},
    sandbox::output::printable,
    store::{
        DeadLetter, PipelineStore, Reason, Settled, Store, StoreError,
        spool::{Letters, Selection, Settling, Spool, SpoolError, SpoolState, SqliteSpool, Step, UploadState, discard},
    },
};

/// A spool that is open.
#[derive(Clone)]
pub struct Open {
    /// The pipeline.
    pub pipeline: String,
    /// The destination.
    pub destination: String,
    /// The spool.
    pub spool: Arc<dyn Spool>,
}

/// Who has spools open.
#[async_trait]
pub trait Spools: Send + Sync {
    /// All that there are.
    async fn open(&self) -> Result<Vec<Open>, Refused>;

    /// Keeps dead letters of a pipeline; they are on disk when it returns.
    async fn give_up(&self, pipeline: &str, letters: Vec<DeadLetter>) -> Result<(), StoreError>;

    /// Has whoever drives an upload decide about it; false where nobody drives it.
    async fn decide(&self, open: &Open, upload: i64, decision: Decision) -> Result<bool, Refused>;

    /// Where they are.
    fn folder(&self) -> &Path;

    /// The clock.
    fn clock(&self) -> &Clock;
}

/// The spools of a data directory that nobody uses.
pub struct AtRest<S> {
    /// The store beside them.
    pub store: S,
    /// The clock.
    pub clock: Clock,
    folder: PathBuf,
    open: Vec<Open>,
}

impl<S> AtRest<S> {
    /// Opens those in a folder.
    ///
    /// # Errors
    /// Where one cannot be opened.
    pub async fn new(store: S, folder: &Path, clock: Clock) -> Result<Self, Refused> {
        let open = open(folder, &[]).await?;
        for Open { spool, .. } in &open {
            // What a process left in its hands is in nobody's.
            spool.recover(None, clock.millis()).await?;
        }
        Ok(Self { store, clock, folder: folder.to_owned(), open })
    }
}

/// Opens the spools in a folder, but for those that are open already, by pipeline and destination.
///
/// # Errors
/// Where one cannot be opened.
pub async fn open(folder: &Path, known: &[(String, String)]) -> Result<Vec<Open>, Refused> {
    let (folder, known) = (folder.to_owned(), known.to_vec());
    let opened = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        for (pipeline, path) in folders(&folder) {
            for (destination, path) in folders(&path) {
                let (path, whose) = (path.join("spool.db"), (pipeline.clone(), destination));
                if known.contains(&whose) || !path.exists() {
                    continue;
                }
                let spool = Arc::new(SqliteSpool::open(&path, Size::from_mib(1024))?);
                all.push(Open { pipeline: whose.0, destination: whose.1, spool });
            }
        }
        Ok::<_, StoreError>(all)
    });
    let mut all = opened.await.map_err(|error| Refused { what: error.to_string(), hint: None })??;
    all.sort_by(|one, other| (&one.pipeline, &one.destination).cmp(&(&other.pipeline, &other.destination)));
    Ok(all)
}

/// The folders in a folder, by name; none where there is none.
fn folders(folder: &Path) -> Vec<(String, std::path::PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())));
    named.filter(|(_, path)| path.is_dir()).collect()
}

#[async_trait]
impl<S: Store> Spools for AtRest<S> {
    async fn open(&self) -> Result<Vec<Open>, Refused> {
        Ok(self.open.clone())
    }

    async fn give_up(&self, pipeline: &str, letters: Vec<DeadLetter>) -> Result<(), StoreError> {
        self.store.settle(pipeline, Arc::new(Settled::new(None, letters))).await
    }

    async fn decide(&self, _: &Open, _: i64, _: Decision) -> Result<bool, Refused> {
        Ok(false)
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}

impl From<SpoolError> for Refused {
    fn from(error: SpoolError) -> Self {
        Self { what: error.to_string(), hint: Some(error.hint().into()) }
    }
}

/// Answers.
///
/// # Errors
/// Where there is no such thing, or it cannot be done.
pub async fn answer(request: SpoolRequest, store: &impl PipelineStore, spools: &impl Spools) -> Result<SpoolAnswer, Refused> {
    let all = spools.open().await?;
    let of = |pipeline: Option<String>, destination: Option<String>| {
        let fits = |open: &&Open| {
            pipeline.as_ref().is_none_or(|id| *id == open.pipeline)
                && destination.as_ref().is_none_or(|id| *id == open.destination)
        };
        let some: Vec<&Open> = all.iter().filter(fits).collect();
        match (&pipeline, some.is_empty()) {
            (Some(pipeline), true) => Err(none(&all, pipeline, destination.as_deref())),
            _ => Ok(some),
        }
    };
    let one = |pipeline: String, destination: String| of(Some(pipeline), Some(destination)).map(|some| some[0].clone());
    Ok(match request {
        SpoolRequest::Status { pipeline, destination } => {
            let mut documents = Vec::new();
            for open in of(pipeline, destination)? {
                documents.push(status(open).await?);
            }
            SpoolAnswer::Status(documents)
        }
        SpoolRequest::Uploads { pipeline, destination } => {
            let mut documents = Vec::new();
            for open in of(pipeline, destination)? {
                let (uploads, names) = (open.spool.uploads().await?, open.spool.actions().await?);
                documents.extend(uploads.into_iter().map(|upload| document(open, &upload, &names)));
            }
            SpoolAnswer::Uploads(documents)
        }
        SpoolRequest::Decide { pipeline, destination, upload, decision } => {
            decide(spools, &one(pipeline, destination)?, upload, decision).await?;
            SpoolAnswer::Done(1)
        }
        SpoolRequest::Records { pipeline, destination, which, after, most } => {
            let spool = one(pipeline, destination)?.spool;
            let names = spool.actions().await?;
            let records = spool.records(selection(&which, &names)?, after, most.min(PAGE)).await?;
            SpoolAnswer::Records(records.into_iter().map(|records| stretch(records, &names)).collect())
        }
        SpoolRequest::Retry { pipeline, destination, which } => {
            let spool = one(pipeline, destination)?.spool;
            let selection = selection(&which, &spool.actions().await?)?;
            SpoolAnswer::Done(spool.hurry(selection, spools.clock().millis()).await?)
        }
        SpoolRequest::Lost { pipeline, destination } => {
            lost(store, spools, &pipeline, &destination).await?;
            SpoolAnswer::Done(1)
        }
        SpoolRequest::Discard { pipeline, destination, which } => {
            let open = one(pipeline, destination)?;
            let selection = selection(&which, &open.spool.actions().await?)?;
            let reason = match &selection.run {
                Some(run) => {
                    let message = format!("the run {} was cancelled", printable(run, false));
                    Arc::new(Reason { kind: "cancelled".into(), code: None, message: message.into(), connector: None })
                }
                None => decided(),
            };
            // Whoever gives up all that is for an action wants nothing more to follow for it. First, so that what is given up makes none.
            let to_come = match selection {
                Selection { action: Some(action), state: None, batch: None, before: None, run: None } => {
                    open.spool.forgo(action).await?
                }
                _ => 0,
            };
            let destination = open.destination.as_str().into();
            SpoolAnswer::Done(
                to_come
                    + discard(&*open.spool, &selection, &destination, reason, spools.clock(), &Given(spools, &open.pipeline))
                        .await?,
            )
        }
    })
}

/// Forgets which spool a destination had, where that is not there any more.
async fn lost(store: &impl PipelineStore, spools: &impl Spools, pipeline: &str, destination: &str) -> Result<(), Refused> {
    let Some(known) = store.spool(pipeline, destination).await? else {
        return Err(Refused {
            what: format!("{pipeline}/{destination} has had no spool in this data directory"),
            hint: Some("`wharf spool status` shows which there are".into()),
        });
    };
    let path = spools.folder().join(pipeline).join(destination).join("spool.db");
    let found = tokio::task::spawn_blocking(move || SqliteSpool::identity_of(&path)).await;
    if found.map_err(|error| Refused { what: error.to_string(), hint: None })?? == Some(known) {
        return Err(Refused {
            what: format!("the spool of {pipeline}/{destination} is there, and not lost"),
            hint: Some(format!("`wharf spool discard {pipeline}/{destination} --all` gives up what waits in it")),
        });
    }
    store.keep_spool(pipeline, destination, None).await?;
    Ok(())
}

/// Keeps dead letters of one pipeline.
struct Given<'a, S>(&'a S, &'a str);

#[async_trait]
impl<S: Spools> Letters for Given<'_, S> {
    async fn give_up(&self, letters: Vec<DeadLetter>) -> Result<(), StoreError> {
        self.0.give_up(self.1, letters).await
    }
}

/// Stretches in one answer at the most.
const PAGE: u32 = 1000;

/// Why records are given up here.
const DECIDED: &str = "a person decided so";

/// Has what is read again of a partition, or of all, taken again: its checkpoints are about to be forgotten.
///
/// # Errors
/// Where a spool, or the store, fails.
pub async fn forget(
    store: &impl PipelineStore,
    spools: &impl Spools,
    pipeline: &str,
    partition: Option<&str>,
) -> Result<(), Refused> {
    let known = store.pipelines().await?;
    let checkpoints = known.iter().filter(|known| known.id == pipeline).flat_map(|known| &known.checkpoints);
    let is = |one: &str| partition.is_none_or(|partition| partition == one);
    let partitions: Vec<&str> =
        checkpoints.filter(|at| is(&at.partition) || is(&at.label)).map(|at| at.partition.as_str()).collect();
    for open in spools.open().await?.iter().filter(|open| open.pipeline == pipeline) {
        match partition {
            None => open.spool.forget(None).await?,
            Some(_) => {
                for partition in &partitions {
                    open.spool.forget(Some(partition)).await?;
                }
            }
        }
    }
    Ok(())
}

/// Refuses where records wait in the spool of a destination, which does not go with what it is owed.
///
/// # Errors
/// Where they do, or the spool fails.
pub(super) async fn stays(spools: &impl Spools, pipeline: &str, destination: &str) -> Result<(), Refused> {
    for open in spools.open().await?.iter().filter(|open| open.pipeline == pipeline && open.destination == destination) {
        let status = open.spool.status().await?;
        let left: u64 = SpoolState::ALL.into_iter().filter(|state| !state.is_final()).map(|state| status.of(state)).sum();
        if left > 0 {
            return Err(Refused {
                what: format!(
                    "{left} records in the spool of {pipeline}/{destination} have reached no end, and a spool is not moved"
                ),
                hint: Some(format!(
                    "put {destination} back and run until nothing waits; or give them up, as dead letters: `wharf spool discard {pipeline}/{destination} --all`"
                )),
            });
        }
    }
    Ok(())
}

fn none(all: &[Open], pipeline: &str, destination: Option<&str>) -> Refused {
    let asked = destination.map_or_else(|| pipeline.to_owned(), |destination| format!("{pipeline}/{destination}"));
    let names: Vec<String> = all
        .iter()
        .map(|Open { pipeline, destination: of, .. }| {
            destination.map_or_else(|| pipeline.clone(), |_| format!("{pipeline}/{of}"))
        })
        .collect();
    let hint = nearest(&asked, names.iter().map(String::as_str))
        .map_or_else(|| "`wharf spool status` shows which there are".to_owned(), |near| format!("did you mean `{near}`?"));
    Refused { what: format!("{asked} has no spool in this data directory"), hint: Some(hint) }
}

fn selection(which: &Which, names: &BTreeMap<u32, String>) -> Result<Selection, Refused> {
    let Which { state, batch, run, action } = which;
    let state = match state {
        None => None,
        Some(word) => Some(SpoolState::ALL.into_iter().find(|state| state.name() == word).ok_or_else(|| Refused {
            what: format!("no record is `{word}`"),
            hint: Some("a record is waiting, executing, uploading, failed or unknown".into()),
        })?),
    };
    let action = match action {
        None => None,
        Some(name) => Some(*names.iter().find(|(_, known)| *known == name).ok_or_else(|| no_action(name, names))?.0),
    };
    Ok(Selection { state, batch: *batch, run: run.as_deref().map(Arc::from), before: None, action })
}

fn no_action(name: &str, names: &BTreeMap<u32, String>) -> Refused {
    let all = || names.values().map(String::as_str).filter(|name| !name.is_empty());
    let hint = match nearest(name, all()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if all().next().is_none() => "its actions have no names: leave `--action` out".to_owned(),
        None => format!("it has {}", all().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
    };
    Refused { what: format!("the spool knows no action `{}`", printable(name, false)), hint: Some(hint) }
}

fn decided() -> Arc<Reason> {
    Arc::new(Reason { kind: "abandoned".into(), code: None, message: DECIDED.into(), connector: None })
}

async fn decide(spools: &impl Spools, open: &Open, id: i64, decision: Decision) -> Result<(), Refused> {
    let uploads = open.spool.uploads().await?;
    let Some(upload) = uploads.into_iter().find(|upload| upload.id == id) else {
        return Err(Refused {
            what: format!("{}/{} has no upload {id}", open.pipeline, open.destination),
            hint: Some("`wharf uploads list` shows which there are".into()),
        });
    };
    if matches!(upload.state, UploadState::Settled | UploadState::Released) {
        return Err(Refused {
            what: format!("upload {id} is settled"),
            hint: Some("there is nothing to be decided about it".into()),
        });
    }
    if spools.decide(open, id, decision).await? {
        return Ok(());
    }
    let now = spools.clock().millis();
    let step = match decision {
        Decision::Ask => Step {
            state: Some(if upload.handle.is_some() { UploadState::Working } else { UploadState::Sending }),
            next: Some(now),
            failures: Some(0),
            ..Step::default()
        },
        Decision::Resend => {
            let again = Settling::Failed { due: now, counted: true, reason: DECIDED.into() };
            Step { outcomes: upload.open.iter().map(|lines| (lines, again.clone())).collect(), ..Step::default() }
        }
        Decision::Abandon => {
            let mut letters = Vec::new();
            for lines in upload.open.iter() {
                for part in open.spool.lines(id, lines).await? {
                    letters.extend(part.letters(open.destination.as_str().into(), decided(), spools.clock().rfc3339().into()));
                }
            }
            spools.give_up(&open.pipeline, letters).await?;
            let gone = Settling::Discarded(DECIDED.into());
            Step { outcomes: upload.open.iter().map(|lines| (lines, gone.clone())).collect(), ..Step::default() }
        }
    };
    open.spool.step(id, Step { reason: Some(DECIDED.into()), ..step }, now).await?;
    Ok(())
}
