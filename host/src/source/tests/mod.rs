//! Sources as those who read them see them.

mod file;
mod follow;
mod generator;
mod opencdc;
mod stdin;

use std::time::Duration;

use super::*;
use crate::clock::{Clock, VirtualClock};

/// No cut but by these numbers.
fn cut(records: u32, bytes: u64) -> Cut {
    Cut { records, bytes, delay: Duration::from_secs(3600) }
}

fn json(key: Option<&str>) -> Format {
    Format::JsonLines { key: key.map(|key| key.parse().unwrap()) }
}

/// A record as sequence, key and entity.
type Record = (u64, Option<String>, Vec<u8>);

fn records(portion: &Portion) -> Vec<Record> {
    let Some(batch) = &portion.batch else { return Vec::new() };
    assert_eq!(batch.partition(), &portion.partition);
    let key = |index: usize| batch.key().and_then(|key| key.get(index)).map(|key| String::from_utf8(key.to_vec()).unwrap());
    let after = |index: usize| batch.after().get(index).unwrap().to_vec();
    batch.sequences().iter().enumerate().map(|(index, sequence)| (*sequence, key(index), after(index))).collect()
}

fn texts(portion: &Portion) -> Vec<String> {
    records(portion).into_iter().map(|(_, _, after)| String::from_utf8(after).unwrap()).collect()
}

/// All portions, and the error that ended them.
async fn drain(source: &mut dyn Source) -> (Vec<Portion>, Option<String>) {
    let mut portions = Vec::new();
    loop {
        match source.read().await {
            Ok(Some(portion)) => portions.push(portion),
            Ok(None) => return (portions, None),
            Err(error) => return (portions, Some(error.to_string())),
        }
    }
}

/// The next portion, however long it takes on a virtual clock. Drops the future again and again while it waits.
async fn next(source: &mut dyn Source, time: &VirtualClock) -> Option<Portion> {
    loop {
        tokio::select! {
            portion = source.read() => return portion.unwrap(),
            () = async { time.sleepers(1).await; time.advance_to_next(); } => {}
        }
    }
}

/// What comes while a virtual clock wakes the source so many times.
async fn during(source: &mut dyn Source, time: &VirtualClock, wakes: usize) -> Vec<String> {
    let mut came = Vec::new();
    let mut woken = 0;
    while woken < wakes {
        tokio::select! {
            portion = source.read() => came.extend(texts(&portion.unwrap().unwrap())),
            () = async { time.sleepers(1).await; time.advance_to_next(); } => woken += 1,
        }
    }
    came
}

/// Asserts that nothing comes while a virtual clock wakes the source so many times.
async fn quiet(source: &mut dyn Source, time: &VirtualClock, wakes: usize) {
    assert!(during(source, time, wakes).await.is_empty());
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
