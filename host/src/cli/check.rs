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
    connector::{Connector, Processor},
    plan::{Plan, PlanError, PlannedPipeline, plan},
    runtime,
    sandbox::output::printable,
    store::{DataDir, SqliteStore},
};

/// Checks a pipeline file.
pub async fn check(pipeline: &Path, output: Output) -> Result<u8, Refusal> {
    let clock = Clock::system();
    let file = config::load(pipeline, &config::environment).map_err(|error| Refusal::from(vec![PlanError::from(error)]))?;
    let loader = loader(&clock, file.process)?;
    let Plan { pipelines, mut remarks, data_dir, .. } = plan(file, &loader, &runtime::run_id(&clock)).await?;
    remarks.extend(recognised(&pipelines, &data_dir).await?);
    if output == Output::Json {
        let part =
            |id: &str, connector: &Connector| json!({"id": id, "connector": connector.title(), "digest": connector.digest});
        let processors = |processors: &[Processor]| -> Vec<_> {
            processors.iter().map(|processor| part(&processor.id, &processor.connector)).collect()
        };
        let pipelines: Vec<_> = pipelines
            .iter()
            .map(|pipeline| {
                let destinations = pipeline.destinations.iter().map(|destination| {
                    let chain = &destination.processors;
                    let mut destination = part(&destination.id, &destination.connector);
                    destination["processors"] = processors(chain).into();
                    destination
                });
                let destinations: Vec<_> = destinations.collect();
                json!({"id": *pipeline.id, "processors": processors(&pipeline.processors), "destinations": destinations})
            })
            .collect();
        report::print(&json!({"pipelines": pipelines, "remarks": remarks}));
        return Ok(SETTLED);
    }
    for remark in remarks {
        report::print_text(&format!("note: {}\n", printable(&remark, false)));
    }
    for pipeline in pipelines {
        let through = |processors: &[Processor]| match processors {
            [] => String::new(),
            some => {
                let named = some.iter().map(|processor| format!("{} ({})", processor.id, processor.connector.title()));
                format!(" through {}", named.collect::<Vec<_>>().join(", "))
            }
        };
        let destinations: Vec<_> = pipeline
            .destinations
            .iter()
            .map(|destination| {
                let through = through(&destination.processors);
                format!("{} ({}){through}", destination.id, destination.connector.title())
            })
            .collect();
        let through = through(&pipeline.processors);
        let comma = if through.is_empty() { "" } else { "," };
        report::print_text(&format!("{}: ready{comma}{through}, to {}\n", pipeline.id, destinations.join(", ")));
    }
    Ok(SETTLED)
}

/// Holds what the pipelines read against the checkpoints that there are. A host may be running on them.
async fn recognised(pipelines: &[PlannedPipeline], data_dir: &Path) -> Result<Vec<String>, Refusal> {
    let path = DataDir::store_in(data_dir);
    let looked = tokio::task::spawn_blocking(move || SqliteStore::look(&path)).await;
    match looked.map_err(|error| Refusal::new(error.to_string()))? {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(store)) => runtime::recognised(&store, pipelines, data_dir)
            .await
            .map_err(|error| Refusal::with_hint(error.to_string(), Some(error.hint())).at(error.place())),
        Err(error) => Ok(vec![format!("whether the checkpoints are of these sources is not known: {error}")]),
    }
}
