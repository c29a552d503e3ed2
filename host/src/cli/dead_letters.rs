//! `wharf dead-letters`.

use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Output, SETTLED, loader,
    logging::Logging,
    numbers::grouped,
    operate::{Desk, On, astray},
    refusal::Refusal,
    report,
    run::{Signals, to_the_end},
    stdout,
};
use crate::{
    clock::Clock,
    config::{self, Interval, nearest},
    operate::{Answer, LetterPage, Request},
    plan::plan,
    runtime::{self, Replaying, StartError},
    sandbox::output::printable,
    store::{DataDirError, LetterDocument, LetterFilter, Payload, letters},
};

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists them, oldest first.
    List {
        #[command(flatten)]
        which: Which,
        /// Those with a larger number than this.
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: i64,
        /// At most so many.
        #[arg(long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        #[command(flatten)]
        on: On,
    },
    /// Shows one, with its record.
    Show {
        /// Its number, as `list` shows it.
        id: i64,
        #[command(flatten)]
        on: On,
    },
    /// Sends them again, each from where it was given up and to the destination that it names, and removes what is delivered.
    ///
    /// What fails again is kept, with its new reason. Exit codes: 0 all was settled; 1 stopped by an error, or ended with some
    /// pending; 3 some failed again, or were left.
    Replay {
        /// The pipeline file.
        #[arg(value_name = "PIPELINE")]
        file: PathBuf,
        #[command(flatten)]
        which: Which,
        /// The folder for what must outlive the process, in place of `data-dir:` in the file.
        #[arg(long, value_name = "FOLDER")]
        data_dir: Option<PathBuf>,
        /// What to print on standard output at the end.
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Removes them for good.
    Purge {
        #[command(flatten)]
        which: Which,
        /// All of them.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        on: On,
    },
}

/// Which dead letters.
#[derive(Clone, Debug, Default, Args)]
pub struct Which {
    /// Those of this pipeline.
    #[arg(long, value_name = "ID")]
    pipeline: Option<String>,
    /// Those of this destination.
    #[arg(long, value_name = "ID")]
    destination: Option<String>,
    /// Those of this kind: rejected, too-large, limit, trapped, transient, uncertain, unknown, breach, missed, abandoned, unreadable.
    #[arg(long, value_parser = kind)]
    kind: Option<String>,
    /// Those given up at this time or later: `2026-01-31T12:00:00Z`, or so long ago, such as `2h`.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<String>,
    /// Those given up before this time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    before: Option<String>,
    /// The one with this number.
    #[arg(long, value_name = "ID")]
    id: Option<i64>,
}

impl From<Which> for LetterFilter {
    fn from(which: Which) -> Self {
        let Which { pipeline, destination, kind, since, before, id } = which;
        Self { pipeline, destination, kind, since, before, id }
    }
}

impl Command {
    /// For whom to print.
    pub fn output(&self) -> Output {
        match self {
            Self::List { on, .. } | Self::Show { on, .. } | Self::Purge { on, .. } => on.output,
            Self::Replay { output, .. } => *output,
        }
    }

    /// Does it.
    pub async fn run(self, logging: &Logging) -> Result<u8, Refusal> {
        match self {
            Self::Replay { file, which, data_dir, output } => replay(&file, which.into(), data_dir, output, logging).await,
            Self::List { which, after, limit, on } => {
                list(&Desk::open(&on.data_dir).await?, which.into(), after, limit, on.output).await
            }
            Self::Show { id, on } => {
                let Answer::DeadLetter(letter) = Desk::open(&on.data_dir).await?.ask(Request::ShowDeadLetter { id }).await?
                else {
                    return Err(astray());
                };
                match on.output {
                    Output::Json => stdout::document(&json!(letter)),
                    Output::Text => stdout::text(&whole(&letter)),
                }
                Ok(SETTLED)
            }
            Self::Purge { which, all, on } => {
                let filter = LetterFilter::from(which);
                if all == (filter != LetterFilter::default()) {
                    let what = if all { "`--all` and some of them" } else { "which dead letters are to be removed is not said" };
                    let hint = "give --pipeline, --destination, --kind, --since, --before or --id, or else --all";
                    return Err(Refusal::with_hint(what.into(), Some(hint.into())));
                }
                let Answer::Removed(removed) = Desk::open(&on.data_dir).await?.ask(Request::PurgeDeadLetters { filter }).await?
                else {
                    return Err(astray());
                };
                match on.output {
                    Output::Json => stdout::document(&json!({"removed": removed})),
                    Output::Text => stdout::text(&format!("{} removed\n", counted(removed))),
                }
                Ok(SETTLED)
            }
        }
    }
}

