//! The tutorials, followed word for word: its files are written, its commands typed, and what they print is held against the page.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use wharf_tests::{
    Scratch, checkout,
    page::{Block, Step, differs, steps},
    program, target,
};

#[test]
fn write_a_destination_in_ten_minutes() {
    followed("docs/write-a-destination.md", "word-count");
}

#[test]
fn write_a_bulk_destination() {
    followed("docs/write-a-bulk-destination.md", "leads");
}

fn followed(name: &str, folder: &str) {
    let page = fs::read_to_string(checkout().join(name)).unwrap();
    let scratch = Scratch::new().unwrap();
    let folder = scratch.path(folder);
    fs::create_dir(&folder).unwrap();
    // What the page does not show: the versions that are there offline, and a target folder that is warm.
    fs::copy(checkout().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    std::os::unix::fs::symlink(target().unwrap(), folder.join("target")).unwrap();

    let steps = steps(&page);
    let output = follow(&steps, &scratch, &folder);
    let commands: Vec<_> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Command { line, typed, expected } => Some((line, typed, expected)),
            Step::File(_) => None,
        })
        .collect();
    assert!(commands.len() > 10, "the page was not read");
    let mut ends = output.split('\u{1}');
    for (index, (line, typed, expected)) in commands.iter().enumerate() {
        let at = format!("{name}:{line}: `{typed}`");
        let Some((printed, code)) = ends.next().and_then(|end| end.rsplit_once('\u{2}')) else {
            panic!("{at} never ended:\n{output}")
        };
        let shown = code == "0" || commands.get(index + 1).is_some_and(|(_, next, _)| *next == "echo $?");
        assert!(shown, "{at} ended with {code}, and the page does not say so:\n{printed}");
        // What comes after the first difference follows from it.
        let difference = differs(expected, printed);
        assert!(difference.is_none(), "{at} {}\nall that it printed:\n{printed}", difference.unwrap_or_default());
    }
}

/// Does what the page says in one shell. After the output of each command stand a mark, its exit code, and another mark.
fn follow(steps: &[Step], scratch: &Scratch, folder: &Path) -> String {
    let mut script = String::from("exec 2>&1\n");
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::File(Block { title, text, .. }) => {
                let kept = scratch.write(&format!("blocks/{number}"), text).unwrap();
                writeln!(script, "mkdir -p \"$(dirname {title})\" && cp {} {title}\n(exit 0)", kept.display()).unwrap();
            }
            Step::Command { typed, .. } => {
                writeln!(script, "{typed}\ncode=$?; printf '\\002%s\\001' $code; (exit $code)").unwrap();
            }
        }
    }
    let wharf = scratch.wharf(&[]).unwrap();
    let mut shell = Command::new("bash");
    // What `wharf` is told by the other tests, this shell tells it too.
    for (name, value) in wharf.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let program = program().unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(program.parent().map(Path::to_owned).into_iter().chain(std::env::split_paths(&path)));
    shell
        .env("PATH", path.unwrap())
        .env("WHARF", checkout())
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("CARGO_TARGET_DIR")
        .env("TMPDIR", scratch.path(""));
    let output = shell.arg("-c").arg(script).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}
