//! Writes batches into files, each record once: in whole or, where something fails, not at all.

use std::{io, mem};

use super::{
    batch::{Group, Groups, Records, Refusal},
    disk::{Disk, DiskFile, Found, Open},
    handles::Handles,
    journal::{Journal, Owner, index::Added},
    layout::Layout,
    settings::{Files, Format, Settings},
    trouble::{Trouble, Trying},
};

/// A directory that is written to, with its journal.
pub struct Store<D: Disk> {
    settings: Settings,
    owner: Owner,
    disk: D,
    handles: Handles<D::File>,
    /// `None` after a failure that could not be cleared away yet.
    journal: Option<Journal>,
    /// How much of the log may be believed, then.
    known: Option<u64>,
    groups: Groups,
    /// Whether each record of the batch in hand is to be written.
    wanted: Vec<bool>,
    notes: Vec<String>,
}

impl<D: Disk> Store<D> {
    /// Opens the journal and cuts off what an interrupted batch left.
    pub fn open(settings: Settings, owner: Owner, disk: D) -> Result<Self, Trouble> {
        let (groups, wanted, notes) = Default::default();
        let mut store =
            Self { settings, owner, disk, handles: Handles::default(), journal: None, known: None, groups, wanted, notes };
        store.journal = Some(store.open_journal()?);
        Ok(store)
    }

    /// The settings that it was opened with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What an operator should hear of, since this was last asked.
    pub fn take_notes(&mut self) -> Vec<String> {
        mem::take(&mut self.notes)
    }

    /// Writes all records but those that it refuses and those that were written before.
    ///
    /// After a failure none is written: what was is cut off again, now or at the next call.
    pub fn write(&mut self, records: &Records<'_>) -> Result<Vec<Refusal>, Trouble> {
        let mut journal = match self.journal.take() {
            Some(journal) => journal,
            None => self.open_journal()?,
        };
        let result = self.write_with(&mut journal, records);
        match result {
            Ok(refusals) => {
                self.tidy(journal);
                Ok(refusals)
            }
            Err(trouble) => {
                self.known = Some(journal.length());
                match self.open_journal() {
                    Ok(journal) => self.journal = Some(journal),
                    Err(also) => self.notes.push(format!("what a failed batch left is not cut off yet: {also}")),
                }
                Err(trouble)
            }
        }
    }

    fn open_journal(&mut self) -> Result<Journal, Trouble> {
        let journal = Journal::open(&self.owner, self.known, &self.disk, &mut self.handles, &mut self.notes)?;
        self.known = None;
        Ok(journal)
    }

    /// Keeps the journal, after it was made shorter if need be: a failure of that touches no record.
    fn tidy(&mut self, mut journal: Journal) {
        if journal.is_long()
            && let Err(trouble) = journal.shrink(&self.disk, &mut self.handles, &mut self.notes)
        {
            // The log is the old one or the new one, and either is whole.
            self.notes.push(trouble.to_string());
            return;
        }
        self.journal = Some(journal);
    }

    fn write_with(&mut self, journal: &mut Journal, records: &Records<'_>) -> Result<Vec<Refusal>, Trouble> {
        let mut refusals = self.lay_out(journal, records)?;
        self.look(journal, &mut refusals)?;
        let mut added = journal.add(records.partition, &self.disk, &mut self.handles, &mut self.notes)?;
        for (record, _) in self.wanted.iter().enumerate().filter(|(_, wanted)| **wanted) {
            added.push(records.key(record));
        }
        refusals.sort_by_key(|refusal| refusal.record);
        if !added.is_empty() {
            match self.settings.files {
                Files::Append => self.append(journal, records.partition, &added)?,
                Files::Each => self.replace(journal, records.partition, &added)?,
            }
        }
        Ok(refusals)
    }

    /// Sorts the records into files, without touching any.
    fn lay_out(&mut self, journal: &mut Journal, records: &Records<'_>) -> Result<Vec<Refusal>, Trouble> {
        self.groups.clear();
        self.wanted.clear();
        let each = self.settings.files == Files::Each;
        let header = match &self.settings.format {
            Format::Csv { header, .. } if each => header.as_slice(),
            _ => &[],
        };
        let mut refusals = Vec::new();
        let mut layout = Layout::new(&self.settings);
        let (mut name, mut whole) = (String::new(), Vec::new());
        let mut metadata = Vec::with_capacity(records.metadata.len());
        let mut highest = None;
        for record in 0..records.sequences.len() {
            let key = records.key(record);
            let seen = highest >= Some(key) && (0..record).any(|earlier| self.wanted[earlier] && records.key(earlier) == key);
            highest = highest.max(Some(key));
            if seen || journal.has(records.partition, key, &self.disk, &mut self.handles, &mut self.notes)? {
                self.wanted.push(false);
                continue;
            }
            metadata.clear();
            metadata.extend(records.metadata.iter().map(|column| column.and_then(|column| column.get(record))));
            let laid = layout
                .read(records.values.get(record))
                .and_then(|()| {
                    layout.name(&mut name, records.partition, records.keys.and_then(|keys| keys.get(record)), &metadata)
                })
                .and_then(|()| {
                    let group = self.groups.of(&name);
                    if each {
                        whole.clear();
                        whole.extend_from_slice(header);
                        layout.write(&mut whole)?;
                        // The last one of a name is the one that stays.
                        mem::swap(&mut whole, &mut group.bytes);
                    } else {
                        layout.write(&mut group.bytes)?;
                    }
                    group.records.push(record as u32);
                    Ok(())
                });
            self.wanted.push(laid.is_ok());
            if let Err(reason) = laid {
                refusals.push(Refusal { record: record as u32, reason: format!("the record {reason}") });
            }
        }
        Ok(refusals)
    }

