//! What a component uses, and what it tries.

use std::time::Instant;

use super::case;
use crate::{
    config::Size,
    conformance::{
        case::{About, Case, Stop, Tried, failed, skipped, unless},
        life::Life,
        rig::{Rig, all_well},
    },
    connector::Opening,
    sandbox::Event,
};

/// The cases.
pub(in super::super) const CASES: &[Case] = &[
    case!(
        "W-MANN-001",
        120 Should,
        Connector,
        "an instance needs no more memory than the suite allows",
        "hold less of a batch at once; or allow more (`manners.memory`)",
        memory
    ),
    case!(
        "W-MANN-002",
        121 Should,
        Connector,
        "a record needs no more computation than the suite allows",
        "look for what is done for each record that could be done once; or allow more (`manners.fuel-per-record`)",
        fuel
    ),
    case!(
        "W-MANN-003",
        122 Should,
        Connector,
        "a call takes no longer than the suite allows",
        "wait for less, or for several things at once; or allow more (`manners.time`)",
        time
    ),
    case!(
        "W-MANN-004",
        123 Must,
        Connector,
        "an instance does not grow from batch to batch",
        "give back what a batch needed; where the language collects what is no longer used, allow what it lets come together (`manners.growth`)",
        growth
    ),
    case!(
        "W-MANN-005",
        124 Must,
        Connector,
        "nothing is tried that is not granted",
        "declare in `requests` what is needed, and try nothing else",
        reach
    ),
    case!(
        "W-MANN-006",
        125 Should,
        Connector,
        "log lines and figures are few enough to be kept",
        "log what a batch came to, not each record; keep names of figures few",
        lines
    ),
];

/// A session with usage of its own.
async fn counted(rig: &Rig) -> Result<(Life, Opening), Stop> {
    rig.reset().await?;
    let opening = rig.opening()?;
    Ok((rig.open_with(About::Connector, &opening).await?, opening))
}

async fn thousand(rig: &Rig) -> Result<Opening, Stop> {
    let (mut life, opening) = counted(rig).await?;
    let most = rig.connector()?.descriptor.bounds.records.unwrap_or(1_000).min(1_000);
    let batch = rig.records(most);
    let handed = life.hand_over(&batch, 1).await;
    rig.heard(&batch, &handed);
    all_well("handed over a thousand records", &handed)?;
    let _closed = life.close().await;
    Ok(opening)
}

fn within(did: &str, most: String, came: String, is: bool) -> Tried {
    if is { Ok(format!("{did}: {came}")) } else { Err(failed(did, format!("{most} at the most"), came)) }
}

async fn memory(rig: &Rig) -> Tried {
    let most = rig.suite.manners.memory;
    let peak = Size::from_bytes(thousand(rig).await?.usage.memory_peak());
    within("handed over a thousand records", most.to_string(), peak.to_string(), peak <= most)
}

async fn fuel(rig: &Rig) -> Tried {
    let most = rig.suite.manners.fuel_per_record;
    let fuel = thousand(rig).await?.usage.fuel_per_record().unwrap_or_default();
    let units = |fuel: u64| format!("{fuel} units of fuel a record");
    within("handed over a thousand records", units(most), units(fuel), fuel <= most)
}

async fn time(rig: &Rig) -> Tried {
    let most = rig.suite.manners.time;
    let began = Instant::now();
    thousand(rig).await?;
    let took = began.elapsed();
    within("handed over a thousand records", most.to_string(), format!("{:.3} s", took.as_secs_f64()), took <= most.duration())
}

async fn growth(rig: &Rig) -> Tried {
    const SETTLED: u32 = 100;
    let (mut life, opening) = counted(rig).await?;
    let (most, batches) = (rig.suite.manners.growth, rig.suite.manners.batches);
    let did = format!("handed over {batches} batches of ten records, and compared memory with that after {SETTLED}");
    let mut before = 0;
    for number in 1..=batches {
        let batch = rig.records(10);
        let handed = life.hand_over(&batch, 1).await;
        rig.heard(&batch, &handed);
        all_well(&did, &handed)?;
        if number == SETTLED {
            before = opening.usage.memory_held();
        }
    }
    let grown = Size::from_bytes(opening.usage.memory_held().saturating_sub(before));
    let _closed = life.close().await;
    within(&did, most.to_string(), format!("{grown} more"), grown <= most)
}

async fn reach(rig: &Rig) -> Tried {
    let (mut life, opening) = counted(rig).await?;
    let batch = rig.records(10);
    let handed = life.hand_over(&batch, 1).await;
    rig.heard(&batch, &handed);
    let _closed = life.close().await;
    let refused = [Event::HttpRefused, Event::ConnectRefused, Event::LookupRefused, Event::Refused];
    let wrong: Vec<String> = refused
        .into_iter()
        .filter(|event| opening.usage.count(*event) > 0)
        .map(|event| format!("{} {}", opening.usage.count(event), event.name()))
        .collect();
    unless(&wrong, "opened a session, handed over ten records, and closed it", "nothing refused")
}

async fn lines(rig: &Rig) -> Tried {
    if !tracing::enabled!(target: "wharf::connector", tracing::Level::ERROR) {
        return Err(skipped("no log is kept, so that no line of it could be too many"));
    }
    let usage = thousand(rig).await?.usage;
    let wrong: Vec<String> = [Event::LineDropped, Event::MetricDropped]
        .into_iter()
        .filter(|event| usage.count(*event) > 0)
        .map(|event| format!("{} {}", usage.count(event), event.name()))
        .collect();
    unless(&wrong, "handed over a thousand records", "no line and no figure dropped")
}
