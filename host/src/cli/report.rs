//! What is printed when everything has run.

use std::{io::Write, path::Path, sync::Arc};

use serde_json::{Value, json};

use super::{
    DEAD_LETTERS, Output, SETTLED, STOPPED,
    numbers::{grouped, mebibytes},
    refusal::Refusal,
    stdout,
};
use crate::{
    clock::rfc3339_of,
    pipeline::{DestinationCounts, PipelineError, SpoolCounts},
    runtime::{Left, ProcessorOverview, Report, SwitchedOff, Used},
    sandbox::{Event, Usage},
};

/// Prints what came of a run, and gives the exit code.
pub fn finished(reports: &[Report], store: &Path, asked: bool, output: Output) -> u8 {
    match output {
        Output::Json => stdout::document(&json(reports)),
        Output::Text => {
            let mut to = std::io::stdout().lock();
            stdout::written(text(reports, &mut to).and_then(|()| to.flush()));
        }
    }
    ended(reports, store, asked)
}

/// Tells what went wrong, and gives the exit code.
fn ended(reports: &[Report], store: &Path, asked: bool) -> u8 {
    let mut told = std::io::stderr().lock();
    for Report { pipeline, counts, error, rereads, .. } in reports {
        if let Some(error) = error {
            let one = Refusal::with_hint(format!("pipeline {pipeline}: {error}"), Some(hint(error, *rereads).into()));
            let _closed = one.write(&mut told);
        } else if let Some(what) = pending(pipeline, &counts.destinations, asked) {
            let in_spools = counts.destinations.iter().all(|one| one.pending <= one.spool.map_or(0, |spool| spool.open));
            let hint = match () {
                () if in_spools => {
                    "the next start goes on with them, from the spool; `wharf spool status` and `wharf uploads list` tell what they wait for".to_owned()
                }
                () if *rereads => "run again: they are read and sent again".to_owned(),
                () => format!("{pipeline}: give the pending records once more: their source cannot be read again"),
            };
            let _closed = Refusal::with_hint(what, Some(hint)).write(&mut told);
        }
    }
    let failed = reports.iter().any(|report| report.error.is_some());
    let pending: u64 = sum(reports, |destination| destination.pending);
    let off = reports.iter().flat_map(|report| &report.switched_off).map(|off| off.dead_lettered);
    let dead_lettered: u64 = sum(reports, |destination| destination.dead_lettered) + off.sum::<u64>();
    if dead_lettered > 0 {
        let _closed = writeln!(
            told,
            "hint: `wharf dead-letters list --data-dir {}` shows what was given up, each with its reason",
            store.parent().unwrap_or(store).display()
        );
    }
    match () {
        () if failed => STOPPED,
        () if pending > 0 => STOPPED,
        () if dead_lettered > 0 && !asked => DEAD_LETTERS,
        () => SETTLED,
    }
}

/// That a pipeline ended without an error and with records pending, which is no success; `None` where it has none.
fn pending(pipeline: &str, destinations: &[DestinationCounts], asked: bool) -> Option<String> {
    let of = |one: &DestinationCounts| format!("{} of {}", grouped(one.pending), one.id);
    let pending: Vec<String> = destinations.iter().filter(|one| one.pending > 0).map(of).collect();
    let how = if asked { "was stopped" } else { "ended" };
    (!pending.is_empty()).then(|| format!("pipeline {pipeline} {how} with records pending: {}", pending.join(", ")))
}

/// Prints what came of dead letters that were sent again, and gives the exit code.
pub fn replayed(reports: &[Report], left: &[Arc<Left>], store: &Path, asked: bool, output: Output) -> u8 {
    let stays = |left: &Left| left.unreadable() + left.gone() + left.unplaced();
    match output {
        Output::Json => {
            let mut document = json(reports);
            for (at, left) in left.iter().enumerate() {
                document["pipelines"][at]["left"] =
                    json!({"unreadable": left.unreadable(), "gone": left.gone(), "unplaced": left.unplaced()});
                for (index, destination) in reports[at].counts.destinations.iter().enumerate() {
                    document["pipelines"][at]["destinations"][index]["elsewhere"] = destination.elsewhere.into();
                }
            }
            stdout::document(&document);
        }
        Output::Text => {
            let mut to = std::io::stdout().lock();
            if reports.is_empty() {
                let _closed = writeln!(to, "there are no such dead letters");
            }
            for (report, left) in reports.iter().zip(left) {
                let _closed = text(std::slice::from_ref(report), &mut to);
                for (count, why) in [
                    (left.unreadable(), "no source could read them; mend the lines and give them to a pipeline once more"),
                    (left.gone(), "their destination or processor is not in the pipeline file"),
                    (left.unplaced(), "an earlier version of wharf did not note whether a processor gave them up"),
                ] {
                    if count > 0 {
                        let _closed = writeln!(to, "  {} left as they are: {why}", grouped(count));
                    }
                }
            }
        }
    }
    let code = ended(reports, store, asked);
    let left: u64 = left.iter().map(|left| stays(left)).sum();
    if code == SETTLED && left > 0 && !asked { DEAD_LETTERS } else { code }
}

