//! Where records come from, and where it is kept what became of them: in memory, and in step with a virtual clock.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;

use crate::{
    clock::Clock,
    pipeline::ends,
    record::BatchBuilder,
    source::{Cuts, Portion, Source, SourceError, Unreadable},
    store::{Checkpoint, DeadLetter, Keeping, Settled, Store, StoreError, StoredCut},
};

/// The keys of the records of each partition, by sequence.
pub struct Partitions(BTreeMap<String, Vec<Option<u8>>>);

impl Partitions {
    pub fn new(rng: &mut fastrand::Rng) -> Self {
        let keys = rng.u8(1..6);
        let partition = |rng: &mut fastrand::Rng| {
            (0..rng.usize(0..40)).map(|_| (rng.u32(0..8) > 0).then(|| rng.u8(0..keys))).collect::<Vec<_>>()
        };
        Self((0..rng.usize(1..4)).map(|index| (format!("f{index}"), partition(rng))).collect())
    }

    pub fn all(&self) -> impl Iterator<Item = (&str, &[Option<u8>])> {
        self.0.iter().map(|(partition, keys)| (partition.as_str(), keys.as_slice()))
    }

    /// A source that stands where the checkpoints say, and how far it had been read before.
    pub fn source(
        &self,
        store: &Arc<MemoryStore>,
        clock: Clock,
        seed: u64,
        window: Option<u32>,
    ) -> (Records, HashMap<String, u64>) {
        let kept = store.0.lock().unwrap();
        let at = self.0.keys().map(|partition| (partition.clone(), kept.checkpoints.get(partition).copied().unwrap_or_default()));
        let records = Records {
            partitions: self.0.clone(),
            at: at.collect(),
            rng: fastrand::Rng::with_seed(seed),
            clock,
            store: store.clone(),
            read: 0,
            settled: kept.settled,
            window,
            ends: ends(&kept.cuts),
        };
        (records, kept.read_to.clone())
    }
}

/// Reads partitions by turns, in batches that are cut at random.
pub struct Records {
    partitions: BTreeMap<String, Vec<Option<u8>>>,
    at: BTreeMap<String, u64>,
    rng: fastrand::Rng,
    clock: Clock,
    store: Arc<MemoryStore>,
    /// Portions so far.
    read: u64,
    /// Portions that were settled when it began.
    settled: u64,
    window: Option<u32>,
    /// Where it cuts as it did before.
    ends: Cuts,
}

#[async_trait]
impl Source for Records {
    async fn read(&mut self) -> Result<Option<Portion>, SourceError> {
        self.clock.sleep(Duration::from_millis(self.rng.u64(0..30))).await;
        let settled = self.store.0.lock().unwrap().settled - self.settled;
        let most = self.window.map(|window| settled + u64::from(window) + 1);
        assert!(most.is_none_or(|most| self.read < most), "more is read ahead than the window lets, and one to know the end");
        let open: Vec<String> = self
            .partitions
            .iter()
            .filter(|(name, keys)| self.at[*name] < keys.len() as u64)
            .map(|(name, _)| name.clone())
            .collect();
        if open.is_empty() {
            return Ok(None);
        }
        self.read += 1;
        let partition = &open[self.rng.usize(0..open.len())];
        let (keys, at) = (&self.partitions[partition], self.at.entry(partition.clone()).or_default());
        let again = self.ends.get(partition).and_then(|ends| ends.iter().find(|end| *end > at).copied());
        let end = again.unwrap_or_else(|| (*at + self.rng.u64(1..8)).min(keys.len() as u64));
        let mut batch = BatchBuilder::with_capacity(8, 64, true, None);
        let mut unreadable = Vec::new();
        for sequence in *at..end {
            // The same ones each time.
            if sequence % 17 == 16 {
                unreadable.push(Unreadable { sequence, bytes: "?".into(), reason: "it is none".into() });
                continue;
            }
            let key = keys[sequence as usize];
            batch.push(sequence, key.as_ref().map(std::slice::from_ref), b"record").unwrap();
        }
        *at = end;
        let name: Arc<str> = partition.as_str().into();
        let batch = (!batch.is_empty()).then(|| batch.finish("p", name.clone()));
        Ok(Some(Portion { partition: name.clone(), label: name, batch, unreadable, next: end, again: None }))
    }

    fn rereads(&self) -> bool {
        true
    }
}

/// Keeps everything as long as a case lasts.
#[derive(Default)]
pub struct MemoryStore(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    checkpoints: HashMap<String, u64>,
    read_to: HashMap<String, u64>,
    letters: Vec<DeadLetter>,
    cuts: Vec<StoredCut>,
    /// How often something was settled as a whole.
    settled: u64,
    /// How often checkpoints alone were written, and how often anything else.
    writes: (u64, u64),
    /// How many more writes fail for now, and which.
    faults: u32,
    rng: Option<fastrand::Rng>,
    /// How many dead letters each destination has room for, and how many there are since somebody looked.
    room: Option<usize>,
    unseen: HashMap<Option<String>, usize>,
}

