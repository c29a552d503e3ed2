//! What the server says of a table, and how one is made and widened.

use std::collections::HashMap;

use wharf_json::{Json, Kind};

use super::{
    client::{Connection, Error},
    settings::Mode,
    sql::{identifier, literal, table as quoted},
};

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type without a length or precision: a value is cast to that, and what does not fit the column is refused rather than cut.
    pub kind: String,
    /// What a value of it looks like.
    pub reads: Reads,
}

/// What a value of a type looks like as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Its JSON.
    Json,
    /// Bytes in hexadecimal.
    Bytes,
    /// A date, with or without a time.
    Time,
    /// A list of other values.
    Array,
    /// Text, numbers and everything else, as they are written.
    Text,
}

/// A table as the server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name as a statement has it.
    pub sql: String,
    /// Its columns that can be written.
    pub columns: Vec<Column>,
    /// Which column has which name.
    pub by_name: HashMap<String, usize>,
    /// The columns that identify a row.
    pub key: Vec<usize>,
}

impl Table {
    /// What the server says of a table; `None` where there is none of that name. `key` are the columns that identify a row, where they are not
    /// those of the primary key.
    ///
    /// # Errors
    /// Where the server cannot say.
    pub fn find(connection: &mut Connection, name: &str, key: &[String]) -> Result<Option<Self>, Error> {
        let sql = quoted(name);
        let found = connection.query(&format!(
            "SELECT a.attname, format_type(a.atttypid, NULL), b.typcategory, b.typname,
                    COALESCE(array_position(i.indkey::int2[], a.attnum), -1)
             FROM pg_attribute a
             JOIN pg_type t ON t.oid = a.atttypid
             JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
             LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND i.indisprimary
             WHERE a.attrelid = to_regclass({}) AND a.attnum > 0 AND NOT a.attisdropped
               AND a.attgenerated = '' AND a.attidentity <> 'a'
             ORDER BY a.attnum",
            literal(&sql)
        ))?;
        if found.is_empty() {
            return Ok(None);
        }
        let mut table = Self { sql, columns: Vec::new(), by_name: HashMap::new(), key: Vec::new() };
        let mut primary = Vec::new();
        for row in found {
            let [name, kind, category, base, position] =
                <[_; 5]>::try_from(row).map_err(|_| Error::Unexpected("of a table"))?.map(Option::unwrap_or_default);
            let reads = match (category.as_str(), base.as_str()) {
                (_, "json" | "jsonb") => Reads::Json,
                (_, "bytea") => Reads::Bytes,
                ("D", "date" | "timestamp" | "timestamptz") => Reads::Time,
                ("A", _) => Reads::Array,
                _ => Reads::Text,
            };
            if let Ok(position @ 0..) = position.parse::<i32>() {
                primary.push((position, table.columns.len()));
            }
            table.by_name.insert(name.clone(), table.columns.len());
            table.columns.push(Column { name, kind, reads });
        }
        primary.sort_unstable();
        table.key = match key {
            [] => primary.into_iter().map(|(_, column)| column).collect(),
            key => key.iter().filter_map(|name| table.by_name.get(name).copied()).collect(),
        };
        Ok(Some(table))
    }
}

/// The type of a column for values as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guess {
    Bool,
    Integer,
    Number,
    Text,
    Json,
}

/// Columns that members of records ask for, in the order in which they were met.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    names: Vec<String>,
    guesses: HashMap<String, Option<Guess>>,
}

impl Wanted {
    /// A value of a column.
    pub fn see(&mut self, column: &str, value: &Json<'_>) {
        let guess = match value.kind() {
            Kind::Null => None,
            Kind::Bool => Some(Guess::Bool),
            Kind::Number if value.as_text().parse::<i64>().is_ok() => Some(Guess::Integer),
            Kind::Number => Some(Guess::Number),
            Kind::String => Some(Guess::Text),
            Kind::Object | Kind::Array => Some(Guess::Json),
        };
        let Some(known) = self.guesses.get_mut(column) else {
            self.names.push(column.to_owned());
            self.guesses.insert(column.to_owned(), guess);
            return;
        };
        *known = match (*known, guess) {
            (known, None) => known,
            (None, guess) => guess,
            (Some(known), Some(guess)) if known == guess => Some(known),
            (Some(Guess::Integer | Guess::Number), Some(Guess::Integer | Guess::Number)) => Some(Guess::Number),
            (Some(Guess::Json), _) | (_, Some(Guess::Json)) => Some(Guess::Json),
            _ => Some(Guess::Text),
        };
    }

    /// Text of a column that comes from elsewhere than the record's members.
    pub fn see_text(&mut self, column: &str) {
        self.see(column, &Json::string(""));
    }

    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn defined(&self) -> impl Iterator<Item = String> {
        self.names.iter().map(|name| {
            let kind = match self.guesses.get(name).copied().flatten() {
                Some(Guess::Bool) => "boolean",
                Some(Guess::Integer) => "bigint",
                Some(Guess::Number) => "numeric",
                Some(Guess::Json) => "jsonb",
                Some(Guess::Text) | None => "text",
            };
            format!("{} {kind}", identifier(name))
        })
    }

    /// Makes a table with these columns.
    ///
    /// # Errors
    /// Where the server does not let it.
    pub fn create(
        &self,
        connection: &mut Connection,
        name: &str,
        (mode, key, rest): (Mode, &[String], Option<&str>),
    ) -> Result<(), Error> {
        let mut lines: Vec<String> = self.defined().collect();
        lines.extend(rest.map(|rest| format!("{} jsonb", identifier(rest))));
        if mode == Mode::Upsert {
            let key: Vec<String> = key.iter().map(|name| identifier(name)).collect();
            lines.push(format!("PRIMARY KEY ({})", key.join(", ")));
        }
        connection.query(&format!("CREATE TABLE IF NOT EXISTS {} ({})", quoted(name), lines.join(", "))).map(drop)
    }

    /// Adds these columns to a table.
    ///
    /// # Errors
    /// Where the server does not let it.
    pub fn add(&self, connection: &mut Connection, name: &str) -> Result<(), Error> {
        let columns: Vec<String> = self.defined().map(|column| format!("ADD COLUMN IF NOT EXISTS {column}")).collect();
        connection.query(&format!("ALTER TABLE {} {}", quoted(name), columns.join(", "))).map(drop)
    }
}
