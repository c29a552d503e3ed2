//! What came of a run, for a terminal, a program, a CI server and a browser.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use super::{
    case::{Came, Case},
    rig::Rig,
};
use crate::sandbox::output::printable;

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

/// Columns of the text.
const COLUMNS: usize = 80;

/// An outcome as lines of a terminal, of 80 columns.
pub fn line(outcome: &Outcome) -> String {
    let Outcome { case, came, .. } = outcome;
    let mut text = String::new();
    let word = match came {
        Came::Passed { .. } => "ok",
        Came::Failed { .. } => "FAILED",
        Came::Skipped { .. } => "skipped",
    };
    wrapped(&mut text, &format!("{word:<8}{}  ", case.id), case.title);
    let mut part = |name: &str, words: &str| wrapped(&mut text, &format!("        {name:<10}"), words);
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
    }
    text
}

/// Adds words behind a beginning, and goes on below it where a line is full.
fn wrapped(text: &mut String, beginning: &str, words: &str) {
    let words = printable(words, false);
    let (indent, mut column) = (beginning.chars().count(), beginning.chars().count());
    text.push_str(beginning);
    for (index, word) in words.split_whitespace().enumerate() {
        let length = word.chars().count();
        if index > 0 && column + 1 + length > COLUMNS {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if index > 0 {
            text.push(' ');
            column += 1;
        }
        // A word that is longer than a line is broken, not lost.
        for letter in word.chars() {
            if column == COLUMNS && column > indent {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', indent));
                column = indent;
            }
            text.push(letter);
            column += 1;
        }
    }
    text.push('\n');
}

/// The counts, as the last line of a terminal.
pub fn summary(report: &Report) -> String {
    let Report { component, title, .. } = report;
    let named = if title.is_empty() { component } else { title };
    format!("{named}: {} passed, {} failed, {} skipped\n", report.passed(), report.failed(), report.skipped())
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
    // Writing to memory does not fail.
    let _written = writeln!(
        xml,
        "<testsuite name=\"{named}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" time=\"{:.3}\">",
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
        };
    }
    xml.push_str("</testsuite>\n");
    xml
}
