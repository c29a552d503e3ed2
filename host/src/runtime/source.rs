//! The source of a pipeline, made of what the pipeline file says.

use std::{num::NonZeroU64, path::Path};

use async_trait::async_trait;

use super::{
    StartError,
    at_rest::{astray, left, left_by_removed, lost, unspoken},
    feed::Feed,
    means::Means,
};
use crate::{
    config::{self, At, PathOrGlob},
    operate::{destinations, sources},
    plan::PlannedPipeline,
    source::{
        Checkpoints, Compression, Cuts, FileOptions, FileSource, Format, GeneratorOptions, GeneratorSource, PointerError,
        Portion, Reading, Source, SourceError, StdinSource,
    },
    store::{LetterStore, PipelineStore, StoreError},
};

/// Holds what each pipeline reads against what its checkpoints are of, and its destinations against those that it may owe records. `idle` tells the
/// destinations of a running pipeline that have dealt with all that was read so far. Gives in words what an operator should know.
pub async fn recognised(
    store: &(impl PipelineStore + LetterStore),
    pipelines: &[PlannedPipeline],
    data_dir: &Path,
    idle: &(dyn Fn(&str) -> Vec<String> + Sync),
) -> Result<Vec<String>, StartError> {
    let all: Vec<&str> = pipelines.iter().map(|planned| &*planned.id).collect();
    let mut remarks = Vec::new();
    for planned in pipelines {
        let PlannedPipeline { id, source, destinations, switched_off, .. } = planned;
        let named = destinations.iter().map(|destination| &*destination.id).chain(switched_off.iter().map(|id| &**id));
        let destinations: Vec<&str> = named.collect();
        if let Some(error) = left_by_removed(planned, data_dir).await? {
            return Err(error);
        }
        for destination in planned.destinations.iter().filter(|destination| destination.actions.has_spool()) {
            if let Some(lost) = lost(store, data_dir, (id, &destination.id)).await? {
                return Err(StartError::Lost(Box::new(lost)));
            }
        }
        let mut idle = idle(id);
        for owed in store.destinations(id).await? {
            if destinations.contains(&owed.as_str()) {
                continue;
            }
            match left(data_dir, id, &owed).await? {
                // What it was owed last waited in its spool, and does no more.
                Some(0) => idle.push(owed),
                // It dealt with nothing of this so far.
                Some(_) => idle.retain(|idle| *idle != owed),
                None => {}
            }
        }
        if let Some(cause) = destinations::gone(store, id, &destinations, &idle).await? {
            return Err(StartError::Gone { cause, data_dir: data_dir.to_owned() });
        }
        match sources::recognised(store, id, source, &all).await? {
            Ok(remark) => remarks.extend(remark),
            Err(cause) => {
                let (cause, place) = (Box::new(cause), source.place.clone());
                return Err(StartError::OtherSource { cause, place, data_dir: data_dir.to_owned() });
            }
        }
    }
    if let Some(error) = astray(pipelines, data_dir).await? {
        return Err(error);
    }
    remarks.extend(destinations::left_behind(store, &all, idle).await?);
    remarks.extend(unspoken(pipelines, data_dir).await?);
    Ok(remarks)
}

/// What a stream is made of, as the source room has it.
fn format(given: config::Format, key: Option<&At<String>>) -> Result<Format, SourceError> {
    let text = || key.map(|key| key.value.clone());
    Ok(match given {
        config::Format::JsonLines => {
            let pointer = key.map(|key| key.value.parse()).transpose();
            let failed = |error: PointerError| SourceError::Format { path: "the source".into(), reason: error.to_string() };
            Format::JsonLines { key: pointer.map_err(failed)? }
        }
        config::Format::Csv => Format::Csv { key: text() },
        config::Format::OpenCdc => Format::OpenCdc,
        config::Format::Lines => Format::Lines,
    })
}

/// Dead letters cannot be read.
pub(super) fn of_letters(error: StoreError) -> SourceError {
    SourceError::Format { path: "dead letters".into(), reason: error.to_string() }
}

/// What a pipeline reads that has no destination any more: a record that nobody gets must not be taken for one that was dealt with.
struct Nothing;

#[async_trait]
impl Source for Nothing {
    async fn read(&mut self) -> Result<Option<Portion>, SourceError> {
        Ok(None)
    }

    fn rereads(&self) -> bool {
        true
    }
}

/// The source of a pipeline, standing where the checkpoints say, to cut where it did before.
pub(super) fn source(
    planned: &PlannedPipeline,
    (checkpoints, cuts): (Checkpoints, Cuts),
    means: &Means,
) -> Result<Box<dyn Source>, StartError> {
    let PlannedPipeline { id, batch: cut, .. } = planned;
    if planned.destinations.is_empty() {
        return Ok(Box::new(Nothing));
    }
    let Means { clock, run, .. } = means;
    let cut = cut.clone();
    let rate = |rate: Option<u32>| rate.and_then(|rate| NonZeroU64::new(rate.into()));
    let failed = |cause: SourceError| StartError::Source { pipeline: id.clone(), cause };
    Ok(match &planned.source.value {
        config::Source::File(given) => {
            let path = match &given.path.value {
                PathOrGlob::Path(path) => path.to_string_lossy().into_owned(),
                PathOrGlob::Glob(pattern) => pattern.clone(),
            };
            let mut reading = Reading::new(format(given.format, given.key.as_ref()).map_err(failed)?, cut);
            reading.rate = rate(given.rate);
            let compression = match given.compression {
                config::Compression::Auto => Compression::Detect,
                config::Compression::None => Compression::Plain,
                config::Compression::Gzip => Compression::Gzip,
                config::Compression::Zstd => Compression::Zstd,
            };
            let follow = given.follow.then(|| given.poll.duration());
            let options = FileOptions { path, compression, follow, reading };
            Box::new(FileSource::new(options, id, checkpoints, clock.clone()).cut_as(cuts))
        }
        config::Source::Stdin(given) => {
            let mut reading = Reading::new(format(given.format, given.key.as_ref()).map_err(failed)?, cut);
            reading.rate = rate(given.rate);
            Box::new(StdinSource::new(std::io::stdin(), &reading, id, run, clock.clone()).map_err(failed)?)
        }
        config::Source::DeadLetters(given) => {
            let of = given.of.as_str();
            let next = checkpoints.get(&Feed::partition(of)).copied().unwrap_or_default();
            Box::new(Feed::new(means.store.clone(), (id, of), next, cut, clock.clone(), &means.feeds))
        }
        config::Source::Generator(given) => {
            let (count, size, seed) = (given.count, given.size.bytes() as usize, given.seed);
            let options = GeneratorOptions { count, size, rate: rate(given.rate), seed, entities: rate(given.entities), cut };
            Box::new(GeneratorSource::new(options, id, &checkpoints, clock.clone()).cut_as(cuts))
        }
    })
}
