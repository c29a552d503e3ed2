//! The dead letters of one pipeline as the source of another: how they are copied to any destination.
//!
//! The store is where they come from, and a checkpoint says how far they are copied: each is copied at least once, also across crashes, and where the copy
//! fails they stay where they are. What is removed before it is copied is not copied.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    clock::Clock,
    record::{BatchBuilder, NewRecord, Value, opencdc},
    source::{Cut, Portion, Source, SourceError},
    store::{KeptLetter, LetterDocument, LetterFilter, LetterStore, Settling, SqliteStore},
};

/// How long it is waited for a pipeline that has ended to begin anew, as it does where the pipeline file is read again.
const ANEW: Duration = Duration::from_millis(200);

/// Who writes dead letters, by pipeline, told to those who read them.
#[derive(Debug, Default)]
pub(super) struct Feeds(Mutex<HashMap<Arc<str>, watch::Sender<Settling>>>);

impl Feeds {
    /// To tell of a pipeline's.
    pub fn of(&self, pipeline: &str) -> watch::Sender<Settling> {
        let mut feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        feeds.entry(pipeline.into()).or_default().clone()
    }
}

/// Reads the dead letters of a pipeline as they are written, until that has ended.
pub(super) struct Feed {
    store: SqliteStore,
    /// Whose source it is.
    pipeline: Arc<str>,
    filter: LetterFilter,
    partition: Arc<str>,
    label: Arc<str>,
    /// The number of the last one that was read.
    last: i64,
    cut: Cut,
    clock: Clock,
    settling: watch::Receiver<Settling>,
}

impl Feed {
    /// The partition that the dead letters of a pipeline are.
    pub fn partition(of: &str) -> String {
        format!("dead-letters-{of}")
    }

    /// Those of the pipeline `of`, for `pipeline`, from `next` on.
    pub fn new(store: SqliteStore, (pipeline, of): (&Arc<str>, &str), next: u64, cut: Cut, clock: Clock, feeds: &Feeds) -> Self {
        Self {
            store,
            pipeline: pipeline.clone(),
            filter: LetterFilter { pipeline: Some(of.to_owned()), ..LetterFilter::default() },
            partition: Self::partition(of).into(),
            label: format!("dead letters of {of}").into(),
            last: next.cast_signed().saturating_sub(1).max(0),
            cut,
            clock,
            settling: feeds.of(of).subscribe(),
        }
    }

    async fn page(&self) -> Result<Vec<KeptLetter>, SourceError> {
        self.store.letters(&self.filter, self.last, self.cut.records).await.map_err(super::source::of_letters)
    }

    fn portion(&self, page: &[KeptLetter]) -> Result<Option<Portion>, SourceError> {
        let mut batch = BatchBuilder::with_capacity(page.len(), 0, true, None);
        let of = self.filter.pipeline.as_deref().unwrap_or_default();
        let mut last = self.last;
        for kept in page {
            let failed = |reason: String| SourceError::Format { path: format!("dead letter {}", kept.id), reason };
            let document = serde_json::to_vec(&LetterDocument::from(kept)).map_err(|error| failed(error.to_string()))?;
            if !batch.is_empty() && (batch.bytes() + document.len()) as u64 > self.cut.bytes {
                break;
            }
            let key = kept.id.to_string();
            let value = |bytes, content_type| Some(Value { bytes, content_type: Some(content_type) });
            let record = NewRecord {
                sequence: kept.id.cast_unsigned(),
                after: value(&document, "application/json"),
                key: value(key.as_bytes(), "text/plain"),
                ..NewRecord::default()
            };
            let metadata = [(opencdc::VERSION, opencdc::VERSION_1.as_bytes()), (opencdc::COLLECTION, of.as_bytes())];
            batch.push_record(&record, metadata).map_err(|no_room| failed(no_room.to_string()))?;
            last = kept.id;
        }
        if batch.is_empty() {
            return Ok(None);
        }
        Ok(Some(Portion {
            partition: self.partition.clone(),
            label: self.label.clone(),
            batch: Some(batch.finish(&self.pipeline, self.partition.clone())),
            unreadable: Vec::new(),
            next: last.cast_unsigned() + 1,
            again: None,
        }))
    }
}

#[async_trait]
impl Source for Feed {
    async fn read(&mut self) -> Result<Option<Portion>, SourceError> {
        loop {
            // Before it is looked: what is written after that is told of once more.
            let over = self.settling.borrow_and_update().over;
            let mut page = self.page().await?;
            if !page.is_empty() && page.len() < self.cut.records as usize && !over && !self.cut.delay.is_zero() {
                self.clock.sleep(self.cut.delay).await;
                page = self.page().await?;
            }
            if let Some(portion) = self.portion(&page)? {
                self.last = portion.next.cast_signed() - 1;
                return Ok(Some(portion));
            }
            // Whoever tells of them outlives this.
            let told = self.settling.changed();
            if over {
                tokio::select! {
                    biased;
                    _told = told => {}
                    () = self.clock.sleep(ANEW) => return Ok(None),
                }
            } else {
                let _told = told.await;
            }
        }
    }

    fn rereads(&self) -> bool {
        true
    }
}
