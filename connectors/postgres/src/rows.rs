//! What becomes of a record: a row to be put in place, or the key of one to be removed.

use std::ops::Range;

use wharf_json::{Json, Kind, Part, Pointer, parse};
use wharf_sdk::{Batch, Operation, Record};

use super::{
    settings::{From, Mode, Settings, Unknown},
    table::{Table, Wanted},
    value,
};

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The column.
    pub column: usize,
    /// Where its text stands; nowhere where it is NULL.
    pub text: Option<Range<usize>>,
}

/// A row, of which nothing is said of columns that it has no cell of.
#[derive(Clone, Debug)]
pub struct Row {
    /// The record that it is of.
    pub record: u32,
    /// Whether the row of its key is to be removed; its cells are those of the key then.
    pub delete: bool,
    /// Its cells, by column.
    pub cells: Range<usize>,
}

/// Rows, whose text is laid end to end.
#[derive(Debug, Default)]
pub struct Rows {
    text: Vec<u8>,
    cells: Vec<Cell>,
    /// In the order of their records.
    pub rows: Vec<Row>,
    /// The columns of the last record's members, in their order.
    order: Vec<Option<usize>>,
}

/// Why a record becomes no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It never will.
    Rejected(String),
    /// It needs a column that the table has not.
    Column(String),
}

impl Rows {
    /// The cells of a row, by column.
    pub fn cells(&self, row: &Row) -> &[Cell] {
        &self.cells[row.cells.clone()]
    }

    /// The text of a cell; `None` where it is NULL.
    pub fn text(&self, cell: &Cell) -> Option<&[u8]> {
        cell.text.clone().map(|range| &self.text[range])
    }

    /// Whether two rows have cells of the same columns.
    pub fn alike(&self, left: &Row, right: &Row) -> bool {
        self.columns(left).eq(self.columns(right))
    }

    /// Whether a row has a cell of every column that another has one of.
    pub fn covers(&self, row: &Row, other: &Row) -> bool {
        self.columns(other).all(|column| self.columns(row).any(|own| own == column))
    }

