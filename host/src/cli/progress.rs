//! How far a run is, for whoever watches it: bars on a terminal, lines elsewhere.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::numbers::{grouped, mebibytes};
use crate::{
    clock::{Clock, rfc3339_of},
    pipeline::{Counts, DestinationCounts},
    runtime::{Overview, PipelineOverview, State},
    sandbox::output::printable,
};

/// How often bars move.
const BARS: Duration = Duration::from_millis(200);

/// How often lines are written where there are no bars.
const LINES: Duration = Duration::from_secs(10);

/// Over how long a rate is taken.
const WINDOW: Duration = Duration::from_secs(10);

/// Shows how far the pipelines are, until it is dropped: a bar or a line for each, and one for each of its destinations.
pub async fn show(overview: Overview, bars: MultiProgress, clock: Clock) {
    let mut meters = Meters::default();
    if bars.is_hidden() {
        loop {
            clock.sleep(LINES).await;
            let now = overview.elapsed();
            for pipeline in overview.pipelines() {
                let id = &*pipeline.id;
                let counts = pipeline.counts();
                tracing::info!(pipeline = id, "{id}: {}", meters.read(&pipeline, &counts, now));
                for destination in &counts.destinations {
                    let told = meters.delivered(&pipeline.id, destination, (now, clock.millis()));
                    tracing::info!(pipeline = id, destination = &*destination.id, "{id}/{}: {told}", destination.id);
                }
            }
        }
    }
    let mut shown = Bars { bars, style: style(), all: HashMap::new() };
    loop {
        let now = overview.elapsed();
        let mut lines = Vec::new();
        for pipeline in overview.pipelines() {
            let counts = pipeline.counts();
            lines.push((pipeline.id.to_string(), meters.read(&pipeline, &counts, now)));
            for destination in &counts.destinations {
                let told = meters.delivered(&pipeline.id, destination, (now, clock.millis()));
                lines.push((format!("{}/{}", pipeline.id, destination.id), told));
            }
        }
        shown.show(lines);
        clock.sleep(BARS).await;
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {prefix} {wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A bar for each pipeline and destination.
struct Bars {
    bars: MultiProgress,
    style: ProgressStyle,
    all: HashMap<String, ProgressBar>,
}

impl Bars {
    fn show(&mut self, lines: Vec<(String, String)>) {
        let there: HashSet<&String> = lines.iter().map(|(name, _)| name).collect();
        // A reload may have taken some away.
        self.all.retain(|name, bar| {
            let stays = there.contains(name);
            if !stays {
                self.bars.remove(bar);
            }
            stays
        });
        for (name, told) in lines {
            let bar = self.all.entry(name).or_insert_with_key(|name| {
                let bar = self.bars.add(ProgressBar::new_spinner().with_style(self.style.clone()));
                bar.set_prefix(name.clone());
                bar
            });
            bar.set_message(told);
            bar.tick();
        }
    }
}

/// Rates of pipelines and destinations, by their names.
#[derive(Debug, Default)]
struct Meters(HashMap<(Arc<str>, Option<Arc<str>>), Meter>);

impl Meters {
    /// What a pipeline has read.
    fn read(&mut self, pipeline: &PipelineOverview, counts: &Counts, now: Duration) -> String {
        let read = counts.read + counts.carried;
        let rate = self.0.entry((pipeline.id.clone(), None)).or_default().rates(now, read, 0).0;
        let mut told = format!("{} read, {}/s", grouped(read), grouped(rate));
        if pipeline.state != State::Running {
            told.push_str(&format!(", {}", pipeline.state.word()));
        }
        if let Some(why) = &counts.stalled {
            told.push_str(&format!(", stalled: {}", printable(why, false)));
        }
        if pipeline.restarts > 0 {
            told.push_str(&format!(", restarts: {}", grouped(pipeline.restarts)));
        }
        told
    }

    /// What a destination was delivered, and what keeps it, at a moment: by the clock's elapsed time, and in milliseconds since 1970.
    fn delivered(&mut self, pipeline: &Arc<str>, counts: &DestinationCounts, (now, today): (Duration, u64)) -> String {
        let DestinationCounts { delivered, filtered, dead_lettered, retries, pending, unknown, bytes, .. } = *counts;
        let meter = self.0.entry((pipeline.clone(), Some(counts.id.clone()))).or_default();
        let (records, bytes) = meter.rates(now, delivered, bytes);
        let mut told = format!("{} delivered, {}/s, {} MiB/s", grouped(delivered), grouped(records), mebibytes(bytes));
        let counted = [
            (filtered, "filtered"),
            (dead_lettered, "dead letters"),
            (retries, "retries"),
            (unknown, "unknown"),
            (pending, "pending"),
        ];
        for (count, what) in counted.into_iter().filter(|(count, _)| *count > 0) {
            told.push_str(&format!(", {what}: {}", grouped(count)));
        }
        if let Some(oldest) = counts.oldest {
            told.push_str(&format!(", the oldest for {:.1} s", now.saturating_sub(oldest).as_secs_f64()));
        }
        if let Some(next) = counts.spool.and_then(|spool| spool.next).filter(|next| *next > today) {
            told.push_str(&format!(", goes out at {}", rfc3339_of(next)));
        }
        for (why, what) in [(&counts.paused, "paused"), (&counts.waiting, "waits")] {
            if let Some(why) = why {
                told.push_str(&format!(", {what}: {}", printable(why, false)));
            }
        }
        told
    }
}

/// How much there was, and when.
#[derive(Debug, Default)]
struct Meter(VecDeque<(Duration, u64, u64)>);

impl Meter {
    /// Records and bytes a second since the window began, or since it was first asked for.
    fn rates(&mut self, now: Duration, records: u64, bytes: u64) -> (u64, u64) {
        // The last one before the window is where it begins.
        while self.0.get(1).is_some_and(|(at, ..)| now.saturating_sub(*at) >= WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back((now, records, bytes));
        let (at, before, bytes_before) = self.0.front().copied().unwrap_or((Duration::ZERO, 0, 0));
        // Asked for the first time, from the beginning of the run.
        let (at, before, bytes_before) = if self.0.len() == 1 { (Duration::ZERO, 0, 0) } else { (at, before, bytes_before) };
        let seconds = now.saturating_sub(at).as_secs_f64();
        let rate = |more: u64| if seconds > 0.0 { (more as f64 / seconds) as u64 } else { 0 };
        (rate(records.saturating_sub(before)), rate(bytes.saturating_sub(bytes_before)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::SpoolCounts;

    #[test]
    fn rates_are_taken_over_a_window() {
        let mut meter = Meter::default();
        let at = Duration::from_secs;
        assert_eq!(meter.rates(at(0), 0, 0), (0, 0));
        assert_eq!(meter.rates(at(2), 100, 1000), (50, 500));
        // A burst that is long over counts no more.
        assert_eq!(meter.rates(at(20), 100, 1000), (0, 0));
        assert_eq!(meter.rates(at(25), 600, 1000), (21, 0));
        assert!(meter.0.len() <= 3);
    }

    #[test]
    fn a_line_tells_what_there_is_and_why_it_waits() {
        let counts = DestinationCounts {
            id: "crm".into(),
            delivered: 12_000,
            warned: 0,
            filtered: 0,
            dead_lettered: 2,
            elsewhere: 0,
            pending: 40,
            unknown: 0,
            retries: 3,
            bytes: 20 << 20,
            paused: None,
            waiting: Some("transient: nobody\nis there".into()),
            oldest: Some(Duration::from_millis(8_750)),
            spool: Some(SpoolCounts { before: 0, known: 0, follow_ups: 0, cut: 0, open: 40, next: Some(1_767_225_600_000) }),
        };
        let told = |today| Meters::default().delivered(&"shop".into(), &counts, (Duration::from_secs(10), today));
        let expected = "12,000 delivered, 1,200/s, 2 MiB/s, dead letters: 2, retries: 3, pending: 40, the oldest for 1.2 s, \
                        goes out at 2026-01-01T00:00:00.000Z, waits: transient: nobody\\u{a}is there";
        assert_eq!(told(1_767_225_599_999), expected);
        assert_eq!(told(1_767_225_600_000), expected.replace("goes out at 2026-01-01T00:00:00.000Z, ", ""));
    }
}
