//! `wharf status`, `wharf pause`, `wharf resume` and `wharf reload`.

use std::time::Duration;

use serde_json::json;

use super::{
    Output, SETTLED,
    dead_letters::columns,
    numbers::grouped,
    operate::{Desk, On, astray},
    refusal::Refusal,
    stdout,
};
use crate::{
    operate::{Answer, DestinationStatus, HostStatus, PipelineStatus, Reloaded, Request},
    sandbox::output::printable,
};

/// A pipeline, or one destination of it.
#[derive(Clone, Debug)]
pub struct Target {
    pipeline: String,
    destination: Option<String>,
}

impl std::str::FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pipeline, destination) = text.split_once('/').map_or((text, None), |(pipeline, of)| (pipeline, Some(of)));
        if pipeline.is_empty() || destination.is_some_and(|destination| destination.is_empty() || destination.contains('/')) {
            return Err("name a pipeline, or a destination as PIPELINE/DESTINATION");
        }
        Ok(Self { pipeline: pipeline.to_owned(), destination: destination.map(str::to_owned) })
    }
}

impl Target {
    /// Both names.
    pub fn parts(self) -> (Option<String>, Option<String>) {
        (Some(self.pipeline), self.destination)
    }

    /// Both names of what has to be a destination.
    pub fn destination(self) -> Result<(String, String), Refusal> {
        let Self { pipeline, destination } = self;
        destination.map(|destination| (pipeline.clone(), destination)).ok_or_else(|| {
            Refusal::with_hint(format!("{pipeline} is a pipeline"), Some("name the destination as PIPELINE/DESTINATION".into()))
        })
    }
}

/// Shows how the running host stands.
pub async fn status(on: On) -> Result<u8, Refusal> {
    let Answer::Status(status) = Desk::open(&on.data_dir).await?.ask(Request::Status).await? else { return Err(astray()) };
    match on.output {
        Output::Json => stdout::document(&json!(status)),
        Output::Text => stdout::text(&text(&status)),
    }
    Ok(SETTLED)
}

/// Pauses, or resumes.
pub async fn steer(target: Target, on: On, resume: bool) -> Result<u8, Refusal> {
    let Target { pipeline, destination } = target;
    let name = destination.as_ref().map_or_else(|| pipeline.clone(), |destination| format!("{pipeline}/{destination}"));
    let request = if resume { Request::Resume { pipeline, destination } } else { Request::Pause { pipeline, destination } };
    let Answer::Done(done) = Desk::open(&on.data_dir).await?.ask(request).await? else { return Err(astray()) };
    match on.output {
        Output::Json => stdout::document(&json!({"done": done})),
        Output::Text => {
            let told = match (resume, done) {
                (false, true) => "paused",
                (false, false) => "was paused by hand already",
                (true, true) => "resumed",
                (true, false) => "was not paused",
            };
            stdout::text(&format!("{name}: {told}\n"));
        }
    }
    Ok(SETTLED)
}

/// Has the running host read its pipeline file again.
pub async fn reload(on: On) -> Result<u8, Refusal> {
    let Answer::Reloaded(reloaded) = Desk::open(&on.data_dir).await?.ask(Request::Reload).await? else { return Err(astray()) };
    match on.output {
        Output::Json => stdout::document(&json!(reloaded)),
        Output::Text => {
            let Reloaded { unchanged, changed, started, removed, remarks } = *reloaded;
            let mut told = String::new();
            for (what, ids) in [("changed", changed), ("started", started), ("removed", removed), ("unchanged", unchanged)] {
                if !ids.is_empty() {
                    told.push_str(&format!("{what}: {}\n", ids.join(", ")));
                }
            }
            for remark in remarks {
                told.push_str(&format!("note: {}\n", printable(&remark, false)));
            }
            stdout::text(&told);
        }
    }
    Ok(SETTLED)
}

