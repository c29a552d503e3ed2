//! What was written of one partition, by the records' keys, exactly and in bounded memory.
//!
//! Two files of entries of twelve bytes (sequence as eight, ordinal as four, little endian), each in the order of writing. Nearly every
//! record comes after those before it: its entry goes to the ascending file, of which only the last is kept in memory. One that
//! comes late, such as a dead letter that is sent again, goes to the file of late ones, which is kept in memory as a whole, and merged
//! into the ascending one when it has [`LATE_MOST`] entries.

use std::collections::BTreeSet;

use super::log::Counts;
use crate::{
    disk::{Disk, DiskFile, Found, Open},
    handles::Handles,
    trouble::{Trouble, Trying},
};

/// How many late entries are kept in memory before they are merged: less than a megabyte.
pub const LATE_MOST: u64 = 16_384;

const ENTRY: usize = 12;
/// Entries that are read at once.
const BLOCK: usize = 512;

/// A record's key within its partition: sequence and ordinal.
pub type Key = (u64, u32);

/// The index of one partition.
#[derive(Debug, Default)]
pub struct Index {
    /// What the commit log vouches for.
    pub counts: Counts,
    loaded: Option<Loaded>,
}

#[derive(Debug, Default)]
struct Loaded {
    high: Option<Key>,
    late: BTreeSet<Key>,
    /// Entries of the ascending file from this one on, as read last.
    block: (u64, Vec<Key>),
}

/// The entries that a batch adds.
#[derive(Debug, Default)]
pub struct Added {
    high: Option<Key>,
    ascending: Vec<Key>,
    late: Vec<Key>,
}

/// Path of the ascending file, below the journal's folder.
pub fn ascending_path(folder: &str, id: u32) -> String {
    format!("{folder}/index/{id}")
}

/// Path of the file of late entries.
pub fn late_path(folder: &str, id: u32) -> String {
    format!("{folder}/index/{id}.late")
}

/// Which index a file in the folder belongs to.
pub fn id_of(name: &str) -> Option<u32> {
    name.strip_suffix(".late").unwrap_or(name).parse().ok()
}

impl Index {
    /// One that the commit log told of; nothing is read before it is asked.
    pub fn new(counts: Counts) -> Self {
        Self { counts, loaded: None }
    }

    /// Whether this record was written.
    pub fn has<D: Disk>(
        &mut self,
        key: Key,
        folder: &str,
        disk: &D,
        handles: &mut Handles<D::File>,
        notes: &mut Vec<String>,
    ) -> Result<bool, Trouble> {
        let (counts, loaded) = self.load(folder, disk, handles, notes)?;
        if loaded.high.is_none_or(|high| key > high) {
            return Ok(false);
        }
        if loaded.high == Some(key) || loaded.late.contains(&key) {
            return Ok(true);
        }
        // Records come in order, so the block that was read last mostly holds the answer.
        let (mut low, mut end) = (0, counts.ascending);
        loop {
            let (start, block) = &loaded.block;
            if let (Some(first), Some(last)) = (block.first(), block.last()) {
                if key < *first {
                    end = end.min(*start);
                } else if key > *last {
                    low = low.max(start + block.len() as u64);
                } else {
                    return Ok(block.binary_search(&key).is_ok());
                }
            }
            if low >= end {
                return Ok(false);
            }
            // What comes next in order, else the middle.
            let next = *start + block.len() as u64;
            let at = if low == next { low } else { (low + end) / 2 / BLOCK as u64 * BLOCK as u64 };
            let at = at.clamp(low, end - 1);
            let most = (end - at).min(BLOCK as u64) as usize;
            loaded.block = (at, read(&ascending_path(folder, counts.id), at, most, disk, handles)?);
        }
    }

    /// Adds what a batch wrote behind what the commit log vouches for, and says what the log shall vouch for next.
    pub fn write<D: Disk>(
        &self,
        added: &Added,
        folder: &str,
        sync: bool,
        disk: &D,
        handles: &mut Handles<D::File>,
    ) -> Result<Counts, Trouble> {
        let mut counts = self.counts;
        let ascending = (ascending_path(folder, counts.id), &mut counts.ascending, &added.ascending);
        let late = (late_path(folder, counts.id), &mut counts.late, &added.late);
        let mut made = false;
        for (path, count, keys) in [ascending, late] {
            if keys.is_empty() {
                continue;
            }
            made |= *count == 0;
            append(&path, *count, keys, sync, disk, handles).trying(|| format!("adding to the journal's `{path}`"))?;
            *count += keys.len() as u64;
        }
        if made && sync {
            disk.sync_folder(&format!("{folder}/index")).trying(|| format!("adding to the journal's `{folder}/index`"))?;
        }
        Ok(counts)
    }

    /// Takes over what [`Index::write`] wrote, once the commit log has it.
    pub fn commit(&mut self, added: &Added, counts: Counts) {
        self.counts = counts;
        let loaded = self.loaded.get_or_insert_default();
        loaded.high = added.high;
        loaded.late.extend(&added.late);
    }