    /// The columns of a row, ascending.
    pub fn columns<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = usize> + 'a {
        self.cells(row).iter().map(|cell| cell.column)
    }

    /// One more record's row.
    ///
    /// # Errors
    /// Where it becomes none; nothing is added then.
    pub fn add(&mut self, settings: &Settings, table: &Table, batch: &Batch, record: Record<'_>) -> Result<(), Unfit> {
        let (text, cells) = (self.text.len(), self.cells.len());
        let made = self.make(settings, table, batch, record, cells);
        match made {
            Ok(row) => self.rows.push(row),
            Err(unfit) => {
                self.text.truncate(text);
                self.cells.truncate(cells);
                return Err(unfit);
            }
        }
        Ok(())
    }

    fn make(&mut self, settings: &Settings, table: &Table, batch: &Batch, record: Record<'_>, from: usize) -> Result<Row, Unfit> {
        let upsert = settings.config.mode == Mode::Upsert;
        let delete = upsert && (record.operation() == Operation::Delete || record.after().is_none());
        if upsert && table.key.is_empty() {
            return Err(Unfit::Rejected(format!("{} has no primary key, and `key` names no columns", table.sql)));
        }
        if delete {
            self.put_key(settings, table, record)?;
        } else if settings.columns.is_empty() {
            self.put_members(settings, table, record)?;
        } else {
            self.put_columns(settings, table, batch, record)?;
        }
        let own = &mut self.cells[from..];
        own.sort_unstable_by_key(|cell| cell.column);
        let row = Row { record: record.index(), delete, cells: from..self.cells.len() };
        if upsert {
            for key in &table.key {
                let there = self.cells(&row).iter().any(|cell| cell.column == *key && cell.text.is_some());
                if !there {
                    let name = &table.columns[*key].name;
                    return Err(Unfit::Rejected(format!("the record has nothing for `{name}`, which identifies its row")));
                }
            }
        }
        Ok(row)
    }

    /// A cell of each member, or of the rest of them.
    fn put_members(&mut self, settings: &Settings, table: &Table, record: Record<'_>) -> Result<(), Unfit> {
        let after = record.after().ok_or_else(|| {
            Unfit::Rejected(
                "the record has no value: say in `columns` where a row comes from, or use `mode: upsert` to delete".into(),
            )
        })?;
        let members = members(after)?;
        let from = self.cells.len();
        let mut rest = Vec::new();
        for (place, (name, mut value)) in members.into_iter().enumerate() {
            let text = name.text();
            let own = settings.config.rest.as_deref() == Some(&*text);
            match self.column(table, place, &text).filter(|_| !own) {
                Some(column) => {
                    // Of a member that is named twice, the last counts.
                    if let Some(at) = self.cells[from..].iter().position(|cell| cell.column == column) {
                        self.cells.remove(from + at);
                    }
                    self.put_json(settings, table, column, &mut value)?;
                }
                None if settings.config.rest.is_some() && !settings.config.widen => {
                    drop(text);
                    rest.push((name, value));
                }
                None if settings.config.unknown == Unknown::Ignore && !settings.config.widen => {}
                None => return Err(Unfit::Column(text.into_owned())),
            }
        }
        if let Some(name) = &settings.config.rest {
            let column = *table.by_name.get(name).ok_or_else(|| Unfit::Column(name.clone()))?;
            if rest.is_empty() {
                self.cells.push(Cell { column, text: None });
            } else {
                self.put_json(settings, table, column, &mut Json::object(rest))?;
            }
        }
        Ok(())
    }

    /// The column of a member. Mostly members stand in the order of the record before.
    fn column(&mut self, table: &Table, place: usize, name: &str) -> Option<usize> {
        if let Some(column) = self.order.get(place).copied().flatten()
            && table.columns[column].name == name
        {
            return Some(column);
        }
        let column = table.by_name.get(name).copied();
        if self.order.len() <= place {
            self.order.resize(place + 1, None);
        }
        self.order[place] = column;
        column
    }

    /// A cell of each column that the settings name.
    fn put_columns(&mut self, settings: &Settings, table: &Table, batch: &Batch, record: Record<'_>) -> Result<(), Unfit> {
        let mut document = None;
        for (name, from) in &settings.columns {
            let column = *table.by_name.get(name).ok_or_else(|| Unfit::Column(name.clone()))?;
            if let From::Pointer(pointer) = from {
                let Some(after) = record.after() else { continue };
                let document = match &mut document {
                    Some(document) => document,
                    none => none.insert(parsed(after)?),
                };
                if let Some(value) = document.get(pointer) {
                    self.put_json(settings, table, column, value)?;
                }
                continue;
            }
            if matches!(from, From::After) {
                if let Some(after) = record.after() {
                    self.put_json(settings, table, column, &mut parsed(after)?)?;
                }
                continue;
            }
            let number;
            let bytes = match from {
                From::Key => record.key(),
                From::Metadata(name) => record.meta(name),
                From::Operation => Some(operation(record.operation()).as_bytes()),
                From::Partition => Some(batch.partition().as_bytes()),
                From::Sequence => {
                    number = record.sequence().to_string();
                    Some(number.as_bytes())
                }
                From::Ordinal => {
                    number = record.ordinal().to_string();
                    Some(number.as_bytes())
                }
                From::Pointer(_) | From::After => None,
            };
            self.put_bytes(table, column, bytes)?;
        }
        Ok(())
    }

    /// The cells that identify the row to be removed: from what the record was before, or from its key.
    fn put_key(&mut self, settings: &Settings, table: &Table, record: Record<'_>) -> Result<(), Unfit> {
        let mut known = [record.before(), record.after()].into_iter().flatten().next().and_then(|bytes| Json::parse(bytes).ok());
        let mut key = record.key().and_then(|key| Json::parse(key).ok()).filter(|key| key.kind() == Kind::Object);
        for column in &table.key {
            let name = &table.columns[*column].name;
            let from = settings.columns.iter().find(|(other, _)| other == name).map(|(_, from)| from);
            let own = Pointer::of(std::slice::from_ref(name));
            let pointer = match from {
                Some(From::Pointer(pointer)) => pointer,
                _ => &own,
            };
            if matches!(from, Some(From::Key)) {
                self.put_bytes(table, *column, record.key())?;
            } else if let Some(value) = known.as_mut().and_then(|known| known.get(pointer)) {
                self.put_json(settings, table, *column, value)?;
            } else if let Some(value) = key.as_mut().and_then(|key| key.get(&own)) {
                self.put_json(settings, table, *column, value)?;
            } else if key.is_none() && table.key.len() == 1 {
                // The key of the source is that of the table.
                self.put_bytes(table, *column, record.key())?;
            }
        }
        Ok(())
    }

    fn put_json(&mut self, settings: &Settings, table: &Table, column: usize, value: &mut Json<'_>) -> Result<(), Unfit> {
        let from = self.text.len();
        let there = value::put(value, table.columns[column].reads, settings.config.time_unit, &mut self.text);
        let there = there.map_err(|wrong| rejected(table, column, &wrong))?;
        self.cells.push(Cell { column, text: there.then_some(from..self.text.len()) });
        Ok(())
    }

    fn put_bytes(&mut self, table: &Table, column: usize, bytes: Option<&[u8]>) -> Result<(), Unfit> {
        let from = self.text.len();
        if let Some(bytes) = bytes {
            value::put_bytes(bytes, table.columns[column].reads, &mut self.text)
                .map_err(|wrong| rejected(table, column, &wrong))?;
        }
        self.cells.push(Cell { column, text: bytes.is_some().then_some(from..self.text.len()) });
        Ok(())
    }
}

