//! What stands in for the host.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use tracing::Level;

use super::batch::Columns;
use crate::{Span, bindings::wharf::connector::log};

/// A line that a connector logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How grave it is.
    pub level: Level,
    /// What it says.
    pub message: String,
    /// With what; the fields of the spans around it come after its own.
    pub fields: Vec<(String, String)>,
}

impl Line {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// A new record for another action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowUp {
    /// Which action.
    pub action: String,
    /// `succeeded`, `failed` or `discarded`.
    pub on: String,
    /// The record it is born of, in the batch.
    pub cause: u32,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub payload: Vec<u8>,
}

/// All that a connector can see of a host, or leave with it.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) context: BTreeMap<String, String>,
    pub(crate) threshold: log::Level,
    pub(crate) batch: Option<Columns>,
    pub(crate) staged: Option<Rc<[u8]>>,
    pub(crate) progress: Vec<Span>,
    pub(crate) follow_ups: Vec<FollowUp>,
    pub(crate) log: Vec<Line>,
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) gauges: BTreeMap<String, f64>,
    pub(crate) observations: BTreeMap<String, Vec<f64>>,
    /// `None` where it is not granted.
    pub(crate) state: Option<BTreeMap<String, Vec<u8>>>,
    pub(crate) tokens: BTreeMap<String, VecDeque<String>>,
}

impl Default for Host {
    fn default() -> Self {
        let context = [
            ("pipeline", "test"),
            ("destination", "test"),
            ("instance", "0"),
            ("instances", "1"),
            ("run", "1"),
            ("ordered", "true"),
            ("host-version", env!("CARGO_PKG_VERSION")),
        ];
        Self {
            context: context.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            threshold: log::Level::Trace,
            batch: None,
            staged: None,
            progress: Vec::new(),
            follow_ups: Vec::new(),
            log: Vec::new(),
            counts: BTreeMap::new(),
            gauges: BTreeMap::new(),
            observations: BTreeMap::new(),
            state: None,
            tokens: BTreeMap::new(),
        }
    }
}

impl From<log::Level> for Level {
    fn from(level: log::Level) -> Self {
        match level {
            log::Level::Trace => Self::TRACE,
            log::Level::Debug => Self::DEBUG,
            log::Level::Info => Self::INFO,
            log::Level::Warn => Self::WARN,
            log::Level::Error => Self::ERROR,
        }
    }
}

impl From<Level> for log::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::TRACE => Self::Trace,
            Level::DEBUG => Self::Debug,
            Level::INFO => Self::Info,
            Level::WARN => Self::Warn,
            Level::ERROR => Self::Error,
        }
    }
}
