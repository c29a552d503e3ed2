//! Rows into tables, within a transaction that somebody else began, with those found that the server refuses.

use std::collections::HashMap;

use super::{
    client::{Blame, Connection, Error, Refusal},
    rows::{Row, Rows},
    settings::Mode,
    sql::{copied, element, identifier},
    table::Table,
};

/// Rows that the server refuses, by their place among the rows, and why.
pub type Refused = Vec<(usize, Refusal)>;

/// Writes rows into a table.
///
/// # Errors
/// Where nothing can be written, for a reason that is no row's: the transaction is to be given up.
pub fn write(connection: &mut Connection, table: &Table, rows: &Rows, which: &[usize], mode: Mode) -> Result<Refused, Error> {
    let mut refused = Vec::new();
    if mode == Mode::Append {
        for run in alike(rows, which.iter().copied()) {
            refused.extend(isolated(connection, &run, &mut |connection, part| copy(connection, table, rows, part))?);
        }
        return Ok(refused);
    }
    // Rows of one key follow each other; of different ones they go together.
    let mut chains: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
    for at in which {
        let chain = *known.entry(key(table, rows, &rows.rows[*at])).or_insert_with(|| {
            chains.push(Vec::new());
            chains.len() - 1
        });
        chains[chain].push(*at);
    }
    while !chains.is_empty() {
        // Of each key the last of those that one statement can stand for: what comes after takes all of it away or over.
        let run = |chain: &Vec<usize>| {
            let over = |pair: &[usize]| supersedes(rows, &rows.rows[pair[1]], &rows.rows[pair[0]]);
            1 + chain.windows(2).take_while(|pair| over(pair)).count()
        };
        let runs: Vec<usize> = chains.iter().map(run).collect();
        let tried = chains.iter().zip(&runs).map(|(chain, run)| chain[run - 1]);
        let (deletes, upserts): (Vec<usize>, Vec<usize>) = tried.partition(|at| rows.rows[*at].delete);
        let mut now = isolated(connection, &deletes, &mut |connection, part| delete(connection, table, rows, part))?;
        for run in alike(rows, upserts.into_iter()) {
            now.extend(isolated(connection, &run, &mut |connection, part| upsert(connection, table, rows, part))?);
        }
        for (chain, run) in chains.iter_mut().zip(runs) {
            let last = chain[run - 1];
            if now.iter().any(|(at, _)| *at == last) {
                // What it would have stood for stands for itself.
                chain.remove(run - 1);
            } else {
                chain.drain(..run);
            }
        }
        chains.retain(|chain| !chain.is_empty());
        refused.extend(now);
    }
    Ok(refused)
}

/// Whether nothing of an earlier row is left once a later one of its key is written.
fn supersedes(rows: &Rows, later: &Row, earlier: &Row) -> bool {
    later.delete || (!earlier.delete && rows.covers(later, earlier))
}

/// Rows with the same columns, together and in order.
fn alike(rows: &Rows, which: impl Iterator<Item = usize>) -> Vec<Vec<usize>> {
    let mut runs: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<Vec<usize>, usize> = HashMap::new();
    let mut last: Option<usize> = None;
    for at in which {
        let row = &rows.rows[at];
        // Mostly they are like the one before.
        let run = match last {
            Some(run) if rows.alike(row, &rows.rows[runs[run][0]]) => run,
            _ => *known.entry(rows.columns(row).collect()).or_insert_with(|| {
                runs.push(Vec::new());
                runs.len() - 1
            }),
        };
        runs[run].push(at);
        last = Some(run);
    }
    runs
}

/// What identifies a row, as bytes.
fn key(table: &Table, rows: &Rows, row: &Row) -> Vec<u8> {
    let mut key = Vec::new();
    for cell in rows.cells(row).iter().filter(|cell| table.key.contains(&cell.column)) {
        let text = rows.text(cell).unwrap_or_default();
        key.extend_from_slice(&(text.len() as u64).to_be_bytes());
        key.extend_from_slice(text);
    }
    key
}

type Statement<'s> = dyn FnMut(&mut Connection, &[usize]) -> Result<(), Error> + 's;