/// Sends dead letters again.
async fn replay(
    pipeline: &Path,
    filter: LetterFilter,
    data_dir: Option<PathBuf>,
    output: Output,
    logging: &Logging,
) -> Result<u8, Refusal> {
    let clock = Clock::system();
    let run = runtime::run_id(&clock);
    let mut file = config::load(pipeline, &config::OwnEnvironment)?;
    known(&filter, &file)?;
    let loader = loader(&clock, file.process)?;
    if data_dir.is_some() {
        file.data_dir = data_dir;
    }
    let plan = plan(file, &loader, &run).await?;
    let signals = Signals::listen()?;
    let Replaying { running, left } = runtime::replay(plan, clock.clone(), &run, &filter).await.map_err(|error| {
        let hint = match &error {
            StartError::DataDir(DataDirError::InUse { .. }) => {
                "stop it first: dead letters are sent again by a host of their own, which needs the data directory to itself"
                    .to_owned()
            }
            error => error.hint(),
        };
        Refusal::with_hint(error.to_string(), Some(hint)).at(error.place())
    })?;
    let store = running.store();
    let (reports, asked) = to_the_end(running, signals, logging, clock).await?;
    Ok(report::replayed(&reports, &left, &store, asked, output))
}

/// Whether the pipeline and the destination that are asked for are in the file.
fn known(filter: &LetterFilter, file: &config::File) -> Result<(), Refusal> {
    let is_known = |noun: &str, id: &str, ids: Vec<&str>| {
        if ids.contains(&id) {
            return Ok(());
        }
        let near = nearest(id, ids.iter().copied());
        let hint = near.map_or_else(|| format!("there are {}", ids.join(", ")), |near| format!("did you mean `{near}`?"));
        Err(Refusal::with_hint(format!("there is no {noun} {id} in the pipeline file"), Some(hint)))
    };
    if let Some(pipeline) = &filter.pipeline {
        is_known("pipeline", pipeline, file.pipelines.iter().map(|pipeline| pipeline.id.as_str()).collect())?;
    }
    // Those that were given up for all destinations are asked for by an empty name.
    if let Some(destination) = filter.destination.as_ref().filter(|destination| !destination.is_empty()) {
        let meant = |id: &str| filter.pipeline.as_deref().is_none_or(|pipeline| pipeline == id);
        let pipelines = file.pipelines.iter().filter(|pipeline| meant(pipeline.id.as_str()));
        let ids = pipelines.flat_map(|pipeline| pipeline.destinations.iter().map(|destination| destination.id.as_str()));
        is_known("destination", destination, ids.collect())?;
    }
    Ok(())
}

/// Asks for piece after piece, each of bounded memory, and prints it; as JSON it is one document, and held until its end.
async fn list(desk: &Desk, filter: LetterFilter, mut after: i64, limit: u32, output: Output) -> Result<u8, Refusal> {
    let (mut left, mut document) = (limit, json!({"dead_letters": [], "count": 0, "next": null}));
    loop {
        let request = Request::ListDeadLetters { filter: filter.clone(), after, most: left.min(1000) };
        let Answer::DeadLetters(LetterPage { letters, count, next }) = desk.ask(request).await? else {
            return Err(astray());
        };
        left -= letters.len().min(left as usize) as u32;
        let goes_on = left > 0 && next.is_some();
        match output {
            Output::Text => {
                stdout::text(&table(&letters));
                match next {
                    _ if goes_on => {}
                    Some(next) => stdout::text(&format!("… of {}; go on with --after {next}\n", counted(count))),
                    None => stdout::text(&format!("{}\n", counted(count))),
                }
            }
            Output::Json => {
                if let Some(list) = document["dead_letters"].as_array_mut() {
                    list.extend(letters.iter().map(|letter| json!(letter)));
                }
                document["count"] = count.into();
                document["next"] = next.into();
            }
        }
        match next {
            Some(next) if goes_on => after = next,
            _ => break,
        }
    }
    if output == Output::Json {
        stdout::document(&document);
    }
    Ok(SETTLED)
}

/// A kind that a dead letter can be of.
fn kind(text: &str) -> Result<String, String> {
    if letters::KINDS.contains(&text) {
        return Ok(text.to_owned());
    }
    let near = nearest(text, letters::KINDS.iter().copied());
    Err(near.map_or_else(|| format!("there are {}", letters::KINDS.join(", ")), |near| format!("did you mean `{near}`?")))
}

