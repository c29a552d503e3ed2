//! A disk in memory that fails when it is told to and forgets what it was not asked to keep.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    io,
    rc::Rc,
};

use wharf_file::disk::{Disk, DiskFile, Found, Open};

/// What happens at the operation that the fuse is set to, and after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails, a write after half of it was done, and so do as many after it; then the disk is well again.
    Full(usize),
    /// It stops half done, and nothing works any more until [`MemoryDisk::restart`].
    Stop,
}

/// A disk in memory, shared by its clones.
#[derive(Clone, Default)]
pub struct MemoryDisk(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    folders: BTreeSet<String>,
    names: BTreeMap<String, usize>,
    files: Vec<Contents>,
    /// Changes of names that are not on disk yet, oldest first.
    unsynced: Vec<Change>,
    kept_names: BTreeMap<String, usize>,
    operations: usize,
    fuses: Vec<(usize, Fault)>,
}

#[derive(Clone)]
enum Change {
    Put(String, usize),
    Take(String),
}

#[derive(Clone, Default)]
struct Contents {
    bytes: Vec<u8>,
    kept: Vec<u8>,
    /// Places whose bytes a failed sync gave up: a later one keeps them no better, unless they are written again.
    given_up: BTreeSet<usize>,
}

impl MemoryDisk {
    /// Sets off `fault` at the operation after `operations` more.
    pub fn fuse(&self, operations: usize, fault: Fault) {
        let mut state = self.0.borrow_mut();
        let at = state.operations + operations;
        state.fuses.push((at, fault));
    }

    /// The machine comes up again. With `lost` the power was gone: of what was not synced, `chance` decides what is there.
    pub fn restart(&self, lost: bool, mut chance: impl FnMut(usize) -> usize) {
        let state = &mut *self.0.borrow_mut();
        state.fuses.clear();
        if !lost {
            return;
        }
        // A journalling file system keeps changes of names in their order.
        let kept = chance(state.unsynced.len() + 1);
        for change in state.unsynced.drain(..).take(kept) {
            change.apply(&mut state.kept_names);
        }
        state.names = state.kept_names.clone();
        for file in &mut state.files {
            let (old, new) = (file.kept.clone(), file.bytes.clone());
            file.bytes = match chance(4) {
                0 => old,
                1 => new,
                // The length came through, the bytes did not, or in part.
                2 => new.iter().enumerate().map(|(at, _)| old.get(at).copied().unwrap_or(0)).collect(),
                _ => {
                    let upto = chance(new.len() + 1).max(old.len().min(new.len()));
                    new[..upto].to_vec()
                }
            };
            file.kept = file.bytes.clone();
            file.given_up.clear();
        }
    }

    /// Every file that is not the journal's, with what it holds.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let state = self.0.borrow();
        let outside = state.names.iter().filter(|(name, _)| !name.starts_with(".wharf-journal/"));
        outside.map(|(name, at)| (name.clone(), state.files[*at].bytes.clone())).collect()
    }

    /// Paths of all files.
    pub fn paths(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    /// What somebody else does to a file, and the disk keeps: `None` removes it.
    pub fn tamper(&self, name: &str, bytes: Option<&[u8]>) {
        let state = &mut *self.0.borrow_mut();
        match bytes {
            None => {
                state.names.remove(name);
                state.kept_names.remove(name);
            }
            Some(bytes) => {
                state.files.push(Contents { bytes: bytes.to_vec(), kept: bytes.to_vec(), given_up: BTreeSet::new() });
                state.names.insert(name.to_owned(), state.files.len() - 1);
                state.kept_names.insert(name.to_owned(), state.files.len() - 1);
            }
        }
    }

    /// Length of one file.
    pub fn length(&self, path: &str) -> usize {
        let state = self.0.borrow();
        state.files[state.names[path]].bytes.len()
    }

    /// Counts an operation. Says whether it is the one that goes wrong, or comes after it.
    fn step(&self) -> Result<(), (io::Error, bool)> {
        let mut state = self.0.borrow_mut();
        state.operations += 1;
        let now = state.operations;
        for (at, fault) in &state.fuses {
            match fault {
                Fault::Full(times) if now > *at && now <= at + times => {
                    return Err((io::ErrorKind::StorageFull.into(), now == at + 1));
                }
                Fault::Stop if now > *at => return Err((io::Error::other("the machine is off"), now == at + 1)),
                _ => {}
            }
        }
        Ok(())
    }

    fn change(&self, change: Change) {
        let state = &mut *self.0.borrow_mut();
        change.apply(&mut state.names);
        state.unsynced.push(change);
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Put(name, file) => {
                // The old name of a file that moved goes in the same moment.
                names.retain(|_, at| at != file);
                names.insert(name.clone(), *file);
            }
            Self::Take(name) => drop(names.remove(name)),
        }
    }
}

