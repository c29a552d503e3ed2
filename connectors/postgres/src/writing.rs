//! Rows into tables, within a transaction that somebody else began, with those found that the server refuses.

use std::collections::HashMap;

use super::{
    client::{BURST, Blame, Connection, Error, Failed, Refusal},
    rows::{Row, Rows},
    settings::Mode,
    sql::{copied, element, identifier},
    table::Table,
};

/// Rows that the server refuses, by their place among the rows, and why.
pub type Refused = Vec<(usize, Refusal)>;

/// The end of a transaction, which goes with its last rows where it can: in one round trip with them, and undone with them where they are refused.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// It does not go with any.
    #[default]
    Apart,
    /// It goes with the last, where none was refused before them.
    With(String),
    /// It went, and did not come about: what was refused was no row.
    Failed,
    /// It came about.
    Done,
}

impl Ending {
    /// What to say behind rows that the server takes.
    fn behind(&self, last: bool) -> String {
        match self {
            Self::With(statements) if last => format!("{RELEASE}; {statements}"),
            _ => RELEASE.to_owned(),
        }
    }

    /// What came of rows, and of what was said behind them.
    fn went(&mut self, last: bool, exchanged: &Result<Vec<Vec<super::client::Row>>, Failed>) {
        if !last || !matches!(self, Self::With(_)) {
            return;
        }
        match exchanged {
            Ok(_) => *self = Self::Done,
            Err(Failed { at: ENDING, .. }) => *self = Self::Failed,
            // It is for other rows then, which it does not speak of.
            Err(_) => *self = Self::Apart,
        }
    }
}

/// Rows on their way into a table while later ones are still made: those that are like the first, by one `COPY`.
#[derive(Debug, Default)]
pub struct Ahead {
    /// Those that were sent, once any was.
    sent: Vec<usize>,
    lines: Vec<u8>,
}

impl Ahead {
    /// Sends the last row that was made, where it can be.
    ///
    /// # Errors
    /// Where nothing can be written.
    pub fn send(&mut self, connection: &mut Connection, table: &Table, rows: &Rows) -> Result<(), Error> {
        let Some((at, row)) = rows.rows.len().checked_sub(1).and_then(|at| Some((at, rows.rows.get(at)?))) else { return Ok(()) };
        match self.sent.first() {
            Some(first) if rows.alike(row, &rows.rows[*first]) => {}
            // A row of defaults has no line.
            None if at == 0 && !rows.cells(row).is_empty() => {
                connection.ask(SAVEPOINT)?;
                connection.begin_copy(&copy_into(table, rows, row))?;
            }
            _ => return Ok(()),
        }
        self.sent.push(at);
        line(rows, row, &mut self.lines);
        if self.lines.len() >= 2 * BURST {
            connection.send_copy(&self.lines[..BURST])?;
            self.lines.drain(..BURST);
        }
        Ok(())
    }

    /// Brings it to its end. Gives those that were not sent, and those that the server refused.
    fn end(
        self,
        connection: &mut Connection,
        table: &Table,
        rows: &Rows,
        ending: &mut Ending,
    ) -> Result<(Vec<usize>, Refused), Error> {
        let Self { sent, lines } = self;
        let mut rest = sent.iter().copied().peekable();
        let others: Vec<usize> = (0..rows.rows.len()).filter(|at| rest.next_if_eq(at).is_none()).collect();
        if sent.is_empty() {
            return Ok((others, Refused::new()));
        }
        let mut parts = Parts::default();
        connection.end_copy(&lines)?;
        parts.sent(connection, &sent, others.is_empty(), ending)?;
        let refused = parts.write(connection, &mut |connection, part| copy(connection, table, rows, part), &mut Ending::Apart)?;
        Ok((others, refused))
    }
}

