//! What was written, beside the files: so that a record that comes again is not written again, and what an interrupted batch left is
//! cut off.
//!
//! ```text
//! .wharf-journal/PIPELINE/DESTINATION/
//!   log        which lengths are vouched for: one entry a batch, see `log`
//!   log.new    a shorter log that is about to take its place
//!   name       how the files are named, see `claim`
//!   index/     which records were written, two files a partition, see `index`
//!   making/    whole files that are about to take their place
//! ```
//!
//! A batch goes: files, sync, index, sync, log, sync, answer. A file that the log does not name yet is named before it is touched,
//! with the length that it had or as absent. So whatever is interrupted wherever, the lengths in the log tell what to cut off and what
//! to remove, and a record is in its file if and only if it is in the index.

mod claim;
pub mod index;
pub mod log;

use std::{collections::HashMap, mem};

use self::{
    index::{Added, Index, Key},
    log::{Counts, Item},
};
use crate::{
    disk::{Disk, DiskFile, Found, Open},
    handles::Handles,
    name,
    trouble::{Trouble, Trying},
};

/// The folder of all journals, in the directory.
pub const FOLDER: &str = ".wharf-journal";

/// A log that is longer than this, and twice as long as it need be, is written anew.
const LOG_MOST: u64 = 1 << 20;
/// How many files a log that is written anew goes on naming: those used last.
const FILES_MOST: usize = 1024;

/// What a journal belongs to, and how it is kept.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The pipeline's id.
    pub pipeline: String,
    /// The destination's id.
    pub destination: String,
    /// How its files are named: what no other destination does in the same directory.
    pub name: String,
    /// Whether to wait for the disk.
    pub sync: bool,
}

/// The journal of one destination in one pipeline, opened by one session at a time.
pub struct Journal {
    folder: String,
    sync: bool,
    /// Bytes of the log that are vouched for.
    length: u64,
    /// Length of the log when it was written anew.
    least: u64,
    files: HashMap<String, Active>,
    partitions: HashMap<String, Index>,
    next_id: u32,
    /// The log names files that are not there any more.
    stale: bool,
    turn: u64,
    entry: Vec<u8>,
}

/// A file that the log names.
#[derive(Clone, Copy, Debug)]
struct Active {
    length: Option<u64>,
    turn: u64,
}

impl Journal {
    /// Opens the journal, or begins it, and cuts off what lies beyond it.
    ///
    /// `known` is how much of the log may be believed, where this session wrote it itself and could not finish. What an operator should
    /// hear of is added to `notes`.
    pub fn open<D: Disk>(
        owner: &Owner,
        known: Option<u64>,
        disk: &D,
        handles: &mut Handles<D::File>,
        notes: &mut Vec<String>,
    ) -> Result<Self, Trouble> {
        handles.clear();
        let folder = make_folders(owner, disk)?;
        claim::claim(&folder, &owner.name, owner.sync, disk)?;
        let path = format!("{folder}/log");
        let trying = || format!("opening the journal `{path}`");
        remove_all(&format!("{folder}/making"), disk, |_| true)?;
        let bytes = match disk.look(&path).trying(trying)? {
            Found::Nothing => Vec::new(),
            Found::Other => return Err(Trouble::InTheWay { path }),
            Found::File(length) => {
                let mut bytes = vec![0; known.unwrap_or(length).min(length) as usize];
                let read =
                    handles.get(disk, &path, Open::Existing).and_then(|file| file.read_at(0, &mut bytes)).trying(trying)?;
                bytes.truncate(read);
                bytes
            }
        };
        let contents = log::read(&bytes).map_err(|at| Trouble::Damaged {
            path: path.clone(),
            what: format!("the entry at byte {at} is broken, and whole ones follow it"),
        })?;
        let mut journal = Self {
            folder,
            sync: owner.sync,
            length: contents.end as u64,
            least: 0,
            files: HashMap::new(),
            partitions: HashMap::new(),
            next_id: 0,
            stale: false,
            turn: 0,
            entry: Vec::new(),
        };
        contents.items.into_iter().for_each(|item| journal.take(item));
        let log = handles.get(disk, &path, Open::Create).trying(trying)?;
        log.cut(journal.length).trying(trying)?;
        if journal.sync {
            // The last entry may not be on disk yet, where the session before this one was interrupted; and after a sync that failed,
            // only what is written again is written by the next.
            log.write_at(contents.last as u64, &bytes[contents.last..contents.end]).trying(trying)?;
            log.sync().trying(trying)?;
            disk.sync_folder(&journal.folder).trying(trying)?;
        }
        journal.cut_files(disk, handles, notes)?;
        let partitions = &journal.partitions;
        remove_all(&format!("{}/index", journal.folder), disk, |name| {
            !partitions.values().any(|index| Some(index.counts.id) == index::id_of(name))
        })?;
        Ok(journal)
    }

