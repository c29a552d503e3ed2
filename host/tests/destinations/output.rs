//! What a component writes: lines of the log and figures, of which there are only so many.

use std::sync::Arc;

use serde_json::{Value, json};
use wharf::{
    connector::{Loader, Opening},
    sandbox::{Event, Figure, Usage},
};

use crate::trial::{Ran, Trial, batch, destination, engine};

fn flood(limits: Value) -> Value {
    let mut flood = destination("flood", "guest-flood", json!({}));
    flood["limits"] = limits;
    flood
}

/// Has each thing written, and gives what came of it and what was logged in the component's name.
async fn flooded(told: &[&str], limits: Value) -> (Ran, Vec<String>) {
    let trial = Trial::new(told);
    let ran = trial.run(&[flood(limits)]).await;
    assert_eq!(ran.error, "");
    let log = trial.log();
    let of_component =
        |line: &&str| ["wharf::stdout", "wharf::stderr", "wharf::connector", "lines dropped"].iter().any(|of| line.contains(of));
    (ran, log.lines().filter(of_component).map(str::to_owned).collect())
}

fn dropped(ran: &Ran) -> u64 {
    ran.usage().count(Event::LineDropped)
}

#[tokio::test]
async fn lines_come_at_a_rate_and_what_is_dropped_is_told() {
    let amount: usize = if wharf_tests::long() { 1_000_000 } else { 50_000 };
    // By the clock that stands still no time passes while they are written.
    for (what, limit) in [("lines", 100), ("log", 100), ("lines", 7)] {
        let what = &format!("{what} {amount}");
        let (ran, lines) = flooded(&[what], json!({"log-lines": limit})).await;
        assert_eq!(lines.len(), limit + 1, "{lines:?}");
        assert!(lines[limit - 1].contains(&format!("line {}", limit - 1)), "{}", lines[limit - 1]);
        let told = format!("{} lines dropped: more than {limit} a second (limits.log-lines)", amount - limit);
        assert!(lines[limit].contains(&told), "{}", lines[limit]);
        assert_eq!(dropped(&ran), (amount - limit) as u64);
        assert_eq!(ran.account(), [1, 0, 1, 0, 0]);
    }
}

#[tokio::test]
async fn what_the_host_logs_in_a_connectors_words_comes_at_the_same_rate() {
    // Twenty batches of ten, and of each some lines on its records.
    for (answer, words) in [("rejected", "given up: rejected: told to"), ("warned", "delivered with a remark: told to")] {
        let each = (0..10).fold(String::new(), |script, at| script + &format!(" {at}-{}={answer}", at + 1));
        let mut trial = Trial::new((0..200).map(|n| n.to_string()));
        trial.batch = 10;
        let mut destination = trial.scripted(&[each.as_str(); 20].join(";"));
        destination["limits"] = json!({"log-lines": 7});
        let ran = trial.run(&[destination]).await;
        assert_eq!((ran.account()[0], ran.account()[4]), (200, 0), "{}", ran.error);
        let log = trial.log();
        let lines = |part: &str| log.lines().filter(|line| line.contains(part)).count();
        assert_eq!(lines(words), 7, "{log}");
        assert_eq!(dropped(&ran), 20 * 5 - 7, "of a batch there are five");
        assert_eq!(lines("93 lines dropped: more than 7 a second (limits.log-lines)"), 1, "{log}");
    }
}

#[tokio::test]
async fn output_without_an_end_of_line_is_one_line_that_is_cut() {
    let amount: usize = if wharf_tests::long() { 1024 } else { 128 };
    let (stdout, stderr) = (format!("stdout {amount}"), format!("stderr {amount}"));
    let limits = json!({"output": "1KiB", "fuel-per-call": 100_000_000_000_u64});
    let (ran, lines) = flooded(&[&stdout, &stderr, "log-line 16"], limits).await;
    assert_eq!((lines.len(), dropped(&ran)), (3, 0), "{}", lines.len());
    for line in &lines {
        assert!(line.len() < 1400, "{}", line.len());
    }
    let cut = format!("cut={}", (amount << 20) - 1024);
    assert_eq!(lines.iter().filter(|line| line.contains(&cut)).count(), 2, "{lines:?}");
}

#[tokio::test]
async fn what_is_written_cannot_pass_for_anything_else() {
    let (_, lines) = flooded(&["nonsense"], json!({})).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in &lines {
        assert!(line.chars().all(|c| !c.is_control() && !matches!(c, '\u{202e}' | '\u{2028}')), "{line:?}");
    }
    assert!(lines.iter().any(|line| line.contains(r"\u{1b}[2J\u{1b}]0;title\u{7} ERROR wharf: forged")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains(r"two\u{a}lines")), "{lines:?}");
}

#[tokio::test]
async fn all_instances_of_a_destination_share_its_rate_and_its_figures() {
    let trial = Trial::new([""; 0]);
    let loader = Loader::new(engine(), trial.time.clock()).unwrap();
    let connector = loader.load(&wharf_tests::component("guest-flood").unwrap()).await.unwrap();
    let usage = Arc::new(Usage::default());
    let opening = Opening { usage: usage.clone(), ..Opening::default() };
    for _ in 0..3 {
        let mut session = connector.open(&opening).await.unwrap();
        assert!(session.write(&batch(&["lines 60", "figures"]), 1).await.trouble.is_none());
    }
    // A hundred at once, and no time has passed.
    assert_eq!(usage.count(Event::LineDropped), 80);
    assert_eq!(usage.figures().all()["rows"], Figure::Count(15));
    trial.time.advance(std::time::Duration::from_millis(500));
    let mut session = connector.open(&opening).await.unwrap();
    assert!(session.write(&batch(&["lines 60"]), 1).await.trouble.is_none());
    assert_eq!(usage.count(Event::LineDropped), 90);
    // The next destination has a rate of its own.
    let other = Opening::default();
    let mut session = connector.open(&other).await.unwrap();
    assert!(session.write(&batch(&["lines 60"]), 1).await.trouble.is_none());
    assert_eq!(other.usage.count(Event::LineDropped), 0);
}

#[tokio::test]
async fn figures_are_kept_by_name_and_those_over_the_limit_are_counted() {
    let (ran, _) = flooded(&["figures", "bad-figures 1", "names 5000"], json!({"metrics": 10})).await;
    let figures = ran.usage().figures().all();
    assert_eq!(figures.len(), 10);
    assert_eq!(figures["rows"], Figure::Count(5));
    assert_eq!(figures["depth"], Figure::Gauge(-2.5));
    assert_eq!(figures["took_ms"], Figure::Observed { count: 3, sum: 7.5, min: 1.0, max: 4.0 });
    assert_eq!(figures["name.6"], Figure::Count(1));
    assert_eq!(ran.usage().count(Event::MetricDropped), 7 + 4993);
}
