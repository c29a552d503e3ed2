//! What a process holds, read from `/proc`; and a test's own processes.

use std::{
    fs,
    io::Read,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// What this process holds now.
#[derive(Clone, Copy, Debug)]
pub struct Holdings {
    /// Bytes in memory.
    pub memory: u64,
    pub threads: usize,
    pub files: usize,
}

impl Holdings {
    pub fn now() -> Self {
        let count = |folder| fs::read_dir(folder).unwrap().count();
        Self {
            memory: figure("/proc/self/smaps_rollup", "Rss:"),
            threads: count("/proc/self/task"),
            files: count("/proc/self/fd"),
        }
    }
}

/// The most bytes that were in memory since [`forget_peak`].
pub fn peak() -> u64 {
    figure("/proc/self/status", "VmHWM:")
}

/// The peak counts from what is held now on.
pub fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").unwrap();
}

/// A line of a file that counts in kB.
fn figure(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() << 10
}

/// Runs one of the ignored tests of this program in a process of its own, and tells what it was, with an error of its own if it ended
/// badly or not at all.
pub fn child(test: &str, task: &str, longest: Duration) -> Result<String, String> {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]).env(TASK, task).env("RUST_BACKTRACE", "0");
    let mut child = child.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let read = |mut from: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut text = Vec::new();
            from.read_to_end(&mut text).unwrap();
            String::from_utf8_lossy(&text).into_owned()
        })
    };
    let stdout = read(Box::new(child.stdout.take().unwrap()));
    let stderr = read(Box::new(child.stderr.take().unwrap()));
    let started = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if started.elapsed() > longest => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    match status {
        Some(status) if status.success() => Ok(stdout),
        Some(status) => Err(format!("{status}\n{stdout}\n{stderr}")),
        None => Err(format!("still running after {longest:?}\n{stdout}\n{stderr}")),
    }
}

/// What a child is to do stands here.
const TASK: &str = "WHARF_TEST_TASK";

/// What this process is to do, where it is a child.
pub fn task() -> String {
    std::env::var(TASK).expect("this runs as a child of the other tests")
}
