//! One destination: a component, its settings, and what it may reach and use.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    at::At,
    bounded::{self, parsed, path},
    id::Id,
    limits::Limits,
    settings::Settings,
};

/// A component that records go to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a destination")]
pub struct Destination {
    /// The destination's name, unique in the pipeline. Checkpoints and dead letters are kept under it.
    pub id: At<Id>,
    /// The component: a `.wasm` file, relative to the folder of the pipeline file.
    #[serde(deserialize_with = "component")]
    #[schemars(with = "String")]
    pub component: At<PathBuf>,
    /// What the component is told, by the names of the parameters that it declares.
    #[serde(default)]
    pub settings: Settings,
    /// What the component may reach. It reaches nothing else.
    #[serde(default)]
    pub grants: Grants,
    /// What one instance of the component may use.
    #[serde(default)]
    pub limits: Limits,
}

/// What a component may reach. It reaches nothing else.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the grants block")]
pub struct Grants {
    /// Folders of the host, each with all that is in it.
    pub directories: Vec<At<Directory>>,
}

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

fn component<'de, D: Deserializer<'de>>(deserializer: D) -> Result<At<PathBuf>, D::Error> {
    At::<bounded::Path>::deserialize(deserializer).map(|at| at.map(PathBuf::from))
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
