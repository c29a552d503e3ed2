//! Dead letters that are sent again, each from where it was given up.
//!
//! They are read in the order of their records, a page at a time, and cut into portions that enter the pipeline at one place each: at a processor, or at
//! one destination. What is delivered is removed from the store, and what fails again is kept, together: a kill in the middle leaves a letter to be sent
//! again, with the same key. A letter that is written while they are sent is not among them.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;

use super::{
    Running, StartError,
    life::Life,
    lives::Lives,
    means::Gates,
    start::{Opened, open},
};
use crate::{
    clock::Clock,
    config,
    plan::{Plan, PlannedPipeline, Until},
    record::{BatchBuilder, Record},
    source::{Cut, Portion, SentAgain, Source, SourceError},
    store::{KeptLetter, LetterFilter, LetterStore, ReplayPlace, SqliteStore},
};

/// Pipelines that are sending dead letters again.
pub struct Replaying {
    /// They.
    pub running: Running,
    /// What is not sent again, for each of them, in order.
    pub left: Vec<Arc<Left>>,
}

/// Dead letters that are left as they are.
#[derive(Debug, Default)]
pub struct Left {
    unreadable: AtomicU64,
    gone: AtomicU64,
    unplaced: AtomicU64,
}

/// Why a dead letter is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stays {
    Unreadable,
    Gone,
    Unplaced,
}

impl Left {
    fn note(&self, why: Stays) {
        let count = match why {
            Stays::Unreadable => &self.unreadable,
            Stays::Gone => &self.gone,
            Stays::Unplaced => &self.unplaced,
        };
        count.fetch_add(1, Relaxed);
    }

    /// Those that no source could read: they are no records.
    pub fn unreadable(&self) -> u64 {
        self.unreadable.load(Relaxed)
    }

    /// Those whose destination or processor is not in the pipeline file any more.
    pub fn gone(&self) -> u64 {
        self.gone.load(Relaxed)
    }

    /// Those of an earlier version of wharf that did not note whether a processor gave them up, where one may have.
    pub fn unplaced(&self) -> u64 {
        self.unplaced.load(Relaxed)
    }
}

/// Sends the dead letters of a plan's pipelines again, as far as the filter means them.
///
/// Whatever fails again is kept, and nothing is too much: no tolerance holds, and no destination is left to fall behind.
///
/// # Errors
/// As [`super::start`], and where there is no data directory.
pub async fn replay(mut plan: Plan, clock: Clock, run: &str, filter: &LetterFilter) -> Result<Replaying, StartError> {
    // What goes out as files does so now, and is waited for.
    plan.until = Until { settled: true, now: true };
    let Opened { means, data_dir } = open(&plan, clock, run, true).await?;
    let store = means.store.clone();
    let upto = store.last_letter().await?;
    let (mut first, mut left) = (Vec::new(), Vec::new());
    for planned in plan.pipelines {
        let own = LetterFilter { pipeline: Some(planned.id.to_string()), ..filter.clone() };
        let meant = filter.pipeline.as_deref().is_none_or(|pipeline| *pipeline == *planned.id);
        if !meant || store.count_letters(&own).await? == 0 {
            continue;
        }
        let planned = forgiving(planned);
        let source = Replay::new(store.clone(), &planned, own, upto);
        left.push(source.left.clone());
        let (kept, gates) = (means.kept(&planned), Gates::of(&planned, None).with_spools(&means, &planned, true).await?);
        let prepared = means.assemble(&planned, Box::new(source), Default::default(), None, &gates);
        first.push((Arc::new(planned), kept, gates, prepared));
    }
    let lives = first.into_iter();
    let lives = lives.map(|(planned, kept, gates, first)| Life::begin(planned, means.clone(), kept, gates, Ok(first))).collect();
    let lives = Arc::new(Lives::new(means, plan.data_dir, lives, plan.tokens, plan.shutdown_timeout.into()));
    Ok(Replaying { running: Running { lives, data_dir, desk: None }, left })
}

