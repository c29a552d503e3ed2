//! `cargo xtask test`.

use anyhow::Result;

use crate::{
    build::build,
    lint::lint,
    shell::{cargo, run},
};

/// Runs every check and every test. `long` counts are for what chance has a part in: kills, cases, seeds.
pub fn test(long: bool) -> Result<()> {
    build(false)?;
    lint()?;
    let mut tests = cargo();
    tests.args(["test", "--workspace"]);
    if long {
        tests.env("WHARF_TEST_LONG", "1");
    }
    run(&mut tests)
}
