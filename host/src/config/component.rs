//! What destinations and processors have in common: a component, what it is told, and what it may reach and use.

use std::path::PathBuf;

use super::{
    at::At, destination::Destination, environment::Variable, error::Place, grants::Grants, id::Id, limits::Limits,
    processor::Processor, settings::Settings,
};

/// A component as the pipeline file has it, whatever it is for.
#[derive(Clone, Copy, Debug)]
pub struct Component<'a> {
    /// What the file calls such a thing: `destination` or `processor`.
    pub noun: &'static str,
    /// Its name in the pipeline.
    pub id: &'a At<Id>,
    /// The file.
    pub component: &'a At<PathBuf>,
    /// What it is told.
    pub settings: &'a Settings,
    /// Variables of the environment that go before that.
    pub environment: &'a [Variable],
    /// What it may reach.
    pub grants: &'a Grants,
    /// What one instance may use.
    pub limits: &'a Limits,
    /// Where the block begins.
    pub place: &'a Place,
}

impl<'a> From<&'a At<Destination>> for Component<'a> {
    fn from(At { value, place }: &'a At<Destination>) -> Self {
        let Destination { id, component, settings, environment, grants, limits, .. } = value;
        Self { noun: "destination", id, component, settings, environment, grants, limits, place }
    }
}

impl<'a> From<&'a At<Processor>> for Component<'a> {
    fn from(At { value, place }: &'a At<Processor>) -> Self {
        let Processor { id, component, settings, grants, limits, .. } = value;
        Self { noun: "processor", id, component, settings, environment: &[], grants, limits, place }
    }
}