    /// Bytes of the log that are vouched for.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where a whole file is made before it takes its place.
    pub fn making(&self, number: usize) -> String {
        format!("{}/making/{number}", self.folder)
    }

    /// Whether this record was written.
    pub fn has<D: Disk>(
        &mut self,
        partition: &str,
        key: Key,
        disk: &D,
        handles: &mut Handles<D::File>,
        notes: &mut Vec<String>,
    ) -> Result<bool, Trouble> {
        match self.partitions.get_mut(partition) {
            Some(index) => index.has(key, &self.folder, disk, handles, notes),
            None => Ok(false),
        }
    }

    /// Entries for a batch of this partition.
    pub fn add<D: Disk>(
        &mut self,
        partition: &str,
        disk: &D,
        handles: &mut Handles<D::File>,
        notes: &mut Vec<String>,
    ) -> Result<Added, Trouble> {
        match self.partitions.get_mut(partition) {
            Some(index) => index.add(&self.folder, disk, handles, notes),
            None => Ok(Added::default()),
        }
    }

    /// The length of a file that the log vouches for, `None` where it names none of this name. 0 where it is about to be made.
    pub fn vouched(&self, name: &str) -> Option<u64> {
        self.files.get(name).map(|file| file.length.unwrap_or(0))
    }

    /// Names files before they are touched for the first time, each with the length that it has, or `None` where it is not there.
    pub fn announce<'a, D: Disk>(
        &mut self,
        files: impl Iterator<Item = (&'a str, Option<u64>)> + Clone,
        disk: &D,
        handles: &mut Handles<D::File>,
    ) -> Result<(), Trouble> {
        self.append(files.clone().map(|(name, length)| Item::File(name, length)), disk, handles)?;
        files.for_each(|(name, length)| self.take(Item::File(name, length)));
        Ok(())
    }

    /// Vouches for these files at these lengths, and for the records that were added.
    pub fn commit<'a, D: Disk>(
        &mut self,
        partition: &str,
        added: &Added,
        files: impl Iterator<Item = (&'a str, u64)> + Clone,
        disk: &D,
        handles: &mut Handles<D::File>,
    ) -> Result<(), Trouble> {
        if !self.partitions.contains_key(partition) {
            self.partitions.insert(partition.to_owned(), Index::new(Counts { id: self.next_id, ..Counts::default() }));
            self.next_id += 1;
        }
        let index = &self.partitions[partition];
        let counts = index.write(added, &self.folder, self.sync, disk, handles)?;
        let files = files.map(|(name, length)| Item::File(name, Some(length)));
        self.append(files.clone().chain([Item::Partition(partition, counts)]), disk, handles)?;
        files.for_each(|item| self.take(item));
        if let Some(index) = self.partitions.get_mut(partition) {
            index.commit(added, counts);
        }
        Ok(())
    }

    /// Whether [`Journal::shrink`] should be called.
    pub fn is_long(&self) -> bool {
        self.stale
            || self.length > LOG_MOST.max(self.least * 2)
            || self.partitions.values().any(|index| index.counts.late > index::LATE_MOST)
    }

    /// Merges late entries and writes the log anew. After a failure the journal must be opened again.
    pub fn shrink<D: Disk>(&mut self, disk: &D, handles: &mut Handles<D::File>, notes: &mut Vec<String>) -> Result<(), Trouble> {
        let mut merged = Vec::new();
        for index in self.partitions.values_mut().filter(|index| index.counts.late > index::LATE_MOST) {
            let next = index.merge(self.next_id, &self.folder, self.sync, disk, handles, notes)?;
            self.next_id += 1;
            merged.push(mem::replace(index, next).counts.id);
        }
        // A file that is no longer named stays as long as it is: when it is touched again, it is announced again.
        if self.files.len() > FILES_MOST {
            let mut turns: Vec<u64> = self.files.values().map(|file| file.turn).collect();
            turns.sort_unstable_by(|a, b| b.cmp(a));
            let least = turns[FILES_MOST - 1];
            self.files.retain(|_, file| file.turn >= least);
        }
        let (path, new) = (format!("{}/log", self.folder), format!("{}/log.new", self.folder));
        let trying = || format!("writing the journal `{path}` anew");
        let mut entry = mem::take(&mut self.entry);
        let files = self.files.iter().map(|(name, file)| Item::File(name, file.length));
        log::write(&mut entry, files.chain(self.partitions.iter().map(|(name, index)| Item::Partition(name, index.counts))));
        let file = handles.get(disk, &new, Open::Empty).trying(trying)?;
        file.write_at(0, &entry).trying(trying)?;
        if self.sync {
            file.sync().trying(trying)?;
        }
        handles.forget(&new);
        handles.forget(&path);
        disk.rename(&new, &path).trying(trying)?;
        if self.sync {
            disk.sync_folder(&self.folder).trying(trying)?;
        }
        self.stale = false;
        self.length = entry.len() as u64;
        self.least = self.length;
        self.entry = entry;
        for id in merged {
            for path in [index::ascending_path(&self.folder, id), index::late_path(&self.folder, id)] {
                handles.forget(&path);
                disk.remove(&path).trying(|| format!("removing the journal's `{path}`"))?;
            }
        }
        Ok(())
    }

