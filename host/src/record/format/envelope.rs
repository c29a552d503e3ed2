//! Documents that hold a whole record, or the change that it tells of.

use std::io::Write;

use super::{
    Unshapable, Written,
    text::{Kind, is_json, json_value, push_base64, push_text},
};
use crate::record::{
    Batch, Column, Operation,
    json::Checker,
    opencdc::{POSITION, READ_AT, VERSION, VERSION_1},
};

/// Writes documents of a batch's records, on buffers that it keeps.
pub(super) struct Envelopes<'a> {
    batch: &'a Batch,
    after: Part<'a>,
    before: Part<'a>,
    key: Part<'a>,
    position: Option<&'a Column>,
    version: Option<&'a Column>,
    read_at: Option<&'a Column>,
    checker: Checker,
    /// Where a position is put together.
    own: Vec<u8>,
}

/// A column of data.
#[derive(Clone, Copy)]
struct Part<'a> {
    column: Option<&'a Column>,
    json: bool,
}

impl<'a> Envelopes<'a> {
    pub(super) fn new(batch: &'a Batch) -> Self {
        let part = |name, column| Part { column, json: is_json(batch.content_types().get(name)) };
        Self {
            batch,
            after: part("after", Some(batch.after())),
            before: part("before", batch.before()),
            key: part("key", batch.key()),
            position: batch.meta(POSITION),
            version: batch.meta(VERSION),
            read_at: batch.meta(READ_AT),
            checker: Checker::default(),
            own: Vec::new(),
        }
    }

    /// The whole record, its members in Conduit's order.
    pub(super) fn open_cdc(&mut self, at: usize, data: &mut Vec<u8>) -> Result<Written, Unshapable> {
        data.extend_from_slice(b"{\"position\":");
        self.position(at, data)?;
        data.extend_from_slice(b",\"operation\":\"");
        data.extend_from_slice(self.batch.operation(at as u32).name().as_bytes());
        data.extend_from_slice(b"\",\"metadata\":{");
        let mut first = true;
        if self.version.and_then(|column| column.get(at)).is_none() {
            member(data, &mut first, VERSION, VERSION_1);
        }
        self.metadata(at, data, &mut first, POSITION)?;
        data.extend_from_slice(b"},\"key\":");
        self.datum(self.key, at, data);
        data.extend_from_slice(b",\"payload\":{\"before\":");
        self.datum(self.before, at, data);
        data.extend_from_slice(b",\"after\":");
        self.datum(self.after, at, data);
        data.extend_from_slice(b"}}");
        Ok(Written::Present)
    }

    /// The change as Debezium tells it, with `source` made of the metadata, as Conduit does it.
    pub(super) fn debezium(&mut self, at: usize, data: &mut Vec<u8>) -> Result<Written, Unshapable> {
        data.extend_from_slice(b"{\"before\":");
        self.row(self.before, at, data);
        data.extend_from_slice(b",\"after\":");
        self.row(self.after, at, data);
        data.extend_from_slice(b",\"source\":{");
        self.metadata(at, data, &mut true, "")?;
        let operation = match self.batch.operation(at as u32) {
            Operation::Create => "c",
            Operation::Update => "u",
            Operation::Delete => "d",
            Operation::Snapshot => "r",
        };
        data.extend_from_slice(b"},\"op\":\"");
        data.extend_from_slice(operation.as_bytes());
        data.extend_from_slice(b"\",\"ts_ms\":");
        let read_at = self.read_at.and_then(|column| column.get(at)).and_then(|nanos| std::str::from_utf8(nanos).ok());
        match read_at.and_then(|nanos| nanos.parse::<i64>().ok()) {
            // Writing to a vector does not fail.
            Some(nanos) => drop(write!(data, "{}", nanos.div_euclid(1_000_000))),
            None => data.extend_from_slice(b"null"),
        }
        data.push(b'}');
        Ok(Written::Present)
    }

    /// The entity alone; absent, as a tombstone is, where there is none.
    pub(super) fn kafka_connect(&mut self, at: usize, data: &mut Vec<u8>) -> Result<Written, Unshapable> {
        let Some(value) = self.batch.after().get(at) else { return Ok(Written::Absent) };
        data.extend_from_slice(b"{\"schema\":null,\"payload\":");
        match self.after.json && json_value(&mut self.checker, value).is_some() {
            true => data.extend_from_slice(value),
            false => push_base64(data, value),
        }
        data.push(b'}');
        Ok(Written::Present)
    }

    /// The position that the record brought along, or else one that is made of its key here: never empty, and different for each record.
    fn position(&mut self, at: usize, data: &mut Vec<u8>) -> Result<(), Unshapable> {
        let ordinal = self.batch.ordinals().get(at).copied().unwrap_or_default();
        let brought = self.position.and_then(|column| column.get(at)).filter(|position| !position.is_empty() && ordinal == 0);
        match brought {
            Some(position) => push_text(data, text(position, POSITION)?),
            None => {
                self.own.clear();
                let sequence = self.batch.sequences().get(at).copied().unwrap_or_default();
                write!(self.own, "{}:{sequence}:{ordinal}", self.batch.partition()).ok();
                push_base64(data, &self.own);
            }
        }
        Ok(())
    }

    /// Members for the metadata that the record has, but for one name.
    fn metadata(&self, at: usize, data: &mut Vec<u8>, first: &mut bool, without: &str) -> Result<(), Unshapable> {
        for (name, column) in self.batch.metadata() {
            if let Some(value) = column.get(at)
                && (without.is_empty() || **name != *without)
            {
                member(data, first, name, text(value, name)?);
            }
        }
        Ok(())
    }

    /// Data as OpenCDC has them: an object as it stands, anything else in base64, null where there is none. What is JSON and no object would
    /// be read back as something else: text as base64, null as absent.
    fn datum(&mut self, part: Part<'_>, at: usize, data: &mut Vec<u8>) {
        let Some(value) = part.column.and_then(|column| column.get(at)) else {
            return data.extend_from_slice(b"null");
        };
        match part.json && json_value(&mut self.checker, value) == Some(Kind::Object) {
            true => data.extend_from_slice(value),
            false => push_base64(data, value),
        }
    }

    /// A row as Debezium has it: JSON as it stands, raw data under a name of their own, as Conduit does it.
    fn row(&mut self, part: Part<'_>, at: usize, data: &mut Vec<u8>) {
        let Some(value) = part.column.and_then(|column| column.get(at)) else {
            return data.extend_from_slice(b"null");
        };
        if part.json && json_value(&mut self.checker, value).is_some() {
            return data.extend_from_slice(value);
        }
        data.extend_from_slice(b"{\"opencdc.rawData\":");
        push_base64(data, value);
        data.push(b'}');
    }
}

fn member(data: &mut Vec<u8>, first: &mut bool, name: &str, value: &str) {
    if !std::mem::take(first) {
        data.push(b',');
    }
    push_text(data, name);
    data.push(b':');
    push_text(data, value);
}

fn text<'a>(value: &'a [u8], name: &str) -> Result<&'a str, Unshapable> {
    std::str::from_utf8(value)
        .map_err(|_| format!("the metadata `{name}` is not UTF-8, and a document of JSON has no other text"))
}