/// What to do about a pipeline that ended early.
fn hint(error: &PipelineError, rereads: bool) -> &'static str {
    if rereads { error.hint() } else { "mend it and give the pending records once more: their source cannot be read again" }
}

fn sum(reports: &[Report], count: impl Fn(&DestinationCounts) -> u64) -> u64 {
    reports.iter().flat_map(|report| &report.counts.destinations).map(count).sum()
}

fn json(reports: &[Report]) -> Value {
    let pipelines: Vec<Value> = reports
        .iter()
        .map(|Report { pipeline, counts, restarts, left, used, processors, purged, switched_off, took, error, rereads }| {
            let processors = |destination: Option<&str>| -> Vec<Value> {
                let own = processors.iter().filter(|processor| processor.destination.as_deref() == destination);
                let told = |ProcessorOverview { id, connector, used, .. }: &ProcessorOverview| {
                    json!({"id": **id, "connector": **connector, "metrics": used.usage.figures().all(), "usage": usage(used)})
                };
                own.map(told).collect()
            };
            let left = left.iter().copied().chain(std::iter::repeat(0));
            let destinations: Vec<Value> = counts
                .destinations
                .iter()
                .zip(used)
                .zip(left)
                .map(|((destination, used), left)| {
                    let mut told = json!({
                        "id": *destination.id,
                        "delivered": destination.delivered,
                        "warned": destination.warned,
                        "filtered": destination.filtered,
                        "dead_lettered": destination.dead_lettered,
                        "pending": destination.pending,
                        "left": left,
                        "unknown": destination.unknown,
                        "retries": destination.retries,
                        "bytes": destination.bytes,
                        "paused": destination.paused.as_deref(),
                        "waiting": destination.waiting.as_deref(),
                        "processors": processors(Some(&destination.id)),
                        "metrics": used.usage.figures().all(),
                        "usage": usage(used),
                    });
                    if let Some(SpoolCounts { before, known, follow_ups, cut, open, next }) = destination.spool {
                        told["follow_ups"] = follow_ups.into();
                        told["spool"] = json!({"before": before, "known": known, "pending": open});
                        told["follow_ups_cut"] = cut.into();
                        told["next"] = next.filter(|_| destination.pending > 0).map(rfc3339_of).into();
                    }
                    told
                })
                .collect();
            let off = |SwitchedOff { id, dead_lettered, reason }: &SwitchedOff| {
                json!({"id": **id, "dead_lettered": dead_lettered, "reason": reason})
            };
            let mut pipeline = json!({
                "id": **pipeline,
                "read": counts.read,
                "carried": counts.carried,
                "restarts": restarts,
                "purged": purged,
                "seconds": took.as_secs_f64(),
                "processors": processors(None),
                "destinations": destinations,
                "switched_off": switched_off.iter().map(off).collect::<Vec<_>>(),
            });
            if let Some(error) = error {
                pipeline["error"] = json!({"what": error.to_string(), "hint": hint(error, *rereads), "place": null});
            }
            pipeline
        })
        .collect();
    // Whoever asks only whether anything failed looks in one place, whatever it was.
    let first = pipelines.iter().find_map(|pipeline| pipeline.get("error")).cloned();
    let mut document = json!({"pipelines": pipelines});
    if let Some(error) = first {
        document["error"] = error;
    }
    document
}

/// What a destination used and tried, so that its limits and grants can be set from facts.
fn usage(Used { usage, memory_limit }: &Used) -> Value {
    let mut used = json!({
        "memory_peak": usage.memory_peak(),
        "memory_limit": memory_limit.bytes(),
        "fuel_per_record": usage.fuel_per_record(),
    });
    for event in Event::ALL {
        used[event.name()] = usage.count(event).into();
    }
    used
}

