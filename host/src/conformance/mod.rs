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

mod capture;
mod case;
mod cases;
mod error;
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

use std::{path::Path, time::Duration};

pub use self::{
    case::{About, Came, Case, Level},
    error::ConformError,
    page::html,
    report::{Outcome, Report, json, junit, line, summary},
};

use self::rig::Rig;
use crate::{
    clock::VirtualClock,
    config::nearest,
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
    cases().find(|case| case.id == id).ok_or_else(|| none(id, None))
}

/// Tries a component.
///
/// `only` is the id of one case; `tell` is told of each outcome as it comes.
///
/// # Errors
/// Where no case could be run: the component cannot be loaded, or the suite file is wrong; and where a command of the suite file fails, since nothing that
/// comes after that would be worth anything.
pub async fn conform(
    component: &Path,
    suite: Option<&Path>,
    only: Option<&str>,
    loader: &Loader,
    tell: &mut (dyn FnMut(&Outcome) + Send),
) -> Result<Report, ConformError> {
    if let Some(id) = only {
        case(id)?;
    }
    let rig = Rig::start(component, suite, loader).await?;
    for skip in &rig.suite.skip {
        cases().find(|case| *case.id == *skip.case.value).ok_or_else(|| none(&skip.case, Some(&skip.case.place)))?;
    }
    let mut report = Report { component: component.display().to_string(), title: rig.title(), outcomes: Vec::new() };
    for case in cases().filter(|case| only.is_none_or(|only| only == case.id)) {
        let skip = rig.suite.skip.iter().find(|skip| *skip.case.value == *case.id);
        let lacking = case.about.lacking(&rig.outline);
        let began = std::time::Instant::now();
        let came = match (lacking, skip) {
            // What a component does not say to be, it is not held to; that is worth no line.
            (Some(_), _) if only.is_none() => continue,
            (Some(why), _) => Came::Skipped { why },
            (None, Some(skip)) => Came::Skipped { why: format!("the suite says: {}", skip.reason) },
            (None, None) => Came::of((case.run)(&rig).await)?,
        };
        let outcome = Outcome { case, came, took: began.elapsed() };
        tell(&outcome);
        report.outcomes.push(outcome);
    }
    Ok(report)
}

fn none(id: &str, place: Option<&crate::config::Place>) -> ConformError {
    let hint = match nearest(id, cases().map(|case| case.id)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "`wharf conform --list` has them all".into(),
    };
    ConformError::NoCase { id: id.into(), hint, place: place.cloned() }
}

/// Tries a component in a test of its own, and panics with the report where a case failed. Compiled code is kept where the program keeps it,
/// and clocks stand still.
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
    let time = VirtualClock::new();
    let loader = Loader::new(engine, time.clock()).map_err(|error| error.to_string())?;
    let told = |error: ConformError| match error.hint() {
        Some(hint) => format!("error: {error}\nhint: {hint}"),
        None => format!("error: {error}"),
    };
    // Whoever waits for an upload waits no longer than it takes to be seen.
    let passing = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            time.advance_to_next();
        }
    };
    let report = runtime.block_on(async {
        let mut quiet = |_: &Outcome| ();
        tokio::select! {
            report = conform(component, Some(suite), None, &loader, &mut quiet) => report.map_err(told),
            never = passing => never,
        }
    });
    runtime.shutdown_background();
    report
}

#[cfg(test)]
mod tests;
