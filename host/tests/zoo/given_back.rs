//! What long calls of the host took is the system's again when their instances are gone.

use std::{fs, time::Duration};

use wharf::{
    config::{Interval, Limits},
    connector::{Opening, Trouble},
    runtime,
    sandbox::thread,
};
use wharf_tests::Scratch;

use crate::{
    lifecycle::{batch, opening},
    process::{self, Holdings},
    thousand::planned,
};

/// Instances at once, each on a thread of its own as in the program: allocators have a place for each thread.
const AT_ONCE: usize = 8;

/// How often. What each instance copied would come to gigabytes if one call's were left of every one.
const ROUNDS: usize = 8;

/// What the process may hold in the end on top of what it held before all of them, in bytes. An allocator left to itself keeps 30 MiB
/// for each thread, some 240 MiB.
const MORE_MEMORY: u64 = 48 << 20;

/// Bytes of one call.
const LONG: u64 = 30 << 20;

#[test]
fn memory_that_long_calls_of_the_host_took_is_given_back() {
    wharf_tests::component("guest-hostile").unwrap();
    match process::child("given_back::round_after_round", "", Duration::from_secs(300)) {
        Ok(told) => println!("{}", told.lines().find(|line| line.starts_with("held ")).unwrap()),
        Err(error) => panic!("{error}"),
    }
}

#[test]
#[ignore = "counts what its process holds: started in one of its own by the test that is named for it"]
fn round_after_round() {
    let _ours = process::task();
    let folder = Scratch::new().unwrap();
    fs::create_dir(folder.path("granted")).unwrap();
    // As in the program: what it sets for all threads is what is tested.
    let runtime = runtime::executor().unwrap();
    let hostile = runtime.block_on(planned(&folder));
    let mut held = vec![Holdings::now().memory >> 20];
    for _ in 0..ROUNDS {
        let round = (0..AT_ONCE).map(|number| {
            let act = ["ask-for-state-at-length", "has-at-length", "write-file-at-length", "append-at-length"][number % 4];
            let mut limits = Limits { fuel_per_call: u64::MAX, ..Limits::default() };
            limits.time.write = Interval::from_millis(200);
            let Opening { settings, limits, .. } = opening(act, LONG, limits);
            let opening = Opening { settings, limits, ..hostile.opening.clone() };
            let connector = hostile.connector.clone();
            thread::spawn(async move {
                let mut session = connector.open(&opening).await.unwrap();
                let answer = session.write(&batch(1), 1).await;
                assert!(matches!(answer.trouble, Some(Trouble::Ended(_))), "{act}: {:?}", answer.trouble);
            })
        });
        let round: Vec<_> = {
            let _executor = runtime.enter();
            round.collect()
        };
        for call in round {
            runtime.block_on(call).unwrap();
        }
        held.push(Holdings::now().memory >> 20);
    }
    println!("\nheld {held:?} MiB");
    let most = (held[0] << 20) + MORE_MEMORY;
    assert!(held.iter().all(|held| held << 20 <= most), "{held:?} MiB");
}
