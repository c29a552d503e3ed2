//! What there is to tell of pipelines, put into metrics.

use std::time::Duration;

use super::exposition::{Exposition, Labels, Metric};
use crate::{
    pipeline::{Counts, DestinationCounts, SpoolCounts},
    runtime::{PipelineOverview, SpoolOverview, State, Used},
    sandbox::{Call, Compilations, Event, Figure, Seen},
};

/// What is known before anything runs.
pub(super) fn host(to: &mut Exposition, compilations: &Compilations) {
    to.add(Metric::Build, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    to.add(Metric::Compiled, &[], compilations.compiled());
    to.add(Metric::Cached, &[], compilations.kept());
}

/// A pipeline at a moment, by the clock's elapsed time.
pub(super) fn pipeline(to: &mut Exposition, overview: &PipelineOverview, now: Duration) {
    let id = &*overview.id;
    let of = [("pipeline", id)];
    for word in State::WORDS {
        to.add(Metric::State, &[("pipeline", id), ("state", word)], u8::from(word == overview.state.word()));
    }
    to.add(Metric::Failed, &of, u8::from(overview.error.is_some()));
    to.add(Metric::Restarts, &of, overview.restarts);
    let Counts { read, carried, stalled, destinations } = overview.counts();
    to.add(Metric::Stalled, &of, u8::from(stalled.is_some()));
    to.add(Metric::Read, &of, read);
    to.add(Metric::Carried, &of, carried);
    for (counts, destination) in destinations.iter().zip(&overview.destinations) {
        let of = [("pipeline", id), ("destination", &*destination.id)];
        let DestinationCounts { delivered, warned, filtered, dead_lettered, pending, unknown, retries, bytes, .. } = *counts;
        let sums = [
            (Metric::Delivered, delivered),
            (Metric::Warned, warned),
            (Metric::Filtered, filtered),
            (Metric::DeadLettered, dead_lettered),
            (Metric::Pending, pending),
            (Metric::Unknown, unknown),
            (Metric::Bytes, bytes),
            (Metric::Retries, retries),
        ];
        for (metric, value) in sums {
            to.add(metric, &of, value);
        }
        if let Some(SpoolCounts { follow_ups, cut, .. }) = counts.spool {
            to.add(Metric::FollowUps, &of, follow_ups);
            to.add(Metric::FollowUpsCut, &of, cut);
        }
        let lag = counts.oldest.map_or(Duration::ZERO, |oldest| now.saturating_sub(oldest));
        to.add(Metric::Lag, &of, lag.as_secs_f64());
        to.add(Metric::Paused, &of, u8::from(!destination.gate.is_open()));
        to.add(Metric::Waiting, &of, u8::from(counts.waiting.is_some()));
        component(
            to,
            [("pipeline", id), ("destination", &*destination.id), ("processor", "")],
            &destination.connector,
            &destination.used,
        );
    }
    for processor in &overview.processors {
        let destination = processor.destination.as_deref().unwrap_or_default();
        let of = [("pipeline", id), ("destination", destination), ("processor", &*processor.id)];
        component(to, of, &processor.connector, &processor.used);
    }
}

/// The spool of a destination.
pub(super) fn spool(to: &mut Exposition, spool: &SpoolOverview) {
    let SpoolOverview { pipeline, destination, records, bytes, most, oldest, uploads, next } = spool;
    let of = [("pipeline", &**pipeline), ("destination", &**destination)];
    let by = |name, value| [of[0], of[1], (name, value)];
    for (state, records) in records {
        to.add(Metric::SpoolRecords, &by("state", state.name()), records);
    }
    to.add(Metric::SpoolBytes, &of, bytes);
    to.add(Metric::SpoolLimit, &of, most.bytes());
    to.add(Metric::SpoolOldest, &of, oldest.as_secs_f64());
    for (action, wait) in next {
        to.add(Metric::SpoolNext, &by("action", action), wait.as_secs_f64());
    }
    for (state, uploads) in uploads {
        to.add(Metric::Uploads, &by("state", state.name()), uploads);
    }
}

fn component(to: &mut Exposition, of: [(&str, &str); 3], connector: &str, Used { usage, memory_limit }: &Used) {
    to.add(Metric::Component, &with(of, "connector", connector), 1);
    for call in Call::ALL {
        if let Some((time, fuel)) = usage.calls(call) {
            let labels = with(of, "call", call.name());
            histogram(to, Metric::CallSeconds, &labels, &time, 1e6);
            histogram(to, Metric::CallFuel, &labels, &fuel, 1.0);
        }
    }
    let sums = [
        (Metric::Instances, usage.instances()),
        (Metric::Started, usage.instances_started()),
        (Metric::Ended, usage.instances_ended()),
        (Metric::Memory, usage.memory_held()),
        (Metric::MemoryPeak, usage.memory_peak()),
        (Metric::MemoryLimit, memory_limit.bytes()),
    ];
    for (metric, value) in sums {
        to.add(metric, &of, value);
    }
    for event in Event::ALL {
        to.add(Metric::Events, &with(of, "event", event.name()), usage.count(event));
    }
    for (name, figure) in usage.figures().all() {
        let labels = with(of, "name", &name);
        match figure {
            Figure::Count(count) => to.add(Metric::Counted, &labels, count),
            Figure::Gauge(value) => to.add(Metric::Gauge, &labels, value),
            Figure::Observed { count, sum, min, max } => {
                to.add(Metric::Observed, &labels, count);
                to.add(Metric::ObservedSum, &labels, sum);
                to.add(Metric::ObservedMin, &labels, min);
                to.add(Metric::ObservedMax, &labels, max);
            }
        }
    }
}

fn with<'a>(
    [pipeline, destination, processor]: [(&'a str, &'a str); 3],
    name: &'a str,
    value: &'a str,
) -> [(&'a str, &'a str); 4] {
    [pipeline, destination, processor, (name, value)]
}

fn histogram(to: &mut Exposition, metric: Metric, labels: Labels<'_>, seen: &Seen, unit: f64) {
    let buckets = seen.buckets.iter().map(|(bound, count)| (*bound as f64 / unit, *count));
    to.histogram(metric, labels, buckets, seen.count, seen.sum as f64 / unit);
}
