//! What one instance may use.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{bounded::within, interval::Interval, size::Size};

/// What one instance of a component may use. Each key that is left out has its default; the keys say which bounds they have, and
/// `docs/pipelines.md` has them all in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the limits block")]
pub struct Limits {
    /// The most linear memory, over all memories of the instance.
    #[serde(deserialize_with = "memory")]
    pub memory: Size,
    /// The most elements, over all tables of the instance.
    #[serde(deserialize_with = "table_elements")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub table_elements: u32,
    /// The most tables.
    #[serde(deserialize_with = "many")]
    #[schemars(range(min = 1, max = 10_000))]
    pub tables: u32,
    /// The most linear memories.
    #[serde(deserialize_with = "many")]
    #[schemars(range(min = 1, max = 10_000))]
    pub memories: u32,
    /// The most core instances that the component may be made of.
    #[serde(deserialize_with = "many")]
    #[schemars(range(min = 1, max = 10_000))]
    pub instances: u32,
    /// The most handles to things of the host that the instance may hold at once: streams, files, requests.
    #[serde(deserialize_with = "handles")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub handles: u32,
    /// The most bytes that the instance may hand over in one call to the host, or in its answer to one.
    #[serde(deserialize_with = "host_call_bytes")]
    pub host_call_bytes: Size,
    /// The most random bytes that one call may ask for.
    #[serde(deserialize_with = "random_bytes")]
    pub random_bytes: Size,
    /// The computation that every call may use, in units of fuel: about one for each WebAssembly instruction.
    #[serde(deserialize_with = "fuel")]
    #[schemars(range(min = 1))]
    pub fuel_per_call: u64,
    /// The computation that a `write`, a `process`, or a call about an upload may use for each record that it is about, on top of
    /// `fuel-per-call`, in units of fuel.
    #[serde(deserialize_with = "fuel")]
    #[schemars(range(min = 1))]
    pub fuel_per_record: u64,
    /// The most records that a processor may make of one batch; never fewer than went in.
    #[serde(deserialize_with = "records_out")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub records_out: u32,
    /// The most bytes of records that a processor may make of one batch; never fewer than went in.
    #[serde(deserialize_with = "bytes_out")]
    pub bytes_out: Size,
    /// The most follow-ups that one call may add.
    #[serde(deserialize_with = "records_out")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub follow_ups: u32,
    /// The most bytes of the keys and payloads of follow-ups that one call may add.
    #[serde(deserialize_with = "bytes_out")]
    pub follow_up_bytes: Size,
    /// The longest that each call may take.
    pub time: Times,
    /// The most bytes kept of one line of standard output or error; the rest of the line is dropped.
    #[serde(deserialize_with = "output")]
    pub output: Size,
    /// The most lines of the log a second, and at once: over all instances of the destination, those that the host writes of what they
    /// try included. What is over it is dropped and counted.
    #[serde(deserialize_with = "many")]
    #[schemars(range(min = 1, max = 10_000))]
    pub log_lines: u32,
    /// The most figures of the connector's own, by name. What is over it is dropped and counted.
    #[serde(deserialize_with = "many")]
    #[schemars(range(min = 1, max = 10_000))]
    pub metrics: u32,
    /// What TCP connections may use.
    pub tcp: TcpLimits,
    /// What HTTP requests may use.
    pub http: HttpLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: Size::from_mib(256),
            table_elements: 100_000,
            tables: 16,
            memories: 16,
            instances: 64,
            handles: 4096,
            host_call_bytes: Size::from_mib(32),
            random_bytes: Size::from_kib(64),
            fuel_per_call: 10_000_000_000,
            fuel_per_record: 100_000_000,
            records_out: 100_000,
            bytes_out: Size::from_mib(64),
            follow_ups: 100_000,
            follow_up_bytes: Size::from_mib(8),
            time: Times::default(),
            output: Size::from_kib(64),
            log_lines: 100,
            metrics: 100,
            tcp: TcpLimits::default(),
            http: HttpLimits::default(),
        }
    }
}

/// The longest that each call may take, time inside of the host included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the time block")]
pub struct Times {
    /// Asking the component what it is.
    #[serde(deserialize_with = "time")]
    pub describe: Interval,
    /// Checking the settings.
    #[serde(deserialize_with = "time")]
    pub check: Interval,
    /// Asking whether the far side is there, where the component can be asked.
    #[serde(deserialize_with = "time")]
    pub probe: Interval,
    /// Telling a destination that a pipeline has it from now on.
    #[serde(deserialize_with = "time")]
    pub created: Interval,
    /// Telling a destination that its settings changed.
    #[serde(deserialize_with = "time")]
    pub updated: Interval,
    /// Telling a destination that the pipeline has it no more.
    #[serde(deserialize_with = "time")]
    pub deleted: Interval,
    /// Opening a session.
    #[serde(deserialize_with = "time")]
    pub open: Interval,
    /// Writing a batch.
    #[serde(deserialize_with = "time")]
    pub write: Interval,
    /// Processing a batch.
    #[serde(deserialize_with = "time")]
    pub process: Interval,
    /// Making lines of a batch.
    #[serde(deserialize_with = "time")]
    pub transform: Interval,
    /// Uploading a file.
    #[serde(deserialize_with = "time")]
    pub upload: Interval,
    /// Asking how far an upload is.
    #[serde(deserialize_with = "time")]
    pub poll: Interval,
    /// Asking what became of the records of an upload.
    #[serde(deserialize_with = "time")]
    pub stats: Interval,
    /// Asking whether an upload took effect.
    #[serde(deserialize_with = "time")]
    pub reconcile: Interval,
    /// Telling that an upload will not be asked for again.
    #[serde(deserialize_with = "time")]
    pub release: Interval,
    /// Taking note of what was acknowledged.
    #[serde(deserialize_with = "time")]
    pub ack: Interval,
    /// Closing a session.
    #[serde(deserialize_with = "time")]
    pub close: Interval,
}

