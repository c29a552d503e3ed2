//! Random pipelines on random far sides, in virtual time: whatever happens, the promises hold.
//!
//! Each case is made from one seed, which a failure prints; `WHARF_TEST_SEED=n` runs that one alone. A case runs a pipeline over and over, as an
//! operator would, and breaks some of the runs off in the middle, as a crash does; what is in the store and at the far sides stays.

mod far;
mod rest;
mod room;
mod shop;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::watch;

use self::{
    far::{Fake, World},
    rest::{MemoryStore, Partitions},
    shop::{Act, FakeProcessor, Shop, made},
};
use super::{
    Delivery, DestinationError, Ended, Gate, Outlet, Pipeline, PipelineError, Policy, ProcessorError, Rate, Step, Stopping,
    Surroundings,
};
use crate::{
    clock::{Clock, VirtualClock},
    config::{self, Interval, OnUnknown, Retry, Then},
    connector::descriptor::Order,
    store::StoreError,
};

/// Cases of an ordinary run, and of a long one.
const CASES: (u64, u64) = (2000, 20_000);

/// Runs after which a case must have come to its end.
const RUNS: u32 = 200;

/// Moves of the clock after which a run must have come to its end, or be broken off.
const MOVES: u32 = 20_000;

/// A processor, and what happens where it fails.
type Maker = (Arc<Mutex<Shop>>, Retry, OnUnknown);

