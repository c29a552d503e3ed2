use std::{
    io::{self, Read, Write as _},
    num::NonZeroU64,
};

use super::*;

fn open(input: impl Read + Send + 'static, reading: &Reading, time: &VirtualClock) -> StdinSource {
    StdinSource::new(input, reading, "pipe", "run7", time.clock()).unwrap()
}

#[tokio::test]
async fn a_stream_is_read_like_a_file_but_only_once() {
    let time = VirtualClock::new();
    let mut reading = Reading::new(json(Some("/k")), cut(3, 1 << 20));
    for chunk_bytes in [1, 5, 1000] {
        reading.chunk_bytes = chunk_bytes;
        let mut source = open(&b"{\"k\":\"a\"}\nbad\n\n{\"k\":2}\n{}\nnull"[..], &reading, &time);
        assert!(!source.rereads());
        let (portions, error) = drain(&mut source).await;
        assert_eq!(error, None);
        let keys: Vec<_> = portions.iter().flat_map(records).map(|(at, key, _)| (at, key)).collect();
        assert_eq!(keys, [(0, Some("a".to_owned())), (15, Some("2".to_owned())), (23, None), (26, None)]);
        assert_eq!((portions.len(), &*portions[0].partition, &*portions[0].label), (2, "stdin-run7", "stdin"));
        assert!(portions[0].unreadable[0].reason.starts_with("stdin, byte 10: "), "{}", portions[0].unreadable[0].reason);
        assert!(source.read().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn what_came_is_cut_when_its_delay_is_over_though_the_stream_hangs() {
    let time = VirtualClock::new();
    let (reader, mut writer) = io::pipe().unwrap();
    let mut source = open(reader, &Reading::new(Format::Lines, cut(100, 1 << 20)), &time);
    writer.write_all(b"one\ntw").unwrap();
    assert_eq!(texts(&next(&mut source, &time).await.unwrap()), ["one"]);
    assert_eq!(time.clock().elapsed(), Duration::from_secs(3600));
    writer.write_all(b"o\n").unwrap();
    assert_eq!(texts(&next(&mut source, &time).await.unwrap()), ["two"]);
    drop(writer);
    assert!(source.read().await.unwrap().is_none());
}

struct Breaks(&'static [u8]);

impl Read for Breaks {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self.0.read(room)? {
            0 => Err(io::Error::other("the line went dead")),
            count => Ok(count),
        }
    }
}

#[tokio::test]
async fn what_came_before_a_fault_is_delivered() {
    let mut source = open(Breaks(b"one\ntw"), &Reading::new(Format::Lines, cut(100, 1 << 20)), &VirtualClock::new());
    let (portions, error) = drain(&mut source).await;
    assert_eq!(portions.iter().flat_map(texts).collect::<Vec<_>>(), ["one"]);
    assert_eq!(error.as_deref(), Some("cannot read stdin: the line went dead"));
    assert!(source.read().await.is_err());
}

#[test]
fn dropping_a_read_loses_nothing() {
    block_on(async {
        let time = VirtualClock::new();
        let text: String = (0..3000).map(|n| format!("{n}\n")).collect();
        let mut reading = Reading::new(Format::Lines, cut(9, 1 << 20));
        reading.chunk_bytes = 30;
        reading.rate = NonZeroU64::new(1_000_000);
        let mut source = open(io::Cursor::new(text), &reading, &time);
        let mut read = Vec::new();
        loop {
            tokio::select! {
                biased;
                portion = source.read() => match portion.unwrap() {
                    Some(portion) => read.extend(texts(&portion)),
                    None => break,
                },
                () = tokio::task::yield_now() => time.advance(Duration::from_micros(100)),
            }
        }
        assert!(read.iter().map(|text| text.parse::<usize>().unwrap()).eq(0..3000));
    });
}
