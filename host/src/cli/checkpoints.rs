//! `wharf checkpoints`.

use clap::Subcommand;
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
    config::Id,
    operate::{Answer, PipelineDocument, Request},
    sandbox::output::printable,
};

/// What to do with checkpoints.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows how far pipelines got.
    Show {
        /// Only this pipeline.
        pipeline: Option<String>,
        #[command(flatten)]
        on: On,
    },
    /// Forgets how far a pipeline got: its next run reads from the beginning.
    Reset {
        /// The pipeline.
        pipeline: String,
        /// Only this partition, such as a file's path as `show` has it.
        #[arg(long)]
        partition: Option<String>,
        #[command(flatten)]
        on: On,
    },
    /// Has a destination that is not in the pipeline file any more miss what it may be owed.
    Discard {
        /// The pipeline.
        pipeline: String,
        /// The destination.
        destination: String,
        #[command(flatten)]
        on: On,
    },
    /// Gives what a destination may be owed to the one that it has become: the same by another name.
    ///
    /// What it remembers by its old name, in its state or at the far side, stays there, so that what was delivered and not settled may come twice.
    Move {
        /// The pipeline.
        pipeline: String,
        /// The destination's name before.
        destination: String,
        /// Its name now.
        to: Id,
        #[command(flatten)]
        on: On,
    },
}

impl Command {
    /// For whom to print.
    pub fn output(&self) -> Output {
        match self {
            Self::Show { on, .. } | Self::Reset { on, .. } | Self::Discard { on, .. } | Self::Move { on, .. } => on.output,
        }
    }

    /// Does it.
    pub async fn run(self) -> Result<u8, Refusal> {
        match self {
            Self::Show { pipeline, on } => {
                let request = Request::ShowCheckpoints { pipeline };
                let Answer::Checkpoints(pipelines) = Desk::open(&on.data_dir).await?.ask(request).await? else {
                    return Err(astray());
                };
                match on.output {
                    Output::Json => stdout::document(&json!({"pipelines": pipelines})),
                    Output::Text => stdout::text(&text(&pipelines)),
                }
            }
            Self::Reset { pipeline, partition, on } => {
                let request = Request::ResetCheckpoints { pipeline: pipeline.clone(), partition };
                let Answer::Removed(removed) = Desk::open(&on.data_dir).await?.ask(request).await? else {
                    return Err(astray());
                };
                match on.output {
                    Output::Json => stdout::document(&json!({"removed": removed})),
                    Output::Text => {
                        let checkpoints = if removed == 1 { "checkpoint" } else { "checkpoints" };
                        stdout::text(&format!("{pipeline}: {} {checkpoints} removed\n", grouped(removed)));
                    }
                }
            }
            Self::Discard { pipeline, destination, on } => {
                let told = format!("{pipeline}: {destination} is owed nothing any more\n");
                settle(Request::DiscardDestination { pipeline, destination }, &told, &on).await?;
            }
            Self::Move { pipeline, destination, to, on } => {
                let told = format!(
                    "{pipeline}: what {destination} may be owed is {to}'s\n  note: what {destination} remembers by its name, in its state or at the far side, stays there: \
                     what was delivered and not settled may come twice\n"
                );
                settle(Request::MoveDestination { pipeline, destination, to: to.to_string() }, &told, &on).await?;
            }
        }
        Ok(SETTLED)
    }
}

/// Asks for something that is done once, and tells that it is.
async fn settle(request: Request, told: &str, on: &On) -> Result<(), Refusal> {
    let Answer::Removed(removed) = Desk::open(&on.data_dir).await?.ask(request).await? else {
        return Err(astray());
    };
    match on.output {
        Output::Json => stdout::document(&json!({"removed": removed})),
        Output::Text => stdout::text(told),
    }
    Ok(())
}

fn text(pipelines: &[PipelineDocument]) -> String {
    let line = |text: &str| printable(text, false).into_owned();
    let mut text = String::new();
    for PipelineDocument { id, source, checkpoints, .. } in pipelines {
        let source = source.as_ref().map(|source| format!(": {} {}", source.kind, source.reads)).unwrap_or_default();
        text.push_str(&line(format!("{id}{source}").trim_end()));
        text.push('\n');
        let rows: Vec<_> = checkpoints
            .iter()
            .map(|at| {
                let label = if at.label.is_empty() { &at.partition } else { &at.label };
                let read = format!("read to {}", at.read_to);
                [format!("  {}", line(label)), format!("settled to {}", at.next), read, line(&at.partition)]
            })
            .collect();
        text.push_str(&columns(&rows));
    }
    if text.is_empty() {
        text.push_str("no checkpoints\n");
    }
    text
}
