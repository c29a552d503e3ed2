//! Which files a path or pattern means.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use super::{SourceError, identity::Inode};

/// A path, or a pattern with `*`, `?`, `[…]` and `**`.
///
/// It is a path where a file has exactly this name at the first look, and stays one: a log named `[app].log` that is rotated away
/// for a moment must not turn into a pattern that means another file.
#[derive(Debug)]
pub(super) struct Paths {
    text: String,
    /// Whether it is a path; `None` before the first look that found any.
    literal: Option<bool>,
    /// Whether there may be no file yet.
    waits: bool,
    /// Files that a pattern cannot mean, and that this was told of.
    unnameable: HashSet<PathBuf>,
}

impl Paths {
    pub(super) fn new(text: String, waits: bool) -> Self {
        Self { text, literal: None, waits, unnameable: HashSet::new() }
    }

    /// The files, sorted by path. There must be one at the first look, unless it waits for one.
    pub(super) fn look(&mut self) -> Result<Vec<PathBuf>, SourceError> {
        let path = PathBuf::from(&self.text);
        let there = path.exists();
        if self.literal.unwrap_or(there) {
            self.literal = Some(true);
            return Ok(if there { vec![path] } else { Vec::new() });
        }
        let found = self.matches()?;
        if found.is_empty() && self.literal.is_none() {
            return if self.waits { Ok(found) } else { Err(self.wrong("matches no file".to_owned())) };
        }
        self.literal = Some(false);
        Ok(found)
    }

    fn matches(&mut self) -> Result<Vec<PathBuf>, SourceError> {
        self.look_for_the_unnameable()?;
        let mut found = Vec::new();
        for path in glob::glob(&self.text).map_err(|error| self.wrong(format!("not a pattern: {error}")))? {
            let path = path.map_err(|error| {
                let path = error.path().display().to_string();
                SourceError::Io { what: "cannot look into", path, cause: error.into() }
            })?;
            if path.is_file() {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// A pattern is text, and passes over a file whose name is none: that is told, once where the source goes on looking, and is an error for one that
    /// would end without having read it.
    fn look_for_the_unnameable(&mut self) -> Result<(), SourceError> {
        let Ok(pattern) = glob::Pattern::new(&self.text) else { return Ok(()) };
        let Some(folders) = Path::new(&self.text).parent().and_then(Path::to_str) else { return Ok(()) };
        let folders = if folders.is_empty() { "." } else { folders };
        for folder in glob::glob(folders).into_iter().flatten().flatten() {
            // What cannot be looked into is told by whoever looks for files.
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let name = entry.file_name();
                if name.to_str().is_some() {
                    continue;
                }
                let shown = Path::new(folders).join(name.to_string_lossy().as_ref());
                let meant = pattern.matches_path(&shown) || pattern.matches_path(&folder.join(name.to_string_lossy().as_ref()));
                if !meant || !entry.path().is_file() || !self.unnameable.insert(entry.path()) {
                    continue;
                }
                let path = folder.join(&name).display().to_string();
                if !self.waits {
                    let reason = "its name is not UTF-8, so that no pattern can mean it: give it another, or put it elsewhere";
                    return Err(SourceError::Format { path, reason: reason.to_owned() });
                }
                tracing::warn!(%path, "not read: its name is not UTF-8, so that no pattern can mean it");
            }
        }
        Ok(())
    }

    fn wrong(&self, reason: String) -> SourceError {
        SourceError::Format { path: self.text.clone(), reason }
    }
}

/// The files that a path or pattern means, as far as they can be told without reading them.
#[derive(Debug)]
pub struct Files(Paths);

impl Files {
    /// Of a path, or a pattern with `*`, `?`, `[…]` and `**`.
    pub fn new(path: String) -> Self {
        Self(Paths::new(path, true))
    }

    /// Whether there is any now, for a source that does not wait for one.
    ///
    /// # Errors
    /// Where there is none, or it cannot be found out.
    pub fn are_there(path: String) -> Result<(), SourceError> {
        Paths::new(path, false).look().map(drop)
    }

    /// Whether it means the file of this path, if there is one.
    pub fn mean(&self, path: &str) -> bool {
        let text = &self.0.text;
        text == path || glob::Pattern::new(text).is_ok_and(|pattern| pattern.matches_path(Path::new(path)))
    }

    /// Whether any of the files that there are now is one of these partitions, whatever it was called then. Blocks. What cannot be looked at is
    /// none.
    pub fn hold_any_of(mut self, partitions: &[String]) -> bool {
        let files = self.0.look().unwrap_or_default();
        let mut files = files.iter().filter_map(|path| path.metadata().ok());
        files.any(|found| {
            let file = Inode::from(&found).any_name();
            partitions.iter().any(|partition| partition.starts_with(&file))
        })
    }
}
