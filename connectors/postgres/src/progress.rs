//! How far each partition got, kept in the database and moved in the transaction that writes, so that what comes again is known.
//!
//! | table | a row for each | holds |
//! |---|---|---|
//! | `progress` | pipeline, destination, partition | sequence and ordinal of the last record that came to an end |
//! | `refused` | record that the server refused | why, its cut, and whether the host has settled that |
//!
//! A record up to the mark came to an end before: it was written, or stands in `refused`, and gets the answer that it got then. Once the host
//! has settled a refusal, a record that comes again nevertheless was sent by a person, and is tried anew. So is one that a person sends again and
//! that never came here: the host gave it up itself.

use std::collections::HashMap;

use wharf_sdk::Batch;

use super::{
    client::{Connection, Error, Refusal, Row},
    sql::{identifier, literal},
};

/// Where a record stands in its partition.
pub type Position = (u64, u32);

/// Whose records they are.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The schema of the tables.
    pub schema: String,
    /// The pipeline.
    pub pipeline: String,
    /// The destination.
    pub destination: String,
}

/// What is known of the records of a batch.
#[derive(Clone, Debug, Default)]
pub struct Known {
    mark: Option<Position>,
    refused: HashMap<Position, Before>,
}

/// What became of a record that the server had refused.
#[derive(Clone, Debug)]
struct Before {
    code: String,
    message: String,
    settled: bool,
}

/// What to do with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is new.
    Write,
    /// It came to an end that the host has settled, and is sent by a person again.
    WriteAgain,
    /// It was written.
    Delivered,
    /// The server refused it.
    Refused(Refusal),
}

impl Owner {
    fn tables(&self) -> (String, String) {
        let schema = identifier(&self.schema);
        (format!("{schema}.progress"), format!("{schema}.refused"))
    }

    /// What all statements ask for.
    fn own(&self, partition: &str) -> String {
        let Self { pipeline, destination, .. } = self;
        format!(
            "pipeline = {} AND destination = {} AND partition = {}",
            literal(pipeline),
            literal(destination),
            literal(partition)
        )
    }

    /// Makes the tables where they are not there.
    ///
    /// # Errors
    /// Where the server does not let it.
    pub fn prepare(&self, connection: &mut Connection) -> Result<(), Error> {
        let (progress, refused) = self.tables();
        let there = format!(
            "SELECT 1 WHERE to_regclass({}) IS NOT NULL AND to_regclass({}) IS NOT NULL",
            literal(&progress),
            literal(&refused)
        );
        // To make what is there needs rights that a role need not have.
        if !connection.query(&there)?.is_empty() {
            return Ok(());
        }
        let own = "pipeline text NOT NULL, destination text NOT NULL, partition text NOT NULL,
                   sequence numeric(20) NOT NULL, ordinal bigint NOT NULL";
        connection
            .query(&format!(
                "CREATE SCHEMA IF NOT EXISTS {};
                 CREATE TABLE IF NOT EXISTS {progress} ({own}, PRIMARY KEY (pipeline, destination, partition));
                 CREATE TABLE IF NOT EXISTS {refused} ({own}, cut text NOT NULL, code text NOT NULL, message text NOT NULL,
                     settled boolean NOT NULL DEFAULT false,
                     PRIMARY KEY (pipeline, destination, partition, sequence, ordinal))",
                identifier(&self.schema)
            ))
            .map(drop)
    }

    /// The question how far a partition got, within a transaction. Nobody else writes for it until that ends.
    pub fn question(&self, batch: &Batch) -> String {
        let (progress, _) = self.tables();
        format!("SELECT sequence, ordinal FROM {progress} WHERE {} FOR UPDATE", self.own(batch.partition()))
    }

