//! What the SQLite store knows of pipelines beside their records.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::{on_disk, row_of_checkpoint};
use crate::store::{Checkpoint, KnownPipeline, PipelineStore, SourceIdentity, SqliteStore, StoreError};

#[async_trait]
impl PipelineStore for SqliteStore {
    async fn pipelines(&self) -> Result<Vec<KnownPipeline>, StoreError> {
        self.on("read", |connection| {
            let mut known: BTreeMap<String, (Option<SourceIdentity>, Vec<Checkpoint>)> = BTreeMap::new();
            let mut rows = connection.prepare_cached("SELECT pipeline, kind, reads FROM sources")?;
            let mut rows = rows.query([])?;
            while let Some(row) = rows.next()? {
                known.entry(row.get(0)?).or_default().0 = Some(SourceIdentity { kind: row.get(1)?, reads: row.get(2)? });
            }
            let mut rows = connection
                .prepare_cached("SELECT partition, label, next, read_to, pipeline FROM checkpoints ORDER BY label, partition")?;
            let mut rows = rows.query([])?;
            while let Some(row) = rows.next()? {
                known.entry(row.get(4)?).or_default().1.push(row_of_checkpoint(row)?);
            }
            Ok(known.into_iter().map(|(id, (source, checkpoints))| KnownPipeline { id, source, checkpoints }).collect())
        })
        .await
    }

    async fn reset(&self, pipeline: &str, partition: Option<&str>) -> Result<u64, StoreError> {
        let (pipeline, partition) = (pipeline.to_owned(), partition.map(str::to_owned));
        self.on("write to", move |connection| {
            on_disk(connection, |connection| reset(connection, &pipeline, partition.as_deref()))
        })
        .await
    }

    async fn source(&self, pipeline: &str) -> Result<Option<SourceIdentity>, StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("read", move |connection| {
            let mut found = connection.prepare_cached("SELECT kind, reads FROM sources WHERE pipeline = ?")?;
            found.query_row([pipeline], |row| Ok(SourceIdentity { kind: row.get(0)?, reads: row.get(1)? })).optional()
        })
        .await
    }

    async fn keep_source(&self, pipeline: &str, source: SourceIdentity) -> Result<(), StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("write to", move |connection| {
            let SourceIdentity { kind, reads } = source;
            let mut keep =
                connection.prepare_cached("INSERT OR REPLACE INTO sources (pipeline, kind, reads) VALUES (?, ?, ?)")?;
            keep.execute(params![pipeline, kind, reads]).map(drop)
        })
        .await
    }

    async fn destinations(&self, pipeline: &str) -> Result<Vec<String>, StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("read", move |connection| {
            let mut rows =
                connection.prepare_cached("SELECT destination FROM destinations WHERE pipeline = ? ORDER BY destination")?;
            rows.query_map([pipeline], |row| row.get(0))?.collect()
        })
        .await
    }

    async fn keep_destinations(&self, pipeline: &str, destinations: Vec<String>) -> Result<(), StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("write to", move |connection| {
            let transaction = connection.transaction()?;
            transaction.prepare_cached("DELETE FROM destinations WHERE pipeline = ?")?.execute([&pipeline])?;
            for destination in destinations {
                transaction
                    .prepare_cached("INSERT OR IGNORE INTO destinations (pipeline, destination) VALUES (?, ?)")?
                    .execute([&pipeline, &destination])?;
            }
            transaction.commit()
        })
        .await
    }

    async fn spool(&self, pipeline: &str, destination: &str) -> Result<Option<String>, StoreError> {
        let of = [pipeline.to_owned(), destination.to_owned()];
        self.on("read", move |connection| {
            let mut found = connection.prepare_cached("SELECT identity FROM spools WHERE pipeline = ? AND destination = ?")?;
            found.query_row(of, |row| row.get(0)).optional()
        })
        .await
    }

    async fn keep_spool(&self, pipeline: &str, destination: &str, identity: Option<&str>) -> Result<(), StoreError> {
        let (pipeline, destination, identity) = (pipeline.to_owned(), destination.to_owned(), identity.map(str::to_owned));
        self.on("write to", move |connection| match identity {
            Some(identity) => {
                let keep = "INSERT OR REPLACE INTO spools (pipeline, destination, identity) VALUES (?, ?, ?)";
                connection.prepare_cached(keep)?.execute([pipeline, destination, identity]).map(drop)
            }
            None => {
                let forget = "DELETE FROM spools WHERE pipeline = ? AND destination = ?";
                connection.prepare_cached(forget)?.execute([pipeline, destination]).map(drop)
            }
        })
        .await
    }
}

fn reset(connection: &mut Connection, pipeline: &str, partition: Option<&str>) -> rusqlite::Result<u64> {
    let transaction = connection.transaction()?;
    let removed = match partition {
        Some(partition) => {
            let of = [pipeline, partition];
            transaction.execute("DELETE FROM cuts WHERE pipeline = ? AND partition = ?", of)?;
            transaction.execute("DELETE FROM checkpoints WHERE pipeline = ? AND partition = ?", of)?
        }
        None => {
            transaction.execute("DELETE FROM cuts WHERE pipeline = ?", [pipeline])?;
            transaction.execute("DELETE FROM sources WHERE pipeline = ?", [pipeline])?;
            transaction.execute("DELETE FROM destinations WHERE pipeline = ?", [pipeline])?;
            transaction.execute("DELETE FROM checkpoints WHERE pipeline = ?", [pipeline])?
        }
    };
    transaction.commit()?;
    Ok(removed as u64)
}
