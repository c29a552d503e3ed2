//! `cargo xtask fuzz`.

use std::fs;

use anyhow::{Context, Result};

use crate::shell::{checkout, run};

/// The targets, as in `host/fuzz/Cargo.toml`.
const TARGETS: [&str; 6] = ["component", "descriptor", "grants", "pipeline", "receipt", "records"];

/// Runs one target, or each in turn, for so many seconds, with the versions of dependencies that the host is built with.
pub fn fuzz(target: Option<&str>, seconds: u32) -> Result<()> {
    let host = checkout().join("host");
    let lock = host.join("fuzz/Cargo.lock");
    fs::copy(checkout().join("Cargo.lock"), &lock).with_context(|| format!("cannot write {}", lock.display()))?;
    for target in target.map_or(TARGETS.to_vec(), |target| vec![target]) {
        // What is new goes into a folder of its own, beside the corpus that is kept.
        let new = format!("fuzz/target/new/{target}");
        fs::create_dir_all(host.join(&new)).with_context(|| format!("cannot make {new}"))?;
        // By name: the cargo that runs this program is of the toolchain that the host is built with.
        let mut fuzz = std::process::Command::new("cargo");
        fuzz.current_dir(&host).env_remove("RUSTUP_TOOLCHAIN");
        fuzz.args([
            "+nightly",
            "fuzz",
            "run",
            "--sanitizer",
            "none",
            "--strip-dead-code",
            target,
            &new,
            &format!("fuzz/corpus/{target}"),
            "--",
        ]);
        fuzz.arg(format!("-max_total_time={seconds}"));
        fuzz.args(["-timeout=10", "-rss_limit_mb=4096", "-max_len=4096", "-print_final_stats=1"]);
        run(&mut fuzz)?;
    }
    Ok(())
}
