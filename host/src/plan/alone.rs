//! One component by itself, without a pipeline around it.

use std::{collections::HashMap, sync::Arc};

use super::{
    error::{Part, PlanError},
    planner::{Named, Planner},
};
use crate::{
    config,
    connector::{Connector, Loader, Opening},
    sandbox::{Broker, Kept, Scope},
};

/// A component with settings that were checked and grants that were found, ready to be opened.
#[derive(Debug)]
pub struct Alone {
    /// What a session of it is opened with.
    pub opening: Opening,
    /// What an operator should know and what is not wrong.
    pub remarks: Vec<String>,
}

/// Checks the settings of one component, and holds its grants against what it asks for, as [`plan`](super::plan) does for all of a pipeline.
/// There are no token providers, and durable state is kept nowhere until somebody says where.
///
/// # Errors
/// All that is wrong.
pub async fn alone(
    of: config::Component<'_>,
    connector: &Connector,
    loader: &Loader,
    run: &str,
) -> Result<Alone, Vec<PlanError>> {
    let compiled = loader.compiled().map(std::path::Path::to_owned);
    let kept = compiled.map(|path| Kept { path, what: "the folder of compiled components", readable: false });
    let mut planner = Planner {
        loader,
        run,
        kept: kept.into_iter().collect(),
        tokens: Arc::new(Broker::default()),
        providers: &[],
        loaded: HashMap::new(),
        errors: Vec::new(),
        remarks: Vec::new(),
    };
    let id = of.id.as_str();
    let whose = [("pipeline", "conform"), (of.noun, id)];
    let part = if of.noun == "processor" { Part::Processor(id.into()) } else { Part::Destination(id.into()) };
    let named = Named { part, of, scope: Scope::new(whose) };
    let opening = planner.opening(&named, connector, &mut Vec::new()).await;
    let scope = planner.scope(&whose, true, connector, connector.descriptor.default_version.as_deref());
    let Planner { errors, remarks, .. } = planner;
    match opening {
        Some(opening) => Ok(Alone { opening: Opening { scope, ..opening }, remarks }),
        None => Err(errors),
    }
}
