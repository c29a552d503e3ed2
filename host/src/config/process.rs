//! What all pipelines of a process share: how components are compiled, and how many instances there may be.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{at::At, bounded::within, fault::Refusal, interval::Interval, size::Size};

/// What the whole process may spend on components. Each key that is left out has its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// The largest component file that is read.
    pub component_size: Size,
    /// Where components are compiled.
    pub compile: Compile,
    /// The longest that compiling one component may take.
    pub compile_time: Interval,
    /// The most memory that compiling one component in a child process may take, as address space.
    pub compile_memory: Size,
    /// The most instances alive at once, of all destinations together.
    pub instances: u32,
}

/// Where components are compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compile {
    /// In a child process, which can be ended and whose memory is limited.
    #[default]
    Child,
    /// In the host's own process, where time is limited and memory is not.
    Here,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            component_size: COMPONENT_SIZE,
            compile: Compile::Child,
            compile_time: COMPILE_TIME,
            compile_memory: COMPILE_MEMORY,
            instances: INSTANCES,
        }
    }
}

const COMPONENT_SIZE: Size = Size::from_mib(64);
const COMPILE_TIME: Interval = Interval::from_secs(60);
const COMPILE_MEMORY: Size = Size::from_mib(4096);
const INSTANCES: u32 = 1000;

/// The block as written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", expecting = "the process block")]
#[schemars(rename = "Process")]
struct Written {
    /// The largest component file that is read.
    #[serde(default = "default_component_size", deserialize_with = "component_size")]
    component_size: Size,
    /// Where components are compiled: in a child process, which can be ended and whose memory is limited, or in the host's own.
    #[serde(default)]
    compile: Compile,
    /// The longest that compiling one component may take.
    #[serde(default = "default_compile_time", deserialize_with = "compile_time")]
    compile_time: Interval,
    /// The most memory that compiling one component may take, as address space. Refused with `compile: here`.
    #[serde(default, deserialize_with = "compile_memory")]
    #[schemars(with = "Size", extend("default" = COMPILE_MEMORY))]
    compile_memory: Option<At<Size>>,
    /// The most instances alive at once, of all destinations together. The start of one more waits for another's end, as long as the
    /// call may take that it is started for.
    #[serde(default = "default_instances", deserialize_with = "instances")]
    #[schemars(range(min = 1, max = 100_000))]
    instances: u32,
}

impl<'de> Deserialize<'de> for Process {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Written { component_size, compile, compile_time, compile_memory, instances } = Written::deserialize(deserializer)?;
        if let (Compile::Here, Some(memory)) = (compile, &compile_memory) {
            let refusal = Refusal::new("`compile-memory` with `compile: here`")
                .with_hint("only a child process has a memory of its own to limit; leave one of the two out");
            return Err(de::Error::custom(refusal.with_place(&memory.place)));
        }
        let compile_memory = compile_memory.map_or(COMPILE_MEMORY, |memory| memory.value);
        Ok(Self { component_size, compile, compile_time, compile_memory, instances })
    }
}

impl JsonSchema for Process {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        Written::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}

const SIZES: RangeInclusive<Size> = Size::from_kib(1)..=Size::from_mib(1024);
const TIMES: RangeInclusive<Interval> = Interval::from_millis(1)..=Interval::from_secs(3600);
const MEMORIES: RangeInclusive<Size> = Size::from_mib(64)..=Size::from_mib(65_536);
const COUNTS: RangeInclusive<u32> = 1..=100_000;

const fn default_component_size() -> Size {
    COMPONENT_SIZE
}

const fn default_compile_time() -> Interval {
    COMPILE_TIME
}

const fn default_instances() -> u32 {
    INSTANCES
}

fn component_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
    within(deserializer, SIZES)
}

fn compile_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Interval, D::Error> {
    within(deserializer, TIMES)
}

fn compile_memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<At<Size>>, D::Error> {
    struct Memory(Size);

    impl<'de> Deserialize<'de> for Memory {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            within(deserializer, MEMORIES).map(Self)
        }
    }

    At::<Memory>::deserialize(deserializer).map(|at| Some(at.map(|Memory(size)| size)))
}

fn instances<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    within(deserializer, COUNTS)
}