    /// Finds out what is known of the records of a batch, by the answer to that question.
    ///
    /// # Errors
    /// Where the server cannot say.
    pub fn known(&self, connection: &mut Connection, batch: &Batch, answer: Option<Row>) -> Result<Known, Error> {
        let Some(row) = answer else { return Ok(Known::default()) };
        let (_, refused) = self.tables();
        let own = self.own(batch.partition());
        let number = |text: &Option<String>| {
            text.as_deref().and_then(|text| text.parse().ok()).ok_or(Error::Unexpected("of how far it got"))
        };
        let position = |row: &[Option<String>]| Ok::<_, Error>((number(&row[0])?, number(&row[1])? as u32));
        let mut known = Known { mark: Some(position(&row)?), refused: HashMap::new() };
        let sequences = batch.records().map(|record| record.sequence());
        let (Some(first), Some(last)) = (sequences.clone().min(), sequences.max()) else { return Ok(known) };
        if known.mark.is_some_and(|(mark, _)| first <= mark) {
            let rows = connection.query(&format!(
                "SELECT sequence, ordinal, code, message, settled FROM {refused} WHERE {own} AND sequence BETWEEN {first} AND {last}"
            ))?;
            for row in rows {
                let position = position(&row)?;
                let mut text = row.into_iter().skip(2).map(Option::unwrap_or_default);
                let (code, message) = (text.next().unwrap_or_default(), text.next().unwrap_or_default());
                let settled = text.next().as_deref() == Some("t");
                known.refused.insert(position, Before { code, message, settled });
            }
        }
        Ok(known)
    }

    /// What notes what came of the records of a batch: the last of them, those refused, and those that were refused before and written now.
    pub fn note(&self, batch: &Batch, known: &Known, (refused, again): (&[(Position, Refusal)], &[Position])) -> Vec<String> {
        let (progress, table) = self.tables();
        let own = self.own(batch.partition());
        let values = [&self.pipeline, &self.destination, batch.partition()].map(literal).join(", ");
        let mut statements = Vec::new();
        let last = batch.records().map(|record| (record.sequence(), record.ordinal())).max();
        if let Some((sequence, ordinal)) = last.filter(|last| known.mark.is_none_or(|mark| mark < *last)) {
            statements.push(format!(
                "INSERT INTO {progress} VALUES ({values}, {sequence}, {ordinal})
                 ON CONFLICT (pipeline, destination, partition) DO UPDATE SET sequence = EXCLUDED.sequence, ordinal = EXCLUDED.ordinal"
            ));
        }
        for (sequence, ordinal) in again {
            statements.push(format!("DELETE FROM {table} WHERE {own} AND sequence = {sequence} AND ordinal = {ordinal}"));
        }
        for ((sequence, ordinal), refusal) in refused {
            statements.push(format!(
                "INSERT INTO {table} VALUES ({values}, {sequence}, {ordinal}, {}, {}, {})
                 ON CONFLICT (pipeline, destination, partition, sequence, ordinal)
                 DO UPDATE SET cut = EXCLUDED.cut, code = EXCLUDED.code, message = EXCLUDED.message, settled = false",
                literal(batch.id()),
                literal(&refusal.code),
                literal(&refusal.to_string())
            ));
        }
        statements
    }

    /// What notes that the host has settled these cuts, where there are any.
    pub fn settled(&self, cuts: &[String]) -> Option<String> {
        if cuts.is_empty() {
            return None;
        }
        let (_, refused) = self.tables();
        let cuts: Vec<String> = cuts.iter().map(|cut| literal(cut)).collect();
        let (pipeline, destination) = (literal(&self.pipeline), literal(&self.destination));
        Some(format!(
            "UPDATE {refused} SET settled = true
             WHERE pipeline = {pipeline} AND destination = {destination} AND NOT settled AND cut IN ({})",
            cuts.join(", ")
        ))
    }
}

impl Known {
    /// What to do with a record. `by_hand` says that a person sends it again.
    pub fn then(&self, position: Position, by_hand: bool) -> Then {
        match self.refused.get(&position) {
            Some(Before { settled: true, .. }) => Then::WriteAgain,
            Some(Before { code, message, .. }) => {
                Then::Refused(Refusal { code: code.clone(), message: message.clone(), ..Refusal::default() })
            }
            None if self.mark.is_none_or(|mark| mark < position) => Then::Write,
            None if by_hand => Then::WriteAgain,
            None => Then::Delivered,
        }
    }
}