/// The same pipeline where nothing that fails is too much.
fn forgiving(mut planned: PlannedPipeline) -> PlannedPipeline {
    (planned.restart, planned.exact_batches) = (None, false);
    let config::DeadLetters { max_age, window, tolerance, .. } = &mut planned.dead_letters;
    // What is being sent is not to be removed for its age meanwhile.
    (*max_age, *window, *tolerance) = (None, 0, 0);
    for destination in &mut planned.destinations {
        let mut actions = (*destination.actions).clone();
        actions.routing.follow_ups = destination.action_names().iter().cloned().zip(0..).collect();
        destination.actions = Arc::new(actions);
        // One that keeps how far it got must not take a record for one that it had.
        destination.opening.scope = destination.opening.scope.with([("replay", "true".to_owned())]);
        destination.delivery.tolerance = (0, 0);
        // Nobody else waits: there is no reason to let it miss anything.
        destination.delivery.best_effort = false;
    }
    planned
}

/// The destination that alone gets a letter, and the processor that it comes to first.
type Entrance = (Option<Arc<str>>, Option<Arc<str>>);

/// What of a pipeline dead letters can enter at.
struct Places {
    processors: Vec<Arc<str>>,
    destinations: Vec<Place>,
}

struct Place {
    id: Arc<str>,
    /// Its connector's name, without the version.
    connector: String,
    processors: Vec<Arc<str>>,
}

impl Places {
    fn of(planned: &PlannedPipeline) -> Self {
        let ids = |processors: &[crate::connector::Processor]| processors.iter().map(|processor| processor.id.clone()).collect();
        let place = |destination: &crate::pipeline::Destination| Place {
            id: destination.id.clone(),
            connector: name_of(&destination.connector.title()).to_owned(),
            processors: ids(&destination.processors),
        };
        Self { processors: ids(&planned.processors), destinations: planned.destinations.iter().map(place).collect() }
    }

    /// Where a letter enters.
    fn entrance(&self, kept: &KeptLetter) -> Result<Entrance, Stays> {
        let letter = &kept.letter;
        let known = |ids: &[Arc<str>], id: &Arc<str>| ids.contains(id).then(|| Some(id.clone())).ok_or(Stays::Gone);
        let Some(destination) = &letter.destination else {
            return match &letter.processor {
                Some(processor) => Ok((None, known(&self.processors, processor)?)),
                None if letter.whole || &*letter.reason.kind == "unreadable" => Err(Stays::Unreadable),
                None => Err(Stays::Unplaced),
            };
        };
        let place = self.destinations.iter().find(|place| place.id == *destination).ok_or(Stays::Gone)?;
        let processor = match &letter.processor {
            Some(processor) => known(&place.processors, processor)?,
            None if letter.whole || place.processors.is_empty() => None,
            // It must not pass by a processor that it has not been through.
            None if letter.reason.connector.as_deref().is_some_and(|by| name_of(by) == place.connector) => None,
            None => return Err(Stays::Unplaced),
        };
        Ok((Some(destination.clone()), processor))
    }
}

/// The name in "name version".
fn name_of(title: &str) -> &str {
    title.rsplit_once(' ').map_or(title, |(name, _)| name)
}

/// Reads dead letters to be sent again.
struct Replay {
    store: SqliteStore,
    pipeline: Arc<str>,
    filter: LetterFilter,
    places: Places,
    cut: Cut,
    /// Those with larger numbers came later.
    upto: i64,
    at: ReplayPlace,
    ready: VecDeque<Portion>,
    left: Arc<Left>,
}

impl Replay {
    fn new(store: SqliteStore, planned: &PlannedPipeline, filter: LetterFilter, upto: i64) -> Self {
        Self {
            store,
            pipeline: planned.id.clone(),
            filter,
            places: Places::of(planned),
            cut: planned.batch.clone(),
            upto,
            at: ReplayPlace::default(),
            ready: VecDeque::new(),
            left: Arc::default(),
        }
    }

