//! `wharf dev`: a connector is edited while its pipeline runs.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use wharf_tests::{Scratch, checkout, target};

/// How long a build may take on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Killed where a test leaves it.
struct Dev {
    child: Child,
    log: std::path::PathBuf,
}

impl Dev {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn until(&mut self, what: &str, so: impl Fn(&str) -> bool) {
        let began = Instant::now();
        while !so(&self.log()) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{what}: it ended with {status}:\n{}", self.log());
            }
            assert!(began.elapsed() < PATIENCE, "{what}: it never came to be:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It may have ended.
        let _asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ended = self.child.wait();
    }
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} is not in {}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn a_pipeline_is_built_and_run_again_after_each_change() {
    let scratch = Scratch::new().unwrap();
    let sdk = checkout().join("guest-sdk").display().to_string();
    let written = scratch.run(&["new", "loud", "--sdk", &sdk]).unwrap();
    assert_eq!(written.code, Some(0), "{}", written.stderr);
    let folder = scratch.path("loud");
    // What there is offline, and a target folder that is warm.
    fs::copy(checkout().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    std::os::unix::fs::symlink(target().unwrap(), folder.join("target")).unwrap();
    let source = folder.join("src/lib.rs");
    let out = folder.join("out/records.txt");
    let arrived = || fs::read_to_string(&out).unwrap_or_default();

    let log = scratch.path("log");
    let mut command = scratch.wharf(&["dev", "pipeline.yaml"]).unwrap();
    command.current_dir(&folder).env("CARGO_NET_OFFLINE", "true").env_remove("CARGO_TARGET_DIR");
    let file = File::create(&log).unwrap();
    command.stdout(Stdio::from(file.try_clone().unwrap())).stderr(Stdio::from(file));
    let mut dev = Dev { child: command.spawn().unwrap(), log };
    let ended = |log: &str| log.matches("the run ended with exit code 0").count();

    dev.until("the first run", |log| ended(log) == 1);
    assert_eq!(arrived(), "one\n  two\nthree\n");

    // Another line of code: built, and run from the first record on.
    edit(&source, "lines.extend_from_slice(line);", "lines.extend(line.to_ascii_uppercase());");
    dev.until("the second run", |log| ended(log) == 2);
    assert_eq!(arrived(), "one\n  two\nthree\nONE\n  TWO\nTHREE\n");
    assert!(dev.log().contains("src/lib.rs"), "{}", dev.log());

    // One that does not build is told, and nothing runs; the next one does.
    edit(&source, "to_ascii_uppercase()", "to_ascii_uppercase(");
    dev.until("the broken build", |log| log.contains("error: loud 0.1.0 does not build"));
    edit(&source, "to_ascii_uppercase(", "to_ascii_lowercase()");
    dev.until("the third run", |log| ended(log) == 3);
    assert!(arrived().ends_with("THREE\none\n  two\nthree\n"), "{}", arrived());

    // The pipeline file itself: nothing is built for that.
    let built = dev.log().matches("built: loud 0.1.0").count();
    fs::write(folder.join("other.txt"), "four\n").unwrap();
    edit(&folder.join("pipeline.yaml"), "records.txt,", "other.txt,");
    dev.until("the fourth run", |_| arrived().ends_with("three\nfour\n"));
    assert_eq!(dev.log().matches("built: loud 0.1.0").count(), built);

    // Told to end, it ends.
    let asked = Command::new("kill").args(["-TERM", &dev.child.id().to_string()]).status().unwrap();
    assert!(asked.success());
    let began = Instant::now();
    let status = loop {
        if let Some(status) = dev.child.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < PATIENCE, "it never ended:\n{}", dev.log());
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(status.code(), Some(0), "{}", dev.log());
}

#[test]
fn a_pipeline_file_that_is_not_there_is_refused() {
    let scratch = Scratch::new().unwrap();
    let ran = scratch.run(&["dev", "p.yaml"]).unwrap();
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.starts_with("error: cannot read the pipeline file p.yaml: ") && ran.stderr.contains("\nhint: "),
        "{}",
        ran.stderr
    );
}
