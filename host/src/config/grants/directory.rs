//! A folder of the host.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::{
    Size,
    bounded::{parsed, path, within},
};

/// A folder of the host that a component sees.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a directory grant")]
pub struct Directory {
    /// The folder on the host, relative to the folder of the pipeline file.
    #[serde(deserialize_with = "path")]
    #[schemars(with = "String")]
    pub host: PathBuf,
    /// Where the component sees it: an absolute path without `.` and `..`, unique in the destination.
    #[serde(deserialize_with = "guest")]
    pub guest: String,
    /// Whether the component may change what is in it.
    #[serde(default)]
    pub access: Access,
    /// The most bytes that may stand in it for the component to add any: the length of every file and 4 KiB for every name. Only with
    /// `access: read-write`. Default: as many as the disk has room for.
    #[serde(default, deserialize_with = "quota")]
    #[schemars(with = "Size")]
    pub quota: Option<Size>,
}

/// A bound on what stands in a directory: at least one file with a byte.
pub(super) fn quota<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Size>, D::Error> {
    within(deserializer, Size::from_kib(8)..=Size::from_bytes(u64::MAX)).map(Some)
}

/// What a component may do with a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// List and read.
    #[default]
    ReadOnly,
    /// List, read, write, create, rename and remove.
    ReadWrite,
}

fn guest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Guest(String);

    impl std::str::FromStr for Guest {
        type Err = ();

        fn from_str(text: &str) -> Result<Self, ()> {
            let inside = text.strip_prefix('/').ok_or(())?;
            let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
            if inside.is_empty() || inside.split('/').all(plain) { Ok(Self(text.to_owned())) } else { Err(()) }
        }
    }

    parsed(deserializer, "an absolute path such as `/data`, without `.`, `..` and a `/` at its end").map(|Guest(path)| path)
}
