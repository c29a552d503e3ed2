//! What a component costs: records a second, fuel and memory, and its start.
//!
//! Records are made up here and handed over in batches, one call after another; time is counted within the calls alone. Nothing is granted but
//! what a pipeline file grants that names the component.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::Trouble;
use crate::{
    clock::Clock,
    config::{self, Process},
    connector::{
        BulkSession, BulkTrouble, Connector, Loader, Opening, ProcessTrouble, ProcessorSession, Session, Trouble as Answered,
        settings::{Given, Problem},
    },
    plan::{self, PlanError},
    record::{Batch, BatchBuilder, Failure, Fate, Passed, Selection},
    sandbox::{Compiler, Engine, Scope, Usage},
};

/// How it is measured.
#[derive(Clone)]
pub struct Options {
    /// Settings, by name.
    pub settings: BTreeMap<String, Given>,
    /// A pipeline file that names the component, from which settings, grants and limits are taken.
    pub pipeline: Option<PathBuf>,
    /// Of the pipeline file, which destination or processor: its id. Needed where several are of this component.
    pub id: Option<String>,
    /// Records in a call; what the component prefers where nothing is said, or 1,000.
    pub batch: Option<u32>,
    /// Bytes of each record's value.
    pub bytes: usize,
    /// How long to go on.
    pub time: Duration,
}

/// What it came to.
#[derive(Debug)]
pub struct Figures {
    /// Name and version of the connector.
    pub connector: String,
    /// What was called: `write`, `transform` or `process`.
    pub call: &'static str,
    /// Records in a call.
    pub batch: u32,
    /// Bytes of each record's value.
    pub bytes: usize,
    /// Records handed over.
    pub records: u64,
    /// Of these, those that were not delivered, made into lines, or let through.
    pub lost: u64,
    /// Why the first of them was not.
    pub why: Option<String>,
    /// Time within the calls.
    pub time: Duration,
    /// Half of the calls took no longer.
    pub median: Duration,
    /// Of a hundred calls, 99 took no longer.
    pub slow: Duration,
    /// Units of fuel that a record took.
    pub fuel: u64,
    /// The most memory that the instance held, in bytes, and the most that it may.
    pub memory: (u64, u64),
    /// What it took to begin.
    pub start: Start,
}

/// What a component costs before its first record.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// To read, check and compile it, where its code is in no cache.
    pub compile: Duration,
    /// The same where it is.
    pub load: Duration,
    /// To make an instance and open a session in it; the median of several.
    pub open: Duration,
}

/// How often a session is opened to see what that takes.
const OPENED: usize = 11;
/// The most bytes of values in a call: beyond what any instance has room for by default, and what this process has.
const HANDED: u64 = 256 << 20;
/// Records in a call where neither the component nor anybody else says.
const BATCH: u32 = 1000;

/// A session that takes batches, of whatever kind.
enum Taker {
    Write(Session),
    Bulk(BulkSession),
    Process(ProcessorSession),
}

/// Measures a component.
///
/// # Errors
/// Where it cannot be loaded or opened, its settings are wrong, the pipeline file does not name it, or it ends its instance.
pub async fn bench(component: &Path, loader: &Loader, options: &Options) -> Result<Figures, Vec<Trouble>> {
    let compile = compiled_anew(component).await?;
    // Whatever the cache has not yet is put there.
    let connector = loader.load(component).await.map_err(|error| vec![load_failed(&error)])?;
    let began = Instant::now();
    loader.load(component).await.map_err(|error| vec![load_failed(&error)])?;
    let load = began.elapsed();

    let opening = match &options.pipeline {
        Some(pipeline) => planned(pipeline, options.id.as_deref(), &connector, loader).await?,
        None => checked(&connector, options).await?,
    };
    let mut opened = Vec::with_capacity(OPENED);
    for _ in 0..OPENED {
        let began = Instant::now();
        let session = Taker::open(&connector, &opening).await?;
        opened.push(began.elapsed());
        session.close().await?;
    }
    opened.sort();
    let start = Start { compile, load, open: opened[OPENED / 2] };

    let preferred = connector.descriptor.preferences.records.unwrap_or(BATCH);
    let most = connector.descriptor.bounds.records.unwrap_or(u32::MAX);
    let batch = options.batch.unwrap_or(preferred.min(most)).max(1);
    let handed = u64::from(batch) * options.bytes as u64;
    if handed > HANDED {
        let what = format!(
            "{batch} records of {} bytes are {handed} bytes in one call, and it may be {HANDED} at the most",
            options.bytes
        );
        return Err(vec![Trouble::hint_of(what, "make `--batch` or `--bytes` smaller")]);
    }
    let usage = Arc::new(Usage::default());
    let opening = Opening { usage: usage.clone(), ..opening };
    let mut session = Taker::open(&connector, &opening).await?;
    let mut made = Made { next: 0, bytes: options.bytes };
    let (mut calls, mut time) = (Vec::new(), Duration::ZERO);
    let (mut lost, mut why) = (0, None);
    let began = Instant::now();
    // At least one call that is not the first, which grows the memory.
    while calls.len() < 2 || began.elapsed() < options.time {
        let records = made.batch(batch)?;
        let called = Instant::now();
        let (missed, reason) = session.take(&records).await?;
        let took = called.elapsed();
        time += took;
        calls.push(took);
        lost += u64::from(missed);
        why = why.or(reason);
    }
    let call = session.call();
    session.close().await?;
    calls.sort();
    let at = |share: usize| calls[(calls.len() * share / 100).min(calls.len() - 1)];
    Ok(Figures {
        connector: connector.title(),
        call,
        batch,
        bytes: options.bytes,
        records: calls.len() as u64 * u64::from(batch),
        lost,
        why,
        time,
        median: at(50),
        slow: at(99),
        fuel: usage.fuel_per_record().unwrap_or_default(),
        memory: (usage.memory_peak(), opening.limits.memory.bytes()),
        start,
    })
}