fn text(status: &HostStatus) -> String {
    let HostStatus { version, process, since, pipelines } = status;
    let mut rows = Vec::new();
    for pipeline in pipelines {
        let PipelineStatus { id, state, since, why, hint, again_ms, restarts, read, carried, destinations } = pipeline;
        let mut told = vec![format!("{} read", grouped(*read))];
        if *carried > 0 {
            told.push(format!("{} carried over", grouped(*carried)));
        }
        if *restarts > 0 {
            told.push(format!("restarted {} times", grouped(*restarts)));
        }
        rows.push([id.clone(), state.clone(), since.clone(), told.join(", ")]);
        rows.extend(reason(why.as_deref(), *again_ms, hint.as_deref()));
        for destination in destinations {
            let DestinationStatus { id, connector, state, why, since, again_ms, .. } = destination;
            let counts = format!("{} ({connector})", counts(destination));
            rows.push([format!("  {id}"), state.clone(), since.clone().unwrap_or_default(), counts]);
            // What holds for the whole pipeline was told with it.
            if pipeline.why != *why {
                rows.extend(reason(why.as_deref(), *again_ms, None));
            }
        }
    }
    let rows: Vec<_> = rows.into_iter().map(|row| row.map(|cell| printable(&cell, false).into_owned())).collect();
    format!("wharf {version}, process {process}, since {since}\n{}", columns(&rows))
}

fn counts(destination: &DestinationStatus) -> String {
    let DestinationStatus { delivered, filtered, dead_lettered, pending, unknown, retries, follow_ups, next, oldest_ms, .. } =
        destination;
    let mut told = format!("{} delivered, {} pending", grouped(*delivered), grouped(*pending));
    let counted = [
        (filtered, "filtered"),
        (dead_lettered, "dead letters"),
        (unknown, "unknown"),
        (retries, "retries"),
        (follow_ups, "follow-ups"),
    ];
    for (count, what) in counted {
        if *count > 0 {
            told.push_str(&format!(", {} {what}", grouped(*count)));
        }
    }
    if let Some(next) = next {
        told.push_str(&format!(", goes out at {next}"));
    }
    if let Some(oldest) = oldest_ms {
        told.push_str(&format!(", the oldest for {:?}", Duration::from_secs(oldest.div_ceil(1000))));
    }
    told
}

/// Why something does not go on, when it does by itself, and what to do.
fn reason(why: Option<&str>, again_ms: Option<u64>, hint: Option<&str>) -> Vec<[String; 4]> {
    let row = |text: String| [String::new(), String::new(), String::new(), text];
    let mut rows = Vec::new();
    if let Some(why) = why {
        let again = again_ms.map(|ms| format!(" (again in {:?})", Duration::from_secs(ms.div_ceil(1000)))).unwrap_or_default();
        rows.push(row(format!("{why}{again}")));
    }
    rows.extend(hint.map(|hint| row(format!("hint: {hint}"))));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_pipeline_or_a_destination_of_it() {
        let read = |text: &str| text.parse::<Target>().map(|target| (target.pipeline, target.destination));
        assert_eq!(read("shop"), Ok(("shop".into(), None)));
        assert_eq!(read("shop/crm"), Ok(("shop".into(), Some("crm".into()))));
        for wrong in ["", "/", "shop/", "/crm", "a/b/c"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_status_is_a_table_in_which_nothing_rewrites_the_terminal() {
        let destination = DestinationStatus {
            id: "crm".into(),
            connector: "crm 1.0".into(),
            state: "paused".into(),
            why: Some("unauthorized: \u{1b}[2J".into()),
            since: Some("2026-01-31T12:00:00.000Z".into()),
            again_ms: Some(299_001),
            delivered: 1000,
            filtered: 0,
            dead_lettered: 2,
            pending: 5,
            unknown: 0,
            retries: 0,
            follow_ups: 0,
            next: None,
            oldest_ms: Some(61_000),
        };
        let pipeline = PipelineStatus {
            id: "shop".into(),
            state: "running".into(),
            since: "2026-01-31T11:00:00.000Z".into(),
            why: None,
            hint: None,
            again_ms: None,
            restarts: 0,
            read: 1007,
            carried: 0,
            destinations: vec![destination],
        };
        let since = "2026-01-31T11:00:00.000Z".into();
        let status = HostStatus { version: "0.1.0".into(), process: 7, since, pipelines: vec![pipeline] };
        let shown = "wharf 0.1.0, process 7, since 2026-01-31T11:00:00.000Z\n\
            shop   running  2026-01-31T11:00:00.000Z  1,007 read\n  \
              crm  paused   2026-01-31T12:00:00.000Z  1,000 delivered, 5 pending, 2 dead letters, the oldest for 61s (crm 1.0)\n                                          \
              unauthorized: \\u{1b}[2J (again in 300s)\n";
        assert_eq!(text(&status), shown);
    }
}
