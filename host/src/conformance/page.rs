//! The report as a page of its own for a browser.

use std::{fmt::Write as _, time::Duration};

use super::{
    case::Came,
    report::{Outcome, Report, escaped},
};

const STYLE: &str = "\
:root{color-scheme:light dark;--page:#fff;--text:#1c1c1c;--faint:#5a5a5a;--box:#f7f7f7;--bar:#bbb;--bad:#b3261e;--bad-box:#fdf1f0;--good:#1f7a3d;--halt:#7a5200;--halt-box:#fdf6e7}\
@media(prefers-color-scheme:dark){:root{--page:#161616;--text:#e8e8e8;--faint:#aaa;--box:#212121;--bar:#666;--bad:#ff8a80;--bad-box:#331a18;--good:#7bd99a;--halt:#f2c063;--halt-box:#2e2613}}\
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:var(--text);background:var(--page)}\
h1{font-size:1.5rem;margin:0}p{margin:.25rem 0}p.file{color:var(--faint);overflow-wrap:anywhere;margin-bottom:1.5rem}\
details{border-left:.3rem solid var(--bar);margin:.4rem 0;padding:.3rem .8rem;background:var(--box)}\
summary{cursor:pointer;display:grid;align-items:baseline;grid-template-columns:5rem 7.5rem 1fr;gap:0 .5rem}\
summary>b{color:var(--faint)}summary>span{overflow-wrap:anywhere}summary>i{grid-column:3;font-style:normal;color:var(--faint)}\
.failed{border-color:var(--bad);background:var(--bad-box)}.failed b,.bad{color:var(--bad)}\
.stopped{border-color:var(--halt);background:var(--halt-box)}.stopped b,.halt{color:var(--halt)}.passed{border-color:var(--good)}.passed b,.good{color:var(--good)}\
code{font-size:.9em}dl{display:grid;grid-template-columns:5rem 1fr;gap:.2rem .5rem;margin:.5rem 0}dt{color:var(--faint)}dd{margin:0;overflow-wrap:anywhere}\
@media(max-width:36rem){body{margin:1rem auto}summary{grid-template-columns:5rem 1fr}summary>span,summary>i{grid-column:1/-1}}";

/// The report as a page of its own for a browser: failures at the top and open, then what was skipped and why.
pub fn html(report: &Report) -> String {
    let named = escaped(if report.title.is_empty() { &report.component } else { &report.title });
    let (passed, failed, skipped) = (report.passed(), report.failed(), report.skipped());
    let (word, class) = match (failed, report.stopped()) {
        (0, None) => ("No case failed", "good"),
        // Which is no fault of the component.
        (0, Some(_)) => ("The run was stopped", "halt"),
        (_, _) => ("It does not conform", "bad"),
    };
    let stopped = match report.stopped() {
        Some(Outcome { case, .. }) => format!(" Stopped at <code>{}</code>: nothing was tried from there on.", case.id),
        None => String::new(),
    };
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <title>{named}: conformance</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{named}</h1>\n\
         <p><b class=\"{class}\">{word}</b>: {passed} passed, {failed} failed, {skipped} skipped.{stopped}</p>\n<p class=\"file\">{}</p>\n",
        escaped(&report.component)
    );
    let rank = |outcome: &&Outcome| match outcome.came {
        Came::Stopped { .. } => 0,
        Came::Failed { .. } => 1,
        Came::Skipped { .. } => 2,
        Came::Passed { .. } => 3,
    };
    let mut outcomes: Vec<&Outcome> = report.outcomes.iter().collect();
    outcomes.sort_by_key(rank);
    outcomes.into_iter().for_each(|outcome| add(&mut page, outcome));
    page.push_str("</body>\n</html>\n");
    page
}

fn add(page: &mut String, Outcome { case, came, took }: &Outcome) {
    let clause = format!("{} {} of the contract", case.level.name(), case.clause);
    let mut parts = vec![("clause", clause.as_str())];
    let at;
    let (word, open, why) = match came {
        Came::Passed { did } => {
            parts.push(("done", did));
            ("passed", "", "")
        }
        Came::Failed { did, expected, came, mend } => {
            parts.extend([
                ("done", did.as_str()),
                ("expected", expected),
                ("came", came),
                ("to mend", mend.unwrap_or(case.mend)),
            ]);
            ("failed", " open", "")
        }
        // Why stands where it is seen without a click: a case that was not tried is no pass.
        Came::Skipped { why } => ("skipped", "", why.as_str()),
        Came::Stopped { why, hint, place } => {
            at = place.as_ref().map(ToString::to_string).unwrap_or_default();
            parts.extend([("because", why.as_str()), ("at", &at)].into_iter().filter(|(_, words)| !words.is_empty()));
            parts.extend(hint.as_deref().map(|hint| ("to mend", hint)));
            ("stopped", " open", "")
        }
    };
    let took = time(*took);
    parts.push(("took", &took));
    let why = if why.is_empty() { String::new() } else { format!("<i>{}</i>", prose(why)) };
    // Writing to memory does not fail.
    let _written = write!(
        page,
        "<details class=\"{word}\"{open}><summary><b>{word}</b><code>{}</code><span>{}</span>{why}</summary>\n<dl>",
        case.id,
        prose(case.title)
    );
    for (name, words) in parts {
        let _written = write!(page, "<dt>{name}</dt><dd>{}</dd>", prose(words));
    }
    page.push_str("</dl></details>\n");
}

fn time(took: Duration) -> String {
    if took < Duration::from_secs(1) { format!("{} ms", took.as_millis()) } else { format!("{:.1} s", took.as_secs_f64()) }
}

/// Text with what stands between backquotes as code.
fn prose(text: &str) -> String {
    let escaped = escaped(text);
    let mut prose = String::with_capacity(escaped.len());
    let mut rest = escaped.as_str();
    while let Some((before, behind)) = rest.split_once('`') {
        let Some((code, after)) = behind.split_once('`') else { break };
        prose.push_str(before);
        prose.push_str("<code>");
        prose.push_str(code);
        prose.push_str("</code>");
        rest = after;
    }
    prose + rest
}
