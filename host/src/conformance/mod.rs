//! What a connector must do, case by case: the contract of `docs/contract.md`, tried on a component.
//!
//! A component is loaded once. Each [`Case`] opens sessions of its own, in instances of their own, with what a suite file gives ([`Suite`]):
//! settings, grants, how to read back what was delivered, and how to make each fault of the far side. Connections are cut, and slowed
//! down, by a proxy that the suite's addresses lead through. What could not be exercised is skipped and says why; it never passes.
//!
//! A connector's own test is a line:
//!
//! ```no_run
//! wharf::conformance::assert("target/wasm32-wasip2/release/my_connector.wasm", "conform.yaml");
//! ```
//!
//! [`Suite`]: crate::config::Suite

mod absent;
mod capture;
mod case;
mod cases;
mod error;
mod given;
mod life;
mod page;
mod proxy;
mod read;
mod report;
mod rig;
mod schema;
mod telling;
mod tokens;
mod trouble;
mod uploading;

use std::path::Path;

pub use self::{
    case::{About, Came, Case, Level},
    error::{ConformError, Mistake},
    page::html,
    report::{Outcome, Report, json, junit, line, summary},
};

use self::rig::Rig;
use crate::{
    clock::Clock,
    config::{Place, nearest},
    connector::Loader,
    sandbox::{Engine, cache::Cache},
};

/// All cases, in the order in which they are tried.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    cases::ALL.iter().copied().flatten()
}

/// The case of an id.
///
/// # Errors
/// Where there is none: the nearest one is named.
pub fn case(id: &str) -> Result<&'static Case, ConformError> {
    cases().find(|case| case.id == id).ok_or_else(|| none(id).into())
}

/// Tries a component.
///
/// `only` are the ids of the cases that are tried; all where it is empty. `tell` is told of each outcome as it comes.
///
/// # Errors
/// Where no case could be run: the component cannot be loaded, or the suite file is wrong, or its far side is not there; and where a command of the suite
/// file fails or its far side goes away ([`ConformError::Stopped`], with what came before), since nothing that comes after that would be worth anything.
pub async fn conform(
    component: &Path,
    suite: Option<&Path>,
    only: &[&str],
    loader: &Loader,
    tell: &mut (dyn FnMut(&Outcome) + Send),
) -> Result<Report, ConformError> {
    let unknown: Vec<Mistake> = only.iter().filter_map(|id| mistaken(id, None)).collect();
    if !unknown.is_empty() {
        return Err(ConformError::Mistakes(unknown));
    }
    let rig = Rig::start(component, suite, loader).await?;
    let absent = absent::none(&rig).await?;
    let mut report = Report { component: component.display().to_string(), title: rig.title(), outcomes: Vec::new() };
    for case in cases().filter(|case| only.is_empty() || only.contains(&case.id)) {
        let skip = rig.suite.skip.iter().find(|skip| *skip.case.value == *case.id);
        let lacking = case.about.lacking(&rig.outline);
        let began = std::time::Instant::now();
        let came = match (lacking, skip) {
            // What a component does not say to be, it is not held to; that is worth no line.
            (Some(_), _) if only.is_empty() => continue,
            (Some(why), _) => Ok(Came::Skipped { why }),
            (None, Some(skip)) => Ok(Came::Skipped { why: format!("the suite says: {}", skip.reason) }),
            (None, None) => match Came::of((case.run)(&rig).await) {
                // What a component makes of a far side that went away by itself is no fault of it.
                Ok(failed @ Came::Failed { .. }) => absent::still(&rig, &absent).await.map(|()| failed),
                came => came,
            },
        };
        let (came, cause) = match came {
            Ok(came) => (came, None),
            Err(cause) => (stopped(&cause), Some(Box::new(cause))),
        };
        let outcome = Outcome { case, came, took: began.elapsed() };
        tell(&outcome);
        report.outcomes.push(outcome);
        if let Some(cause) = cause {
            return Err(ConformError::Stopped { report: Box::new(report), cause });
        }
    }
    Ok(report)
}

/// What is told of the case that could not be run.
fn stopped(cause: &ConformError) -> Came {
    let mistakes = cause.mistakes();
    let why = mistakes.iter().map(|mistake| mistake.what.as_str()).collect::<Vec<_>>().join("; ");
    let (hint, place) = mistakes.into_iter().next().map_or((None, None), |Mistake { hint, place, .. }| (hint, place));
    Came::Stopped { why, hint, place }
}

/// What is wrong with an id, where there is no case of it.
fn mistaken(id: &str, place: Option<&Place>) -> Option<Mistake> {
    cases().all(|case| case.id != id).then(|| none(id).at(place))
}

fn none(id: &str) -> Mistake {
    let hint = match nearest(id, cases().map(|case| case.id)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`wharf conform --list` has them all".into(),
    };
    Mistake::new(format!("there is no case `{id}`")).with_hint(hint)
}

/// Tries a component in a test of its own, and panics with the report where a case failed. Compiled code is kept where the program keeps it.
///
/// # Panics
/// Where a case failed, or none could be run.
#[allow(clippy::panic, reason = "it is how a test fails")]
pub fn assert(component: impl AsRef<Path>, suite: impl AsRef<Path>) {
    match tried(component.as_ref(), suite.as_ref()) {
        Ok(report) if report.failed() == 0 => {}
        Ok(report) => {
            let failed: String =
                report.outcomes.iter().filter(|outcome| matches!(outcome.came, Came::Failed { .. })).map(line).collect();
            panic!("{failed}{}", summary(&report))
        }
        Err(why) => panic!("{why}"),
    }
}

fn tried(component: &Path, suite: &Path) -> Result<Report, String> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
    let cache = Cache::usual_folder(crate::config::environment).and_then(|folder| Cache::open(&folder).ok());
    let engine = Engine::new(cache).map_err(|error| error.to_string())?;
    let loader = Loader::new(engine, Clock::system()).map_err(|error| error.to_string())?;
    let told = |error: ConformError| error.mistakes().iter().map(told).collect::<Vec<_>>().join("\n");
    let report = runtime.block_on(conform(component, Some(suite), &[], &loader, &mut |_| ())).map_err(told);
    runtime.shutdown_background();
    report
}

fn told(Mistake { what, hint, place }: &Mistake) -> String {
    let place = place.as_ref().map(|place| format!("\n  at {place}")).unwrap_or_default();
    let hint = hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("error: {what}{place}{hint}")
}

#[cfg(test)]
mod tests;
