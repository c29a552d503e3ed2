//! What the program takes to bring records to a real server on this machine, beside what that server's own client takes for the same.
//!
//! `cargo bench -p wharf --bench connectors` prints figures and fails where one is beyond its bound. What they mean: `docs/benchmarks.md`.
//!
//! Each is a run of the whole program, from its start to its end, with a data directory that is new: it reads a file of JSON lines, checks
//! them, hands them to the connector in its sandbox, and keeps its checkpoints on disk. The client is handed the same rows in the form that it reads
//! best. They are measured by turns, and of each the least counts.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use wharf_tests::{
    component,
    far::{Far, reply},
    postgres::Postgres,
};

/// How often each is measured.
const ROUNDS: usize = 5;

/// Rows of about 250 bytes.
const ROWS: u32 = 300_000;

/// Requests of one record of about 250 bytes.
const REQUESTS: u32 = 10_000;

/// Puts what stands beside the table into it.
const UPSERT: &str =
    "INSERT INTO t SELECT * FROM beside ON CONFLICT (id) DO UPDATE SET name = excluded.name, amount = excluded.amount,
    paid = excluded.paid, at = excluded.at, note = excluded.note;\n";

/// How much of what `psql \copy` does in the same time rows have to come through.
const COPY: f64 = 0.5;