impl Inner {
    fn fails(&mut self) -> Result<(), StoreError> {
        let fails = self.faults > 0 && self.rng.as_mut().is_some_and(|rng| rng.u32(0..4) == 0);
        self.faults -= u32::from(fails);
        let error = || StoreError::Engine { doing: "write to", path: "store".into(), cause: "disk full".into(), passes: true };
        if fails { Err(error()) } else { Ok(()) }
    }

    fn move_to(&mut self, partition: String, next: u64) {
        self.settled += 1;
        let before = self.checkpoints.insert(partition.clone(), next).unwrap_or_default();
        assert!(before <= next, "the checkpoint of {partition} goes back from {before} to {next}");
        self.cuts.retain(|cut| cut.partition != partition || cut.next > next);
        let read_to = self.read_to.entry(partition).or_default();
        *read_to = next.max(*read_to);
    }
}

impl MemoryStore {
    /// One that fails so often, and has room for so many dead letters of each destination.
    pub fn failing(seed: u64, faults: u32, room: Option<usize>) -> Self {
        Self(Mutex::new(Inner { faults, room, rng: Some(fastrand::Rng::with_seed(seed)), ..Inner::default() }))
    }

    /// Whether it has room for so many dead letters and no more.
    pub fn may_be_full(&self) -> bool {
        self.0.lock().unwrap().room.is_some()
    }

    /// Somebody has looked at all dead letters, and removed them.
    pub fn looked_at(&self) {
        self.0.lock().unwrap().unseen.clear();
    }

    /// Whether all records are behind the checkpoints.
    pub fn is_done(&self, partitions: &Partitions) -> bool {
        let kept = self.0.lock().unwrap();
        partitions.all().all(|(name, keys)| kept.checkpoints.get(name).copied().unwrap_or_default() == keys.len() as u64)
    }

    /// How often checkpoints alone were written, and how often anything else.
    pub fn writes(&self) -> (u64, u64) {
        self.0.lock().unwrap().writes
    }

    /// The cuts that are not settled.
    pub fn cuts_now(&self) -> Vec<StoredCut> {
        self.0.lock().unwrap().cuts.clone()
    }

    /// What a destination, a processor or the source gave up of what one destination gets.
    pub fn letters(&self, destination: &str) -> Vec<DeadLetter> {
        let kept = self.0.lock().unwrap();
        let own = kept.letters.iter().filter(|letter| letter.destination.as_deref().is_none_or(|of| of == destination));
        own.cloned().collect()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn checkpoints(&self, _: &str) -> Result<Vec<Checkpoint>, StoreError> {
        Ok(Vec::new())
    }

    async fn settle_within(&self, _: &str, settled: Arc<Settled>, _: &Keeping) -> Result<(), StoreError> {
        let mut kept = self.0.lock().unwrap();
        kept.fails()?;
        let mut unseen = kept.unseen.clone();
        for letter in &settled.dead_letters {
            let destination = letter.destination.as_deref().map(str::to_owned);
            let letters = unseen.entry(destination.clone()).or_default();
            *letters += 1;
            if kept.room.is_some_and(|room| *letters > room) {
                let most = crate::config::Size::from_bytes(0);
                return Err(StoreError::DeadLettersFull { pipeline: "p".into(), destination, bytes: 0, most });
            }
        }
        kept.unseen = unseen;
        kept.writes.1 += 1;
        if let Some((partition, _, next)) = &settled.checkpoint {
            kept.move_to(partition.clone(), *next);
        }
        kept.letters.extend(settled.dead_letters.iter().cloned());
        Ok(())
    }

    async fn advance(&self, _: &str, checkpoints: Vec<(String, String, u64)>) -> Result<(), StoreError> {
        let mut kept = self.0.lock().unwrap();
        kept.fails()?;
        kept.writes.0 += 1;
        checkpoints.into_iter().for_each(|(partition, _, next)| kept.move_to(partition, next));
        Ok(())
    }

    async fn cut(&self, _: &str, cut: StoredCut) -> Result<(), StoreError> {
        let mut kept = self.0.lock().unwrap();
        kept.fails()?;
        let known = |known: &StoredCut| (&known.partition, known.first) == (&cut.partition, cut.first);
        assert!(!kept.cuts.iter().any(known), "it is there already: {cut:?}");
        kept.cuts.push(cut);
        kept.cuts.sort_by(|left, right| (&left.partition, left.first).cmp(&(&right.partition, right.first)));
        Ok(())
    }

    async fn cuts(&self, _: &str) -> Result<Vec<StoredCut>, StoreError> {
        Ok(self.cuts_now())
    }

    async fn read_to(&self, _: &str, partitions: Vec<(String, u64)>) -> Result<(), StoreError> {
        let mut kept = self.0.lock().unwrap();
        kept.fails()?;
        kept.read_to.extend(partitions);
        Ok(())
    }

    async fn dead_letters(&self, _: &str) -> Result<Vec<DeadLetter>, StoreError> {
        Ok(self.0.lock().unwrap().letters.clone())
    }
}
