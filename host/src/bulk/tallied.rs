//! A spool that counts what becomes of its records.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use tokio::sync::watch;

use crate::{
    pipeline::Spooled,
    record::Span,
    store::spool::{
        Backlog, Born, Claim, Incoming, Millis, NewUpload, Part, Promise, Selection, Settling, Spool, SpoolError, SpoolRecords,
        SpoolState, SpoolStatus, Step, StoredUpload, Taken, Transition, Written,
    },
};

/// A spool that counts what becomes of its records, and tells whoever waits for some. Clones are of the same one.
#[derive(Clone)]
pub struct Tallied {
    spool: Arc<dyn Spool>,
    counts: Arc<Spooled>,
    changed: Arc<watch::Sender<()>>,
    room: Arc<Room>,
}

/// Whether somebody waits for room.
#[derive(Default)]
struct Room {
    /// In how many bytes there is room for what was refused.
    below: Mutex<Option<u64>>,
    eased: watch::Sender<()>,
}

impl Room {
    fn below(&self) -> MutexGuard<'_, Option<u64>> {
        self.below.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tallied {
    /// Counts from here on.
    ///
    /// # Errors
    /// Where the spool cannot be read.
    pub async fn new(spool: Arc<dyn Spool>) -> Result<Self, SpoolError> {
        let status = spool.status().await?;
        let counts = Spooled::default();
        let open = SpoolState::ALL.into_iter().filter(|state| !state.is_final());
        // What was born before this, of what was owed, counts as born.
        let Born { records: born, cut } = spool.born();
        let open: u64 = open.map(|state| status.of(state)).sum();
        counts.before.store(open.saturating_sub(born), Relaxed);
        counts.follow_ups.store(born, Relaxed);
        counts.cut.store(cut, Relaxed);
        counts.unknown.store(status.of(SpoolState::Unknown), Relaxed);
        Ok(Self { spool, counts: counts.into(), changed: Arc::new(watch::Sender::new(())), room: Arc::default() })
    }

    /// The counts.
    pub fn counts(&self) -> &Arc<Spooled> {
        &self.counts
    }

    /// Has whoever waits look once more.
    pub fn look(&self) {
        self.changed.send_replace(());
    }

    /// To be told when records were taken, or a person did something.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// To be told when a spool that was full has room again.
    pub fn eases(&self) -> watch::Receiver<()> {
        self.room.eased.subscribe()
    }

    /// What came of something that needs room. Where there was none, whoever waits for some is told once there is.
    async fn fits<R>(&self, done: Result<R, SpoolError>) -> Result<R, SpoolError> {
        if let Err(SpoolError::Full { bytes, most, .. }) = &done
            && let Ok((_, used)) = self.used().await
        {
            let below = used.saturating_sub(bytes.saturating_sub(most.bytes()));
            let mut wanted = self.room.below();
            *wanted = Some(wanted.map_or(below, |other| other.max(below)));
        }
        done
    }

    /// Something has left it, perhaps: looks whether there is room, where anybody waits for some.
    async fn may_have_room(&self) {
        if self.room.below().is_none() {
            return;
        }
        // Who is not told tries again by itself, some time.
        let Ok((batches, used)) = self.used().await else { return };
        let mut wanted = self.room.below();
        if wanted.is_some_and(|below| used <= below || batches == 0) {
            *wanted = None;
            self.room.eased.send_replace(());
        }
    }

    /// How many batches are in it, and the bytes that count.
    async fn used(&self) -> Result<(u64, u64), SpoolError> {
        let SpoolStatus { batches, bytes, promised_bytes, .. } = self.spool.status().await?;
        Ok((batches, bytes + promised_bytes))
    }

    /// Something was decided about some of those that nobody had answered for, of which there were so many.
    async fn known(&self, before: u64) -> Result<(), SpoolError> {
        let left = self.spool.status().await?.of(SpoolState::Unknown);
        self.counts.unknown.fetch_sub(before.saturating_sub(left), Relaxed);
        self.changed.send_replace(());
        Ok(())
    }

    /// Counts what was born, and has whoever waits look for it.
    fn births(&self) {
        let Born { records, cut } = self.spool.born();
        let before = self.counts.follow_ups.fetch_max(records, Relaxed);
        self.counts.cut.fetch_max(cut, Relaxed);
        if before < records {
            self.changed.send_replace(());
        }
    }

    fn settled<'a>(&self, settled: impl IntoIterator<Item = (Span, &'a Settling)>) {
        let add = |counter: &AtomicU64, records: u64| counter.fetch_add(records, Relaxed);
        self.births();
        for (span, settling) in settled {
            let records = u64::from(span.len());
            match settling {
                Settling::Succeeded(remark) => {
                    add(&self.counts.succeeded, records);
                    add(&self.counts.warned, if remark.is_some() { records } else { 0 });
                }
                Settling::Failed { .. } => {
                    add(&self.counts.retries, 1);
                }
                Settling::Discarded(_) => {
                    add(&self.counts.discarded, records);
                }
                Settling::Unknown(_) => {
                    add(&self.counts.unknown, records);
                }
            }
        }
    }
}

