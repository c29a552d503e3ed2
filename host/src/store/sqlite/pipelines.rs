//! What the SQLite store knows of pipelines beside their records.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{on_disk, row_of_checkpoint};
use crate::store::{Checkpoint, KnownPipeline, PipelineStore, SourceIdentity, SqliteStore, StoreError, StoredCut};

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

    async fn cut(&self, pipeline: &str, cut: StoredCut) -> Result<(), StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("write to", move |connection| on_disk(connection, |connection| keep(connection, &pipeline, &cut))).await
    }

    async fn cuts(&self, pipeline: &str) -> Result<Vec<StoredCut>, StoreError> {
        let pipeline = pipeline.to_owned();
        self.on("read", move |connection| {
            let mut rows = connection.prepare_cached(
                "SELECT id, destination, partition, first, first_ordinal, last, last_ordinal, count, next
                 FROM cuts WHERE pipeline = ? ORDER BY partition, first, first_ordinal, destination",
            )?;
            rows.query_map([pipeline], cut)?.collect()
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
            transaction.execute("DELETE FROM checkpoints WHERE pipeline = ?", [pipeline])?
        }
    };
    transaction.commit()?;
    Ok(removed as u64)
}

/// A cut that is made again is the same row.
fn keep(connection: &Connection, pipeline: &str, cut: &StoredCut) -> rusqlite::Result<()> {
    let StoredCut { id, destination, partition, first, last, count, next } = cut;
    let mut keep = connection.prepare_cached(
        "INSERT OR REPLACE INTO cuts (pipeline, destination, partition, first, first_ordinal, last, last_ordinal, count, next, id)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let destination = destination.as_deref().unwrap_or_default();
    let (from, to) = ((first.0 as i64, first.1), (last.0 as i64, last.1));
    keep.execute(params![pipeline, destination, partition, from.0, from.1, to.0, to.1, count, *next as i64, id]).map(drop)
}

fn cut(row: &Row<'_>) -> rusqlite::Result<StoredCut> {
    let place = |at| Ok::<_, rusqlite::Error>((row.get::<_, i64>(at)? as u64, row.get(at + 1)?));
    let destination: String = row.get(1)?;
    Ok(StoredCut {
        id: row.get(0)?,
        destination: (!destination.is_empty()).then_some(destination),
        partition: row.get(2)?,
        first: place(3)?,
        last: place(5)?,
        count: row.get(7)?,
        next: row.get::<_, i64>(8)? as u64,
    })
}
