//! What is printed when nothing runs, and when everything has run.

use std::{
    io::{ErrorKind, Write},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use serde_json::{Value, json};

use super::{DEAD_LETTERS, Output, REFUSED, SETTLED, STOPPED};
use crate::{
    clock::rfc3339_of,
    config::{Mistakes, Place},
    kit::Trouble,
    pipeline::{DestinationCounts, PipelineError, SpoolCounts},
    plan::PlanError,
    runtime::{Left, ProcessorOverview, Report, SwitchedOff, Used},
    sandbox::{Event, Usage, output::printable},
};

/// Why nothing was run.
#[derive(Debug)]
pub struct Refusal(Vec<Told>);

#[derive(Debug)]
struct Told {
    what: String,
    hint: Option<String>,
    place: Option<String>,
}

impl Told {
    fn json(&self) -> Value {
        json!({"what": self.what, "hint": self.hint, "place": self.place})
    }

    /// For a terminal: a component's own words may be among them, from its descriptor too.
    fn print(&self, mut to: impl Write) -> std::io::Result<()> {
        writeln!(to, "error: {}", printable(&self.what, true))?;
        if let Some(place) = &self.place {
            writeln!(to, "  at {place}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(to, "hint: {}", printable(hint, true))?;
        }
        Ok(())
    }
}

impl Refusal {
    /// Without a hint.
    pub fn new(what: String) -> Self {
        Self(vec![Told { what, hint: None, place: None }])
    }

    /// With a hint.
    pub fn with_hint(what: String, hint: Option<String>) -> Self {
        Self(vec![Told { what, hint, place: None }])
    }

    /// The same with its place in the pipeline file, where it has one.
    pub fn at(self, place: Option<&Place>) -> Self {
        Self(self.0.into_iter().map(|told| Told { place: place.map(ToString::to_string), ..told }).collect())
    }

    /// Several at once.
    pub fn all(refusals: impl IntoIterator<Item = Self>) -> Self {
        Self(refusals.into_iter().flat_map(|refusal| refusal.0).collect())
    }

    /// For a program: the first, and the others beside it.
    pub fn document(&self) -> Option<Value> {
        let (first, others) = self.0.split_first()?;
        let mut document = first.json();
        if !others.is_empty() {
            document["also"] = others.iter().map(Told::json).collect();
        }
        Some(document)
    }

    /// Prints it, and gives the exit code. On standard output stands one document or nothing.
    pub fn print(&self, output: Output) -> u8 {
        let mut told = Vec::new();
        for (index, one) in self.0.iter().enumerate() {
            if index > 0 {
                told.push(b'\n');
            }
            // Writing to memory does not fail.
            let _written = one.print(&mut told);
        }
        let _written = std::io::stderr().write_all(&told);
        if output == Output::Json
            && let Some(error) = self.document()
        {
            print(&json!({"error": error}));
        }
        REFUSED
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        vec![trouble].into()
    }
}

impl From<Vec<Trouble>> for Refusal {
    fn from(troubles: Vec<Trouble>) -> Self {
        let told = |trouble: &Trouble| Told { what: trouble.to_string(), hint: trouble.hint().map(str::to_owned), place: None };
        Self(troubles.iter().map(told).collect())
    }
}

impl From<Mistakes> for Refusal {
    fn from(mistakes: Mistakes) -> Self {
        Vec::<PlanError>::from(mistakes).into()
    }
}

impl From<Vec<PlanError>> for Refusal {
    fn from(errors: Vec<PlanError>) -> Self {
        let told =
            |error: &PlanError| Told { what: error.what(), hint: error.hint(), place: error.place().map(ToString::to_string) };
        Self(errors.iter().map(told).collect())
    }
}

/// Whether something that was to be printed is not.
static UNWRITTEN: AtomicBool = AtomicBool::new(false);

/// Notes what came of writing to standard output, and says where it failed. Whoever closed it does not want the rest.
fn written(done: std::io::Result<()>) {
    match done {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            UNWRITTEN.store(true, Relaxed);
            let told = Told { what: format!("cannot write to standard output: {error}"), hint: None, place: None };
            let _closed = told.print(std::io::stderr());
        }
        _ => {}
    }
}

/// The exit code where all that was to be printed was: what is cut short is no success.
pub fn exit(code: u8) -> u8 {
    if UNWRITTEN.load(Relaxed) && code == SETTLED { STOPPED } else { code }
}

/// Prints lines on standard output.
pub fn print_text(text: &str) {
    let mut to = std::io::stdout().lock();
    written(to.write_all(text.as_bytes()).and_then(|()| to.flush()));
}

/// Prints a document on standard output. Whoever closed it does not want it.
pub fn print(document: &Value) {
    print_text(&format!("{document:#}\n"));
}

/// Prints what came of a run, and gives the exit code.
pub fn finished(reports: &[Report], store: &Path, asked: bool, output: Output) -> u8 {
    match output {
        Output::Json => print(&json(reports)),
        Output::Text => {
            let mut to = std::io::stdout().lock();
            written(text(reports, &mut to).and_then(|()| to.flush()));
        }
    }
    ended(reports, store, asked)
}

/// Tells what went wrong, and gives the exit code.
fn ended(reports: &[Report], store: &Path, asked: bool) -> u8 {
    let mut told = std::io::stderr().lock();
    for Report { pipeline, counts, error, rereads, .. } in reports {
        if let Some(error) = error {
            let one =
                Told { what: format!("pipeline {pipeline}: {error}"), hint: Some(hint(error, *rereads).into()), place: None };
            let _closed = one.print(&mut told);
        } else if let Some(what) = pending(pipeline, &counts.destinations, asked) {
            let in_spools = counts.destinations.iter().all(|one| one.pending <= one.spool.map_or(0, |spool| spool.open));
            let hint = match () {
                () if in_spools => {
                    "the next start goes on with them, from the spool; `wharf spool status` and `wharf uploads list` tell what they wait for".to_owned()
                }
                () if *rereads => "run again: they are read and sent again".to_owned(),
                () => format!("{pipeline}: give the pending records once more: their source cannot be read again"),
            };
            let _closed = Told { what, hint: Some(hint), place: None }.print(&mut told);
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
            print(&document);
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

/// A number of bytes in MiB: to a tenth where that is not a whole number.
pub fn mebibytes(bytes: u64) -> String {
    const MEBIBYTE: u64 = 1 << 20;
    match bytes.is_multiple_of(MEBIBYTE) {
        true => grouped(bytes / MEBIBYTE),
        false => format!("{}.{}", grouped(bytes / MEBIBYTE), bytes % MEBIBYTE * 10 / MEBIBYTE),
    }
}

/// A number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_component_says_cannot_rewrite_the_terminal() {
        let told = Told { what: "asks for \u{1b}[2J".into(), hint: Some("its settings are `\u{202e}`\nx".into()), place: None };
        let mut printed = Vec::new();
        told.print(&mut printed).unwrap();
        let printed = String::from_utf8(printed).unwrap();
        assert_eq!(printed, "error: asks for \\u{1b}[2J\nhint: its settings are `\\u{202e}`\nx\n");
    }

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

    #[test]
    fn memory_is_told_to_a_tenth_of_a_mebibyte() {
        let cases = [(0, "0"), (65_536, "0.0"), (1 << 20, "1"), ((3 << 20) - 1, "2.9"), (256 << 20, "256"), (4 << 30, "4,096")];
        for (bytes, expected) in cases {
            assert_eq!(mebibytes(bytes), expected);
        }
    }

    #[test]
    fn thousands_stand_apart() {
        let cases = [(0, "0"), (999, "999"), (1707, "1,707"), (12_345_678, "12,345,678")];
        for (number, expected) in cases {
            assert_eq!(grouped(number), expected);
        }
    }
}
