//! `wharf check`.

use std::path::Path;

use serde_json::json;

use super::{
    Output, SETTLED, loader,
    report::{self, Refusal},
};
use crate::{
    clock::Clock,
    config,
    plan::{Plan, PlanError, plan},
    runtime,
    sandbox::output::printable,
};

/// Checks a pipeline file.
pub async fn check(pipeline: &Path, output: Output) -> Result<u8, Refusal> {
    let clock = Clock::system();
    let file = config::load(pipeline, &config::environment).map_err(|error| Refusal::from(vec![PlanError::from(error)]))?;
    let loader = loader(&clock, file.process)?;
    let Plan { pipelines, remarks, .. } = plan(file, &loader, &runtime::run_id(&clock)).await?;
    if output == Output::Json {
        let pipelines: Vec<_> = pipelines
            .iter()
            .map(|pipeline| {
                let destinations: Vec<_> = pipeline
                    .destinations
                    .iter()
                    .map(|destination| {
                        let connector = &destination.connector;
                        json!({"id": *destination.id, "connector": connector.title(), "digest": connector.digest})
                    })
                    .collect();
                json!({"id": *pipeline.id, "destinations": destinations})
            })
            .collect();
        report::print(&json!({"pipelines": pipelines, "remarks": remarks}));
        return Ok(SETTLED);
    }
    for remark in remarks {
        report::print_text(&format!("note: {}\n", printable(&remark, false)));
    }
    for pipeline in pipelines {
        let destinations: Vec<_> = pipeline
            .destinations
            .iter()
            .map(|destination| format!("{} ({})", destination.id, destination.connector.title()))
            .collect();
        report::print_text(&format!("{}: ready, to {}\n", pipeline.id, destinations.join(", ")));
    }
    Ok(SETTLED)
}
