//! Looking at dead letters.

use serde::{Deserialize, Serialize};

use super::{Refused, checkpoints::find};
use crate::store::{LetterDocument, LetterFilter, LetterStore, PipelineStore};

/// Some dead letters, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LetterPage {
    /// They.
    pub letters: Vec<LetterDocument>,
    /// How many there are in all that were asked for, those before and behind these included.
    pub count: u64,
    /// The number behind which to go on; `None` where there are no more.
    pub next: Option<i64>,
}

/// Those behind a number, at most so many and so many bytes.
pub(super) async fn list(
    store: &(impl LetterStore + PipelineStore),
    filter: &LetterFilter,
    after: i64,
    most: u32,
) -> Result<LetterPage, Refused> {
    let count = store.count_letters(filter).await?;
    known(store, filter, count).await?;
    let letters = store.letters(filter, after, most).await?;
    let mut next = letters.last().map(|kept| kept.id);
    if let Some(last) = next
        && store.letters(filter, last, 1).await?.is_empty()
    {
        next = None;
    }
    Ok(LetterPage { letters: letters.iter().map(LetterDocument::from).collect(), count, next })
}

/// Removes them. Gives how many there were.
pub(super) async fn purge(store: &(impl LetterStore + PipelineStore), filter: &LetterFilter) -> Result<u64, Refused> {
    let removed = store.remove_letters(filter).await?;
    known(store, filter, removed).await?;
    Ok(removed)
}

/// Nothing was found: perhaps since the pipeline that was asked for goes by another name.
async fn known(store: &impl PipelineStore, filter: &LetterFilter, found: u64) -> Result<(), Refused> {
    if let (Some(pipeline), 0) = (&filter.pipeline, found) {
        find(&store.pipelines().await?, pipeline)?;
    }
    Ok(())
}

/// The one with a number.
pub(super) async fn show(store: &impl LetterStore, id: i64) -> Result<LetterDocument, Refused> {
    let filter = LetterFilter { id: Some(id), ..LetterFilter::default() };
    let found = store.letters(&filter, 0, 1).await?;
    found.first().map(LetterDocument::from).ok_or_else(|| Refused {
        what: format!("there is no dead letter {id}"),
        hint: Some("`wharf dead-letters list` shows which there are".into()),
    })
}