/// Writes rows into a table, of which some are on their way, and ends the transaction with the last of them where that can be.
///
/// # Errors
/// Where nothing can be written, for a reason that is no row's: the transaction is to be given up.
pub fn write(
    connection: &mut Connection,
    table: &Table,
    rows: &Rows,
    (ahead, mode): (Ahead, Mode),
    ending: &mut Ending,
) -> Result<Refused, Error> {
    let (which, mut refused) = ahead.end(connection, table, rows, ending)?;
    let mut apart = Ending::Apart;
    if mode == Mode::Append {
        let runs = alike(rows, which.into_iter());
        for (place, run) in runs.iter().enumerate() {
            let ending = if place + 1 == runs.len() && refused.is_empty() { &mut *ending } else { &mut apart };
            refused.extend(isolated(connection, run, &mut |connection, part| copy(connection, table, rows, part), ending)?);
        }
        return Ok(refused);
    }
    // Rows of one key follow each other; of different ones they go together.
    let mut chains: Vec<Vec<usize>> = Vec::new();
    let mut known: HashMap<Vec<u8>, usize> = HashMap::new();
    for at in which {
        let chain = *known.entry(key(table, rows, &rows.rows[at])).or_insert_with(|| {
            chains.push(Vec::new());
            chains.len() - 1
        });
        chains[chain].push(at);
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
        let all = refused.is_empty() && chains.iter().zip(&runs).all(|(chain, run)| chain.len() == *run);
        let upserts = alike(rows, upserts.into_iter());
        let end = if all && upserts.is_empty() { &mut *ending } else { &mut apart };
        let mut now = isolated(connection, &deletes, &mut |connection, part| delete(connection, table, rows, part), end)?;
        for (place, run) in upserts.iter().enumerate() {
            let end = if all && now.is_empty() && place + 1 == upserts.len() { &mut *ending } else { &mut apart };
            now.extend(isolated(connection, run, &mut |connection, part| upsert(connection, table, rows, part), end)?);
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

/// Puts the statement of some rows in line.
type Statement<'s> = dyn FnMut(&mut Connection, &[usize]) -> Result<(), Error> + 's;

/// Before rows of which the server may refuse some.
const SAVEPOINT: &str = "SAVEPOINT wharf_part";

/// Where it refused some: as before them, with others to follow.
const BACK: &str = "ROLLBACK TO wharf_part";

/// Where it took all of them, or none is left.
const RELEASE: &str = "RELEASE wharf_part";

/// Where in the line of some rows stands what comes behind them: after [`SAVEPOINT`] and their statement.
const ENDING: usize = 2;

/// Writes all rows that the server takes, and gives those that it refuses.
fn isolated(
    connection: &mut Connection,
    rows: &[usize],
    write: &mut Statement<'_>,
    ending: &mut Ending,
) -> Result<Refused, Error> {
    Parts { waiting: vec![rows], ..Parts::default() }.write(connection, write, ending)
}

/// Rows that are still to be written, and those that were refused.
#[derive(Default)]
struct Parts<'r> {
    waiting: Vec<&'r [usize]>,
    refused: Refused,
    /// Whether rows were refused since the savepoint, and it is to be gone back to.
    back: bool,
}

impl<'r> Parts<'r> {
    fn write(mut self, connection: &mut Connection, write: &mut Statement<'_>, ending: &mut Ending) -> Result<Refused, Error> {
        while let Some(part) = self.waiting.pop() {
            if part.is_empty() {
                continue;
            }
            connection.ask(if self.back { BACK } else { SAVEPOINT })?;
            self.back = false;
            write(connection, part)?;
            let last = self.waiting.is_empty() && self.refused.is_empty();
            self.sent(connection, part, last, ending)?;
        }
        if self.back {
            connection.query(&format!("{BACK}; {RELEASE}"))?;
        }
        Ok(self.refused)
    }

    /// Sees what becomes of a part that stands in line, as all that stands there.
    fn sent(&mut self, connection: &mut Connection, part: &'r [usize], last: bool, ending: &mut Ending) -> Result<(), Error> {
        connection.ask(&ending.behind(last))?;
        let exchanged = connection.exchange();
        ending.went(last, &exchanged);
        match exchanged {
            Ok(_) => Ok(()),
            Err(Failed { at, error }) if at >= ENDING => Err(error),
            Err(Failed { error, .. }) => self.divide(connection, part, error),
        }
    }

    /// A part was not taken: where the server says which line it is, that one is refused at once; else it goes on by halves.
    fn divide(&mut self, connection: &Connection, part: &'r [usize], error: Error) -> Result<(), Error> {
        let refusal = match error {
            Error::Refused(refusal) if refusal.blame() == Blame::Row && !connection.is_broken() => refusal,
            error => return Err(error),
        };
        self.back = true;
        match refusal.line().filter(|line| *line < part.len()).or((part.len() == 1).then_some(0)) {
            Some(line) => {
                self.waiting.push(&part[line + 1..]);
                self.waiting.push(&part[..line]);
                self.refused.push((part[line], refusal));
            }
            None => {
                let (first, second) = part.split_at(part.len() / 2);
                self.waiting.push(second);
                self.waiting.push(first);
            }
        }
        Ok(())
    }
}

fn names(table: &Table, columns: impl Iterator<Item = usize>) -> Vec<String> {
    columns.map(|column| identifier(&table.columns[column].name)).collect()
}

/// The statement that rows like this one are copied by.
fn copy_into(table: &Table, rows: &Rows, like: &Row) -> String {
    format!("COPY {} ({}) FROM STDIN", table.sql, names(table, rows.columns(like)).join(", "))
}

/// A row as a line of a copy.
fn line(rows: &Rows, row: &Row, into: &mut Vec<u8>) {
    for (place, cell) in rows.cells(row).iter().enumerate() {
        if place > 0 {
            into.push(b'\t');
        }
        copied(rows.text(cell), into);
    }
    into.push(b'\n');
}

fn copy(connection: &mut Connection, table: &Table, rows: &Rows, part: &[usize]) -> Result<(), Error> {
    let Some(first) = part.first().map(|at| &rows.rows[*at]) else { return Ok(()) };
    if rows.cells(first).is_empty() {
        // A row of defaults has no line.
        return connection.ask(&format!("INSERT INTO {} DEFAULT VALUES;", table.sql).repeat(part.len()));
    }
    connection.begin_copy(&copy_into(table, rows, first))?;
    let mut lines = Vec::new();
    for at in part {
        line(rows, &rows.rows[*at], &mut lines);
    }
    connection.end_copy(&lines)
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
    connection.execute(statement, &parameters)
}
