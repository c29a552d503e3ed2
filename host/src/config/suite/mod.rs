//! The suite file: what conformance of one component needs to know that the component itself cannot tell.

mod text;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{
    at::At,
    bounded::within,
    grants::{FarSide, Grants, HostPort},
    interval::Interval,
    limits::Limits,
    settings::Settings,
    size::Size,
};

pub use text::{SuiteRead, SuiteText};

/// A suite file: settings and grants, how to read back, how to make each fault, and what a component may use.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "a suite file")]
pub struct Suite {
    /// The version of the file's format: 1.
    #[serde(deserialize_with = "version")]
    #[schemars(range(min = 1, max = 1))]
    pub version: u32,
    /// What the component is told, by the names of the parameters that it declares.
    pub settings: Settings,
    /// What the component may reach. It reaches nothing else.
    pub grants: Grants,
    /// What one instance of the component may use.
    pub limits: Limits,
    /// Far sides that the component speaks to: a name, and `host:port`. `${NAME}` in the other keys is the `host:port` of a proxy in front of it.
    #[serde(deserialize_with = "far")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub far: BTreeMap<String, HostPort>,
    /// The payload of a record, in which `{n}` stands for its number.
    pub record: Option<String>,
    /// A command that empties the far side, before each case that reads back.
    pub reset: Option<At<String>>,
    /// How what was delivered is read back.
    pub read: Option<Read>,
    /// Settings that the component itself has to refuse, though they keep the rules that it declares.
    pub refused: Vec<Refused>,
    /// Commands that make a fault of the far side, and mend it.
    pub faults: Faults,
    /// What the component may use at the most while it is exercised.
    pub manners: Manners,
    /// Cases that are not run, and why.
    pub skip: Vec<Skip>,
}

/// How what was delivered is read back.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "how to read back")]
pub struct Read {
    /// A folder whose files hold the records as lines; files are taken in order of name.
    #[serde(default)]
    pub directory: Option<At<String>>,
    /// Which files of the folder; `*` stands for anything.
    #[serde(default)]
    pub files: Option<String>,
    /// A command that prints each record as a line.
    #[serde(default)]
    pub command: Option<At<String>>,
    /// Whether what came to the built-in HTTP server, which `${CAPTURE}` is the address of, is what was delivered.
    #[serde(default)]
    pub capture: bool,
}

/// Settings that have to be refused.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "settings that have to be refused")]
pub struct Refused {
    /// What is set in the place of, or beside, what the suite sets.
    pub settings: Settings,
    /// The parameter that the refusal has to name.
    pub names: At<String>,
}

/// Commands that make a fault of the far side.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the faults block")]
pub struct Faults {
    /// It is not there. In place of the proxy, which cuts connections.
    pub gone: Option<Fault>,
    /// It refuses the credentials.
    pub unauthorized: Option<Fault>,
    /// It asks for patience.
    pub throttled: Option<Fault>,
}

/// A fault of the far side.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a fault")]
pub struct Fault {
    /// A command that makes it.
    pub make: At<String>,
    /// A command that mends it.
    pub heal: At<String>,
}

/// What a component may use at the most while it is exercised.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default, expecting = "the manners block")]
pub struct Manners {
    /// The most memory of one instance.
    #[serde(deserialize_with = "memory")]
    pub memory: Size,
    /// The most computation for each record of a batch of a thousand, in units of fuel.
    #[serde(deserialize_with = "fuel")]
    #[schemars(range(min = 1))]
    pub fuel_per_record: u64,
    /// The longest that a call with a thousand records may take.
    #[serde(deserialize_with = "time")]
    pub time: Interval,
    /// The longest that a write may take to a far side that says nothing any more.
    #[serde(deserialize_with = "time")]
    pub stall: Interval,
    /// By how much the memory of an instance may grow from its 100th batch to its 1,000th.
    #[serde(deserialize_with = "growth")]
    pub growth: Size,
    /// How many batches are written to see that.
    #[serde(deserialize_with = "batches")]
    #[schemars(range(min = 200, max = 1_000))]
    pub batches: u32,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            memory: Size::from_mib(64),
            fuel_per_record: 1_000_000,
            time: Interval::from_secs(10),
            stall: Interval::from_secs(30),
            growth: Size::from_mib(1),
            batches: 1_000,
        }
    }
}

/// A case that is not run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "a case to skip")]
pub struct Skip {
    /// Its id.
    pub case: At<String>,
    /// Why, for whoever reads the report.
    pub reason: At<String>,
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, 1..=1)
}

fn far<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, HostPort>, D::Error> {
    let sides = BTreeMap::<String, FarSide>::deserialize(deserializer)?;
    Ok(sides.into_iter().map(|(name, FarSide(to))| (name, to)).collect())
}

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    within(deserializer, Size::from_mib(1)..=Size::from_mib(4096))
}

fn growth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    within(deserializer, Size::from_bytes(0)..=Size::from_mib(4096))
}

fn fuel<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    within(deserializer, 1..=u64::MAX)
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
    within(deserializer, Interval::from_millis(1)..=Interval::from_secs(3_600))
}

fn batches<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, 200..=1_000)
}
