//! What came of a run, for a terminal, a program, a CI server and a browser.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use super::{
    case::{Came, Case},
    rig::Rig,
};
use crate::sandbox::{
    columns::{hung, wrapped},
    output::printable,
};

/// What came of one case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which.
    pub case: &'static Case,
    /// What came of it.
    pub came: Came,
    /// How long it took.
    pub took: Duration,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The component's file.
    pub component: String,
    /// Name and version, as far as it says.
    pub title: String,
    /// In the order in which cases were tried.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// How many cases passed.
    pub fn passed(&self) -> usize {
        self.count(|came| matches!(came, Came::Passed { .. }))
    }

    /// How many cases failed.
    pub fn failed(&self) -> usize {
        self.count(|came| matches!(came, Came::Failed { .. }))
    }

    /// How many cases were not run, or could not be exercised.
    pub fn skipped(&self) -> usize {
        self.count(|came| matches!(came, Came::Skipped { .. }))
    }

    /// The case that could not be run, where that ended the run.
    pub fn stopped(&self) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| matches!(outcome.came, Came::Stopped { .. }))
    }

    fn count(&self, is: impl Fn(&Came) -> bool) -> usize {
        self.outcomes.iter().filter(|outcome| is(&outcome.came)).count()
    }
}

impl Rig {
    /// Name and version, as far as the component says.
    pub(super) fn title(&self) -> String {
        let said = |pointer| self.document.as_ref().and_then(|document| document.pointer(pointer)).and_then(Value::as_str);
        let words = [said("/about/name"), said("/about/version")];
        printable(&words.into_iter().flatten().collect::<Vec<_>>().join(" "), false).into_owned()
    }
}

/// An outcome as lines of a terminal, of 80 columns.
pub fn line(outcome: &Outcome) -> String {
    let Outcome { case, came, .. } = outcome;
    let word = match came {
        Came::Passed { .. } => "ok",
        Came::Failed { .. } => "FAILED",
        Came::Skipped { .. } => "skipped",
        Came::Stopped { .. } => "STOPPED",
    };
    let mut text = wrapped(&format!("{word:<8}{}  ", case.id), case.title);
    let mut part = |name: &str, words: &str| text.push_str(&wrapped(&format!("        {name:<10}"), words));
    match came {
        Came::Passed { .. } => {}
        Came::Failed { did, expected, came, mend } => {
            part("clause", &format!("{} {} of the contract", case.level.name(), case.clause));
            part("done", did);
            part("expected", expected);
            part("came", came);
            part("to mend", mend.unwrap_or(case.mend));
        }
        Came::Skipped { why } => part("because", why),
        Came::Stopped { why, hint, place } => {
            part("because", why);
            if let Some(place) = place {
                part("at", &place.to_string());
            }
            if let Some(hint) = hint {
                part("to mend", hint);
            }
        }
    }
    text
}

/// The counts, as the last line of a terminal.
pub fn summary(report: &Report) -> String {
    let Report { component, title, .. } = report;
    let named = if title.is_empty() { component } else { title };
    let stopped = match report.stopped() {
        Some(Outcome { case, .. }) => format!("; stopped at {}, and nothing was tried from there on", case.id),
        None => String::new(),
    };
    let counts = format!("{} passed, {} failed, {} skipped{stopped}", report.passed(), report.failed(), report.skipped());
    hung("", 2, &format!("{named}: {counts}"))
}

/// The report for a program.
pub fn json(report: &Report) -> Value {
    let outcomes = report.outcomes.iter().map(|outcome| {
        let Outcome { case, came, took } = outcome;
        let mut told = json!({
            "id": case.id,
            "clause": case.clause,
            "level": case.level.name(),
            "title": case.title,
            "seconds": took.as_secs_f64(),
        });
        match came {
            Came::Passed { did } => {
                told["outcome"] = "passed".into();
                told["done"] = did.as_str().into();
            }
            Came::Failed { did, expected, came, mend } => {
                told["outcome"] = "failed".into();
                told["done"] = did.as_str().into();
                told["expected"] = expected.as_str().into();
                told["came"] = came.as_str().into();
                told["mend"] = mend.unwrap_or(case.mend).into();
            }
            Came::Skipped { why } => {
                told["outcome"] = "skipped".into();
                told["because"] = why.as_str().into();
            }
            Came::Stopped { why, hint, place } => {
                told["outcome"] = "stopped".into();
                told["because"] = why.as_str().into();
                told["mend"] = hint.as_deref().into();
                told["place"] = place.as_ref().map(ToString::to_string).into();
            }
        }
        told
    });
    json!({
        "component": report.component,
        "connector": report.title,
        "passed": report.passed(),
        "failed": report.failed(),
        "skipped": report.skipped(),
        "cases": outcomes.collect::<Vec<_>>(),
    })
}

/// Text that stands in XML and HTML as it is.
pub(super) fn escaped(text: &str) -> String {
    let text = printable(text, true);
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// The report as JUnit XML, for CI servers.
pub fn junit(report: &Report) -> String {
    let named = escaped(if report.title.is_empty() { &report.component } else { &report.title });
    let all: Duration = report.outcomes.iter().map(|outcome| outcome.took).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (tests, failures, skipped) = (report.outcomes.len(), report.failed(), report.skipped());
    let errors = u32::from(report.stopped().is_some());
    // Writing to memory does not fail.
    let _written = writeln!(
        xml,
        "<testsuite name=\"{named}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{:.3}\">",
        all.as_secs_f64()
    );
    for Outcome { case, came, took } in &report.outcomes {
        let head = format!(
            "  <testcase classname=\"{named}\" name=\"{} {}\" time=\"{:.3}\"",
            case.id,
            escaped(case.title),
            took.as_secs_f64()
        );
        let _written = match came {
            Came::Passed { .. } => writeln!(xml, "{head}/>"),
            Came::Failed { did, expected, came, mend } => writeln!(
                xml,
                "{head}>\n    <failure message=\"{}\">{} {} of the contract\ndone: {}\nexpected: {}\ncame: {}\nto mend: {}</failure>\n  </testcase>",
                escaped(came),
                case.level.name(),
                case.clause,
                escaped(did),
                escaped(expected),
                escaped(came),
                escaped(mend.unwrap_or(case.mend))
            ),
            Came::Skipped { why } => writeln!(xml, "{head}>\n    <skipped message=\"{}\"/>\n  </testcase>", escaped(why)),
            Came::Stopped { why, hint, place } => {
                let parts = [("at", place.as_ref().map(ToString::to_string)), ("to mend", hint.clone())];
                let parts = parts.into_iter().filter_map(|(name, words)| Some(format!("\n{name}: {}", escaped(&words?))));
                let (why, parts) = (escaped(why), parts.collect::<String>());
                writeln!(xml, "{head}>\n    <error message=\"{why}\">{why}{parts}</error>\n  </testcase>")
            }
        };
    }
    xml.push_str("</testsuite>\n");
    xml
}
