//! `wharf check`.

use std::path::Path;

use serde_json::{Value, json};

use super::{Checked, SETTLED, STOPPED, actions::Told, explain, graph, loader, refusal::Refusal, stdout};
use crate::{
    clock::Clock,
    config,
    connector::{Connector, ProbeError, Processor},
    pipeline::Destination,
    plan::{self, PlannedPipeline, plan},
    runtime::{self, Probed, Reached, StartError},
    sandbox::output::printable,
    store::{DataDir, DataDirError, SqliteStore},
};

/// Checks a pipeline file, and asks whether the far sides are there where that is wanted.
pub async fn check(pipeline: &Path, probe: bool, explained: bool, output: Checked) -> Result<u8, Refusal> {
    if probe && output == Checked::Dot {
        let hint = "ask for one of them at a time; `--probe` goes with `--output text` and `--output json`";
        return Err(Refusal::with_hint("a graph does not show what `--probe` finds".into(), Some(hint.into())));
    }
    if explained && output == Checked::Dot {
        let hint = "ask for one of them at a time; `--explain` goes with `--output text` and `--output json`";
        return Err(Refusal::with_hint("a graph does not show what `--explain` tells".into(), Some(hint.into())));
    }
    let clock = Clock::system();
    let file = config::load(pipeline, &config::OwnEnvironment)?;
    let loader = loader(&clock, file.process)?;
    let read = explained.then(|| file.clone());
    let plan = plan(file, &loader, &runtime::run_id(&clock)).await?;
    let unfit = |error: DataDirError| Refusal::with_hint(error.to_string(), Some(error.hint().into()));
    DataDir::could_be(&plan.data_dir).map_err(unfit)?;
    let explained = read.map(|file| plan::explain(&file, &plan));
    let mut remarks = plan.remarks.clone();
    remarks.extend(recognised(&plan.pipelines, &plan.data_dir).await?);
    let probed = if probe {
        let (probed, remark) = runtime::probe(&plan).await.map_err(refused)?;
        remarks.extend(remark);
        probed
    } else {
        Vec::new()
    };
    match output {
        Checked::Dot => {
            for remark in remarks {
                tracing::warn!("{}", printable(&remark, false));
            }
            stdout::text(&graph::dot(&plan.pipelines));
        }
        Checked::Json => {
            let mut told = json(&plan.pipelines, &remarks, &probed);
            if let Some(explained) = &explained {
                told["explained"] = explain::json(explained);
            }
            stdout::document(&told);
        }
        Checked::Text => {
            let explained = explained.as_deref().map(explain::text).unwrap_or_default();
            stdout::text(&(text(&plan.pipelines, &remarks, &probed) + &explained));
        }
    }
    let unreached = probed.iter().any(|probed| matches!(probed.reached, Reached::Not(_)));
    Ok(if unreached { STOPPED } else { SETTLED })
}

fn json(pipelines: &[PlannedPipeline], remarks: &[String], probed: &[Probed]) -> Value {
    let asked = |pipeline: &str, destination: Option<&str>, processor: Option<&str>| {
        let is = |probed: &&Probed| {
            let whose = (&*probed.pipeline, probed.destination.as_deref(), probed.processor.as_deref());
            whose == (pipeline, destination, processor)
        };
        probed.iter().find(is).map(|probed| answer(&probed.reached))
    };
    let part = |id: &str, connector: &Connector, probe: Option<Value>| {
        let mut part = json!({"id": id, "connector": connector.title(), "digest": connector.digest});
        if let Some(probe) = probe {
            part["probe"] = probe;
        }
        part
    };
    let processors = |pipeline: &str, destination: Option<&str>, processors: &[Processor]| -> Vec<_> {
        let one =
            |processor: &Processor| part(&processor.id, &processor.connector, asked(pipeline, destination, Some(&processor.id)));
        processors.iter().map(one).collect()
    };
    let pipelines: Vec<_> = pipelines
        .iter()
        .map(|pipeline| {
            let id = &*pipeline.id;
            let destinations = pipeline.destinations.iter().map(|destination| {
                let mut told = part(&destination.id, &destination.connector, asked(id, Some(&destination.id), None));
                told["processors"] = processors(id, Some(&destination.id), &destination.processors).into();
                if let (Value::Object(told), Value::Object(actions)) = (&mut told, Told::of(destination).json()) {
                    told.extend(actions);
                }
                told
            });
            let destinations: Vec<_> = destinations.collect();
            let removed: Vec<&str> = pipeline.removed.iter().map(|destination| &*destination.id).collect();
            let processors = processors(id, None, &pipeline.processors);
            let off: Vec<&str> = pipeline.switched_off.iter().map(|id| &**id).collect();
            json!({"id": id, "processors": processors, "destinations": destinations, "removed": removed, "switched_off": off})
        })
        .collect();
    json!({"pipelines": pipelines, "remarks": remarks})
}

