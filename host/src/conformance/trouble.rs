//! The far side of a component, as the suite file has it: emptied, read back, taken away and brought back.

use std::{path::Path, sync::atomic::Ordering::Relaxed};

use super::{
    capture::Answering,
    case::{Stop, skipped},
    error::ConformError,
    proxy::Manner,
    read,
    rig::Rig,
};
use crate::config::{At, Fault, Place, Read};

/// A fault of the far side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It is not there.
    Gone,
    /// The connection is cut after so many bytes towards it.
    Cut(u64),
    /// It takes what it is sent, and a connection that brought it so many bytes is cut before its answer comes back.
    Unanswered(u64),
    /// What it is sent, and what it answers, comes in small pieces.
    Slow,
    /// It says nothing any more.
    Stalled,
    /// It refuses the credentials.
    Unauthorized,
    /// It asks for patience.
    Throttled,
}

impl Rig {
    /// Empties the far side, as the suite says, for a destination that was told that it is there.
    pub(super) async fn reset(&self) -> Result<(), Stop> {
        self.sweep()?;
        // What it makes then is there when a command of the suite looks for it.
        self.be_created().await;
        if let Some(line) = &self.suite.reset {
            self.command("reset", line).await?;
        }
        self.capture.clear();
        Ok(())
    }

    /// Empties what can be emptied without the suite.
    pub(super) fn sweep(&self) -> Result<(), Stop> {
        self.capture.clear();
        if let Some(Read { directory: Some(folder), .. }) = &self.suite.read
            && Path::new(&**folder).starts_with(self.scratch.path())
        {
            let emptied = read::empty(Path::new(&**folder));
            emptied.map_err(|error| broken("read.directory", &folder.place, format!("cannot empty {folder}: {error}")))?;
        }
        Ok(())
    }

    /// Skips where nothing can be read back.
    pub(super) fn readable(&self) -> Result<&Read, Stop> {
        self.suite.read.as_ref().ok_or_else(|| skipped("the suite gives no way to read back (`read`)"))
    }

    /// What was delivered since the far side was emptied.
    pub(super) async fn delivered(&self) -> Result<Vec<Vec<u8>>, Stop> {
        let Read { directory, files, command, .. } = self.readable()?;
        if let Some(folder) = directory {
            let found = read::directory(Path::new(&**folder), files.as_deref());
            return found.map_err(|why| broken("read.directory", &folder.place, why));
        }
        match command {
            Some(line) => {
                let lines = read::lines(&self.command("read.command", line).await?);
                self.read_back.store(true, Relaxed);
                Ok(lines)
            }
            None => Ok(self.capture.records()),
        }
    }

    async fn command(&self, key: &'static str, line: &At<String>) -> Result<Vec<u8>, Stop> {
        read::command(line, &self.folder, &self.variables).await.map_err(|why| broken(key, &line.place, why))
    }

    /// Makes a fault. Skips where nothing can.
    pub(super) async fn make(&self, trouble: Trouble) -> Result<(), Stop> {
        if let Some((fault, [make, _])) = self.commanded(trouble) {
            return self.command(make, &fault.make).await.map(drop);
        }
        let captures = self.captures();
        let manner = match trouble {
            Trouble::Gone => Manner::Gone,
            Trouble::Cut(after) => Manner::Cut(after),
            Trouble::Unanswered(after) => Manner::Unanswered(after),
            Trouble::Slow => Manner::Slow,
            Trouble::Stalled => Manner::Stalled,
            Trouble::Unauthorized if captures => {
                self.capture.answer(Answering::Unauthorized);
                return Ok(());
            }
            Trouble::Throttled if captures => {
                self.capture.answer(Answering::Throttled);
                return Ok(());
            }
            Trouble::Unauthorized => return Err(skipped("the suite gives no way to make it (`faults.unauthorized`)")),
            Trouble::Throttled => return Err(skipped("the suite gives no way to make it (`faults.throttled`)")),
        };
        // The first is in front of the built-in server.
        let used = if captures { &self.proxies[..] } else { &self.proxies[1..] };
        if used.is_empty() {
            return Err(skipped("the suite names no far side that can be taken away (`far`, `faults.gone`)"));
        }
        used.iter().for_each(|proxy| proxy.set(manner));
        Ok(())
    }

    /// Makes a fault where one can be made; says whether it is.
    pub(super) async fn made(&self, trouble: Trouble) -> Result<bool, Stop> {
        match self.make(trouble).await {
            Ok(()) => Ok(true),
            Err(Stop::Skipped(_)) => Ok(false),
            Err(stop) => Err(stop),
        }
    }

    /// Mends a fault.
    pub(super) async fn heal(&self, trouble: Trouble) -> Result<(), Stop> {
        if let Some((fault, [_, heal])) = self.commanded(trouble) {
            return self.command(heal, &fault.heal).await.map(drop);
        }
        self.capture.answer(Answering::Well);
        self.proxies.iter().for_each(|proxy| proxy.set(Manner::Plain));
        Ok(())
    }

    /// Whether the built-in server is the far side.
    pub(super) fn captures(&self) -> bool {
        self.suite.read.as_ref().is_some_and(|read| read.capture)
    }

    /// The commands for a fault, and the keys that they stand under.
    fn commanded(&self, trouble: Trouble) -> Option<(&Fault, [&'static str; 2])> {
        let faults = &self.suite.faults;
        let (fault, keys) = match trouble {
            Trouble::Gone => (&faults.gone, ["faults.gone.make", "faults.gone.heal"]),
            Trouble::Unauthorized => (&faults.unauthorized, ["faults.unauthorized.make", "faults.unauthorized.heal"]),
            Trouble::Throttled => (&faults.throttled, ["faults.throttled.make", "faults.throttled.heal"]),
            Trouble::Cut(_) | Trouble::Unanswered(_) | Trouble::Slow | Trouble::Stalled => return None,
        };
        fault.as_ref().map(|fault| (fault, keys))
    }
}

/// What the suite itself could not do is no fault of the component, and no proof of anything.
fn broken(key: &'static str, place: &Place, why: String) -> Stop {
    Stop::Suite(ConformError::Command { key, why, place: place.clone() })
}