    /// Entries for a batch whose records are told one after another.
    pub fn add<D: Disk>(
        &mut self,
        folder: &str,
        disk: &D,
        handles: &mut Handles<D::File>,
        notes: &mut Vec<String>,
    ) -> Result<Added, Trouble> {
        let (_, loaded) = self.load(folder, disk, handles, notes)?;
        Ok(Added { high: loaded.high, ..Added::default() })
    }

    /// Writes all entries, in order, into an index of another number.
    pub fn merge<D: Disk>(
        &mut self,
        id: u32,
        folder: &str,
        sync: bool,
        disk: &D,
        handles: &mut Handles<D::File>,
        notes: &mut Vec<String>,
    ) -> Result<Self, Trouble> {
        let (counts, loaded) = self.load(folder, disk, handles, notes)?;
        let (from, to) = (ascending_path(folder, counts.id), ascending_path(folder, id));
        let mut late = loaded.late.iter().copied().peekable();
        let (mut at, mut written) = (0, 0);
        let mut merged = Vec::with_capacity(BLOCK * 2);
        loop {
            let most = (counts.ascending - at).min(BLOCK as u64) as usize;
            let block = if most == 0 { Vec::new() } else { read(&from, at, most, disk, handles)? };
            at += block.len() as u64;
            merged.clear();
            for key in &block {
                while let Some(earlier) = late.next_if(|late| late < key) {
                    merged.push(earlier);
                }
                merged.push(*key);
            }
            if block.is_empty() {
                merged.extend(late.by_ref());
            }
            if !merged.is_empty() {
                append(&to, written, &merged, false, disk, handles).trying(|| format!("merging the journal's `{to}`"))?;
                written += merged.len() as u64;
            }
            if block.is_empty() {
                break;
            }
        }
        if sync {
            let file = handles.get(disk, &to, Open::Create);
            file.and_then(DiskFile::sync).trying(|| format!("merging the journal's `{to}`"))?;
            disk.sync_folder(&format!("{folder}/index")).trying(|| format!("merging the journal's `{to}`"))?;
        }
        Ok(Self {
            counts: Counts { id, ascending: written, late: 0 },
            loaded: Some(Loaded { high: loaded.high, ..Loaded::default() }),
        })
    }

    /// What is kept in memory, read if it was not yet.
    fn load<D: Disk>(
        &mut self,
        folder: &str,
        disk: &D,
        handles: &mut Handles<D::File>,
        notes: &mut Vec<String>,
    ) -> Result<(Counts, &mut Loaded), Trouble> {
        if self.loaded.is_none() {
            let Counts { id, ascending, late } = self.counts;
            let paths = (ascending_path(folder, id), late_path(folder, id));
            let ascending = settle(&paths.0, ascending, disk, handles, notes)?;
            let late = settle(&paths.1, late, disk, handles, notes)?;
            let mut loaded = Loaded::default();
            if late > 0 {
                loaded.late.extend(read(&paths.1, 0, late as usize, disk, handles)?);
            }
            // Late ones are above only where somebody cut the ascending file.
            loaded.high = loaded.late.last().copied();
            if let Some(last) = ascending.checked_sub(1) {
                loaded.high = loaded.high.max(read(&paths.0, last, 1, disk, handles)?.pop());
            }
            self.counts = Counts { id, ascending, late };
            self.loaded = Some(loaded);
        }
        Ok((self.counts, self.loaded.get_or_insert_default()))
    }
}

impl Added {
    /// One more record is written.
    pub fn push(&mut self, key: Key) {
        if self.high.is_none_or(|high| key > high) {
            self.high = Some(key);
            self.ascending.push(key);
        } else {
            self.late.push(key);
        }
    }

    /// Whether no record was.
    pub fn is_empty(&self) -> bool {
        self.ascending.is_empty() && self.late.is_empty()
    }
}

/// Cuts off what the commit log does not know. Returns how many entries there are, which are fewer only if somebody else cut the file.
fn settle<D: Disk>(
    path: &str,
    count: u64,
    disk: &D,
    handles: &mut Handles<D::File>,
    notes: &mut Vec<String>,
) -> Result<u64, Trouble> {
    let trying = || format!("opening the journal's `{path}`");
    let wanted = count * ENTRY as u64;
    match disk.look(path).trying(trying)? {
        Found::File(length) if length > wanted => {
            handles.get(disk, path, Open::Existing).and_then(|file| file.cut(wanted)).trying(trying)?;
            Ok(count)
        }
        Found::File(length) if length == wanted => Ok(count),
        Found::Nothing if count == 0 => Ok(0),
        Found::File(length) => {
            let left = length / ENTRY as u64;
            notes.push(format!(
                "`{path}` lost {} of its {count} entries: these records are written again if they come again",
                count - left
            ));
            Ok(left)
        }
        Found::Nothing => {
            notes.push(format!("`{path}` is gone with its {count} entries: these records are written again if they come again"));
            Ok(0)
        }
        Found::Other => Err(Trouble::InTheWay { path: path.to_owned() }),
    }
}

