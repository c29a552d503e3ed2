//! How many bytes may stand in a directory.
//!
//! **Threat.** A component fills the disk: with data, with holes, with names. **Answer.** Before anything grows, the growth is taken
//! from what is left of the quota, or refused. Counted are the length of every file, holes and all, and [`NAME`] for every name, so
//! that the count is no less than what the disk holds. A file that is open is counted as long as anything under way may make it, and
//! is given back in one place alone: when the last that holds it lets go and it has no name any more.
//!
//! Where others write into the same directory the count goes wrong, so what stands there is measured before the first use, and again
//! before anything is refused, though never for more than about a tenth of the time.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{beneath::Id, measure};

/// What each name in a directory counts besides the file's bytes: a block, which is what rounds a file up on the disk.
pub const NAME: u64 = 4 << 10;

/// What was measured is trusted for at least so long.
const TRUSTED: Duration = Duration::from_millis(500);

/// There is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Counts what stands in a directory, over all instances of a destination.
#[derive(Debug)]
pub(super) struct Quota {
    limit: u64,
    counted: Mutex<Counted>,
    /// Held while somebody walks through the directory.
    measured: Mutex<Option<Measured>>,
}

#[derive(Debug, Default)]
struct Counted {
    /// Everything, with `reserved` of what is open.
    used: u64,
    open: HashMap<Id, Open>,
    /// Set while the directory is measured: what is closed then stays in `open`.
    walking: bool,
    /// Names that were added meanwhile.
    named: u64,
}

/// A file that somebody holds.
#[derive(Debug)]
struct Open {
    /// Up to which length it was counted.
    reserved: u64,
    /// How many hold it.
    holders: usize,
    /// How many calls are under way that may make it longer.
    growing: usize,
    file: Arc<File>,
}

#[derive(Clone, Copy, Debug)]
struct Measured {
    ended: Instant,
    took: Duration,
}

impl Quota {
    pub fn new(limit: u64) -> Self {
        Self { limit, counted: Mutex::default(), measured: Mutex::default() }
    }

    /// What is counted.
    #[cfg(test)]
    pub fn used(&self) -> u64 {
        self.counted().used
    }

    /// Takes room for names. Blocks.
    pub fn name(&self, bytes: u64, root: &File) -> Result<(), Full> {
        self.take(root, |counted, limit| {
            let used = counted.used.checked_add(bytes).filter(|used| *used <= limit).ok_or(Full)?;
            counted.used = used;
            if counted.walking {
                counted.named += bytes;
            }
            Ok(())
        })
    }

    /// Gives room of names back.
    pub fn unname(&self, bytes: u64) {
        let mut counted = self.counted();
        counted.used = counted.used.saturating_sub(bytes);
    }

    /// Takes what `add` takes; measures anew before that fails.
    fn take<T>(&self, root: &File, mut add: impl FnMut(&mut Counted, u64) -> Result<T, Full>) -> Result<T, Full> {
        self.measure(root, true);
        if let Ok(taken) = add(&mut self.counted(), self.limit) {
            return Ok(taken);
        }
        self.measure(root, false);
        add(&mut self.counted(), self.limit)
    }

    /// Walks through the directory: at the `first` use, or else where the last walk is long enough ago.
    fn measure(&self, root: &File, first: bool) {
        let mut measured = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Measured { ended, took }) = *measured
            && (first || ended.elapsed() < TRUSTED.max(took * 10))
        {
            return;
        }
        let began = Instant::now();
        {
            let mut counted = self.counted();
            counted.walking = true;
            counted.named = 0;
        }
        // What is open is counted as long as it may become, not as long as it is.
        let found = measure::bytes(root, |id| self.counted().open.contains_key(&id));
        let mut counted = self.counted();
        counted.walking = false;
        let open: u64 = counted.open.values().map(|open| open.reserved).fold(0, u64::saturating_add);
        counted.used = found.saturating_add(open).saturating_add(counted.named);
        let closed: Vec<Id> = counted.open.iter().filter(|(_, open)| open.holders == 0).map(|(id, _)| *id).collect();
        for id in closed {
            counted.close(id);
        }
        let ended = Instant::now();
        *measured = Some(Measured { ended, took: ended - began });
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// Counts a file as long as it is, where nothing under way may make it longer. Whatever fails leaves the higher count.
    fn settle(&mut self, id: Id) {
        if let Some(open) = self.open.get_mut(&id).filter(|open| open.growing == 0)
            && let Ok(found) = open.file.metadata()
        {
            let now = open.reserved.min(found.len());
            self.used = self.used.saturating_sub(open.reserved - now);
            open.reserved = now;
        }
    }

    /// Forgets a file that nobody holds, and what it counted where it has no name any more.
    fn close(&mut self, id: Id) {
        self.settle(id);
        if let Some(open) = self.open.remove(&id)
            && open.file.metadata().is_ok_and(|found| found.nlink() == 0)
        {
            self.used = self.used.saturating_sub(open.reserved);
        }
    }
}

/// A regular file in a directory with a quota, held open.
#[derive(Debug)]
pub(super) struct Held {
    quota: Arc<Quota>,
    root: Arc<File>,
    id: Id,
}

impl Held {
    /// Holds a file. Blocks.
    pub fn new(quota: Arc<Quota>, root: Arc<File>, file: Arc<File>) -> io::Result<Self> {
        quota.measure(&root, true);
        let found = file.metadata()?;
        let id = (found.dev(), found.ino());
        {
            let mut counted = quota.counted();
            if let Some(open) = counted.open.get_mut(&id) {
                open.holders += 1;
            } else {
                // Nobody makes it longer while this looks: whoever could would hold it.
                let reserved = file.metadata()?.len();
                counted.open.insert(id, Open { reserved, holders: 1, growing: 0, file });
            }
        }
        Ok(Self { quota, root, id })
    }

    /// Takes room for the file to become as long as `end`, for as long as what is returned lives. Blocks.
    pub fn grow(self: &Arc<Self>, end: u64) -> Result<Growing, Full> {
        self.reserve(|_| end)
    }

    /// Takes room for so many bytes at the file's end.
    pub fn append(self: &Arc<Self>, bytes: u64) -> Result<Growing, Full> {
        self.reserve(|reserved| reserved.saturating_add(bytes))
    }

    fn reserve(self: &Arc<Self>, end: impl Fn(u64) -> u64) -> Result<Growing, Full> {
        self.quota.take(&self.root, |counted, limit| {
            let Some(open) = counted.open.get_mut(&self.id) else {
                return Err(Full);
            };
            let end = end(open.reserved).max(open.reserved);
            let used = counted.used.checked_add(end - open.reserved).ok_or(Full)?;
            if end > open.reserved && used > limit {
                return Err(Full);
            }
            counted.used = used;
            open.reserved = end;
            open.growing += 1;
            Ok(())
        })?;
        Ok(Growing { held: self.clone() })
    }

    /// Gives back what the file has become shorter by.
    pub fn settle(&self) {
        self.quota.counted().settle(self.id);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut counted = self.quota.counted();
        if let Some(open) = counted.open.get_mut(&self.id) {
            open.holders -= 1;
            if open.holders == 0 && !counted.walking {
                counted.close(self.id);
            }
        }
    }
}

/// Room taken for a file that may be growing.
#[derive(Debug)]
pub(super) struct Growing {
    held: Arc<Held>,
}

impl Growing {
    /// Gives back what was not used: the call failed.
    pub fn failed(self) {
        let held = self.held.clone();
        drop(self);
        held.settle();
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        if let Some(open) = self.held.quota.counted().open.get_mut(&self.held.id) {
            open.growing -= 1;
        }
    }
}