#[async_trait]
impl Spool for Tallied {
    async fn take(&self, incoming: Vec<Incoming>, now: Millis) -> Result<Taken, SpoolError> {
        let taken = self.fits(self.spool.take(incoming, now).await).await?;
        self.counts.taken.fetch_add(taken.records, Relaxed);
        self.counts.known.fetch_add(taken.known, Relaxed);
        self.changed.send_replace(());
        Ok(taken)
    }

    async fn forget(&self, partition: Option<&str>) -> Result<(), SpoolError> {
        self.spool.forget(partition).await
    }

    async fn claim(&self, claim: Claim) -> Result<Vec<Part>, SpoolError> {
        self.spool.claim(claim).await
    }

    async fn give_back(&self, parts: Vec<(i64, Span)>, now: Millis) -> Result<(), SpoolError> {
        let some = !parts.is_empty();
        self.spool.give_back(parts, now).await?;
        if some {
            self.changed.send_replace(());
        }
        Ok(())
    }

    async fn due(&self, action: u32) -> Result<Option<Millis>, SpoolError> {
        self.spool.due(action).await
    }

    async fn backlog(&self, action: u32) -> Result<Backlog, SpoolError> {
        self.spool.backlog(action).await
    }

    async fn stage(&self, upload: NewUpload, settled: Vec<(i64, Span, Settling)>, now: Millis) -> Result<i64, SpoolError> {
        let action = upload.action;
        let id = self.spool.stage(upload, settled.clone(), now).await?;
        self.counts.goes_on(Some(action));
        self.settled(settled.iter().map(|(_, span, settling)| (*span, settling)));
        self.may_have_room().await;
        Ok(id)
    }

    async fn promise(&self, promises: Vec<Promise>) -> Result<(), SpoolError> {
        self.spool.promise(promises).await
    }

    async fn promise_written(&self, written: Vec<Written>) -> Result<Vec<i64>, SpoolError> {
        self.spool.promise_written(written).await
    }

    async fn forgo(&self, action: u32) -> Result<u64, SpoolError> {
        let follow_ups = self.spool.forgo(action).await?;
        self.may_have_room().await;
        Ok(follow_ups)
    }

    async fn bear(&self, promises: Vec<(i64, Vec<Span>)>, now: Millis) -> Result<(), SpoolError> {
        self.spool.bear(promises, now).await?;
        self.births();
        self.may_have_room().await;
        Ok(())
    }

    async fn forget_written(&self) -> Result<(), SpoolError> {
        self.spool.forget_written().await?;
        self.may_have_room().await;
        Ok(())
    }

    async fn room(&self) -> Result<(), SpoolError> {
        self.fits(self.spool.room().await).await
    }

    fn born(&self) -> Born {
        self.spool.born()
    }

    async fn settle(&self, settled: Vec<(i64, Span, Settling)>, now: Millis) -> Result<(), SpoolError> {
        self.spool.settle(settled.clone(), now).await?;
        if !settled.is_empty() {
            self.counts.goes_on(None);
        }
        self.settled(settled.iter().map(|(_, span, settling)| (*span, settling)));
        // Somebody may have given up the last that there was.
        if settled.iter().any(|(.., settling)| matches!(settling, Settling::Discarded(_))) {
            self.changed.send_replace(());
        }
        self.may_have_room().await;
        Ok(())
    }

