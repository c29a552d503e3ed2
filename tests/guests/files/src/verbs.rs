//! What records may say.

use std::{collections::HashMap, time::Duration};

use wasip2::{
    clocks::{
        monotonic_clock::{now, subscribe_duration},
        wall_clock::Datetime,
    },
    filesystem::{
        preopens::get_directories,
        types::{Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags, filesystem_error_code},
    },
    io::streams::{OutputStream, StreamError},
};

/// What is open.
#[derive(Debug, Default)]
pub struct State {
    directories: Vec<(Descriptor, String)>,
    open: HashMap<String, Descriptor>,
    streams: Vec<OutputStream>,
}

type Answer = Result<String, String>;

fn told<T>(result: Result<T, ErrorCode>) -> Result<T, String> {
    result.map_err(|error| error.name().to_owned())
}

fn streamed<T>(result: Result<T, StreamError>) -> Result<T, String> {
    result.map_err(|error| match error {
        StreamError::LastOperationFailed(error) => {
            filesystem_error_code(&error).map_or_else(|| error.to_debug_string(), |code| code.name().to_owned())
        }
        StreamError::Closed => "closed".into(),
    })
}

impl State {
    /// Does it.
    pub fn does(&mut self, words: &[&str]) -> Answer {
        if self.directories.is_empty() {
            self.directories = get_directories();
        }
        let word = |at: usize| words.get(at).copied().unwrap_or_default();
        let number = |at: usize| word(at).parse::<u64>().unwrap_or_default();
        let done = |()| String::new();
        match word(0) {
            "open" => {
                let (at, path) = self.place(word(2))?;
                let opened = open(at, &path, word(3))?;
                self.open.insert(word(1).into(), opened);
                Ok(String::new())
            }
            "close" => Ok(self.open.remove(word(1)).map(drop).map(done).unwrap_or_default()),
            "write" => {
                let wrote = told(self.file(word(1))?.write(&vec![b'x'; number(3) as usize], number(2)))?;
                if wrote == number(3) { Ok(String::new()) } else { Err(format!("wrote {wrote}")) }
            }
            "stream" => stream(&told(self.file(word(1))?.write_via_stream(number(2)))?, number(3)).map(done),
            "append" => stream(&told(self.file(word(1))?.append_via_stream())?, number(2)).map(done),
            "leave" => {
                let stream = told(self.file(word(1))?.write_via_stream(number(2)))?;
                streamed(stream.check_write())?;
                streamed(stream.write(&vec![b'x'; number(3) as usize]))?;
                self.streams.push(stream);
                Ok(String::new())
            }
            "leave-many" => self.leave_many(word(1), number(2)),
            "forget" => {
                self.streams.clear();
                Ok(String::new())
            }
            "size" => told(self.file(word(1))?.set_size(number(2))).map(done),
            "length" => Ok(told(self.file(word(1))?.stat())?.size.to_string()),
            "read" => {
                let (at, path) = self.place(word(1))?;
                let (bytes, _) = told(open(at, &path, "rf")?.read(1000, 0))?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            "stat" | "lstat" => {
                let (at, path) = self.place(word(1))?;
                let links = if word(0) == "stat" { PathFlags::SYMLINK_FOLLOW } else { PathFlags::empty() };
                let found = told(at.stat_at(links, &path))?;
                Ok(format!("{:?}", found.type_).replace("DescriptorType::", ""))
            }
            "readlink" => self.place(word(1)).and_then(|(at, path)| told(at.readlink_at(&path))),
            "mkdir" => self.place(word(1)).and_then(|(at, path)| told(at.create_directory_at(&path))).map(done),
            "rmdir" => self.place(word(1)).and_then(|(at, path)| told(at.remove_directory_at(&path))).map(done),
            "unlink" => self.place(word(1)).and_then(|(at, path)| told(at.unlink_file_at(&path))).map(done),
            "symlink" => {
                let (at, path) = self.place(word(2))?;
                told(at.symlink_at(&decoded(word(1)), &path)).map(done)
            }
            "rename" | "link" => {
                let ((at, path), (to, new)) = (self.place(word(1))?, self.place(word(2))?);
                match word(0) {
                    "rename" => told(at.rename_at(&path, to, &new)).map(done),
                    _ => told(at.link_at(PathFlags::empty(), &path, to, &new)).map(done),
                }
            }
            "times" => {
                let (at, path) = self.place(word(1))?;
                let time = NewTimestamp::Timestamp(Datetime { seconds: number(2), nanoseconds: number(3) as u32 });
                told(at.set_times_at(PathFlags::SYMLINK_FOLLOW, &path, time, time)).map(done)
            }
            "times-open" => {
                let time = NewTimestamp::Timestamp(Datetime { seconds: number(2), nanoseconds: number(3) as u32 });
                told(self.file(word(1))?.set_times(time, time)).map(done)
            }
            "count" => {
                let (at, path) = self.place(word(1))?;
                let entries = told(open(at, &path, "rd")?.read_directory())?;
                let mut count: u64 = 0;
                while told(entries.read_directory_entry())?.is_some() {
                    count += 1;
                }
                Ok(count.to_string())
            }
            "many" => {
                let (at, path) = self.place(word(1))?;
                for name in 0..number(2) {
                    open(at, &format!("{path}/{name}"), "cw").map_err(|error| format!("{name}: {error}"))?;
                }
                Ok(String::new())
            }
            "deep" => self.deep(word(1), number(2)),
            "gone" => {
                let (at, path) = self.place(word(1))?;
                while at.stat_at(PathFlags::empty(), &path).is_ok() {}
                Ok(String::new())
            }
            "wait" => {
                subscribe_duration(number(1) * 1_000_000).block();
                Ok(String::new())
            }
            "race" => self.race(word(1), Duration::from_millis(number(2))),
            other => Err(format!("told to {other}, and cannot")),
        }
    }

    /// A directory as granted, and a path below it.
    fn place(&self, place: &str) -> Result<(&Descriptor, String), String> {
        let (directory, path) = place.split_once(':').ok_or("no place")?;
        let found = self.directories.iter().find(|(_, name)| name == directory);
        Ok((&found.ok_or("no such directory")?.0, decoded(path)))
    }

    fn file(&self, name: &str) -> Result<&Descriptor, String> {
        self.open.get(name).ok_or_else(|| format!("{name} is not open"))
    }

    /// Starts writes through a stream each and waits for none.
    fn leave_many(&mut self, name: &str, count: u64) -> Answer {
        for number in 0..count {
            let stream = told(self.file(name)?.write_via_stream(number * 4096))?;
            let allowed = streamed(stream.check_write())?;
            streamed(stream.write(&vec![b'x'; allowed.min(4096) as usize]))?;
            self.streams.push(stream);
        }
        let mut failed = 0;
        for stream in self.streams.drain(..) {
            failed += u64::from(stream.blocking_flush().is_err());
        }
        Ok(format!("{failed} failed"))
    }

    /// Makes a directory in a directory in a directory.
    fn deep(&self, place: &str, count: u64) -> Answer {
        let (at, path) = self.place(place)?;
        let mut at = open(at, &path, "rd")?;
        for number in 0..count {
            told(at.create_directory_at("d")).map_err(|error| format!("{number}: {error}"))?;
            at = open(&at, "d", "rd")?;
        }
        Ok(String::new())
    }

    /// Reads, writes, makes and removes below a place that somebody swaps, for so long. What it reads must be the directory's own.
    fn race(&self, place: &str, long: Duration) -> Answer {
        let (at, path) = self.place(place)?;
        let until = now() + long.as_nanos() as u64;
        let (mut inside, mut refused) = (0, 0);
        while now() < until {
            let mut note = |failed: bool| if failed { refused += 1 } else { inside += 1 };
            if let Ok(file) = open(at, &format!("{path}/file"), "rf")
                && let Ok((bytes, _)) = file.read(100, 0)
                && bytes.starts_with(b"secret")
            {
                return Err("read what lies outside".into());
            }
            note(open(at, &format!("{path}/new"), "cwf").is_err());
            note(at.unlink_file_at(&format!("{path}/new")).is_err());
            note(at.create_directory_at(&format!("{path}/folder")).is_err());
            note(at.remove_directory_at(&format!("{path}/folder")).is_err());
            note(at.rename_at(&format!("{path}/file"), at, &format!("{path}/moved")).is_err());
            note(at.rename_at(&format!("{path}/moved"), at, &format!("{path}/file")).is_err());
            note(at.symlink_at("file", &format!("{path}/link")).is_err());
            note(at.unlink_file_at(&format!("{path}/link")).is_err());
            note(at.stat_at(PathFlags::SYMLINK_FOLLOW, &format!("{path}/../{path}/file")).is_err());
        }
        Ok(format!("{} and {}", inside > 0, refused > 0))
    }
}

/// Opens by letters: `r`ead, `w`rite, `c`reate, e`x`clusive, `t`runcate, `d`irectory, `f`ollow links.
fn open(at: &Descriptor, path: &str, letters: &str) -> Result<Descriptor, String> {
    let has = |letter: char| letters.contains(letter);
    let mut how = OpenFlags::empty();
    how.set(OpenFlags::CREATE, has('c'));
    how.set(OpenFlags::EXCLUSIVE, has('x'));
    how.set(OpenFlags::TRUNCATE, has('t'));
    how.set(OpenFlags::DIRECTORY, has('d'));
    let mut flags = DescriptorFlags::empty();
    flags.set(DescriptorFlags::READ, has('r'));
    flags.set(DescriptorFlags::WRITE, has('w'));
    let links = if has('f') { PathFlags::SYMLINK_FOLLOW } else { PathFlags::empty() };
    told(at.open_at(links, path, how, flags))
}

/// Writes so many bytes, each piece to the disk before the next.
fn stream(stream: &OutputStream, mut length: u64) -> Result<(), String> {
    while length > 0 {
        let piece = length.min(4096);
        streamed(stream.blocking_write_and_flush(&vec![b'x'; piece as usize]))?;
        length -= piece;
    }
    Ok(())
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('x') {
            bytes.extend(std::iter::repeat_n(b'x', 5000));
            rest = after;
        } else if let Some(byte) = rest.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = &rest[2..];
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}