impl Default for Times {
    fn default() -> Self {
        let secs = Interval::from_secs;
        Self {
            describe: secs(10),
            check: secs(10),
            probe: secs(30),
            created: secs(60),
            updated: secs(60),
            deleted: secs(60),
            open: secs(60),
            write: secs(60),
            process: secs(60),
            transform: secs(60),
            upload: secs(300),
            poll: secs(60),
            stats: secs(60),
            reconcile: secs(60),
            release: secs(10),
            ack: secs(10),
            close: secs(30),
        }
    }
}

/// What the TCP connections of one instance may use, and the look-ups of its destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the tcp block")]
pub struct TcpLimits {
    /// The most sockets that the instance may hold at once, connected or not.
    #[serde(deserialize_with = "many")]
    #[schemars(range(min = 1, max = 10_000))]
    pub sockets: u32,
    /// The most look-ups of names a second, and under way at once: over all instances of the destination.
    #[serde(deserialize_with = "many")]
    #[schemars(range(min = 1, max = 10_000))]
    pub lookups: u32,
    /// The longest that a look-up may take.
    #[serde(deserialize_with = "time")]
    pub lookup_time: Interval,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self { sockets: 64, lookups: 8, lookup_time: Interval::from_secs(10) }
    }
}

/// What the HTTP requests of one instance may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the http block")]
pub struct HttpLimits {
    /// The most connections at once, those kept for the next request included; a request waits for one.
    #[serde(deserialize_with = "many")]
    #[schemars(range(min = 1, max = 10_000))]
    pub connections: u32,
    /// The most requests at once, from their being sent until their answer has been read or dropped.
    #[serde(deserialize_with = "many")]
    #[schemars(range(min = 1, max = 10_000))]
    pub requests: u32,
    /// The most headers of a request or of a response.
    #[serde(deserialize_with = "headers")]
    #[schemars(range(min = 1, max = 1_000))]
    pub headers: u32,
    /// The most bytes of the headers of a request or of a response, names and values.
    #[serde(deserialize_with = "header_bytes")]
    pub header_bytes: Size,
    /// The most bytes of a request's body.
    #[serde(deserialize_with = "body")]
    pub request_bytes: Size,
    /// The most bytes of a response's body.
    #[serde(deserialize_with = "body")]
    pub response_bytes: Size,
    /// The longest until a connection stands: look-up, waiting for a free one, and TLS included.
    #[serde(deserialize_with = "time")]
    pub connect_time: Interval,
    /// The longest from the last byte of a request until the head of its response.
    #[serde(deserialize_with = "time")]
    pub first_byte_time: Interval,
    /// The longest between two pieces of a response's body.
    #[serde(deserialize_with = "time")]
    pub between_bytes_time: Interval,
    /// The longest for a request as a whole, until the last byte of its response.
    #[serde(deserialize_with = "time")]
    pub request_time: Interval,
}

impl Default for HttpLimits {
    fn default() -> Self {
        let secs = Interval::from_secs;
        Self {
            connections: 32,
            requests: 64,
            headers: 100,
            header_bytes: Size::from_kib(32),
            request_bytes: Size::from_mib(64),
            response_bytes: Size::from_mib(64),
            connect_time: secs(10),
            first_byte_time: secs(30),
            between_bytes_time: secs(30),
            request_time: secs(60),
        }
    }
}

macro_rules! readers {
    ($($name:ident: $type:ty = $bounds:expr;)*) => {$(
        fn $name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
            const BOUNDS: RangeInclusive<$type> = $bounds;
            within(deserializer, BOUNDS)
        }
    )*};
}

readers! {
    memory: Size = Size::from_mib(1)..=Size::from_mib(4096);
    table_elements: u32 = 1..=100_000_000;
    many: u32 = 1..=10_000;
    handles: u32 = 1..=1_000_000;
    host_call_bytes: Size = Size::from_kib(64)..=Size::from_mib(1024);
    random_bytes: Size = Size::from_bytes(1)..=Size::from_mib(16);
    fuel: u64 = 1..=u64::MAX;
    records_out: u32 = 1..=10_000_000;
    bytes_out: Size = Size::from_kib(1)..=Size::from_mib(4096);
    output: Size = Size::from_bytes(256)..=Size::from_mib(1);
    headers: u32 = 1..=1_000;
    header_bytes: Size = Size::from_kib(8)..=Size::from_mib(1);
    body: Size = Size::from_bytes(1)..=Size::from_mib(65_536);
    time: Interval = Interval::from_millis(1)..=Interval::from_secs(86_400);
}
