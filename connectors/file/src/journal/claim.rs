//! Sees to it that no two destinations give their files the same names in one directory: what one writes is beyond what the other's
//! log vouches for, and would be cut off.
//!
//! Each journal says in its file `name` how its files are named. Two templates that differ and still meet are not found out.

use super::FOLDER;
use crate::{
    disk::{Disk, DiskFile, Open},
    trouble::{Trouble, Trying},
};

/// Writes down how the files of this journal are named, unless another journal says the same.
pub fn claim<D: Disk>(folder: &str, name: &str, sync: bool, disk: &D) -> Result<(), Trouble> {
    let path = format!("{folder}/name");
    let known = read(folder, disk).is_some_and(|said| said == name.as_bytes());
    let write = |said: &[u8]| {
        let mut file = disk.open(&path, Open::Empty)?;
        file.write_at(0, said)?;
        if sync { file.sync() } else { Ok(()) }
    };
    // Said before it is looked at what the others say: of two that begin at once, one at the least sees the other.
    if !known {
        write(name.as_bytes()).trying(|| format!("writing the journal's `{path}`"))?;
    }
    let Some(path) = other(folder, name, disk)? else { return Ok(()) };
    if !known {
        // Whoever was there first is not to be kept from going on.
        write(b"").trying(|| format!("writing the journal's `{folder}/name`"))?;
    }
    Err(Trouble::Shared { path, name: name.to_owned() })
}

/// The journal of somebody else who says the same.
fn other<D: Disk>(folder: &str, name: &str, disk: &D) -> Result<Option<String>, Trouble> {
    let trying = || format!("looking at the journals in `{FOLDER}`");
    for pipeline in disk.list(FOLDER).trying(trying)? {
        // Something that is no folder is none of ours.
        let Ok(destinations) = disk.list(&format!("{FOLDER}/{pipeline}")) else { continue };
        for destination in destinations {
            let other = format!("{FOLDER}/{pipeline}/{destination}");
            if other != folder && read(&other, disk).is_some_and(|other| other == name.as_bytes()) {
                return Ok(Some(other));
            }
        }
    }
    Ok(None)
}

fn read<D: Disk>(folder: &str, disk: &D) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    let read = disk.open(&format!("{folder}/name"), Open::Existing).and_then(|mut file| file.read_at(0, &mut bytes)).ok()?;
    bytes.truncate(read);
    Some(bytes)
}