fn rejected(table: &Table, column: usize, wrong: &str) -> Unfit {
    Unfit::Rejected(format!("what `{}` of {} would get {wrong}", table.columns[column].name, table.sql))
}

fn parsed(after: &[u8]) -> Result<Json<'_>, Unfit> {
    parse(Part::After, after).map_err(|failure| Unfit::Rejected(failure.message().to_owned()))
}

fn members(after: &[u8]) -> Result<Vec<(wharf_json::Name<'_>, Json<'_>)>, Unfit> {
    match Json::members_of(after) {
        Ok(Some(members)) => Ok(members),
        _ => {
            let kind = parsed(after)?.kind();
            Err(Unfit::Rejected(format!(
                "the record is {kind}, which has no members for columns: say in `columns` where they come from"
            )))
        }
    }
}

/// What columns a record asks for, of those that a table may be made or widened with.
pub fn wanted(settings: &Settings, record: Record<'_>, missing_from: Option<&Table>, wanted: &mut Wanted) {
    let missing = |name: &str| {
        let is_rest = settings.config.rest.as_deref() == Some(name);
        !is_rest && missing_from.is_none_or(|table| !table.by_name.contains_key(name))
    };
    let Some(mut document) = record.after().and_then(|after| Json::parse(after).ok()) else { return };
    if settings.columns.is_empty() {
        for (name, value) in document.members().into_iter().flatten() {
            let name = name.text();
            if missing(&name) {
                wanted.see(&name, value);
            }
        }
        return;
    }
    for (name, from) in settings.columns.iter().filter(|(name, _)| missing(name)) {
        match from {
            From::Pointer(pointer) => match document.get(pointer) {
                Some(value) => wanted.see(name, value),
                None => wanted.see(name, &Json::null()),
            },
            From::After => wanted.see(name, &document),
            From::Sequence | From::Ordinal => wanted.see(name, &Json::parse(b"0").unwrap_or_else(|_| Json::null())),
            From::Key | From::Operation | From::Partition | From::Metadata(_) => wanted.see_text(name),
        }
    }
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Delete => "delete",
        Operation::Snapshot => "snapshot",
    }
}
