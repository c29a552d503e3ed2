//! What the host sees: tables as a destination.

use std::collections::{HashMap, hash_map::Entry};

use wharf_json::Source;
use wharf_sdk::{
    Batch, Context, Descriptor, Destination, Failure, Order, Probe, Problem, Receipt, ReceiptBuilder, Redelivery, tracing,
};

use super::{
    client::{Connection, Error, Login, Refusal, Row},
    progress::{Known, Owner, Position, Then},
    rows::{Rows, Unfit, wanted},
    settings::{Config, Mode, Settings},
    table::{Table, Wanted},
    writing::{self, Ahead, Ending},
};

/// Cuts that the host has settled and the database was not told of, at the most: what is beyond is told by nobody, and only kept longer.
const ACKS: usize = 10_000;

/// Writes records into tables of PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    settings: Settings,
    login: Login,
    owner: Owner,
    /// Whether a person sends records again.
    by_hand: bool,
    connection: Option<Connection>,
    tables: HashMap<String, Table>,
    acks: Vec<String>,
}

impl Destination for Postgres {
    type Config = Config;

    fn describe() -> Descriptor {
        Descriptor::new("Writes records into tables of PostgreSQL, each record once.")
            .order(Order::Batch)
            .redelivery(Redelivery::Idempotent)
            .prefer_records(5000)
            .prefer_parallel(1)
            .request("tcp", "{host}:{port}", "the server is there")
    }

    fn check(config: &Config) -> Vec<Problem> {
        Settings::new(config.clone()).err().unwrap_or_default()
    }

    fn open(config: Config, context: Context) -> Result<Self, Failure> {
        let mut settings = ready(config)?;
        if let Some(limit) = context.write_limit() {
            settings.fit(limit);
        }
        let config = &settings.config;
        if config.exactly_once && context.instances() > 1 {
            return Err(Failure::fatal(format!(
                "how far it got is kept for one instance, and there are {}: set `parallel` of the destination to 1, or `exactly-once: false`",
                context.instances()
            )));
        }
        let (pipeline, destination) = (context.pipeline(), context.destination());
        let login = login(config, &context);
        let owner = Owner { schema: config.progress_schema.clone(), pipeline, destination };
        let by_hand = context.get("replay").is_some_and(|replay| replay == "true");
        let mut postgres = Self { settings, login, owner, by_hand, connection: None, tables: HashMap::new(), acks: Vec::new() };
        postgres.connect()?;
        Ok(postgres)
    }

    fn write(&mut self, batch: &Batch) -> Result<Receipt, Failure> {
        let mut connection = match self.connection.take().filter(|connection| !connection.is_broken()) {
            Some(connection) => connection,
            None => {
                self.connect()?;
                self.connection.take().ok_or_else(|| Failure::transient("there is no connection"))?
            }
        };
        // One that was idle may be gone, which is nobody's fault and found out before anything is written.
        let began = match self.begin(&mut connection, batch) {
            Err(_) if connection.is_broken() => {
                self.connect()?;
                connection = self.connection.take().ok_or_else(|| Failure::transient("there is no connection"))?;
                self.begin(&mut connection, batch)
            }
            began => began,
        };
        let written = began
            .map_err(|error| error.failure(&self.what()))
            .and_then(|progress| self.write_to(&mut connection, batch, progress));
        if written.is_err() && !connection.is_broken() {
            // What is refused here was given up by the server before.
            let _given_up = connection.query("ROLLBACK");
        }
        if written.is_err() {
            // What was made or widened is not, and what is known of the others may be old.
            self.tables.clear();
        }
        if !connection.is_broken() {
            self.connection = Some(connection);
        }
        written
    }

    fn ack(&mut self, batches: &[String]) {
        if self.settings.config.exactly_once {
            let room = ACKS.saturating_sub(self.acks.len());
            self.acks.extend(batches.iter().take(room).cloned());
        }
    }

    fn close(mut self) -> Result<(), Failure> {
        if let Some(mut connection) = self.connection.take() {
            if let Some(settled) = self.owner.settled(&self.acks)
                && let Err(error) = connection.query(&settled)
            {
                tracing::debug!("what the host has settled could not be noted: {error}");
            }
            connection.close();
        }
        Ok(())
    }
}

impl Probe<Config> for Postgres {
    fn reachable(config: Config, context: Context) -> Result<(), Failure> {
        let settings = ready(config)?;
        let login = login(&settings.config, &context);
        let connection = Connection::open(&settings.endpoint(), &login);
        connection.map(Connection::close).map_err(|error| error.failure(&what(&settings.config)))
    }
}

fn ready(config: Config) -> Result<Settings, Failure> {
    Settings::new(config).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(Problem::to_string).collect();
        Failure::fatal(format!("settings that cannot be used: {}", problems.join("; ")))
    })
}