    /// Cuts a page into portions. Those of one destination stay in order, and so do all of them around those that every destination gets.
    fn cut(&mut self, page: &[KeptLetter]) -> Result<(), SourceError> {
        let mut open: Vec<Building> = Vec::new();
        for kept in page {
            let (destination, processor) = match self.places.entrance(kept) {
                Ok(entrance) => entrance,
                Err(why) => {
                    self.left.note(why);
                    continue;
                }
            };
            let mut at = 0;
            while let Some(building) = open.get(at) {
                let others = destination.is_none() || building.again.destination.is_none();
                let same = building.again.destination == destination;
                let ends = !same && others || same && !building.takes(kept, &processor, &self.cut) || !building.is_of(kept);
                if ends {
                    self.ready.push_back(open.remove(at).finish(&self.pipeline));
                } else {
                    at += 1;
                }
            }
            let found = open.iter().position(|building| building.again.destination == destination);
            let found = found.unwrap_or_else(|| {
                open.push(Building::new(kept, destination, processor));
                open.len() - 1
            });
            open[found].push(kept)?;
        }
        self.ready.extend(open.into_iter().map(|building| building.finish(&self.pipeline)));
        Ok(())
    }
}

#[async_trait]
impl Source for Replay {
    async fn read(&mut self) -> Result<Option<Portion>, SourceError> {
        loop {
            if let Some(portion) = self.ready.pop_front() {
                return Ok(Some(portion));
            }
            let Self { store, pipeline, filter, at, upto, cut, .. } = &*self;
            let page =
                store.letters_to_replay(pipeline, filter, at, *upto, cut.records).await.map_err(super::source::of_letters)?;
            let Some(last) = page.last() else { return Ok(None) };
            self.at = last.place();
            self.cut(&page)?;
        }
    }

    fn rereads(&self) -> bool {
        true
    }
}

/// A portion in the making.
struct Building {
    partition: Arc<str>,
    label: Arc<str>,
    again: SentAgain,
    batch: BatchBuilder,
}

impl Building {
    fn new(first: &KeptLetter, destination: Option<Arc<str>>, processor: Option<Arc<str>>) -> Self {
        let (partition, label) = (first.letter.partition.clone(), first.letter.label.clone());
        let again = SentAgain { destination, processor, letters: Vec::new() };
        Self { partition, label, again, batch: BatchBuilder::with_capacity(0, 0, false, None) }
    }

    fn is_of(&self, kept: &KeptLetter) -> bool {
        self.partition == kept.letter.partition
    }

    fn takes(&self, kept: &KeptLetter, processor: &Option<Arc<str>>, cut: &Cut) -> bool {
        let record = &kept.letter.record;
        self.again.processor == *processor
            && self.label == kept.letter.label
            && self.batch.len() < cut.records as usize
            && (self.batch.bytes() + record.bytes()) as u64 <= cut.bytes
            && self.batch.takes(&record.new_record(0, 0), record.metadata())
    }

    fn push(&mut self, kept: &KeptLetter) -> Result<(), SourceError> {
        let letter = &kept.letter;
        let record: &Record = &letter.record;
        let pushed = self.batch.push_record(&record.new_record(letter.sequence, letter.ordinal), record.metadata());
        pushed
            .map_err(|no_room| SourceError::Format { path: format!("dead letter {}", kept.id), reason: no_room.to_string() })?;
        self.again.letters.push((kept.id, letter.sequence));
        Ok(())
    }