impl Disk for MemoryDisk {
    type File = MemoryFile;

    fn make_folder(&self, path: &str) -> io::Result<()> {
        self.step().map_err(|(error, _)| error)?;
        self.0.borrow_mut().folders.insert(path.to_owned());
        Ok(())
    }

    fn open(&self, path: &str, how: Open) -> io::Result<MemoryFile> {
        self.step().map_err(|(error, _)| error)?;
        assert!(path.len() < 256 && !path.contains(".."), "{path}");
        let found = self.0.borrow().names.get(path).copied();
        let at = match (found, how) {
            (Some(at), _) => at,
            (None, Open::Existing) => return Err(io::ErrorKind::NotFound.into()),
            (None, _) => {
                let at = self.0.borrow().files.len();
                self.0.borrow_mut().files.push(Contents::default());
                self.change(Change::Put(path.to_owned(), at));
                at
            }
        };
        if how == Open::Empty {
            self.0.borrow_mut().files[at].bytes.clear();
        }
        Ok(MemoryFile { disk: self.clone(), at })
    }

    fn look(&self, path: &str) -> io::Result<Found> {
        let state = self.0.borrow();
        if state.folders.contains(path) {
            return Ok(Found::Other);
        }
        if path.len() > 255 {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        Ok(state.names.get(path).map_or(Found::Nothing, |at| Found::File(state.files[*at].bytes.len() as u64)))
    }

    fn list(&self, folder: &str) -> io::Result<Vec<String>> {
        let state = self.0.borrow();
        let inside = state.names.keys().chain(&state.folders).filter_map(|name| name.strip_prefix(folder)?.strip_prefix('/'));
        let names: BTreeSet<&str> = inside.filter_map(|name| name.split('/').next()).collect();
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step().map_err(|(error, _)| error)?;
        let at = self.0.borrow().names.get(from).copied().ok_or(io::ErrorKind::NotFound)?;
        self.change(Change::Put(to.to_owned(), at));
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.step().map_err(|(error, _)| error)?;
        if !self.0.borrow().names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.change(Change::Take(path.to_owned()));
        Ok(())
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        self.step().map_err(|(error, _)| error)?;
        let state = &mut *self.0.borrow_mut();
        let inside = |change: &Change| {
            let (Change::Put(name, _) | Change::Take(name)) = change;
            name.rsplit_once('/').map_or("", |(folder, _)| folder) == path
        };
        let mut moved = BTreeSet::new();
        for change in state.unsynced.iter().filter(|change| inside(change)) {
            change.apply(&mut state.kept_names);
            if let Change::Put(_, file) = change {
                moved.insert(*file);
            }
        }
        // Where a file was before it moved here no longer matters.
        state.unsynced.retain(|change| !inside(change) && !matches!(change, Change::Put(_, file) if moved.contains(file)));
        Ok(())
    }
}

/// An open file, which stays open when its name goes.
pub struct MemoryFile {
    disk: MemoryDisk,
    at: usize,
}

impl MemoryFile {
    fn with<T>(&self, work: impl FnOnce(&mut Contents) -> T) -> T {
        work(&mut self.disk.0.borrow_mut().files[self.at])
    }
}

impl DiskFile for MemoryFile {
    fn write_at(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let step = self.disk.step();
        let bytes = match &step {
            Ok(()) => bytes,
            Err((_, true)) => &bytes[..bytes.len() / 2],
            Err((_, false)) => &[],
        };
        self.with(|file| {
            let (at, end) = (at as usize, at as usize + bytes.len());
            if file.bytes.len() < end && !bytes.is_empty() {
                file.bytes.resize(end, 0);
            }
            file.given_up.retain(|place| !(at..end).contains(place));
            file.bytes.get_mut(at..end).unwrap_or_default().copy_from_slice(bytes);
        });
        step.map_err(|(error, _)| error)
    }

    fn read_at(&mut self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.with(|file| {
            let rest = file.bytes.get(at as usize..).unwrap_or_default();
            let read = rest.len().min(into.len());
            into[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        })
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.disk.step().map_err(|(error, _)| error)?;
        self.with(|file| {
            file.bytes.resize(length as usize, 0);
            file.given_up.retain(|place| *place < length as usize);
        });
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let step = self.disk.step();
        self.with(|file| match step {
            Ok(()) => {
                file.kept = file.bytes.clone();
                for place in &file.given_up {
                    file.kept[*place] = 0;
                }
            }
            // A machine that stops gives nothing up: what was written waits for the next sync.
            Err((ref error, _)) if error.kind() != io::ErrorKind::StorageFull => {}
            Err(_) => file.given_up.extend((0..file.bytes.len()).filter(|place| file.kept.get(*place) != file.bytes.get(*place))),
        });
        step.map_err(|(error, _)| error)?;
        Ok(())
    }
}