    fn take(&mut self, item: Item<'_>) {
        self.turn += 1;
        match item {
            Item::File(name, length) => {
                let active = Active { length, turn: self.turn };
                match self.files.get_mut(name) {
                    Some(file) => *file = active,
                    None => drop(self.files.insert(name.to_owned(), active)),
                }
            }
            Item::Partition(name, counts) => {
                self.next_id = self.next_id.max(counts.id + 1);
                self.partitions.insert(name.to_owned(), Index::new(counts));
            }
        }
    }

    fn append<'a, D: Disk>(
        &mut self,
        items: impl Iterator<Item = Item<'a>>,
        disk: &D,
        handles: &mut Handles<D::File>,
    ) -> Result<(), Trouble> {
        let path = format!("{}/log", self.folder);
        let trying = || format!("adding to the journal `{path}`");
        log::write(&mut self.entry, items);
        let file = handles.get(disk, &path, Open::Existing).trying(trying)?;
        file.write_at(self.length, &self.entry).trying(trying)?;
        if self.sync {
            file.sync().trying(trying)?;
        }
        self.length += self.entry.len() as u64;
        Ok(())
    }

    /// Brings every file that the log names to the length that it vouches for. It need not be waited for: if it is undone, it is done
    /// again, and what is written next is waited for.
    fn cut_files<D: Disk>(&mut self, disk: &D, handles: &mut Handles<D::File>, notes: &mut Vec<String>) -> Result<(), Trouble> {
        let mut failed = None;
        let before = self.files.len();
        self.files.retain(|name, file| {
            let trying = || format!("cutting off what an interrupted batch left in `{name}`");
            let mut settle = || match (disk.look(name)?, file.length) {
                (Found::File(_), None) => disk.remove(name).map(|()| true),
                (Found::File(length), Some(vouched)) if length > vouched => {
                    handles.get(disk, name, Open::Existing)?.cut(vouched).map(|()| true)
                }
                (Found::File(length), Some(vouched)) if length < vouched => {
                    notes.push(format!(
                        "`{name}` is {} bytes shorter than when it was last written: going on from its end",
                        vouched - length
                    ));
                    Ok(false)
                }
                (Found::File(_), Some(_)) | (Found::Nothing, None) => Ok(true),
                (Found::Nothing, Some(_)) => {
                    notes.push(format!("`{name}` is no longer there: a new one is begun when there is something to write"));
                    Ok(false)
                }
                // Writing to it will be refused, and say why.
                (Found::Other, _) => Ok(false),
            };
            settle().trying(trying).unwrap_or_else(|trouble| {
                failed.get_or_insert(trouble);
                true
            })
        });
        self.stale = self.files.len() < before;
        failed.map_or(Ok(()), Err)
    }
}

/// Makes the journal's folder and those in it, and returns its path.
fn make_folders<D: Disk>(owner: &Owner, disk: &D) -> Result<String, Trouble> {
    let name = |what: &str, id: &str| {
        name::of(id).map_err(|why| Trouble::Damaged { path: FOLDER.to_owned(), what: format!("the {what}'s id {why}") })
    };
    let folder = format!("{FOLDER}/{}/{}", name("pipeline", &owner.pipeline)?, name("destination", &owner.destination)?);
    for inner in ["index", "making"] {
        let path = format!("{folder}/{inner}");
        disk.make_folder(&path).trying(|| format!("making the journal's folder `{path}`"))?;
    }
    if owner.sync {
        let mut path = folder.as_str();
        loop {
            disk.sync_folder(path).trying(|| format!("making the journal's folder `{folder}`"))?;
            if path.is_empty() {
                break;
            }
            path = path.rsplit_once('/').map_or("", |(above, _)| above);
        }
    }
    Ok(folder)
}

fn remove_all<D: Disk>(folder: &str, disk: &D, which: impl Fn(&str) -> bool) -> Result<(), Trouble> {
    let trying = || format!("tidying the journal's folder `{folder}`");
    for name in disk.list(folder).trying(trying)? {
        if which(&name) {
            disk.remove(&format!("{folder}/{name}")).trying(trying)?;
        }
    }
    Ok(())
}
