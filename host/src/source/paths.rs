//! Which files a path or pattern means.

use std::path::PathBuf;

use super::SourceError;

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
}

impl Paths {
    pub(super) fn new(text: String, waits: bool) -> Self {
        Self { text, literal: None, waits }
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

    fn matches(&self) -> Result<Vec<PathBuf>, SourceError> {
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

    fn wrong(&self, reason: String) -> SourceError {
        SourceError::Format { path: self.text.clone(), reason }
    }
}
