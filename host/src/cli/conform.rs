//! `wharf conform`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    Output, REFUSED, SETTLED, STOPPED, loader,
    report::{self, Refusal},
};
use crate::{
    clock::Clock,
    config::Process,
    conformance::{self, ConformError, Outcome},
    plan::PlanError,
    sandbox::output::printable,
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
    /// Runs one case, such as `W-DEST-001`.
    #[arg(long, value_name = "ID")]
    only: Option<String>,
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
    let Some(component) = component.filter(|_| !list) else {
        return listed(only.as_deref(), output);
    };
    let loader = loader(&Clock::system(), Process::default())?;
    let mut tell = |outcome: &Outcome| {
        if output == Told::Text {
            report::print_text(&conformance::line(outcome));
        }
    };
    let ran = conformance::conform(&component, suite.as_deref(), only.as_deref(), &loader, &mut tell).await.map_err(refused)?;
    match output {
        Told::Text => report::print_text(&format!("\n{}", conformance::summary(&ran))),
        Told::Json => report::print(&conformance::json(&ran)),
        Told::Junit => report::print_text(&conformance::junit(&ran)),
        Told::Html => report::print_text(&conformance::html(&ran)),
    }
    Ok(match (ran.failed(), ran.passed()) {
        // What was not tried is no pass.
        (0, 0) => REFUSED,
        (0, _) => SETTLED,
        _ => STOPPED,
    })
}

fn refused(error: ConformError) -> Refusal {
    match error {
        ConformError::Suite(error) => Refusal::from(vec![PlanError::from(error)]),
        error => Refusal::with_hint(printable(&error.to_string(), true).into_owned(), error.hint()).at(error.place()),
    }
}

/// Lists all cases, or one.
fn listed(only: Option<&str>, output: Told) -> Result<u8, Refusal> {
    if matches!(output, Told::Junit | Told::Html) {
        let hint = "leave `--list` out for the report of a component, or use `--output text` or `--output json`";
        return Err(Refusal::with_hint("a list is neither JUnit XML nor a page".into(), Some(hint.into())));
    }
    let one = only.map(conformance::case).transpose().map_err(refused)?;
    let cases = conformance::cases().filter(|case| one.is_none_or(|one| one.id == case.id));
    if output == Told::Json {
        let cases = cases.map(|case| {
            let (id, clause, level, title) = (case.id, case.clause, case.level.name(), case.title);
            serde_json::json!({"id": id, "clause": clause, "level": level, "title": title, "mend": case.mend})
        });
        report::print(&cases.collect());
    } else {
        cases.for_each(|case| report::print_text(&format!("{}  {:<6}  {}\n", case.id, case.level.name(), case.title)));
    }
    Ok(SETTLED)
}