    async fn step(&self, upload: i64, step: Step, now: Millis) -> Result<StoredUpload, SpoolError> {
        let outcomes = step.outcomes.clone();
        let stored = self.spool.step(upload, step, now).await?;
        self.counts.goes_on(Some(stored.action));
        self.settled(outcomes.iter().map(|(span, settling)| (*span, settling)));
        self.may_have_room().await;
        Ok(stored)
    }

    async fn uploads(&self) -> Result<Vec<StoredUpload>, SpoolError> {
        self.spool.uploads().await
    }

    async fn lines(&self, upload: i64, lines: Span) -> Result<Vec<Part>, SpoolError> {
        self.spool.lines(upload, lines).await
    }

    async fn records(&self, selection: Selection, after: (i64, u32), most: u32) -> Result<Vec<SpoolRecords>, SpoolError> {
        self.spool.records(selection, after, most).await
    }

    async fn hurry(&self, selection: Selection, now: Millis) -> Result<u64, SpoolError> {
        let unknown = self.spool.status().await?.of(SpoolState::Unknown);
        let hurried = self.spool.hurry(selection, now).await?;
        self.known(unknown).await?;
        Ok(hurried)
    }

    async fn reserve(&self, selection: Selection, most: u32, now: Millis) -> Result<Vec<Part>, SpoolError> {
        let unknown = self.spool.status().await?.of(SpoolState::Unknown);
        let parts = self.spool.reserve(selection, most, now).await?;
        self.known(unknown).await?;
        Ok(parts)
    }

    async fn recover(&self, action: Option<u32>, now: Millis) -> Result<(), SpoolError> {
        self.spool.recover(action, now).await
    }

    async fn actions(&self) -> Result<BTreeMap<u32, String>, SpoolError> {
        self.spool.actions().await
    }

    async fn status(&self) -> Result<SpoolStatus, SpoolError> {
        self.spool.status().await
    }

    async fn transitions(&self, after: i64, most: u32) -> Result<Vec<(i64, Transition)>, SpoolError> {
        self.spool.transitions(after, most).await
    }

    async fn prune(&self, before: Millis) -> Result<u64, SpoolError> {
        self.spool.prune(before).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Size,
        record::BatchBuilder,
        store::spool::{ClaimOrder, SqliteSpool},
    };

    fn incoming(sequences: std::ops::Range<u64>) -> Incoming {
        let mut batch = BatchBuilder::with_capacity(20, 1 << 16, false, None);
        let mut random = fastrand::Rng::with_seed(sequences.start);
        for sequence in sequences {
            // It does not get any smaller.
            let value: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(200).collect();
            batch.push(sequence, None, &value).unwrap();
        }
        Incoming { action: 0, version: None, label: "p".into(), batch: batch.finish("pipe", "p".into()), again: false }
    }

    #[tokio::test]
    async fn who_found_no_room_is_told_once_there_is_some_and_nobody_before() {
        let folder = tempfile::tempdir().unwrap();
        let spool = SqliteSpool::open(&folder.path().join("spool.db"), Size::from_kib(16)).unwrap();
        let spool = Tallied::new(Arc::new(spool)).await.unwrap();
        let eases = spool.eases();
        let mut taken = 0;
        while spool.take(vec![incoming(taken..taken + 20)], 1).await.is_ok() {
            taken += 20;
        }
        assert!(taken > 40 && !eases.has_changed().unwrap());
        let claim = Claim { action: 0, now: 1, records: 20, bytes: u64::MAX, order: ClaimOrder::Any };
        let ended =
            |parts: Vec<Part>, settling: Settling| parts.iter().map(|part| (part.row, part.span, settling.clone())).collect();
        let failed = Settling::Failed { due: 9, counted: true, reason: "no".into() };
        spool.settle(ended(spool.claim(claim).await.unwrap(), failed), 1).await.unwrap();
        assert!(!eases.has_changed().unwrap(), "it is retried, and takes the room that it took");
        let first = spool.claim(claim).await.unwrap();
        spool.settle(ended(first, Settling::Succeeded(None)), 2).await.unwrap();
        assert!(eases.has_changed().unwrap());
        spool.take(vec![incoming(taken..taken + 20)], 3).await.unwrap();
    }
}
