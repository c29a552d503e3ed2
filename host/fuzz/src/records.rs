//! OpenCDC lines, from a stranger's file through a source into every shape, and an operator's templates.

use std::{
    collections::BTreeSet,
    fmt,
    io::Cursor,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};
use wharf::{
    clock::VirtualClock,
    record::{
        Batch, MOST_METADATA, NAME,
        format::{Format as Shape, Template, shape},
    },
    source::{Cut, Format, Portion, Reading, Source, StdinSource},
};

/// The first byte says how many records a batch has, or that a template follows.
pub fn holds(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 8 {
        0 => template(&String::from_utf8_lossy(bytes)),
        records => lines(bytes, u32::from(records)),
    }
}

/// What is refused is told in a line; what is not is what was written, and can be filled with any record.
fn template(text: &str) {
    let template: Template = match text.parse() {
        Ok(template) => template,
        Err(error) => {
            super::readable(error.hint(), 300);
            return super::readable(&error.to_string(), 800);
        }
    };
    assert_eq!(template.to_string(), text);
    let records = br#"{"operation":"update","metadata":{"a":"b"},"key":{"id":[1]},"payload":{"before":"AA==","after":{"n":{}}}}"#;
    for portion in read(records, 1) {
        let batch = portion.batch.expect("a record");
        let shaped = shape(&batch, &Shape::Template(template.clone()));
        assert_eq!(shaped.batch.after().get(0).is_none(), !shaped.verdicts.is_empty());
    }
}

/// Each line is a record where another parser says so, and what comes of it is read again as the same.
fn lines(bytes: &[u8], records: u32) {
    let portions = read(bytes, records);
    let mut unreadable = BTreeSet::new();
    for fault in portions.iter().flat_map(|portion| &portion.unreadable) {
        super::readable(&fault.reason, 800);
        unreadable.insert(fault.sequence);
    }
    let batches: Vec<&Batch> = portions.iter().filter_map(|portion| portion.batch.as_ref()).collect();
    let readable: BTreeSet<u64> = batches.iter().flat_map(|batch| batch.sequences()).copied().collect();
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let told = (readable.contains(&at), unreadable.contains(&at));
        let shown = String::from_utf8_lossy(line);
        match is_record(line) {
            Some(true) => assert_eq!(told, (true, false), "{shown}"),
            Some(false) => assert_eq!(told, (false, true), "{shown}"),
            None if line.trim_ascii().is_empty() => {}
            None => assert!(told.0 != told.1, "{shown}"),
        }
        at += line.len() as u64;
    }

    let mut documents = Vec::new();
    for batch in batches {
        assert!(batch.count() <= records && batch.metadata().len() <= MOST_METADATA);
        for format in [Shape::OpenCdc, Shape::Debezium, Shape::KafkaConnect] {
            let shaped = shape(batch, &format);
            assert_eq!(shaped.verdicts, []);
            for (record, document) in (0..).zip(shaped.batch.after().iter()) {
                let absent = format == Shape::KafkaConnect && batch.after().get(record).is_none();
                assert_eq!(document.is_none(), absent);
                let Some(document) = document else { continue };
                assert!(serde_json::from_slice::<IgnoredAny>(document).is_ok(), "{}", String::from_utf8_lossy(document));
                if format == Shape::OpenCdc {
                    documents.extend_from_slice(document);
                    documents.push(b'\n');
                }
            }
        }
    }
    let mut again = Vec::new();
    for portion in read(&documents, records) {
        // One more name than there were, the version or the position, may be one too many.
        let full = |fault: &wharf::source::Unreadable| fault.reason.contains("names of metadata");
        if portion.unreadable.iter().any(full) {
            return;
        }
        assert_eq!(portion.unreadable, [], "{}", String::from_utf8_lossy(&documents));
        let shaped = shape(&portion.batch.expect("records"), &Shape::OpenCdc);
        for document in shaped.batch.after().iter() {
            again.extend_from_slice(document.expect("a document"));
            again.push(b'\n');
        }
    }
    // A made position and a version move among the other names, so documents are compared for what they say.
    let said = |documents: &[u8]| -> Vec<Option<Value>> {
        documents.split(|byte| *byte == b'\n').map(|document| serde_json::from_slice(document).ok()).collect()
    };
    assert_eq!(said(&again), said(&documents));
}

/// Whether a line is an OpenCDC record; `None` where this parser is no judge of it.
fn is_record(line: &[u8]) -> Option<bool> {
    if line.trim_ascii().is_empty() {
        return None;
    }
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line: Line = match serde_json::from_slice(line) {
        Ok(line) => line,
        // It has bounds of its own, and a member that is named twice is none to it.
        Err(error) if ["duplicate", "out of range", "recursion"].iter().any(|bound| error.to_string().contains(bound)) => {
            return None;
        }
        Err(_) => return Some(false),
    };
    let base64 = |text: &str| BASE64_STANDARD.decode(text).is_ok();
    let datum = |datum: &Option<Value>| match datum {
        None | Some(Value::Null | Value::Object(_)) => true,
        Some(Value::String(text)) => base64(text),
        Some(_) => false,
    };
    let Line { position, operation, metadata, key, payload, .. } = line;
    let Payload { before, after, .. } = payload.unwrap_or_default();
    let pairs = metadata.map(|Pairs(pairs)| pairs).unwrap_or_default();
    let mut names: BTreeSet<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    let taken = names.contains("opencdc.position");
    if position.as_ref().is_some_and(|position| !position.is_empty()) {
        names.insert("opencdc.position");
    }
    Some(
        position.is_none_or(|position| base64(&position))
            && ["create", "update", "delete", "snapshot"].contains(&operation.as_str())
            && !taken
            && names.len() <= MOST_METADATA
            // A name that is written twice counts twice.
            && pairs.len() <= MOST_METADATA
            && pairs.iter().all(|(name, _)| name.len() <= NAME)
            && [key, before, after].iter().all(datum),
    )
}

#[derive(Deserialize)]
struct Line {
    position: Option<String>,
    operation: String,
    metadata: Option<Pairs>,
    key: Option<Value>,
    payload: Option<Payload>,
    #[serde(flatten)]
    _rest: Map<String, Value>,
}

#[derive(Default, Deserialize)]
struct Payload {
    before: Option<Value>,
    after: Option<Value>,
    #[serde(flatten)]
    _rest: Map<String, Value>,
}

/// All of a map of text, whatever is named twice.
struct Pairs(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of text")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

fn read(bytes: &[u8], records: u32) -> Vec<Portion> {
    let cut = Cut { records, bytes: 1 << 20, delay: Duration::from_secs(3600) };
    let input = Cursor::new(bytes.to_vec());
    let time = VirtualClock::new();
    let mut source =
        StdinSource::new(input, &Reading::new(Format::OpenCdc, cut), "p", "run", time.clock()).expect("a thread to read on");
    let mut portions = Vec::new();
    while let Some(portion) = block_on(source.read()).expect("nothing fails to be read") {
        portions.push(portion);
    }
    portions
}

/// Waits for a future that needs no runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Thread(std::thread::Thread);

    impl Wake for Thread {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Thread(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
