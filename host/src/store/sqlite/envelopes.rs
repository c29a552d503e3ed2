//! What the records of a batch have in common beside the reason that they were given up for.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row, Transaction, params, types::Type};

use super::letters::digest;
use crate::{
    record::{Column, ContentTypes, Record},
    store::Payload,
};

/// Media types, and the metadata that are the same for all records of a batch.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    content_types: Arc<ContentTypes>,
    metadata: Vec<(Arc<str>, Bytes)>,
}

impl Envelope {
    /// That of a record. One that is not of a batch, or alone in it, shares its media types.
    pub fn of(record: &Record) -> Self {
        let content_types = Arc::new(record.content_types().clone());
        let columns = record.batch().map_or(&[][..], |(batch, _)| batch.metadata());
        let same = |(name, column): &(Arc<str>, Column)| Some((name.clone(), constant(column)?));
        Self { content_types, metadata: columns.iter().filter_map(same).collect() }
    }

    /// Such as it stands in a row from this column on.
    pub fn read(row: &Row<'_>, at: usize) -> rusqlite::Result<Self> {
        let text = |at| row.get::<_, Option<Arc<str>>>(at);
        let content_types = Arc::new(ContentTypes { after: text(at)?, before: text(at + 1)?, key: text(at + 2)? });
        let metadata: Option<String> = row.get(at + 3)?;
        Ok(Self { content_types, metadata: metadata.as_deref().map(pairs).transpose()?.unwrap_or_default() })
    }

    /// Media types.
    pub fn content_types(&self) -> &Arc<ContentTypes> {
        &self.content_types
    }

    /// Names and values that are the same for all.
    pub fn metadata(&self) -> &[(Arc<str>, Bytes)] {
        &self.metadata
    }

    /// The metadata of a record that are not the same for all, as a JSON object; `None` where there are none.
    pub fn others(&self, record: &Record) -> rusqlite::Result<Option<String>> {
        let mut others =
            record.metadata().filter(|(name, _)| self.metadata.iter().all(|(known, _)| **known != **name)).peekable();
        others.peek().is_some().then(|| object(others)).transpose()
    }

    fn is_empty(&self) -> bool {
        *self.content_types == ContentTypes::default() && self.metadata.is_empty()
    }
}

/// The value of a column that has the same one several times, and no other.
fn constant(column: &Column) -> Option<Bytes> {
    let first = column.get(0).filter(|_| column.len() > 1)?;
    column.iter().all(|value| value == Some(first)).then(|| Bytes::copy_from_slice(first))
}

/// Where an envelope stands, which is written where it does not stand yet; `None` where there is nothing in it.
pub(super) fn id(
    transaction: &Transaction<'_>,
    pipeline: &str,
    destination: &str,
    envelope: &Envelope,
) -> rusqlite::Result<Option<i64>> {
    if envelope.is_empty() {
        return Ok(None);
    }
    let ContentTypes { after, before, key } = &*envelope.content_types;
    let pairs = || envelope.metadata.iter().map(|(name, value)| (&**name, &**value));
    let metadata = (!envelope.metadata.is_empty()).then(|| object(pairs())).transpose()?;
    let digest = digest([after.as_deref(), before.as_deref(), key.as_deref(), metadata.as_deref()]);
    let mut find =
        transaction.prepare_cached("SELECT id FROM envelopes WHERE pipeline = ? AND destination = ? AND digest = ?")?;
    if let Some(id) = find.query_row(params![pipeline, destination, digest], |row| row.get(0)).optional()? {
        return Ok(Some(id));
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO envelopes (pipeline, destination, digest, content_type, before_content_type, key_content_type, metadata)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )?;
    insert.insert(params![pipeline, destination, digest, after, before, key, metadata]).map(Some)
}

/// Names and values as a JSON object.
fn object<'a>(pairs: impl Iterator<Item = (&'a str, &'a [u8])>) -> rusqlite::Result<String> {
    let pairs: BTreeMap<&str, Payload> = pairs.map(|(name, value)| (name, Payload::from(value))).collect();
    serde_json::to_string(&pairs).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// What [`object`] wrote.
pub(super) fn pairs(object: &str) -> rusqlite::Result<Vec<(Arc<str>, Bytes)>> {
    fn failed<E: std::error::Error + Send + Sync + 'static>(error: E) -> rusqlite::Error {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error))
    }
    let pairs: BTreeMap<String, Payload> = serde_json::from_str(object).map_err(failed)?;
    pairs.into_iter().map(|(name, value)| Ok((name.into(), value.into_bytes().map_err(failed)?))).collect()
}
