//! Reading ahead.

use std::{
    collections::{BTreeMap, HashMap},
    future::poll_fn,
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::sync::{Semaphore, mpsc, watch};

use super::{
    Gate, PipelineError, ProcessorError, Progress, Stopping,
    cuts::Exact,
    stage::{Handed, Stage, Through, distinct},
    tolerance::Tolerance,
};
use crate::{
    clock::Clock,
    source::{Portion, Source, SourceError},
    store::DeadLetter,
};

/// A portion that comes so soon after the one before it is handed on together with others: to wake who gets it costs as much as many a
/// portion does, and where they come fast there is enough to do meanwhile.
const FAST: Duration = Duration::from_micros(250);

/// How reading ended.
#[derive(Debug)]
pub(super) struct Read {
    /// Why it does not go on.
    pub error: Option<PipelineError>,
    /// How far each partition was read.
    pub to: BTreeMap<String, u64>,
}

/// A portion on its way into the ledger.
#[derive(Debug)]
pub(super) struct Entered {
    /// Its number: they are counted.
    pub number: u64,
    pub portion: Arc<Portion>,
    /// What processors gave up of it, for every destination.
    pub letters: Vec<DeadLetter>,
    /// The place of the destination that alone gets it.
    pub only: Option<usize>,
}

/// Reads ahead, as far as the window lets it.
pub(super) struct Reader {
    pub source: Box<dyn Source>,
    /// Keeps cuts, where they are to be made again.
    pub exact: Option<Exact>,
    /// What changes records on their way to all destinations.
    pub stage: Option<Stage>,
    /// By the destination's place.
    pub senders: Vec<(usize, mpsc::Sender<Handed>)>,
    pub permits: Arc<Semaphore>,
    pub entered: mpsc::UnboundedSender<Entered>,
    pub progress: Arc<Progress>,
    pub read_before: HashMap<String, u64>,
    /// The number of the next portion.
    pub number: u64,
    /// What is to be handed on, with the place of the destination that alone gets it.
    pub waiting: Vec<(Handed, Option<usize>)>,
    /// So many portions are handed on together, where they come fast.
    pub together: usize,
    /// Shut, nothing is read.
    pub entrance: Gate,
    pub stop: watch::Receiver<Stopping>,
    pub cancelled: watch::Receiver<bool>,
    /// Of so many records, how many may be unreadable.
    pub tolerance: (u32, u32),
    pub clock: Clock,
    /// What comes next, where it was looked at.
    pub ahead: Ahead,
    /// Says that nothing comes behind the portion that is being processed.
    pub last: watch::Sender<bool>,
    /// Says that nothing more is handed on.
    pub read_all: watch::Sender<bool>,
}

/// What a source gives next. It is looked at before there is room for it, so that the end is known where nothing comes.
#[expect(clippy::large_enum_variant, reason = "there is one, and it is moved once a portion")]
pub(super) enum Ahead {
    Unknown,
    Portion(Portion),
    End(Result<(), SourceError>),
}

impl Reader {
    pub async fn run(mut self) -> Read {
        let mut to = BTreeMap::new();
        let mut tolerance = Tolerance::new(self.tolerance.0, self.tolerance.1);
        let (mut exceeded, mut read_before) = (None, Duration::ZERO);
        let (mut draining, open) = (false, Gate::default());
        let error = loop {
            if exceeded.is_some() {
                break exceeded;
            }
            let portion = {
                let Self { source, permits, entrance, ahead, waiting, senders, stop, cancelled, .. } = &mut self;
                // What was taken in comes through whoever has paused it: else nobody would ever know of it.
                let (entrance, until) = if draining { (&open, Stopping::Now) } else { (&*entrance, Stopping::Finish) };
                let mut next = pin!(next(source, permits, entrance, ahead));
                // What is read waits for more only as long as nobody has to wait for that. There may be room once reports are heard.
                let mut again = !waiting.is_empty();
                let next = poll_fn(|context| {
                    let next = next.as_mut().poll(context);
                    if next.is_pending() {
                        if std::mem::take(&mut again) {
                            context.waker().wake_by_ref();
                        } else {
                            hand_on(waiting, senders);
                        }
                    }
                    next
                });
                tokio::select! {
                    biased;
                    // The senders outlive this task.
                    _stop = stop.wait_for(|stop| *stop >= until) => None,
                    _cancel = cancelled.wait_for(|cancelled| *cancelled) => break None,
                    portion = next => Some(portion),
                }
            };
            let Some(portion) = portion else {
                if draining || self.source.rereads() || *self.stop.borrow() == Stopping::Now {
                    break None;
                }
                self.source.drain();
                draining = true;
                continue;
            };
            let portion = match portion {
                Ok(Some(portion)) => portion,
                Ok(None) => break None,
                Err(error) => break Some(error.into()),
            };
            if let Some(exact) = &mut self.exact
                && let Err(error) = exact.keep(&portion).await
            {
                break Some(error.into());
            }
            let (portion, too_many) = tolerated(portion, &mut tolerance);
            exceeded =
                too_many.map(|reason| PipelineError::TooMany { window: self.tolerance.0, tolerance: self.tolerance.1, reason });
            if exceeded.is_some() && self.exact.is_some() {
                // What stands before that line is a part of the cut, and goes with all of it.
                break exceeded;
            }
            let only = self.count(&portion);
            let read_at = self.clock.elapsed();
            self.progress.processes(Some(read_at));
            if portion.again.is_none() {
                to.insert(portion.partition.to_string(), portion.next);
            }
            let (portion, letters, partly) = match self.processed(portion).await {
                Ok(processed) => processed,
                Err(ProcessorError::Asked) => break None,
                Err(error) => break Some(error.into()),
            };
            let (portion, number) = (Arc::new(portion), self.number);
            self.number += 1;
            if self.entered.send(Entered { number, portion: portion.clone(), letters, only }).is_err() {
                break None;
            }
            self.waiting.push((Handed { number, portion, letters: Vec::new(), partly, read_at }, only));
            // Others may take long to come where processors or the disk have to be waited for.
            let fast = read_at.saturating_sub(read_before) < FAST && self.stage.is_none() && self.exact.is_none();
            if !fast || self.waiting.len() >= self.together {
                hand_on(&mut self.waiting, &self.senders);
            }
            read_before = read_at;
            self.progress.processes(None);
        };
        hand_on(&mut self.waiting, &self.senders);
        self.read_all.send_replace(true);
        if let Some(stage) = &mut self.stage {
            stage.close().await;
        }
        Read { error, to }
    }

    /// What processors make of a portion, and what they give up of it.
    async fn processed(&mut self, portion: Portion) -> Result<(Portion, Vec<DeadLetter>, Arc<[u64]>), ProcessorError> {
        let same = |portion| Ok((portion, Vec::new(), Arc::default()));
        let Self { stage: Some(stage), source, ahead, last, .. } = self else { return same(portion) };
        let again = portion.again.as_deref();
        let (Some(batch), None) = (&portion.batch, again.and_then(|again| again.destination.as_ref())) else {
            return same(portion);
        };
        let from = again.and_then(|again| again.processor.as_deref());
        let through = {
            let mut through = pin!(stage.process(batch, 0, &portion.label, (from, &[])));
            loop {
                tokio::select! {
                    biased;
                    through = &mut through => break through?,
                    // Whoever pauses has to know whether anything comes after it.
                    seen = look(source), if matches!(ahead, Ahead::Unknown) => {
                        last.send_replace(matches!(seen, Ahead::End(_)));
                        *ahead = seen;
                    }
                }
            }
        };
        let Through { batch, letters, filtered, partly } = through;
        self.progress.filtered(filtered);
        Ok((Portion { batch, ..portion }, letters, partly))
    }

    /// Counts what an earlier run had read as carried, the rest as read. Gives the place of the destination that alone gets the portion.
    fn count(&self, portion: &Portion) -> Option<usize> {
        if let (Some(again), Some(batch)) = (&portion.again, &portion.batch) {
            // Of several that a processor made of one, that one counts.
            let records = distinct(batch.sequences().iter().copied());
            self.progress.read(records, 0);
            return again.destination.as_deref().and_then(|only| self.progress.only(only, records));
        }
        let before = self.read_before.get(&*portion.partition).copied().unwrap_or_default();
        let records = portion.batch.as_ref().map_or(&[][..], |batch| batch.sequences());
        let again = records.partition_point(|sequence| *sequence < before)
            + portion.unreadable.iter().filter(|unreadable| unreadable.sequence < before).count();
        let all = records.len() + portion.unreadable.len();
        self.progress.read((all - again) as u64, again as u64);
        None
    }
}

/// Hands on what was read, to whom it is for.
fn hand_on(waiting: &mut Vec<(Handed, Option<usize>)>, senders: &[(usize, mpsc::Sender<Handed>)]) {
    for (handed, only) in waiting.drain(..) {
        for (_, sender) in senders.iter().filter(|(of, _)| only.is_none_or(|only| only == *of)) {
            // The channel is as long as the window: it is full only where its worker has ended.
            let _ended = sender.try_send(handed.clone());
        }
    }
}

/// What of a portion may be dealt with: up to the first line that is one too many which is no record, which is given with its reason.
fn tolerated(mut portion: Portion, tolerance: &mut Tolerance) -> (Portion, Option<String>) {
    let records = |portion: &Portion, before: u64| {
        portion.batch.as_ref().map_or(0, |batch| batch.sequences().partition_point(|sequence| *sequence < before))
    };
    let mut good = 0;
    for at in 0..portion.unreadable.len() {
        let sequence = portion.unreadable[at].sequence;
        let before = records(&portion, sequence);
        tolerance.succeeded((before - good) as u64);
        good = before;
        if tolerance.failed(1) == 0 {
            let reason = portion.unreadable.swap_remove(at).reason;
            portion.unreadable.truncate(at);
            portion.batch = portion.batch.filter(|_| before > 0).map(|batch| batch.slice(0..before as u32));
            portion.next = sequence;
            return (portion, Some(reason));
        }
    }
    tolerance.succeeded((records(&portion, u64::MAX) - good) as u64);
    (portion, None)
}

/// The next portion, once there is room for it in the window.
async fn next(
    source: &mut Box<dyn Source>,
    permits: &Semaphore,
    entrance: &Gate,
    ahead: &mut Ahead,
) -> Result<Option<Portion>, SourceError> {
    if matches!(ahead, Ahead::Unknown) {
        entrance.opened().await;
        *ahead = look(source).await;
    }
    entrance.opened().await;
    if matches!(ahead, Ahead::Portion(_))
        && let Ok(permit) = permits.acquire().await
    {
        // Given back when the portion is settled.
        permit.forget();
    }
    match std::mem::replace(ahead, Ahead::Unknown) {
        Ahead::Portion(portion) => Ok(Some(portion)),
        Ahead::End(end) => end.map(|()| None),
        Ahead::Unknown => Ok(None),
    }
}

async fn look(source: &mut Box<dyn Source>) -> Ahead {
    match source.read().await {
        Ok(Some(portion)) => Ahead::Portion(portion),
        Ok(None) => Ahead::End(Ok(())),
        Err(error) => Ahead::End(Err(error)),
    }
}
