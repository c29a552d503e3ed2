//! Where the connector runs.

use std::time::Duration;

use crate::sys;

/// Where the connector runs. It is asked of the host each time, and as cheap to copy as nothing; it can be kept.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Context {}

impl Context {
    pub(crate) fn new() -> Self {
        Self {}
    }

    /// What the host calls `name`; `None` where this host does not know it. What newer hosts know can be asked for here.
    pub fn get(&self, name: &str) -> Option<String> {
        sys::context::get(name)
    }

    /// The pipeline, by its name.
    pub fn pipeline(&self) -> String {
        self.get("pipeline").unwrap_or_default()
    }

    /// The destination, by its name in the pipeline.
    pub fn destination(&self) -> String {
        self.get("destination").unwrap_or_default()
    }

    /// Which of several instances this is, from 0.
    pub fn instance(&self) -> u32 {
        self.get("instance").and_then(|instance| instance.parse().ok()).unwrap_or(0)
    }

    /// How many instances there are.
    pub fn instances(&self) -> u32 {
        self.get("instances").and_then(|instances| instances.parse().ok()).unwrap_or(1)
    }

    /// Names this run of the pipeline.
    pub fn run(&self) -> String {
        self.get("run").unwrap_or_default()
    }

    /// Whether the pipeline asks for order.
    pub fn ordered(&self) -> bool {
        self.get("ordered").is_some_and(|ordered| ordered == "true")
    }

    /// The version of the far side's interface that the pipeline chose, of those in the descriptor.
    pub fn api_version(&self) -> Option<String> {
        self.get("api-version")
    }

    /// How long a call of `write` may take before the host ends the instance (`limits.time.write` of the destination). What waits less than that for
    /// its far side can still say what became of the records. `None` where this host does not tell.
    pub fn write_limit(&self) -> Option<Duration> {
        self.get("write-limit-ms")?.parse().ok().map(Duration::from_millis)
    }

    /// The version of the host.
    pub fn host_version(&self) -> String {
        self.get("host-version").unwrap_or_default()
    }
}