/// What of a destination was refused and dropped, in words; `None` where nothing was.
fn held_back(usage: &Usage) -> Option<String> {
    let counted = |events: &[(Event, &str, &str)]| {
        let counts = events.iter().map(|(event, one, many)| (usage.count(*event), one, many)).filter(|(count, ..)| *count > 0);
        let words = counts.map(|(count, one, many)| format!("{} {}", grouped(count), if count == 1 { one } else { many }));
        let words: Vec<String> = words.collect();
        (!words.is_empty()).then(|| words.join(", "))
    };
    let refused = counted(&[
        (Event::HttpRefused, "HTTP request", "HTTP requests"),
        (Event::ConnectRefused, "connection", "connections"),
        (Event::LookupRefused, "look-up of a name", "look-ups of names"),
        (Event::Refused, "other attempt", "other attempts"),
    ]);
    let dropped =
        counted(&[(Event::LineDropped, "line of the log", "lines of the log"), (Event::MetricDropped, "figure", "figures")]);
    let told = [refused.map(|what| format!("refused: {what}")), dropped.map(|what| format!("dropped: {what}"))];
    let told: Vec<String> = told.into_iter().flatten().collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn text(reports: &[Report], mut to: impl Write) -> std::io::Result<()> {
    for Report { pipeline, counts, restarts, used, processors, purged, switched_off, took, .. } in reports {
        let seconds = took.as_secs_f64();
        write!(to, "{pipeline}: {} read", grouped(counts.read))?;
        if counts.carried > 0 {
            write!(to, ", {} carried over", grouped(counts.carried))?;
        }
        write!(to, " in {seconds:.1} s")?;
        match restarts {
            0 => writeln!(to)?,
            1 => writeln!(to, ", restarted once")?,
            often => writeln!(to, ", restarted {} times", grouped(*often))?,
        }
        if *purged > 0 {
            writeln!(to, "  {} old dead letters removed", grouped(*purged))?;
        }
        for SwitchedOff { id, dead_lettered, reason } in switched_off {
            let letters = if *dead_lettered == 1 { "dead letter" } else { "dead letters" };
            writeln!(to, "  {id}: {} {letters}, since {reason}", grouped(*dead_lettered))?;
        }
        for processor in processors.iter().filter(|processor| processor.destination.is_none()) {
            through(processor, &mut to)?;
        }
        for (destination, used) in counts.destinations.iter().zip(used) {
            write!(to, "  {}: {} delivered", destination.id, grouped(destination.delivered))?;
            let (follow_ups, cut) = destination.spool.map(|spool| (spool.follow_ups, spool.cut)).unwrap_or_default();
            let others = [
                (destination.warned, "of them with a remark"),
                (destination.filtered, "filtered"),
                (destination.dead_lettered, if destination.dead_lettered == 1 { "dead letter" } else { "dead letters" }),
                (destination.pending, "pending"),
                (destination.unknown, "of them unknown"),
                (follow_ups, if follow_ups == 1 { "follow-up" } else { "follow-ups" }),
                (cut, "more cut (follow-up-depth)"),
            ];
            for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
                write!(to, ", {} {what}", grouped(count))?;
            }
            if let Some(before @ 1..) = destination.spool.map(|spool| spool.before) {
                write!(to, " ({} from an earlier run were in its spool)", grouped(before))?;
            }
            if let Some(next) = destination.spool.and_then(|spool| spool.next).filter(|_| destination.pending > 0) {
                write!(to, "; what waits goes out from {} on", rfc3339_of(next))?;
            }
            writeln!(to)?;
            for told in used_up(used) {
                writeln!(to, "    {told}")?;
            }
            for processor in processors.iter().filter(|processor| processor.destination.as_ref() == Some(&destination.id)) {
                through(processor, &mut to)?;
            }
        }
    }
    Ok(())
}

/// What a processor used, where it was handed anything or anything of it was refused.
fn through(ProcessorOverview { id, connector, used, .. }: &ProcessorOverview, mut to: impl Write) -> std::io::Result<()> {
    let told = used_up(used);
    if !told.is_empty() {
        writeln!(to, "  through {id} ({connector})")?;
    }
    told.iter().try_for_each(|told| writeln!(to, "    {told}"))
}

/// What a component used, and what of it was refused and dropped, in words.
fn used_up(Used { usage, memory_limit }: &Used) -> Vec<String> {
    let fuel = usage.fuel_per_record().map(|fuel| {
        let (peak, limit) = (mebibytes(usage.memory_peak()), mebibytes(memory_limit.bytes()));
        format!("memory: {peak} MiB of {limit} MiB at the most; fuel: {} a record", grouped(fuel))
    });
    fuel.into_iter().chain(held_back(usage)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_and_dropped_is_told_where_there_is_any() {
        let usage = Usage::default();
        usage.note(Event::ConnectAllowed);
        assert_eq!(held_back(&usage), None);
        for _ in 0..1200 {
            usage.note(Event::LineDropped);
        }
        assert_eq!(held_back(&usage).as_deref(), Some("dropped: 1,200 lines of the log"));
        usage.note(Event::LookupRefused);
        usage.note(Event::Refused);
        usage.note(Event::Refused);
        let told = "refused: 1 look-up of a name, 2 other attempts; dropped: 1,200 lines of the log";
        assert_eq!(held_back(&usage).as_deref(), Some(told));
    }
}
