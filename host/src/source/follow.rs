//! Files as they grow, are rotated away and come anew.

use std::{
    collections::HashMap,
    fs::Metadata,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use super::{
    SourceError,
    file::Step,
    identity::Inode,
    paths::Paths,
    stream::{Shared, Stream, Turn},
};

/// Reads all files that a pattern matches, in turns, and looks for new ones at every interval.
#[derive(Debug)]
pub(super) struct Follow {
    paths: Paths,
    poll: Duration,
    /// When to look again; `None` for at once.
    look: Option<Duration>,
    files: Vec<Followed>,
    /// Whose turn is next.
    turn: usize,
    /// Files that were read to their end, as they were then.
    done: HashMap<Inode, State>,
}

#[derive(Debug)]
struct Followed {
    stream: Stream,
    /// When its path was first seen to name another file, or none.
    left: Option<Duration>,
}

/// What tells that a file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    length: u64,
    modified: Option<SystemTime>,
}

impl From<&Metadata> for State {
    fn from(metadata: &Metadata) -> Self {
        Self { length: metadata.len(), modified: metadata.modified().ok() }
    }
}

impl Follow {
    pub(super) fn new(path: String, poll: Duration) -> Self {
        // Not to turn round without end.
        let poll = poll.max(Duration::from_millis(1));
        Self { paths: Paths::new(path, true), poll, look: None, files: Vec::new(), turn: 0, done: HashMap::new() }
    }

    pub(super) fn step(&mut self, shared: &mut Shared) -> Result<Step, SourceError> {
        let now = shared.clock.elapsed();
        if self.look.is_none_or(|look| look <= now) {
            self.look_around(now, shared)?;
            self.look = Some(now + self.poll);
        }
        let mut paused = false;
        let mut asked = 0;
        while asked < self.files.len() && !paused {
            let index = (self.turn + asked) % self.files.len();
            asked += 1;
            if self.waits_for_another(index) {
                continue;
            }
            let followed = &mut self.files[index];
            let end = followed.left.is_some_and(|left| now >= left + self.poll);
            match followed.stream.turn(end, shared)? {
                Turn::Portion(portion) => {
                    self.turn = index + 1;
                    return Ok(Step::Portion(portion));
                }
                Turn::Paused => {
                    self.turn = index;
                    paused = true;
                }
                Turn::Waiting => {}
                Turn::Done => {
                    self.finish(index, shared)?;
                    // Whoever waited for it comes now.
                    asked = 0;
                }
            }
        }
        let next = if paused { shared.pace.next(now) } else { Duration::MAX };
        let due = self.files.iter().filter_map(|followed| followed.stream.due()).min().unwrap_or(Duration::MAX);
        if due <= now
            && let Some(followed) = self.files.iter_mut().find(|followed| followed.stream.due() == Some(due))
            && let Turn::Portion(portion) = followed.stream.cut(shared)?
        {
            return Ok(Step::Portion(portion));
        }
        Ok(Step::Wait(next.min(due).min(self.look.unwrap_or(now))))
    }

    /// Whether a file of the same path goes first.
    fn waits_for_another(&self, index: usize) -> bool {
        let this = &self.files[index];
        self.files[..index].iter().any(|other| other.left.is_some() && other.stream.path == this.stream.path)
    }

    /// Lets go of a file that was read to its end.
    fn finish(&mut self, index: usize, shared: &mut Shared) -> Result<(), SourceError> {
        let stream = self.files.remove(index).stream;
        let truncated = stream.cut_off;
        if truncated {
            // To be opened anew at once.
            self.look = None;
        } else {
            let state = stream.metadata()?;
            self.done.insert(stream.inode, State::from(&state));
        }
        stream.leave(truncated, &mut shared.known);
        Ok(())
    }

    /// Sees which files are there, which went away and which were truncated.
    fn look_around(&mut self, now: Duration, shared: &Shared) -> Result<(), SourceError> {
        let mut there = Vec::new();
        for path in self.paths.look()? {
            // It may have gone since.
            if let Ok(metadata) = std::fs::metadata(&path) {
                there.push((path, metadata));
            }
        }
        self.see_what_left(now, &there)?;
        for (path, metadata) in &there {
            let inode = Inode::from(metadata);
            let known = self.files.iter().any(|followed| followed.stream.inode == inode);
            if known || self.done.get(&inode) == Some(&State::from(metadata)) {
                continue;
            }
            match Stream::open(path, shared) {
                Ok(stream) => self.files.push(Followed { stream, left: None }),
                Err(SourceError::Io { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        self.done.retain(|inode, _| there.iter().any(|(_, metadata)| Inode::from(metadata) == *inode));
        Ok(())
    }

    fn see_what_left(&mut self, now: Duration, there: &[(PathBuf, Metadata)]) -> Result<(), SourceError> {
        for Followed { stream, left } in &mut self.files {
            let named = there.iter().any(|(path, metadata)| *path == stream.path && Inode::from(metadata) == stream.inode);
            if !named && left.is_none() {
                *left = Some(now);
            }
            if stream.is_truncated()? {
                stream.cut_off = true;
            }
        }
        Ok(())
    }
}
