//! What the actions of a destination are called.
//!
//! **Threat.** A component of a later version names its actions in another order, or has one of them no more: what waits is known by the action's index, and would go to
//! another one. **Answer.** The name of each stands beside its index. When a destination starts, whatever is known by the index is brought to where the name is by now, in one
//! transaction; where a name is gone and something waits for it, nothing is changed, and nothing starts.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::{Fault, SpoolState, code};
use crate::{
    record::FollowUps,
    store::spool::{Adopted, UploadState},
};

/// Indices from here on are of actions that the component does not have any more: of each, this and the number of its folder.
const GONE: u32 = 1 << 31;

/// What tells a record by the index of its action.
const TABLES: [&str; 8] = ["batches", "spans", "marks", "totals", "uploads", "promises", "followed", "written"];

/// An action that the spool knows.
struct Named {
    index: u32,
    name: String,
    folder: u32,
}

/// Their names, by index.
pub(super) fn names(connection: &Connection) -> rusqlite::Result<BTreeMap<u32, String>> {
    let mut query = connection.prepare_cached("SELECT action, name FROM actions")?;
    query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// Brings whatever is known by an index to where the action's name stands among these.
pub(super) fn adopt(transaction: &Transaction<'_>, names: &[String]) -> Result<Adopted, Fault> {
    let known = known(transaction, names)?;
    if let Some((name, records)) = astray(transaction, &known, names)?.into_iter().next() {
        return Err(Fault::NoAction { name, records });
    }
    let mut moves = Vec::new();
    let (mut folders, mut gone): (Vec<Option<u32>>, Vec<u32>) = (vec![None; names.len()], Vec::new());
    transaction.execute("DELETE FROM actions", [])?;
    let put = |index: u32, name: &str, folder: u32| {
        let mut insert = transaction.prepare_cached("INSERT INTO actions (action, name, folder) VALUES (?, ?, ?)")?;
        insert.execute(params![index, name, folder]).map(drop)
    };
    for Named { index, name, folder } in &known {
        let to = match place(&known, names, name) {
            Some(at) => {
                folders[at] = Some(*folder);
                at as u32
            }
            None => {
                gone.push(*folder);
                GONE + folder
            }
        };
        put(to, names.get(to as usize).unwrap_or(name), *folder)?;
        moves.extend((*index != to).then_some((*index, to)));
    }
    let mut taken: BTreeSet<u32> = known.iter().map(|one| one.folder).collect();
    for ((index, name), folder) in (0..).zip(names).zip(&mut folders) {
        if folder.is_none() {
            let free = if taken.contains(&index) { taken.last().map_or(0, |last| last + 1) } else { index };
            taken.insert(free);
            put(index, name, free)?;
            *folder = Some(free);
        }
    }
    moved(transaction, &moves)?;
    // Nobody is left who could tell the far side to forget them.
    transaction.execute(
        "UPDATE uploads SET state = ? WHERE state = ? AND action >= ?",
        params![UploadState::Released as i64, UploadState::Settled as i64, GONE],
    )?;
    Ok(Adopted { folders: folders.into_iter().flatten().collect(), gone })
}

/// Records, and follow-ups to come, of actions that are not among these, by name.
pub(super) fn astray_of(connection: &Connection, names: &[String]) -> Result<Vec<(String, u64)>, Fault> {
    let known = known(connection, names)?;
    astray(connection, &known, names)
}

/// The actions that a spool knows. One that kept no names so far has those of the component that it meets.
fn known(connection: &Connection, names: &[String]) -> Result<Vec<Named>, Fault> {
    let mut query = connection.prepare_cached("SELECT action, name, folder FROM actions ORDER BY action")?;
    let named = |row: &rusqlite::Row<'_>| Ok(Named { index: row.get(0)?, name: row.get(1)?, folder: row.get(2)? });
    let mut known: Vec<Named> = query.query_map([], named)?.collect::<Result<_, _>>()?;
    if known.is_empty() {
        let used = TABLES.map(|table| format!("SELECT DISTINCT action FROM {table}")).join(" UNION ");
        let mut query = connection.prepare_cached(&format!("{used} ORDER BY action"))?;
        for index in query.query_map([], |row| row.get::<_, u32>(0))? {
            let index = index?;
            // No action can have such a name.
            let name = names.get(index as usize).cloned().unwrap_or_else(|| format!("#{index}"));
            known.push(Named { index, name, folder: index });
        }
    }
    Ok(known)
}

/// Where an action stands among those that there are now.
fn place(known: &[Named], names: &[String], name: &str) -> Option<usize> {
    let lived = || known.iter().filter(|one| one.index < GONE);
    match names {
        // The only one that there is got a name, or lost it.
        [only] if lived().count() == 1 && (only.is_empty() || name.is_empty()) && lived().any(|one| one.name == name) => Some(0),
        names => names.iter().position(|one| one == name),
    }
}

fn astray(connection: &Connection, known: &[Named], names: &[String]) -> Result<Vec<(String, u64)>, Fault> {
    let mut astray = Vec::new();
    for Named { index, name, .. } in known.iter().filter(|one| place(known, names, &one.name).is_none()) {
        let ended = [SpoolState::Succeeded, SpoolState::Discarded].map(|state| code(state).to_string()).join(", ");
        let mut query = connection.prepare_cached(&format!(
            "SELECT (SELECT coalesce(sum(end - start), 0) FROM spans WHERE action = ?1 AND state NOT IN ({ended}))
                  + (SELECT coalesce(sum(end - start), 0) FROM promises WHERE action = ?1)"
        ))?;
        let left: i64 = query.query_row([index], |row| row.get(0))?;
        astray.extend((left > 0).then(|| (name.clone(), left as u64)));
    }
    Ok(astray)
}

/// Gives records other indices. No two go to the same one, and none to one that stays: over numbers that no action has, so that they do not meet on the way.
fn moved(transaction: &Transaction<'_>, moves: &[(u32, u32)]) -> rusqlite::Result<()> {
    let on_the_way = |index: u32| -1 - i64::from(index);
    for table in TABLES {
        let mut update = transaction.prepare(&format!("UPDATE {table} SET action = ?2 WHERE action = ?1"))?;
        for (from, _) in moves {
            update.execute(params![from, on_the_way(*from)])?;
        }
        for (from, to) in moves {
            update.execute(params![on_the_way(*from), to])?;
        }
    }
    Ok(())
}

/// Follow-ups as they are counted here: the component that added them may be an earlier one, which has its actions in another order.
pub(super) fn resolve(transaction: &Transaction<'_>, follow_ups: &mut FollowUps) -> rusqlite::Result<()> {
    let mut query = transaction.prepare_cached("SELECT action FROM actions WHERE name = ?")?;
    if let Some(index) = query.query_row([&*follow_ups.name], |row| row.get(0)).optional()? {
        follow_ups.action = index;
    }
    Ok(())
}