    fn finish(self, pipeline: &str) -> Portion {
        let Self { partition, label, again, batch } = self;
        let next = again.letters.last().map_or(0, |(_, sequence)| sequence.saturating_add(1));
        let batch = (!batch.is_empty()).then(|| batch.finish(pipeline, partition.clone()));
        Portion { partition, label, batch, unreadable: Vec::new(), next, again: Some(again.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DeadLetter, Reason};

    fn kept(id: i64, sequence: u64, destination: Option<&str>, processor: Option<&str>) -> KeptLetter {
        let reason = Reason { kind: "rejected".into(), code: None, message: "no".into(), connector: Some("sink 1.0.0".into()) };
        let letter = DeadLetter {
            destination: destination.map(Into::into),
            processor: processor.map(Into::into),
            action: None,
            partition: if sequence < 100 { "p".into() } else { "q".into() },
            label: "l".into(),
            sequence,
            ordinal: 0,
            record: Record::plain("r".into()),
            whole: true,
            reason: Arc::new(reason),
            attempts: 1,
            at: "".into(),
        };
        KeptLetter { id, pipeline: "x".into(), letter }
    }

    fn replay() -> (tempfile::TempDir, Replay) {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("wharf.db")).unwrap();
        let place = |id: &str, processors: &[&str]| Place {
            id: id.into(),
            connector: "sink".into(),
            processors: processors.iter().map(|id| (*id).into()).collect(),
        };
        let places = Places { processors: vec!["select".into()], destinations: vec![place("a", &["mask"]), place("b", &[])] };
        let replay = Replay {
            store,
            pipeline: "x".into(),
            filter: LetterFilter::default(),
            places,
            cut: Cut { records: 3, bytes: 1000, delay: std::time::Duration::ZERO },
            upto: 99,
            at: ReplayPlace::default(),
            ready: VecDeque::new(),
            left: Arc::default(),
        };
        (folder, replay)
    }

    #[test]
    fn a_letter_enters_where_it_was_given_up_or_stays() {
        let (_folder, replay) = replay();
        let entrance = |kept: &KeptLetter| {
            replay.places.entrance(kept).map(|(destination, processor)| format!("{destination:?} {processor:?}"))
        };
        let at = |destination, processor| entrance(&kept(1, 1, destination, processor));
        assert_eq!(at(Some("a"), None).unwrap(), r#"Some("a") None"#);
        assert_eq!(at(Some("a"), Some("mask")).unwrap(), r#"Some("a") Some("mask")"#);
        assert_eq!(at(None, Some("select")).unwrap(), r#"None Some("select")"#);
        assert_eq!(at(None, None), Err(Stays::Unreadable));
        for (destination, processor) in [(Some("c"), None), (Some("b"), Some("mask")), (None, Some("mask"))] {
            assert_eq!(at(destination, processor), Err(Stays::Gone));
        }
        // An earlier version did not note whether it was a processor.
        let old = |destination, connector: &str, kind: &str| {
            let mut old = kept(1, 1, destination, None);
            let reason = Reason { connector: Some(connector.into()), kind: kind.into(), ..(*old.letter.reason).clone() };
            (old.letter.whole, old.letter.reason) = (false, Arc::new(reason));
            entrance(&old)
        };
        assert_eq!(old(Some("a"), "sink 0.9.0", "rejected").unwrap(), r#"Some("a") None"#);
        assert_eq!(old(Some("a"), "mask 0.9.0", "rejected"), Err(Stays::Unplaced));
        assert_eq!(old(Some("b"), "mask 0.9.0", "rejected").unwrap(), r#"Some("b") None"#);
        assert_eq!(old(None, "select 1.0.0", "rejected"), Err(Stays::Unplaced));
        assert_eq!(old(None, "", "unreadable"), Err(Stays::Unreadable));
    }

    #[test]
    fn portions_are_of_one_place_and_those_of_a_destination_stay_in_order() {
        let (_folder, mut replay) = replay();
        let (a, b) = (Some("a"), Some("b"));
        let page = [
            kept(1, 1, a, None),
            kept(2, 1, b, None),
            kept(3, 2, a, None),
            kept(4, 3, a, Some("mask")),
            kept(5, 4, b, None),
            kept(6, 5, None, Some("select")),
            kept(7, 6, None, None),
            kept(8, 7, a, None),
            kept(9, 8, b, None),
            kept(10, 9, b, None),
            kept(11, 10, b, None),
            kept(12, 11, b, None),
            kept(13, 100, b, None),
        ];
        replay.cut(&page).unwrap();
        let portions: Vec<_> = replay
            .ready
            .iter()
            .map(|portion| {
                let again = portion.again.as_ref().unwrap();
                let ids: Vec<i64> = again.letters.iter().map(|(id, _)| *id).collect();
                assert_eq!(portion.batch.as_ref().unwrap().count() as usize, ids.len());
                (again.destination.as_deref(), again.processor.as_deref(), ids, portion.next)
            })
            .collect();
        assert_eq!(
            portions,
            [
                (a, None, vec![1, 3], 3),
                (b, None, vec![2, 5], 5),
                (a, Some("mask"), vec![4], 4),
                (None, Some("select"), vec![6], 6),
                (b, None, vec![9, 10, 11], 11),
                (a, None, vec![8], 8),
                (b, None, vec![12], 12),
                (b, None, vec![13], 101),
            ]
        );
        assert_eq!((replay.left.unreadable(), replay.left.gone()), (1, 0));
    }
}