/// Writes all rows that the server takes, and gives those that it refuses: where it says which line it is, at once, else by halves.
fn isolated(connection: &mut Connection, rows: &[usize], write: &mut Statement<'_>) -> Result<Refused, Error> {
    let mut refused = Vec::new();
    let mut parts = vec![rows];
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        connection.query("SAVEPOINT wharf_part")?;
        let refusal = match write(connection, part) {
            Ok(()) => {
                connection.query("RELEASE wharf_part")?;
                continue;
            }
            Err(Error::Refused(refusal)) if refusal.blame() == Blame::Row && !connection.is_broken() => refusal,
            Err(error) => return Err(error),
        };
        connection.query("ROLLBACK TO wharf_part; RELEASE wharf_part")?;
        let line = refusal.line().filter(|line| *line < part.len()).or((part.len() == 1).then_some(0));
        match line {
            Some(line) => {
                parts.push(&part[line + 1..]);
                parts.push(&part[..line]);
                refused.push((part[line], refusal));
            }
            None => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.push(second);
                parts.push(first);
            }
        }
    }
    Ok(refused)
}

fn names(table: &Table, columns: impl Iterator<Item = usize>) -> Vec<String> {
    columns.map(|column| identifier(&table.columns[column].name)).collect()
}

fn copy(connection: &mut Connection, table: &Table, rows: &Rows, part: &[usize]) -> Result<(), Error> {
    let Some(first) = part.first().map(|at| &rows.rows[*at]) else { return Ok(()) };
    let mut data = Vec::new();
    for at in part {
        for (place, cell) in rows.cells(&rows.rows[*at]).iter().enumerate() {
            if place > 0 {
                data.push(b'\t');
            }
            copied(rows.text(cell), &mut data);
        }
        data.push(b'\n');
    }
    let columns = names(table, rows.columns(first)).join(", ");
    if columns.is_empty() {
        // A row of defaults has no line.
        let all = format!("INSERT INTO {} DEFAULT VALUES", table.sql);
        return part.iter().try_for_each(|_| connection.query(&all).map(drop));
    }
    connection.copy(&format!("COPY {} ({columns}) FROM STDIN", table.sql), &data)
}

/// An array of text for each column, and what the statement calls them.
fn arrays(table: &Table, rows: &Rows, part: &[usize], columns: &[usize]) -> (Vec<Vec<u8>>, String, String) {
    let arrays = columns.iter().enumerate().map(|(place, column)| {
        let mut array = b"{".to_vec();
        for at in part {
            let cells = rows.cells(&rows.rows[*at]);
            // They have the same columns in the same order.
            let cell = cells
                .get(place)
                .filter(|cell| cell.column == *column)
                .or_else(|| cells.iter().find(|cell| cell.column == *column));
            element(cell.and_then(|cell| rows.text(cell)), &mut array);
        }
        array.push(b'}');
        array
    });
    let places: Vec<String> = (1..=columns.len()).map(|place| format!("${place}::text[]")).collect();
    let values: Vec<String> =
        columns.iter().enumerate().map(|(place, column)| format!("u.c{place}::{}", table.columns[*column].kind)).collect();
    let called: Vec<String> = (0..columns.len()).map(|place| format!("c{place}")).collect();
    (arrays.collect(), format!("unnest({}) AS u({})", places.join(", "), called.join(", ")), values.join(", "))
}

fn upsert(connection: &mut Connection, table: &Table, rows: &Rows, part: &[usize]) -> Result<(), Error> {
    let Some(first) = part.first().map(|at| &rows.rows[*at]) else { return Ok(()) };
    let columns: Vec<usize> = rows.columns(first).collect();
    let (arrays, from, values) = arrays(table, rows, part, &columns);
    let set: Vec<String> = names(table, columns.iter().copied().filter(|column| !table.key.contains(column)))
        .into_iter()
        .map(|name| format!("{name} = EXCLUDED.{name}"))
        .collect();
    let then = if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {}", set.join(", ")) };
    let statement = format!(
        "INSERT INTO {} ({}) SELECT {values} FROM {from} ON CONFLICT ({}) DO {then}",
        table.sql,
        names(table, columns.iter().copied()).join(", "),
        names(table, table.key.iter().copied()).join(", "),
    );
    execute(connection, &statement, &arrays)
}

fn delete(connection: &mut Connection, table: &Table, rows: &Rows, part: &[usize]) -> Result<(), Error> {
    let (arrays, from, _) = arrays(table, rows, part, &table.key);
    let same: Vec<String> = names(table, table.key.iter().copied())
        .into_iter()
        .zip(&table.key)
        .enumerate()
        .map(|(place, (name, column))| format!("t.{name} = u.c{place}::{}", table.columns[*column].kind))
        .collect();
    execute(connection, &format!("DELETE FROM {} AS t USING {from} WHERE {}", table.sql, same.join(" AND ")), &arrays)
}

fn execute(connection: &mut Connection, statement: &str, arrays: &[Vec<u8>]) -> Result<(), Error> {
    let parameters: Vec<Option<&[u8]>> = arrays.iter().map(|array| Some(array.as_slice())).collect();
    connection.execute(statement, &parameters).map(drop)
}