    /// Sees what lies where it is going to write, and tells the log of files that it does not know.
    fn look(&mut self, journal: &mut Journal, refusals: &mut Vec<Refusal>) -> Result<(), Trouble> {
        let append = self.settings.files == Files::Append;
        let mut unknown = Vec::new();
        for group in self.groups.iter_mut() {
            let found = match self.disk.look(&group.name) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::InvalidFilename => {
                    let reason =
                        format!("the record would be written to `{}`, which this file system does not take: {error}", group.name);
                    for record in group.records.drain(..) {
                        self.wanted[record as usize] = false;
                        refusals.push(Refusal { record, reason: reason.clone() });
                    }
                    continue;
                }
                Err(error) => return Err(error).trying(|| format!("looking at `{}`", group.name)),
            };
            let length = match found {
                Found::Nothing => None,
                Found::File(length) => Some(length),
                Found::Other => return Err(Trouble::InTheWay { path: group.name.clone() }),
            };
            if !append {
                continue;
            }
            group.start = length.unwrap_or(0);
            match journal.vouched(&group.name) {
                Some(vouched) if vouched == group.start => continue,
                Some(_) => {
                    self.handles.forget(&group.name);
                    self.notes.push(format!("`{}` was changed by somebody else: going on from its end", group.name));
                }
                None => {}
            }
            unknown.push((group.name.clone(), length));
        }
        if unknown.is_empty() {
            return Ok(());
        }
        journal.announce(unknown.iter().map(|(name, length)| (name.as_str(), *length)), &self.disk, &mut self.handles)
    }

    fn append(&mut self, journal: &mut Journal, partition: &str, added: &Added) -> Result<(), Trouble> {
        let mut made = false;
        for group in self.groups.iter_mut() {
            let header = match &self.settings.format {
                Format::Csv { header, .. } if group.start == 0 => header.as_slice(),
                _ => &[],
            };
            let trying = |group: &Group| format!("appending {} bytes to `{}`", header.len() + group.bytes.len(), group.name);
            made |= group.start == 0;
            // An empty file may be another than the one that was open.
            if group.start == 0 {
                self.handles.forget(&group.name);
            }
            let file = self
                .handles
                .get(&self.disk, &group.name, if group.start == 0 { Open::Create } else { Open::Existing })
                .trying(|| trying(group))?;
            if !header.is_empty() {
                file.write_at(0, header).trying(|| trying(group))?;
            }
            file.write_at(group.start + header.len() as u64, &group.bytes).trying(|| trying(group))?;
            if self.owner.sync {
                file.sync().trying(|| trying(group))?;
            }
            group.start += (header.len() + group.bytes.len()) as u64;
        }
        if made && self.owner.sync {
            self.disk.sync_folder("").trying(|| "making a file".to_owned())?;
        }
        let lengths = self.groups.iter().map(|group| (group.name.as_str(), group.start));
        journal.commit(partition, added, lengths, &self.disk, &mut self.handles)
    }

    fn replace(&mut self, journal: &mut Journal, partition: &str, added: &Added) -> Result<(), Trouble> {
        for (number, group) in self.groups.iter().enumerate() {
            let path = journal.making(number);
            let write = || {
                let mut file = self.disk.open(&path, Open::Empty)?;
                file.write_at(0, &group.bytes)?;
                if self.owner.sync { file.sync() } else { Ok(()) }
            };
            write().trying(|| format!("writing {} bytes for `{}`", group.bytes.len(), group.name))?;
        }
        // What can run out of room is done: from here on whole files appear, one by one.
        for (number, group) in self.groups.iter().enumerate() {
            self.disk.rename(&journal.making(number), &group.name).trying(|| format!("putting `{}` in its place", group.name))?;
        }
        if self.owner.sync {
            self.disk.sync_folder("").trying(|| "putting files in their place".to_owned())?;
        }
        journal.commit(partition, added, [].into_iter(), &self.disk, &mut self.handles)
    }
}