/// How long it takes to load a component whose code is in no cache.
async fn compiled_anew(component: &Path) -> Result<Duration, Vec<Trouble>> {
    let compiler = Compiler::this_program().unwrap_or(Compiler::Here);
    let engine = Engine::within(None, compiler, Process::default()).and_then(|engine| Loader::new(engine, Clock::system()));
    let bare = engine.map_err(|error| vec![Trouble::new(error.to_string())])?;
    let began = Instant::now();
    bare.load(component).await.map_err(|error| vec![load_failed(&error)])?;
    Ok(began.elapsed())
}

fn load_failed(error: &crate::connector::LoadError) -> Trouble {
    Trouble { hint: error.hint(), ..Trouble::new(error.to_string()) }
}

/// With settings alone, and nothing granted.
async fn checked(connector: &Connector, options: &Options) -> Result<Opening, Vec<Trouble>> {
    let scope = Scope::new([("pipeline", "bench"), ("destination", "bench")]);
    let opening = Opening { scope, ..Opening::default() };
    let checked = connector.check(&options.settings, &opening.limits, &opening.scope).await;
    match checked.map_err(|error| vec![Trouble::new(format!("{}: {error}", connector.title()))])? {
        Ok(settings) => Ok(Opening { settings, ..opening }),
        Err(problems) => {
            let hint =
                "say `--set NAME=VALUE`, or `--pipeline FILE` with a pipeline that uses it; `wharf inspect` tells its settings";
            let what = |problem: &Problem| match &*problem.parameter {
                "" => format!("{}: {}", connector.title(), problem.message),
                parameter => format!("{}: `{parameter}` {}", connector.title(), problem.message),
            };
            let told = |problem: &Problem| Trouble::hint_of(what(problem), problem.hint.as_deref().unwrap_or(hint));
            Err(problems.iter().map(told).collect())
        }
    }
}

/// As a pipeline file has it.
async fn planned(file: &Path, id: Option<&str>, connector: &Connector, loader: &Loader) -> Result<Opening, Vec<Trouble>> {
    let told = |error: &PlanError| {
        let place = error.place().map(|place| format!(" ({place})")).unwrap_or_default();
        Trouble { hint: error.hint(), ..Trouble::new(format!("{}{place}", error.what())) }
    };
    let read = config::load(file, &config::OwnEnvironment)
        .map_err(|mistakes| Vec::from(mistakes).iter().map(told).collect::<Vec<_>>())?;
    let plan = plan::plan(read, loader, "bench").await.map_err(|errors| errors.iter().map(told).collect::<Vec<_>>())?;
    let mut found = Vec::new();
    for pipeline in plan.pipelines {
        let processors = pipeline.processors.into_iter();
        let own = pipeline.destinations.into_iter().flat_map(|destination| {
            let own = destination.processors.into_iter().map(|processor| (processor.id, processor.connector, processor.opening));
            own.chain([(destination.id, destination.connector, destination.opening)]).collect::<Vec<_>>()
        });
        let all = processors.map(|processor| (processor.id, processor.connector, processor.opening)).chain(own);
        found.extend(all.filter(|(_, other, _)| other.digest == connector.digest));
    }
    let named: Vec<String> = found.iter().map(|(id, ..)| format!("`{id}`")).collect();
    let mut chosen = found.into_iter().filter(|(own, ..)| id.is_none_or(|id| **own == *id));
    match (chosen.next(), chosen.next(), named.is_empty()) {
        (Some((_, _, opening)), None, _) => Ok(opening),
        (Some(_), Some(_), _) => Err(vec![Trouble::hint_of(
            format!("{} names the component more than once", file.display()),
            format!("say which with `--id`: {}", named.join(", ")),
        )]),
        (None, _, false) => Err(vec![Trouble::hint_of(
            format!("{} has no `{}` of this component", file.display(), id.unwrap_or_default()),
            format!("name one of {}", named.join(", ")),
        )]),
        (None, _, true) => Err(vec![Trouble::hint_of(
            format!("{} does not use {}", file.display(), connector.path.display()),
            "name a pipeline file that has this very component; one that was built anew is another",
        )]),
    }
}

