//! The whole file.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{
    at::At,
    bounded::{at_least_one, path, within},
    defaults::{Defaults, Given},
    digest::Digest,
    error::Place,
    explain::{Keys, Rows},
    interval::Interval,
    pipeline::Pipeline,
    process::Process,
    tokens::TokenProvider,
};

/// The version that this host reads.
pub(super) const VERSION: u32 = 1;

/// A pipeline file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a pipeline file")]
pub struct File {
    /// The version of the file's format: 1.
    #[serde(deserialize_with = "version")]
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// The folder for what must outlive the process: checkpoints, spools, dead letters. Default: `.wharf` beside the file.
    #[serde(default, deserialize_with = "path")]
    #[schemars(with = "String")]
    pub data_dir: Option<PathBuf>,
    /// How long pipelines may finish what is in flight when they are asked to stop; what is left then stays pending.
    #[serde(default = "default_shutdown_timeout", deserialize_with = "shutdown_timeout")]
    pub shutdown_timeout: Interval,
    /// What all pipelines share: how components are compiled, and how many instances there may be.
    #[serde(default)]
    pub process: Process,
    /// Providers of access tokens, for the destinations that are granted them.
    #[serde(default)]
    pub tokens: Vec<At<TokenProvider>>,
    /// What holds for destinations that do not say otherwise: for all, and for those of a connector.
    #[serde(default)]
    pub defaults: Defaults,
    /// The pipelines, at least one.
    #[serde(deserialize_with = "pipelines")]
    #[schemars(length(min = 1))]
    pub pipelines: Vec<At<Pipeline>>,
    /// The folder that the file is in.
    #[serde(skip)]
    pub(super) folder: PathBuf,
    /// What came from `defaults`.
    #[serde(skip)]
    pub(super) given: Given,
    /// What stands in it beside the pipelines.
    #[serde(skip)]
    pub(super) rows: Rows,
    /// Where its own keys stand.
    #[serde(skip)]
    pub(super) keys: Keys,
    /// What stands under `tokens`.
    #[serde(skip)]
    pub(super) tokens_digest: Digest,
    /// What `WHARF_KEY_FILE` names.
    #[serde(skip)]
    pub(super) key_file: Option<PathBuf>,
}

impl File {
    /// The folder for what must outlive the process.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| self.folder.join(".wharf"))
    }

    /// The file with the key that refresh tokens are kept under, as the variable `WHARF_KEY_FILE` names it.
    pub fn key_file(&self) -> Option<&Path> {
        self.key_file.as_deref()
    }

    /// What stands under `tokens`: of two files, the same where these are equal.
    pub fn tokens_digest(&self) -> Digest {
        self.tokens_digest
    }

    /// Where a key of it stands, such as `data-dir`; `None` where it is left out.
    pub fn place_of(&self, key: &str) -> Option<&Place> {
        self.keys.place(key)
    }

    /// The folder that the file is in, from which its relative paths count.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

const SHUTDOWN_TIMEOUT: RangeInclusive<Interval> = Interval::from_millis(0)..=Interval::from_secs(86_400);

/// As much as Kubernetes gives a process before it kills it.
const fn default_shutdown_timeout() -> Interval {
    Interval::from_secs(30)
}

fn shutdown_timeout<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
    within(deserializer, SHUTDOWN_TIMEOUT)
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, VERSION..=VERSION)
}

fn pipelines<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<At<Pipeline>>, D::Error> {
    at_least_one(deserializer, "pipeline")
}