/// What came of asking, for a program.
fn answer(reached: &Reached) -> Value {
    match reached {
        Reached::NoProbe => json!({"state": "none"}),
        Reached::There(took) => json!({"state": "reachable", "seconds": took.as_secs_f64()}),
        Reached::Not(ProbeError::Failed(failure)) => {
            json!({"state": "unreachable", "kind": failure.kind.name(), "code": failure.code, "why": failure.message})
        }
        Reached::Not(error) => json!({"state": "unreachable", "kind": null, "code": null, "why": error.to_string()}),
    }
}

fn text(pipelines: &[PlannedPipeline], remarks: &[String], probed: &[Probed]) -> String {
    let mut text = String::new();
    for remark in remarks {
        text.push_str(&format!("note: {}\n", printable(remark, false)));
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
        match destinations.is_empty() {
            false => text.push_str(&format!("{}: ready{comma}{through}, to {}\n", pipeline.id, destinations.join(", "))),
            true => text.push_str(&format!("{}: ready, and reads nothing: all of its destinations are removed\n", pipeline.id)),
        }
        for destination in &pipeline.destinations {
            for line in Told::of(destination).lines() {
                text.push_str(&format!("  {}: {line}\n", destination.id));
            }
        }
        for Destination { id, connector, .. } in &pipeline.removed {
            let told = if connector.is_told_of_its_life() {
                "removed, and told so"
            } else {
                "removed; it is not told, since it does not ask to be"
            };
            text.push_str(&format!("  {id}: {told}\n"));
        }
        for id in &pipeline.switched_off {
            text.push_str(&format!("  {id}: switched off; what is in its spool is given up with the next start\n"));
        }
        for Probed { destination, processor, reached, .. } in probed.iter().filter(|probed| probed.pipeline == pipeline.id) {
            let whose = match (destination, processor) {
                (Some(destination), Some(processor)) => format!("{processor} of {destination}"),
                (Some(one), None) | (None, Some(one)) => one.to_string(),
                (None, None) => continue,
            };
            let told = match reached {
                Reached::NoProbe => "has no probe: whether its far side is there is not known".to_owned(),
                Reached::There(took) => format!("reachable ({:.3} s)", took.as_secs_f64()),
                Reached::Not(error) => format!("NOT reachable: {error}"),
            };
            text.push_str(&format!("  {whose}: {}\n", printable(&told, false)));
        }
    }
    text
}

fn refused(error: StartError) -> Refusal {
    Refusal::with_hint(error.to_string(), Some(error.hint())).at(error.place())
}

/// Holds what the pipelines read against the checkpoints that there are. A host may be running on them.
async fn recognised(pipelines: &[PlannedPipeline], data_dir: &Path) -> Result<Vec<String>, Refusal> {
    let path = DataDir::store_in(data_dir);
    let looked = tokio::task::spawn_blocking(move || SqliteStore::look(&path)).await;
    match looked.map_err(|error| Refusal::new(error.to_string()))? {
        Ok(None) => Ok(Vec::new()),
        Ok(Some(store)) => runtime::recognised(&store, pipelines, data_dir, &|_| Vec::new()).await.map_err(refused),
        Err(error) => Ok(vec![format!("whether the checkpoints are of these sources is not known: {error}")]),
    }
}
