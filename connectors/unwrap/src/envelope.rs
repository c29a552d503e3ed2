//! What is in an envelope.

use wharf_json::{Json, Kind};
use wharf_sdk::Operation;

/// A record out of its envelope. What is `None` is absent.
#[derive(Debug, Default)]
pub struct Unwrapped<'a> {
    pub operation: Operation,
    pub key: Option<Data<'a>>,
    pub before: Option<Data<'a>>,
    pub after: Option<Data<'a>>,
    pub metadata: Vec<(String, String)>,
}

/// A value out of an envelope.
#[derive(Debug)]
pub enum Data<'a> {
    /// JSON, as it stands.
    Structured(Json<'a>),
    /// Bytes.
    Raw(Vec<u8>),
}

impl<'a> Unwrapped<'a> {
    /// A record that nothing else is said of; `null` is what is left of one that went away.
    pub fn plain(payload: Json<'a>) -> Self {
        let after = Data::unless_null(payload);
        let operation = if after.is_some() { Operation::Create } else { Operation::Delete };
        Self { operation, after, ..Self::default() }
    }
}

impl<'a> Data<'a> {
    pub fn unless_null(json: Json<'a>) -> Option<Self> {
        (json.kind() != Kind::Null).then_some(Self::Structured(json))
    }

    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Structured(json) => json.to_vec(),
            Self::Raw(bytes) => bytes.clone(),
        }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Structured(json) => json.to_vec(),
            Self::Raw(bytes) => bytes,
        }
    }
}
