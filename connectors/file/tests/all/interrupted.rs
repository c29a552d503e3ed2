//! Whatever is interrupted wherever, every record is in its file exactly once, byte for byte and in order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use wharf_file::{
    batch::Records,
    journal::Owner,
    settings::{Config, Files, FormatName, Settings},
    store::Store,
    trouble::{Remedy, Trouble},
};

use super::memory_disk::{Fault, MemoryDisk};

/// A source of one partition: record `n` has the value that [`value`] says.
fn value(record: u64) -> Vec<u8> {
    format!(r#"{{"n":{record},"t":"2024-01-0{}","more":"{}"}}"#, 1 + record * 7 % 3, "x".repeat(record as usize % 11))
        .into_bytes()
}

fn owner() -> Owner {
    Owner { pipeline: "p".into(), destination: "d".into(), name: "n".into(), sync: true }
}

fn settings(files: Files, format: FormatName) -> Settings {
    let columns = if format == FormatName::Csv { vec!["n".into(), "more".into()] } else { vec![] };
    let name = if files == Files::Each { "{key}" } else { "{date}-{partition}" };
    let config = Config {
        files,
        format,
        columns,
        name: Some(name.into()),
        date_pointer: (files == Files::Append).then(|| "/t".into()),
        ..Config::default()
    };
    Settings::new(&config).unwrap()
}

fn write(store: &mut Store<MemoryDisk>, records: std::ops::Range<u64>) -> Result<(), Trouble> {
    let sequences: Vec<u64> = records.clone().collect();
    let values: Vec<_> = records.clone().map(|record| Some(value(record))).collect();
    // Every key comes twice.
    let keys: Vec<_> = records.map(|record| Some((record / 2).to_string().into_bytes())).collect();
    let records =
        Records { partition: "p0", sequences: &sequences, ordinals: &[], values: &values, keys: Some(&keys), metadata: &[] };
    store.write(&records).map(|refusals| assert_eq!(refusals, []))
}

/// What the files hold if nothing ever goes wrong.
fn expected(files: Files, format: FormatName, count: u64) -> BTreeMap<String, Vec<u8>> {
    let disk = MemoryDisk::default();
    let mut store = Store::open(settings(files, format), owner(), disk.clone()).unwrap();
    for record in 0..count {
        write(&mut store, record..record + 1).unwrap();
    }
    disk.files()
}

/// Writes `count` records as a host does: again from the first that has no answer yet, after a failure with the same session, after a
/// stop with a new one.
struct Host {
    disk: MemoryDisk,
    settings: Settings,
    answered: u64,
    count: u64,
}

impl Host {
    fn run(&mut self, mut cut: impl FnMut() -> u64) -> Result<(), Trouble> {
        let mut store = Store::open(self.settings.clone(), owner(), self.disk.clone())?;
        while self.answered < self.count {
            let end = (self.answered + cut().max(1)).min(self.count);
            // A host that lost its last answers sends some records again.
            let from = self.answered.saturating_sub(cut() % 3);
            match write(&mut store, from..end) {
                Ok(()) => self.answered = end,
                Err(trouble) if trouble.to_string().contains("the machine is off") => return Err(trouble),
                Err(trouble) => assert_eq!(trouble.remedy(), Remedy::Again, "{trouble}"),
            }
        }
        assert_eq!(store.take_notes().iter().filter(|note| !note.contains("not cut off yet")).count(), 0);
        Ok(())
    }
}

/// Numbers that look random and are the same each time.
fn chance(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below.max(1)
    }
}

fn survives(files: Files, format: FormatName, faults: &[(usize, Fault, bool)], seed: u64) {
    const COUNT: u64 = 23;
    let disk = MemoryDisk::default();
    let mut host = Host { disk: disk.clone(), settings: settings(files, format), answered: 0, count: COUNT };
    let mut chance = chance(seed);
    for (operations, fault, lost) in faults {
        disk.fuse(*operations, *fault);
        // A full disk goes on with the next fault behind it.
        if *fault == Fault::Stop && host.run(|| chance(7) as u64).is_err() {
            disk.restart(*lost, &mut chance);
        }
    }
    drop(host.run(|| chance(7) as u64));
    disk.restart(false, &mut chance);
    host.run(|| chance(7) as u64).unwrap();
    // Once more from the beginning, as after a checkpoint that was lost: nothing is config twice.
    host.answered = 0;
    host.run(|| chance(9) as u64).unwrap();
    let (found, expected) = (disk.files(), expected(files, format, COUNT));
    assert_eq!(
        found.iter().map(|(name, bytes)| (name, String::from_utf8_lossy(bytes))).collect::<Vec<_>>(),
        expected.iter().map(|(name, bytes)| (name, String::from_utf8_lossy(bytes))).collect::<Vec<_>>(),
        "{files:?} {format:?} {faults:?} {seed}"
    );
}

const SHAPES: [(Files, FormatName); 3] =
    [(Files::Append, FormatName::JsonLines), (Files::Append, FormatName::Csv), (Files::Each, FormatName::Raw)];

#[test]
fn a_stop_at_any_operation_loses_nothing_and_doubles_nothing() {
    for (files, format) in SHAPES {
        for at in 0..120 {
            for lost in [false, true] {
                for seed in 0..4 {
                    survives(files, format, &[(at, Fault::Stop, lost)], seed);
                }
            }
        }
    }
}

#[test]
fn a_full_disk_at_any_operation_loses_nothing_and_doubles_nothing() {
    for (files, format) in SHAPES {
        for at in 8..120 {
            for times in [1, 2, 3, 9] {
                survives(files, format, &[(at, Fault::Full(times), false)], at as u64);
            }
        }
    }
}

#[test]
fn lost_power_soon_after_a_stop_or_a_full_disk_loses_nothing_and_doubles_nothing() {
    for (files, format) in SHAPES {
        for first in (8..60).step_by(2) {
            for second in (first % 5..40).step_by(5) {
                for (fault, seed) in [(Fault::Stop, 0), (Fault::Stop, 1), (Fault::Full(1), 2), (Fault::Full(2), 3)] {
                    survives(
                        files,
                        format,
                        &[(first, fault, false), (first * usize::from(fault != Fault::Stop) + second, Fault::Stop, true)],
                        seed,
                    );
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn stops_and_full_disks_one_after_another_lose_nothing_and_double_nothing(
        shape in prop::sample::select(SHAPES.to_vec()),
        faults in prop::collection::vec((0..90_usize, prop_oneof![3 => Just(Fault::Stop), 1 => Just(Fault::Full(2))], any::<bool>()), 1..6),
        seed in any::<u64>(),
    ) {
        survives(shape.0, shape.1, &faults, seed);
    }
}
