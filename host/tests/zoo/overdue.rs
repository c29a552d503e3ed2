//! Calls of the host that do much for little fuel: a loop of them ends when its time is over, and not when a slice of fuel is used up.

use std::{
    fs,
    time::{Duration, Instant},
};

use wharf::{
    config::{Interval, Limits},
    connector::{Opening, Trouble},
    sandbox::{Call, Ended, instance::Reason},
};
use wharf_tests::Scratch;

use crate::{
    lifecycle::{batch, opening},
    thousand::planned,
};

/// What each may take.
const LIMIT: Interval = Interval::from_millis(100);

/// What it may take until it has ended, on a busy machine: the limit and two calls of it take a tenth of this. A slice of fuel is
/// enough for a thousand of them or more, which would take many times as long, every time.
const LONGEST: Duration = Duration::from_millis(1500);

/// How often it is tried: what else the machine does, a disk above all, may hold it up once.
const TRIES: u32 = 3;

/// Bytes that the host copies in 5 ms or so.
const LONG: u64 = 16 << 20;

/// Acts of `guest-hostile`, and how much of it in one call.
const ACTS: [(&str, u64); 27] = [
    // Left to fuel alone: all that a slice has room for takes some milliseconds.
    ("clock", 0),
    ("random", 0),
    ("handles", 0),
    ("requests", 0),
    ("sockets", 0),
    ("environment", 0),
    ("random-at-length", 4 << 20),
    ("insecure-at-length", 4 << 20),
    // Each is a handle.
    ("poll-at-length", 4000),
    // More than this may not be written at once.
    ("write-at-length", 64 << 10),
    ("zeroes-at-length", 64 << 10),
    ("write-and-flush-at-length", 4 << 10),
    ("from-list-at-length", LONG),
    ("get-at-length", LONG),
    ("has-at-length", LONG),
    ("set-at-length", LONG),
    ("append-at-length", LONG),
    ("delete-at-length", LONG),
    ("method-at-length", LONG),
    ("path-at-length", LONG),
    ("scheme-at-length", LONG),
    ("authority-at-length", LONG),
    ("look-up-at-length", LONG),
    ("open-at-length", LONG),
    ("write-file-at-length", LONG),
    ("link-at-length", LONG),
    ("stat-at-length", LONG),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cpu_a_loop_of_calls_of_the_host_ends_with_its_time() {
    let folder = Scratch::new().unwrap();
    fs::create_dir(folder.path("granted")).unwrap();
    let hostile = planned(&folder).await;
    let mut late = Vec::new();
    for (act, amount) in ACTS {
        let mut limits = Limits { fuel_per_call: u64::MAX, ..Limits::default() };
        limits.time.write = LIMIT;
        limits.random_bytes = limits.host_call_bytes;
        let Opening { settings, limits, .. } = opening(act, amount, limits);
        let opening = Opening { settings, limits, ..hostile.opening.clone() };
        let mut least = Duration::MAX;
        for _ in 0..TRIES {
            let mut session = hostile.connector.open(&opening).await.unwrap();
            let records = batch(1);
            let begun = Instant::now();
            let answer = session.write(&records, 1).await;
            least = least.min(begun.elapsed());
            let Some(Trouble::Ended(Ended { call: Call::Write, reason, .. })) = answer.trouble else {
                panic!("{act}: {:?}", answer.trouble);
            };
            assert_eq!(reason, Reason::Time { call: Call::Write, limit: LIMIT.duration() }, "{act}");
            if least <= LONGEST {
                break;
            }
        }
        println!("{act} took {least:?}");
        if least > LONGEST {
            late.push((act, least));
        }
    }
    assert!(late.is_empty(), "{late:?}");
}