impl Taker {
    async fn open(connector: &Connector, opening: &Opening) -> Result<Self, Vec<Trouble>> {
        let offers = |interface| connector.outline.offers(interface);
        let opened = match () {
            () if offers("destination") => connector.open(opening).await.map(Self::Write),
            () if offers("bulk") => connector.open_bulk(opening).await.map(Self::Bulk),
            () => connector.open_processor(opening).await.map(Self::Process),
        };
        opened.map_err(|error| {
            let hint = "grant it what it needs in a pipeline file, and name that with `--pipeline`";
            vec![Trouble::failed(format!("{}: {error}", connector.title()), hint)]
        })
    }

    fn call(&self) -> &'static str {
        match self {
            Self::Write(_) => "write",
            Self::Bulk(_) => "transform",
            Self::Process(_) => "process",
        }
    }

    /// Hands over a batch. Gives how many of its records failed, and why the first of them did.
    async fn take(&mut self, batch: &Batch) -> Result<(u32, Option<String>), Vec<Trouble>> {
        let ended = |what: String| vec![Trouble::failed(what, "a limit is raised in a pipeline file, which `--pipeline` names")];
        let of = |failed: &mut dyn Iterator<Item = (u32, String)>| {
            failed.fold((0, None), |(count, why), (more, reason)| (count + more, why.or(Some(reason))))
        };
        Ok(match self {
            Self::Write(session) => {
                let answer = session.write(batch, 1).await;
                match answer.trouble {
                    Some(Answered::Ended(gone)) => return Err(ended(format!("{}: {gone}", session.title()))),
                    Some(Answered::Breach(breach)) => {
                        return Err(ended(format!("{} breaks the contract: {breach}", session.title())));
                    }
                    Some(Answered::Failed(_)) | None => {}
                }
                of(&mut answer.runs.into_iter().filter_map(|run| Some((run.records.len(), failed(&run.fate)?))))
            }
            Self::Bulk(session) => match session.transform(batch, 0, 1).await {
                Ok(lines) => of(&mut lines.failed().iter().map(|(records, failure)| (records.len(), failure.to_string()))),
                Err(BulkTrouble::Failed(failure)) => (batch.count(), Some(failure.to_string())),
                Err(trouble) => return Err(ended(format!("{}: {trouble}", session.title()))),
            },
            Self::Process(session) => match session.process(batch, &Selection::All, 1).await {
                Ok(derived) => of(&mut derived.passages().iter().filter_map(|passage| match &passage.passed {
                    Passed::Failed(failure) => Some((passage.records.len(), failure.to_string())),
                    _ => None,
                })),
                Err(ProcessTrouble::Failed(failure)) => (batch.count(), Some(failure.to_string())),
                Err(trouble) => return Err(ended(format!("{}: {trouble}", session.title()))),
            },
        })
    }

    async fn close(self) -> Result<(), Vec<Trouble>> {
        let (title, closed) = match self {
            Self::Write(session) => (session.title().to_owned(), session.close().await),
            Self::Bulk(session) => (session.title().to_owned(), session.close().await),
            Self::Process(session) => (session.title().to_owned(), session.close().await),
        };
        let told = |what: String| vec![Trouble::failed(format!("{title}: close: {what}"), "mend its `close`")];
        closed.map_err(|ended| told(ended.to_string()))?.map_err(|failure: Failure| told(failure.to_string()))
    }
}

/// Why records were not delivered, where they were not.
fn failed(fate: &Fate) -> Option<String> {
    match fate {
        Fate::Delivered | Fate::Warned(_) => None,
        Fate::Failed(failure) => Some(failure.to_string()),
        Fate::Untried => Some("not attempted".into()),
        Fate::Unknown => Some("no answer".into()),
    }
}

/// Records as they are made up: JSON with a number and as much text as fills it, and the number as the key.
struct Made {
    next: u64,
    bytes: usize,
}

impl Made {
    fn batch(&mut self, records: u32) -> Result<Batch, Vec<Trouble>> {
        let count = records as usize;
        let json = Some("application/json".into());
        let mut batch = BatchBuilder::with_capacity(count, count.saturating_mul(self.bytes), true, json);
        let mut value = String::new();
        for _ in 0..records {
            let number = self.next.to_string();
            value.clear();
            value.push_str(&format!("{{\"id\":{number},\"text\":\""));
            let fill = self.bytes.saturating_sub(value.len() + 2);
            value.extend(std::iter::repeat_n('x', fill));
            value.push_str("\"}");
            let pushed = batch.push(self.next, Some(number.as_bytes()), value.as_bytes());
            pushed.map_err(|_| {
                vec![Trouble::hint_of("a batch of that size is too large to be handed over", "lower `--batch` or `--bytes`")]
            })?;
            self.next += 1;
        }
        Ok(batch.finish("bench", "bench".into()))
    }
}