fn login(config: &Config, context: &Context) -> Login {
    Login {
        user: config.user.clone(),
        password: config.password.clone(),
        database: config.database.clone(),
        application: format!("wharf {}/{}", context.pipeline(), context.destination()),
    }
}

fn what(config: &Config) -> String {
    let Config { host, port, database, .. } = config;
    format!("PostgreSQL at {host}:{port}/{database}")
}

impl Postgres {
    fn what(&self) -> String {
        what(&self.settings.config)
    }

    fn connect(&mut self) -> Result<(), Failure> {
        let what = self.what();
        let connect = || -> Result<Connection, Error> {
            let mut connection = Connection::open(&self.settings.endpoint(), &self.login)?;
            let timeout = self.settings.config.statement_timeout.as_millis();
            connection.query(&format!("SET statement_timeout = {timeout}; SET standard_conforming_strings = on"))?;
            if self.settings.config.exactly_once {
                self.owner.prepare(&mut connection)?;
            }
            Ok(connection)
        };
        self.connection = Some(connect().map_err(|error| error.failure(&what))?);
        // Somebody may have changed them in between.
        self.tables.clear();
        Ok(())
    }

    /// Begins a transaction, and asks in the same round trip how far it got with the partition of a batch.
    fn begin(&self, connection: &mut Connection, batch: &Batch) -> Result<Option<Row>, Error> {
        // A constraint that waits for the end would not say which row is to blame.
        connection.ask("BEGIN; SET CONSTRAINTS ALL IMMEDIATE")?;
        if self.settings.config.exactly_once {
            connection.ask(&self.owner.question(batch))?;
        }
        let mut answers = connection.exchange().map_err(|failed| failed.error)?;
        Ok(answers.pop().and_then(|mut rows| rows.pop()))
    }

    /// What ends the transaction of a batch, once it is known what became of all its records.
    fn end(&self, batch: &Batch, known: &Known, done: &Done) -> String {
        let mut statements = Vec::new();
        if self.settings.config.exactly_once {
            let again: Vec<Position> =
                done.again.iter().copied().filter(|at| !done.refused.iter().any(|(other, _)| other == at)).collect();
            statements = self.owner.note(batch, known, (&done.refused, &again));
            statements.extend(self.owner.settled(&self.acks));
        }
        statements.push("COMMIT".to_owned());
        statements.join(";\n")
    }

    /// Writes a batch in the transaction that was begun, and ends that. `progress` says how far it got before.
    fn write_to(&mut self, connection: &mut Connection, batch: &Batch, progress: Option<Row>) -> Result<Receipt, Failure> {
        let what = self.what();
        let once = self.settings.config.exactly_once;
        let failed = |error: Error| error.failure(&what);
        let known = self.owner.known(connection, batch, progress).map_err(failed)?;
        let mut receipt = Receipt::builder(batch);
        let mut done = Done::default();
        let mut tables: Vec<(String, Vec<u32>)> = Vec::new();
        let one = self.settings.table.is_plain().then_some(self.settings.config.table.as_str());
        for record in batch {
            let position = (record.sequence(), record.ordinal());
            match known.then(position, self.by_hand) {
                Then::Write => {}
                Then::WriteAgain => done.again.push(position),
                Then::Delivered => {
                    receipt.delivered(record);
                    continue;
                }
                Then::Refused(refusal) => {
                    receipt.failed(record, rejected(&refusal));
                    continue;
                }
            }
            if let (Some(_), [(_, records)]) = (one, tables.as_mut_slice()) {
                records.push(record.index());
                continue;
            }
            let name = match one {
                Some(name) => Ok(name.to_owned()),
                None => self.settings.table.fill(&mut Source::new(batch, record), false),
            };
            match name {
                Ok(name) => match tables.iter_mut().find(|(other, _)| *other == name) {
                    Some((_, records)) => records.push(record.index()),
                    None => tables.push((name, vec![record.index()])),
                },
                Err(failure) => done.refuse(&mut receipt, batch, record.index(), unfit(failure.message())),
            }
        }
        let last = tables.len().saturating_sub(1);
        let mut ending = Ending::Apart;
        for (place, (name, records)) in tables.iter().enumerate() {
            // Without the tables that know, nobody could tell rows that broke off from a `COMMIT` that did.
            let known = (once && place == last).then_some(&known);
            ending = self.write_table(connection, batch, (name, records), (&mut receipt, &mut done), known)?;
        }
        let ended = match ending {
            Ending::Done => Ok(()),
            _ => connection.query(&self.end(batch, &known, &done)).map(drop),
        };
        match ended {
            Ok(()) => {
                self.acks.clear();
                Ok(receipt.finish())
            }
            // Whether it was committed is seen when it comes again.
            Err(error @ (Error::Io(_) | Error::Closed)) if !once => Err(Failure::uncertain(format!("{what}: COMMIT: {error}"))),
            Err(error) => Err(failed(error)),
        }
    }