fn read<D: Disk>(path: &str, at: u64, most: usize, disk: &D, handles: &mut Handles<D::File>) -> Result<Vec<Key>, Trouble> {
    let mut bytes = vec![0; most * ENTRY];
    let file = handles.get(disk, path, Open::Existing);
    let read =
        file.and_then(|file| file.read_at(at * ENTRY as u64, &mut bytes)).trying(|| format!("reading the journal's `{path}`"))?;
    if read < bytes.len() {
        return Err(Trouble::Damaged { path: path.to_owned(), what: "it ends before its last entry".to_owned() });
    }
    let (entries, _) = bytes.as_chunks::<ENTRY>();
    Ok(entries
        .iter()
        .map(|&[a, b, c, d, e, f, g, h, i, j, k, l]| {
            (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u32::from_le_bytes([i, j, k, l]))
        })
        .collect())
}

fn append<D: Disk>(
    path: &str,
    at: u64,
    keys: &[Key],
    sync: bool,
    disk: &D,
    handles: &mut Handles<D::File>,
) -> std::io::Result<()> {
    let mut bytes = Vec::with_capacity(keys.len() * ENTRY);
    for (sequence, ordinal) in keys {
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(&ordinal.to_le_bytes());
    }
    // What an interrupted merge left under this number is emptied.
    let file = handles.get(disk, path, if at == 0 { Open::Empty } else { Open::Existing })?;
    file.write_at(at * ENTRY as u64, &bytes)?;
    if sync { file.sync() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::Directory;

    struct Book {
        disk: Directory,
        index: Index,
        handles: Handles<std::fs::File>,
        notes: Vec<String>,
        _folder: tempfile::TempDir,
    }

    impl Book {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let disk = Directory::new(folder.path());
            disk.make_folder("j/index").unwrap();
            Self { disk, index: Index::default(), handles: Handles::default(), notes: Vec::new(), _folder: folder }
        }

        fn has(&mut self, key: Key) -> bool {
            self.index.has(key, "j", &self.disk, &mut self.handles, &mut self.notes).unwrap()
        }

        fn write(&mut self, keys: &[Key]) {
            let fresh: Vec<Key> = keys.iter().copied().filter(|key| !self.has(*key)).collect();
            let mut added = self.index.add("j", &self.disk, &mut self.handles, &mut self.notes).unwrap();
            fresh.into_iter().for_each(|key| added.push(key));
            let counts = self.index.write(&added, "j", false, &self.disk, &mut self.handles).unwrap();
            self.index.commit(&added, counts);
        }

        fn reopen(&mut self) {
            self.handles.clear();
            self.index = Index::new(self.index.counts);
        }
    }

    #[test]
    fn a_record_below_the_highest_that_was_never_written_is_not_known() {
        let mut book = Book::new();
        book.write(&(0..5000).filter(|n| n % 7 != 3).map(|n| (n, 0)).collect::<Vec<_>>());
        for n in 0..5100 {
            assert_eq!(book.has((n, 0)), n < 5000 && n % 7 != 3, "{n}");
            assert!(!book.has((n, 1)));
        }
        book.write(&[(3, 0), (10, 1)]);
        assert_eq!(book.index.counts, Counts { id: 0, ascending: 5000 - 714, late: 2 });
        book.reopen();
        assert!(book.has((3, 0)) && book.has((10, 1)) && !book.has((10, 0)));
    }

    #[test]
    fn entries_that_somebody_cut_off_are_warned_of_and_those_beyond_the_log_are_cut() {
        let mut book = Book::new();
        book.write(&[(1, 0), (2, 0)]);
        let file = book.handles.get(&book.disk, "j/index/0", Open::Existing).unwrap();
        file.write_at(24, &[9; 30]).unwrap();
        book.reopen();
        assert!(book.has((2, 0)) && book.notes.is_empty());
        assert_eq!(book.disk.look("j/index/0").unwrap(), Found::File(24));
        book.handles.get(&book.disk, "j/index/0", Open::Existing).unwrap().cut(13).unwrap();
        book.reopen();
        assert!(book.has((1, 0)) && !book.has((2, 0)));
        assert!(book.notes[0].contains("lost 1 of its 2 entries"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_answers_as_a_set_does(batches in prop::collection::vec((0..3_u8, prop::collection::vec((0..3000_u64, 0..2_u32), 0..700)), 1..8)) {
            let mut book = Book::new();
            let mut set = BTreeSet::new();
            let mut id = 0;
            for (what, mut keys) in batches {
                keys.sort_unstable();
                keys.dedup();
                book.write(&keys);
                set.extend(keys);
                match what {
                    0 => book.reopen(),
                    1 => {
                        id += 1;
                        book.index = book.index.merge(id, "j", false, &book.disk, &mut book.handles, &mut book.notes).unwrap();
                        prop_assert_eq!(book.index.counts, Counts { id, ascending: set.len() as u64, late: 0 });
                    }
                    _ => {}
                }
            }
            for sequence in 0..3000 {
                prop_assert_eq!(book.has((sequence, 0)), set.contains(&(sequence, 0)));
                prop_assert_eq!(book.has((sequence, 1)), set.contains(&(sequence, 1)));
            }
        }
    }
}
