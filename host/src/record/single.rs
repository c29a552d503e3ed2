//! One record by itself, with all that belongs to it.

use std::{collections::BTreeMap, fmt, sync::Arc};

use bytes::Bytes;

use super::{Batch, ContentTypes, NewRecord, Operation, Value};

/// One record: of a batch, with which it shares its bytes, or on its own. What is absent in it is not what is empty.
///
/// It takes a few words. One of a batch keeps all of that in memory for as long as it lives.
#[derive(Clone)]
pub struct Record(Kind);

#[derive(Clone)]
enum Kind {
    OfBatch(Arc<Batch>, u32),
    Own(Arc<Entity>),
}

/// What a record on its own consists of.
#[derive(Clone, Debug, Default)]
pub struct Entity {
    /// What was done to it.
    pub operation: Operation,
    /// What identifies it.
    pub key: Option<Bytes>,
    /// It before its change.
    pub before: Option<Bytes>,
    /// It after its change, or the whole record where there is no change to speak of.
    pub after: Option<Bytes>,
    /// Further values by name; no name comes twice.
    pub metadata: Vec<(Arc<str>, Bytes)>,
    /// Media types.
    pub content_types: Arc<ContentTypes>,
}

impl Record {
    /// The record at a place in a batch.
    ///
    /// # Panics
    /// Where the batch has no such record.
    pub fn of(batch: &Arc<Batch>, at: u32) -> Self {
        assert!(at < batch.count(), "record {at} of {}", batch.count());
        Self(Kind::OfBatch(batch.clone(), at))
    }

    /// One that is no more than its bytes.
    pub fn plain(after: Bytes) -> Self {
        Self::from(Entity { after: Some(after), ..Entity::default() })
    }

    /// What was done to the entity.
    pub fn operation(&self) -> Operation {
        match &self.0 {
            Kind::OfBatch(batch, at) => batch.operation(*at),
            Kind::Own(own) => own.operation,
        }
    }

    /// What identifies the entity.
    pub fn key(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::OfBatch(batch, at) => batch.key().and_then(|key| key.get(*at as usize)),
            Kind::Own(own) => own.key.as_deref(),
        }
    }

    /// The entity before its change.
    pub fn before(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::OfBatch(batch, at) => batch.before().and_then(|before| before.get(*at as usize)),
            Kind::Own(own) => own.before.as_deref(),
        }
    }

    /// The entity after its change, or the whole record.
    pub fn after(&self) -> Option<&[u8]> {
        match &self.0 {
            Kind::OfBatch(batch, at) => batch.after().get(*at as usize),
            Kind::Own(own) => own.after.as_deref(),
        }
    }

    /// Names and values of its metadata; of what is absent there is nothing.
    pub fn metadata(&self) -> impl Iterator<Item = (&str, &[u8])> + Clone {
        let (columns, own): (&[_], &[_]) = match &self.0 {
            Kind::OfBatch(batch, _) => (batch.metadata(), &[]),
            Kind::Own(own) => (&[], &own.metadata),
        };
        let at = self.batch().map_or(0, |(_, at)| at as usize);
        let columns = columns.iter().filter_map(move |(name, column)| Some((&**name, column.get(at)?)));
        columns.chain(own.iter().map(|(name, value)| (&**name, &**value)))
    }

    /// Media types.
    pub fn content_types(&self) -> &ContentTypes {
        match &self.0 {
            Kind::OfBatch(batch, _) => batch.content_types(),
            Kind::Own(own) => &own.content_types,
        }
    }

    /// The batch that it is of, and its place there.
    pub fn batch(&self) -> Option<(&Arc<Batch>, u32)> {
        match &self.0 {
            Kind::OfBatch(batch, at) => Some((batch, *at)),
            Kind::Own(_) => None,
        }
    }

    /// Bytes of all its values.
    pub fn bytes(&self) -> usize {
        let values = [self.key(), self.before(), self.after()].into_iter().flatten();
        values.chain(self.metadata().map(|(_, value)| value)).map(<[u8]>::len).sum()
    }

    /// To be added to a batch, with its metadata.
    pub fn new_record(&self, sequence: u64, ordinal: u32) -> NewRecord<'_> {
        let types = self.content_types();
        let value = |bytes: Option<_>, content_type| bytes.map(|bytes| Value { bytes, content_type });
        NewRecord {
            sequence,
            ordinal,
            operation: self.operation(),
            after: value(self.after(), types.after.as_deref()),
            before: value(self.before(), types.before.as_deref()),
            key: value(self.key(), types.key.as_deref()),
        }
    }
}

impl From<Entity> for Record {
    fn from(entity: Entity) -> Self {
        Self(Kind::Own(Arc::new(entity)))
    }
}

/// They are equal where they say the same, in whatever order their metadata stands. A media type counts where there is a value that it is of.
impl PartialEq for Record {
    fn eq(&self, other: &Self) -> bool {
        let values = |record: &Self| {
            let NewRecord { operation, after, before, key, .. } = record.new_record(0, 0);
            let of = |value: Option<Value<'_>>| value.map(|value| (value.bytes.to_vec(), value.content_type.map(str::to_owned)));
            (operation, of(after), of(before), of(key))
        };
        let metadata = |record: &Self| -> BTreeMap<String, Vec<u8>> {
            record.metadata().map(|(name, value)| (name.to_owned(), value.to_vec())).collect()
        };
        values(self) == values(other) && metadata(self) == metadata(other)
    }
}

impl Eq for Record {}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |value: Option<&[u8]>| value.map(Bytes::copy_from_slice);
        let mut told = f.debug_struct("Record");
        told.field("operation", &self.operation()).field("key", &bytes(self.key())).field("before", &bytes(self.before()));
        let metadata: Vec<_> = self.metadata().map(|(name, value)| (name, Bytes::copy_from_slice(value))).collect();
        told.field("after", &bytes(self.after())).field("metadata", &metadata).field("types", self.content_types()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BatchBuilder;

    #[test]
    fn a_record_says_the_same_in_a_batch_and_on_its_own() {
        let value = |bytes| Some(Value { bytes, content_type: Some("application/json") });
        let whole = NewRecord {
            sequence: 1,
            ordinal: 0,
            operation: Operation::Update,
            after: value(b"{}"),
            before: value(b""),
            key: None,
        };
        let mut batch = BatchBuilder::with_capacity(2, 0, true, None);
        batch.push_record(&whole, [("a", &b"1"[..]), ("b", b"")]).unwrap();
        batch.push_record(&NewRecord { sequence: 2, ..NewRecord::default() }, [("c", &b"x"[..])]).unwrap();
        let batch = Arc::new(batch.finish("p", "q".into()));
        let (first, second) = (Record::of(&batch, 0), Record::of(&batch, 1));
        assert_eq!(first.metadata().collect::<Vec<_>>(), [("a", &b"1"[..]), ("b", b"")]);
        assert_eq!((first.before(), first.key(), second.after(), first.bytes()), (Some(&b""[..]), None, None, 3));
        let own = Entity {
            operation: Operation::Update,
            before: Some(Bytes::new()),
            after: Some(Bytes::from_static(b"{}")),
            metadata: vec![("b".into(), Bytes::new()), ("a".into(), Bytes::from_static(b"1"))],
            content_types: Arc::new(batch.content_types().clone()),
            ..Entity::default()
        };
        assert_eq!(first, Record::from(own.clone()));
        assert_ne!(first, Record::from(Entity { before: None, ..own.clone() }), "absent is not empty");
        assert_ne!(first, Record::from(Entity { metadata: Vec::new(), ..own }));
        assert_ne!(first, second);
    }
}
