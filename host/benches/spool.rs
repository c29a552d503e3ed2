//! What it costs to have records in a spool for a while, beside a plain copy of the same bytes.
//!
//! `cargo bench -p wharf --bench spool` prints figures and fails where one is beyond its bound. What they mean: `docs/benchmarks.md`.
//!
//! A million records go in, batch by batch, each of which is on disk before the next comes, and out again: claimed, written into a staged file, kept as an
//! upload, and settled. The copy writes the bytes of the same records to a file, and waits for the disk as often. They are measured by turns, and of each
//! the least counts; making up the records is no part of it.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on ends")]

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{Read as _, Write as _},
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use tokio::runtime::Runtime;
use wharf::{
    config::Size,
    record::{Batch, BatchBuilder, Span},
    store::spool::{Claim, ClaimOrder, Incoming, NewUpload, Settling, Spool as _, SpoolState, SqliteSpool, Step, UploadState},
};

/// How often each is measured.
const ROUNDS: usize = 3;

/// All of them.
const RECORDS: u32 = 1_000_000;

/// Records of a batch that is taken.
const TAKEN: u32 = 1000;

/// Records of a file.
const FILE: u32 = 10_000;

/// How often one file's way waits for the disk: it is claimed, staged, kept, sent, settled and released.
const WAITS: u32 = 6;

/// The most memory that the process may ever have had.
const MEMORY: u64 = 200 << 20;

