//! What an operator asks of a data directory, and of the host that uses it.
//!
//! A [`Request`] is answered from a store, wherever that is open: by a command on a data directory that nobody uses, or by the host that uses it. Requests
//! and answers are plain data that can be sent.

mod checkpoints;
mod dead_letters;
pub mod destinations;
pub mod socket;
pub mod sources;
pub mod spools;
mod status;
mod wire;

use serde::{Deserialize, Serialize};

pub use checkpoints::{CheckpointDocument, PipelineDocument, SourceDocument};
pub use dead_letters::LetterPage;
pub use status::{DestinationStatus, HostStatus, PipelineStatus, Reloaded};

use crate::store::{LetterDocument, LetterFilter, LetterStore, PipelineStore, StoreError};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Which dead letters there are: those behind the one with the number `after`, at most `most`.
    ListDeadLetters {
        /// Which.
        filter: LetterFilter,
        /// A number; 0 to begin.
        after: i64,
        /// At most so many.
        most: u32,
    },
    /// The dead letter with a number.
    ShowDeadLetter {
        /// The number.
        id: i64,
    },
    /// To remove dead letters.
    PurgeDeadLetters {
        /// Which.
        filter: LetterFilter,
    },
    /// How far pipelines got.
    ShowCheckpoints {
        /// Only this one.
        pipeline: Option<String>,
    },
    /// To forget how far a pipeline got. Not to be answered while it runs.
    ResetCheckpoints {
        /// Which.
        pipeline: String,
        /// Only this partition, by its name or by what people call it.
        partition: Option<String>,
    },
    /// How a running host stands.
    Status,
    /// To pause a pipeline or a destination of it.
    Pause {
        /// Which.
        pipeline: String,
        /// Only this destination of it.
        destination: Option<String>,
    },
    /// To let a pipeline or a destination of it go on.
    Resume {
        /// Which.
        pipeline: String,
        /// Only this destination of it.
        destination: Option<String>,
    },
    /// To read the pipeline file again.
    Reload,
    /// About spools and uploads.
    Spool(spools::SpoolRequest),
    /// To forget that a destination is owed records. Not to be answered while its pipeline runs.
    DiscardDestination {
        /// Of which pipeline.
        pipeline: String,
        /// Which.
        destination: String,
    },
    /// What one destination is owed another one is: the same by another name. Not to be answered while its pipeline runs.
    MoveDestination {
        /// Of which pipeline.
        pipeline: String,
        /// Which.
        destination: String,
        /// Its name now.
        to: String,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Some dead letters.
    DeadLetters(LetterPage),
    /// A dead letter.
    DeadLetter(Box<LetterDocument>),
    /// How many were removed.
    Removed(u64),
    /// What is known of pipelines, by id.
    Checkpoints(Vec<PipelineDocument>),
    /// How the host stands.
    Status(Box<HostStatus>),
    /// Whether there was anything to be done.
    Done(bool),
    /// What a reload changed.
    Reloaded(Box<Reloaded>),
    /// About spools and uploads.
    Spool(Box<spools::SpoolAnswer>),
}

/// Why it is not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub struct Refused {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: Option<String>,
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self { what: error.to_string(), hint: Some(error.hint().into()) }
    }
}

/// Answers from a store, and the spools beside it.
pub async fn answer(
    request: Request,
    store: &(impl LetterStore + PipelineStore),
    spools: &impl spools::Spools,
) -> Result<Answer, Refused> {
    Ok(match request {
        Request::ListDeadLetters { filter, after, most } => {
            Answer::DeadLetters(dead_letters::list(store, &filter, after, most).await?)
        }
        Request::ShowDeadLetter { id } => Answer::DeadLetter(Box::new(dead_letters::show(store, id).await?)),
        Request::PurgeDeadLetters { filter } => Answer::Removed(dead_letters::purge(store, &filter).await?),
        Request::ShowCheckpoints { pipeline } => Answer::Checkpoints(checkpoints::show(store, pipeline.as_deref()).await?),
        Request::Spool(request) => Answer::Spool(Box::new(spools::answer(request, store, spools).await?)),
        Request::ResetCheckpoints { pipeline, partition } => {
            // Before its checkpoints are gone: what is in between is read again, and known.
            spools::forget(store, spools, &pipeline, partition.as_deref()).await?;
            Answer::Removed(checkpoints::reset(store, &pipeline, partition.as_deref()).await?)
        }
        Request::DiscardDestination { pipeline, destination } => {
            Answer::Removed(destinations::discard(store, &pipeline, &destination).await?)
        }
        Request::MoveDestination { pipeline, destination, to } => {
            spools::stays(spools, &pipeline, &destination).await?;
            Answer::Removed(destinations::rename(store, &pipeline, &destination, &to).await?)
        }
        Request::Status | Request::Pause { .. } | Request::Resume { .. } | Request::Reload => {
            return Err(Refused {
                what: "no host is running on the data directory".into(),
                hint: Some("start one with `wharf run`, or name its data directory with --data-dir".into()),
            });
        }
    })
}