/// A time, or how long ago it was, as it stands in the store.
fn moment(text: &str) -> Result<String, String> {
    if let Ok(ago) = text.parse::<Interval>() {
        return Clock::system().rfc3339_before(ago.duration()).ok_or_else(|| "that is before 1970".to_owned());
    }
    let time = DateTime::parse_from_rfc3339(text)
        .map_err(|_| "neither a time such as 2026-01-31T12:00:00Z nor a duration such as 2h")?;
    Ok(time.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn counted(letters: u64) -> String {
    format!("{} dead {}", grouped(letters), if letters == 1 { "letter" } else { "letters" })
}

/// Characters of a reason that are shown in a line.
const SHOWN: usize = 100;

/// A line for each, in columns.
fn table(letters: &[LetterDocument]) -> String {
    let line = |text: &str| printable(text, false).into_owned();
    let rows = letters.iter().map(|letter| {
        let reason = line(&letter.message);
        let reason = match reason.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("{}…", &reason[..end]),
            None => reason,
        };
        let place = match letter.ordinal {
            0 => format!("{}:{}", letter.label, letter.sequence),
            ordinal => format!("{}:{}.{ordinal}", letter.label, letter.sequence),
        };
        let id = letter.id.map(|id| id.to_string()).unwrap_or_default();
        let destination = match (letter.destination.as_deref(), letter.action.as_deref()) {
            (Some(destination), Some(action)) => format!("{destination}/{action}"),
            (destination, _) => destination.unwrap_or("-").to_owned(),
        };
        [id, letter.at.clone(), line(&letter.pipeline), line(&destination), line(&letter.kind), line(&place), reason]
    });
    let head = ["id", "given up", "pipeline", "destination", "kind", "from", "reason"].map(str::to_owned);
    let rows: Vec<_> = (!letters.is_empty()).then_some(head).into_iter().chain(rows).collect();
    columns(&rows)
}

/// Cells under each other.
pub fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut cells = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            cells.push_str(cell);
            cells.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.push_str(cells.trim_end());
        text.push('\n');
    }
    text
}

/// All that is known of one.
fn whole(letter: &LetterDocument) -> String {
    let payload = |payload: &Option<Payload>| match payload {
        None => "(absent)".to_owned(),
        Some(Payload::Text(text)) => text.clone(),
        Some(Payload::Binary { base64 }) => format!("(base64) {base64}"),
    };
    let optional = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let operation = letter.operation.clone().unwrap_or_else(|| "(not kept by the version of wharf that gave it up)".into());
    let typed = |name: &str, value: &Option<Payload>| match letter.content_types.get(name) {
        Some(content_type) if value.is_some() => format!("{}  ({content_type})", payload(value)),
        _ => payload(value),
    };
    let mut lines = vec![
        ("id", letter.id.map(|id| id.to_string()).unwrap_or_default()),
        ("given up", letter.at.clone()),
        ("pipeline", letter.pipeline.clone()),
        ("destination", optional(&letter.destination)),
        ("processor", optional(&letter.processor)),
        ("action", optional(&letter.action)),
        ("connector", optional(&letter.connector)),
        ("from", format!("{}:{}", letter.label, letter.sequence)),
        ("partition", letter.partition.clone()),
        ("ordinal", letter.ordinal.to_string()),
        ("attempts", letter.attempts.to_string()),
        ("kind", letter.kind.clone()),
        ("code", optional(&letter.code)),
        ("reason", letter.message.clone()),
        ("operation", operation),
        ("key", typed("key", &letter.key)),
        ("before", typed("before", &letter.before)),
        ("record", typed("record", &letter.record)),
    ];
    for (name, value) in &letter.metadata {
        let value = match value {
            Payload::Text(text) => format!("{name}: {text}"),
            Payload::Binary { base64 } => format!("{name}: (base64) {base64}"),
        };
        lines.push(("metadata", value));
    }
    lines.iter().map(|(name, text)| format!("{name:<12} {}\n", printable(text, false))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_cannot_rewrite_the_terminal_and_keeps_its_columns() {
        let letter = |id, message: &str| LetterDocument {
            id: Some(id),
            at: "2026-01-01T00:00:00.000Z".into(),
            pipeline: "p".into(),
            destination: None,
            label: "a\u{1b}[2J".into(),
            partition: "q".into(),
            sequence: 7,
            ordinal: 0,
            kind: "unreadable".into(),
            code: None,
            message: message.into(),
            connector: None,
            attempts: 0,
            processor: None,
            action: None,
            operation: None,
            before: None,
            metadata: Default::default(),
            content_types: Default::default(),
            key: None,
            record: Some(Payload::Text("\u{7}".into())),
        };
        let long = "é".repeat(101);
        let shown = table(&[letter(9, "one\ntwo"), letter(10, &long)]);
        let expected = format!(
            "id  given up                  pipeline  destination  kind        from          reason\n\
             9   2026-01-01T00:00:00.000Z  p         -            unreadable  a\\u{{1b}}[2J:7  one\\u{{a}}two\n\
             10  2026-01-01T00:00:00.000Z  p         -            unreadable  a\\u{{1b}}[2J:7  {}…\n",
            "é".repeat(100)
        );
        assert_eq!(shown, expected);
        assert_eq!(table(&[]), "");
        assert!(whole(&letter(9, "m")).contains("record       \\u{7}\n"));
    }

    #[test]
    fn a_moment_is_a_time_or_an_age() {
        assert_eq!(moment("2026-01-31T12:00:00+02:00").as_deref(), Ok("2026-01-31T10:00:00.000Z"));
        let (ago, now) = (moment("1h").unwrap(), Clock::system().rfc3339());
        assert!(ago < now && ago.ends_with('Z'), "{ago} {now}");
        assert!(moment("yesterday").is_err() && moment("400000d").is_err());
    }
}