fn main() -> ExitCode {
    // Without this, cargo asks only whether everything runs.
    let measures = std::env::args().any(|argument| argument == "--bench");
    let (rounds, records) = if measures { (ROUNDS, RECORDS) } else { (1, RECORDS / 50) };
    let executor = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [mut taken, mut copied_in, mut given, mut copied_out] = [Duration::MAX; 4];
    for _ in 0..rounds {
        let (path, copy) = (folder.path().join("spool.db"), folder.path().join("copy"));
        let spool = SqliteSpool::open(&path, Size::from_mib(4096)).unwrap();
        taken = taken.min(take(&executor, &spool, records));
        copied_in = copied_in.min(copy_in(&copy, records));
        given = given.min(give(&executor, &spool, folder.path(), records));
        copied_out = copied_out.min(copy_out(&copy, folder.path(), records));
        drop(spool);
        for entry in fs::read_dir(folder.path()).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
    let rate = |took: Duration| f64::from(records) / took.as_secs_f64();
    println!("{:28} {:>14} {:>14} {:>10}", "records of 250 B a second", "the spool", "a plain copy", "ratio");
    for (name, spool, copy) in [("in", taken, copied_in), ("out", given, copied_out)] {
        println!("{name:28} {:14.0} {:14.0} {:10.2}", rate(spool), rate(copy), copy.div_duration_f64(spool));
    }
    let memory = peak();
    println!("{:28} {:>10} MiB, and the bound is {} MiB", "memory at the most", memory >> 20, MEMORY >> 20);
    if memory > MEMORY {
        eprintln!("error: it took more memory than it may");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Records of 250 bytes, as a file of JSON lines would give them: some of it repeats, and some does not.
fn batch(first: u32) -> Batch {
    let mut builder = BatchBuilder::with_capacity(TAKEN as usize, 260, true, Some("application/json".into()));
    let (mut key, mut value) = (String::new(), String::new());
    for id in first..first + TAKEN {
        key.clear();
        value.clear();
        write!(key, "{id}").unwrap();
        write!(value, r#"{{"id":{id},"customer":{},"status":"confirmed","note":""#, id.wrapping_mul(2_654_435_761)).unwrap();
        let mut random = u64::from(id) + 1;
        while value.len() < 246 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            write!(value, "{:016x}", random).unwrap();
        }
        value.truncate(248);
        value.push_str("\"}");
        builder.push(id.into(), Some(key.as_bytes()), value.as_bytes()).unwrap();
    }
    builder.finish("bench", "rows.ndjson".into())
}

/// What a batch's records are in a file.
fn lines(batch: &Batch, into: &mut Vec<u8>) {
    for record in 0..batch.count() as usize {
        into.extend_from_slice(batch.after().get(record).unwrap_or_default());
        into.push(b'\n');
    }
}

fn take(executor: &Runtime, spool: &SqliteSpool, records: u32) -> Duration {
    let mut took = Duration::ZERO;
    for first in (0..records).step_by(TAKEN as usize) {
        let incoming = Incoming { action: 0, version: None, label: "rows.ndjson".into(), batch: batch(first), again: false };
        let began = Instant::now();
        let taken = executor.block_on(spool.take(vec![incoming], first.into())).unwrap();
        took += began.elapsed();
        assert_eq!(taken.records, u64::from(TAKEN));
    }
    took
}

fn copy_in(copy: &Path, records: u32) -> Duration {
    let (mut took, mut text) = (Duration::ZERO, Vec::new());
    let mut file = File::create(copy).unwrap();
    for first in (0..records).step_by(TAKEN as usize) {
        text.clear();
        lines(&batch(first), &mut text);
        let began = Instant::now();
        file.write_all(&text).unwrap();
        file.sync_data().unwrap();
        took += began.elapsed();
    }
    took
}

/// The way of each file, as a bulk destination's engine has it.
fn give(executor: &Runtime, spool: &SqliteSpool, folder: &Path, records: u32) -> Duration {
    let began = Instant::now();
    executor.block_on(async {
        let mut text = Vec::new();
        for number in 0..records.div_ceil(FILE) {
            let now = u64::from(records + number);
            let claim = Claim { action: 0, now, records: FILE, bytes: u64::MAX, order: ClaimOrder::Any };
            let parts = spool.claim(claim).await.unwrap();
            text.clear();
            parts.iter().for_each(|part| lines(&part.records, &mut text));
            let staged = folder.join("staged");
            let mut file = File::create(&staged).unwrap();
            file.write_all(&text).unwrap();
            file.sync_data().unwrap();
            let upload = NewUpload {
                intent: format!("{number:032x}").into(),
                action: 0,
                digest: "digest".into(),
                version: None,
                file: "staged".into(),
                bytes: text.len() as u64,
                part: number,
                lines: parts.iter().map(|part| (part.row, part.span)).collect(),
            };
            let records = parts.iter().map(|part| part.span.len()).sum();
            let id = spool.stage(upload, Vec::new(), now).await.unwrap();
            let step = |state| Step { state: Some(state), ..Step::default() };
            spool.step(id, Step { sends: true, ..step(UploadState::Sending) }, now).await.unwrap();
            let outcomes = vec![(Span::new(0, records), Settling::Succeeded(None))];
            spool.step(id, Step { outcomes, ..Step::default() }, now).await.unwrap();
            spool.step(id, step(UploadState::Released), now).await.unwrap();
        }
    });
    let took = began.elapsed();
    let status = executor.block_on(spool.status()).unwrap();
    assert_eq!((status.of(SpoolState::Succeeded), status.batches), (u64::from(records), 0), "all of it came out");
    took
}

/// Reads what was copied, and writes it into staged files.
fn copy_out(copy: &Path, folder: &Path, records: u32) -> Duration {
    let began = Instant::now();
    let mut copy = File::open(copy).unwrap();
    let each = copy.metadata().unwrap().len() / u64::from(records) * u64::from(FILE);
    let mut text = vec![0; each as usize];
    let mut left = copy.metadata().unwrap().len();
    while left > 0 {
        let piece = &mut text[..left.min(each) as usize];
        copy.read_exact(piece).unwrap();
        left -= piece.len() as u64;
        let mut file = File::create(folder.join("staged")).unwrap();
        for piece in piece.chunks(piece.len().div_ceil(WAITS as usize)) {
            file.write_all(piece).unwrap();
            file.sync_data().unwrap();
        }
    }
    began.elapsed()
}

/// The most memory that this process ever had, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
