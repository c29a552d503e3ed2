//! What an operator gives, checked and made ready.

use std::{collections::BTreeMap, time::Duration};

use wharf_json::{Makes, Pointer, Template};
use wharf_sdk::{Parameters, Problem, Secret, tracing};

use super::client::{Endpoint, Tls};

/// How long that is, where there is room for it.
const ANSWER: Duration = Duration::from_secs(5);

/// The settings as they are written.
#[derive(Clone, Debug, Parameters)]
pub struct Config {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    #[parameter(default = 5432, min = 1)]
    pub port: u16,
    /// The database.
    pub database: String,
    /// The role to log in as.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// How the connection is encrypted: `verify-full` to a server with a certificate of its name, `require` to whoever answers, `off`.
    #[parameter(default = "verify-full")]
    pub tls: Tls,
    /// Certificates that vouch for the server, in PEM; where none are given, those that browsers trust.
    pub root_certificate: Option<String>,
    /// The table, perhaps with a schema, and with places such as {{meta:opencdc.collection}}.
    #[parameter(length(1..=512))]
    pub table: String,
    /// What is done with a record: `append` adds a row for each, `upsert` puts the row of its key in place, and deletes it.
    #[parameter(default = "append")]
    pub mode: Mode,
    /// The columns that identify a row with `mode: upsert`; where none are given, the table's primary key.
    pub key: Vec<String>,
    /// Where columns come from: JSON pointers, or `key`, `after`, `operation`, `partition`, `sequence`, `ordinal`, `meta:NAME`. Where none are
    /// given, each member of a record goes to the column of its name.
    pub columns: BTreeMap<String, String>,
    /// A JSONB column for the members that have no column of their own.
    pub rest: Option<String>,
    /// What becomes of a member that has no column, where there is no `rest`.
    #[parameter(default = "reject")]
    pub unknown: Unknown,
    /// Make the table where it is not there, with the columns of the first records.
    #[parameter(default = false)]
    pub create: bool,
    /// Add a column for a member that has none.
    #[parameter(default = false)]
    pub widen: bool,
    /// What a number means in a column of a date or a time.
    #[parameter(default = "auto")]
    pub time_unit: TimeUnit,
    /// Write each record once, however often it is sent: how far each partition got is kept in the database, in the same transaction.
    #[parameter(default = true)]
    pub exactly_once: bool,
    /// The schema of the two tables that this takes.
    #[parameter(default = "wharf")]
    pub progress_schema: String,
    /// How long a statement may take; less where that does not fit into the destination's `limits.time.write`.
    #[parameter(default = "30s", min = "100ms", max = "1h")]
    pub statement_timeout: Duration,
}

/// What is done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Mode {
    /// It becomes a row more.
    Append,
    /// It takes the place of the row of its key; a delete removes that.
    Upsert,
}

/// What becomes of a member that has no column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum Unknown {
    /// Its record is rejected.
    Reject,
    /// It is left out.
    Ignore,
}

/// What a number means in a column of a date or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameters)]
pub enum TimeUnit {
    /// Below 100,000,000,000 seconds since 1970, from there on milliseconds.
    Auto,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Milliseconds,
}

/// Where the value of a column comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// A place in the record.
    Pointer(Pointer),
    /// The record's key.
    Key,
    /// The whole record.
    After,
    /// Its operation.
    Operation,
    /// Its partition.
    Partition,
    /// Its sequence.
    Sequence,
    /// Its ordinal.
    Ordinal,
    /// Metadata.
    Metadata(String),
}

/// The settings made ready.
#[derive(Clone, Debug)]
pub struct Settings {
    /// As they are written.
    pub config: Config,
    /// Which table a record goes to.
    pub table: Template,
    /// Where columns come from; the record's members where there are none.
    pub columns: Vec<(String, From)>,
    /// How long after a statement's own end the server may take to say so.
    answer: Duration,
}

impl Settings {
    /// What is made of the settings.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn new(config: Config) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let table = Template::parse(&config.table, Makes::Text).unwrap_or_else(|error| {
            problems.push(Problem::new("table", error));
            Template::default()
        });
        let mut columns = Vec::new();
        for (column, from) in &config.columns {
            match parsed(from) {
                Ok(from) => columns.push((column.clone(), from)),
                Err(error) => problems.push(Problem::new(format!("columns.{column}"), error)),
            }
        }
        if let Some(missing) = config.key.iter().find(|key| !columns.is_empty() && !config.columns.contains_key(*key)) {
            problems.push(Problem::new("key", format!("has the column `{missing}`, which stands not in `columns`")));
        }
        if config.mode == Mode::Append && !config.key.is_empty() {
            problems.push(Problem::new("key", "is for `mode: upsert`: with `append` each record is a row more"));
        }
        if config.rest.as_ref().is_some_and(|rest| config.columns.contains_key(rest)) {
            problems.push(Problem::new("rest", "is a column of `columns` too"));
        }
        if config.create && config.mode == Mode::Upsert && config.key.is_empty() {
            problems
                .push(Problem::new("key", "is missing: a table that is made with `mode: upsert` needs to know its primary key"));
        }
        if config.root_certificate.is_some() && config.tls != Tls::VerifyFull {
            problems
                .push(Problem::new("root-certificate", "is for `tls: verify-full` alone: nothing else looks at certificates"));
        }
        if problems.is_empty() { Ok(Self { config, table, columns, answer: ANSWER }) } else { Err(problems) }
    }

    /// Shortens what does not fit into the longest that a call of `write` may take, so that the server gives a statement up before the host ends the
    /// instance that waits for it.
    pub fn fit(&mut self, limit: Duration) {
        // The rest is for what is said besides.
        let room = limit - limit / 10;
        self.answer = ANSWER.min(room / 4);
        let (given, most) = (self.config.statement_timeout, room - self.answer);
        if given > most {
            tracing::warn!(
                "`statement-timeout` of {given:?} does not fit into the {limit:?} that a call of `write` may take (`limits.time.write`): a statement gets {most:?}"
            );
            self.config.statement_timeout = most;
        }
    }

    /// Where the server is.
    pub fn endpoint(&self) -> Endpoint {
        let Config { host, port, tls, root_certificate, .. } = &self.config;
        let patience = self.config.statement_timeout + self.answer;
        Endpoint { host: host.clone(), port: *port, tls: *tls, roots: root_certificate.clone(), patience }
    }
}

fn parsed(from: &str) -> Result<From, String> {
    Ok(match from {
        "key" => From::Key,
        "after" => From::After,
        "operation" => From::Operation,
        "partition" => From::Partition,
        "sequence" => From::Sequence,
        "ordinal" => From::Ordinal,
        _ => match from.strip_prefix("meta:") {
            Some(name) => From::Metadata(name.to_owned()),
            None if from.starts_with('/') => From::Pointer(from.parse().map_err(|error| format!("is `{from}`: {error}"))?),
            None => {
                return Err(format!(
                    "is `{from}`: neither a JSON pointer such as `/user/id` nor one of `key`, `after`, `operation`, `partition`, `sequence`, `ordinal` and `meta:NAME`"
                ));
            }
        },
    })
}