/// What a case is made of.
struct Case {
    rng: fastrand::Rng,
    window: u32,
    /// Whether cuts are made again.
    exact: bool,
    /// How long checkpoints wait.
    interval: Duration,
    partitions: Partitions,
    outlets: Vec<(Delivery, Order, Arc<Mutex<World>>)>,
    /// The processors of the pipeline, and of each destination.
    processors: (Vec<Maker>, Vec<Vec<Maker>>),
    /// Of so many records, how many the pipeline's processors may give up.
    tolerance: (u32, u32),
    /// How many more runs are broken off.
    crashes: u32,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let partitions = Partitions::new(&mut rng);
        let outlets: Vec<_> = (0..rng.usize(1..=3)).map(|_| outlet(&mut rng)).collect();
        let exact = rng.u32(0..3) == 0;
        let chain =
            |rng: &mut fastrand::Rng| -> Vec<Maker> { (0..[0, 0, 1, 2][rng.usize(0..4)]).map(|_| maker(rng, exact)).collect() };
        let processors = (chain(&mut rng), outlets.iter().map(|_| chain(&mut rng)).collect());
        for (_, _, world) in outlets.iter().filter(|_| exact) {
            world.lock().unwrap().exact = Some(HashMap::new());
        }
        let interval = Duration::from_millis(if rng.bool() { 0 } else { rng.u64(1..2000) });
        Self {
            window: rng.u32(1..=5),
            exact,
            processors,
            tolerance: if rng.u32(0..5) == 0 { (1000, rng.u32(0..3)) } else { (0, 0) },
            interval,
            partitions,
            outlets,
            crashes: rng.u32(0..4),
            rng,
        }
    }

    /// How many records processors make of one at the most.
    fn several(&self) -> u32 {
        let explodes =
            |chain: &[Maker]| chain.iter().filter(|(shop, _, _)| matches!(shop.lock().unwrap().act, Act::Explode)).count() as u32;
        let of_one = self.processors.1.iter().map(|chain| explodes(chain)).max().unwrap_or_default();
        shop::COPIES.pow(explodes(&self.processors.0) + of_one)
    }

    /// Runs until all is settled.
    fn run(mut self) -> Result<(), String> {
        let faults = if self.rng.bool() { 0 } else { self.rng.u32(1..20) };
        // At least as many as are given up of a portion, of whose records processors may make several.
        let most = self.several() as usize;
        let room = (self.rng.u32(0..3) == 0).then(|| most * self.rng.usize(8..40));
        let store = Arc::new(MemoryStore::failing(self.rng.u64(..), faults, room));
        for _ in 0..RUNS {
            store.looked_at();
            let moves = if self.crashes > 0 { self.rng.u32(0..60) } else { MOVES };
            let Some(ended) = self.once(&store, moves)? else {
                if self.crashes == 0 {
                    return Err("a run comes to no end".into());
                }
                self.crashes -= 1;
                continue;
            };
            let counts = &ended.counts;
            for destination in &counts.destinations {
                let settled = destination.delivered + destination.filtered + destination.dead_lettered;
                if settled + destination.pending != counts.read + counts.carried {
                    return Err(format!("the counts do not add up: {counts:?}"));
                }
                if destination.unknown > destination.pending {
                    return Err(format!("more is unknown than pending: {counts:?}"));
                }
            }
            if let Some(PipelineError::Store(StoreError::DeadLettersFull { destination: Some(full), .. })) = &ended.error
                && self.outlets[full[1..].parse::<usize>().unwrap()].0.best_effort
            {
                return Err(format!("the pipeline stopped for {full}, which is to pause alone"));
            }
            let pending = counts.destinations.iter().any(|destination| destination.pending > 0);
            if pending && ended.error.is_none() {
                return Err(format!("something is pending and nothing says why: {counts:?}"));
            }
            if ended.error.as_ref().is_some_and(too_many) {
                // An operator looks, and lets more be given up.
                self.tolerance = (0, 0);
                for (delivery, _, world) in &mut self.outlets {
                    delivery.tolerance = (0, 0);
                    world.lock().unwrap().tolerance = None;
                }
            }
            if !pending && store.is_done(&self.partitions) {
                return self.holds(&store);
            }
            if let Some(error) = &ended.error
                && !pending
                && !matches!(error, PipelineError::TooMany { .. })
            {
                return Err(format!("it failed, and nothing is pending: {error}"));
            }
        }
        Err("it comes to no end".into())
    }

    /// One run; `None` where it is broken off after so many moves of the clock.
    fn once(&mut self, store: &Arc<MemoryStore>, moves: u32) -> Result<Option<Ended>, String> {
        let executor = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let time = VirtualClock::seeded(self.rng.u64(..));
        let clock = time.clock();
        let window = self.window;
        // What waits to be written is settled, and the store does not know of it; nor does it of what goes past one that is left behind.
        let bounded = (self.interval.is_zero() && !store.may_be_full()).then_some(window);
        let (source, read_before) = self.partitions.source(store, clock.clone(), self.rng.u64(..), bounded);
        let outlets: Vec<Outlet> = self
            .outlets
            .iter()
            .enumerate()
            .map(|(index, (delivery, order, world))| {
                world.lock().unwrap().begin();
                let far = Fake { world: world.clone(), clock: clock.clone(), order: *order };
                let mut outlet = Outlet::new(format!("d{index}").into(), Arc::new(far), delivery.clone());
                outlet.processors = steps(&self.processors.1[index], &clock);
                outlet
            })
            .collect();
        let worlds: Vec<_> = self.outlets.iter().map(|(_, _, world)| world.clone()).collect();
        let makers = self.processors.0.iter().chain(self.processors.1.iter().flatten());
        let shops: Vec<_> = makers.map(|(shop, _, _)| shop.clone()).collect();
        let entrance = Gate::default();
        let gates: Vec<_> = outlets.iter().map(|outlet| outlet.gate.clone()).chain([entrance.clone()]).collect();
        let pipeline = Pipeline {
            id: "p".into(),
            source: Box::new(source),
            processors: steps(&self.processors.0, &clock),
            outlets,
            window,
            checkpoint_interval: self.interval,
            tolerance: self.tolerance,
            read_before,
            exact_batches: self.exact.then(|| store.cuts_now()),
        };
        let progress = pipeline.progress();
        let seen = progress.clone();
        let (_stop, stop) = watch::channel(Stopping::No);
        let kept: Arc<dyn crate::store::Store> = store.clone();
        let before = store.writes();
        let ended = executor.block_on(async {
            let surroundings = Surroundings { store: kept, clock: clock.clone(), stop, entrance };
            let mut run = tokio::spawn(pipeline.run(surroundings, progress));
            for _ in 0..moves {
                // Whoever can go on does so before time passes.
                for _ in 0..200 {
                    if run.is_finished() {
                        return (&mut run).await.map(Some).map_err(|error| error.to_string());
                    }
                    tokio::task::yield_now().await;
                }
                if time.advance_to_next() {
                    continue;
                }
                // What waits for a person gets one, who has mended what was wrong.
                worlds.iter().for_each(|world| world.lock().unwrap().mended());
                shops.iter().for_each(|shop| shop.lock().unwrap().mended());
                if gates.iter().filter(|gate| gate.resume()).count() == 0 {
                    return Err(format!("nobody has anything to do, and it is not at its end: {:?}", seen.counts()));
                }
            }
            Ok(None)
        });
        // Checkpoints wait for each other: one write for each interval, before whatever cannot wait, and at the end.
        let writes = store.writes();
        let (alone, others) = (writes.0 - before.0, u128::from(writes.1 - before.1));
        let intervals = clock.elapsed().as_millis().checked_div(self.interval.as_millis());
        if let Some(most) = intervals.map(|intervals| intervals + others + 2)
            && u128::from(alone) > most
        {
            return Err(format!("checkpoints were written {alone} times in {intervals:?} intervals, and {others} times more"));
        }
        ended
    }

    /// What must be true once all is settled.
    fn holds(&self, store: &MemoryStore) -> Result<(), String> {
        for (shop, _, _) in self.processors.0.iter().chain(self.processors.1.iter().flatten()) {
            if let Some(fault) = &shop.lock().unwrap().fault {
                return Err(format!("a processor: {fault}"));
            }
        }
        for (index, (delivery, order, world)) in self.outlets.iter().enumerate() {
            let letters = store.letters(&format!("d{index}"));
            let shops: Vec<_> =
                self.processors.0.iter().chain(&self.processors.1[index]).map(|(shop, _, _)| shop.clone()).collect();
            let world = world.lock().unwrap();
            if let Some(fault) = &world.fault {
                return Err(format!("d{index}: {fault}"));
            }
            for (partition, keys) in self.partitions.all() {
                let group = |sequence: u64| (by_key(delivery, *order)).then(|| keys[sequence as usize]);
                let mut all: HashMap<u64, BTreeSet<u32>> = HashMap::new();
                for run in &world.delivered {
                    let mut latest = HashMap::new();
                    for (_, sequence, ordinal) in run.iter().filter(|(of, _, _)| of == partition) {
                        all.entry(*sequence).or_default().insert(*ordinal);
                        let before = latest.insert(group(*sequence), (*sequence, *ordinal));
                        if delivery.ordered && before >= Some((*sequence, *ordinal)) {
                            return Err(format!("d{index}: {partition}/{sequence}.{ordinal} came behind {before:?}"));
                        }
                    }
                }
                let letters: Vec<_> = letters.iter().filter(|letter| *letter.partition == *partition).collect();
                for sequence in 0..keys.len() as u64 {
                    let of: Vec<_> = letters.iter().filter(|letter| letter.sequence == sequence).collect();
                    // A destination gives up one of several, a source or a processor all that it would have become.
                    if of.iter().any(|letter| letter.reason.connector.as_deref() != Some("fake 1.0.0")) {
                        continue;
                    }
                    let (made, rejected) = made(&shops, sequence);
                    let dealt: BTreeSet<u32> = of.iter().map(|letter| letter.ordinal).collect();
                    let mut dealt: Vec<u32> = dealt.union(&all.remove(&sequence).unwrap_or_default()).copied().collect();
                    dealt.sort_unstable();
                    if rejected || dealt != made {
                        return Err(format!("d{index}: of {partition}/{sequence} came {dealt:?} and not {made:?} ({rejected})"));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Whether more was given up than may.
fn too_many(error: &PipelineError) -> bool {
    let processor = |error: &ProcessorError| matches!(error, ProcessorError::TooMany { .. });
    match error {
        PipelineError::TooMany { .. } | PipelineError::Destination { cause: DestinationError::TooMany { .. }, .. } => true,
        PipelineError::Destination { cause: DestinationError::Processor(error), .. } => processor(error),
        PipelineError::Processor(error) => processor(error),
        _ => false,
    }
}

/// A processor; where it is to be harmless, one that gives up nothing in one run that goes through in another.
fn maker(rng: &mut fastrand::Rng, harmless: bool) -> Maker {
    let mut shop = Shop::new(rng);
    shop.harmless = harmless;
    let millis = |rng: &mut fastrand::Rng, most: u64| Some(Interval::from_millis(rng.u64(1..=most)));
    let retry = Retry {
        min_delay: millis(rng, 2000),
        max_delay: millis(rng, 60_000),
        factor: Some(rng.u32(1..4)),
        max_attempts: rng.bool().then(|| rng.u32(1..5)),
        then: Some(if harmless { Then::Stop } else { [Then::Stop, Then::DeadLetter][rng.usize(0..2)] }),
        ..Retry::default()
    };
    let on_unknown = [OnUnknown::Retry, OnUnknown::Hold, OnUnknown::DeadLetter][rng.usize(0..if harmless { 2 } else { 3 })];
    (Arc::new(Mutex::new(shop)), retry, on_unknown)
}

fn steps(makers: &[Maker], clock: &Clock) -> Vec<Step> {
    let step = |(shop, retry, on_unknown): &Maker| {
        shop.lock().unwrap().mended();
        Step {
            processor: Arc::new(FakeProcessor { shop: shop.clone(), clock: clock.clone() }),
            retry: Policy::RECORD.with(retry),
            outage: Policy::OUTAGE.with(&Retry { max_attempts: None, ..*retry }),
            throttle: (Duration::from_millis(1), Duration::from_secs(10)),
            on_unknown: *on_unknown,
            computes: false,
        }
    };
    makers.iter().map(step).collect()
}

/// Whether order holds among the records of a key alone.
fn by_key(delivery: &Delivery, order: Order) -> bool {
    order == Order::Key || delivery.lanes > 1
}

/// A destination with a policy of its own.
fn outlet(rng: &mut fastrand::Rng) -> (Delivery, Order, Arc<Mutex<World>>) {
    let millis = |rng: &mut fastrand::Rng, most: u64| Some(Interval::from_millis(rng.u64(1..=most)));
    let order = [Order::Batch, Order::Key, Order::None][rng.usize(0..3)];
    let retry = Retry {
        min_delay: millis(rng, 2000),
        max_delay: millis(rng, 60_000),
        factor: Some(rng.u32(1..4)),
        max_attempts: rng.bool().then(|| rng.u32(1..5)),
        then: Some([Then::Stop, Then::DeadLetter][rng.usize(0..2)]),
        ..Retry::default()
    };
    let outage = Retry { max_attempts: (rng.u32(0..4) == 0).then(|| rng.u32(2..6)), then: Some(Then::Stop), ..retry };
    let rate = config::Rate { records: (rng.u32(0..4) == 0).then(|| rng.u32(1..50)), ..config::Rate::default() };
    let mut delivery = Delivery {
        ordered: order != Order::None && rng.u32(0..5) > 0,
        lanes: if rng.u32(0..3) == 0 { rng.u32(2..4) } else { 1 },
        retry: Policy::RECORD.with(&retry),
        outage: Policy::OUTAGE.with(&outage),
        throttle: (Duration::from_millis(1), Duration::from_secs(10)),
        on_unknown: [OnUnknown::Retry, OnUnknown::Hold, OnUnknown::DeadLetter][rng.usize(0..3)],
        most: (if rng.bool() { u32::MAX } else { rng.u32(1..6) }, u64::MAX),
        rate: Rate::new(&rate).map(Arc::new),
        best_effort: rng.u32(0..5) == 0,
        tolerance: (0, 0),
        ..Delivery::default()
    };
    let faults = rng.u32(0..30);
    let mut world = World::new(rng.u64(..), faults);
    if delivery.lanes == 1 && !delivery.best_effort && rng.u32(0..4) == 0 {
        let most = rng.u32(0..3);
        world.tolerance = Some(most);
        delivery.tolerance = (1_000_000, most);
    }
    (delivery, order, Arc::new(Mutex::new(world)))
}

#[test]
fn whatever_far_sides_do_every_record_is_dealt_with_in_order_and_accounted_for() {
    let chosen = std::env::var("WHARF_TEST_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    let long = std::env::var_os("WHARF_TEST_LONG").is_some();
    let seeds = match chosen {
        Some(seed) => seed..seed + 1,
        None => 0..if long { CASES.1 } else { CASES.0 },
    };
    for seed in seeds {
        if let Err(fault) = Case::new(seed).run() {
            panic!("WHARF_TEST_SEED={seed}: {fault}");
        }
    }
}
