//! `wharf bench`.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use clap::Args;
use serde_json::json;

use super::{
    Output, SETTLED, STOPPED, loader,
    numbers::{grouped, mebibytes},
    refusal::Refusal,
    stdout,
};
use crate::{
    clock::Clock,
    config::Process,
    connector::settings::Given,
    kit::bench::{Figures, Options, bench as measured},
    sandbox::output::printable,
};

/// What is measured, and how.
#[derive(Args)]
pub struct Bench {
    /// The component.
    component: PathBuf,
    /// A setting, as often as there are some.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting, conflicts_with = "pipeline")]
    settings: Vec<(String, String)>,
    /// A pipeline file that uses the component: settings, grants and limits are taken from there. Without it nothing is granted.
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// Of the pipeline file, which destination or processor, where several are of the component.
    #[arg(long, value_name = "ID", requires = "pipeline")]
    id: Option<String>,
    /// Records in a call: what the component prefers, or 1000.
    #[arg(long, value_name = "RECORDS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: Option<u32>,
    /// Bytes of each record's value, which is JSON.
    #[arg(long, default_value_t = 250, value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    bytes: u32,
    /// For how many seconds.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(0..=3600))]
    seconds: u32,
    /// What to print on standard output.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

impl fmt::Debug for Bench {
    /// Without the settings, of which some may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bench").field("component", &self.component).finish_non_exhaustive()
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a setting is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Measures a component.
pub async fn bench(given: Bench) -> Result<u8, Refusal> {
    let Bench { component, settings, pipeline, id, batch, bytes, seconds, output } = given;
    let loader = loader(&Clock::system(), Process::default())?;
    let settings: BTreeMap<String, Given> = settings.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let time = Duration::from_secs(seconds.into());
    let options = Options { settings, pipeline, id, batch, bytes: bytes as usize, time };
    let figures = match measured(&component, &loader, &options).await {
        Ok(figures) => figures,
        Err(troubles) => {
            let failed = troubles.iter().any(crate::kit::Trouble::is_failure);
            let refusal = Refusal::from(troubles);
            if failed {
                let _code = refusal.print(output);
                return Ok(STOPPED);
            }
            return Err(refusal);
        }
    };
    match output {
        Output::Json => stdout::document(&document(&figures)),
        Output::Text => stdout::text(&text(&figures)),
    }
    Ok(SETTLED)
}

/// Records a second.
fn rate(figures: &Figures) -> f64 {
    figures.records as f64 / figures.time.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn document(figures: &Figures) -> serde_json::Value {
    let Figures { connector, call, batch, bytes, records, lost, why, time, median, slow, fuel, memory, start } = figures;
    json!({
        "connector": connector,
        "call": call,
        "batch": batch,
        "record_bytes": bytes,
        "records": records,
        "failed": lost,
        "why": why,
        "seconds": time.as_secs_f64(),
        "records_per_second": rate(figures),
        "call_seconds": {"median": median.as_secs_f64(), "p99": slow.as_secs_f64()},
        "fuel_per_record": fuel,
        "memory_peak": memory.0,
        "memory_limit": memory.1,
        "start": {
            "compile_seconds": start.compile.as_secs_f64(),
            "load_seconds": start.load.as_secs_f64(),
            "open_seconds": start.open.as_secs_f64(),
        },
    })
}

fn text(figures: &Figures) -> String {
    let Figures { connector, call, batch, bytes, records, lost, why, median, slow, fuel, memory, start, .. } = figures;
    let rate = rate(figures);
    let mut text =
        format!("{connector}: {call}, {} records of {} bytes a call\n", grouped((*batch).into()), grouped(*bytes as u64));
    let mut line = |line: String| {
        text.push_str("  ");
        text.push_str(&line);
        text.push('\n');
    };
    let volume = mebibytes((rate * *bytes as f64) as u64);
    line(format!(
        "{} records a second, {volume} MiB; a call takes {}, and {} at the 99th of a hundred",
        grouped(rate as u64),
        short(*median),
        short(*slow)
    ));
    line(format!(
        "fuel: {} a record; memory: {} MiB of {} MiB at the most",
        grouped(*fuel),
        mebibytes(memory.0),
        mebibytes(memory.1)
    ));
    line(format!(
        "start: {} to compile, {} from the cache, {} to open",
        short(start.compile),
        short(start.load),
        short(start.open)
    ));
    if *lost > 0 {
        let why = why.as_deref().unwrap_or("no reason given");
        line(format!("note: {} of {} records failed: {}", grouped(*lost), grouped(*records), printable(why, false)));
    }
    text
}

/// A time with three digits or so.
fn short(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 0.001 => format!("{:.2} ms", seconds * 1e3),
        seconds => format!("{:.1} µs", seconds * 1e6),
    }
}
