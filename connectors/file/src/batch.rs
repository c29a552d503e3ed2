//! A batch as the store sees it, and what it makes of it before anything is written.

use std::collections::HashMap;

/// A column of a batch.
pub trait Column {
    /// The value of one record, if it has one.
    fn get(&self, record: usize) -> Option<&[u8]>;
}

impl Column for Vec<Option<Vec<u8>>> {
    fn get(&self, record: usize) -> Option<&[u8]> {
        self.as_slice().get(record)?.as_deref()
    }
}

/// Records of one partition.
#[derive(Clone, Copy)]
pub struct Records<'a> {
    /// Where they come from.
    pub partition: &'a str,
    /// One number a record, never falling.
    pub sequences: &'a [u64],
    /// Which of several of the same sequence; empty where all are 0.
    pub ordinals: &'a [u32],
    /// What is written.
    pub values: &'a dyn Column,
    /// The records' keys, where the batch has any.
    pub keys: Option<&'a dyn Column>,
    /// For each that the name asks for.
    pub metadata: &'a [Option<&'a dyn Column>],
}

impl Records<'_> {
    /// Sequence and ordinal of one record.
    pub fn key(&self, record: usize) -> (u64, u32) {
        (self.sequences[record], self.ordinals.get(record).copied().unwrap_or(0))
    }
}

/// A record that can never be written as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which of the batch.
    pub record: u32,
    /// Why, as a sentence.
    pub reason: String,
}

/// What a batch adds to one file.
#[derive(Debug, Default)]
pub struct Group {
    /// Name of the file.
    pub name: String,
    /// What is added to it, or all of it where each record is a file.
    pub bytes: Vec<u8>,
    /// Whose they are.
    pub records: Vec<u32>,
    /// Length of the file before.
    pub start: u64,
}

/// The groups of a batch, with buffers that are used again.
#[derive(Debug, Default)]
pub struct Groups {
    groups: Vec<Group>,
    used: usize,
    by_name: HashMap<String, usize>,
    last: usize,
}

/// What is kept for the next batch: so many buffers of at most so many bytes.
const KEPT: (usize, usize) = (64, 1 << 20);

impl Groups {
    /// Begins a batch.
    pub fn clear(&mut self) {
        self.groups.truncate(KEPT.0);
        self.groups.iter_mut().for_each(|group| group.bytes.shrink_to(KEPT.1));
        self.by_name.clear();
        (self.used, self.last) = (0, 0);
    }

    /// The group of a file; most records follow one of the same file.
    pub fn of(&mut self, name: &str) -> &mut Group {
        let same = self.groups[..self.used].get(self.last).is_some_and(|group| group.name == name);
        if !same {
            self.last = match self.by_name.get(name) {
                Some(&at) => at,
                None => self.begin(name),
            };
        }
        &mut self.groups[self.last]
    }

    fn begin(&mut self, name: &str) -> usize {
        let at = self.used;
        if at == self.groups.len() {
            self.groups.push(Group::default());
        }
        let group = &mut self.groups[at];
        group.name.clear();
        group.name.push_str(name);
        group.bytes.clear();
        group.records.clear();
        self.by_name.insert(name.to_owned(), at);
        self.used += 1;
        at
    }

    /// Those that have something to write.
    pub fn iter(&self) -> impl Iterator<Item = &Group> + Clone {
        self.groups[..self.used].iter().filter(|group| !group.records.is_empty())
    }

    /// Those that have something to write.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Group> {
        self.groups[..self.used].iter_mut().filter(|group| !group.records.is_empty())
    }
}