fn main() -> ExitCode {
    // Without this, cargo asks only whether everything runs.
    let measures = std::env::args().any(|argument| argument == "--bench");
    // The name of a connector selects it.
    let name = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let wanted = |connector: &str| name.as_deref().is_none_or(|name| name == connector);
    let folder = tempfile::tempdir().unwrap();
    let (rounds, scale) = if measures { (ROUNDS, 1) } else { (1, 100) };
    println!("{:40} {:>14} {:>14} {:>14} {:>10}", "", "records/s", "of the client", "fuel/record", "memory");
    if wanted("http") {
        http(folder.path(), REQUESTS / scale, rounds);
    }
    if wanted("postgres") {
        let appended = postgres(folder.path(), "append", ROWS / scale, rounds);
        postgres(folder.path(), "upsert", ROWS / scale, rounds);
        if measures && appended < COPY {
            eprintln!("error: rows come through at {appended:.2} of what psql does, and the bound is {COPY}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The program and a client, by turns. Gives how much the program does of what the client does in the same time.
fn compare(name: &str, records: u32, rounds: usize, mut ours: impl FnMut() -> Ran, mut client: impl FnMut() -> Duration) -> f64 {
    let (mut least, mut native) = (None::<Ran>, Duration::MAX);
    for _ in 0..rounds {
        native = native.min(client());
        let ran = ours();
        least = Some(match least {
            Some(least) if least.took <= ran.took => least,
            _ => ran,
        });
    }
    let least = least.unwrap();
    let ratio = native.div_duration_f64(least.took);
    let rate = f64::from(records) / least.took.as_secs_f64();
    let fuel = least.usage["fuel_per_record"].as_f64().unwrap_or_default();
    let memory = least.usage["memory_peak"].as_u64().unwrap_or_default() >> 20;
    println!("{name:40} {rate:14.0} {ratio:14.2} {fuel:14.0} {memory:6} MiB");
    ratio
}

/// A run of the program.
struct Ran {
    took: Duration,
    /// What the destination's instances used.
    usage: Value,
}

/// Runs the program once on a pipeline from a file to a destination.
fn run(folder: &Path, records: u32, destination: &Value) -> Ran {
    let data_dir = tempfile::tempdir_in(folder).unwrap();
    let source = json!({"kind": "file", "path": folder.join("rows.ndjson"), "key": "/id"});
    let pipeline =
        json!({"id": "p", "source": source, "batch": {"records": 5000, "bytes": "8MiB"}, "destinations": [destination]});
    let file = folder.join("p.yaml");
    fs::write(&file, json!({"version": 1, "data-dir": data_dir.path(), "pipelines": [pipeline]}).to_string()).unwrap();
    let mut wharf = Command::new(env!("CARGO_BIN_EXE_wharf"));
    wharf.arg("run").arg(file).args(["--output", "json"]).env("PASSWORD", Postgres::PASSWORD);
    let began = Instant::now();
    let ran = wharf.output().unwrap();
    let took = began.elapsed();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let summary: Value = serde_json::from_slice(&ran.stdout).unwrap();
    let destination = &summary["pipelines"][0]["destinations"][0];
    assert_eq!(destination["delivered"], records);
    Ran { took, usage: destination["usage"].clone() }
}

fn name(id: u32) -> String {
    format!("customer {}", id.wrapping_mul(2_654_435_761) % 10_000)
}

fn note(id: u32) -> String {
    format!("{:0>140}", u64::from(id) * 11_400_714_819_323)
}

fn lines(folder: &Path, count: u32) {
    let mut lines = String::new();
    for id in 0..count {
        let cents = id % 100;
        writeln!(
            lines,
            r#"{{"id":{id},"name":"{}","amount":{id}.{cents:02},"paid":{},"at":"2026-01-31T12:00:00Z","note":"{}"}}"#,
            name(id),
            id % 3 == 0,
            note(id)
        )
        .unwrap();
    }
    fs::write(folder.join("rows.ndjson"), lines).unwrap();
}

fn postgres(folder: &Path, mode: &str, rows: u32, rounds: usize) -> f64 {
    let server = Postgres::start().unwrap();
    lines(folder, rows);
    let mut csv = String::new();
    for id in 0..rows {
        let cents = id % 100;
        writeln!(csv, "{id},{},{id}.{cents:02},{},2026-01-31T12:00:00Z,{}", name(id), id % 3 == 0, note(id)).unwrap();
    }
    let csv_file = folder.join("rows.csv");
    fs::write(&csv_file, csv).unwrap();
    let key = if mode == "upsert" { "PRIMARY KEY" } else { "" };
    let table = format!("CREATE TABLE t (id bigint {key}, name text, amount numeric, paid boolean, at timestamptz, note text)");
    server.psql("postgres", &table).unwrap();
    let empty = || {
        // How far an earlier run got stands beside the rows.
        server.psql("postgres", "TRUNCATE t; DROP SCHEMA IF EXISTS wharf CASCADE").unwrap();
        server.psql("postgres", "CHECKPOINT").unwrap();
    };
    let count = || assert_eq!(server.psql("postgres", "SELECT count(*) FROM t").unwrap(), rows.to_string());
    let destination = json!({
        "id": "db",
        "component": component("wharf-postgres").unwrap(),
        "settings": {
            "host": "127.0.0.1", "port": server.port(), "database": "postgres", "user": Postgres::USER,
            "password": "${PASSWORD}", "tls": "off", "table": "t", "mode": mode,
        },
        "grants": {"tcp": [{"to": format!("127.0.0.1:{}", server.port()), "private": true}]},
    });
    let ours = || {
        empty();
        let ran = run(folder, rows, &destination);
        count();
        ran
    };
    let client = || {
        empty();
        let copy = |table: &str| format!("\\copy {table} FROM '{}' CSV\n", csv_file.display());
        // As people do it by hand: copied beside the table, and put into it from there.
        let script = match mode {
            "upsert" => format!("BEGIN;\nCREATE TEMPORARY TABLE beside (LIKE t);\n{}{UPSERT}COMMIT;\n", copy("beside")),
            _ => copy("t"),
        };
        let file = folder.join("copy.sql");
        fs::write(&file, script).unwrap();
        let mut psql = server.client("postgres");
        psql.args(["-v", "ON_ERROR_STOP=1"]).stdin(fs::File::open(file).unwrap()).stdout(Stdio::null());
        let began = Instant::now();
        assert!(psql.status().unwrap().success());
        let took = began.elapsed();
        count();
        took
    };
    compare(&format!("postgres, {mode}, beside psql"), rows, rounds, ours, client)
}

fn http(folder: &Path, requests: u32, rounds: usize) {
    let answered = Arc::new(AtomicU32::new(0));
    let counting = answered.clone();
    let server = Far::start(move |_| {
        counting.fetch_add(1, Relaxed);
        reply(200, "")
    })
    .unwrap();
    lines(folder, requests);
    let url = format!("http://{}/", server.address());
    let mut asks = String::new();
    for line in fs::read_to_string(folder.join("rows.ndjson")).unwrap().lines() {
        let quoted = line.replace('"', "\\\"");
        writeln!(
            asks,
            "next\nurl = \"{url}\"\nheader = \"content-type: application/json\"\ndata = \"{quoted}\"\noutput = /dev/null"
        )
        .unwrap();
    }
    let asks_file = folder.join("asks");
    // The first stands behind nothing.
    fs::write(&asks_file, asks.strip_prefix("next\n").unwrap()).unwrap();
    let destination = json!({
        "id": "hook",
        "component": component("wharf-http").unwrap(),
        "settings": {"url": url},
        "grants": {"http": [{"to": url.trim_end_matches('/'), "private": true}]},
    });
    let client = || {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--no-progress-meter", "--parallel", "--parallel-max", "16", "--config"]).arg(&asks_file);
        answered.store(0, Relaxed);
        let began = Instant::now();
        assert!(curl.status().unwrap().success());
        let took = began.elapsed();
        assert_eq!(answered.load(Relaxed), requests);
        took
    };
    compare("http, a request each, beside curl", requests, rounds, || run(folder, requests, &destination), client);
}
