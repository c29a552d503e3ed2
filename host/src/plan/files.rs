//! The files that a pipeline names, besides components: what is known of them before anything runs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{PlanError, tokens};
use crate::{
    config::{self, At, Digest},
    connector::Loader,
    sandbox::Kept,
    source::{Files, SourceError},
    store,
};

/// The grants of all destinations and processors.
pub(super) fn all_grants(pipeline: &config::Pipeline) -> impl Iterator<Item = &config::Grants> {
    let destinations = pipeline.destinations.iter().map(|destination| &destination.grants);
    destinations.chain(pipeline.all_processors().map(|processor| &processor.grants))
}

/// What the files say that a pipeline's grants name.
pub(super) fn files(pipeline: &config::Pipeline) -> Digest {
    let http = || all_grants(pipeline).flat_map(|grants| &grants.http);
    let values = http().flat_map(|grant| &grant.headers).filter_map(|header| match &header.value.value {
        config::HeaderFrom::File(path) => Some(path.as_path()),
        config::HeaderFrom::Text(_) | config::HeaderFrom::Token(_) => None,
    });
    tokens::contents(values.chain(http().filter_map(|grant| grant.roots.as_deref())))
}

/// What can be known to be wrong with a source without reading it.
pub(super) fn unreadable(pipeline: &Arc<str>, source: &config::Source) -> Option<PlanError> {
    let config::Source::File(config::FileSource { path, follow: false, .. }) = source else {
        // A file that is followed may come to be.
        return None;
    };
    let At { value: named, place } = path;
    let cause = match named {
        config::PathOrGlob::Glob(pattern) => match Files::are_there(pattern.clone()).err()? {
            SourceError::Io { cause, .. } => cause,
            SourceError::Format { reason, .. } | SourceError::Rewritten { reason, .. } => {
                std::io::Error::new(std::io::ErrorKind::NotFound, reason)
            }
        },
        // A pipe that is opened waits for whoever writes to it, so only what a file's own data tells is looked at.
        config::PathOrGlob::Path(file) => match std::fs::metadata(file) {
            Err(cause) => cause,
            Ok(found) if found.is_dir() => std::io::ErrorKind::IsADirectory.into(),
            Ok(found) if found.is_file() => std::fs::File::open(file).err()?,
            Ok(_) => {
                let why = "not a regular file; a pipe is read through standard input";
                std::io::Error::new(std::io::ErrorKind::InvalidInput, why)
            }
        },
    };
    Some(PlanError::Source { pipeline: pipeline.clone(), place: place.clone(), path: named.to_string(), cause })
}

/// What can be known to be wrong with the copy of dead letters without writing to it: that it would come to light with the first of them is too late.
pub(super) fn unwritable(pipeline: &Arc<str>, source: &config::Source, copy: &At<PathBuf>) -> Option<PlanError> {
    let invalid = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidInput, why);
    let read = match source {
        config::Source::File(config::FileSource { path, .. }) => match &path.value {
            config::PathOrGlob::Path(file) => *file == copy.value,
            config::PathOrGlob::Glob(pattern) => {
                glob::Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_path(&copy.value))
            }
        },
        config::Source::Stdin(_) | config::Source::Generator(_) | config::Source::DeadLetters(_) => false,
    };
    let cause = match std::fs::symlink_metadata(&copy.value) {
        _ if read => invalid("the pipeline reads it"),
        Ok(found) if found.is_dir() => std::io::ErrorKind::IsADirectory.into(),
        // What was there before is not to be written into, and where a link leads may change.
        Ok(found) if found.is_file() => store::is_copy(&copy.value).err()?,
        Ok(_) => invalid("not a regular file"),
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => cause,
        // It is made with the first dead letter; its folder is not.
        Err(_) => std::fs::metadata(copy.value.parent()?).err()?,
    };
    Some(PlanError::CopyTo {
        pipeline: pipeline.clone(),
        place: copy.place.clone(),
        path: copy.value.display().to_string(),
        cause,
    })
}

/// What no component is granted: the store, compiled code, and what says what is granted.
pub(super) fn kept(file: &config::File, loader: &Loader) -> Vec<Kept> {
    let mut kept = vec![
        Kept { path: file.data_dir(), what: "the data directory", readable: false },
        Kept { path: file.folder().to_owned(), what: "the folder of the pipeline file", readable: true },
    ];
    let compiled = loader.compiled().map(Path::to_owned);
    kept.extend(compiled.map(|path| Kept { path, what: "the folder of compiled components", readable: false }));
    let components = || file.pipelines.iter().flat_map(|pipeline| pipeline.components());
    kept.extend(components().map(|part| Kept { path: part.component.value.clone(), what: "a component", readable: true }));
    let copies = file.pipelines.iter().filter_map(|pipeline| pipeline.dead_letters.copy_to.clone());
    kept.extend(copies.map(|copy| Kept { path: copy.value, what: "the copy of dead letters", readable: false }));
    let key = file.key_file().and_then(|path| std::path::absolute(path).ok());
    kept.extend(key.map(|path| Kept { path, what: "the key of refresh tokens", readable: false }));
    let secrets = file.tokens.iter().flat_map(|provider| provider.files()).map(Path::to_owned);
    kept.extend(secrets.map(|path| Kept { path, what: "a token provider's secret", readable: false }));
    let headers = components().flat_map(|part| &part.grants.http).flat_map(|grant| &grant.headers);
    let values = headers.filter_map(|header| match &header.value.value {
        config::HeaderFrom::File(path) => Some(path.clone()),
        config::HeaderFrom::Text(_) | config::HeaderFrom::Token(_) => None,
    });
    kept.extend(values.map(|path| Kept { path, what: "the value of an added header", readable: false }));
    kept
}
