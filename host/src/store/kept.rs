//! A store as one pipeline sees it: its dead letters keep to a size and an age.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;

use tokio::sync::watch;

use super::{Checkpoint, DeadLetter, Keeping, LetterFilter, LetterStore, Settled, Store, StoreError, StoredCut};
use crate::clock::Clock;

/// How often old dead letters are looked for where none are written.
const EVERY: Duration = Duration::from_secs(60);

/// What is told of a pipeline that settles, to whoever reads its dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settling {
    /// How often some were written.
    pub written: u64,
    /// Whether it has ended.
    pub over: bool,
}

/// Writes to a store what one pipeline settles, within what holds for its dead letters.
#[derive(Debug)]
pub struct Kept<S> {
    store: S,
    keeping: Keeping,
    max_age: Option<Duration>,
    clock: Clock,
    /// When it was last looked for old ones, by the clock's elapsed time.
    looked: Mutex<Option<Duration>>,
    purged: AtomicU64,
    settling: watch::Sender<Settling>,
    owing: watch::Sender<()>,
}

impl<S: Store + LetterStore> Kept<S> {
    /// Dead letters take `max_bytes` at the most, are written to the file `copy_to` too, and are removed after `max_age`.
    pub fn new(store: S, max_bytes: u64, max_age: Option<Duration>, copy_to: Option<PathBuf>, clock: Clock) -> Self {
        let keeping = Keeping { max_bytes: Some(max_bytes), copy_to };
        Self {
            store,
            keeping,
            max_age,
            clock,
            looked: Mutex::new(None),
            purged: AtomicU64::new(0),
            settling: watch::Sender::default(),
            owing: watch::Sender::default(),
        }
    }

    /// The same, which tells of dead letters that are written.
    #[must_use]
    pub fn telling(self, settling: watch::Sender<Settling>) -> Self {
        Self { settling, ..self }
    }

    /// To be told when spools are owed something.
    pub fn owing(&self) -> watch::Receiver<()> {
        self.owing.subscribe()
    }

    /// How many dead letters were removed for their age.
    pub fn purged(&self) -> u64 {
        self.purged.load(Relaxed)
    }

    /// Removes dead letters that are too old.
    pub async fn purge(&self, pipeline: &str) -> Result<(), StoreError> {
        let Some(max_age) = self.max_age else {
            return Ok(());
        };
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.elapsed());
        let Some(before) = self.clock.rfc3339_before(max_age) else {
            return Ok(());
        };
        let filter = LetterFilter { pipeline: Some(pipeline.to_owned()), before: Some(before), ..LetterFilter::default() };
        let removed = self.store.remove_letters(&filter).await?;
        if removed > 0 {
            self.purged.fetch_add(removed, Relaxed);
            tracing::warn!(pipeline, "{removed} dead letters are older than {max_age:?} and removed (dead-letters.max-age)");
        }
        Ok(())
    }

    fn due(&self) -> bool {
        let looked = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        looked.is_none_or(|looked| self.clock.elapsed().saturating_sub(looked) >= EVERY)
    }
}

#[async_trait]
impl<S: Store + LetterStore> Store for Kept<S> {
    async fn checkpoints(&self, pipeline: &str) -> Result<Vec<Checkpoint>, StoreError> {
        self.purge(pipeline).await?;
        self.store.checkpoints(pipeline).await
    }

    async fn settle(&self, pipeline: &str, settled: Arc<Settled>) -> Result<(), StoreError> {
        self.settle_within(pipeline, settled, &self.keeping).await
    }

    async fn settle_within(&self, pipeline: &str, settled: Arc<Settled>, keeping: &Keeping) -> Result<(), StoreError> {
        // What is too old makes room for what is new.
        if self.max_age.is_some() && (!settled.dead_letters.is_empty() || self.due()) {
            self.purge(pipeline).await?;
        }
        let (writes, owes) = (!settled.dead_letters.is_empty(), !settled.owed.is_empty());
        self.store.settle_within(pipeline, settled, keeping).await?;
        if writes {
            self.settling.send_modify(|settling| settling.written += 1);
        }
        if owes {
            self.owing.send_replace(());
        }
        Ok(())
    }

    async fn advance(&self, pipeline: &str, checkpoints: Vec<(String, String, u64)>) -> Result<(), StoreError> {
        if self.max_age.is_some() && self.due() {
            self.purge(pipeline).await?;
        }
        self.store.advance(pipeline, checkpoints).await
    }

    async fn cut(&self, pipeline: &str, cut: StoredCut) -> Result<(), StoreError> {
        self.store.cut(pipeline, cut).await
    }

    async fn cuts(&self, pipeline: &str) -> Result<Vec<StoredCut>, StoreError> {
        self.store.cuts(pipeline).await
    }

    async fn read_to(&self, pipeline: &str, partitions: Vec<(String, u64)>) -> Result<(), StoreError> {
        self.store.read_to(pipeline, partitions).await
    }

    async fn dead_letters(&self, pipeline: &str) -> Result<Vec<DeadLetter>, StoreError> {
        self.store.dead_letters(pipeline).await
    }
}