    /// Writes those records of a batch that go to one table. Where it is the last, and it may, it ends the transaction with them: `known` is what is
    /// known of the batch then.
    fn write_table(
        &mut self,
        connection: &mut Connection,
        batch: &Batch,
        (name, records): (&str, &[u32]),
        (receipt, done): (&mut ReceiptBuilder, &mut Done),
        known: Option<&Known>,
    ) -> Result<Ending, Failure> {
        let what = self.what();
        let settings = &self.settings;
        let failed = |error: Error| error.failure(&format!("{what}, table {name}"));
        let table = match self.tables.entry(name.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                unknown.insert(found(settings, connection, batch, (name, records)).map_err(failed)?.ok_or_else(|| {
                    Failure::fatal(format!(
                        "{what}: there is no table {name}, or not for this role: make it, or let it be made (`create: true`)"
                    ))
                })?)
            }
        };
        if settings.config.widen {
            let mut missing = Wanted::default();
            for record in records.iter().filter_map(|record| batch.get(*record)) {
                wanted(settings, record, Some(table), &mut missing);
            }
            if !missing.is_empty() {
                missing.add(connection, name).map_err(failed)?;
                tracing::info!(table = name, "widened");
                let found = Table::find(connection, name, &settings.config.key).map_err(failed)?;
                *table = found.ok_or_else(|| Failure::transient(format!("{what}: the table {name} went away")))?;
            }
        }
        let (mut rows, mut ahead) = (Rows::default(), Ahead::default());
        for record in records.iter().filter_map(|record| batch.get(*record)) {
            match rows.add(settings, table, batch, record) {
                // The server takes them in while the next ones are made.
                Ok(()) if settings.config.mode == Mode::Append => ahead.send(connection, table, &rows).map_err(failed)?,
                Ok(()) => {}
                Err(Unfit::Rejected(why)) => done.refuse(receipt, batch, record.index(), unfit(&why)),
                Err(Unfit::Column(column)) => {
                    let why = format!(
                        "{name} has no column `{column}`: add it, let it be added (`widen: true`), keep it elsewhere (`rest`), or leave it out (`unknown: ignore`)"
                    );
                    done.refuse(receipt, batch, record.index(), unfit(&why));
                }
            }
        }
        let mut ending = known.map_or(Ending::Apart, |known| Ending::With(self.end(batch, known, done)));
        let table = &self.tables[name];
        let written = writing::write(connection, table, &rows, (ahead, settings.config.mode), &mut ending);
        let refused = written.map_err(|error| match ending {
            Ending::Failed => error.failure(&what),
            _ => failed(error),
        })?;
        let mut is_refused = vec![false; rows.rows.len()];
        for (at, refusal) in refused {
            is_refused[at] = true;
            done.refuse(receipt, batch, rows.rows[at].record, refusal);
        }
        for (row, _) in rows.rows.iter().zip(is_refused).filter(|(_, refused)| !refused) {
            receipt.delivered(row.record);
        }
        Ok(ending)
    }
}

/// A table as the server has it, made where it may be.
fn found(
    settings: &Settings,
    connection: &mut Connection,
    batch: &Batch,
    (name, records): (&str, &[u32]),
) -> Result<Option<Table>, Error> {
    let config = &settings.config;
    let found = Table::find(connection, name, &config.key)?;
    if found.is_some() || !config.create {
        return Ok(found);
    }
    let mut columns = Wanted::default();
    for record in records.iter().filter_map(|record| batch.get(*record)) {
        wanted(settings, record, None, &mut columns);
    }
    for key in &config.key {
        columns.see(key, &wharf_json::Json::null());
    }
    columns.create(connection, name, (config.mode, &config.key, config.rest.as_deref()))?;
    tracing::info!(table = name, "made");
    Table::find(connection, name, &config.key)
}

/// What became of records that came to no good end.
#[derive(Debug, Default)]
struct Done {
    refused: Vec<(Position, Refusal)>,
    again: Vec<Position>,
}

impl Done {
    fn refuse(&mut self, receipt: &mut ReceiptBuilder, batch: &Batch, record: u32, refusal: Refusal) {
        receipt.failed(record, rejected(&refusal));
        if let Some(record) = batch.get(record) {
            self.refused.push(((record.sequence(), record.ordinal()), refusal));
        }
    }
}

/// A record that was found out before the server was asked.
fn unfit(why: &str) -> Refusal {
    Refusal { message: why.to_owned(), ..Refusal::default() }
}

fn rejected(refusal: &Refusal) -> Failure {
    let failure = Failure::rejected(refusal.to_string());
    if refusal.code.is_empty() { failure } else { failure.code(&refusal.code) }
}
