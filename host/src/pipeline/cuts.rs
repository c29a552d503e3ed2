//! Cuts that are made again after a crash.
//!
//! Where a pipeline asks for exact batches, a cut is on disk before anything of it goes to a component, and stays there until the checkpoint
//! has moved past it. A later run has its source cut there again, so that a record that comes twice comes in the same batch.

use std::collections::HashMap;

use super::writing::{Write, Writing};
use crate::{
    sandbox::output::printable,
    source::{Cuts, Portion},
    store::{StoreError, StoredCut},
};

/// Where a source has to cut again.
pub fn ends(cuts: &[StoredCut]) -> Cuts {
    let mut ends = Cuts::new();
    // They come in the order of their partitions and places.
    for cut in cuts.iter().filter(|cut| cut.destination.is_none()) {
        ends.entry(cut.partition.clone()).or_default().push_back(cut.next);
    }
    ends
}

/// Keeps the cuts of a pipeline.
pub(super) struct Exact {
    writing: Writing,
    /// The ids of those that an earlier run had kept, by partition and first sequence.
    known: HashMap<(String, u64), String>,
}

impl Exact {
    /// With those that an earlier run had kept.
    pub fn new(writing: Writing, known: Vec<StoredCut>) -> Self {
        let known = known.into_iter().filter(|cut| cut.destination.is_none());
        Self { writing, known: known.map(|cut| ((cut.partition, cut.first.0), cut.id)).collect() }
    }

    /// Sees that a cut is on disk.
    pub async fn keep(&mut self, portion: &Portion) -> Result<(), StoreError> {
        // What is sent again by hand is no stretch of its partition.
        let Some(batch) = portion.batch.as_ref().filter(|_| portion.again.is_none()) else { return Ok(()) };
        let ends = batch.sequences().first().zip(batch.sequences().last());
        let Some((&first, &last)) = ends else { return Ok(()) };
        match self.known.remove(&(portion.partition.to_string(), first)) {
            Some(known) if known == batch.id() => return Ok(()),
            Some(known) => {
                let (pipeline, label) = (&self.writing.patience.pipeline, printable(&portion.label, false));
                tracing::warn!(%pipeline, batch = batch.id(), "{label} is not what it was: batch {known} cannot be made again");
            }
            None => {}
        }
        let cut = StoredCut {
            id: batch.id().to_owned(),
            destination: None,
            partition: portion.partition.to_string(),
            first: (first, 0),
            last: (last, 0),
            count: batch.count(),
            next: portion.next,
        };
        self.writing.write(&Write::Cut(cut)).await
    }
}
