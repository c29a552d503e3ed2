//! `wharf conform`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Output, REFUSED, SETTLED, STOPPED, loader, refusal::Refusal, stdout};
use crate::{
    clock::Clock,
    config::Process,
    conformance::{self, ConformError, Mistake, Outcome, Report},
    sandbox::{columns::wrapped, output::printable},
};

/// What to try, and how to tell of it.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The component.
    #[arg(required_unless_present = "list")]
    component: Option<PathBuf>,
    /// The suite file: settings, grants, how to read back, and how to make each fault.
    #[arg(long, value_name = "FILE")]
    suite: Option<PathBuf>,
    /// Lists all cases; no component is needed.
    #[arg(long)]
    list: bool,
    /// Runs this case alone, such as `W-DEST-001`; several where it is given more than once, or with commas between.
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    only: Vec<String>,
    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t)]
    output: Told,
}

/// What to print of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Told {
    /// For a person, as it goes.
    #[default]
    Text,
    /// For a program: one JSON document.
    Json,
    /// For a CI server: JUnit XML.
    Junit,
    /// For a browser: a page of its own.
    Html,
}

impl Options {
    /// For whom a refusal is printed.
    pub(super) fn output(&self) -> Output {
        if self.output == Told::Json { Output::Json } else { Output::Text }
    }
}

/// Tries a component, case by case.
pub(super) async fn conform(options: Options) -> Result<u8, Refusal> {
    let Options { component, suite, list, only, output } = options;
    let only: Vec<&str> = only.iter().map(String::as_str).collect();
    let Some(component) = component.filter(|_| !list) else {
        return listed(&only, output);
    };
    let loader = loader(&Clock::system(), Process::default())?;
    let mut tell = |outcome: &Outcome| {
        if output == Told::Text {
            stdout::text(&conformance::line(outcome));
        }
    };
    match conformance::conform(&component, suite.as_deref(), &only, &loader, &mut tell).await {
        Ok(ran) => {
            print(&ran, output, None);
            Ok(match (ran.failed(), ran.passed()) {
                // What was not tried is no pass.
                (0, 0) => REFUSED,
                (0, _) => SETTLED,
                _ => STOPPED,
            })
        }
        Err(error) => {
            let refusal = refused(&error);
            let ConformError::Stopped { report, .. } = error else { return Err(refusal) };
            // Once on standard output, whatever is printed there.
            print(&report, output, refusal.document());
            Ok(refusal.print(Output::Text))
        }
    }
}

/// Prints what came of a run, and for a program why it ended early.
fn print(ran: &Report, output: Told, error: Option<Value>) {
    match output {
        Told::Text => stdout::text(&format!("\n{}", conformance::summary(ran))),
        Told::Json => {
            let mut document = conformance::json(ran);
            if let Some(error) = error {
                document["error"] = error;
            }
            stdout::document(&document);
        }
        Told::Junit => stdout::text(&conformance::junit(ran)),
        Told::Html => stdout::text(&conformance::html(ran)),
    }
}

fn refused(error: &ConformError) -> Refusal {
    let told = |Mistake { what, hint, place }| Refusal::with_hint(printable(&what, true).into_owned(), hint).at(place.as_ref());
    Refusal::all(error.mistakes().into_iter().map(told))
}

/// Lists all cases, or some.
fn listed(only: &[&str], output: Told) -> Result<u8, Refusal> {
    if matches!(output, Told::Junit | Told::Html) {
        let hint = "leave `--list` out for the report of a component, or use `--output text` or `--output json`";
        return Err(Refusal::with_hint("a list is neither JUnit XML nor a page".into(), Some(hint.into())));
    }
    let unknown: Vec<Refusal> = only.iter().filter_map(|id| conformance::case(id).err()).map(|error| refused(&error)).collect();
    if !unknown.is_empty() {
        return Err(Refusal::all(unknown));
    }
    let cases = conformance::cases().filter(|case| only.is_empty() || only.contains(&case.id));
    if output == Told::Json {
        let cases = cases.map(|case| {
            let (id, clause, level, title) = (case.id, case.clause, case.level.name(), case.title);
            json!({"id": id, "clause": clause, "level": level, "title": title, "mend": case.mend})
        });
        stdout::document(&cases.collect());
    } else {
        cases.for_each(|case| {
            stdout::text(&wrapped(&format!("{}  {:<6}  ", case.id, case.level.name()), case.title));
        });
    }
    Ok(SETTLED)
}
